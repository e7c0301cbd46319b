"""The app's settings and stores for tests in this process."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from storage import services
from storage.settings import settings

ROOT = Path(__file__).resolve().parents[2]


def local_settings() -> dict[str, str]:
    """The values of local.settings.json."""
    values: dict[str, str] = json.loads((ROOT / "local.settings.json").read_text())["Values"]
    return values


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, storage_connection: str) -> Iterator[None]:
    """The app's own stores on this test session's Azurite, its other settings those of local.settings.json."""
    for name, value in local_settings().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AzureWebJobsStorage", storage_connection)
    _forget()
    yield
    _forget()


@pytest.fixture
def functions(app: None) -> tuple[Any, ...]:
    """The functions as the worker gets them."""
    return _functions()


@cache
def _functions() -> tuple[Any, ...]:
    # An app gives them once: asked again, it finds its own names taken.
    import function_app

    return tuple(function_app.app.get_functions())


def _forget() -> None:
    for cached in (
        settings,
        services.tables,
        services.order_register,
        services.instructions,
        services.signal_store,
        services.watches,
        services.alerts,
    ):
        cached.cache_clear()

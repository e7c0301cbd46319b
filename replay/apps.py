"""Finds the orchestrators of an app."""

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devhost.app import Kind
from devhost.configuration import ConfigurationError, apply_settings, read_local_settings
from replay.execution import OrchestratorFunction

DEFAULT = "function_app:app"


class AppError(Exception):
    """The app cannot be loaded; the message says why and what would be right."""


def orchestrators(app: Any = None) -> dict[str, OrchestratorFunction]:
    """An app's orchestrators by their names in lower case.

    `app` is a function app, `module:name` (found from the working folder, whose local.settings.json is applied as the
    host would), or a mapping of names to orchestrators. Raises AppError.
    """
    if app is None or isinstance(app, str):
        app = _imported(app or DEFAULT)
    if isinstance(app, Mapping):
        return {name.lower(): _handle(function) for name, function in app.items()}
    # `get_functions()` answers an app object once only, and whoever else is in the process may have asked.
    builders = getattr(app, "_function_builders", None)
    if builders is None:
        raise AppError(
            f"{app!r} is no function app: give a df.DFApp, 'module:name', or a mapping of names to functions"
        )
    found = {}
    for builder in builders:
        function = builder._function
        trigger = function.get_trigger()
        if trigger is not None and trigger.type == Kind.ORCHESTRATOR.value:
            name = getattr(trigger, "orchestration", None) or function.get_function_name()
            found[name.lower()] = function.get_user_function()
    return found


def _handle(function: Any) -> OrchestratorFunction:
    """The function that the SDK made, also from what its decorators leave in the module."""
    inner = getattr(function, "_function", None)
    handle: OrchestratorFunction = function if inner is None else inner.get_user_function()
    return handle


def _imported(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    folder = Path.cwd()
    try:
        apply_settings(read_local_settings(folder), {})
    except ConfigurationError as error:
        raise AppError(str(error)) from None
    if str(folder) not in sys.path:
        sys.path.insert(0, os.fspath(folder))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise AppError(f"{name}: {module_name} cannot be imported: {type(error).__name__}: {error}") from error
    try:
        return getattr(module, attribute or "app")
    except AttributeError:
        raise AppError(f"{name}: the module {module_name} has no '{attribute or 'app'}'") from None

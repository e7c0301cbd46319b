"""A plugin of pytest: property tests with few examples, the same ones at every run."""

import pytest
from hypothesis import settings

EXAMPLES = 20


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        test = getattr(item, "obj", None)
        asked = getattr(test, "_hypothesis_internal_use_settings", None)
        if test is not None and asked is not None:
            test._hypothesis_internal_use_settings = settings(
                asked,
                max_examples=min(asked.max_examples, EXAMPLES),
                derandomize=True,
                database=None,
                deadline=None,
            )

"""What the Functions Python worker demands of an app (DURABLE.md, section 1), checked on the functions it would get."""

import inspect
import typing
from collections import Counter
from typing import Any

import azure.functions as func

FUNCTIONS = {
    "orchestrationTrigger": {"signal_pipeline", "order", "fix_session", "backoff"},
    "activityTrigger": {
        "generate_signals",
        "start_orders",
        "register_order",
        "resume_order",
        "send_to_venue",
        "read_journal",
        "raise_alerts",
        "end_order",
        "run_session",
        "watch_prices",
    },
    "entityTrigger": {"position", "exposure"},
    "eventHubTrigger": {"market_data"},
    "warmupTrigger": {"warm_up"},
    "timerTrigger": {"supervise_session", "sweep_orders", "purge_outbox"},
}


def test_the_app_has_the_functions_it_is_known_for(functions: tuple[Any, ...]) -> None:
    found: dict[str, set[str]] = {}
    for function in functions:
        found.setdefault(function.get_trigger().type, set()).add(function.get_function_name())
    assert {kind: names for kind, names in found.items() if kind != "httpTrigger"} == FUNCTIONS


def test_the_routes_are_those_of_the_interface(functions: tuple[Any, ...]) -> None:
    routes = Counter(
        (method.value, function.get_trigger().route)
        for function in functions
        if function.is_http_function()
        for method in function.get_trigger().methods
    )
    assert routes == Counter(
        [
            ("POST", "orders"),
            ("GET", "orders"),
            ("GET", "orders/{id}"),
            ("PATCH", "orders/{id}"),
            ("DELETE", "orders/{id}"),
            ("GET", "positions"),
            ("GET", "exposure"),
            ("DELETE", "exposure/blocked"),
            ("POST", "halt"),
            ("GET", "halt"),
            ("DELETE", "halt"),
            ("GET", "session"),
            ("POST", "session/reset"),
            ("GET", "session/reset"),
            ("GET", "session/reconciliations"),
            ("POST", "session/drop-copy/reset"),
            ("POST", "session/release"),
            ("GET", "openapi.json"),
        ]
    )
    assert not any(route.startswith(("admin", "runtime")) for _, route in routes)


def test_no_two_functions_have_one_name(functions: tuple[Any, ...]) -> None:
    names = Counter(function.get_function_name() for function in functions)
    assert set(names.values()) == {1}


def test_parameters_are_those_of_the_bindings_and_have_no_underscores(functions: tuple[Any, ...]) -> None:
    for function in functions:
        parameters = set(inspect.signature(function.get_user_function()).parameters)
        bindings = {binding.name for binding in function.get_bindings()} - {"$return"}
        assert parameters == bindings, function.get_function_name()
        assert not any("_" in name for name in bindings), function.get_function_name()


def test_annotations_are_plain_types(functions: tuple[Any, ...]) -> None:
    for function in functions:
        annotations = dict(function.get_user_function().__annotations__)
        if function.get_trigger().type == "eventHubTrigger":
            assert annotations.pop("events") == typing.List[func.EventHubEvent]  # noqa: UP006 - it has to be this one
        for name, annotation in annotations.items():
            plain = annotation is None or (isinstance(annotation, type) and typing.get_origin(annotation) is None)
            assert plain, (function.get_function_name(), name, annotation)


def test_http_functions_return_a_response(functions: tuple[Any, ...]) -> None:
    for function in functions:
        if function.is_http_function():
            assert function.get_user_function().__annotations__["return"] is func.HttpResponse


def test_an_orchestrator_is_no_coroutine_and_a_function_with_a_client_is_one(functions: tuple[Any, ...]) -> None:
    for function in functions:
        user_function = function.get_user_function()
        kinds = {binding.type for binding in function.get_bindings()}
        if "orchestrationTrigger" in kinds:
            assert not inspect.iscoroutinefunction(user_function)
            assert list(inspect.signature(user_function).parameters) == ["context"]
        if "durableClient" in kinds:
            assert inspect.iscoroutinefunction(user_function)
            assert user_function.__annotations__["client"] is str


def test_market_data_comes_in_batches_and_is_delivered_until_it_succeeds(functions: tuple[Any, ...]) -> None:
    (function,) = [each for each in functions if each.get_function_name() == "market_data"]
    trigger = function.get_trigger().get_dict_repr()
    assert trigger["cardinality"].value == "many"
    assert trigger["eventHubName"] == "%MARKET_DATA_HUB%"
    assert function.get_settings_dict("retry_policy")["max_retry_count"] == "-1"

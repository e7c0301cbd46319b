# The SDK's decorators are untyped, and the functions under them have no bodies.
# mypy: disable-error-code="untyped-decorator,empty-body"
"""What the Functions worker refuses is refused, naming function, parameter and rule (DURABLE.md, section 1)."""

import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import pytest

from devhost.app import App, Kind, LoadError, RetryPolicy, examine, load


def examined(declare: Callable[[Any], object]) -> App:
    app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    declare(app)
    return examine(app.get_functions())


def refusal(declare: Callable[[Any], object]) -> str:
    with pytest.raises(LoadError) as caught:
        examined(declare)
    return str(caught.value)


def hub_trigger(app: Any, name: str = "events") -> Any:
    return app.event_hub_message_trigger(
        arg_name=name, event_hub_name="hub", connection="Connection", cardinality=func.Cardinality.MANY
    )


def test_an_event_hub_batch_must_be_a_typing_list() -> None:
    def declare(app: Any) -> None:
        @hub_trigger(app)
        def on_events(events: list[func.EventHubEvent]) -> None: ...

    assert "on_events: the parameter 'events' has the annotation list[" in refusal(declare)


def test_a_plain_list_is_no_event_hub_batch() -> None:
    def declare(app: Any) -> None:
        def on_events(events: Any) -> None: ...

        on_events.__annotations__["events"] = list
        hub_trigger(app)(on_events)

    assert "write typing.List[azure.functions.EventHubEvent]" in refusal(declare)


def test_a_typing_list_with_a_durable_client_is_accepted() -> None:
    def declare(app: Any) -> None:
        @hub_trigger(app)
        @app.durable_client_input(client_name="client")
        async def on_events(events: typing.List[func.EventHubEvent], client: Any) -> None: ...  # noqa: UP006

    (function,) = examined(declare).functions
    assert (function.kind, function.is_async, function.client_parameters) == (Kind.EVENT_HUB, True, ("client",))


@pytest.mark.parametrize("annotation", [dict[str, int], typing.Optional[int], int | None])  # noqa: UP045
def test_an_activity_parameter_must_be_a_class_or_a_typing_generic(annotation: Any) -> None:
    def declare(app: Any) -> None:
        def work(value: Any) -> None: ...

        work.__annotations__["value"] = annotation
        app.activity_trigger(input_name="value")(work)

    assert "work: the parameter 'value' has the annotation" in refusal(declare)


@pytest.mark.parametrize("annotation", [dict, str, typing.Dict[str, int], int])  # noqa: UP006
def test_classes_and_typing_generics_are_accepted_in_an_activity(annotation: Any) -> None:
    def declare(app: Any) -> None:
        def work(value: Any) -> None: ...

        work.__annotations__["value"] = annotation
        app.activity_trigger(input_name="value")(work)

    assert examined(declare).find(Kind.ACTIVITY, "WORK") is not None


def test_an_http_function_must_not_return_an_optional() -> None:
    def declare(app: Any) -> None:
        @app.route(route="x")
        def answer(req: func.HttpRequest) -> func.HttpResponse | None: ...

    assert "answer: the return annotation" in refusal(declare)


def test_a_parameter_that_no_binding_names_is_refused() -> None:
    def declare(app: Any) -> None:
        @app.route(route="x")
        def answer(req: func.HttpRequest, more: str) -> func.HttpResponse: ...

    assert "answer: the parameter 'more' is named by no binding; bound are: req" in refusal(declare)


def test_a_binding_without_a_parameter_is_refused() -> None:
    def declare(app: Any) -> None:
        @app.activity_trigger(input_name="value")
        def work(other: int) -> None: ...

    assert "work: the " in refusal(declare)


def test_an_orchestrators_parameter_must_be_called_context() -> None:
    def declare(app: Any) -> None:
        @app.orchestration_trigger(context_name="ctx")
        def orchestrate(ctx: Any) -> None: ...

    assert refusal(declare) == "orchestrate: the parameter 'ctx' must be called 'context'"


def test_binding_names_have_no_underscores() -> None:
    def declare(app: Any) -> None:
        @app.activity_trigger(input_name="the_value")
        def work(the_value: int) -> None: ...

    assert "work: the binding name 'the_value'" in refusal(declare)


def test_two_functions_of_one_name_are_refused() -> None:
    def declare(app: Any) -> None:
        for _ in range(2):

            @app.activity_trigger(input_name="value")
            def work(value: int) -> None: ...

    assert "work" in _get_functions_error(declare)


def _get_functions_error(declare: Callable[[Any], object]) -> str:
    app = df.DFApp()
    declare(app)
    with pytest.raises((ValueError, LoadError)) as caught:
        examine(app.get_functions())
    return str(caught.value)


def test_two_functions_of_one_route_and_method_are_refused() -> None:
    def declare(app: Any) -> None:
        @app.route(route="things/{id}", methods=["GET", "POST"])
        def one(req: func.HttpRequest) -> func.HttpResponse: ...

        @app.route(route="things/{name}", methods=["POST"])
        def two(req: func.HttpRequest) -> func.HttpResponse: ...

    assert "two: one has the same route 'things/{name}' and method POST" in refusal(declare)


def test_one_route_with_two_methods_is_accepted() -> None:
    def declare(app: Any) -> None:
        @app.route(route="things/{the_id}", methods=["GET"])
        def one(req: func.HttpRequest) -> func.HttpResponse: ...

        @app.route(route="things/{the_id}", methods=["POST"])
        def two(req: func.HttpRequest) -> func.HttpResponse: ...

    assert len(examined(declare).functions) == 2


@pytest.mark.parametrize("route", ["admin/x", "runtime"])
def test_the_hosts_own_routes_are_refused(route: str) -> None:
    def declare(app: Any) -> None:
        @app.route(route=route)
        def mine(req: func.HttpRequest) -> func.HttpResponse: ...

    assert "which belongs to the host" in refusal(declare)


def test_what_breaks_later_is_warned_of() -> None:
    def declare(app: Any) -> None:
        @app.orchestration_trigger(context_name="context")
        async def orchestrate(context: Any) -> None: ...

        @app.route(route="x")
        @app.durable_client_input(client_name="client")
        def answer(req: func.HttpRequest, client: Any) -> func.HttpResponse: ...

    warnings = examined(declare).warnings
    assert any(each.startswith("orchestrate: an orchestrator must not be async") for each in warnings)
    assert any(each.startswith("answer: with a durable client the function must be async") for each in warnings)


def test_event_hub_functions_in_one_consumer_group_are_warned_of() -> None:
    def declare(app: Any) -> None:
        for name, group in (("one", None), ("two", None), ("three", "own")):

            def on_events(events: typing.List[func.EventHubEvent]) -> None: ...  # noqa: UP006

            on_events.__name__ = name
            app.event_hub_message_trigger(
                arg_name="events",
                event_hub_name="hub",
                connection="Connection",
                cardinality=func.Cardinality.MANY,
                consumer_group=group,
            )(on_events)

    (warning,) = examined(declare).warnings
    assert warning.startswith("one, two: all listen to the hub 'hub' in the consumer group '$Default'")


def test_an_async_activity_may_have_a_durable_client_and_a_context() -> None:
    def declare(app: Any) -> None:
        @app.activity_trigger(input_name="value")
        @app.durable_client_input(client_name="client")
        async def work(value: str, client: Any, context: func.Context) -> None: ...

    (function,) = examined(declare).functions
    assert (function.wants_context, function.trigger_parameter) == (True, "value")


def test_settings_in_names_and_schedules_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    def declare(app: Any) -> None:
        @app.timer_trigger(arg_name="timer", schedule="%WHEN%")
        def tick(timer: func.TimerRequest) -> None: ...

    monkeypatch.setenv("WHEN", "0 0 * * * *")
    assert examined(declare).functions[0].trigger["schedule"] == "0 0 * * * *"
    monkeypatch.delenv("WHEN")
    assert refusal(declare) == "tick: schedule: %WHEN% names a setting that does not exist"


def test_retry_policies_are_read() -> None:
    def declare(app: Any) -> None:
        @app.timer_trigger(arg_name="timer", schedule="0 * * * * *")
        @app.retry(
            strategy="exponential_backoff",
            max_retry_count="-1",
            minimum_interval="00:00:01",
            maximum_interval="00:01:00",
        )
        def tick(timer: func.TimerRequest) -> None: ...

    (function,) = examined(declare).functions
    assert function.retry == RetryPolicy(-1, 1.0, 60.0)
    assert [function.retry.delay(retry) for retry in (1, 2, 3, 10)] == [1.0, 2.0, 4.0, 60.0]


def test_a_wrong_retry_policy_is_refused() -> None:
    def declare(app: Any) -> None:
        @app.timer_trigger(arg_name="timer", schedule="0 * * * * *")
        @app.retry(strategy="fixed_delay", max_retry_count="3", delay_interval="soon")
        def tick(timer: func.TimerRequest) -> None: ...

    assert "tick: the retry policy is wrong: ValueError: 'soon' is not an interval hh:mm:ss" in refusal(declare)


def test_a_folder_without_an_app_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"function_app\.py does not exist"):
        load(tmp_path)


def test_a_syntax_error_is_named_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "function_app", raising=False)
    (tmp_path / "function_app.py").write_text("def x(:\n")
    with pytest.raises(LoadError, match=r"function_app\.py, line 1: invalid syntax"):
        load(tmp_path)

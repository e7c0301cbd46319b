"""Loads a function app as the Functions Python worker does, and refuses what the worker or the host would refuse.

The rules are DURABLE.md's section 1. One bad function and the real app has no functions at all, so one is enough here.
"""

import importlib
import inspect
import re
import sys
import traceback
import typing
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import azure.functions as func
import msgspec
from azure.functions._thirdparty import typing_inspect
from azure.functions.meta import get_binding_registry

from devhost.configuration import ConfigurationError, resolve

_SCRIPT = "function_app.py"
_is_generic: Callable[[Any], bool] = typing_inspect.is_generic_type
"""The worker's own notion of a generic type: `typing.List[int]` is one, `list[int]` and unions are none."""
_registry: Callable[[], Any] = get_binding_registry


class LoadError(Exception):
    """The worker would refuse this app; the message names function, parameter and rule."""


class Kind(Enum):
    """What sets a function off."""

    HTTP = "httpTrigger"
    TIMER = "timerTrigger"
    EVENT_HUB = "eventHubTrigger"
    QUEUE = "queueTrigger"
    WARM_UP = "warmupTrigger"
    ORCHESTRATOR = "orchestrationTrigger"
    ACTIVITY = "activityTrigger"
    ENTITY = "entityTrigger"


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often and how soon a trigger runs again after a failure. Seconds; -1 retries is without end."""

    maximum_retries: int
    first_delay: float
    maximum_delay: float

    def delay(self, retry: int) -> float:
        """Seconds before the retry of that number, counted from 1."""
        return float(min(self.first_delay * 2.0 ** min(retry - 1, 60), self.maximum_delay))


class Function(msgspec.Struct, frozen=True):
    """One function of the app."""

    name: str
    kind: Kind
    call: Callable[..., Any]
    is_async: bool
    trigger_parameter: str
    client_parameters: tuple[str, ...]
    wants_context: bool
    bindings: tuple[dict[str, Any], ...]
    retry: RetryPolicy | None
    trigger: Mapping[str, Any]
    """The trigger's own fields, as in function.json: route, methods, schedule, eventHubName..."""
    takes_text: bool
    """The trigger's parameter is annotated str or bytes, so that it gets its data undecoded."""
    inputs: tuple[dict[str, Any], ...] = ()
    """Bindings that give it blobs."""
    outputs: tuple[dict[str, Any], ...] = ()
    """Bindings that take what it gives to queues and blobs."""

    @property
    def durable_name(self) -> str:
        """The name that orchestrations, clients and histories know it by: the trigger's own, else the function's."""
        return str(self.trigger.get(_DURABLE_NAME.get(self.kind, "")) or self.name)


_DURABLE_NAME = {Kind.ORCHESTRATOR: "orchestration", Kind.ACTIVITY: "activity", Kind.ENTITY: "entityName"}
"""The field of a durable trigger that names what it runs, before the function's name (as the extension has it)."""


class App(msgspec.Struct, frozen=True):
    """The functions of an app, and what its author should hear of."""

    functions: tuple[Function, ...]
    warnings: tuple[str, ...]

    def of(self, kind: Kind) -> list[Function]:
        """The functions of one kind."""
        return [function for function in self.functions if function.kind is kind]

    def find(self, kind: Kind, name: str) -> Function | None:
        """A function by its name, without regard to case."""
        wanted = name.lower()
        return next((each for each in self.of(kind) if each.name.lower() == wanted), None)


def load(folder: Path) -> App:
    """Import the folder's function_app.py and check its functions. Raises LoadError."""
    return examine(_functions(_import(folder)))


def examine(found: Sequence[Any]) -> App:
    """Check the functions that an app object's `get_functions()` gave. Raises LoadError."""
    _check_names(found)
    functions, warnings = [], []
    for each in found:
        function = _function(each)
        if function is None:
            kind = each.get_trigger().type
            warnings.append(f"{each.get_function_name()}: this host does not serve triggers of type {kind}")
            continue
        functions.append(function)
        warnings.extend(_warnings(function))
    _check_routes(functions)
    warnings.extend(_shared_groups(functions))
    return App(tuple(functions), tuple(warnings))


def _import(folder: Path) -> Any:
    script = folder / _SCRIPT
    if not script.exists():
        raise LoadError(
            f"{script} does not exist: start the host in the folder of a function app, or name it with --app"
        )
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(script.stem)
    except SyntaxError as error:
        raise LoadError(f"{error.filename}, line {error.lineno}: {error.msg}") from None
    except Exception as error:
        raise LoadError(f"{_SCRIPT} cannot be imported: {_where(error, folder)}{_told(error)}") from error


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _where(error: BaseException, folder: Path) -> str:
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(folder) and "site-packages" not in frame.filename
    ]
    return f"{own[-1].filename}, line {own[-1].lineno}: " if own else ""


def _functions(module: Any) -> list[Any]:
    apps = {id(value): value for value in vars(module).values() if isinstance(value, func.FunctionRegister)}
    if not apps:
        raise LoadError(f"{_SCRIPT} has no function app: assign a df.DFApp or func.FunctionApp to a name in it")
    if len(apps) > 1:
        raise LoadError(f"{_SCRIPT} has {len(apps)} function apps: register the blueprints of all with one of them")
    try:
        return list(next(iter(apps.values())).get_functions())
    except ValueError as error:
        raise LoadError(str(error)) from None


def _check_names(found: Sequence[Any]) -> None:
    for name, times in Counter(each.get_function_name().lower() for each in found).items():
        if times > 1:
            raise LoadError(f"{name}: {times} functions have this name; names must differ in more than case")
    for each in found:
        name = each.get_function_name()
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,127}", name):
            raise LoadError(
                f"{name}: a function's name begins with a letter and has letters, digits, _ and - only, at most 128"
            )


def _function(found: Any) -> Function | None:
    name = found.get_function_name()
    trigger = found.get_trigger()
    if trigger.type not in {kind.value for kind in Kind}:
        return None
    bindings = found.get_bindings()
    call = found.get_user_function()
    wants_context = _check_parameters(name, call, trigger, bindings)
    fields = trigger.get_dict_repr()
    try:
        annotation = typing.get_type_hints(call).get(trigger.name)
    except NameError as error:
        raise LoadError(f"{name}: an annotation cannot be resolved: {error}") from None
    plain = tuple(_plain(binding.get_dict_repr()) for binding in bindings)
    return Function(
        name=name,
        kind=Kind(trigger.type),
        call=call,
        is_async=inspect.iscoroutinefunction(call),
        trigger_parameter=trigger.name,
        client_parameters=tuple(binding.name for binding in bindings if binding.type == "durableClient"),
        wants_context=wants_context,
        bindings=plain,
        retry=_retry(name, found.get_settings_dict("retry_policy")),
        trigger=_resolved(name, _plain(fields)),
        takes_text=annotation in (str, bytes),
        inputs=tuple(each for each in plain if each["type"] == "blob" and each["direction"] == "IN"),
        outputs=tuple(each for each in plain if each["type"] in ("blob", "queue") and each["direction"] == "OUT"),
    )


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with enumerations as their texts, as they stand in function.json."""

    def text(value: Any) -> Any:
        if isinstance(value, Enum):
            return str(value)
        return [text(each) for each in value] if isinstance(value, list | tuple) else value

    return {key: text(value) for key, value in fields.items()}


def _resolved(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    try:
        return {
            key: resolve(value, f"{name}: {key}") if isinstance(value, str) else value for key, value in fields.items()
        }
    except ConfigurationError as error:
        raise LoadError(str(error)) from None


def _check_parameters(name: str, call: Callable[..., Any], trigger: Any, bindings: Sequence[Any]) -> bool:
    """Check a function's parameters against its bindings; whether it wants the invocation's context."""
    bound = {binding.name: binding for binding in bindings if binding.name != "$return"}
    for binding_name in bound:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,127}", binding_name):
            raise LoadError(
                f"{name}: the binding name '{binding_name}' must begin with a letter and have letters and digits only"
                " (hosts refuse underscores in it)"
            )
    parameters = set(inspect.signature(call).parameters)
    try:
        annotations = typing.get_type_hints(call)
    except NameError as error:
        raise LoadError(f"{name}: an annotation cannot be resolved: {error}") from None
    if trigger.type in (Kind.ORCHESTRATOR.value, Kind.ENTITY.value) and trigger.name != "context":
        raise LoadError(f"{name}: the parameter '{trigger.name}' must be called 'context'")
    wants_context = "context" in parameters and "context" not in bound
    if wants_context:
        parameters.discard("context")
        annotation = annotations.get("context")
        if annotation is not None and getattr(annotation, "__name__", "") != "Context":
            raise LoadError(f"{name}: the parameter 'context' must be of type azure.functions.Context")
    for unbound in sorted(parameters - set(bound)):
        raise LoadError(f"{name}: the parameter '{unbound}' is named by no binding; bound are: {', '.join(bound)}")
    for missing in sorted(set(bound) - parameters):
        raise LoadError(f"{name}: the binding '{missing}' has no parameter of that name")
    for parameter, binding in bound.items():
        if parameter in annotations:
            _check_annotation(name, parameter, binding, annotations[parameter])
    if any(binding.name == "$return" for binding in bindings) and "return" in annotations:
        _check_return(name, bindings, annotations["return"])
    return wants_context


def _check_annotation(name: str, parameter: str, binding: Any, annotation: Any) -> None:
    is_out = getattr(typing.get_origin(annotation) or annotation, "__name__", "") == "Out"
    is_out_binding = str(binding.get_dict_repr().get("direction")) == "OUT"
    if is_out != is_out_binding:
        right = "must be annotated azure.functions.Out[...]" if is_out_binding else "cannot be annotated Out"
        raise LoadError(f"{name}: the parameter '{parameter}' {right}")
    value_type = typing.get_args(annotation)[0] if is_out else annotation
    if not isinstance(value_type, type) and not _is_generic(value_type):
        raise LoadError(
            f"{name}: the parameter '{parameter}' has the annotation {_written(value_type)}, which the worker refuses:"
            " write a class or typing.List[...], typing.Dict[...]; no Optional, no | and no list[...] or dict[...]"
        )
    converter = _converter(binding.type)
    if converter is None:
        return
    if not is_out and value_type in (str, bytes) and not converter.has_implicit_output():
        return
    check = converter.check_output_type_annotation if is_out else converter.check_input_type_annotation
    if not _accepts(check, value_type):
        hint = ""
        if binding.type == Kind.EVENT_HUB.value:
            hint = "; write typing.List[azure.functions.EventHubEvent] for a batch"
        raise LoadError(
            f"{name}: the parameter '{parameter}' has the annotation {_written(value_type)}, which does not fit its"
            f" binding {binding.type}{hint}"
        )


def _check_return(name: str, bindings: Sequence[Any], annotation: Any) -> None:
    binding = next(binding for binding in bindings if binding.name == "$return")
    if not isinstance(annotation, type):
        raise LoadError(
            f"{name}: the return annotation {_written(annotation)} is refused by the worker: write a class, such as"
            " azure.functions.HttpResponse"
        )
    converter = _converter(binding.type)
    if converter is not None and not _accepts(converter.check_output_type_annotation, annotation):
        raise LoadError(f"{name}: the return annotation {_written(annotation)} does not fit its binding {binding.type}")


def _accepts(check: Callable[[Any], bool], annotation: Any) -> bool:
    try:
        return check(annotation)
    except TypeError:
        # The converters ask issubclass() of what may be a generic alias.
        return False


def _converter(binding_type: str) -> Any:
    return _registry().get(binding_type)


def _written(annotation: Any) -> str:
    return annotation.__name__ if type(annotation) is type else str(annotation)


def _retry(name: str, fields: Mapping[str, Any] | None) -> RetryPolicy | None:
    if fields is None:
        return None
    strategy = str(fields.get("strategy", "")).lower()
    try:
        retries = int(fields["max_retry_count"])
        if strategy == "fixed_delay":
            delay = _seconds(fields["delay_interval"])
            return RetryPolicy(retries, delay, delay)
        if strategy == "exponential_backoff":
            return RetryPolicy(retries, _seconds(fields["minimum_interval"]), _seconds(fields["maximum_interval"]))
    except (KeyError, ValueError) as error:
        raise LoadError(f"{name}: the retry policy is wrong: {_told(error)}") from None
    raise LoadError(f"{name}: the retry policy's strategy is '{strategy}', not fixed_delay or exponential_backoff")


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})(\.\d+)?", text)
    if match is None:
        raise ValueError(f"'{text}' is not an interval hh:mm:ss")
    days, hours, minutes, seconds, fraction = match.groups()
    return int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(fraction or 0)


def _check_routes(functions: Sequence[Function]) -> None:
    taken: dict[tuple[str, str], str] = {}
    for function in functions:
        if function.kind is not Kind.HTTP:
            continue
        route = str(function.trigger.get("route", function.name)).strip("/")
        first = route.split("/")[0].lower()
        if first in ("admin", "runtime"):
            raise LoadError(f"{function.name}: the route '{route}' begins with '{first}', which belongs to the host")
        for method in http_methods(function):
            key = (re.sub(r"\{[^}]*\}", "{}", route.lower()), method)
            other = taken.setdefault(key, function.name)
            if other != function.name:
                raise LoadError(f"{function.name}: {other} has the same route '{route}' and method {method}")


def http_methods(function: Function) -> tuple[str, ...]:
    """The methods of an HTTP trigger in capitals; `*` alone if it names none."""
    methods = function.trigger.get("methods") or ["*"]
    return tuple(str(method).rpartition(".")[2].upper() for method in methods)


def _shared_groups(functions: Sequence[Function]) -> list[str]:
    """Event Hub functions that would have to share the partitions of their hub."""
    found: dict[tuple[str, str], list[str]] = {}
    for function in functions:
        if function.kind is Kind.EVENT_HUB:
            group = str(function.trigger.get("consumerGroup") or "$Default")
            found.setdefault((str(function.trigger["eventHubName"]), group), []).append(function.name)
    return [
        f"{', '.join(names)}: all listen to the hub '{hub}' in the consumer group '{group}'; in Azure each event goes"
        " to one of them, here it goes to each: give them groups of their own"
        for (hub, group), names in found.items()
        if len(names) > 1
    ]


def _warnings(function: Function) -> list[str]:
    found = []
    if function.kind is Kind.ORCHESTRATOR:
        own = getattr(function.call, "orchestrator_function", function.call)
        if inspect.iscoroutinefunction(own) or inspect.isasyncgenfunction(own):
            found.append(f"{function.name}: an orchestrator must not be async; it will end at once, doing nothing")
    for own in (getattr(function.call, "client_function", None),):
        if own is not None and not inspect.iscoroutinefunction(own):
            found.append(f"{function.name}: with a durable client the function must be async; it will fail at its end")
    return found

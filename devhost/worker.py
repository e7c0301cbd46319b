"""Runs the app's functions, as the Functions Python worker does.

Asynchronous functions share one event loop, in a thread of its own, so that a blocking call there stalls its like but
not the host. Synchronous functions run on a pool of threads; orchestrators and entities, which only compute, on a
small pool of their own. All threads are daemons: a function that does not end cannot keep the host from ending.
"""

import asyncio
import concurrent.futures
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol
from uuid import uuid4

import azure.functions as func
import msgspec
from azure.durable_functions.models.utils import http_utils
from azure.functions import Context
from azure.functions.durable_functions import ActivityTriggerConverter
from azure.functions.meta import Datum

from devhost import advice, logs
from devhost.advice import Advice
from devhost.app import Function
from devhost.matching import Answer, read_answer, read_failure

_COMPUTING_THREADS = 2


class FunctionFailedError(Exception):
    """A function raised; its own exception is the `__cause__`."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        trace = cause.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        self.__cause__ = cause.with_traceback(trace)


class _TraceContext(msgspec.Struct, frozen=True):
    trace_parent: str = ""
    trace_state: str = ""
    attributes: dict[str, str] = {}


class _RetryContext(msgspec.Struct, frozen=True):
    retry_count: int
    max_retry_count: int
    exception: None = None


class InvocationContext(Context):
    """What a function gets that asks for its invocation's `context`."""

    def __init__(self, function: Function, retry: int) -> None:
        self._function_name = function.name
        self._invocation_id = str(uuid4())
        self._storage = threading.local
        maximum = function.retry.maximum_retries if function.retry else 0
        self._retry = _RetryContext(retry, maximum)

    @property
    def invocation_id(self) -> str:
        """An id of this call."""
        return self._invocation_id

    @property
    def thread_local_storage(self) -> type[threading.local]:
        """Storage of the function's own threads."""
        return self._storage

    @property
    def function_name(self) -> str:
        """The function's name."""
        return self._function_name

    @property
    def function_directory(self) -> str:
        """The app's folder."""
        return "."

    @property
    def trace_context(self) -> Any:
        """No trace: this host keeps none."""
        return _TraceContext()

    @property
    def retry_context(self) -> Any:
        """Which retry this is."""
        return self._retry


class Episode(msgspec.Struct, frozen=True):
    """What came of running an orchestrator once."""

    answer: Answer
    error: BaseException | None
    advice: Sequence[Advice] = ()


class Bindings(Protocol):
    """What gives functions their inputs and takes their outputs, beside the trigger's."""

    async def inputs(self, bindings: Sequence[Mapping[str, Any]], known: Mapping[str, str]) -> dict[str, Any]:
        """The arguments for input bindings."""

    async def write(
        self, bindings: Sequence[Mapping[str, Any]], values: Mapping[str, Any], known: Mapping[str, str]
    ) -> None:
        """Write what was set for output bindings."""


class Out(func.Out[Any]):
    """What a function sets for one of its outputs."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        """Give a value; the last one counts."""
        self._value = val

    def get(self) -> Any:
        """The value; None if none was set."""
        return self._value


class Worker:
    """Threads and an event loop for the functions, until `stop`.

    `threads` is the size of the pool for synchronous functions; `client_binding` is the JSON text that a durable client
    is made of; `bindings` serves queue and blob bindings.
    """

    def __init__(self, threads: int, client_binding: str, bindings: Bindings | None = None) -> None:
        self._bindings = bindings
        self._host_loop = asyncio.get_running_loop()
        self._client_binding = client_binding
        self._functions = _Pool(threads, "function")
        self._computing = _Pool(_COMPUTING_THREADS, "orchestrator")
        self._loop = asyncio.new_event_loop()
        advice.install()
        self._thread = threading.Thread(target=self._loop.run_forever, name="worker-loop", daemon=True)
        self._thread.start()

    async def call(
        self, function: Function, argument: Any, retry: int = 0, known: Mapping[str, str] | None = None
    ) -> Any:
        """Call a function with what its trigger gives, and write its outputs.

        Raises FunctionFailedError if it raises, or if an input or output fails. `known` is what the names in its
        bindings may refer to.
        """
        if not (function.inputs or function.outputs):
            return await self._called(function, {function.trigger_parameter: argument}, retry)
        if self._bindings is None:
            raise FunctionFailedError(RuntimeError(f"{function.name}: queue and blob bindings are not served here"))
        outs = {each["name"]: Out() for each in function.outputs if each["name"] != "$return"}
        try:
            found = await self._bindings.inputs(function.inputs, known or {})
            result = await self._called(function, {function.trigger_parameter: argument, **found, **outs}, retry)
            values = {"$return": result, **{name: out.get() for name, out in outs.items()}}
            await self._bindings.write(function.outputs, values, known or {})
        except FunctionFailedError:
            raise
        except Exception as error:
            raise FunctionFailedError(error) from error
        return result

    async def _called(self, function: Function, arguments: dict[str, Any], retry: int) -> Any:
        for name in function.client_parameters:
            arguments[name] = self._client_binding
        if function.wants_context:
            arguments["context"] = InvocationContext(function, retry)
        with logs.execution(function):
            if function.is_async:
                return await self._on_loop(function.call(**arguments))
            return await self._outcome(self._functions.submit(lambda: function.call(**arguments)))

    async def activity(self, function: Function, input_text: str | None) -> str:
        """Run an activity on its input's JSON text; its result's JSON text. Raises FunctionFailedError."""
        try:
            argument = ActivityTriggerConverter.decode(Datum(input_text or "null", "string"), trigger_metadata=None)
        except ValueError as error:
            raise FunctionFailedError(error) from error
        result = await self.call(function, argument)
        try:
            return str(ActivityTriggerConverter.encode(result, expected_type=None).value)
        except ValueError as error:
            raise FunctionFailedError(error) from error

    async def orchestrator(self, function: Function, payload: str) -> Episode:
        """Run an orchestrator on a history, once."""
        notes = advice.Notes()

        def run() -> Any:
            with advice.watching(notes):
                return function.call(payload)

        try:
            with logs.execution(function):
                answer = read_answer(str(await self._outcome(self._computing.submit(run))))
        except FunctionFailedError as failure:
            cause = failure.__cause__
            error = cause.__cause__ if cause and cause.__cause__ else cause
            return Episode(read_failure(str(cause)), error, notes.found(is_done=False))
        return Episode(answer, None, [*notes.found(is_done=answer.is_done), *advice.of_answer(answer)])

    async def entity(self, function: Function, payload: str) -> str:
        """Run a batch of operations; the answer's JSON text. Raises FunctionFailedError."""
        with logs.execution(function):
            return str(await self._outcome(self._computing.submit(lambda: function.call(payload))))

    async def stop(self, seconds: float) -> None:
        """Cancel asynchronous functions and give them that long to end."""
        cleanup = asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.wrap_future(cleanup)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._functions.stop()
        self._computing.stop()

    async def _on_loop(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return await self._outcome(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    async def _outcome(self, future: "concurrent.futures.Future[Any]") -> Any:
        """What the future brings; what a function raises comes as FunctionFailedError, our cancellation as itself."""
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError as error:
            ours = asyncio.current_task()
            if ours is not None and ours.cancelling():
                raise
            raise FunctionFailedError(error) from error
        except Exception as error:
            raise FunctionFailedError(error) from error


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    # The SDK keeps one HTTP session for the process, which belongs to this loop and would be of no use to another.
    await http_utils._close_session()


class _Pool:
    """Daemon threads, made as they are needed up to a size; `concurrent.futures` waits for its own at exit."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._threads = 0
        self._free = 0
        self._lock = threading.Lock()
        self._calls: queue.SimpleQueue[tuple[concurrent.futures.Future[Any], Callable[[], Any]] | None]
        self._calls = queue.SimpleQueue()

    def submit(self, call: Callable[[], Any]) -> "concurrent.futures.Future[Any]":
        """Call it on one of the threads."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        with self._lock:
            if self._free > 0:
                self._free -= 1
            elif self._threads < self._size:
                self._threads += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()
        self._calls.put((future, call))
        return future

    def stop(self) -> None:
        """End each thread once it has nothing to do; call nothing any more."""
        with self._lock:
            for _ in range(self._threads):
                self._calls.put(None)

    def _work(self) -> None:
        while (work := self._calls.get()) is not None:
            future, call = work
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
                    del result
            del work, future, call
            with self._lock:
                self._free += 1


def binding_of(base_url: str, hub_name: str, code: str = "devhost") -> str:
    """The JSON text of a durable client binding whose host listens at `base_url`; `code` is the extension's key."""
    hooks = f"{base_url}/runtime/webhooks/durabletask"
    required = f"taskHub={hub_name}&connection=Storage&code={code}"

    def instance(action: str = "", query: str = "") -> str:
        return f"{hooks}/instances/INSTANCEID{action}?{query}{required}"

    urls: Mapping[str, str] = {
        "id": "INSTANCEID",
        "statusQueryGetUri": instance(),
        "sendEventPostUri": instance("/raiseEvent/{eventName}"),
        "terminatePostUri": instance("/terminate", "reason={text}&"),
        "rewindPostUri": instance("/rewind", "reason={text}&"),
        "purgeHistoryDeleteUri": instance(),
        "restartPostUri": instance("/restart"),
        "suspendPostUri": instance("/suspend", "reason={text}&"),
        "resumePostUri": instance("/resume", "reason={text}&"),
    }
    create = f"{hooks}/orchestrators/{{functionName}}[/{{instanceId}}]?code={code}"
    binding = {
        "taskHubName": hub_name,
        "connectionName": "Storage",
        "creationUrls": {
            "createNewInstancePostUri": create,
            "createAndWaitOnNewInstancePostUri": f"{create}&timeout={{timeoutInSeconds}}",
        },
        "managementUrls": urls,
        "baseUrl": hooks,
        "requiredQueryStringParameters": f"code={code}",
        "rpcBaseUrl": f"{base_url}/durabletask/",
    }
    return msgspec.json.encode(binding).decode()


def links_for(templates: Mapping[str, str], instance_id: str) -> dict[str, str]:
    """An instance's management URLs, from those of a client binding."""
    return {name: text.replace("INSTANCEID", instance_id) for name, text in templates.items()}

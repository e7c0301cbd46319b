"""Queue triggers, as the WebJobs SDK serves them: polled with a back-off, a message hidden while it is handled, tried
again, and put into `<queue>-poison` after too many tries.

Every host polls: the queue itself hands a message to one of them. The real host hides a message for ten minutes at a
time; here it is five seconds, renewed, so that the message of a killed host comes back soon.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.functions.meta import Datum
from azure.functions.queue import QueueMessageInConverter
from azure.storage.queue import QueueMessage

from devhost.app import App, Function, Kind
from devhost.bindings import Storage
from devhost.clock import utc_now
from devhost.configuration import QueueOptions
from devhost.scheduler import Scheduler
from devhost.worker import FunctionFailedError, Worker

_LOG = logging.getLogger("devhost")
_HIDDEN_SECONDS = 5
_SHORTEST_PAUSE = 0.1
_LIFE = timedelta(days=7)


class QueueTriggers:
    """Runs the app's queue triggers. Raises ConfigurationError for a connection that is not set."""

    def __init__(
        self,
        app: App,
        storage: Storage,
        scheduler: Scheduler,
        worker: Worker,
        options: QueueOptions,
        background: Sequence[str],
    ) -> None:
        self._storage = storage
        self._scheduler = scheduler
        self._worker = worker
        self._options = options
        self._background = {name.lower() for name in background}
        self._functions = app.of(Kind.QUEUE)
        self._tasks: set[asyncio.Task[None]] = set()
        for function in self._functions:
            storage.queues(str(function.trigger["connection"]))

    def start(self) -> None:
        """Begin to poll."""
        for function in self._functions:
            self._spawn(self._poll(function))

    async def stop(self) -> None:
        """Take nothing more; what is being handled comes back when it is no longer hidden."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def run_now(self, function: Function, content: str) -> None:
        """Run a trigger once, on a message that is in no queue."""
        now = utc_now()
        message = QueueMessage(content=content)
        message.id, message.pop_receipt, message.dequeue_count = str(uuid4()), "", 1
        message.inserted_on = message.next_visible_on = now
        message.expires_on = now + _LIFE
        try:
            await self._worker.call(
                function, _decoded(content.encode(), message), known=_known(content.encode(), message)
            )
        except FunctionFailedError as failure:
            _LOG.error("queue trigger %s raised", function.name, exc_info=failure.__cause__)

    async def _poll(self, function: Function) -> None:
        queue = self._storage.queues(str(function.trigger["connection"])).get_queue_client(
            function.trigger["queueName"]
        )
        handled: set[asyncio.Task[None]] = set()
        pause = _SHORTEST_PAUSE
        is_told = False
        while True:
            if len(handled) > self._options.new_batch_threshold:
                await asyncio.wait(handled, return_when=asyncio.FIRST_COMPLETED)
                continue
            found = []
            try:
                size = self._options.batch_size
                pages = queue.receive_messages(
                    messages_per_page=size, max_messages=size, visibility_timeout=_HIDDEN_SECONDS
                )
                found = [message async for message in pages]
                is_told = False
            except ResourceNotFoundError:
                pass  # a queue that is not there yet is empty
            except AzureError as error:
                if not is_told:
                    told = str(error).splitlines()[0]
                    _LOG.warning("queue trigger %s: its storage does not answer, tried again: %s", function.name, told)
                is_told = True
            for message in found:
                task = self._spawn(self._handle(function, queue, message))
                handled.add(task)
                task.add_done_callback(handled.discard)
            pause = _SHORTEST_PAUSE if found else min(pause * 2, self._options.max_polling_interval)
            if not found:
                await asyncio.sleep(pause)

    async def _handle(self, function: Function, queue: Any, message: Any) -> None:
        if function.name.lower() in self._background:
            await self._attempt(function, queue, message)
            return
        with self._scheduler.counted(f"queue trigger {function.name}"):
            await self._attempt(function, queue, message)

    async def _attempt(self, function: Function, queue: Any, message: Any) -> None:
        renewing = self._spawn(_renew(queue, message))
        try:
            content = self._storage.decoded(message.content)
            await self._worker.call(function, _decoded(content, message), known=_known(content, message))
        except (FunctionFailedError, ValueError) as failure:
            _LOG.error("queue trigger %s raised", function.name, exc_info=failure.__cause__ or failure)
            await _stopped(renewing)
            await self._failed(function, queue, message)
        else:
            await _stopped(renewing)
            await queue.delete_message(message.id, message.pop_receipt)

    async def _failed(self, function: Function, queue: Any, message: Any) -> None:
        if message.dequeue_count < self._options.max_dequeue_count:
            timeout = int(self._options.visibility_timeout)
            await queue.update_message(message.id, message.pop_receipt, visibility_timeout=timeout)
            return
        poison = f"{queue.queue_name}-poison"
        _LOG.error(
            "%s: the message %s has failed %d times: to %s", function.name, message.id, message.dequeue_count, poison
        )
        client = self._storage.queues(str(function.trigger["connection"])).get_queue_client(poison)
        with contextlib.suppress(AzureError):
            await client.create_queue()
        await client.send_message(message.content)
        await queue.delete_message(message.id, message.pop_receipt)

    def _spawn(self, coroutine: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _renew(queue: Any, message: Any) -> None:
    """Keep a message hidden while it is handled."""
    while True:
        await asyncio.sleep(_HIDDEN_SECONDS / 3)
        renewed = await queue.update_message(message.id, message.pop_receipt, visibility_timeout=_HIDDEN_SECONDS)
        message.pop_receipt = renewed.pop_receipt


async def _stopped(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, AzureError):
        await task


def _decoded(content: bytes, message: Any) -> Any:
    """What the function gets, made as the worker makes it."""
    metadata = {
        "Id": Datum(message.id, "string"),
        "DequeueCount": Datum(message.dequeue_count, "int"),
        "ExpirationTime": Datum(message.expires_on.isoformat(), "string"),
        "InsertionTime": Datum(message.inserted_on.isoformat(), "string"),
        "NextVisibleTime": Datum(message.next_visible_on.isoformat(), "string"),
        "PopReceipt": Datum(message.pop_receipt, "string"),
    }
    return QueueMessageInConverter.decode(Datum(content.decode(), "string"), trigger_metadata=metadata)


def _known(content: bytes, message: Any) -> dict[str, str]:
    """What bindings may use of a message: its text, and its fields if it is a JSON object."""
    known = {"queueTrigger": content.decode(), "Id": message.id, "DequeueCount": str(message.dequeue_count)}
    try:
        fields = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return known
    if isinstance(fields, dict):
        known |= {str(name): str(value) for name, value in fields.items() if isinstance(value, str | int | float)}
    return known

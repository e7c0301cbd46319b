"""Queue and blob bindings: what a function gets and gives beside its trigger, from and to Azure Storage (Azurite).

Paths and names may have `{rand-guid}`, `{DateTime}`, `{name}` for what the trigger knows (route parameters, query, the
fields of a queue message that is a JSON object, `{queueTrigger}` for its whole text) and `%SETTING%`.
"""

import base64
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

import msgspec
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.functions.blob import BlobConverter
from azure.functions.meta import Datum
from azure.functions.queue import QueueMessageOutConverter
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from devhost.clock import utc_now
from devhost.configuration import ConfigurationError, resolve

_AZURITE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
)
"""What `UseDevelopmentStorage=true` stands for; Microsoft publishes this key, it is no secret."""
_PATIENCE: dict[str, Any] = {"retry_total": 0, "connection_timeout": 5, "read_timeout": 20}


class BindingError(Exception):
    """A binding cannot be served; the message names it and says why."""


def connection_string(setting: str) -> str:
    """The storage account that a connection's setting names. Raises ConfigurationError."""
    value = os.environ.get(setting) or os.environ.get(f"AzureWebJobs{setting}")
    if value is None:
        raise ConfigurationError(f"the connection '{setting}' names a setting that does not exist")
    return _AZURITE if value.strip().rstrip(";").lower() == "usedevelopmentstorage=true" else value


def expanded(pattern: str, known: Mapping[str, str]) -> str:
    """A name or path with its parts in braces and its settings put in. Raises BindingError."""

    def part(match: re.Match[str]) -> str:
        name, _, form = match[1].partition(":")
        if name.lower() == "rand-guid":
            return uuid4().hex if form == "N" else str(uuid4())
        if name.lower() == "datetime":
            return utc_now().strftime("%Y-%m-%dT%H-%M-%SZ")
        if name not in known:
            told = ", ".join(sorted(known)) or "nothing"
            raise BindingError(f"'{pattern}' wants {{{name}}}, which the trigger does not know; it knows {told}")
        return known[name]

    try:
        return re.sub(r"\{([^}]+)\}", part, resolve(pattern, f"the binding to '{pattern}'"))
    except ConfigurationError as error:
        raise BindingError(str(error)) from None


class Storage:
    """The storage accounts that bindings name; `is_base64` is host.json's `extensions.queues.messageEncoding`."""

    def __init__(self, *, is_base64: bool = True) -> None:
        self._is_base64 = is_base64
        self._queues: dict[str, QueueServiceClient] = {}
        self._blobs: dict[str, BlobServiceClient] = {}

    async def close(self) -> None:
        """Let go of the connections."""
        for queues in self._queues.values():
            await queues.close()
        for blobs in self._blobs.values():
            await blobs.close()

    def queues(self, setting: str) -> QueueServiceClient:
        """The queues of the account that a setting names. Raises ConfigurationError."""
        if setting not in self._queues:
            self._queues[setting] = QueueServiceClient.from_connection_string(connection_string(setting), **_PATIENCE)
        return self._queues[setting]

    def encoded(self, content: bytes) -> str:
        """A message's text as it stands in the queue."""
        return base64.b64encode(content).decode() if self._is_base64 else content.decode()

    def decoded(self, text: str) -> bytes:
        """The content behind a message's text. Raises ValueError."""
        return base64.b64decode(text, validate=True) if self._is_base64 else text.encode()

    async def inputs(self, bindings: Sequence[Mapping[str, Any]], known: Mapping[str, str]) -> dict[str, Any]:
        """The arguments for a function's blob inputs; None for a blob that is not there."""
        found = {}
        for binding in bindings:
            data = await self._blob(binding, known)
            found[binding["name"]] = (
                None if data is None else BlobConverter.decode(Datum(data, "bytes"), trigger_metadata=None)
            )
        return found

    async def write(
        self, bindings: Sequence[Mapping[str, Any]], values: Mapping[str, Any], known: Mapping[str, str]
    ) -> None:
        """Write a function's outputs: those that were set. Raises BindingError, and what Azure Storage raises."""
        for binding in bindings:
            value = values.get(binding["name"])
            if value is None:
                continue
            if binding["type"] == "queue":
                await self._send(binding, value, known)
            else:
                await self._put(binding, value, known)

    async def send(self, setting: str, name: str, contents: Iterable[bytes]) -> None:
        """Put messages into a queue, which is made if it is not there."""
        queue = self.queues(setting).get_queue_client(name)
        for content in contents:
            try:
                await queue.send_message(self.encoded(content))
            except ResourceNotFoundError:
                await _made(queue.create_queue())
                await queue.send_message(self.encoded(content))

    async def _send(self, binding: Mapping[str, Any], value: Any, known: Mapping[str, str]) -> None:
        datum = _encoded(QueueMessageOutConverter, binding, value)
        if datum.type == "json" and isinstance(value, Iterable):
            found = [_content(each) for each in msgspec.json.decode(datum.value)]
        elif datum.type == "json":
            found = [_content(msgspec.json.decode(datum.value))]
        else:
            found = [datum.value.encode() if isinstance(datum.value, str) else datum.value]
        await self.send(binding["connection"], expanded(binding["queueName"], known), found)

    async def _put(self, binding: Mapping[str, Any], value: Any, known: Mapping[str, str]) -> None:
        datum = _encoded(BlobConverter, binding, value)
        container, name = self._container(binding, known)
        blob = container.get_blob_client(name)
        try:
            await blob.upload_blob(datum.value, overwrite=True)
        except ResourceNotFoundError:
            await _made(container.create_container())
            await blob.upload_blob(datum.value, overwrite=True)

    async def _blob(self, binding: Mapping[str, Any], known: Mapping[str, str]) -> bytes | None:
        container, name = self._container(binding, known)
        try:
            stream = await container.get_blob_client(name).download_blob()
            return bytes(await stream.readall())
        except ResourceNotFoundError:
            return None

    def _container(self, binding: Mapping[str, Any], known: Mapping[str, str]) -> tuple[Any, str]:
        path = expanded(binding["path"], known)
        container, slash, name = path.partition("/")
        if not (container and slash and name):
            raise BindingError(f"the path '{path}' of the binding '{binding['name']}' must be container/name")
        setting = binding["connection"]
        if setting not in self._blobs:
            self._blobs[setting] = BlobServiceClient.from_connection_string(connection_string(setting), **_PATIENCE)
        return self._blobs[setting].get_container_client(container), name


def _encoded(converter: Any, binding: Mapping[str, Any], value: Any) -> Datum:
    try:
        datum: Datum = converter.encode(value, expected_type=None)
    except NotImplementedError as error:  # the SDK's converter raises it for a type that it cannot write
        raise BindingError(
            f"the output '{binding['name']}' cannot be a {type(value).__name__}: give a str, bytes or what it takes"
        ) from error
    return datum


def _content(message: Any) -> bytes:
    return str(message["body"] if isinstance(message, dict) else message).encode()


async def _made(creation: Any) -> None:
    try:
        await creation
    except ResourceExistsError:
        return

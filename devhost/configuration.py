"""host.json and local.settings.json, as far as this host honours them."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

_LOG_LEVELS = ("trace", "debug", "information", "warning", "error", "critical", "none")


class ConfigurationError(Exception):
    """A file or a setting is missing or wrong; the message says which and what would be right."""


class QueueOptions(msgspec.Struct, frozen=True):
    """`extensions.queues` of host.json. Times are seconds."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: float = 0.0
    """How long a message that failed stays hidden."""
    max_polling_interval: float = 60.0
    is_base64: bool = True


class HostOptions(msgspec.Struct, frozen=True):
    """What host.json says of what this host has. Concurrency limits are per host."""

    route_prefix: str = "api"
    maximum_event_batch_size: int = 100
    hub_name: str = "DevHub"
    maximum_concurrent_activities: int = 10
    maximum_concurrent_orchestrators: int = 10
    default_version: str | None = None
    function_log_level: str = "Information"
    maximum_concurrent_entities: int = 10
    partition_count: int = 4
    control_queue_visibility_timeout: float = 300.0
    """Seconds, as all times here."""
    work_item_queue_visibility_timeout: float = 300.0
    queues: QueueOptions = QueueOptions()
    lease_interval: float = 30.0
    """How long a host that hangs keeps its partitions. DTFx's default; a real host has no setting for it."""


def read_host_options(folder: Path) -> HostOptions:
    """The options in the app's host.json. Raises ConfigurationError."""
    document = _read_json(folder / "host.json")
    if document.get("version") != "2.0":
        raise ConfigurationError(
            f'{folder / "host.json"}: "version" is {json.dumps(document.get("version"))}, it must be "2.0"'
        )
    reader = _Reader(folder / "host.json", document)
    defaults = HostOptions()
    durable = "extensions.durableTask"
    storage = f"{durable}.storageProvider"
    return HostOptions(
        route_prefix=reader.text("extensions.http.routePrefix", defaults.route_prefix).strip("/"),
        maximum_event_batch_size=reader.count(
            "extensions.eventHubs.maxEventBatchSize", defaults.maximum_event_batch_size
        ),
        hub_name=reader.text(f"{durable}.hubName", defaults.hub_name),
        maximum_concurrent_activities=reader.count(
            f"{durable}.maxConcurrentActivityFunctions", defaults.maximum_concurrent_activities
        ),
        maximum_concurrent_orchestrators=reader.count(
            f"{durable}.maxConcurrentOrchestratorFunctions", defaults.maximum_concurrent_orchestrators
        ),
        default_version=reader.text(f"{durable}.defaultVersion", "") or None,
        function_log_level=_log_level(reader),
        maximum_concurrent_entities=reader.count(
            f"{durable}.maxConcurrentEntityFunctions", defaults.maximum_concurrent_entities
        ),
        partition_count=reader.count(f"{storage}.partitionCount", defaults.partition_count, 16),
        control_queue_visibility_timeout=reader.interval(
            f"{storage}.controlQueueVisibilityTimeout", defaults.control_queue_visibility_timeout
        ),
        work_item_queue_visibility_timeout=reader.interval(
            f"{storage}.workItemQueueVisibilityTimeout", defaults.work_item_queue_visibility_timeout
        ),
        lease_interval=reader.interval(f"{storage}.leaseInterval", defaults.lease_interval),
        queues=_queue_options(reader),
    )


def _queue_options(reader: "_Reader") -> QueueOptions:
    key, defaults = "extensions.queues", QueueOptions()
    batch_size = reader.count(f"{key}.batchSize", defaults.batch_size, 32)
    encoding = reader.text(f"{key}.messageEncoding", "base64").lower()
    if encoding not in ("base64", "none"):
        raise ConfigurationError(f"{key}.messageEncoding is '{encoding}', it must be base64 or none")
    return QueueOptions(
        batch_size=batch_size,
        new_batch_threshold=reader.count(f"{key}.newBatchThreshold", max(batch_size // 2, 1)),
        max_dequeue_count=reader.count(f"{key}.maxDequeueCount", defaults.max_dequeue_count),
        visibility_timeout=reader.interval(f"{key}.visibilityTimeout", defaults.visibility_timeout, may_be_zero=True),
        max_polling_interval=reader.interval(f"{key}.maxPollingInterval", defaults.max_polling_interval),
        is_base64=encoding == "base64",
    )


def _log_level(reader: "_Reader") -> str:
    """`logging.logLevel.Function`, or what the setting that Azure has for it says, or `default`."""
    key = "logging.logLevel.Function"
    setting = "AzureFunctionsJobHost__" + key.replace(".", "__")
    level = os.environ.get(setting) or reader.text(key, "") or reader.text("logging.logLevel.default", "Information")
    if level.lower() not in _LOG_LEVELS:
        raise ConfigurationError(f"{key} is '{level}', it must be one of {', '.join(_LOG_LEVELS)}")
    return level


def read_local_settings(folder: Path) -> dict[str, str]:
    """The values in local.settings.json, which need not exist. Raises ConfigurationError."""
    path = folder / "local.settings.json"
    if not path.exists():
        return {}
    document = _read_json(path)
    if document.get("IsEncrypted"):
        raise ConfigurationError(f'{path}: it is encrypted; decrypt it with "func settings decrypt"')
    values = document.get("Values", {})
    if not isinstance(values, dict):
        raise ConfigurationError(f'{path}: "Values" must be an object of names and texts')
    for name, value in values.items():
        if not isinstance(value, str):
            raise ConfigurationError(f'{path}: the value of "{name}" must be a text in quotes')
    return values


def apply_settings(local: Mapping[str, str], given: Mapping[str, str]) -> None:
    """Put the settings into the process's environment: the environment wins over local.settings.json, `given` over
    both."""
    for name, value in local.items():
        os.environ.setdefault(name, value)
    os.environ.update(given)


def resolve(text: str, what: str) -> str:
    """`text` with each `%NAME%` replaced by that setting. Raises ConfigurationError naming `what` wanted it."""

    def setting(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if value is None:
            raise ConfigurationError(f"{what}: %{match[1]}% names a setting that does not exist")
        return value

    return re.sub(r"%([^%]+)%", setting, text)


class _Reader:
    """Values of a JSON document by dotted path; keys without regard to case, as the host reads them."""

    def __init__(self, path: Path, document: dict[str, Any]) -> None:
        self._path = path
        self._document = document

    def text(self, key: str, default: str) -> str:
        value = self._find(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise ConfigurationError(f"{self._path}: {key} is {json.dumps(value)}, it must be a text")
        return resolve(value, f"{self._path}: {key}")

    def count(self, key: str, default: int, maximum: int | None = None) -> int:
        value = self._find(key)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigurationError(f"{self._path}: {key} is {json.dumps(value)}, it must be a whole number above 0")
        if maximum is not None and value > maximum:
            raise ConfigurationError(f"{self._path}: {key} is {value}, it must be {maximum} at most")
        return value

    def interval(self, key: str, default: float, *, may_be_zero: bool = False) -> float:
        """Seconds of a .NET TimeSpan such as `00:05:00`."""
        value = self._find(key)
        if value is None:
            return default
        match = re.fullmatch(r"(\d+):([0-5]?\d):([0-5]?\d(?:\.\d+)?)", value) if isinstance(value, str) else None
        seconds = int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else -1.0
        if seconds < 0 or (seconds == 0 and not may_be_zero):
            raise ConfigurationError(
                f"{self._path}: {key} is {json.dumps(value)}, it must be a time above 0 such as 00:05:00"
            )
        return seconds

    def _find(self, key: str) -> Any:
        node: Any = self._document
        for part in key.split("."):
            if not isinstance(node, dict):
                raise ConfigurationError(f"{self._path}: what {key} is in must be an object")
            node = next((value for name, value in node.items() if name.lower() == part.lower()), None)
            if node is None:
                return None
        return node


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path} does not exist: start the host in the folder of a function app") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"{path} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text") from None
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path}: the document must be a JSON object")
    return document

"""For each of the documentation's apps, what its users do with it: the same in every run, whatever dies meanwhile.

A user waits for what he has to know, as people do: an event is raised only once somebody waits for it, so that its
place in the history is not chance.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.apps.service import Service
from tests.crashes import outcome
from tests.crashes.client import Client
from tests.crashes.outcome import Lines

Shape = Callable[[Lines], Lines]


@dataclass(frozen=True)
class Scene:
    """Where a load runs: the host's client, the world outside, a folder of its own."""

    client: Client
    service: Service
    folder: Path
    size: int
    """How many times the least of work there is to do."""


@dataclass(frozen=True)
class Load:
    """An app, what is done with it, and how its runs are compared."""

    app: str
    run: Callable[[Scene], None]
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings; `{service}` and `{folder}` stand for the scene's."""
    shape: Shape = outcome.in_order
    """How histories are compared."""
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    """The same for instances whose id begins so."""
    entities: tuple[tuple[str, str], ...] = ()
    """The entities whose states count."""
    effects: str = ""
    """A folder under the scene's whose files count, beside what was posted to the service."""
    masks: tuple[tuple[re.Pattern[str], str], ...] = ()
    """What else differs between two runs."""
    is_for_two: bool = False
    """Users only start instances, which is safe to repeat: two hosts on one file may share the work."""
    prepare: Callable[[Scene], None] = lambda _: None
    """Set the world outside up."""

    def shape_of(self, instance: str) -> Shape:
        """How an instance's history is compared."""
        return next((shape for start, shape in self.shapes.items() if instance.startswith(start)), self.shape)


def _event_count(scene: Scene, instance: str, kind: str) -> int:
    return sum(event["EventType"] == kind for event in scene.client.history(instance))


def _has(scene: Scene, instance: str, kind: str, times: int = 1) -> None:
    scene.client.wait(lambda: _event_count(scene, instance, kind) >= times, f"{instance} to have {times} {kind}")


def _chaining(scene: Scene) -> None:
    client = scene.client
    numbers = range(-3, 9 * scene.size)
    for number in numbers:
        client.start("E1_HelloSequence", f"hello{number}")
        client.start("Chaining", f"chain{number}", number)
    client.wait_until_over(*(f"{kind}{number}" for number in numbers for kind in ("hello", "chain")))


def _site(scene: Scene) -> None:
    site = scene.folder / "site"
    site.mkdir()
    for number in range(12):
        (site / f"page{number}").write_text("x" * number)


def _fan_out(scene: Scene) -> None:
    instances = [f"backup{number}" for number in range(4 * scene.size)]
    for instance in instances:
        scene.client.start("E2_BackupSiteContent", instance, str(scene.folder / "site"))
    scene.client.wait_until_over(*instances)


def _weather(scene: Scene) -> None:
    scene.service.answers["/weather?location=Rome"] = {"conditions": "clear"}
    scene.service.answers["/weather?location=Oslo"] = {"conditions": "rain"}


def _monitor(scene: Scene) -> None:
    client = scene.client
    for number in range(4 * scene.size):
        client.start("E3_Monitor", f"rome{number}", {"location": "Rome", "phone": f"+39{number}"})
        client.start("E3_Monitor", f"oslo{number}", {"location": "Oslo", "phone": f"+47{number}"})
    for number in range(4 * scene.size):
        _has(scene, f"oslo{number}", "TimerFired", 2)
    scene.service.answers["/weather?location=Oslo"] = {"conditions": "clear"}
    client.wait_until_over(*(f"{city}{number}" for number in range(4 * scene.size) for city in ("rome", "oslo")))


def _human(scene: Scene) -> None:
    client = scene.client
    phones = [f"phone{number}" for number in range(4 * scene.size)]
    for phone in phones:
        client.start("E4_SmsPhoneVerification", phone, phone)
        client.start("ApprovalWorkflow", f"yes-{phone}", {"manager": phone, "what": "a car"})
        client.start("ApprovalWorkflow", f"late-{phone}", {"manager": phone, "what": "a boat", "seconds": 0.3})
    for number, phone in enumerate(phones):
        _has(scene, phone, "TimerCreated")
        code = next(e["Result"] for e in client.history(phone) if e["EventType"] == "TaskCompleted")
        for wrong in range(number % 4):
            client.raise_event(phone, "SmsChallengeResponse", wrong)
            if wrong < 2:
                _has(scene, phone, "EventRaised", wrong + 1)
        if number % 4 < 3:
            client.raise_event(phone, "SmsChallengeResponse", json.loads(code) if isinstance(code, str) else code)
        client.wait_for_custom_status(f"yes-{phone}", "waiting for approval")
        client.raise_event(f"yes-{phone}", "ApprovalEvent", {"approved": number % 2 == 0, "by": phone})
    client.wait_until_over(*(f"{kind}{phone}" for phone in phones for kind in ("", "yes-", "late-")))


def _aggregator(scene: Scene) -> None:
    client = scene.client
    for key in range(4 * scene.size):
        client.start("AddAndRead", f"sum{key}", {"key": f"called{key}", "amounts": [1, 2, 3]})
        client.start("AddAndRead", f"more{key}", {"key": f"shared{key % 2}", "amounts": [10, 20]})
    for number in range(1, 9):
        client.signal("Counter", "signalled", "add", number, then=number * (number + 1) // 2)
        client.settle()
    client.wait_until_over(*(f"{kind}{key}" for key in range(4 * scene.size) for kind in ("sum", "more")))


def _scratch(scene: Scene) -> None:
    (scene.folder / "scratch").mkdir()


def _eternal(scene: Scene) -> None:
    client = scene.client
    client.start("Periodic_Cleanup_Loop", "cleanup")
    for number in range(3 * scene.size):
        client.start("Countdown", f"rocket{number}", 3 + number % 5)
        client.start("E3_Counter", f"counter{number}", 10)
    for number in range(3 * scene.size):
        counter = f"counter{number}"
        # From 10, because the SDK takes a custom status of 0 for none.
        for value in (11, 12, 13):
            client.wait_for_custom_status(counter, value - 1)
            is_taken = partial(client.has_custom_status, counter, value)
            client.raise_event(counter, "operation", "incr", is_taken=is_taken)
        client.wait_for_custom_status(counter, 13)
        client.raise_event(counter, "operation", "end")
    waste = scene.folder / "scratch" / "waste.tmp"
    for _ in range(2):
        waste.touch()
        client.wait(lambda: not waste.exists(), "the waste to be gone")
    client.terminate("cleanup")
    client.wait_until_over(*(f"{kind}{number}" for number in range(3 * scene.size) for kind in ("rocket", "counter")))


def _versioning(scene: Scene) -> None:
    client = scene.client
    orders = [f"{version}-{number}" for number in range(5 * scene.size) for version in ("1.0", "2.0")]
    for order in orders:
        client.start("ProcessOrderOrchestrator", order, order, order.partition("-")[0])
    for order in orders:
        client.wait_for_custom_status(order, {"version": order.partition("-")[0]})
        client.raise_event(order, "packed", order)
    client.wait_until_over(*orders)


def _devices(scene: Scene) -> None:
    scene.service.answers["/devices?ping=dead"] = {"answer": "nothing"}
    scene.service.answers["/devices?ping=live"] = {"answer": "pong"}


def _sub_orchestrations(scene: Scene) -> None:
    client = scene.client
    for number in range(2 * scene.size):
        client.start("ProvisionNewDevices", f"all{number}", 4)
        client.start("ProvisionStubbornDevice", f"dead{number}", f"dead{number}")
        client.start("ProvisionStubbornDevice", f"live{number}", f"live{number}")
    for number in range(2 * scene.size):
        for device in range(4):
            child = f"all{number}:{device}"
            _has(scene, child, "TaskCompleted", 2)
            client.raise_event(child, "DownloadCompletedAck", child)
    client.wait_until_over(*(f"{kind}{number}" for number in range(2 * scene.size) for kind in ("all", "dead", "live")))


def _site_answers(scene: Scene) -> None:
    scene.service.answers["/site"] = {"it": "works"}
    scene.service.refusals["tulips"] = 400


def _durable_http(scene: Scene) -> None:
    client, url = scene.client, scene.service.url
    for number in range(4 * scene.size):
        client.start("CheckSiteAvailable", f"up{number}", f"{url}/site")
        client.start("CheckSiteAvailable", f"missing{number}", f"{url}/nowhere")
        client.start("CheckSiteAvailable", f"job{number}", f"{url}/jobs/{number}")
        what = "tulips" if number % 2 else "roses"
        order = {"url": f"{url}/orders", "order": {"number": number, "what": what}}
        client.start("PostOrder", f"order{number}", order)
    kinds = ("up", "missing", "job", "order")
    client.wait_until_over(*(f"{kind}{number}" for number in range(4 * scene.size) for kind in kinds))


def _bank(scene: Scene) -> None:
    scene.service.refusals["closed"] = 404
    scene.service.answers["/bank/flaky?name=broken"] = {"fails": True}
    scene.service.answers["/bank/flaky?name=sound"] = {"fails": False}


def _errors(scene: Scene) -> None:
    client = scene.client
    for number in range(3 * scene.size):
        for kind, account in (("good", f"open{number}"), ("refused", f"closed{number}")):
            transfer = {"sourceAccount": f"a{number}", "destinationAccount": account, "amount": number}
            client.start("TransferFunds", f"{kind}{number}", transfer)
        client.start("CallFlakyFunctionWithRetry", f"broken{number}", "broken")
        client.start("CallFlakyFunctionWithRetry", f"sound{number}", "sound")
        client.start("CallFlakyFunctionWithTimeout", f"time{number}", "sound")
    kinds = ("good", "refused", "broken", "sound", "time")
    client.wait_until_over(*(f"{kind}{number}" for number in range(3 * scene.size) for kind in kinds))


def _timers(scene: Scene) -> None:
    client = scene.client
    for number in range(6 * scene.size):
        client.start("BillingIssuer", f"bills{number}", 4)
        client.start("TryGetQuote", f"quote{number}", f"S{number}")
    client.wait_until_over(*(f"{kind}{number}" for number in range(6 * scene.size) for kind in ("bills", "quote")))


def _courier(scene: Scene) -> None:
    scene.service.refusals["parcel"] = 503


def _management(scene: Scene) -> None:
    client = scene.client
    for number in range(2 * scene.size):
        client.start("HelloWorld", f"hello{number}", f"number {number}")
        for kind in ("yes", "no", "end", "pause"):
            client.start("WaitForApproval", f"{kind}{number}")
        client.start("DeliverParcel", f"parcel{number}")
    for number in range(2 * scene.size):
        for kind in ("yes", "no", "end", "pause"):
            client.wait_for_custom_status(f"{kind}{number}", "waiting")
        client.raise_event(f"yes{number}", "Approval", "Ann")
        client.raise_event(f"no{number}", "Approval", "no")
        client.terminate(f"end{number}")
        client.suspend(f"pause{number}")
        client.resume(f"pause{number}")
        client.raise_event(f"pause{number}", "Approval", "Bob")
        client.wait_until_over(*(f"{kind}{number}" for kind in ("hello", "yes", "no", "pause")))
        client.purge(f"yes{number}")
    client.wait_until_failed(*(f"parcel{number}" for number in range(2 * scene.size)))
    scene.service.refusals.clear()
    for number in range(2 * scene.size):
        client.rewind(f"parcel{number}")
    client.wait_until_over(*(f"parcel{number}" for number in range(2 * scene.size)))


def _blueprints(scene: Scene) -> None:
    cities = ["Rome", "Oslo", "Bern"]
    for number in range(8 * scene.size):
        scene.client.start("my-orchestrator", f"b{number}", cities)
    scene.client.wait_until_over(*(f"b{number}" for number in range(8 * scene.size)))


_UNFINISHED_POLL = re.compile(r'/status\W+"Result": \W+statusCode\W+202')


def _polled(events: Lines) -> Lines:
    """The service counts polls, also those of a host that was killed before it heard the answer."""
    return outcome.of_kinds([event for event in events if not _UNFINISHED_POLL.search(event)])


def _paused(events: Lines) -> Lines:
    """Suspending twice is as good as once: a lost answer is asked for again."""
    return [event for event in events if "ExecutionSuspended" not in event and "ExecutionResumed" not in event]


LOADS = (
    Load("function_chaining", _chaining, is_for_two=True),
    Load(
        "fan_out_fan_in",
        _fan_out,
        {"BACKUP_FOLDER": "{folder}/backup"},
        shape=outcome.in_any_order,
        effects="backup",
        prepare=_site,
        is_for_two=True,
    ),
    Load(
        "monitor",
        _monitor,
        {"WEATHER_URL": "{service}/weather", "SMS_URL": "{service}/sms", "POLLING_SECONDS": "0.15"},
        shape=outcome.of_kinds,
        prepare=_weather,
    ),
    Load(
        "human_interaction",
        _human,
        {"SMS_URL": "{service}/sms"},
        masks=((re.compile(r"\b[1-9]\d{3}\b"), "<code>"),),
    ),
    Load(
        "aggregator",
        _aggregator,
        entities=(
            ("Counter", "signalled"),
            *(("Counter", f"called{n}") for n in range(4)),
            ("Counter", "shared0"),
            ("Counter", "shared1"),
        ),
        shapes={"more": outcome.nothing_of},
        # Who comes first at a shared counter is chance.
        masks=((re.compile(r'^(more.*"output": )\d+'), r"\1<chance>"),),
    ),
    Load(
        "eternal",
        _eternal,
        {"CLEANUP_FOLDER": "{folder}/scratch", "CLEANUP_SECONDS": "0.1"},
        shapes={"cleanup": outcome.nothing_of},
        prepare=_scratch,
    ),
    Load("versioning", _versioning),
    Load(
        "sub_orchestrations",
        _sub_orchestrations,
        {"DEVICES_URL": "{service}/devices", "RETRY_MILLISECONDS": "100"},
        shape=outcome.in_any_order,
        prepare=_devices,
    ),
    Load(
        "durable_http",
        _durable_http,
        shapes={"job": _polled},
        masks=((re.compile(r"\w{3}, \d\d \w{3} \d{4} [0-9:]{8} GMT"), "<date>"),),
        prepare=_site_answers,
        is_for_two=True,
    ),
    Load(
        "error_handling",
        _errors,
        {"BANK_URL": "{service}/bank", "RETRY_MILLISECONDS": "100"},
        shapes={"time": outcome.in_any_order},
        prepare=_bank,
        is_for_two=True,
    ),
    Load("timers", _timers, {"BILLING_URL": "{service}/billing", "DAY_SECONDS": "0.1"}, is_for_two=True),
    Load(
        "instance_management",
        _management,
        {"COURIER_URL": "{service}/courier"},
        shapes={"pause": _paused},
        prepare=_courier,
    ),
    Load(
        "blueprints",
        _blueprints,
        entities=(("greeting_counter", "all"),),
        is_for_two=True,
        # Who comes first at the shared counter is chance.
        masks=((re.compile(r'(\\"result\\":\\")\d+'), r"\1<chance>"),),
    ),
)
"""One for each app under tests/apps."""

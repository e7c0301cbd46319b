"""A host and a venue that take their time: what was set going is dealt with only after some looks at it."""

from datetime import datetime

import msgspec


class FakeSystem:
    """Host, session and venue in one: each request is written down, and moves what is under way on by one."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.now: datetime | None = None
        self.timers: list[datetime] = []
        self.to_hold: list[int] = []
        """How many orders the session holds after each batch or timer that comes."""
        self.sends: list[int] = []
        """How many messages the venue sends at each release or price."""
        self.work_of_host = 0
        self.on_the_way = 0
        self.held = 0
        self.activity = 0
        self.session_outbound = 1
        self.session_inbound = 1
        self.venue_inbound = 1
        self.venue_outbound = 1
        self.sequence_numbers: list[int] = []
        self.shown_to_venue: list[dict[str, object]] = []
        self.logged_on = True
        self.stuck = False

    @property
    def host(self) -> "_FakeServer":
        return _FakeServer(self, "host")

    @property
    def venue(self) -> "_FakeServer":
        return _FakeServer(self, "venue")

    def handle(self, server: str, method: str, path: str, body: object) -> object:
        path, _, _ = path.partition("?")
        self.requests.append(f"{method} {path}")
        plain = msgspec.to_builtins(body)
        match server, method, path:
            case "host", "GET", "/devhost/clock":
                timer = min(self.timers, default=None)
                return {"now": _iso(self.now), "next_timer": _iso(timer)}
            case "host", "POST", "/devhost/clock":
                self._set_clock(datetime.fromisoformat(plain["now"]))
                return {"now": plain["now"]}
            case "host", "GET", "/devhost/idle":
                idle = self.work_of_host == 0 and not self.stuck
                self._go_on()
                return {"idle": idle, "work": self.work_of_host, "busy": ["order"] if not idle else []}
            case "host", "GET", "/api/session":
                return self._session()
            case "host", "POST", "/api/session/release":
                return self._release()
            case "host", "POST", "/devhost/eventhubs/market-data/events":
                self.sequence_numbers += [event["sequence_number"] for event in plain["events"]]
                self.work_of_host = 2
                return {"idle": False}
            case "venue", "POST", "/prices" | "/end_of_day":
                self.shown_to_venue += plain.get("events", [])
                return {"sent": self._venue_sends()}
            case "venue", "GET", "/state":
                return self._state()
        raise AssertionError(f"{server} has no {method} {path}")

    def _set_clock(self, now: datetime) -> None:
        assert self.now is None or now >= self.now
        self.now = now
        due = [timer for timer in self.timers if timer <= now]
        self.timers = [timer for timer in self.timers if timer > now]
        assert len(due) <= 1, "two timers fired at once"
        if due:
            self.work_of_host = 2

    def _go_on(self) -> None:
        if self.work_of_host == 1 and self.to_hold:
            self.held += self.to_hold.pop(0)
            self.activity += 1
        self.work_of_host = max(0, self.work_of_host - 1)

    def _release(self) -> object:
        assert self.work_of_host == 0, "released while the host was busy"
        assert self.on_the_way == 0, "released while messages were on the way"
        released, self.held = self.held, 0
        self.session_outbound += released
        self.venue_inbound += released
        self.activity += 1
        self._venue_sends()
        return {"released": released}

    def _venue_sends(self) -> int:
        sent = self.sends.pop(0) if self.sends else 0
        self.venue_outbound += sent
        self.on_the_way += sent
        return sent

    def _session(self) -> object:
        answer = {
            "session": "FIX.4.4-DESK-VENUE",
            "owner": "host",
            "epoch": 1,
            "logged_on": self.logged_on,
            "next_outbound": self.session_outbound,
            "next_inbound": self.session_inbound,
            "held": self.held,
            "busy": False,
            "activity": self.activity,
            "text": "" if self.logged_on else "password refused",
        }
        if self.on_the_way:
            self.on_the_way -= 1
            self.session_inbound += 1
            self.activity += 1
            self.work_of_host += 2
        return answer

    def _state(self) -> object:
        session = {
            "session": "FIX.4.4-VENUE-DESK",
            "logged_on": self.logged_on,
            "next_inbound": self.venue_inbound,
            "next_outbound": self.venue_outbound,
        }
        return {"at": None, "sessions": [session], "orders": 3, "working": 1}


class _FakeServer:
    def __init__(self, system: FakeSystem, name: str) -> None:
        self._system = system
        self._name = name

    def get(self, path: str) -> object:
        return self._system.handle(self._name, "GET", path, None)

    def post(self, path: str, body: object = None) -> object:
        return self._system.handle(self._name, "POST", path, body)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()

"""After each logon: asks the venue which orders are open, compares them with ours, and sees to what differs.

Trading does not wait for it: the question leaves before the first order, and all the rest happens beside them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, TypeVar

import msgspec

from fix.message import Message
from fix.session import NotLoggedOn
from gateway import translate
from gateway.delivery import Delivery, Recorder
from gateway.journal import Origin
from gateway.lease import LeaseLostError
from gateway.reconcile import (
    Book,
    Comparison,
    Difference,
    Finding,
    Inquiry,
    Reconciliation,
    compare,
    judge,
    missing,
    names_of,
    order_id_of_standing,
    unanswered,
)
from gateway.translate import Report
from storage.clock import market_now
from storage.reconciliations import Reconciliations
from storage.settings import Settings
from trading.child import Order

_log = logging.getLogger("gateway.asking")
T = TypeVar("T")

_ANSWER_TIMEOUT = 5.0
_ASKED_AT_ONCE = 5
"""Orders about which the venue is asked one by one; the next follow when it has answered."""
_READ_AT_ONCE = 3
"""Threads of the gateway's that read; the others are the journal's."""
_PATIENCE = 10
"""Questions without an answer after which the venue is asked no more."""
_RECORDED = 200


class Epoch(Protocol):
    """What the epoch does for it."""

    @property
    def epoch(self) -> int:
        """Its number."""
        ...

    @property
    def holds(self) -> bool:
        """Whether the lease is still held, and has been since the epoch began."""
        ...

    @property
    def in_flight(self) -> frozenset[str]:
        """The ClOrdIDs of what was claimed, and of which the venue has said nothing yet."""
        ...

    async def send_when_room(self, message: Message, cl_ord_id: str) -> None:
        """Raises `fix.session.NotLoggedOn`."""
        ...

    async def patiently(self, call: Callable[[], T]) -> T: ...

    def origin(self, number: int) -> Origin: ...

    def has_listed(self) -> None:
        """The venue has named its open orders, or will not."""
        ...


class Reconciler:
    """One for each epoch, in its event loop. `ask` and then `compare` are called after each logon."""

    def __init__(
        self, *, settings: Settings, recorder: Recorder, records: Reconciliations, delivery: Delivery, epoch: Epoch
    ) -> None:
        self._settings = settings
        self._recorder = recorder
        self._records = records
        self._delivery = delivery
        self._epoch = epoch
        self._refused = "" if settings.fix_mass_status == "yes" else "FIX_MASS_STATUS=no"
        self._inquiry: Inquiry | None = None
        self._inquiries = 0
        self._asked_at = datetime.now(UTC)
        self._heard = asyncio.Event()
        self._questions: dict[str, asyncio.Future[tuple[int, Report] | str]] = {}

    @property
    def busy(self) -> bool:
        return self._inquiry is not None

    async def ask(self) -> None:
        """Ask for all open orders. Raises `fix.session.NotLoggedOn`."""
        self._inquiries += 1
        self._asked_at = datetime.now(UTC)
        self._inquiry = Inquiry(f"{self._epoch.epoch}-{self._inquiries}")
        if not self._refused:
            await self._epoch.send_when_room(translate.mass_status_request(self._inquiry.request), "")

    async def compare(self) -> None:
        """Wait for the answers, and see to what differs.

        Raises:
            fix.session.NotLoggedOn: the session has ended.
            LeaseLostError: so has the epoch.
        """
        inquiry = self._inquiry
        assert inquiry is not None, "it was asked"
        try:
            await self._compare(inquiry)
        except (NotLoggedOn, LeaseLostError):
            raise
        except Exception as error:
            # Trading goes on: what cannot be compared now is compared after the next logon.
            _log.exception("%s: the venue's open orders could not be compared with ours", self._settings.session)
            self._tell("RECONCILE_FAILED", f"the venue's open orders could not be compared with ours: {error!r}")
            self._epoch.has_listed()
        finally:
            self.stop()

    def stop(self) -> None:
        """The connection is over, or nothing is left to do."""
        self._inquiry = None
        for question in self._questions.values():
            question.cancel()
        self._questions.clear()

    # What the other parts tell

    def is_asking(self, request: str) -> bool:
        """Whether a question about all orders may still be answered: then it may also be resent."""
        return self._inquiry is not None and self._inquiry.request == request and not self._inquiry.is_complete

    def sent(self, *cl_ord_ids: str) -> None:
        if self._inquiry is not None:
            self._inquiry.sent(*cl_ord_ids)

    def reported(self, *cl_ord_ids: str, resent: bool) -> None:
        if self._inquiry is not None:
            self._inquiry.reported(*cl_ord_ids, resent=resent)

    def answered(self, number: int, report: Report) -> None:
        """How an order stands, as an answer to whichever question."""
        standing = report.standing
        if standing is None or self._inquiry is None:
            return
        if not standing.request:
            # After a replace of which we have not heard, the name that was asked about is in OrigClOrdID (41).
            for name in filter(None, (report.cl_ord_id, standing.orig_cl_ord_id)):
                self._answer(name, (number, report))
        elif self.is_asking(standing.request):
            self._inquiry.answer(number, standing)
            self._heard.set()

    def refused(self, text: str) -> None:
        """The venue does not list its open orders."""
        self._refused = text
        if self._inquiry is not None:
            self._inquiry.give_up()
        self._heard.set()

    def does_not_answer(self, cl_ord_id: str, text: str) -> None:
        self._answer(cl_ord_id, f"the venue refuses the question: {text}")

    # What comes of it

    async def _compare(self, inquiry: Inquiry) -> None:
        text = await self._list(inquiry)
        self._epoch.has_listed()
        await self._delivery.journalled()
        books = await self._read(inquiry)
        comparison = compare(books, inquiry, self._epoch.in_flight)
        findings = list(comparison.findings)
        self._see_to(comparison.findings)
        asked = await self._ask_one_by_one(inquiry, comparison, findings)
        if asked < len(comparison.unlisted):
            text = "; ".join(filter(None, (text, f"{len(comparison.unlisted) - asked} orders were not asked about")))
            self._tell("RECONCILE_INCOMPLETE", f"the venue does not answer questions about orders: {text}")
        record = Reconciliation(
            session=self._settings.session,
            epoch=self._epoch.epoch,
            asked_at=self._asked_at,
            finished_at=datetime.now(UTC),
            listed=len(inquiry.listed),
            asked=asked,
            compared=comparison.compared,
            left_out=comparison.left_out,
            found=len(findings),
            differences=[_difference(finding) for finding in findings[:_RECORDED]],
            text=text,
        )
        _log.info("%s: %d orders compared, %d differences", self._settings.session, record.compared, record.found)
        encoded = msgspec.json.encode(record)
        await self._epoch.patiently(partial(self._record, record.finished_at, encoded))

    async def _list(self, inquiry: Inquiry) -> str:
        """Wait for the venue's list; why there is none, or not all of it."""
        if self._refused:
            inquiry.give_up()
        while not inquiry.is_complete:
            self._heard.clear()
            try:
                async with asyncio.timeout(_ANSWER_TIMEOUT):
                    await self._heard.wait()
            except TimeoutError:
                inquiry.give_up()
                text = f"no answer to OrderMassStatusRequest (35=AF) in {_ANSWER_TIMEOUT:g} s"
                if inquiry.answers:
                    return f"the venue's list has no end: {text}"
                self._tell("MASS_STATUS_REFUSED", f"{text}: open orders are asked about one by one")
                return text
        if self._refused and self._settings.fix_mass_status == "yes":
            text = f"the venue refuses OrderMassStatusRequest (35=AF): {self._refused}"
            self._tell("MASS_STATUS_REFUSED", f"{text}: open orders are asked about one by one; FIX_MASS_STATUS=no")
            return text
        return self._refused

    async def _read(self, inquiry: Inquiry) -> list[Book]:
        """The books of our open orders, and of those that the venue lists."""
        order_ids = dict.fromkeys(await self._epoch.patiently(self._recorder.open_orders), True)
        for standing in inquiry.listed.values():
            order_id = order_id_of_standing(standing)
            if order_id is not None:
                order_ids.setdefault(order_id, False)
        reads = [partial(self._recorder.book, each, is_open=is_open) for each, is_open in order_ids.items()]
        calls = [partial(self._epoch.patiently, read) for read in reads]
        return [found for some in _batches(calls, _READ_AT_ONCE) for found in await _together(some)]

    async def _ask_one_by_one(self, inquiry: Inquiry, comparison: Comparison, findings: list[Finding]) -> int:
        """Ask about what the venue has not listed; of how many."""
        asked, silent = 0, 0
        for some in _batches(comparison.unlisted, _ASKED_AT_ONCE):
            if silent >= _PATIENCE:
                break
            answers = await _together([partial(self._find, order) for _, order in some])
            asked += len(some)
            for (known, order), answer in zip(some, answers, strict=True):
                silent = silent + 1 if isinstance(answer, str) else 0
                if inquiry.has_changed(order) or any(order.answers_to(name) for name in self._epoch.in_flight):
                    continue
                found = self._judged(known, order, answer)
                findings += found
                self._see_to(found)
        return asked

    async def _find(self, order: Order) -> tuple[int, Report] | str:
        """The venue's answer about an order, under whichever of its ClOrdIDs it knows it; or why there is none."""
        answer: tuple[int, Report] | str = ""
        for name in names_of(order):
            answer = await self._question(name, order)
            if isinstance(answer, str) or answer[1].kind != "unknown":
                break
        return answer

    async def _question(self, name: str, order: Order) -> tuple[int, Report] | str:
        """The venue's answer to a question about one ClOrdID, with its message's number; or why there is none."""
        answer: asyncio.Future[tuple[int, Report] | str] = asyncio.get_running_loop().create_future()
        self._questions[name] = answer
        await self._epoch.send_when_room(translate.status_request(name, order.symbol, order.side), name)
        done, _ = await asyncio.wait([answer], timeout=_ANSWER_TIMEOUT)
        self._questions.pop(name, None)
        return answer.result() if done else f"no answer in {_ANSWER_TIMEOUT:g} s"

    def _judged(self, known: Book, order: Order, answer: tuple[int, Report] | str) -> list[Finding]:
        if isinstance(answer, str):
            return [unanswered(known, order, answer)]
        number, report = answer
        if report.kind == "unknown" or report.standing is None:
            return [missing(known, order, number, market_now(self._settings))]
        return judge(known, order, report.standing, number)

    def _see_to(self, findings: list[Finding]) -> None:
        for finding in findings:
            _log.warning("%s: %s", self._settings.session, finding)
            origin = None if finding.number is None else self._epoch.origin(finding.number)
            self._delivery.take(
                None, finding.order_id, partial(self._recorder.reconcile, finding, origin, self._check_lease)
            )

    def _record(self, finished_at: datetime, encoded: bytes) -> None:
        self._check_lease()
        self._records.add(self._settings.session, finished_at, encoded)

    def _check_lease(self) -> None:
        """In the call that writes: once the lease is over others may have done what this comparison knows nothing of,
        and theirs counts. Raises LeaseLostError; whoever tries again is cancelled with the epoch."""
        if not self._epoch.holds:
            raise LeaseLostError(f"{self._settings.session}: the lease of epoch {self._epoch.epoch} is over")

    def _answer(self, cl_ord_id: str, answer: tuple[int, Report] | str) -> None:
        question = self._questions.pop(cl_ord_id, None)
        if question is not None and not question.done():
            question.set_result(answer)

    def _tell(self, code: str, text: str) -> None:
        """Once for each comparison; that the venue has no lists, once."""
        key = code if code == "MASS_STATUS_REFUSED" else f"{code}-{self._epoch.epoch}-{self._inquiries}"
        self._delivery.take(None, "", partial(self._recorder.alert, code, text, key))


def _difference(finding: Finding) -> Difference:
    done = f"journalled as {type(finding.event).__name__}" if finding.event else "told to a human"
    return Difference(
        kind=finding.kind,
        order_id=finding.order_id,
        cl_ord_id=finding.cl_ord_id,
        ours=finding.ours,
        venue=finding.venue,
        done=done,
    )


def _batches(values: Sequence[T], size: int) -> list[Sequence[T]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


async def _together(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    return list(await asyncio.gather(*(call() for call in calls)))

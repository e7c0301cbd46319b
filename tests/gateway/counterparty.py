"""A venue for tests: a FIX acceptor in a thread of its own that a test tells what to know and what to leave unsaid."""

import asyncio
import itertools
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from ssl import SSLContext
from typing import Any, Literal, TypeVar

from fix import orders as fix
from fix.config import SessionConfig
from fix.events import LoggedOn, LoggedOut, MessageReceived, SessionEvent
from fix.message import Message
from fix.session import Session
from fix.store import MemoryStore
from fix.transport import Connection, Server, serve

T = TypeVar("T")


class Counterparty:
    """Accepts orders, answers status requests, and does the rest when told to.

    `deaf` lists ClOrdIDs whose messages it loses; `mute` those it takes without a report. `honours_resend` off: what
    comes again with PossResend (97=Y) is refused as a duplicate, as by venues that do not look at the flag.

    `book` are its open orders by ClOrdID, as it lists them when it is asked for all (35=AF): a test may change them.
    `lists` says whether it answers that, refuses it (35=j), or says nothing. What it answers waits while `holds_list`.
    """

    def __init__(self, client: str, *, refuse: str | None = None, tls: SSLContext | None = None) -> None:
        self._tls = tls
        self.received: list[tuple[int, Message]] = []
        self.inquiries: list[Message] = []
        self.known: dict[str, Message] = {}
        self.book: dict[str, dict[str, Any]] = {}
        self.statuses: dict[str, dict[str, Any]] = {}
        """What it answers about single orders, where that is neither that they work nor that it does not know them."""
        self.lists: Literal["answers", "refuses", "silent"] = "answers"
        self.holds_list = False
        self._held_lists: list[str] = []
        self.deaf: set[str] = set()
        self.mute: set[str] = set()
        self.logons = 0
        self.logon_messages: list[Message] = []
        self.online = False
        self.refuse = refuse
        self.honours_resend = True
        self.connection: Connection | None = None
        self._execs = itertools.count(1)
        self._config = SessionConfig(
            role="acceptor",
            sender_comp_id="VENUE",
            target_comp_id=client,
            authenticate=self._authenticate,
        )
        self.memory = MemoryStore()
        self.session = Session(self._config, self.memory)
        self._server: Server
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(5)

    @property
    def port(self) -> int:
        return self._server.port

    def sent(self, cl_ord_id: str, msg_type: str | None = None) -> list[Message]:
        """What was received under a ClOrdID."""
        return [
            message
            for _, message in list(self.received)
            if message.get(11) == cl_ord_id and (msg_type is None or message.msg_type == msg_type)
        ]

    def report(self, cl_ord_id: str, exec_type: fix.ExecType, status: fix.OrdStatus, **fields: object) -> None:
        self.call(lambda: self._report(cl_ord_id, exec_type, status, **fields))

    def fill(self, cl_ord_id: str, quantity: int, price: str, *, exec_id: str | None = None) -> None:
        self.report(
            cl_ord_id,
            fix.ExecType.TRADE,
            fix.OrdStatus.FILLED,
            last_qty=Decimal(quantity),
            last_px=Decimal(price),
            cum_qty=Decimal(quantity),
            **({"exec_id": exec_id} if exec_id else {}),
        )

    def send(self, message: Message) -> None:
        self.call(lambda: self._send(message))

    def reject(self, ref_number: int, text: str) -> None:
        """A Reject (35=3) of the session's own."""
        self.call(lambda: self._reject(ref_number, text))

    def test_request(self, times: int) -> None:
        """Ask for signs of life (35=1), each of which uses up a number of the other side's."""
        self.call(lambda: self._test_request(times))

    def forget(self, messages: int) -> None:
        """Lose connection and last messages, as a venue that comes up from an older copy; they are asked for anew."""
        self.call(lambda: self._forget(messages))

    def list_now(self) -> None:
        """Answer what was held by `holds_list`."""
        self.holds_list = False
        for request in self._held_lists:
            self.call(partial(self._list, request))
        self._held_lists.clear()

    def lose_sent(self) -> None:
        """Know no order that is asked about, and have nothing left to resend: what is asked for is gap-filled."""
        self.call(self.known.clear)
        self.call(self.memory.forget_sent)

    def store(self, message: Message) -> None:
        """Have sent a message that got lost on its way: it is resent when it is asked for."""
        self.call(lambda: self._store(message))

    def mistimed(self, do: Callable[[], None], stamp: str = "20131007-13:30:00.000") -> None:
        """What is sent by it has a SendingTime (52) of long ago, or one that is none."""
        vars(self.session)["_sending_time"] = lambda: stamp
        try:
            do()
        finally:
            del vars(self.session)["_sending_time"]

    def cut(self) -> None:
        """Close the connection without a word."""
        self.call(lambda: self.connection.abort("cut") if self.connection else None)

    def call(self, what: Callable[[], T]) -> T:
        async def do() -> T:
            return what()

        return asyncio.run_coroutine_threadsafe(do(), self._loop).result(5)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _authenticate(self, logon: Message) -> str | None:
        self.logon_messages.append(logon)
        return self.refuse

    def _reject(self, ref_number: int, text: str) -> None:
        assert self.connection is not None
        self.session._transmit("3", [(45, str(ref_number)), (372, "D"), (373, "5"), (58, text)])
        self.connection._flush()

    def _test_request(self, times: int) -> None:
        assert self.connection is not None
        for _ in range(times):
            self.session._transmit("1", [(112, "alive?")])
        self.connection._flush()

    def _forget(self, messages: int) -> None:
        assert self.connection is not None
        self.connection.abort("forgetful")
        for number, message in self.received[-messages:]:
            self.known.pop(message.require(11), None)
            self.book.pop(message.require(11), None)
            self.session._next_inbound = min(self.session._next_inbound, number)
        del self.received[-messages:]

    def _store(self, message: Message) -> None:
        self.session._transmit(message.msg_type, message.fields, keep=True)
        self.session._outbound.clear()

    def _run(self) -> None:
        async def start() -> None:
            self._server = await serve(
                "127.0.0.1", 0, lambda _sender, _target: self.session, self._on_event, tls=self._tls
            )
            self._ready.set()

        self._loop.run_until_complete(start())
        self._loop.run_forever()

    def _on_event(self, connection: Connection, event: SessionEvent) -> None:
        match event:
            case LoggedOn():
                self.connection = connection
                self.logons += 1
                self.online = True
            case LoggedOut():
                self.online = False
            case MessageReceived():
                if event.message.msg_type == "AF":
                    self._on_inquiry(event.number, event.message)
                    return
                self.received.append((event.number, event.message))
                self._on_message(event.message)
            case _:
                pass

    def _on_inquiry(self, number: int, message: Message) -> None:
        self.inquiries.append(message)
        if self.lists == "refuses":
            self._send(fix.business_message_reject(ref_seq_num=number, ref_msg_type="AF", business_reject_reason=3))
        elif self.lists == "answers" and self.holds_list:
            self._held_lists.append(message.require(584))
        elif self.lists == "answers":
            self._list(message.require(584))

    def _list(self, request: str) -> None:
        """Answer an inquiry: a report for each open order, or one that says that there are none."""
        common = {"mass_status_req_id": request, "tot_num_reports": len(self.book)}
        for place, (cl_ord_id, fields) in enumerate(list(self.book.items()), 1):
            is_last = place == len(self.book)
            values: dict[str, Any] = {
                "ord_status": fix.OrdStatus.NEW,
                **fields,
                **common,
                "last_rpt_requested": is_last,
            }
            self._report(cl_ord_id, fix.ExecType.ORDER_STATUS, values.pop("ord_status"), **values)
        if not self.book:
            self._report("", fix.ExecType.ORDER_STATUS, fix.OrdStatus.REJECTED, ord_rej_reason=5, **common)

    def _note(self, cl_ord_id: str, exec_type: fix.ExecType, status: fix.OrdStatus, fields: Mapping[str, Any]) -> None:
        """Keep the book by what is reported."""
        orig = fields.get("orig_cl_ord_id")
        if exec_type is fix.ExecType.ORDER_STATUS or (exec_type is fix.ExecType.REJECTED and cl_ord_id in self.book):
            return
        if status in (fix.OrdStatus.FILLED, fix.OrdStatus.CANCELED, fix.OrdStatus.EXPIRED, fix.OrdStatus.REJECTED):
            self.book.pop(orig or cl_ord_id, None)
            return
        if exec_type is fix.ExecType.REPLACED and orig in self.book:
            self.book[cl_ord_id] = {**self.book.pop(orig), "orig_cl_ord_id": orig}
        known = self.book.get(cl_ord_id)
        if known is not None:
            quantity = fields.get("order_qty", known["order_qty"])
            traded = fields.get("cum_qty", known["cum_qty"])
            known.update(order_qty=quantity, cum_qty=traded, leaves_qty=quantity - traded)

    def _on_message(self, message: Message) -> None:
        cl_ord_id = message.get(11)
        if cl_ord_id is None or cl_ord_id in self.deaf:
            return
        if message.msg_type == "H":
            fields = dict(self.statuses.get(cl_ord_id) or self.book.get(cl_ord_id) or {})
            if fields and cl_ord_id in self.known:
                status = fields.pop("ord_status", fix.OrdStatus.NEW)
                self._report(fields.pop("cl_ord_id", cl_ord_id), fix.ExecType.ORDER_STATUS, status, **fields)
                return
            known = cl_ord_id in self.known
            status = fix.OrdStatus.NEW if known else fix.OrdStatus.REJECTED
            reason = {} if known else {"ord_rej_reason": 5}
            self._report(cl_ord_id, fix.ExecType.ORDER_STATUS, status, **reason)
            return
        if cl_ord_id in self.known and message.get(97) == "Y":
            self._answer_resend(message, cl_ord_id)
            return
        self.known[cl_ord_id] = message
        if message.msg_type == "D":
            order = fix.read_new_order_single(message)
            self.book[cl_ord_id] = {
                "symbol": order.symbol,
                "side": order.side,
                "order_qty": order.order_qty,
                "leaves_qty": order.order_qty,
                "cum_qty": Decimal(0),
                "price": order.price,
                "stop_px": order.stop_px,
            }
        elif message.msg_type == "F":
            self.book.pop(message.require(41), None)
        if cl_ord_id in self.mute:
            return
        if message.msg_type == "D":
            self._report(cl_ord_id, fix.ExecType.NEW, fix.OrdStatus.NEW)
        elif message.msg_type == "F":
            if message.require(41) in self.known:
                self._report(
                    cl_ord_id, fix.ExecType.CANCELED, fix.OrdStatus.CANCELED, orig_cl_ord_id=message.require(41)
                )
            else:
                self._reject_cancel(message, 1)

    def _answer_resend(self, message: Message, cl_ord_id: str) -> None:
        if self.honours_resend:
            self._report(cl_ord_id, fix.ExecType.ORDER_STATUS, fix.OrdStatus.NEW)
        elif message.msg_type == "D":
            self._report(cl_ord_id, fix.ExecType.REJECTED, fix.OrdStatus.REJECTED, ord_rej_reason=6)
        else:
            self._reject_cancel(message, 6)

    def _reject_cancel(self, message: Message, reason: int) -> None:
        self._send(
            fix.order_cancel_reject(
                order_id="V1",
                cl_ord_id=message.require(11),
                orig_cl_ord_id=message.require(41),
                ord_status=fix.OrdStatus.REJECTED if reason == 1 else fix.OrdStatus.NEW,
                cxl_rej_response_to=fix.CxlRejResponseTo.CANCEL,
                cxl_rej_reason=reason,
                transact_time=datetime(2013, 10, 7, 13, 30, tzinfo=UTC),
            )
        )

    def _report(self, cl_ord_id: str, exec_type: fix.ExecType, status: fix.OrdStatus, **fields: object) -> None:
        values: dict[str, Any] = {
            "order_id": f"V-{cl_ord_id}",
            "exec_id": f"E{next(self._execs)}",
            "cl_ord_id": cl_ord_id,
            "exec_type": exec_type,
            "ord_status": status,
            "symbol": "IBM",
            "side": fix.Side.BUY,
            "leaves_qty": Decimal(0),
            "cum_qty": Decimal(0),
            "avg_px": Decimal(0),
            "transact_time": datetime(2013, 10, 7, 13, 30, tzinfo=UTC),
            **fields,
        }
        self._note(cl_ord_id, exec_type, status, fields)
        self._send(fix.execution_report(**values))

    def _send(self, message: Message) -> None:
        if self.connection is not None and self.online:
            self.connection.send(message)

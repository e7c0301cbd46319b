"""Logs on to examples/acceptor.py, buys 100 IBM, prints the reports and logs out: python -m examples.initiator"""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from fix.config import SessionConfig
from fix.dictionary import shipped
from fix.engine import Application, Initiator
from fix.events import MessageReceived
from fix.orders import OrdType, Side, new_order_single, read_execution_report
from fix.sqlite_store import SqliteStore
from fix.transport import Connection


class Desk(Application):
    def on_logon(self, connection: Connection) -> None:
        now = datetime.now(UTC)
        quantity, price = Decimal(100), Decimal("182.25")
        connection.send(
            new_order_single(
                cl_ord_id=f"desk-{now:%H%M%S}", symbol="IBM", side=Side.BUY, order_qty=quantity,
                ord_type=OrdType.LIMIT, price=price, transact_time=now,
            )
        )  # fmt: skip

    def on_message(self, connection: Connection, received: MessageReceived) -> None:
        report = read_execution_report(received.message)
        print(f"{report.cl_ord_id}: {report.ord_status.name}, {report.cum_qty} done, {report.leaves_qty} to go")
        if not report.leaves_qty:
            initiator.stop("done for today")


config = SessionConfig("initiator", "DESK", "VENUE", dictionary=shipped("FIX.4.4"))
store = SqliteStore(Path("out/desk-example.db"), config.session_id)
initiator = Initiator(config, Desk(), [("127.0.0.1", 9880)], store=store)

if __name__ == "__main__":
    asyncio.run(initiator.run())

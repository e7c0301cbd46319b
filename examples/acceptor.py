"""A venue that fills every order at its price, on port 9880; its session outlives it: python -m examples.acceptor"""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from fix.config import SessionConfig
from fix.dictionary import shipped
from fix.engine import Acceptor, Application, Unsupported
from fix.events import MessageReceived
from fix.orders import ExecType, OrdStatus, execution_report, read_new_order_single
from fix.sqlite_store import SqliteStore
from fix.transport import Connection


class Venue(Application):
    def on_message(self, connection: Connection, received: MessageReceived) -> None:
        if received.message.msg_type != "D":
            raise Unsupported
        order = read_new_order_single(received.message)
        price = order.price or Decimal(100)
        connection.send(
            execution_report(
                order_id=f"O-{received.number}", exec_id=f"E-{received.number}", cl_ord_id=order.cl_ord_id,
                exec_type=ExecType.TRADE, ord_status=OrdStatus.FILLED, symbol=order.symbol, side=order.side,
                last_qty=order.order_qty, last_px=price, cum_qty=order.order_qty, leaves_qty=Decimal(0),
                avg_px=price, transact_time=datetime.now(UTC),
            )
        )  # fmt: skip


async def main() -> None:
    config = SessionConfig("acceptor", "VENUE", "DESK", dictionary=shipped("FIX.4.4"))
    store = SqliteStore(Path("out/venue-example.db"), config.session_id)
    acceptor = Acceptor([config], Venue(), store_for=lambda _config: store)
    await acceptor.listen("127.0.0.1", 9880)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

"""Prices that orders wait for."""

import azure.durable_functions as df

from storage.services import watches
from trading.messages import Payloads, Watching, decoded
from trading.watches import Watch

bp = df.Blueprint()


@bp.activity_trigger(input_name="payload")
def watch_prices(payload: Payloads) -> int:
    """Lets the market data tell an order when prices are touched, or no longer; how many. A list of `Watching`.

    `triggers/market_data.py` tells it.
    """
    for plain in payload:
        wanted = decoded(plain, Watching)
        command = wanted.command
        watch = Watch(
            order_id=wanted.order_id,
            symbol=command.symbol,
            number=command.number,
            below=command.below,
            above=command.above,
            side=command.side,
            begins=wanted.begins,
        )
        watches().put(watch, was_heard=command.was_heard)
    return len(payload)

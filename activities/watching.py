"""Prices that orders wait for."""

import azure.durable_functions as df

from storage.services import watches
from trading.messages import Payload, Watching, decoded
from trading.watches import Watch

bp = df.Blueprint()


@bp.activity_trigger(input_name="payload")
def watch_price(payload: Payload) -> Payload:
    """Lets the market data tell an order when a price is touched, or no longer: `triggers/market_data.py` does."""
    wanted = decoded(payload, Watching)
    command = wanted.command
    watches().put(
        Watch(
            order_id=wanted.order_id,
            symbol=command.symbol,
            number=command.number,
            below=command.below,
            above=command.above,
        )
    )
    return {}

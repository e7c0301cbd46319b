"""The same system, left running for a developer to talk to."""

import time
from pathlib import Path

import msgspec
from rich.console import Console

from player.stack import StackOptions, running

SYMBOL = "DEMO"
_BID, _ASK = "99.95", "100.05"
_SETTINGS = {"MAX_ORDER_NOTIONAL": "100000", "MAX_SYMBOL_NOTIONAL": "250000", "MAX_GROSS_NOTIONAL": "500000"}


class HostOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where host and venue listen, and where logs and state go."""

    port: int
    venue_port: int
    out: Path


def host(options: HostOptions, console: Console) -> None:
    """Start the system, price one symbol, print what to try, and stay until interrupted."""
    stack_options = StackOptions(
        out=options.out,
        lockstep=False,
        settings=_SETTINGS,
        host_port=options.port,
        control_port=options.venue_port,
    )
    with running(stack_options) as stack:
        quote = {"kind": "quote", "symbol": SYMBOL, "bid": _BID, "ask": _ASK, "bid_size": None, "ask_size": None}
        stack.venue.post("/prices", {"events": [quote]})
        console.print(_what_to_try(stack.host_port, stack.control_port), highlight=False, markup=False, soft_wrap=True)
        while True:
            stack.check()
            time.sleep(0.5)


def _what_to_try(port: int, control_port: int) -> str:
    url = f"http://127.0.0.1:{port}"
    bracket = (
        f'{{"type":"bracket","order_id":"demo-1","symbol":"{SYMBOL}","side":"buy","quantity":"10",'
        '"entry_type":"limit","entry_price":"99","stop_price":"95","take_profit_price":"110"}'
    )
    move = (
        f'{{"events":[{{"kind":"quote","symbol":"{SYMBOL}",'
        '"bid":"98.90","ask":"98.95","bid_size":null,"ask_size":null}]}'
    )
    return f"""The host listens on {url}; {SYMBOL} is quoted {_BID} / {_ASK} at the venue. Try:

  curl -X POST {url}/api/orders -H 'Content-Type: application/json' -d '{bracket}'
  curl {url}/api/orders/demo-1
  curl -X DELETE '{url}/api/orders/demo-1?mode=flatten'
  curl {url}/api/positions
  curl {url}/api/session

Move the market, so that the entry fills:

  curl -X POST http://127.0.0.1:{control_port}/prices -d '{move}'

Ctrl-C ends it."""

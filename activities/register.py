"""What an order's driver does to the register, the journal and the alerts."""

import azure.durable_functions as df
import msgspec

from gateway.journal import Journal
from storage.services import alerts, instructions, order_register, tables
from trading.messages import Alert, News, Payload, Payloads, Reading, Registering, Resuming, decoded, encoded
from trading.specs import SpecError, check

bp = df.Blueprint()


@bp.activity_trigger(input_name="payload")
def register_order(payload: Payload) -> Payload:
    """Takes the order's id, once and for all; `ours` is false where another orchestration has it.

    `wrong` is what is wrong of its spec, empty where nothing is: whoever starts an orchestration may have checked none.
    """
    wanted = decoded(payload, Registering)
    spec_json = msgspec.json.encode(wanted.spec).decode()
    registration = order_register().register(wanted.spec.order_id, wanted.token, spec_json, wanted.created_at)
    try:
        check(wanted.spec)
    except SpecError as error:
        return {"ours": registration.ours, "wrong": str(error)}
    return {"ours": registration.ours, "wrong": ""}


@bp.activity_trigger(input_name="payload")
def resume_order(payload: Payload) -> Payload:
    """Whether the order is to go on from the end that is given, and puts it among the open ones; `ours` is false where
    it has ended again since. Whoever starts an orchestration has taken the record back before."""
    wanted = decoded(payload, Resuming)
    order = order_register().get(wanted.order_id)
    ended = None if order is None else order.last_end()
    if order is None or order.record is not None or ended is None or ended.last_number != wanted.last_number:
        return {"ours": False}
    order_register().reopen(wanted.order_id, *ended.end)  # whoever took it back may have died before the index had it
    return {"ours": True}


@bp.activity_trigger(input_name="payload")
def read_journal(payload: Payload) -> Payload:
    """What the venue and our own side have said since: `News`."""
    wanted = decoded(payload, Reading)
    rows = Journal(tables()).read(wanted.order_id, after=wanted.after)
    told = instructions().read(wanted.order_id, after=wanted.after_instruction)
    return encoded(News(rows=rows, instructions=told))


@bp.activity_trigger(input_name="payload")
def raise_alerts(payload: Payloads) -> int:
    """Keeps alerts (a list of `Alert`) and logs them, once for each key; how many were new."""
    given = [decoded(plain, Alert) for plain in payload]
    return sum(alerts().raise_alert(alert.code, alert.text, alert.order_id, alert.key) for alert in given)

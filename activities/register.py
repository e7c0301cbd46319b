"""What an order's driver does to the register, the journal and the alerts."""

from decimal import Decimal

import azure.durable_functions as df
import msgspec

from gateway.journal import Journal
from storage.orders import OrderRecord
from storage.services import alerts, instructions, order_register, tables
from trading.messages import Alert, News, Payload, Reading, RecordDetail, Recording, Registering, decoded, encoded

bp = df.Blueprint()


@bp.activity_trigger(input_name="payload")
def register_order(payload: Payload) -> Payload:
    """Takes the order's id, once and for all; `ours` is false where another orchestration has it."""
    wanted = decoded(payload, Registering)
    spec_json = msgspec.json.encode(wanted.spec).decode()
    registration = order_register().register(wanted.spec.order_id, wanted.token, spec_json, wanted.created_at)
    return {"ours": registration.ours}


@bp.activity_trigger(input_name="payload")
def read_journal(payload: Payload) -> Payload:
    """What the venue and our own side have said since: `News`."""
    wanted = decoded(payload, Reading)
    rows = Journal(tables()).read(wanted.order_id, after=wanted.after)
    told = instructions().read(wanted.order_id, after=wanted.after_instruction)
    return encoded(News(rows=rows, instructions=told))


@bp.activity_trigger(input_name="payload")
def record_order(payload: Payload) -> Payload:
    """Writes how the order ended; `behind` is true, and the order stays open, where the journal has more.

    It looks once more after it has written: whoever appends a row and then finds the order finished raises an alert
    (`activities/wake_ups.py`), so a row that comes in between is noticed by one of the two.
    """
    recording = decoded(payload, Recording)
    if _has_more(recording):
        return {"behind": True}
    summary = recording.summary
    detail = RecordDetail(
        last_number=recording.last_number,
        timing=recording.timing,
        children=list(summary.children) if summary else [],
    )
    record = OrderRecord(
        outcome=recording.outcome,
        text=recording.text,
        filled_quantity=summary.filled_quantity if summary else Decimal(0),
        average_price=summary.average_price if summary else None,
        finished_at=recording.finished_at,
        detail=msgspec.json.encode(detail).decode(),
    )
    order_register().finish(recording.order_id, record)
    behind = _has_more(recording)
    if behind:
        order_register().reopen(recording.order_id)
    return {"behind": behind}


@bp.activity_trigger(input_name="payload")
def raise_alert(payload: Payload) -> Payload:
    """Keeps the alert and logs it, once for each key; `new` is false for a repeat."""
    alert = decoded(payload, Alert)
    return {"new": alerts().raise_alert(alert.code, alert.text, alert.order_id, alert.key)}


def _has_more(recording: Recording) -> bool:
    return bool(Journal(tables()).read(recording.order_id, after=recording.last_number))

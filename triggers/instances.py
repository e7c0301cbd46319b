"""Questions about orchestration instances that the SDK's client has no words for."""

from typing import Any

import azure.durable_functions as df

from storage.orders import RegisteredOrder

_ENDED = (
    df.OrchestrationRuntimeStatus.Completed,
    df.OrchestrationRuntimeStatus.Failed,
    df.OrchestrationRuntimeStatus.Terminated,
    df.OrchestrationRuntimeStatus.Canceled,
)


def is_running(status: Any) -> bool:
    """Whether an instance, by its `get_status`, exists and has not ended."""
    return bool(status) and status.runtime_status not in _ENDED


def is_unattended(order: RegisteredOrder | None, status: Any) -> bool:
    """Whether an order is open, has no orchestration that runs, and none that the sweep will start.

    `order` is what the register has, None where the orchestration has failed before it came to it. It is to be looked
    up after `status`, since the order may just have ended.
    """
    if is_running(status) or (order is not None and order.record is not None):
        return False
    ended = order.last_end() if order else None
    has_failed = bool(status) and status.runtime_status is not df.OrchestrationRuntimeStatus.Completed
    return has_failed or ended is None or ended.resumption is None


async def start(client: Any, orchestrator: str, instance_id: str, given: object) -> bool:
    """Start an instance; False where one of this id is running. Whatever else goes wrong is raised."""
    try:
        await client.start_new(orchestrator, instance_id, given)
    except Exception:  # the SDK has no exception of its own for 409
        if not is_running(await client.get_status(instance_id)):
            raise
        return False
    return True

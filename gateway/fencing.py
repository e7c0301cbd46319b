"""The last check before the socket."""

from collections.abc import Callable

from fix.config import SessionConfig
from fix.events import SessionEvent
from fix.session import Reading, Session
from fix.store import MemoryStore


class FencedSession(Session):
    """A session that writes only what its process may write, as `may_write` says: while the lease is held, and with
    reserved numbers.

    The check is in the last call before the socket, for orders, heartbeats, resends and Logons alike, because a process
    that was stopped goes on anywhere: with a timer, with what it reads, with the result of a thread. What was held back
    must not leave later, should the lease be renewed after all: so that connection gets nothing more, and `on_cut` is
    told, to end it.

    Nothing leaves either that has a number from `block_end()` on, whatever it was that used the numbers up: a successor
    begins there. The session cannot go on then; its line ends the connection, and reserves more before the next.
    """

    def __init__(
        self,
        config: SessionConfig,
        store: MemoryStore,
        *,
        block_end: Callable[[], int],
        may_write: Callable[[], bool],
        on_cut: Callable[[], None],
    ) -> None:
        super().__init__(config, store)
        self._block_end = block_end
        self._may_write = may_write
        self._on_cut = on_cut
        self._is_cut = False

    @property
    def is_cut(self) -> bool:
        """Whether this connection gets nothing more."""
        return self._is_cut

    def bytes_to_send(self, now: Reading | None = None) -> bytes:
        if self._is_cut or self.next_outbound > self._block_end():
            return b""
        data = super().bytes_to_send(now)
        # Looked at last: to make them takes time, and the process may be stopped meanwhile.
        if self._may_write():
            return data
        self._is_cut = True
        self._on_cut()
        return b""

    def disconnected(self, now: Reading) -> list[SessionEvent]:
        self._is_cut = False
        return super().disconnected(now)

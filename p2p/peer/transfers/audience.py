"""Those who are told of a transfer: the clients that asked for it, and those that follow all of them.

A client that reads slowly must not make the daemon's memory grow. Of what only says how far something is, it misses
what comes before it has read the last. What it must not miss holds up the transfer that it asked for; one that only
follows misses that as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from p2p.console.transfer_operations import Progress, Stalled, TransferEvent

__all__ = ["Audience", "Tell"]

Tell = Callable[[TransferEvent], object]
"""Passes an event on; may return a Deferred that fires when there is room for the next."""

BEHIND: Final = 100
"""Events that one who only follows may be behind by before it misses some."""

_log = Logger()


class _Listener:
    """One of them."""

    def __init__(self, tell: Tell, patient: bool) -> None:
        self._tell = tell
        self._patient = patient
        self._unread: list[Deferred[None]] = []

    def tell(self, event: TransferEvent) -> Deferred[None] | None:
        passing = isinstance(event, Progress | Stalled)
        if self._unread and (passing or (not self._patient and len(self._unread) >= BEHIND)):
            return None
        room = self._tell(event)
        if not isinstance(room, Deferred) or room.called:
            return None
        read: Deferred[None] = Deferred()
        self._unread.append(read)
        room.addBoth(lambda _: self._was_read(read))
        return read if self._patient else None

    def leave(self) -> None:
        """It is gone: nothing waits for it any more."""
        for read in list(self._unread):
            self._was_read(read)

    def _was_read(self, read: Deferred[None]) -> None:
        if read in self._unread:
            self._unread.remove(read)
            read.callback(None)


class Audience:
    """Everybody who is told the same."""

    def __init__(self) -> None:
        self._listeners: list[_Listener] = []

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, tell: Tell, *, patient: bool) -> Callable[[], None]:
        """Tell somebody from now on; the function that is returned ends that.

        :param patient: whether the transfer waits for them.
        """
        listener = _Listener(tell, patient)
        self._listeners.append(listener)

        def leave() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)
                listener.leave()

        return leave

    def tell(self, event: TransferEvent) -> Deferred[Any] | None:
        """Tell everybody; what is returned fires when those have read it who must not miss anything."""
        unread = []
        for listener in list(self._listeners):
            try:
                read = listener.tell(event)
            except Exception:  # noqa: BLE001 - a listener with a fault must not end the transfer; it is logged
                _log.failure("can't tell of transfer {transfer}", transfer=event.transfer)
            else:
                if read is not None:
                    unread.append(read)
        return gatherResults(unread) if unread else None

"""What waits for an end of a control channel that doesn't read."""

from __future__ import annotations

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

__all__ = ["Backlog"]


@implementer(IPushProducer)
class Backlog:
    """Counts what is written while the transport has more than it can send at once.

    :ivar waiting: the bytes written since the transport was full; None while it isn't.
    """

    __slots__ = ("_limit", "waiting")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.waiting: int | None = None

    def add(self, size: int) -> bool:
        """Count a write, and say whether it is within the limit."""
        if self.waiting is None:
            return True
        self.waiting += size
        return self.waiting <= self._limit

    def pauseProducing(self) -> None:
        self.waiting = self.waiting or 0

    def resumeProducing(self) -> None:
        self.waiting = None

    def stopProducing(self) -> None:
        self.waiting = None

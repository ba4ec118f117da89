"""What the other end of a link does too often: it is read more slowly then, and cut off if it goes much too far.

Nobody loses anything by being read slowly who waits for answers, as an honest end does: it has no more than half of the
link's streams under way. Whoever doesn't wait has soon run up more than a link is left unread for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from p2p.base.errors import ProtocolViolation
from p2p.base.rates import Meter

__all__ = ["Conduct"]

STREAMS_PER_S: Final = 5_000.0
"""New streams of the other end a second, in the long run: twice what one processor serves of the smallest."""

STREAM_BURST: Final = 5_000
"""New streams that may come at once before :data:`STREAMS_PER_S` counts."""

BROKEN_PER_S: Final = 200.0
"""Streams of the other end a second that come to nothing: it resets them, or they are refused here."""

BROKEN_BURST: Final = 256
"""Such streams that may come at once: twice as many as an honest end has open."""

ENDURED_S: Final = 1.0
"""Seconds for which a link isn't read at most: an end that has run up more than that is cut off."""


class Conduct:
    """Counts what one end of a link does.

    :param read: is told whether to read on (True), or nothing for now.
    :param reject: is told that the link is to be cut off, and why.
    """

    def __init__(
        self, clock: IReactorTime, read: Callable[[bool], None], reject: Callable[[ProtocolViolation], None]
    ) -> None:
        self._clock = clock
        self._read = read
        self._reject = reject
        self._new = Meter(STREAMS_PER_S, STREAM_BURST)
        self._broken = Meter(BROKEN_PER_S, BROKEN_BURST)
        self._refused: set[int] = set()  # of the streams that live
        self._pause: IDelayedCall | None = None
        self._over = False

    def opened(self) -> None:
        """It opened a stream."""
        self._charge(self._new, "opens streams")

    def broke(self, stream_id: int) -> None:
        """It reset a stream of its own; one whose exchange was refused counts already."""
        if stream_id not in self._refused:
            self._charge(self._broken, "opens streams that come to nothing")

    def refused(self, stream_id: int | None = None) -> None:
        """An exchange of its was refused, on a stream that lives, or a stream itself."""
        if stream_id is not None:
            self._refused.add(stream_id)
        self._charge(self._broken, "opens streams that come to nothing")

    def forget(self, stream_id: int) -> None:
        """A stream lives no more."""
        self._refused.discard(stream_id)

    def end(self) -> None:
        """The link is gone."""
        self._over = True
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def _charge(self, meter: Meter, what: str) -> None:
        wait = meter.take(self._clock.seconds())
        if not wait or self._over:
            return
        if wait > ENDURED_S:
            self.end()
            self._reject(ProtocolViolation(f"it {what}, far too many a second"))
        elif self._pause is None:
            self._read(False)
            self._pause = self._clock.callLater(wait, self._look)

    def _look(self) -> None:
        now = self._clock.seconds()
        wait = max(self._new.owed(now), self._broken.owed(now))
        self._pause = self._clock.callLater(wait, self._look) if wait else None
        if not wait:
            self._read(True)

"""Dialling the addresses at which the other end of a request may be, one soon after another (RFC 8305, section 5)."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from p2p.base.errors import DialFailure

__all__ = ["HOLD_S", "STAGGER_S", "Dialling", "Race"]

STAGGER_S: Final = 0.25
"""Seconds between the beginning of one dial and of the next, while the first hasn't come to anything."""

HOLD_S: Final = 0.25
"""Seconds for which a handshake under way holds further dials back: it may well become the link. A stranger who came
in the other's place, and says nothing, costs no more than that."""

LEAST_S: Final = 0.01
"""Seconds between two looks at least."""

_FAILURES: Final = {
    errno.ECONNREFUSED: DialFailure.REFUSED,
    errno.ETIMEDOUT: DialFailure.SILENT,
    errno.ENETUNREACH: DialFailure.UNREACHABLE,
    errno.EHOSTUNREACH: DialFailure.UNREACHABLE,
    errno.EAFNOSUPPORT: DialFailure.UNREACHABLE,
    errno.EPERM: DialFailure.FORBIDDEN,
    errno.EACCES: DialFailure.FORBIDDEN,
}


class Dialling(Protocol):
    """What dials, and knows what has come of it: a :class:`~p2p.peer.dialling.Gate`."""

    def dial(self, host: str, port: int, seconds: float) -> Deferred[None]:
        """Connect, and let what is connected go on to become the link."""

    def handshake_age(self) -> float | None:
        """Seconds since the latest handshake that is under way began; None if there is none."""


class Race:
    """Dials endpoints until it is stopped, because one became the link, or nothing is left to hope for.

    :param endpoints: addresses and ports, best first.
    :param seconds: until when they are dialled, from now on.
    :param over: is told whenever all of them have come to nothing.
    """

    def __init__(
        self,
        clock: IReactorTime,
        dialling: Dialling,
        endpoints: Sequence[tuple[str, int]],
        seconds: float,
        over: Callable[[], object],
    ) -> None:
        self._clock = clock
        self._dialling = dialling
        self._left = list(endpoints)
        self._until = clock.seconds() + seconds
        self._over = over
        self._under_way: dict[Deferred[None], tuple[str, int]] = {}
        self._coming: dict[str, None] = {}  # addresses from which this very connection comes in
        self._next: IDelayedCall | None = None
        self._ended = self._stopped = False
        self._failures: dict[str, DialFailure] = {}

    @property
    def running(self) -> bool:
        """Whether something may still come of it."""
        return not self._ended

    @property
    def failures(self) -> list[tuple[str, DialFailure]]:
        """The addresses that were dialled in vain, and how the last dial of each ended."""
        return list(self._failures.items())

    def begin(self) -> None:
        """Dial the first."""
        self._look()

    def also(self, endpoints: Iterable[tuple[str, int]]) -> None:
        """Dial these as well, be it once more."""
        if not self._stopped:
            self._left += endpoints
            self._ended = False
            self._look_now()

    def stop(self) -> None:
        """Dial no more, and give up what is under way."""
        self._ended = self._stopped = True
        if self._next is not None:
            self._next.cancel()
            self._next = None
        for dial in list(self._under_way):
            dial.cancel()

    def broke(self, host: str) -> None:
        """What a dial to an address had connected to ended before it was the link."""
        if not self._ended:
            self._failed(host, DialFailure.NO_LINK)

    def _look(self) -> None:
        self._next = None
        if self._ended:
            return
        now = self._clock.seconds()
        age = self._dialling.handshake_age()
        if age is not None and (age < HOLD_S or now >= self._until):
            self._look_in(max(HOLD_S - age, HOLD_S if now >= self._until else 0.0))
        elif now >= self._until:
            self._failures.update(dict.fromkeys(self._coming, DialFailure.SILENT))
            self._end()
        elif self._left:
            self._dial(*self._left.pop(0), self._until - now)
            if self._left:
                self._look_in(STAGGER_S)
        elif self._coming or age is not None:
            self._look_in(min(HOLD_S, self._until - now))
        elif not self._under_way:
            self._end()

    def _look_in(self, seconds: float) -> None:
        if self._next is None and not self._ended:
            self._next = self._clock.callLater(max(seconds, LEAST_S), self._look)

    def _dial(self, host: str, port: int, seconds: float) -> None:
        dial = self._dialling.dial(host, port, seconds)
        self._under_way[dial] = host, port
        dial.addBoth(self._dialled, dial, host)

    def _dialled(self, result: Failure | None, dial: Deferred[None], host: str) -> None:
        del self._under_way[dial]
        if self._ended:
            if isinstance(result, Failure):
                result.trap(CancelledError, OSError)
            return
        if isinstance(result, Failure):
            error = result.check(OSError) and result.value
            number = getattr(error, "errno", None)
            if number == errno.EADDRNOTAVAIL:
                self._coming[host] = None  # two connections between the same ports can't be: it is coming in
                self._look_in(HOLD_S)
            else:
                self._failed(host, _FAILURES.get(number or 0, DialFailure.OTHER))
        else:
            self._look_in(HOLD_S)

    def _failed(self, host: str, failure: DialFailure) -> None:
        self._failures[host] = failure
        self._look_now()

    def _look_now(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._look()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._over()

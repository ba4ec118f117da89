"""How fast something goes: a rate that is measured, and limits of bytes, of requests and of anything a second.

Pure: time is an argument, in seconds of any clock that never goes back.
"""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["BURST_S", "GRAIN_S", "Meter", "Pace", "Quota", "Rate"]

BURST_S: Final = 0.25
"""Seconds for which a sender that has waited may make up: what a busy machine needs to keep a rate at all."""

GRAIN_S: Final = 0.001
"""Seconds below which bytes needn't wait: timers aren't finer, and the next bytes wait for it."""

_WINDOW_S: Final = 3.0
_APART_S: Final = 0.1


class Pace:
    """A token bucket, empty at first: from the start on, no more bytes go than the seconds by then allow, and in any
    stretch of time no more than its seconds and a quarter of one do.

    A piece that is larger than that goes whole, when enough time has passed for all of it.

    :param bytes_per_s: the limit, at least 1.
    :param now: the time of the start.
    :ivar burst: bytes that may go at once. What is handed over in pieces of at most so many bytes flows evenly.
    """

    __slots__ = ("_bytes_per_s", "_due", "burst")

    def __init__(self, bytes_per_s: int, now: float) -> None:
        if bytes_per_s < 1:
            raise ValueError(f"a limit of {bytes_per_s} bytes a second lets nothing through")
        self._bytes_per_s = bytes_per_s
        self._due = now  # when all so far would have gone at an even rate, and no earlier than a burst ago
        self.burst = max(int(bytes_per_s * BURST_S), 1)

    def delay(self, size: int, now: float) -> float:
        """Reserve the passage of so many bytes, and return in how many seconds they may go: 0 for at once."""
        self._due = max(self._due, now - BURST_S) + size / self._bytes_per_s
        wait = self._due - now
        return wait if wait >= GRAIN_S else 0.0


class Rate:
    """The growth a second over the last three seconds.

    :param total: how much there is at first.
    """

    def __init__(self, now: float, total: int) -> None:
        self._seen = deque([(now, total)])

    def add(self, now: float, total: int) -> None:
        """So much there is now."""
        if len(self._seen) > 1 and self._seen[-1][0] - self._seen[-2][0] < _APART_S:
            self._seen.pop()
        self._seen.append((now, total))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW_S:
            self._seen.popleft()

    def a_second(self, now: float) -> float:
        """The growth a second until now, 0 if no time has passed."""
        began, first = self._seen[0]
        return (self._seen[-1][1] - first) / (now - began) if now > began else 0.0


class Meter:
    """Charges for what happens, and says how long whoever causes it has to wait until that is paid for.

    The generic cell rate algorithm (ITU-T I.371) as virtual scheduling: ``burst`` at once cost no wait, each that
    comes earlier than ``rate`` a second allow puts the end of the wait off further.

    :param rate: how many a second in the long run; more than 0.
    :param burst: how many at once; 0 if each has to wait for its time.
    """

    __slots__ = ("_ahead", "_due", "_each")

    def __init__(self, rate: float, burst: float = 0.0) -> None:
        if rate <= 0 or burst < 0:
            raise ValueError(f"a rate is above 0 and a burst isn't below it, not {rate} and {burst}")
        self._each = 1 / rate
        self._ahead = burst / rate
        self._due = 0.0  # when all so far would have happened at an even rate

    def owed(self, now: float) -> float:
        """Seconds until all so far is paid for."""
        return self._over(self._due, now)

    def wait(self, now: float) -> float:
        """Seconds until one more would cost no wait, 0 if it wouldn't now; charges nothing."""
        return self._over(max(self._due, now) + self._each, now)

    def take(self, now: float) -> float:
        """Charge for one more.

        :returns: seconds until it and all before are paid for, 0 if they are.
        """
        self._due = max(self._due, now) + self._each
        return self._over(self._due, now)

    def _over(self, due: float, now: float) -> float:
        wait = due - now - self._ahead
        return wait if wait > 1e-9 else 0.0  # what is left of adding many small numbers is no wait


class Quota:
    """What one end may ask of another, and when who asks too much shall ask again.

    Questions beyond the rate are put off one behind the other, so that each finds its place free when its time has
    come. Whoever keeps to that never has more than its own questions under way waiting; whoever doesn't has, after
    ``burst`` of them, used up its second chances as well.

    :param rate: questions a second in the long run.
    :param burst: questions at once, and second chances at once.
    :ivar pressed: whether half of the second chances were used up by the last question.
    :ivar abused: whether more than all of them have been used up.
    """

    __slots__ = ("_chances", "_longest", "_meter", "abused", "pressed")

    def __init__(self, rate: float, burst: float) -> None:
        self._meter = Meter(rate, burst)
        self._chances = Meter(rate)
        self._longest = burst / rate
        self.pressed = self.abused = False

    def ask(self, now: float) -> float:
        """Take a question.

        :returns: 0 if it may be answered; else the seconds after which to ask it again.
        """
        if not self._meter.wait(now):
            self._meter.take(now)
            self.pressed = False
            return 0.0
        wait = self._chances.take(now)
        self.pressed = wait > self._longest / 2 + 1e-9
        self.abused = self.abused or wait > self._longest + 1e-9
        return wait

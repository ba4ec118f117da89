"""How fast something goes: a rate that is measured, and limits of bytes and of requests a second.

Pure: time is an argument, in seconds of any clock that never goes back.
"""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["BURST_S", "Pace", "Rate", "TokenBucket"]

BURST_S: Final = 0.25
"""Seconds for which a sender that has waited may make up: what a busy machine needs to keep a rate at all."""

_WINDOW_S: Final = 3.0
_APART_S: Final = 0.1


class Pace:
    """A token bucket: in no stretch of time go more bytes than its seconds and a quarter of one allow.

    A piece that is larger than that goes whole, when enough time has passed for all of it.

    :param bytes_per_s: the limit, at least 1.
    :param now: the time when the bucket is full.
    :ivar burst: bytes that may go at once. What is handed over in pieces of at most so many bytes flows evenly.
    """

    __slots__ = ("_bytes_per_s", "_due", "burst")

    def __init__(self, bytes_per_s: int, now: float) -> None:
        if bytes_per_s < 1:
            raise ValueError(f"a limit of {bytes_per_s} bytes a second lets nothing through")
        self._bytes_per_s = bytes_per_s
        self._due = now - BURST_S  # when all so far would have gone at an even rate, and no earlier than a burst ago
        self.burst = max(int(bytes_per_s * BURST_S), 1)

    def delay(self, size: int, now: float) -> float:
        """Reserve the passage of so many bytes, and return in how many seconds they may go: 0 for at once."""
        self._due = max(self._due, now - BURST_S) + size / self._bytes_per_s
        return max(self._due - now, 0.0)


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


class TokenBucket:
    """Lets ``burst`` requests through at once and ``rate`` a second in the long run.

    :param rate: tokens that come back each second; more than 0.
    :param burst: tokens that the bucket holds at most; at least 1.
    :param now: the time when the bucket is full.
    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError(f"a bucket needs a rate above 0 and a burst of at least 1, not {rate} and {burst}")
        self._rate = rate
        self._burst = float(burst)
        self._tokens = self._burst
        self._at = now

    def take(self, now: float) -> float:
        """Take a token.

        :returns: 0 if there was one; else the seconds until there is, and nothing was taken.
        """
        self._tokens = min(self._burst, self._tokens + max(now - self._at, 0.0) * self._rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate

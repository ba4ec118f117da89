"""How much one side may ask: a rate with a burst, and a number of things under way. Pure; time is an argument."""

from __future__ import annotations

__all__ = ["Slots", "TokenBucket"]


class TokenBucket:
    """Lets ``burst`` requests through at once and ``rate`` a second in the long run.

    :param rate: tokens that come back each second; more than 0.
    :param burst: tokens that the bucket holds at most; at least 1.
    :param now: the time in seconds, of any clock that never goes back.
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


class Slots:
    """Counts what is under way, up to a limit.

    :ivar limit: the most that may be under way.
    :ivar used: how many are under way now.
    """

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def enter(self) -> bool:
        """Take a slot; say whether there was one."""
        if self.used >= self.limit:
            return False
        self.used += 1
        return True

    def leave(self) -> None:
        """Give a slot back.

        :raises ValueError: if none is taken, which is a fault of the caller.
        """
        if not self.used:
            raise ValueError("no slot is taken")
        self.used -= 1

"""How long the other end of a connection has been silent. Pure: the time, monotonic seconds, is an argument."""

from __future__ import annotations

import math

__all__ = ["Silence"]


class Silence:
    """When to ping the other end, and when to cut it off; to be looked at when the earlier of both is due.

    Hearing something only moves both away, so nobody needs a timer for each byte: who looks too early looks again.

    :param limit_s: seconds without a byte after which it is cut off. It is pinged after each third of them.
    :ivar heard: when something came from there last.
    """

    __slots__ = ("_answer_by", "_doubted", "_limit_s", "_pinged", "heard")

    def __init__(self, limit_s: float, now: float) -> None:
        self._limit_s = limit_s
        self._pinged = -math.inf
        self._doubted = self._answer_by = -math.inf
        self.heard = now

    @property
    def over_at(self) -> float:
        """When it is to be cut off."""
        over_at = self.heard + self._limit_s
        return over_at if self.heard >= self._doubted else min(over_at, self._answer_by)

    @property
    def reason(self) -> str:
        """Why it is cut off then, to go after a name."""
        if self.over_at < self.heard + self._limit_s:
            return (
                f"didn't answer within {self._answer_by - self._doubted:g} s after this machine's network had changed"
            )
        return f"was silent for {self._limit_s:g} s"

    @property
    def ping_at(self) -> float:
        """When it is to be pinged."""
        return max(self.heard, self._pinged) + self._limit_s / 3

    def pinged(self, now: float) -> None:
        """Say that a ping leaves now."""
        self._pinged = now

    def slept(self, seconds: float, now: float) -> None:
        """This machine slept: the clock stood still, but the other end's may not have, so a ping is due at once.

        The sleep counts as silence, but a third of the limit is left for the answer.
        """
        third = self._limit_s / 3
        self._pinged = -math.inf
        self.heard = max(min(self.heard - seconds, now - third), min(self.heard, now - 2 * third))

    def doubted(self, now: float, answer_s: float) -> None:
        """The way to the other end may be gone: a ping is due at once, and something must be heard within so long."""
        self._pinged = -math.inf
        self.heard = min(self.heard, now - self._limit_s / 3)
        self._doubted, self._answer_by = now, now + answer_s

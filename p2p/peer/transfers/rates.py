"""How fast something grows. Pure: time is an argument."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["Rate"]

_WINDOW_S: Final = 3.0
_APART_S: Final = 0.1


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

"""When a transfer whose session ended badly is begun again. Pure: time and chance are arguments.

A broken link, a peer that restarts, a router that is away: all that passes, so the transfer waits and tries again, a
little longer each time. What somebody decided (``refused``), what doesn't exist (a name nobody ever had) and what came
out wrong (``corrupt``) wouldn't be different the next time.
"""

from __future__ import annotations

from typing import Final

from p2p.base.errors import Outcome

__all__ = ["FIRST_S", "LONGEST_S", "Retries", "time_left"]

FIRST_S: Final = 0.5
"""Seconds before the second session; it doubles from there."""

LONGEST_S: Final = 30.0
"""Seconds between two sessions at most, give or take a quarter."""

_PASSES: Final = frozenset(
    {Outcome.RESET, Outcome.TRUNCATED, Outcome.TIMEOUT, Outcome.CONNECT_FAILED, Outcome.CLUSTER_UNREACHABLE}
)
"""Outcomes of what may be gone in a moment."""

_MOST_DOUBLINGS: Final = 6  # 0.5 s doubled so often is more than the longest


class Retries:
    """The tries of one transfer.

    :param deadline: when to give up, seconds of the clock that all times here are of.
    :param patience_s: how long after content has moved the deadline is at least.
    :param stood: whether the peer has ever taken part in this transfer.
    :ivar deadline: when to give up now.
    :ivar stood: as above.
    :ivar patience_s: as above.
    :ivar expired: whether it is the deadline that makes this session the last.
    """

    def __init__(self, deadline: float, patience_s: float, *, stood: bool) -> None:
        self.deadline = deadline
        self.stood = stood
        self.patience_s = patience_s
        self.expired = False
        self._failures = 0

    def moved(self, now: float) -> None:
        """Content moved, so the peer is there: what breaks from now on begins to count anew."""
        self.stood = True
        self._failures = 0
        self.deadline = max(self.deadline, now + self.patience_s)

    def failed(self, outcome: Outcome, now: float, chance: float) -> float | None:
        """Seconds until the next session; None if this was the last.

        :param outcome: how the session ended.
        :param chance: from 0 to 1, so that those who broke off together don't come back together.
        """
        passes = outcome in _PASSES or (outcome is Outcome.UNKNOWN_PEER and self.stood)
        self.expired = passes and now >= self.deadline
        if not passes or self.expired:
            return None
        wait = min(FIRST_S * 2.0**self._failures, LONGEST_S) * (0.75 + 0.5 * chance)
        self._failures = min(self._failures + 1, _MOST_DOUBLINGS)
        return min(wait, self.deadline - now)


def time_left(left_s: float, read_at: float, now: float, *, same_boot: bool) -> float:
    """Seconds that a transfer has left, by what was written down of it; none is less than 0, and allows one try.

    A daemon that is started again counts the time that it wasn't there. After a reboot nobody knows how long that was:
    the monotonic clock has begun anew, and the wall clock may have been set, so none of it is counted.

    :param left_s: the seconds that were left when it was written down.
    :param read_at: when that was, seconds of the monotonic clock.
    :param same_boot: whether the machine has run since then.
    """
    passed = max(now - read_at, 0.0) if same_boot else 0.0
    return max(left_s - passed, 0.0)

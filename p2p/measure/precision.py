"""How precise a comparison is, when it is precise enough, and how many repetitions it would take.

A run may go on until its intervals are narrow. That must never depend on where they lie: whoever stops as soon as the
verdict pleases gets the verdict that pleases. So the rule sees the spread of the ratios alone. Even so, an interval is
narrower at the moment when it is narrow enough than it deserves, and more so the more often one looks; hence eight
repetitions at least, and a look after every fourth. ``bench/verdicts.py`` shows what that comes to. Needs the extra
``report``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from scipy.special import stdtr

from p2p.measure.estimates import Middle, Values, freedom, reach

__all__ = ["EACH", "FEWEST", "POWER", "SHARE", "is_look", "is_precise", "repetitions_needed", "widest"]

FEWEST: Final = 8
"""Repetitions before a run may stop for being precise."""

EACH: Final = 4
"""Repetitions from one look to the next."""

SHARE: Final = 1 / 3
"""Of the margin that an interval may reach to either side, so that *equivalent* comes out where nothing differs, at
every level and for every pair at once."""

POWER: Final = 0.8

MOST: Final = 1_000_000
"""Repetitions; whoever needs more needs another experiment."""


def is_look(repetitions: int) -> bool:
    """Whether a run may look, after so many repetitions, if it is precise enough."""
    return repetitions >= FEWEST and repetitions % EACH == 0


def widest(logs: Iterable[Values]) -> float:
    """How far the widest interval reaches to either side, as a share; infinite where one can't be had.

    :param logs: the logarithms of ratios of each pair at each level, one of each repetition.
    """
    middles = [Middle.of(one) for one in logs]
    if not middles or any(one.count < 2 for one in middles):
        return math.inf
    return math.expm1(max(one.half_width for one in middles))


def is_precise(logs: Sequence[Values], margin: float, half_width: float | None = None) -> bool:
    """Whether a run may stop: now is a time to look, and every interval is narrow enough.

    :param logs: as for :func:`widest`.
    :param margin: of equivalence, as a share.
    :param half_width: how far an interval may reach to either side, as a share; without it, a third of the margin.
    """
    fewest = min((len(one) for one in logs), default=0)
    allowed = math.expm1(math.log1p(margin) * SHARE) if half_width is None else half_width
    return is_look(fewest) and widest(logs) <= allowed


def repetitions_needed(middles: Sequence[Middle], margin: float, power: float = POWER) -> int | None:
    """How many repetitions show equivalence with this power, at every level and for every pair, if nothing differs.

    :return: None if it would be more than a million, or nothing is known of the spread.
    """
    known = [one for one in middles if one.count > 1 and one.error > 0]
    if not known or _power(known, margin, MOST) < power:
        return None
    low, high = 2, MOST
    while low < high:
        middle = (low + high) // 2
        if _power(known, margin, middle) < power:
            low = middle + 1
        else:
            high = middle
    return low


def _power(middles: Sequence[Middle], margin: float, repetitions: int) -> float:
    """The chance that all intervals lie within the margin, taking them for independent."""
    degrees = freedom(repetitions)
    chance = 1.0
    for one in middles:
        error = one.error * math.sqrt(one.count / repetitions)
        chance *= max(0.0, 2 * float(stdtr(degrees, math.log1p(margin) / error - reach(degrees))) - 1)
    return chance

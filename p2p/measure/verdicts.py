"""Verdicts: are conditions equivalent, do they differ, or can't that be said? Needs the extra ``report``.

What is judged is the ratio of two conditions at one level: one size, one number of pairs, one load. Its observations
are repetitions, and the tests are about the middle of their logarithms, the trimmed mean. Equivalence takes every level
of every pair; a difference takes one level that lies beyond the margin, after a correction for all that a report looks
at. docs/raw-data.rst says what is tested how, and when the verdict is which.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from p2p.measure.estimates import RESAMPLES, Middle
from p2p.measure.matched import Matched
from p2p.measure.precision import repetitions_needed

__all__ = [
    "ALPHA",
    "FEWEST",
    "Comparison",
    "Criteria",
    "EquivalenceVerdict",
    "Friedman",
    "Inquiry",
    "LevelRatio",
    "ResearchQuestion",
    "VerdictOutcome",
    "judge",
]

ALPHA: Final = 0.05
FEWEST: Final = 6
"""With fewer repetitions there is no verdict: the tests would rest on their assumptions alone."""

SAME: Final = 1e-9
"""Logarithms of ratios that are no further apart are the same; what is left is rounding."""

VerdictOutcome = Literal["equivalent", "differs", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Criteria:
    """By what a verdict is reached.

    :ivar margin: as a share. 0.05 means that ratios from 1/1.05 to 1.05 count as equal, whichever way they are taken.
    :ivar resamples: of the bootstrap, which no verdict depends on.
    """

    margin: float = 0.05
    seed: int = 0
    resamples: int = RESAMPLES

    @property
    def bound(self) -> float:
        """The margin on the scale of logarithms."""
        return math.log1p(self.margin)


@dataclass(frozen=True, slots=True)
class ResearchQuestion:
    """What is asked.

    :ivar kind: ``types``, ``content``, ``label``, ``runs`` or ``sampling``.
    """

    kind: str
    arm: str
    metric: str
    quantity: str


@dataclass(frozen=True, slots=True)
class LevelRatio:
    """The ratio of b to a at one level: the geometric mean without a fifth at each end, and its 95 % interval.

    :ivar count: repetitions with both.
    :ivar low: None, as ``high``, where there are too few repetitions, or all are the same.
    :ivar p_beyond: of the test that the ratio is outside the margin, after Holm's correction over all tests of the
        report.
    """

    factors: dict[str, str | int]
    count: int
    ratio: float
    low: float | None = None
    high: float | None = None
    p_beyond: float | None = None
    outcome: VerdictOutcome = "inconclusive"

    @property
    def reach(self) -> float:
        """How far the interval reaches from 1, as a factor, either way; infinite without one."""
        if self.low is None or self.high is None:
            return math.inf
        return max(1 / self.low, self.high)

    @property
    def distance(self) -> float:
        """How far the ratio is from 1, as a factor, either way."""
        return math.exp(abs(math.log(self.ratio)))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two conditions, the ratio of b to a, level by level.

    :ivar reason: why no test could be made, else empty.
    :ivar p_difference: of Wilcoxon's signed-rank test over all levels, after Holm's correction over the pairs of the
        verdict; for information, no verdict depends on it. None with fewer than six observations.
    """

    a: str
    b: str
    levels: tuple[LevelRatio, ...] = ()
    outcome: VerdictOutcome = "inconclusive"
    reason: str = ""
    p_difference: float | None = None

    @property
    def farthest(self) -> LevelRatio | None:
        """The level whose interval reaches farthest from 1; None if there is no level."""
        return max(self.levels, key=lambda one: (one.reach, one.distance), default=None)

    @property
    def most_different(self) -> LevelRatio | None:
        """The level that differs most, of those that do."""
        differing = [one for one in self.levels if one.outcome == "differs"]
        return max(differing, key=lambda one: one.distance, default=None)


@dataclass(frozen=True, slots=True)
class Friedman:
    """Friedman's test over all conditions of a verdict, with Kendall's W, from 0 (no order) to 1 (always the same).

    It is for information: however small a difference is, with enough sets it gets a small p.
    """

    sets: int
    statistic: float
    p: float
    kendall_w: float


@dataclass(frozen=True, slots=True)
class EquivalenceVerdict:
    """A verdict with everything that it rests on.

    :ivar reason: why no test could be made, else empty.
    :ivar friedman: None for fewer than three conditions, or if it can't be had.
    :ivar tests: how many tests for a difference the report makes; Holm's correction is for all of them.
    :ivar needed: repetitions with which equivalence would be shown with a power of 80 %, if nothing differs and the
        noise stays as it is; None if that can't be said.
    """

    question: ResearchQuestion
    outcome: VerdictOutcome
    reason: str
    margin: float
    conditions: tuple[str, ...]
    friedman: Friedman | None
    comparisons: tuple[Comparison, ...]
    tests: int = 0
    needed: int | None = None

    @property
    def farthest(self) -> tuple[Comparison, LevelRatio] | None:
        """The comparison and its level whose interval reaches farthest from 1; None if none has an interval."""
        found = [(one, level) for one in self.comparisons for level in one.levels if level.low is not None]
        return max(found, key=lambda pair: pair[1].reach, default=None)

    @property
    def most_different(self) -> tuple[Comparison, LevelRatio] | None:
        """The comparison and its level that differ most, of those that do."""
        found = [(one, level) for one in self.comparisons if (level := one.most_different) is not None]
        return max(found, key=lambda pair: pair[1].distance, default=None)

    @property
    def ruled_out(self) -> float | None:
        """The share by which no two conditions differ at any level; None if a level has no interval.

        Every level is tested for itself at the same level of significance, so all of them hold at once.
        """
        reaches = [level.reach for one in self.comparisons for level in one.levels]
        if not reaches or any(not one.levels for one in self.comparisons) or math.inf in reaches:
            return None
        return max(reaches) - 1


@dataclass(frozen=True)
class Inquiry:
    """What a verdict is to be reached on.

    :ivar pairs: which conditions are compared.
    :ivar matched: the ratios of these pairs at each level.
    :ivar cells: a row a set, a column a condition: logarithms, for Friedman's test.
    """

    question: ResearchQuestion
    conditions: Sequence[str]
    pairs: Sequence[tuple[str, str]]
    matched: Sequence[Matched]
    cells: pd.DataFrame
    margin: float


def judge(asked: Sequence[Inquiry]) -> tuple[EquivalenceVerdict, ...]:
    """Reach all verdicts of a report: the correction for the number of tests is one for all of them."""
    compared = [[_compare(one, a, b) for a, b in one.pairs] for one in asked]
    adjusted = iter(_holm([level.p_beyond for many in compared for one in many for level in one.levels]))
    tests = sum(level.p_beyond is not None for many in compared for one in many for level in one.levels)
    return tuple(
        _verdict(one, [_concluded(each, adjusted, one.margin) for each in many], tests)
        for one, many in zip(asked, compared, strict=True)
    )


# -- tests ----------------------------------------------------------------------------------------------------------


def _compare(asked: Inquiry, a: str, b: str) -> Comparison:
    for name in (a, b):
        if name not in asked.cells or asked.cells[name].isna().all():
            return Comparison(a, b, reason=f"no exchange of {name} gave a figure")
    found = [one for one in asked.matched if (one.a, one.b) == (a, b)]
    levels = tuple(_level(one, math.log1p(asked.margin)) for one in found)
    fewest = min((one.count for one in levels), default=0)
    if fewest < FEWEST:
        times = "1 repetition" if fewest == 1 else f"{fewest} repetitions"
        return Comparison(a, b, levels, reason=f"{times} with both {a} and {b}, and a verdict takes at least {FEWEST}")
    if any(one.low is None for one in levels):
        return Comparison(
            a, b, levels, reason=f"the ratio of {b} to {a} is always the same, so nothing tells how sure it is"
        )
    pooled = np.concatenate([one.logs for one in found])
    return Comparison(a, b, levels, p_difference=float(stats.wilcoxon(pooled).pvalue))


def _level(matched: Matched, bound: float) -> LevelRatio:
    middle = Middle.of(matched.logs)
    if middle.count < FEWEST or middle.error <= SAME:
        return LevelRatio(matched.factors, middle.count, math.exp(middle.mean))
    low, high = middle.mean - middle.half_width, middle.mean + middle.half_width
    # Two tests in one: Bonferroni's correction for the side.
    beyond = min(1.0, 2 * min(middle.p_above(bound), middle.p_below(-bound)))
    return LevelRatio(matched.factors, middle.count, math.exp(middle.mean), math.exp(low), math.exp(high), beyond)


def _holm(values: list[float | None]) -> list[float | None]:
    """Correct for the number of tests (Holm 1979)."""
    there = [value for value in values if value is not None]
    if len(there) < 2:
        return values  # of a single test there is nothing to correct
    gc.freeze()  # multipletests collects garbage each time: a tenth of a second for everything else that is there
    try:
        corrected = iter(multipletests(there, alpha=ALPHA, method="holm")[1].tolist())
    finally:
        gc.unfreeze()
    return [None if value is None else float(next(corrected)) for value in values]


def _friedman(cells: pd.DataFrame, conditions: Sequence[str]) -> Friedman | None:
    """Test whether any condition differs; None for fewer than three, too few complete sets, or ties alone."""
    complete = cells.reindex(columns=list(conditions)).dropna().to_numpy(dtype=np.float64)
    sets, number = complete.shape
    if number < 3 or sets < FEWEST or np.all(np.ptp(complete, axis=1) == 0):
        return None
    result = stats.friedmanchisquare(*complete.T)
    statistic = float(result.statistic)
    return Friedman(sets, statistic, float(result.pvalue), statistic / (sets * (number - 1)))


# -- conclusions ----------------------------------------------------------------------------------------------------


def _concluded(one: Comparison, adjusted: Iterator[float | None], margin: float) -> Comparison:
    """Conclude from the tests: one level beyond the margin is a difference, equivalence takes all of them."""
    levels = tuple(_decided(replace(level, p_beyond=next(adjusted)), margin) for level in one.levels)
    outcome: VerdictOutcome = "inconclusive"
    if any(level.outcome == "differs" for level in levels):
        outcome = "differs"
    elif not one.reason and all(level.outcome == "equivalent" for level in levels):
        outcome = "equivalent"
    return replace(one, levels=levels, outcome=outcome)


def _decided(level: LevelRatio, margin: float) -> LevelRatio:
    if level.p_beyond is not None and level.p_beyond < ALPHA:
        return replace(level, outcome="differs")
    # The interval of 95 % belongs to two one-sided tests of 2.5 % each.
    return replace(level, outcome="equivalent") if level.reach < 1 + margin else level


def _verdict(asked: Inquiry, comparisons: list[Comparison], tests: int) -> EquivalenceVerdict:
    differences = _holm([one.p_difference for one in comparisons])
    comparisons = [replace(one, p_difference=p) for one, p in zip(comparisons, differences, strict=True)]
    outcome, reason = _outcome(comparisons, asked.conditions)
    return EquivalenceVerdict(
        question=asked.question,
        outcome=outcome,
        reason=reason,
        margin=asked.margin,
        conditions=tuple(asked.conditions),
        friedman=_friedman(asked.cells, asked.conditions),
        comparisons=tuple(comparisons),
        tests=tests,
        needed=repetitions_needed([Middle.of(one.logs) for one in asked.matched], asked.margin),
    )


def _outcome(comparisons: list[Comparison], conditions: Sequence[str]) -> tuple[VerdictOutcome, str]:
    """One pair that differs is a difference; equivalence takes all of them."""
    if not comparisons:
        if not conditions:
            return "inconclusive", "no block is finished"
        return "inconclusive", f"{conditions[0]} is the only condition, so there is nothing to compare it with"
    if any(one.outcome == "differs" for one in comparisons):
        return "differs", ""
    if all(one.outcome == "equivalent" for one in comparisons):
        return "equivalent", ""
    return "inconclusive", next((one.reason for one in comparisons if one.reason), "")

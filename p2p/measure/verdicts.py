"""Verdicts: are conditions equivalent, do they differ, or can't that be said? Needs the extra ``report``.

What is compared is blocks of one set: the same size, pairs, load and repetition, under each condition. The ratio of two
of them is one observation, and the tests are about the middle of the logarithms, their trimmed mean. Between runs all
sets of a repetition make one observation, their mean: what drifted meanwhile moved all of them. Every figure is the
work of scipy or statsmodels; docs/raw-data.rst says what is tested how, and when the verdict is which.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from p2p.measure.estimates import RESAMPLES, Estimate, Middle, Values, estimate

__all__ = [
    "ALPHA",
    "FEWEST",
    "Comparison",
    "Criteria",
    "EquivalenceVerdict",
    "Friedman",
    "LevelRatio",
    "ResearchQuestion",
    "VerdictOutcome",
    "judge",
]

ALPHA: Final = 0.05
FEWEST: Final = 5
"""With fewer observations there is no verdict: the tests would rest on their assumptions alone."""

FEWEST_OF_LEVEL: Final = 3
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

    @property
    def percent(self) -> str:
        """The margin in words."""
        return f"±{self.margin * 100:g} %"


@dataclass(frozen=True, slots=True)
class ResearchQuestion:
    """What is asked, in the words of the sentence: ``{scope}: text and audio differ in {quantity}``.

    :ivar kind: ``types``, ``content``, ``label``, ``runs`` or ``sampling``.
    :ivar unit: what one observation is, in the words of the sentence.
    """

    kind: str
    arm: str
    metric: str
    quantity: str
    scope: str
    unit: Literal["block set", "repetition"] = "block set"


@dataclass(frozen=True, slots=True)
class LevelRatio:
    """The ratio of b to a at one size, one number of pairs and one load alone: the middle and its 90 % interval.

    :ivar p_beyond: of the test that the ratio is outside the margin, after Holm's correction over all levels and pairs.
    """

    factors: dict[str, str | int]
    sets: int
    ratio: float
    low: float | None = None
    high: float | None = None
    p_beyond: float | None = None

    @property
    def is_beyond(self) -> bool:
        """Whether it is shown to be outside the margin."""
        return self.p_beyond is not None and self.p_beyond < ALPHA


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two conditions, the ratio of b to a; figures that can't be had are None.

    :ivar observations: how many there are: block sets with both, or repetitions, as ``unit`` says.
    :ivar ratio: the geometric mean without a fifth at each end, with the 90 % interval that the two one-sided tests
        correspond to.
    :ivar median_ratio: the median with its 95 % interval.
    :ivar p_equivalence: of the two one-sided tests.
    :ivar p_difference: of Wilcoxon's signed-rank test, and ``p_holm`` after the correction over all pairs.
    :ivar reason: why it is inconclusive, else empty.
    """

    a: str
    b: str
    observations: int
    unit: str
    outcome: VerdictOutcome = "inconclusive"
    reason: str = ""
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    median_ratio: Estimate | None = None
    p_equivalence: float | None = None
    p_difference: float | None = None
    p_holm: float | None = None
    levels: tuple[LevelRatio, ...] = ()


@dataclass(frozen=True, slots=True)
class Friedman:
    """Friedman's test over all conditions of a verdict, with Kendall's W, from 0 (no order) to 1 (always the same)."""

    sets: int
    statistic: float
    p: float
    kendall_w: float


@dataclass(frozen=True, slots=True)
class EquivalenceVerdict:
    """A verdict with everything that it rests on.

    :ivar sentence: the verdict and its figures in one plain sentence.
    :ivar reason: why it is inconclusive, else empty.
    :ivar friedman: None for fewer than three conditions, or if it can't be had.
    """

    question: ResearchQuestion
    outcome: VerdictOutcome
    sentence: str
    reason: str
    margin: float
    conditions: tuple[str, ...]
    friedman: Friedman | None
    comparisons: tuple[Comparison, ...]


def judge(
    cells: pd.DataFrame,
    question: ResearchQuestion,
    rule: Criteria,
    *,
    conditions: Sequence[str],
    pairs: Sequence[tuple[str, str]] | None = None,
) -> EquivalenceVerdict:
    """Judge conditions by their block sets.

    :param cells: a row a block set, a column a condition, the metric of the block in it or NaN. The index has the
        level ``repetition`` and those that make a level: size, pairs, load.
    :param pairs: which conditions are compared; without it, each with each.
    """
    logs = _logarithms(cells, conditions)
    chosen = list(combinations(conditions, 2)) if pairs is None else list(pairs)
    friedman = _friedman(logs)
    comparisons = _corrected([_compare(logs, a, b, question, rule) for a, b in chosen])
    comparisons = [_concluded(one, friedman, rule) for one in comparisons]
    outcome, reason = _outcome(comparisons, conditions)
    verdict = EquivalenceVerdict(
        question=question,
        outcome=outcome,
        sentence="",
        reason=reason,
        margin=rule.margin,
        conditions=tuple(conditions),
        friedman=friedman,
        comparisons=tuple(comparisons),
    )
    return replace(verdict, sentence=_sentence(verdict, rule))


# -- tests ----------------------------------------------------------------------------------------------------------


def _logarithms(cells: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """Take the logarithms; what has none is missing."""
    values = cells.reindex(columns=list(conditions)).astype(float)
    values = values.where((values > 0) & (values < math.inf))
    return pd.DataFrame(np.log(values.to_numpy()), index=values.index, columns=values.columns)


def _friedman(logs: pd.DataFrame) -> Friedman | None:
    """Test whether any condition differs; None for fewer than three, too few complete sets, or ties alone."""
    complete = logs.dropna().to_numpy(dtype=np.float64)
    sets, conditions = complete.shape
    if conditions < 3 or sets < FEWEST or np.all(np.ptp(complete, axis=1) == 0):
        return None
    result = stats.friedmanchisquare(*complete.T)
    statistic = float(result.statistic)
    return Friedman(sets, statistic, float(result.pvalue), statistic / (sets * (conditions - 1)))


def _compare(logs: pd.DataFrame, a: str, b: str, question: ResearchQuestion, rule: Criteria) -> Comparison:
    both = logs[[a, b]].dropna()
    each = both[b] - both[a]
    unit = each if question.unit == "block set" else each.groupby(level="repetition").mean()
    ratios = unit.to_numpy(dtype=np.float64)
    middle = Middle.of(ratios)
    if reason := _untestable(logs, a, b, ratios, question.unit, middle):
        ratio = math.exp(middle.mean) if ratios.size else None
        return Comparison(a, b, len(ratios), question.unit, reason=reason, ratio=ratio)
    low, high = middle.interval(1 - 2 * ALPHA)
    key = f"{question.kind}|{question.arm}|{question.metric}|{a}|{b}"
    return Comparison(
        a=a,
        b=b,
        observations=len(ratios),
        unit=question.unit,
        ratio=math.exp(middle.mean),
        low=float(np.exp(low)),
        high=float(np.exp(high)),
        median_ratio=estimate(np.exp(ratios), rule.seed, key, rule.resamples),
        p_equivalence=max(middle.p_above(-rule.bound), middle.p_below(rule.bound)),
        p_difference=float(stats.wilcoxon(ratios).pvalue),
        levels=_levels(each, rule),
    )


def _untestable(logs: pd.DataFrame, a: str, b: str, ratios: Values, unit: str, middle: Middle) -> str:
    """Say why two conditions can't be compared, if so."""
    for name in (a, b):
        if logs[name].isna().all():
            return f"no exchange of {name} gave a figure"
    if len(ratios) < FEWEST:
        return f"{_counted(len(ratios), unit)} with both {a} and {b}, and a verdict takes at least {FEWEST}"
    if middle.error <= SAME:
        there = f"{'all' if np.ptp(ratios) <= SAME else 'most'} of {_counted(len(ratios), unit)}"
        return f"the ratio of {b} to {a} is the same in {there}, so nothing tells how sure it is"
    return ""


def _levels(ratios: pd.Series[float], rule: Criteria) -> tuple[LevelRatio, ...]:
    names = [str(name) for name in ratios.index.names if name != "repetition"]
    groups: Iterable[tuple[Any, pd.Series[float]]] = ratios.groupby(level=names, sort=True)
    return tuple(
        _level(dict(zip(names, key, strict=True)), np.asarray(group, dtype=np.float64), rule) for key, group in groups
    )


def _level(factors: dict[str, Any], ratios: Values, rule: Criteria) -> LevelRatio:
    plain = {name: value if isinstance(value, str) else int(value) for name, value in factors.items()}
    middle = Middle.of(ratios)
    if len(ratios) < FEWEST_OF_LEVEL or middle.error <= SAME:
        return LevelRatio(plain, len(ratios), math.exp(middle.mean))
    low, high = middle.interval(1 - 2 * ALPHA)
    # Two tests in one: Bonferroni's correction for the side.
    beyond = min(1.0, 2 * min(middle.p_above(rule.bound), middle.p_below(-rule.bound)))
    return LevelRatio(plain, len(ratios), math.exp(middle.mean), math.exp(low), math.exp(high), beyond)


def _corrected(comparisons: list[Comparison]) -> list[Comparison]:
    """Correct for the number of tests (Holm 1979): the pairs among themselves, and all their levels."""
    differences = iter(_holm([one.p_difference for one in comparisons]))
    beyond = iter(_holm([level.p_beyond for one in comparisons for level in one.levels]))
    return [
        replace(
            one,
            p_holm=next(differences),
            levels=tuple(replace(level, p_beyond=next(beyond)) for level in one.levels),
        )
        for one in comparisons
    ]


def _holm(values: list[float | None]) -> list[float | None]:
    there = [value for value in values if value is not None]
    if len(there) < 2:
        return values  # of a single test there is nothing to correct
    gc.freeze()  # multipletests collects garbage each time: a tenth of a second for everything else that is there
    try:
        corrected = iter(multipletests(there, alpha=ALPHA, method="holm")[1].tolist())
    finally:
        gc.unfreeze()
    return [None if value is None else float(next(corrected)) for value in values]


# -- conclusions ----------------------------------------------------------------------------------------------------


def _concluded(one: Comparison, friedman: Friedman | None, rule: Criteria) -> Comparison:
    """Conclude from the tests.

    A difference that is real but within the margin is equivalence; one that hides at a single size is not.
    """
    if one.p_equivalence is None or one.p_holm is None:
        return one
    shown = one.p_holm < ALPHA and (friedman is None or friedman.p < ALPHA)
    if _beyond(one):
        return replace(one, outcome="differs")
    if one.p_equivalence < ALPHA:
        return replace(one, outcome="equivalent")
    if shown:
        return replace(one, outcome="differs")
    reason = (
        f"no difference is shown, but the ratio of {one.b} to {one.a}, {_ratio(one)}, may lie outside "
        f"{rule.percent}; more repetitions would tell"
    )
    return replace(one, reason=reason)


def _beyond(one: Comparison) -> LevelRatio | None:
    """Find the level that differs most of those that are shown to be outside the margin."""
    beyond = [level for level in one.levels if level.is_beyond]
    return max(beyond, key=lambda level: abs(math.log(level.ratio)), default=None)


def _outcome(comparisons: list[Comparison], conditions: Sequence[str]) -> tuple[VerdictOutcome, str]:
    """One pair that differs is a difference; equivalence takes all of them."""
    if not comparisons:
        if not conditions:
            return "inconclusive", "no block is finished"
        return "inconclusive", f"{conditions[0]} is the only condition, so there is nothing to compare it with"
    if any(one.outcome == "differs" for one in comparisons):
        return "differs", ""
    for one in comparisons:
        if one.outcome == "inconclusive":
            return "inconclusive", one.reason
    return "equivalent", ""


def _sentence(verdict: EquivalenceVerdict, rule: Criteria) -> str:
    if verdict.question.kind == "sampling":
        return _sampling_sentence(verdict, rule)
    question, listed = verdict.question, _listed(verdict.conditions)
    if verdict.outcome == "inconclusive":
        of = f" of {listed}" if listed else ""
        return f"{question.scope}: no verdict on the {question.quantity}{of}: {verdict.reason}."
    if verdict.outcome == "equivalent":
        furthest = max(verdict.comparisons, key=_reach)
        return (
            f"{question.scope}: {listed} are equivalent in {question.quantity}, within {rule.percent}: the ratio of "
            f"{furthest.b} to {furthest.a} is {_ratio(furthest)}"
            f"{', and no pair reaches further' if len(verdict.comparisons) > 1 else ''}."
        )
    differing = [one for one in verdict.comparisons if one.outcome == "differs"]
    most = max(differing, key=lambda one: abs(math.log(one.ratio or 1)))
    also = f"; {len(differing)} of {len(verdict.comparisons)} pairs differ" if len(verdict.comparisons) > 1 else ""
    overall = ""
    if verdict.friedman is not None:
        overall = f"; Friedman p = {_p(verdict.friedman.p)}, Kendall's W = {verdict.friedman.kendall_w:.2f}"
    return (
        f"{question.scope}: {listed} differ in {question.quantity}: that of {most.b} is {_ratio(most)} times that of "
        f"{most.a}{_why(most)}{also}{overall}."
    )


def _sampling_sentence(verdict: EquivalenceVerdict, rule: Criteria) -> str:
    (one,) = verdict.comparisons
    if one.low is None:
        return f"What sampling costs: no verdict: {verdict.reason}."
    found = f"with sampling, {verdict.question.quantity} is {_ratio(one)} times what it is without"
    if verdict.outcome == "equivalent":
        return f"What sampling costs: less than {rule.margin * 100:g} %: {found}."
    if verdict.outcome == "differs":
        return f"What sampling costs: it makes a difference: {found}{_why(one)}."
    return (
        f"What sampling costs: no verdict: {found}, which may be outside {rule.percent}; more repetitions would tell."
    )


def _why(one: Comparison) -> str:
    level = _beyond(one)
    overall = f", Holm-corrected p = {_p(one.p_holm)}"
    if level is None:
        return overall
    where = ", ".join(f"{name} {value}" for name, value in level.factors.items())
    return f"{overall}, and outside the margin with {where}: {level.ratio:.3f} times, p = {_p(level.p_beyond)}"


def _reach(one: Comparison) -> float:
    """How far from 1 its interval goes, either way."""
    return max(abs(math.log(bound)) for bound in (one.low, one.high) if bound is not None)


def _ratio(one: Comparison) -> str:
    return f"{one.ratio:.3f} (90 % interval {one.low:.3f} to {one.high:.3f}, {_counted(one.observations, one.unit)})"


def _p(value: float | None) -> str:
    return f"{value:.2g}"


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)

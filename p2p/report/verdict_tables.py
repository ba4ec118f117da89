"""The tables of verdicts: what was compared, the ratio, and what the tests say."""

from __future__ import annotations

from collections.abc import Iterator

from p2p.measure.verdicts import Comparison, EquivalenceVerdict, LevelRatio
from p2p.report import formats
from p2p.report.document import Table, table
from p2p.report.formats import NOTHING
from p2p.report.headlines import where
from p2p.report.subject import Subject

__all__ = ["comparisons", "information", "other_measures", "sampling"]

_HEADS = ("ratio (95 % interval)", "repetitions", "p, beyond", "verdict")


def _cells(one: LevelRatio) -> tuple[str, ...]:
    return _ratio(one), formats.count(one.count), formats.probability(one.p_beyond), one.outcome


def _ratio(one: LevelRatio) -> str:
    within = "" if one.low is None else f" ({formats.interval(one.low, one.high)})"
    return f"{formats.ratio(one.ratio)}{within}"


def comparisons(subject: Subject) -> Table | None:
    """Show every pair of conditions whose latency was compared, at every level; None if there is none."""
    rows = [
        (arm, f"{one.b} / {one.a}{mark}", where(level.factors), *_cells(level))
        for arm, mark, verdict in _verdicts(subject)
        for one in verdict.comparisons
        for level in one.levels
    ]
    if not rows:
        return None
    margin = formats.ratio(1 + subject.analysis.margin)
    least = formats.ratio(1 / (1 + subject.analysis.margin))
    return table(
        "Ratios of the transmission time",
        ["arm", "ratio of", "with", *_HEADS],
        rows,
        left=3,
        note=f"Equivalent: the interval lies between {least} and {margin}, the margin of the plan. p, beyond: of the "
        "test that the ratio lies beyond the margin, after Holm's correction over all such tests of the report. "
        "An arm is equivalent if every ratio of its types is, and differs if one does. *: a control.",
    )


def _verdicts(subject: Subject) -> Iterator[tuple[str, str, EquivalenceVerdict]]:
    for result in subject.results:
        arm = result.arm
        yield arm, "", result.verdict
        for label in result.labels:
            yield arm, " *", label
        if result.content is not None:
            yield arm, " *", result.content


def information(subject: Subject) -> Table | None:
    """Show the tests of no difference at all, on which no verdict depends; None if there are none."""
    rows = []
    for result in subject.results:
        found = [one for one in result.verdict.comparisons if one.p_difference is not None]
        overall = result.verdict.friedman
        rows += [
            (
                result.arm,
                f"{one.b} / {one.a}",
                formats.probability(one.p_difference),
                NOTHING if overall is None else formats.probability(overall.p),
                NOTHING if overall is None else f"{overall.kendall_w:.2f}",
            )
            for one in found
        ]
    if not rows:
        return None
    return table(
        "Tests of whether there is any difference at all, for information",
        ["arm", "pair", "p, Wilcoxon", "p, Friedman, all types", "Kendall's W"],
        rows,
        left=2,
        note="No verdict depends on these: with enough repetitions, every difference is significant, however small. "
        "Wilcoxon's signed-rank test is over all levels, after Holm's correction over the pairs of the arm. Kendall's "
        "W goes from 0, no order of the types, to 1, always the same.",
    )


def other_measures(subject: Subject) -> Table | None:
    """Show what the content types do to the other measures; None if nothing was compared."""
    rows = [
        (question.arm, question.quantity, f"{one.b} / {one.a}", where(level.factors), _ratio(level))
        for result in subject.results
        for verdict in result.others
        if verdict.farthest is not None
        for question, (one, level) in [(verdict.question, verdict.farthest)]
    ]
    if not rows:
        return None
    return table(
        "The content types by other measures, for information",
        ["arm", "measure", "the ratio that reaches farthest", "with", "ratio (95 % interval)"],
        rows,
        left=4,
        note="The verdict of an arm is about the transmission time alone; of the other measures, the ratio is shown "
        "whose interval reaches farthest from 1, and among many one always does.",
    )


def sampling(subject: Subject) -> Table | None:
    """Show what sampling costs; None unless the run has blocks without it."""
    verdict = subject.analysis.sampling
    rows = (
        [] if verdict is None else [(_name(one), *_cells(level)) for one in verdict.comparisons for level in one.levels]
    )
    if verdict is None or not rows:
        return None
    return table(
        "Bytes per second with sampling to without",
        ["ratio of", "ratio (95 % interval)", "sets", "p, beyond", "verdict"],
        rows,
        note=f"Equivalent means here: within ±{formats.percent(verdict.margin)}.",
    )


def _name(one: Comparison) -> str:
    return f"sampling {one.b} / {one.a}"

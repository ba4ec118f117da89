"""The tables of verdicts: what was compared, the ratio, and what the tests say."""

from __future__ import annotations

from collections.abc import Iterator

from p2p.measure.verdicts import Comparison, EquivalenceVerdict
from p2p.report import formats
from p2p.report.document import Table, table
from p2p.report.formats import NOTHING
from p2p.report.subject import Subject

__all__ = ["comparisons", "other_measures", "sampling"]

_HEADS = ("ratio (90 % interval)", "sets", "p, equivalent", "p, different", "verdict")


def _cells(one: Comparison) -> tuple[str, ...]:
    return (
        NOTHING if one.ratio is None else _ratio(one),
        formats.count(one.observations),
        formats.probability(one.p_equivalence),
        formats.probability(one.p_holm),
        one.outcome,
    )


def _ratio(one: Comparison) -> str:
    assert one.ratio is not None
    within = "" if one.low is None else f" ({formats.interval(one.low, one.high)})"
    return f"{formats.number(one.ratio)}{within}"


def comparisons(subject: Subject) -> Table | None:
    """Show every pair of conditions whose latency was compared; None if there is none."""
    rows = [
        (arm, f"{one.b} / {one.a}", what, *_cells(one))
        for arm, what, verdict in _verdicts(subject)
        for one in verdict.comparisons
    ]
    if not rows:
        return None
    margin = formats.number(1 + subject.analysis.margin)
    least = formats.number(1 / (1 + subject.analysis.margin))
    return table(
        "Ratios of the transmission time",
        ["arm", "ratio of", "question", *_HEADS],
        rows,
        left=3,
        note=f"Equivalent means: between {least} and {margin}, the margin of the plan. A set is the blocks of one "
        "size, number of pairs, load and repetition. p, equivalent: two one-sided tests; p, different: Wilcoxon's "
        "signed-rank test after Holm's correction.",
    )


def _verdicts(subject: Subject) -> Iterator[tuple[str, str, EquivalenceVerdict]]:
    for result in subject.results:
        arm = result.arm
        yield arm, "content types", result.verdict
        for label in result.labels:
            yield arm, "same bytes, other label", label
        if result.content is not None:
            yield arm, "control of the content", result.content


def other_measures(subject: Subject) -> Table | None:
    """Show what the content types do to the other measures; None if nothing was compared."""
    rows = []
    for result in subject.results:
        for verdict in result.others:
            there = [one for one in verdict.comparisons if one.low is not None]
            if there:
                furthest = max(there, key=lambda one: max(one.high or 1, 1 / (one.low or 1)))
                question = verdict.question
                rows.append(
                    (question.arm, question.quantity, f"{furthest.b} / {furthest.a}", _ratio(furthest), verdict.outcome)
                )
    if not rows:
        return None
    return table(
        "The content types by other measures, for information",
        ["arm", "measure", "the ratio that reaches furthest", "ratio (90 % interval)", "verdict"],
        rows,
        left=3,
        note="The verdict of an arm is about the transmission time; these aren't corrected for there being several.",
    )


def sampling(subject: Subject) -> Table | None:
    """Show what sampling costs; None unless the run has blocks without it."""
    verdict = subject.analysis.sampling
    if verdict is None or not verdict.comparisons:
        return None
    return table(
        "Bytes per second with sampling to without",
        ["ratio of", *_HEADS],
        [(f"sampling {one.b} / {one.a}", *_cells(one)) for one in verdict.comparisons],
        note=f"Equivalent means here: within ±{formats.percent(verdict.margin)}.",
    )

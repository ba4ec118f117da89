"""The ratios behind the verdicts, against the margin that was fixed before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis, ArmResult
from p2p.measure.verdicts import Comparison, EquivalenceVerdict
from p2p.report import formats
from p2p.report.figures.forest import Line, draw, written
from p2p.report.figures.panels import cut, planned, told
from p2p.report.figures.picture import Picture

__all__ = ["ratios"]

ROWS: Final = 36
"""Ratios of one figure: more don't fit on a page."""


def ratios(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show the ratio of the transmission time under each two content types, controls included."""
    lines = list(_of_analysis(run, analysis))
    every = sum(line.comparison is not None for line in lines)
    if len(lines) > ROWS:
        lines = [line for line in lines if not line.is_content]
    lines = lines[:ROWS]
    found = [line.comparison for line in lines if line.comparison is not None]
    if not found:
        return None
    caption = (
        "Ratios of the transmission time, of the first named to the second, with their 90 % intervals. "
        f"{_marks_said(found)} The band is the margin of ±{formats.percent(analysis.margin)}, fixed in the plan: an "
        "interval within it is equivalent. What lies beyond the axis is an arrow. Controls are in italics. "
        f"{_rests_on(found)} {_more(every - len(found))}"
    ).strip()
    return Picture(
        "ratios",
        "By how much do content types differ?",
        caption,
        f"Ratios of the transmission time with 90 % intervals. {told(_said(lines), ROWS)}",
        partial(draw, lines),
    )


# -- lines ----------------------------------------------------------------------------------------------------------


def _of_analysis(run: RawRun, analysis: Analysis) -> Iterator[Line]:
    for result in sorted(analysis.arms, key=lambda one: planned(run, one.arm)):
        lines = list(_of_arm(result))
        if lines:
            yield Line(f"Arm {cut(result.arm)}", analysis.margin)
            yield from lines
    if analysis.sampling is not None:
        margin = analysis.sampling.margin
        yield Line(f"Cost of sampling, ±{formats.percent(margin)}", margin)
        yield from (Line("with sampling / without", margin, one) for one in analysis.sampling.comparisons)


def _of_arm(result: ArmResult) -> Iterator[Line]:
    yield from _of_verdict(result.verdict, is_control=False)
    for verdict in result.labels:
        yield from _of_verdict(verdict, is_control=True)
    if result.content is not None:
        yield from _of_verdict(result.content, is_control=True)


def _of_verdict(verdict: EquivalenceVerdict, *, is_control: bool) -> Iterator[Line]:
    for one in verdict.comparisons:
        yield Line(
            f"{cut(one.b, 20)} / {cut(one.a, 20)}", verdict.margin, one, is_control, verdict.question.kind == "content"
        )


def _marks_said(found: Iterable[Comparison]) -> str:
    names = {
        "equivalent": "a filled circle is equivalent",
        "differs": "a diamond differs",
        "inconclusive": "an open square is inconclusive",
    }
    there = {one.outcome for one in found}
    said = formats.listed([name for outcome, name in names.items() if outcome in there])
    return f"{said[:1].upper()}{said[1:]}." if said else ""


def _rests_on(found: Sequence[Comparison]) -> str:
    counts = [one.observations for one in found if one.ratio is not None]
    if not counts:
        return ""
    fewest, most = min(counts), max(counts)
    many = formats.counted(most, found[0].unit) if fewest == most else f"{fewest} to {most} {found[0].unit}s"
    return f"Each ratio rests on {many}."


def _more(more: int) -> str:
    return f"{formats.counted(more, 'more ratio')} {'are' if more > 1 else 'is'} in the table." if more else ""


def _said(lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        one = line.comparison
        if one is None:
            yield f"{line.label}:"
        else:
            control = ", control" if line.is_control else ""
            yield f"{line.label}{control}: {written(one)}, {one.outcome}."

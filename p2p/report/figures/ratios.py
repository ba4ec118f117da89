"""The ratios behind the verdicts, against the margin that was fixed before."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis, ArmResult
from p2p.measure.verdicts import EquivalenceVerdict, LevelRatio
from p2p.report import formats
from p2p.report.figures import sheet
from p2p.report.figures.output import Picture
from p2p.report.figures.panels import cut, planned, told
from p2p.report.figures.theme import Theme

__all__ = ["ratios"]

ROWS: Final = 36
"""Ratios of one figure: more don't fit on a page."""

REACH: Final = 5.0
"""Margins that the axis reaches to either side, or farther if half of the ratios do; beyond it there are arrows."""

_MARKERS: Final = {"equivalent": "o", "differs": "D", "inconclusive": "s"}


@dataclass(frozen=True, slots=True)
class _Line:
    """A ratio at a level, or a heading if there is none.

    :ivar margin: of equivalence, as a share.
    :ivar is_control: whether it compares with a control; ``is_content`` if that is zeros or random.
    """

    label: str
    margin: float
    ratio: LevelRatio | None = None
    is_control: bool = False
    is_content: bool = False


def ratios(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show the ratio of the transmission time under each two content types, controls included."""
    lines = list(_of_analysis(run, analysis))
    every = sum(line.ratio is not None for line in lines)
    if len(lines) > ROWS:
        lines = [line for line in lines if not line.is_content]
    lines = lines[:ROWS]
    found = [line.ratio for line in lines if line.ratio is not None]
    if not found:
        return None
    caption = (
        "Ratios of the transmission time, of the first named to the second, with their 95 % intervals. "
        f"{_marks_said(found)} The band is the margin of ±{formats.percent(analysis.margin)}, fixed in the plan: an "
        "interval within it is equivalent; the verdict of an arm takes all of its ratios. What lies beyond the axis is "
        "an arrow. Controls are in italics. "
        f"{_rests_on(found)} {_more(every - len(found))}"
    ).strip()
    return Picture(
        "ratios",
        "By how much do content types differ?",
        caption,
        f"Ratios of the transmission time with 95 % intervals. {told(_said(lines), ROWS)}",
        partial(_draw, lines),
    )


# -- lines ----------------------------------------------------------------------------------------------------------


def _of_analysis(run: RawRun, analysis: Analysis) -> Iterator[_Line]:
    for result in sorted(analysis.arms, key=lambda one: planned(run, one.arm)):
        lines = list(_of_arm(result))
        if lines:
            yield _Line(f"Arm {cut(result.arm)}", analysis.margin)
            yield from lines
    if analysis.sampling is not None:
        margin = analysis.sampling.margin
        yield _Line(f"Cost of sampling, ±{formats.percent(margin)}", margin)
        for one in analysis.sampling.comparisons:
            yield from (_Line("with sampling / without", margin, level) for level in one.levels)


def _of_arm(result: ArmResult) -> Iterator[_Line]:
    yield from _of_verdict(result.verdict, is_control=False)
    for verdict in result.labels:
        yield from _of_verdict(verdict, is_control=True)
    if result.content is not None:
        yield from _of_verdict(result.content, is_control=True)


def _of_verdict(verdict: EquivalenceVerdict, *, is_control: bool) -> Iterator[_Line]:
    several = len({level.factors.get("pairs") for one in verdict.comparisons for level in one.levels}) > 1
    for one in verdict.comparisons:
        for level in one.levels:
            size, pairs = level.factors.get("size"), level.factors.get("pairs")
            place = f", {formats.size(size)}" if isinstance(size, int) else ""
            place += f", {formats.counted(pairs, 'pair')}" if several and isinstance(pairs, int) else ""
            name = f"{cut(one.b, 16)} / {cut(one.a, 16)}{place}"
            yield _Line(name, verdict.margin, level, is_control, verdict.question.kind == "content")


def _marks_said(found: Iterable[LevelRatio]) -> str:
    names = {
        "equivalent": "a filled circle is equivalent",
        "differs": "a diamond differs",
        "inconclusive": "an open square is inconclusive",
    }
    there = {one.outcome for one in found}
    said = formats.listed([name for outcome, name in names.items() if outcome in there])
    return f"{said[:1].upper()}{said[1:]}." if said else ""


def _rests_on(found: Sequence[LevelRatio]) -> str:
    counts = [one.count for one in found]
    fewest, most = min(counts), max(counts)
    many = formats.counted(most, "repetition") if fewest == most else f"{fewest} to {most} repetitions"
    return f"Each ratio rests on {many}."


def _more(more: int) -> str:
    return f"{formats.counted(more, 'more ratio')} {'are' if more > 1 else 'is'} in the table." if more else ""


def _said(lines: Sequence[_Line]) -> Iterator[str]:
    for line in lines:
        one = line.ratio
        if one is None:
            yield f"{line.label}:"
        else:
            control = ", control" if line.is_control else ""
            yield f"{line.label}{control}: {_written(one)}, {one.outcome}."


# -- drawing --------------------------------------------------------------------------------------------------------


def _written(one: LevelRatio) -> str:
    """Write a ratio with its interval: ``1.010 (0.990 to 1.030)``."""
    within = "" if one.low is None else f" ({formats.interval(one.low, one.high)})"
    return f"{formats.ratio(one.ratio)}{within}"


def _draw(lines: Sequence[_Line], theme: Theme) -> Figure:
    """Draw the lines one below the other: headings in bold, controls in italics, the figures on the right."""
    figure = sheet.new(1.05 + 0.215 * max(len(lines), 3))
    axes = figure.subplots()
    sheet.calm(axes, theme, grid="x")
    axes.spines["left"].set_visible(False)
    limit = _limit(lines)
    axes.set_ylim(max(len(lines), 3) - 0.4, -0.6)
    axes.axvline(0, color=theme.soft, linewidth=0.9, zorder=1)
    _margins(axes, lines, theme)
    handles: dict[str, Any] = {}
    for place, line in enumerate(lines):
        if line.ratio is None:
            continue
        handles.setdefault(line.ratio.outcome, _key(line.ratio, theme))
        _point(axes, place, line.ratio, limit, theme)
        axes.annotate(
            _written(line.ratio),
            (1, place),
            (6, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=theme.soft,
        )
    _ratio_axis(axes, limit)
    axes.set_yticks(range(len(lines)), [_label(line) for line in lines])
    for label, line in zip(axes.get_yticklabels(), lines, strict=True):
        label.set_color(theme.ink)
        label.set_fontweight("bold" if line.ratio is None else "normal")
        label.set_fontstyle("italic" if line.is_control else "normal")
    axes.set_xlabel("ratio, on a logarithmic axis")
    order = {outcome: handles[outcome] for outcome in _MARKERS if outcome in handles}
    if order:
        sheet.keys(figure, {**order, "margin": Patch(color=theme.wash)})
    return figure


def _margins(axes: Axes, lines: Sequence[_Line], theme: Theme) -> None:
    """Draw the margin behind the ratios that it belongs to, in one piece for those of one heading."""
    place = 0
    for (margin, is_heading), group in groupby(lines, lambda line: (line.margin, line.ratio is None)):
        rows = len(list(group))
        if not is_heading:
            bound = math.log1p(margin)
            ends = [place - 0.5, place + rows - 0.5]
            axes.fill_betweenx(ends, -bound, bound, color=theme.wash, linewidth=0, zorder=0)
        place += rows


def _label(line: _Line) -> str:
    return f"{line.label}, control" if line.is_control else line.label


def _color(one: LevelRatio, theme: Theme) -> str:
    return theme.color(one.outcome)


def _key(one: LevelRatio, theme: Theme) -> Line2D:
    return Line2D([], [], linewidth=1.6, markersize=5, **_how(one, theme))


def _how(one: LevelRatio, theme: Theme) -> dict[str, Any]:
    color = _color(one, theme)
    return {
        "color": color,
        "marker": _MARKERS[one.outcome],
        "markerfacecolor": theme.paper if one.outcome == "inconclusive" else color,
        "markeredgecolor": color,
        "markeredgewidth": 1.2,
    }


def _point(axes: Axes, place: int, one: LevelRatio, limit: float, theme: Theme) -> None:
    """Draw a ratio with its interval; what lies outside the axis is an arrow at its edge."""
    how = _how(one, theme)
    at = math.log(one.ratio)
    low, high = (math.log(bound) if bound else at for bound in (one.low, one.high))
    ends = [max(-limit, min(limit, value)) for value in (low, high)]
    axes.plot(ends, [place, place], color=how["color"], linewidth=1.6, solid_capstyle="butt", zorder=2)
    for value in (low, high):
        if abs(value) > limit:
            side = math.copysign(limit, value)
            marker = ">" if value > 0 else "<"
            axes.plot([side], [place], marker, color=how["color"], markersize=6, clip_on=False, zorder=3)
    if abs(at) <= limit:
        axes.plot([at], [place], linestyle="none", markersize=5, zorder=4, **how)


def _limit(lines: Sequence[_Line]) -> float:
    """How far the axis reaches either way, on the scale of logarithms."""
    margins = [math.log1p(line.margin) for line in lines] or [math.log1p(0.05)]
    reaches = [
        max(abs(math.log(bound)) for bound in (one.low, one.ratio, one.high) if bound)
        for line in lines
        if (one := line.ratio) is not None
    ]
    most = max(REACH * max(margins), 1.5 * statistics.median(reaches or [0.0]))
    within = [reach for reach in reaches if reach <= most]
    return max(2.2 * max(margins), 1.08 * max(within, default=0.0))


def _ratio_axis(axes: Axes, limit: float) -> None:
    step = next((one for one in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if limit / math.log1p(one) <= 4.5), 1.0)
    found = [1 + step * number for number in range(-9, 10)]
    ticks = [tick for tick in found if tick > 0 and abs(math.log(tick)) <= limit]
    axes.set_xlim(-limit, limit)
    axes.set_xticks([math.log(tick) for tick in ticks], [f"{tick:.3g}" for tick in ticks])

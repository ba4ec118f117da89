"""What was lost, by cause, by arm and by content."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from p2p.measure.block_figures import in_order
from p2p.measure.estimates import Share
from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis
from p2p.report import formats
from p2p.report.figures import sheet, units
from p2p.report.figures.output import Picture
from p2p.report.figures.panels import cut, planned, told
from p2p.report.figures.theme import Theme

__all__ = ["drops"]

ROWS: Final = 24
"""Arms and contents of one figure."""

GUTTER: Final = 0.14
"""How wide the place of nothing is, as a share of the axis: a logarithmic axis has no 0."""


@dataclass(frozen=True, slots=True)
class _Line:
    label: str
    share: Share
    is_total: bool = False


def drops(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show the share of messages that were dropped, by cause, and by arm and content."""
    whole = next((one for one in analysis.drops if not one.arm and one.offered), None)
    if whole is None:
        return None
    causes = [_Line("all causes", whole.dropped, True)]
    causes += [_Line(cause, one) for cause, one in whole.causes.items()]
    contents = _by_content(run, analysis)
    refused = f"; refused, which is no drop: {formats.count(whole.refused)}" if whole.refused else ""
    caption = (
        "The share of messages that were dropped, with 95 % intervals: on the left by cause, on the right by arm and "
        "content. The axis is logarithmic, with a place of its own for 0; an open circle there is none of them, and "
        "the line ends where the share may be in spite of that. Dropped in all: "
        f"{formats.count(whole.dropped.count)} of {formats.counted(whole.offered, 'message')}{refused}."
    )
    main = [line for line in (*causes, *contents[:ROWS]) if line.is_total or line.share.count]
    alt = f"Shares of drops. {told(_said(main))}"
    return Picture(
        "drops",
        "How many messages were dropped, and why?",
        caption,
        alt,
        partial(_draw, causes, contents[:ROWS]),
    )


def _by_content(run: RawRun, analysis: Analysis) -> list[_Line]:
    lines = []
    for arm in sorted({one.arm for one in analysis.drops if one.arm}, key=lambda arm: planned(run, arm)):
        there = {one.condition: one for one in analysis.drops if one.arm == arm and one.offered}
        for condition in ("", *in_order(name for name in there if name)):
            if condition in there:
                label = f"Arm {cut(arm, 16)}" if not condition else cut(condition, 20)
                lines.append(_Line(label, there[condition].dropped, not condition))
    return lines


def _said(lines: Sequence[_Line]) -> Iterator[str]:
    for line in lines:
        one = line.share
        most = f"with 95 % confidence at most {formats.percent(one.high)}"
        yield f"{line.label}: {formats.count(one.count)} of {formats.count(one.of)}, {most}."


def _draw(causes: Sequence[_Line], contents: Sequence[_Line], theme: Theme) -> Figure:
    parts = [part for part in (causes, contents) if part]
    longest = max(map(len, parts))
    longest = max(map(len, parts))
    figure = sheet.new(0.8 + 0.2 * longest)
    panels = [
        _panel(half, len(part), longest)
        for half, part in zip(figure.subfigures(1, 2, squeeze=False)[0], parts, strict=False)
    ]
    lines = [*causes, *contents]
    shares = sheet.finite(value for line in lines for value in (line.share.share, line.share.low, line.share.high))
    high = min(1.0, max(shares) * 1.5)
    low = min(min(shares) / 1.5, high / 30)
    for axes, part, title in zip(panels, parts, ("By cause, the whole run", "By arm and content"), strict=False):
        axes.set_title(title, fontweight="bold")
        sheet.calm(axes, theme, grid="x")
        axes.axvline(0, color=theme.line, linewidth=3.0, zorder=0.5)
        axes.spines["left"].set_visible(False)
        axes.set_ylim(len(part) - 0.4, -0.6)
        axes.set_yticks(range(len(part)), [line.label for line in part])
        for label, line in zip(axes.get_yticklabels(), part, strict=True):
            label.set_color(theme.ink)
            label.set_fontweight("bold" if line.is_total else "normal")
        for place, line in enumerate(part):
            _share(axes, place, line.share, low, high, theme)
        _axis(axes, low, high)
        axes.set_xlabel("share of what was offered")
    return figure


def _panel(half: SubFigure, rows: int, longest: int) -> Axes:
    """Make a panel of one half, as high as its rows need: rows are equally high in both."""
    rest = longest - rows
    grid = half.add_gridspec(1 + bool(rest), 1, height_ratios=[rows, rest][: 1 + bool(rest)], hspace=0)
    return half.add_subplot(grid[0])


def _place(value: float, low: float, high: float) -> float:
    """Where a share stands: 0 in the gutter, the others by their logarithm, from 0 to 1."""
    if value <= 0:
        return -GUTTER / 2
    return max(0.0, math.log(value / low) / math.log(high / low))


def _share(axes: Axes, place: int, one: Share, low: float, high: float, theme: Theme) -> None:
    at = _place(one.share or 0.0, low, high)
    ends = [_place(one.low or 0.0, low, high), _place(one.high or 0.0, low, high)]
    color = theme.differs if one.count else theme.soft
    axes.plot(ends, [place, place], color=color, linewidth=1.6, alpha=0.8, solid_capstyle="butt")
    axes.plot(
        [at],
        [place],
        "o",
        markersize=5,
        markerfacecolor=color if one.count else theme.paper,
        markeredgecolor=color,
        markeredgewidth=1.2,
        zorder=3,
    )
    axes.annotate(
        f"{formats.count(one.count)} of {formats.count(one.of)}",
        (1, place),
        (6, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        fontsize=7.5,
        color=theme.soft,
    )


def _axis(axes: Axes, low: float, high: float) -> None:
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high) + 1e-9)
    powers = [10.0**power for power in range(first, last + 1)]
    powers = [power for power in powers if _place(power, low, high) > GUTTER]
    powers = powers[:: math.ceil(len(powers) / 3) or 1]
    axes.set_xlim(-GUTTER, 1.02)
    axes.set_xticks(
        [_place(0, low, high), *(_place(power, low, high) for power in powers)],
        ["0", *units.shares(powers)],
    )

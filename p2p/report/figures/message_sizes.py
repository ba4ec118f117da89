"""How large messages and their replies are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Final

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from p2p.measure.details import MessageSizes
from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis
from p2p.report import formats
from p2p.report.figures import sheet
from p2p.report.figures.output import Picture
from p2p.report.figures.panels import cut, planned, told
from p2p.report.figures.theme import Theme

__all__ = ["message_sizes"]

ROWS: Final = 30


def message_sizes(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show the average sizes of messages and replies, by arm, content and planned size."""
    found = sorted(analysis.sizes, key=lambda one: planned(run, one.arm))[:ROWS]
    found = [one for one in found if one.sent > 0]
    if not found:
        return None
    more = len(analysis.sizes) - len(found)
    caption = (
        "The average size of messages (filled) and of their replies (hollow), by content and planned size, on a "
        "logarithmic axis; where they lie on each other, the reply is as large as the message."
        + (f" {formats.counted(more, 'more row')} {'are' if more > 1 else 'is'} in the table." if more else "")
    )
    return Picture(
        "message-sizes",
        "How large are messages?",
        caption,
        f"Average sizes of messages and replies. {told(_said(found))}",
        partial(_draw, found),
    )


def _said(found: Sequence[MessageSizes]) -> Iterator[str]:
    for one in found:
        yield (
            f"Arm {cut(one.arm)}, {cut(one.condition)} of {formats.size(one.size)}: {formats.bytes_(one.sent)}, "
            f"reply {formats.bytes_(one.replied)}."
        )


def _draw(found: Sequence[MessageSizes], theme: Theme) -> Figure:
    parts = [list(held) for _, held in groupby(found, lambda one: one.arm)]
    heights = [0.42 + 0.17 * len(part) for part in parts]
    figure = sheet.new(0.55 + sum(heights))
    sheet.keys(
        figure,
        {
            "message": Line2D([], [], linestyle="none", marker="o", color=theme.ink, markersize=5),
            "reply": Line2D(
                [], [], linestyle="none", marker="o", color=theme.ink, markerfacecolor="none", markersize=7.5
            ),
        },
    )
    values = sheet.finite(value for one in found for value in (one.sent, one.replied))
    for part, axes in zip(
        parts, figure.subplots(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0], strict=True
    ):
        sheet.calm(axes, theme, grid="both")
        axes.set_title(f"Arm {cut(part[0].arm)}", fontweight="bold")
        axes.set_ylim(len(part) - 0.4, -0.6)
        names = [f"{cut(one.condition, 20)}, {formats.size(one.size)}" for one in part]
        axes.set_yticks(range(len(part)), names)
        axes.tick_params(axis="y", labelcolor=theme.ink)
        for place, one in enumerate(part):
            how = sheet.marks(one.condition, theme, line=False)
            axes.plot([one.sent], [place], "o", color=how["color"], markersize=5)
            if one.replied > 0:
                axes.plot([one.replied], [place], "o", color=how["color"], markerfacecolor="none", markersize=7.5)
        sheet.logarithmic(axes, "x", min(values) / 1.3, max(values) * 1.3, formats.bytes_, inches=5.0)
    return figure

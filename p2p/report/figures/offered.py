"""An open load: how much was asked for, and how much came out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from matplotlib.figure import Figure

from p2p.measure.details import target_per_s
from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis, LevelFigures
from p2p.report import formats
from p2p.report.figures import sheet
from p2p.report.figures.output import Picture
from p2p.report.figures.panels import cut, told
from p2p.report.figures.theme import Theme

__all__ = ["offered"]


def offered(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show the rate of messages that came out against the one that was asked for; nothing in the closed loop."""
    found = [
        (target, one)
        for one in analysis.levels
        if (target := target_per_s(one.level.load, one.level.pairs)) and one.estimates["messages_per_s"].median
    ]
    if not found:
        return None
    caption = (
        "Open load: the messages per second of all pairs that were answered, against those that were asked for, on "
        "logarithmic axes. On the line everything that was asked for came out; below it the load passes what the "
        "system can do, and messages wait in a queue that grows until the block ends."
    )
    return Picture(
        "offered",
        "Does as much come out as was asked for?",
        caption,
        f"Messages per second against the target. {told(_said(found))}",
        partial(_draw, found),
    )


def _said(found: Sequence[tuple[float, LevelFigures]]) -> Iterator[str]:
    for target, one in found:
        achieved = one.estimates["messages_per_s"].median or 0.0
        yield (
            f"Arm {cut(one.level.arm)}, {cut(one.level.condition)} of {formats.size(one.level.size)}: "
            f"{formats.number(achieved)} of {formats.number(target)} a second."
        )


def _draw(found: Sequence[tuple[float, LevelFigures]], theme: Theme) -> Figure:
    figure = sheet.new(3.4)
    sheet.legend(figure, {one.level.condition for _, one in found}, theme, line=False)
    axes = figure.subplots()
    sheet.calm(axes, theme, grid="both")
    achieved = [one.estimates["messages_per_s"].median or 0.0 for _, one in found]
    low, high = min(*achieved, *(target for target, _ in found)), max(*achieved, *(target for target, _ in found))
    axes.plot([low / 2, high * 2], [low / 2, high * 2], color=theme.soft, linewidth=0.9)
    for target, one in found:
        how = sheet.marks(one.level.condition, theme, line=False)
        axes.plot([target], [one.estimates["messages_per_s"].median or 0.0], **how)
        sheet.interval(axes, "y", target, one.estimates["messages_per_s"], how["color"])
    for which, inches in (("x", 6.0), ("y", 2.4)):
        sheet.logarithmic(axes, which, low / 1.3, high * 1.3, formats.number, inches=inches)
    axes.set_xlabel("messages per second asked for")
    axes.set_ylabel("answered")
    return figure

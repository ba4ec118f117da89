"""What TCP saw of the links: its round trip, and segments that were sent again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from matplotlib.figure import Figure

from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis, LinkFigures
from p2p.report import formats
from p2p.report.figures import sheet
from p2p.report.figures.output import Picture
from p2p.report.figures.theme import Theme
from p2p.report.figures.units import plain, seconds

__all__ = ["tcp"]


def tcp(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show TCP's round trip and the segments that were sent again, against the number of pairs."""
    trips = [one for one in analysis.links if one.figure == "rtt_us" and one.estimate.median and one.pairs > 0]
    again = [one for one in analysis.links if one.figure == "retransmits" and one.pairs > 0]
    if not trips or not again:
        return None
    caption = (
        "What the kernel saw of the links (TCP_INFO), against the number of pairs at once. Left: TCP's smoothed round "
        "trip at the end of a block, medians of blocks with their 95 % intervals. Right: segments sent again, on "
        "average for each link of a block."
    )
    said = [
        f"{formats.counted(one.pairs, 'pair')}: round trip {formats.seconds((one.estimate.median or 0.0) / 1e6)}"
        for one in trips
    ]
    said += [
        f"{formats.counted(one.pairs, 'pair')}: {formats.number(one.total / one.links)} sent again" for one in again
    ]
    return Picture("tcp", "What did TCP see?", caption, f"{'; '.join(said)}.", partial(_draw, trips, again))


def _draw(trips: Sequence[LinkFigures], again: Sequence[LinkFigures], theme: Theme) -> Figure:
    figure = sheet.new(2.4)
    left, right = figure.subplots(1, 2)
    for axes, title in ((left, "TCP's round trip"), (right, "segments sent again, a link")):
        axes.set_title(title, fontweight="bold")
        sheet.calm(axes, theme)
        sheet.places(axes, {one.pairs for one in (*trips, *again)}, formats.count, inches=2.6)
        axes.set_xlabel("pairs at once")
    medians = [(one.estimate.median or 0.0) / 1e6 for one in trips]
    left.plot([one.pairs for one in trips], medians, color=theme.ink, marker="o", linewidth=1.1)
    for one in trips:
        sheet.interval(left, "y", one.pairs, one.estimate, theme.ink, factor=1e-6)
    highest = max(sheet.finite([*medians, *((one.estimate.high or 0.0) / 1e6 for one in trips)]))
    sheet.linear(left, "y", 0, highest * 1.1, seconds)
    means = [one.total / one.links for one in again]
    right.plot([one.pairs for one in again], means, color=theme.ink, marker="o", linewidth=1.1)
    sheet.linear(right, "y", 0, max(*means, 1.0) * 1.1, plain)
    return figure

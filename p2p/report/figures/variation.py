"""Where the variation of the transmission time comes from: of each arm, the shares of its factors and of noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from matplotlib.figure import Figure

from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis
from p2p.measure.variation import Variation
from p2p.report import formats
from p2p.report.figures import sheet
from p2p.report.figures.output import Picture
from p2p.report.figures.panels import cut, planned, told
from p2p.report.figures.theme import Theme
from p2p.report.figures.units import shares

__all__ = ["variation"]

ARMS: Final = 4
"""Of one figure."""

SHORTEST: Final = 0.004
"""The length of a bar that is hardly there, so that one sees that it is."""


def variation(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show the share of each factor, of their interactions, of the repetition, and of noise."""
    found = sorted(analysis.variation, key=lambda one: planned(run, one.arm))[:ARMS]
    if not found:
        return None
    caption = (
        "Where the variation of the transmission time comes from: the shares of size, pairs and type, of what they do "
        "together, of what the blocks of one repetition have in common, and of noise. The shares of an arm add up to "
        f"100 %. They rest on {formats.listed([formats.count(one.count) for one in found])} figures of blocks."
    )
    return Picture(
        "variation",
        "Where does the variation come from?",
        caption,
        f"Shares of the variation. {told(_said(found))}",
        partial(_draw, found),
    )


def _said(found: Sequence[Variation]) -> Iterator[str]:
    for one in found:
        parts = [f"{part.name} {formats.tiny(part.share)}" for part in one.parts]
        yield f"Arm {cut(one.arm)}: {formats.listed(parts)}."


def _draw(found: Sequence[Variation], theme: Theme) -> Figure:
    heights = [0.5 + 0.2 * len(one.parts) for one in found]
    figure = sheet.new(sum(heights) + 0.25)
    panels = figure.subplots(len(found), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for one, axes in zip(found, panels, strict=True):
        sheet.calm(axes, theme, grid="x")
        axes.set_title(f"Arm {cut(one.arm)}", fontweight="bold")
        axes.set_ylim(len(one.parts) - 0.4, -0.6)
        axes.set_yticks(range(len(one.parts)), [part.name for part in one.parts])
        axes.tick_params(axis="y", labelcolor=theme.ink)
        for place, part in enumerate(one.parts):
            color = theme.text if "type" in part.name else theme.soft if part.name == "noise" else theme.step2
            axes.barh([place], [max(part.share, SHORTEST)], height=0.62, color=color)
            axes.annotate(
                formats.tiny(part.share),
                (max(part.share, SHORTEST), place),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=7.5,
                color=theme.soft,
            )
        sheet.linear(axes, "x", 0, 1.12, shares, most=6)
    panels[-1].set_xlabel("share of the variation")
    return figure

"""Content types at equal size: what each block came to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2p.measure.block_figures import in_order
from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis, BlockFigures
from p2p.report import formats
from p2p.report.figures import sheet
from p2p.report.figures.output import Picture
from p2p.report.figures.panels import Column, Row, cut, left_out, rows, told
from p2p.report.figures.theme import Theme

__all__ = ["content_types"]

METRIC: Final = "latency_s"

CONDITIONS: Final = 12
"""Of one panel."""

CROWD: Final = 40
"""Blocks from which on a point is drawn thinner."""


def content_types(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show the median transmission time of each block under each content type, at equal size and number of pairs."""
    blocks = [one for one in analysis.blocks if sheet.finite([one.figures[METRIC]])]
    shown = [row for row in rows(run, analysis) if any(one.arm == row.arm for one in blocks)]
    while sum(_heights(blocks, shown)) > sheet.TALLEST:
        shown.pop()
    if not shown:
        return None
    points = sum(len(_values(blocks, row, column, "")) for row in shown for column in row.columns)
    caption = (
        "The median transmission time of each block (points) by content type, at equal size and number of pairs. The "
        "box holds the middle half of the blocks, the line in it is their median, and the whiskers reach as far as "
        f"there are blocks within 1.5 times the length of the box. {formats.counted(points, 'point')}. The axes are "
        f"logarithmic, and each panel has its own. {left_out(run, analysis, shown)}"
    ).strip()
    alt = f"Medians of the transmission time over blocks. {told(_said(blocks, shown))}"
    return Picture("content-types", "Does the content type matter?", caption, alt, partial(_draw, blocks, shown))


def _values(blocks: Sequence[BlockFigures], row: Row, column: Column, condition: str) -> list[float]:
    """The figures of a panel in the order in which the blocks were run; all conditions if none is named."""
    there = [one for one in blocks if one.arm == row.arm and column.holds(one) and condition in ("", one.condition)]
    return [one.figures[METRIC] or 0.0 for one in sorted(there, key=lambda one: one.order)]


def _conditions(blocks: Sequence[BlockFigures], row: Row) -> list[str]:
    return in_order(one.condition for one in blocks if one.arm == row.arm)[:CONDITIONS]


def _heights(blocks: Sequence[BlockFigures], shown: Sequence[Row]) -> list[float]:
    return [0.85 + 0.21 * len(_conditions(blocks, row)) for row in shown]


def _said(blocks: Sequence[BlockFigures], shown: Sequence[Row]) -> Iterator[str]:
    for row in shown:
        for column in dict.fromkeys((row.columns[0], row.columns[-1])):
            medians = [
                f"{cut(condition)} {formats.seconds(float(np.median(values)))}"
                for condition in _conditions(blocks, row)
                if (values := _values(blocks, row, column, condition))
            ]
            if medians:
                yield f"{row.title}{f', {column.title}' if column.title else ''}: {formats.listed(medians)}."


def _draw(blocks: Sequence[BlockFigures], shown: Sequence[Row], theme: Theme) -> Figure:
    heights = _heights(blocks, shown)
    figure = sheet.new(sum(heights))
    parts = figure.subfigures(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
    for row, part in zip(shown, parts, strict=True):
        sheet.heading(part, row.title, theme)
        conditions = _conditions(blocks, row)
        panels = part.subplots(1, len(row.columns), sharey=True, squeeze=False)[0]
        panels[0].set_ylim(len(conditions) - 0.4, -0.6)
        for column, axes in zip(row.columns, panels, strict=True):
            axes.set_title(column.title, color=theme.soft)
            sheet.calm(axes, theme, grid="x")
            axes.spines["left"].set_visible(False)
            for place, condition in enumerate(conditions):
                _box(axes, place, _values(blocks, row, column, condition), condition, theme)
            _time(axes, _values(blocks, row, column, ""), len(row.columns))
            axes.set_yticks(range(len(conditions)), [cut(condition, 20) for condition in conditions])
            axes.tick_params(axis="y", labelcolor=theme.ink)
    return figure


def _box(axes: Axes, place: int, values: Sequence[float], condition: str, theme: Theme) -> None:
    """Draw the blocks of a condition: points, and from five blocks on a box."""
    if not values:
        return
    how = sheet.marks(condition, theme, line=False)
    aside = [place + 0.56 * ((number * 0.618034) % 1 - 0.5) for number in range(len(values))]
    size, alpha = (3.2, 0.55) if len(values) <= CROWD else (2.4, 0.3)
    axes.plot(values, aside, markersize=size, alpha=alpha, **how)
    if len(values) < 5:
        axes.plot([float(np.median(values))] * 2, [place - 0.36, place + 0.36], color=theme.ink, linewidth=1.6)
        return
    axes.boxplot(
        [values],
        orientation="horizontal",
        positions=[place],
        widths=0.72,
        showfliers=False,
        showcaps=False,
        manage_ticks=False,
        boxprops={"color": theme.soft, "linewidth": 0.8},
        whiskerprops={"color": theme.soft, "linewidth": 0.8},
        medianprops={"color": theme.ink, "linewidth": 1.6},
        zorder=3,
    )


def _time(axes: Axes, values: Sequence[float], columns: int) -> None:
    """Give the axis room for all blocks, and never so little that noise looks large."""
    if values:
        sheet.logarithmic(axes, "x", min(values), max(values), formats.seconds, inches=5.6 / columns - 0.2)
    else:
        axes.set_xticks([])

"""How long a message takes: the shares of messages that were answered within a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from matplotlib.figure import Figure

from p2p.measure.block_figures import in_order
from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis, Ecdf
from p2p.report import formats
from p2p.report.figures import sheet
from p2p.report.figures.output import Picture
from p2p.report.figures.panels import Column, Row, cut, left_out, number_of_blocks, rows, told
from p2p.report.figures.theme import Theme
from p2p.report.figures.units import shares

__all__ = ["latency"]


def latency(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show the distribution of the transmission time under each content type."""
    timed = [one for one in analysis.ecdfs if one.n]
    shown = [row for row in rows(run, analysis) if any(one.level.arm == row.arm for one in timed)]
    if not shown:
        return None
    messages = sum(one.n for row in shown for column in row.columns for one in _curves(timed, row, column))
    caption = (
        "The share of messages that were answered within a time, by content type, on a logarithmic axis of time: "
        "further left is faster, and where lines lie on each other, the types take equally long. Across are the median "
        "and the 99th percentile; the slowest and the fastest half percent may lie outside. "
        f"{formats.counted(messages, 'message')} of {formats.counted(number_of_blocks(analysis, shown), 'block')}. "
        f"{left_out(run, analysis, shown)}"
    ).strip()
    alt = f"Cumulative shares of the transmission time. {told(_said(timed, shown))}"
    return Picture("latency", "How long does a message take?", caption, alt, partial(_draw, timed, shown))


def _curves(timed: Sequence[Ecdf], row: Row, column: Column) -> list[Ecdf]:
    found = {one.level.condition: one for one in timed if one.level.arm == row.arm and column.holds(one.level)}
    return [found[condition] for condition in in_order(found)]


def _said(timed: Sequence[Ecdf], shown: Sequence[Row]) -> Iterator[str]:
    for row in shown:
        for column in dict.fromkeys((row.columns[0], row.columns[-1])):
            medians = [
                f"{cut(one.level.condition)} {formats.seconds(one.latency_s[len(one.latency_s) // 2])}"
                for one in _curves(timed, row, column)
            ]
            if medians:
                where = f"{row.title}{f', {column.title}' if column.title else ''}"
                yield f"{where}: medians {formats.listed(medians)}."


def _draw(timed: Sequence[Ecdf], shown: Sequence[Row], theme: Theme) -> Figure:
    figure = sheet.new(0.45 + 1.6 * len(shown))
    sheet.legend(figure, {one.level.condition for one in timed}, theme, mark=False)
    for row, part in zip(shown, figure.subfigures(len(shown), 1, squeeze=False)[:, 0], strict=True):
        sheet.heading(part, row.title, theme)
        panels = part.subplots(1, len(row.columns), sharey=True, squeeze=False)[0]
        held = [value for one in timed if one.level.arm == row.arm for value in sheet.finite(one.latency_s[1:-1])]
        for column, axes in zip(row.columns, panels, strict=True):
            sheet.calm(axes, theme, grid="x")
            axes.set_title(column.title, color=theme.soft)
            for level in (0.5, 0.99):
                axes.axhline(level, color=theme.line, linewidth=0.8, zorder=0.5)
            for one in _curves(timed, row, column):
                how = sheet.marks(one.level.condition, theme)
                steps = len(one.latency_s) - 1
                axes.plot(
                    one.latency_s,
                    [place / steps for place in range(steps + 1)],
                    color=how["color"],
                    linestyle=how["linestyle"],
                    linewidth=1.4,
                )
            sheet.logarithmic(axes, "x", min(held), max(held), formats.seconds, inches=6.3 / len(row.columns) - 0.15)
            sheet.linear(axes, "y", 0, 1.02, shares, most=4)
            axes.set_xlabel("transmission time" if row is shown[-1] else "")
        panels[0].set_ylabel("answered within")
    return figure

"""The slowest messages: percentiles ever closer to all of them, on an axis that makes room for the rare ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2p.measure.block_figures import in_order
from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis, Ecdf
from p2p.report import formats
from p2p.report.figures import sheet
from p2p.report.figures.output import Picture
from p2p.report.figures.panels import Column, Row, cut, left_out, rows, told
from p2p.report.figures.theme import Theme

__all__ = ["spectrum"]


def spectrum(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show the percentiles of the transmission time of each content type, as far as there are messages for them."""
    known = [one for one in analysis.ecdfs if one.tail]
    shown = [row for row in rows(run, analysis, most=4) if any(one.level.arm == row.arm for one in known)]
    if not shown:
        return None
    caption = (
        "How slow the slowest messages are: the time within which a share of the messages was answered. Each step to "
        "the right leaves a tenth of those that are slower, and a line ends where ten messages are left; where lines "
        f"end at different places, the numbers of messages differ. {left_out(run, analysis, shown)}"
    ).strip()
    return Picture(
        "spectrum",
        "How slow are the slowest messages?",
        caption,
        f"Percentiles of the transmission time. {told(_said(known, shown))}",
        partial(_draw, known, shown),
    )


def _curves(known: Sequence[Ecdf], row: Row, column: Column) -> list[Ecdf]:
    found = {one.level.condition: one for one in known if one.level.arm == row.arm and column.holds(one.level)}
    return [found[condition] for condition in in_order(found)]


def _said(known: Sequence[Ecdf], shown: Sequence[Row]) -> Iterator[str]:
    for row in shown:
        for one in _curves(known, row, row.columns[-1]):
            slower, time = one.tail[-1]
            where = f"{row.title}{f', {row.columns[-1].title}' if row.columns[-1].title else ''}"
            yield (
                f"{where}, {cut(one.level.condition)}: {formats.percent(slower)} of {formats.count(one.n)} messages "
                f"took longer than {formats.seconds(time)}."
            )


def _draw(known: Sequence[Ecdf], shown: Sequence[Row], theme: Theme) -> Figure:
    figure = sheet.new(0.45 + 1.75 * len(shown))
    sheet.legend(figure, {one.level.condition for one in known}, theme, mark=False)
    least = min(one.tail[-1][0] for one in known)
    for row, part in zip(shown, figure.subfigures(len(shown), 1, squeeze=False)[:, 0], strict=True):
        sheet.heading(part, row.title, theme)
        panels = part.subplots(1, len(row.columns), sharey=True, squeeze=False)[0]
        held = [time for one in known if one.level.arm == row.arm for _, time in one.tail]
        for column, axes in zip(row.columns, panels, strict=True):
            sheet.calm(axes, theme, grid="both")
            axes.set_title(column.title, color=theme.soft)
            for one in _curves(known, row, column):
                how = sheet.marks(one.level.condition, theme)
                xs, ys = zip(*((1 / slower, time) for slower, time in one.tail), strict=True)
                axes.plot(xs, ys, color=how["color"], linestyle=how["linestyle"], linewidth=1.4)
            _shares(axes, least, 5.6 / len(row.columns))
            sheet.logarithmic(axes, "y", min(held), max(held), formats.seconds, inches=1.1)
            axes.set_xlabel("answered" if row is shown[-1] else "")
        panels[0].set_ylabel("within")
    return figure


def _shares(axes: Axes, least: float, inches: float) -> None:
    """Mark 50, 90, 99 % and so on, as far as there is something, and as many as there is room for."""
    axes.set_xscale("log")
    axes.set_xlim(2, 1.15 / least)
    marks = [(2.0, "50 %"), (10.0, "90 %"), (100.0, "99 %"), (1e3, "99.9 %"), (1e4, "99.99 %"), (1e5, "99.999 %")]
    kept = [(at, text) for at, text in marks if at <= 1.15 / least]
    kept = kept if inches > 0.55 * len(kept) else [kept[0], kept[-1]]
    axes.set_xticks([at for at, _ in kept], [text for _, text in kept])
    axes.set_xticks([], minor=True)

"""The course of the run: what went on in each second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from matplotlib.figure import Figure

from p2p.measure.block_figures import frames, timed
from p2p.measure.details import Second, second_of
from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis
from p2p.report import formats
from p2p.report.figures import sheet
from p2p.report.figures.output import Picture
from p2p.report.figures.panels import cut
from p2p.report.figures.theme import Theme
from p2p.report.figures.units import durations, plain, rates, seconds

__all__ = ["course"]

FEWEST: Final = 3
"""Seconds; a shorter run has no course to be seen."""

MARKS: Final = 6
"""Of what was done on purpose."""

POINTS: Final = 400
"""Of a line; of a longer run, neighbouring seconds become one point."""


def course(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show messages, bytes and transmission time, second by second."""
    there = list(analysis.seconds)
    if len(there) < FEWEST:
        return None
    marks = _marks(run)
    lost = sum(one.dropped for one in there)
    caption = (
        "What went on in each second in which something was under way: messages that ended, the bytes of those that "
        "were answered, both ways, and their median transmission time. Blocks of different sizes and numbers of pairs "
        "alternate, so the lines jump; what lasts longer than a block is the machine's doing. "
        f"{_marked(marks)}"
        f"{f'Crosses are seconds with drops, {formats.count(lost)} in all.' if lost else 'Nothing was dropped.'}"
    )
    typical = sorted(one.messages for one in there)[len(there) // 2]
    alt = (
        f"The course of the run over {formats.counted(there[-1].second + 1, 'second')}: half of them had at least "
        f"{formats.counted(typical, 'message')}, the busiest {formats.count(max(one.messages for one in there))}."
    )
    return Picture("course", "What went on in each second?", caption, alt, partial(_draw, there, marks))


def _marks(run: RawRun) -> list[tuple[int, str]]:
    """What was done on purpose, and in which second."""
    if not run.facts.events:
        return []
    data = frames(run)
    times = timed(data.samples)
    return [(second_of(data.blocks, times, one.t_ns), one.what) for one in run.facts.events[:MARKS]]


def _marked(marks: Sequence[tuple[int, str]]) -> str:
    if not marks:
        return ""
    said = [f"{cut(what, 60)} in second {formats.count(second)}" for second, what in marks]
    return f"Upright lines are what was done on purpose: {formats.listed(said)}. "


def _draw(there: Sequence[Second], marks: Sequence[tuple[int, str]], theme: Theme) -> Figure:
    figure = sheet.new(4.6)
    panels = figure.subplots(3, 1, sharex=True)
    end = there[-1].second + 1
    what: list[tuple[str, Callable[[Second], float | None], Callable[[Sequence[float]], list[str]]]] = [
        ("messages per second", lambda one: one.messages, plain),
        ("bytes per second", lambda one: one.bytes, rates),
        ("median transmission time", lambda one: one.latency_s, seconds),
    ]
    for axes, (title, value, write) in zip(panels, what, strict=True):
        axes.set_title(title, fontweight="bold")
        sheet.calm(axes, theme)
        for second, _ in marks:
            axes.axvline(second, color=theme.differs, linewidth=0.9, linestyle=(0, (3, 2)), zorder=0.6)
        xs, ys = _line(there, value)
        axes.plot(xs, ys, color=theme.text, linewidth=1.1)
        held = sheet.finite(ys)
        most = max(held, default=0.0)
        lost = [one for one in there if one.dropped]
        axes.plot([one.second for one in lost], [most * 1.02] * len(lost), "x", color=theme.differs, markersize=5)
        if title.startswith("median") and held and most > 20 * min(held):
            sheet.logarithmic(axes, "y", min(held), most * 1.1, formats.seconds, inches=1.0)
        else:
            sheet.linear(axes, "y", 0, most * 1.1 or 1.0, write, most=4)
    per = 3600.0 if end >= 7200 else 60.0 if end >= 120 else 1.0
    sheet.linear(panels[-1], "x", 0, max(end, 1.0), durations, most=8, per=per)
    panels[-1].set_xlabel("time in which something was under way")
    return figure


def _line(there: Sequence[Second], value: Callable[[Second], float | None]) -> tuple[list[float], list[float]]:
    """Make the points of a line: means of as many neighbouring seconds as are needed, and gaps where there is none."""
    step = -(-(there[-1].second + 1) // POINTS)
    groups: dict[int, list[float]] = {}
    for one in there:
        found = value(one)
        if found is not None:
            groups.setdefault(one.second // step, []).append(found)
    places = range(max(groups, default=-1) + 1)
    return (
        [(place + 0.5) * step - 0.5 for place in places],
        [sum(groups[place]) / len(groups[place]) if place in groups else float("nan") for place in places],
    )

"""Every pair for itself: who got how much, who waited how long, and who lost what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2p.measure.details import PairFigures
from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis
from p2p.report import formats
from p2p.report.figures import sheet
from p2p.report.figures.output import Picture
from p2p.report.figures.panels import arms, cut, told
from p2p.report.figures.theme import Theme
from p2p.report.figures.units import plain, rates, seconds

__all__ = ["by_pair"]

ARMS: Final = 3


def by_pair(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show rate, transmission time and drops of each pair, of the arms in which several talk at once."""
    groups = {arm: list(held) for arm, held in groupby(analysis.pairs, lambda one: one.arm)}
    shown = [groups[arm] for arm in arms(run, analysis) if len(groups.get(arm, ())) > 1][:ARMS]
    if not shown:
        return None
    caption = (
        "Every pair for itself, in the blocks with most pairs of each arm, in the order of their rates: bytes per "
        "second, median transmission time, and dropped messages. The flatter a line, the fairer the share."
    )
    alt = f"Rates, times and drops of single pairs. {told(_said(shown))}"
    return Picture("by-pair", "Does every pair get the same?", caption, alt, partial(_draw, shown))


def _said(shown: Sequence[Sequence[PairFigures]]) -> Iterator[str]:
    for pairs in shown:
        got = sorted(sheet.finite(one.bytes_per_s for one in pairs))
        lost = sum(one.dropped for one in pairs)
        if got:
            yield (
                f"Arm {cut(pairs[0].arm)}: {formats.counted(len(pairs), 'pair')}, from {formats.rate(got[0])} to "
                f"{formats.rate(got[-1])}; {formats.counted(lost, 'message')} dropped."
            )


def _draw(shown: Sequence[Sequence[PairFigures]], theme: Theme) -> Figure:
    figure = sheet.new(0.2 + 2.0 * len(shown))
    for pairs, part in zip(shown, figure.subfigures(len(shown), 1, squeeze=False)[:, 0], strict=True):
        sheet.heading(part, f"Arm {cut(pairs[0].arm)}, {formats.counted(len(pairs), 'pair')} at once", theme)
        ordered = sorted(pairs, key=lambda one: (one.bytes_per_s or 0.0, one.pair))
        left, middle, right = part.subplots(1, 3)
        _points(left, [one.bytes_per_s or 0.0 for one in ordered], "bytes per second", theme)
        most = max(one.bytes_per_s or 0.0 for one in ordered)
        sheet.linear(left, "y", 0, most * 1.12 or 1.0, rates, most=4)
        times = [one.latency_s or 0.0 for one in ordered]
        _points(middle, times, "median transmission time", theme)
        sheet.linear(middle, "y", 0, max(times) * 1.12 or 1.0, seconds, most=4)
        lost = [float(one.dropped) for one in ordered]
        _points(right, lost, "dropped messages", theme)
        sheet.linear(right, "y", 0, max(*lost, 4.0) * 1.12, plain, most=4)
        for axes in (left, middle, right):
            axes.set_xlim(0.5, len(pairs) + 0.5)
            axes.set_xticks([1, len(pairs)])
            axes.set_xlabel("pairs, slowest first")
    return figure


def _points(axes: Axes, values: Sequence[float], title: str, theme: Theme) -> None:
    axes.set_title(title, color=theme.soft)
    sheet.calm(axes, theme)
    size = 3.5 if len(values) <= 40 else 2.0
    axes.plot(range(1, len(values) + 1), values, "o", color=theme.text, markersize=size, clip_on=False)

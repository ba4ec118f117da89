"""How many bytes a second go over: against the size of the content, and against the pairs that talk at once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2p.measure.block_figures import in_order
from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis, LevelFigures
from p2p.report import formats
from p2p.report.figures import sheet
from p2p.report.figures.output import Picture
from p2p.report.figures.panels import arms, cut, spread, told
from p2p.report.figures.theme import Theme
from p2p.report.figures.units import rates, seconds

__all__ = ["cycle", "scaling", "throughput"]

PANELS: Final = 4
"""Of the figure by size, as many as are still readable."""

LINES: Final = 3
"""Of the figure by pairs, three panels each."""

THROUGHPUT: Final = "throughput_bytes_per_s"


@dataclass(frozen=True, slots=True)
class _Panel:
    """Levels that differ by one factor, and by the condition."""

    title: str
    levels: tuple[LevelFigures, ...]

    def conditions(self) -> list[str]:
        return in_order(one.level.condition for one in self.levels)

    def values(self, metric: str) -> list[float]:
        found = [one.estimates[metric] for one in self.levels]
        return sheet.finite(value for one in found for value in (one.low, one.median, one.high))


def throughput(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show the throughput against the size of the content."""
    return _against_size(
        run,
        analysis,
        THROUGHPUT,
        ("throughput", "How many bytes per second, by size?", "throughput"),
        "Throughput of all pairs together, both ways,",
    )


def cycle(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show the cycle time against the size of the content; nothing of an open load."""
    return _against_size(
        run,
        analysis,
        "cycle_s",
        ("cycle", "How long is a cycle?", "cycle time"),
        "Cycle time, from one message of a pair to its next in the closed loop,",
    )


def _against_size(
    run: RawRun, analysis: Analysis, metric: str, names: tuple[str, str, str], what: str
) -> Picture | None:
    """Show a figure against the size of the content.

    :param names: of the picture, its question, and the name of the axis.
    """
    there = [one for one in analysis.levels if sheet.finite([one.estimates[metric].median])]
    panels = _panels(run, analysis, there, lambda one: (one.level.pairs, one.level.load), _of_pairs)
    several = [one for one in panels if len({level.level.size for level in one.levels}) > 1]
    shown = spread(several or panels, PANELS)
    if not shown:
        return None
    caption = (
        f"{what} against the size of the content: medians of blocks{_intervals(shown, metric)}{_beside(shown)}. "
        f"{_scales(shown, metric, names[2])} {_rests_on(shown)} {_more(several, shown)}"
    ).strip()
    name, question, axis = names
    alt = f"{axis.capitalize()} against size. {told(_said(shown, lambda one: formats.size(one.level.size), metric))}"
    return Picture(name, question, caption, alt, partial(_draw_against_size, shown, metric, axis))


def scaling(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show throughput and transmission time against the number of pairs; nothing if that never changes."""
    there = [one for one in analysis.levels if sheet.finite([one.estimates[THROUGHPUT].median])]
    panels = _panels(run, analysis, there, lambda one: (one.level.size, one.level.load), _of_size)
    several = [one for one in panels if len({level.level.pairs for level in one.levels}) > 1]
    shown = spread(several, LINES)
    if not shown:
        return None
    caption = (
        "What many pairs at once do to the throughput of all of them, to the transmission time, and to what one "
        f"initiator gets: medians of blocks{_intervals(shown, THROUGHPUT)}{_beside(shown)}. {_rests_on(shown)} "
        f"{_more(several, shown)}"
    ).strip()
    alt = (
        "Throughput and transmission time against the number of pairs. "
        f"{told(_said(shown, lambda one: formats.counted(one.level.pairs, 'pair')))}"
    )
    return Picture("scaling", "What do more pairs at once do?", caption, alt, partial(_draw_scaling, shown))


# -- words ----------------------------------------------------------------------------------------------------------


def _of_pairs(one: LevelFigures) -> str:
    return f"{formats.counted(one.level.pairs, 'pair')}{_load(one)}"


def _of_size(one: LevelFigures) -> str:
    return f"{formats.size(one.level.size)}{_load(one)}"


def _load(one: LevelFigures) -> str:
    return "" if one.level.load == "closed" else f", {cut(one.level.load)}"


def _intervals(shown: Sequence[_Panel], metric: str) -> str:
    there = any(level.estimates[metric].low is not None for one in shown for level in one.levels)
    return " with their 95 % intervals" if there else ""


def _beside(shown: Sequence[_Panel]) -> str:
    many = any(len(one.conditions()) > 1 for one in shown)
    return "; marks of one place stand side by side, so that they don't cover each other" if many else ""


def _scales(shown: Sequence[_Panel], metric: str, axis: str) -> str:
    wide = {_is_wide(one.values(metric)) for one in shown}
    if len(wide) > 1:
        return f"The axis of {axis} is logarithmic where it has to be, and begins at 0 elsewhere."
    return "Both axes are logarithmic." if True in wide else f"The axis of {axis} begins at 0."


def _rests_on(shown: Sequence[_Panel]) -> str:
    blocks = Counter(one.estimates[THROUGHPUT].n for panel in shown for one in panel.levels)
    fewest, most = min(blocks), max(blocks)
    return f"Each mark rests on {formats.counted(most, 'block') if fewest == most else f'{fewest} to {most} blocks'}."


def _more(there: Sequence[_Panel], shown: Sequence[_Panel]) -> str:
    more = len(there) - len(shown)
    return (
        f"{formats.counted(more, 'more combination')} of arm and factors {'are' if more > 1 else 'is'} in the tables."
        * (more > 0)
    )


def _said(shown: Sequence[_Panel], where: Callable[[LevelFigures], str], metric: str = "") -> Iterator[str]:
    """Say the ends of each line: one figure, or throughput and time of a message."""
    for panel in shown:
        for condition in panel.conditions():
            levels = [one for one in panel.levels if one.level.condition == condition]
            ends = [levels[0], *([levels[-1]] if len(levels) > 1 else [])]
            said = [f"{_figures(one, metric)} at {where(one)}" for one in ends]
            yield f"{panel.title}, {cut(condition)}: {' and '.join(said)}."


def _figures(one: LevelFigures, metric: str) -> str:
    rate = formats.rate(one.estimates[THROUGHPUT].median)
    if metric:
        return rate if metric == THROUGHPUT else formats.seconds(one.estimates[metric].median)
    return f"{rate}, {formats.seconds(one.estimates['latency_s'].median)} a message,"


# -- panels ---------------------------------------------------------------------------------------------------------


def _panels(
    run: RawRun,
    analysis: Analysis,
    levels: Sequence[LevelFigures],
    key: Callable[[LevelFigures], tuple[int, str]],
    title: Callable[[LevelFigures], str],
) -> list[_Panel]:
    found = []
    for arm in arms(run, analysis):
        there = sorted((one for one in levels if one.level.arm == arm), key=key)
        for _, group in groupby(there, key):
            held = tuple(sorted(group, key=lambda one: (one.level.size, one.level.pairs)))
            found.append(_Panel(f"Arm {cut(arm)}, {title(held[0])}", held))
    return found


def _draw_against_size(shown: Sequence[_Panel], metric: str, name: str, theme: Theme) -> Figure:
    columns = min(len(shown), 2)
    lines = math.ceil(len(shown) / columns)
    figure = sheet.new(0.4 + 2.5 * lines)
    sheet.legend(figure, {name for panel in shown for name in panel.conditions()}, theme)
    grid = figure.subplots(lines, columns, squeeze=False).flat
    for panel, axes in zip(shown, grid, strict=False):
        axes.set_title(panel.title, fontweight="bold")
        _curves(axes, panel, "size", metric, theme, columns)
        axes.set_ylabel(name)
        axes.set_xlabel("size of the content")
    for axes in list(grid):
        axes.set_visible(False)
    return figure


def _draw_scaling(shown: Sequence[_Panel], theme: Theme) -> Figure:
    figure = sheet.new(0.4 + 2.5 * len(shown))
    sheet.legend(figure, {name for panel in shown for name in panel.conditions()}, theme)
    metrics = {
        THROUGHPUT: "throughput",
        "latency_s": "median transmission time",
        "pair_bytes_per_s": "throughput of an initiator",
    }
    for panel, part in zip(shown, figure.subfigures(len(shown), 1, squeeze=False)[:, 0], strict=True):
        sheet.heading(part, panel.title, theme)
        for (metric, name), axes in zip(metrics.items(), part.subplots(1, 3), strict=True):
            axes.set_title(name, color=theme.soft)
            _curves(axes, panel, "pairs", metric, theme, 3)
            axes.set_xlabel("pairs at once")
    return figure


def _curves(
    axes: Axes,
    panel: _Panel,
    factor: str,
    metric: str,
    theme: Theme,
    columns: int,
) -> None:
    """Draw one figure of the levels against one of their factors, a line for each condition."""
    sheet.calm(axes, theme)
    at = {getattr(one.level, factor) for one in panel.levels}
    write = formats.size if factor == "size" else formats.count
    sheet.places(axes, at, write, inches=6.0 / columns - 0.5)
    left, right = axes.get_xlim()
    conditions = panel.conditions()
    step = math.log(right / left) * min(0.012, 0.25 / max(len(at) * len(conditions), 1))
    for place, condition in enumerate(conditions):
        aside = math.exp(step * (place - (len(conditions) - 1) / 2))
        levels = [one for one in panel.levels if one.level.condition == condition]
        levels = [one for one in levels if sheet.finite([one.estimates[metric].median])]
        how = sheet.marks(condition, theme)
        xs = [getattr(one.level, factor) * aside for one in levels]
        axes.plot(xs, [one.estimates[metric].median or 0.0 for one in levels], linewidth=1.0, **how)
        for x, one in zip(xs, levels, strict=True):
            sheet.interval(axes, "y", x, one.estimates[metric], how["color"])
    _amounts(axes, panel.values(metric), is_rate=metric.endswith("_bytes_per_s"))


def _amounts(axes: Axes, values: Sequence[float], *, is_rate: bool) -> None:
    write, write_all = (formats.rate, rates) if is_rate else (formats.seconds, seconds)
    if _is_wide(values):
        sheet.logarithmic(axes, "y", min(values), max(values), write, inches=1.6)
    else:
        sheet.linear(axes, "y", 0, max(values) * 1.08, write_all)


def _is_wide(values: Sequence[float]) -> bool:
    """Whether the smallest would be hard to see beside the largest on a linear axis."""
    return bool(values) and max(values) > 8 * min(values)

"""What the figures have in common: sizes, axes, marks and legends. Needs the extra ``report``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullFormatter, NullLocator

from p2p.measure.block_figures import in_order
from p2p.measure.estimates import Estimate
from p2p.report.figures.panels import cut
from p2p.report.figures.theme import Theme, look

__all__ = [
    "TALLEST",
    "WIDTH",
    "calm",
    "finite",
    "heading",
    "interval",
    "keys",
    "legend",
    "linear",
    "logarithmic",
    "marks",
    "new",
    "places",
]

WIDTH: Final = 7.2
"""Inches: text of 8.5 points is then as large as that of a page of 46rem, and as 8 points on A4."""

CHARACTER: Final = 0.066
"""Inches that a character of a label takes."""

TALLEST: Final = 9.0
"""Inches: a figure and its caption must fit on a page."""

NARROWEST: Final = 0.15
"""The least that a logarithmic axis shows, in powers of ten: 19 % to either side."""


def new(height: float) -> Figure:
    """Make an empty figure of the usual width; the height is in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.04, h_pad=0.04, wspace=0.05, hspace=0.02)
    return figure


def calm(axes: Axes, theme: Theme, *, grid: str = "y") -> None:
    """Draw the grid of one axis, or of both, and no frame where there is one."""
    axes.grid(True, axis=grid, color=theme.line)  # type: ignore[arg-type] # "x", "y" or "both"
    if grid != "x":
        axes.spines["left"].set_visible(False)


def heading(place: Figure | SubFigure, text: str, theme: Theme) -> None:
    """Write above a part of a figure what it is about."""
    place.suptitle(text, x=0.008, ha="left", fontsize=9.5, fontweight="bold", color=theme.ink)


# -- axes -----------------------------------------------------------------------------------------------------------


def logarithmic(
    axes: Axes, which: str, low: float, high: float, write: Callable[[float], str], *, inches: float
) -> None:
    """Make an axis logarithmic, with ticks at round values, as many as there is room for.

    It always shows at least :data:`NARROWEST`: noise shouldn't look like a difference.

    :param write: writes a value with its unit.
    :param inches: how long the axis is, or a little less.
    """
    span = max(math.log10(high / low), NARROWEST)
    middle = math.log10(low * high) / 2
    low, high = 10 ** (middle - span * 0.54), 10 ** (middle + span * 0.54)
    if which == "x":
        axes.set_xscale("log")
        axes.set_xlim(low, high)
    else:
        axes.set_yscale("log")
        axes.set_ylim(low, high)
    scale = inches / math.log10(high / low)
    ticks = next(
        (found for found in _round_values(low, high) if _fit(found, [write(one) for one in found], which, scale)), []
    )
    _fix(axes, which, ticks, [write(tick) for tick in ticks])


def _round_values(low: float, high: float) -> Iterator[list[float]]:
    """Find round values between two others, ever fewer of them, and at least one."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))

    def between(values: Iterable[float]) -> list[float]:
        return [value for value in values if low <= value <= high]

    for mantissas in ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = between(m * 10.0**power for power in range(first, last + 1) for m in mantissas)
        if len(found) > 1:
            yield found
    for step in range(2, last - first + 1):
        phases = [between(10.0**power for power in range(first + phase, last + 1, step)) for phase in range(step)]
        yield max(phases, key=len)
    yield between(map(float, MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(low, high)))[:1]


def _fit(ticks: Sequence[float], texts: Sequence[str], which: str, scale: float) -> bool:
    """Whether labels don't touch; the scale is in inches a power of ten."""
    if which == "y":
        needed = [0.24] * len(texts)
    else:
        widths = [CHARACTER * (len(text) + 1) for text in texts]
        needed = [(one + other) / 2 for one, other in pairwise(widths)]
    return all(math.log10(b / a) * scale >= room for (a, b), room in zip(pairwise(ticks), needed, strict=False))


def linear(
    axes: Axes,
    which: str,
    low: float,
    high: float,
    write: Callable[[Sequence[float]], list[str]],
    *,
    most: int = 5,
    per: float = 1.0,
) -> None:
    """Make an axis linear, with round ticks.

    :param write: writes all ticks, so that they can have one unit.
    :param per: in what ticks are to be round: 60 for minutes on an axis of seconds.
    """
    if which == "x":
        axes.set_xlim(low, high)
    else:
        axes.set_ylim(low, high)
    found = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low / per, high / per)
    slack = (high - low) * 1e-9
    ticks = [float(value) * per for value in found if low - slack <= value * per <= high + slack]
    _fix(axes, which, ticks, write(ticks))


def places(axes: Axes, values: Iterable[float], write: Callable[[int], str], *, inches: float) -> None:
    """Put a tick at each of these values of a logarithmic axis; where labels would touch, some have none."""
    ordered = sorted(set(values))
    low, high = ordered[0], ordered[-1]
    margin = (high / low) ** 0.07 if high > low else 2.0
    axes.set_xscale("log")
    axes.set_xlim(low / margin, high * margin)
    scale = inches / math.log10(high / low * margin**2)
    kept = [low] if low < high else []
    for value in ordered[1:-1]:
        several = [kept[-1], value, high]
        if _fit(several, [write(int(one)) for one in several], "x", scale):
            kept.append(value)
    kept.append(high)
    _fix(axes, "x", kept, [write(int(value)) for value in kept])
    axes.xaxis.set_minor_locator(FixedLocator([value for value in ordered if value not in kept]))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _fix(axes: Axes, which: str, ticks: Sequence[float], texts: Sequence[str]) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FixedFormatter(list(texts)))
    axis.set_minor_locator(NullLocator())


# -- marks ----------------------------------------------------------------------------------------------------------


def marks(condition: str, theme: Theme, *, line: bool = True) -> dict[str, Any]:
    """How the marks of a condition are drawn, in the words of matplotlib."""
    found = look(condition)
    color = theme.color(found.color)
    return {
        "color": color,
        "linestyle": found.dash if line else "none",
        "marker": found.marker,
        "markerfacecolor": theme.paper if found.is_hollow else color,
        "markeredgecolor": color,
        "markeredgewidth": 1.1 if found.is_hollow else 0.0,
    }


def interval(
    axes: Axes, which: str, at: float, estimate: Estimate, color: str, *, factor: float = 1.0, width: float = 1.3
) -> None:
    """Draw the interval of an estimate as a line, if it has one."""
    if estimate.low is None or estimate.high is None:
        return
    ends = [estimate.low * factor, estimate.high * factor]
    xs, ys = ([at, at], ends) if which == "y" else (ends, [at, at])
    axes.plot(xs, ys, color=color, linewidth=width, solid_capstyle="butt", alpha=0.75, zorder=2.5)


def legend(figure: Figure, conditions: Iterable[str], theme: Theme, *, mark: bool = True, line: bool = True) -> None:
    """Put a legend of content types above everything, where it covers nothing."""
    ordered = in_order(conditions)
    handles = []
    for condition in ordered:
        how = marks(condition, theme, line=line)
        if not mark:
            how["marker"] = ""
        handles.append(Line2D([], [], **how))
    labels = [cut(condition, 22) for condition in ordered]
    _above(figure, handles, labels)


def keys(figure: Figure, handles: Mapping[str, Any]) -> None:
    """Put a legend of other things above everything."""
    _above(figure, list(handles.values()), list(handles))


def _above(figure: Figure, handles: list[Any], labels: list[str]) -> None:
    """Put a legend above everything, in as many columns as there is room for."""
    length = 1.4 if any(isinstance(handle, Patch) for handle in handles) else 2.6
    fitting = (number for number in range(len(labels), 1, -1) if _inches(labels, number, length) <= WIDTH - 0.1)
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=next(fitting, 1),
        handlelength=length,
        columnspacing=1.4,
        handletextpad=0.6,
    )


def _inches(labels: Sequence[str], columns: int, length: float) -> float:
    """How wide a legend is in so many columns, with marks of this length in em."""
    longer, rest = divmod(len(labels), columns)
    ends = [longer * column + min(column, rest) for column in range(columns + 1)]
    widest = [max(map(len, labels[begin:end])) for begin, end in pairwise(ends)]
    return sum(0.068 * width + 0.118 * (length + 2.0) for width in widest)


def finite(values: Iterable[float | None]) -> list[float]:
    """Take what is a number, and more than nothing."""
    return [value for value in values if value is not None and np.isfinite(value) and value > 0]

"""What the daemons held while the experiment ran: open sockets, processor and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis
from p2p.report import formats
from p2p.report.figures import sheet
from p2p.report.figures.output import Picture
from p2p.report.figures.panels import cut
from p2p.report.figures.theme import Theme
from p2p.report.figures.units import bytes_, durations, plain, shares

__all__ = ["resources"]

LINES: Final = 8
"""Daemons with a line each; where there are more, those of one role are drawn together."""

POINTS: Final = 240
"""Of a line; of more readings, those of one stretch of time become one point."""

BREAK_S: Final = 20.0
"""Where nothing was read for so long, the run was interrupted, and so is the line."""

Values = NDArray[np.float64]

_MARKERS: Final = ("o", "s", "^", "P", "v", "X", "D", "d")
_DASHES: Final = ((0, ()), (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)))


@dataclass(frozen=True, slots=True)
class _Readings:
    """What a daemon held, by the seconds since its first reading; NaN where the run was interrupted.

    :ivar cpu: the share of one processor since the reading before.
    """

    daemon: str
    role: str
    elapsed: Values
    sockets: Values
    cpu: Values
    memory: Values


def resources(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show sockets, processor and memory of every daemon over time."""
    found = list(_readings(run))
    if not found:
        return None
    found.sort(key=lambda one: (one.role != "router", one.daemon))
    together = len(found) > LINES
    number = formats.counted(len(found), "daemon")
    how = (
        f"{number}; those of one role are drawn together: the line is their median, the area holds all of them."
        if together
        else f"{number}, a line each."
    )
    broken = any(np.isnan(one.elapsed).any() for one in found)
    caption = (
        f"What the daemons held while the experiment ran, read once a second: {how} Processor time is a share of one "
        "processor between two readings." + (" Gaps are where the run was interrupted." if broken else "")
    )
    parts = [
        f"{cut(one.daemon)}: at most {formats.count(one.sockets_most)} sockets, {formats.percent(one.cpu_share)} of a "
        f"processor on average, at most {formats.bytes_(one.rss_bytes_most)} of memory."
        for one in analysis.daemons[:LINES]
    ]
    more = len(analysis.daemons) - LINES
    if more > 0:
        parts.append(f"And {formats.counted(more, 'more daemon')}.")
    return Picture(
        "resources",
        "What do the daemons hold?",
        caption,
        f"Open sockets, processor and memory over time. {' '.join(parts)}",
        partial(_draw, found, together),
    )


# -- readings -------------------------------------------------------------------------------------------------------


def _readings(run: RawRun) -> Iterator[_Readings]:
    rows: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(run.daemons["role"], run.daemons["daemon"], strict=True)):
        rows.setdefault(key, []).append(row)
    names = ("t_ns", "sockets", "cpu_s", "rss_bytes")
    columns = {name: np.asarray(run.daemons[name], dtype=np.float64) for name in names}
    for (role, daemon), held in rows.items():
        at = np.asarray(held)
        yield _of_daemon(daemon, role, *(columns[name][at] for name in names))


def _of_daemon(daemon: str, role: str, t_ns: Values, sockets: Values, cpu_s: Values, memory: Values) -> _Readings:
    """Work out one daemon; its clock may have begun anew where the run was interrupted."""
    steps = np.diff(t_ns) / 1e9
    broken = (steps <= 0) | (steps > BREAK_S)
    elapsed = np.concatenate([[0.0], np.cumsum(np.where(broken, 1.0, steps))])
    used = np.diff(cpu_s)
    rates = np.where(broken | (used < 0), np.nan, used / np.where(broken, 1.0, steps))
    cuts = np.nonzero(broken)[0] + 1
    parts = [elapsed, sockets, np.concatenate([[np.nan], rates]), memory]
    return _Readings(daemon, role, *(np.insert(part, cuts, np.nan) for part in parts))


def _fewer(elapsed: Values, values: Values, end: float) -> tuple[Values, Values]:
    """Make fewer points of a long line: the most of each stretch of time in which something was read."""
    if len(elapsed) <= POINTS:
        return elapsed, values
    xs, ys = [], []
    for part in np.split(np.arange(len(elapsed)), np.nonzero(np.isnan(elapsed))[0]):
        there = part[~(np.isnan(elapsed[part]) | np.isnan(values[part]))]
        if not there.size:
            continue
        stretches = (elapsed[there] / end * POINTS).astype(int)
        starts = np.nonzero(np.diff(stretches, prepend=-1))[0]
        xs += [elapsed[there][starts], [np.nan]]
        ys += [np.maximum.reduceat(values[there], starts), [np.nan]]
    return np.concatenate([*xs, []]), np.concatenate([*ys, []])


# -- drawing --------------------------------------------------------------------------------------------------------


def _draw(found: Sequence[_Readings], together: bool, theme: Theme) -> Figure:
    figure = sheet.new(5.2)
    panels = figure.subplots(3, 1, sharex=True)
    end = max(float(np.nanmax(one.elapsed)) for one in found)
    named: list[tuple[str, str, list[_Readings]]]
    if together:
        roles = list(dict.fromkeys(one.role for one in found))
        named = [(role, f"{role}s", [one for one in found if one.role == role]) for role in roles]
        labels = [f"{len(group)} {name}" for _, name, group in named]
    else:
        named = [(one.role, one.daemon, [one]) for one in found]
        labels = [cut(one.daemon) for one in found]
    looks = _looks([role for role, _, _ in named], labels, theme)
    sheet.keys(figure, {label: Line2D([], [], **look) for label, look in zip(labels, looks, strict=True)})
    what: list[tuple[str, str, Callable[[Sequence[float]], list[str]]]] = [
        ("sockets", "open sockets", plain),
        ("cpu", "processor", shares),
        ("memory", "memory", bytes_),
    ]
    for axes, (field, title, write) in zip(panels, what, strict=True):
        axes.set_title(title, fontweight="bold")
        sheet.calm(axes, theme)
        most = 0.0
        for (_, _, group), look in zip(named, looks, strict=True):
            most = max(most, _line(axes, group, field, end, look))
        sheet.linear(axes, "y", 0, most * 1.08 or 1.0, write, most=4)
    per = 3600.0 if end >= 7200 else 60.0 if end >= 120 else 1.0
    sheet.linear(panels[-1], "x", 0, max(end, 1.0), durations, most=8, per=per)
    panels[-1].set_xlabel("time of measuring since the first reading")
    return figure


def _looks(roles: Sequence[str], labels: Sequence[str], theme: Theme) -> list[dict[str, Any]]:
    """Give each role a colour that no content type has, and each daemon of it a line style and a marker."""
    numbers: dict[str, int] = {}
    looks = []
    for role, label in zip(roles, labels, strict=True):
        kind = label if label == "coordinator" else role
        number = numbers[kind] = numbers.get(kind, -1) + 1
        color = {"router": theme.ink, "coordinator": theme.other}.get(kind, theme.another)
        looks.append({"color": color, "linestyle": _DASHES[number % 4], "marker": _MARKERS[number % 8]})
    return looks


def _line(axes: Axes, group: Sequence[_Readings], field: str, end: float, look: dict[str, Any]) -> float:
    """Draw a daemon, or what those of a role have in common; returns the most that is drawn."""
    curves = [_fewer(one.elapsed, getattr(one, field), end) for one in group]
    if len(curves) == 1:
        xs, ys = curves[0]
        every = max(1, len(xs) // 8)
        axes.plot(xs, ys, linewidth=1.1, markersize=4, markevery=every, markeredgewidth=0, **look)
        return float(np.nanmax(ys, initial=0.0))
    places = np.linspace(0, end, POINTS)
    stacked = np.stack([_at(places, xs, ys) for xs, ys in curves])
    axes.fill_between(places, stacked.min(axis=0), stacked.max(axis=0), color=look["color"], alpha=0.2, linewidth=0)
    axes.plot(places, np.median(stacked, axis=0), linewidth=1.2, markersize=4, markevery=POINTS // 8, **look)
    return float(stacked.max())


def _at(places: Values, xs: Values, ys: Values) -> Values:
    there = ~(np.isnan(xs) | np.isnan(ys))
    if not there.any():
        return np.zeros_like(places)
    return np.interp(places, xs[there], ys[there])

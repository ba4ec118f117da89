"""Looking a name up: in a table by its size, and as those see it who wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis, LinkFigures, LookupFigures
from p2p.report import formats
from p2p.report.figures import sheet
from p2p.report.figures.output import Picture
from p2p.report.figures.panels import spread
from p2p.report.figures.theme import Theme
from p2p.report.figures.units import seconds

__all__ = ["lookup"]

BATCHES: Final = 60
"""Points of one table size."""

_SEEN: Final = (
    ("table_lookup_ns", "in the routing table"),
    ("router_lookup_ns", "router to router, there and back"),
    ("instruct_ns", "seen by the peer, from asking to the answer"),
)


def _median(one: LookupFigures | LinkFigures) -> float:
    return one.estimate.median or 0.0


def lookup(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show the look-up against the size of the table, and as those see it who wait for it."""
    tables = [one for one in analysis.lookups if one.table_size > 0 and sheet.finite([one.estimate.median])]
    seen = _seen(analysis)
    if not tables and not seen:
        return None
    said = []
    if tables:
        batches = formats.counted(tables[0].estimate.n, "batch", "batches")
        said.append(
            f"{'Left: the' if seen else 'The'} time of one look-up in a routing table against its size; a point is a "
            f"batch of look-ups, and the large marks are the medians of {batches} with their 95 % intervals."
        )
    if seen:
        pairs = seen[0][1].pairs
        said.append(
            f"{'Right: what' if tables else 'What'} became of it in the run, with {formats.counted(pairs, 'pair')} at "
            f"once, on a logarithmic axis: medians of {formats.counted(seen[0][1].estimate.n, 'block')}"
            f"{'' if seen[0][1].estimate.low is None else ' with their 95 % intervals'}."
        )
    parts = [f"{formats.count(one.table_size)} entries: {formats.seconds(_median(one) / 1e9)}" for one in tables]
    alt = f"Look-up times. {'; '.join(parts)}. " if parts else "Look-up times. "
    alt += " ".join(f"{name[0].upper()}{name[1:]}: {formats.seconds(_median(one) / 1e9)}." for name, one in seen)
    points: dict[int, list[float]] = {}
    for size, ns in zip(run.lookups["table_size"], run.lookups["ns"], strict=True):
        points.setdefault(size, []).append(ns)
    chosen = {size: spread(sorted(values), BATCHES) for size, values in points.items()}
    return Picture(
        "lookup",
        "How long does a look-up take?",
        " ".join(said),
        alt.strip(),
        partial(_draw_lookup, tables, chosen, seen),
    )


def _seen(analysis: Analysis) -> list[tuple[str, LinkFigures]]:
    """The look-up as it was seen with the fewest pairs at once, where nobody waits for others."""
    fewest = min((one.pairs for one in analysis.links if one.figure == "router_lookup_ns"), default=None)
    found = {one.figure: one for one in analysis.links if one.pairs == fewest and sheet.finite([one.estimate.median])}
    return [(name, found[figure]) for figure, name in _SEEN if figure in found]


def _draw_lookup(
    tables: Sequence[LookupFigures],
    batches: dict[int, list[float]],
    seen: Sequence[tuple[str, LinkFigures]],
    theme: Theme,
) -> Figure:
    figure = sheet.new(2.6)
    there = [bool(tables), bool(seen)]
    panels = list(figure.subplots(1, sum(there), squeeze=False, width_ratios=[1] * sum(there))[0])
    if tables:
        _draw_tables(panels.pop(0), tables, batches, theme)
    if seen:
        _draw_seen(panels.pop(0), seen, theme)
    return figure


def _draw_tables(axes: Axes, tables: Sequence[LookupFigures], batches: dict[int, list[float]], theme: Theme) -> None:
    axes.set_title("In the table, by its size", fontweight="bold")
    sheet.calm(axes, theme)
    sizes = [one.table_size for one in tables]
    sheet.places(axes, sizes, formats.count, inches=2.8)
    values = []
    for one in tables:
        points = sheet.finite(batches.get(one.table_size, []))
        values += points
        axes.plot(
            [one.table_size] * len(points), points, "o", color=theme.soft, markersize=2.6, alpha=0.35, markeredgewidth=0
        )
        sheet.interval(axes, "y", one.table_size, one.estimate, theme.ink, width=2.0)
    medians = [_median(one) for one in tables]
    axes.plot(sizes, medians, color=theme.ink, marker="o", linewidth=1.2)
    values += medians
    if max(values) > 8 * min(values):
        sheet.logarithmic(axes, "y", min(values), max(values), _ns, inches=1.7)
    else:
        sheet.linear(axes, "y", 0, max(values) * 1.08, lambda ticks: seconds([tick / 1e9 for tick in ticks]))
    axes.set_xlabel("entries in the table")
    axes.set_ylabel("time of one look-up")


def _ns(value: float) -> str:
    return formats.seconds(value / 1e9)


def _draw_seen(axes: Axes, seen: Sequence[tuple[str, LinkFigures]], theme: Theme) -> None:
    axes.set_title(f"In the run, {formats.counted(seen[0][1].pairs, 'pair')} at once", fontweight="bold")
    sheet.calm(axes, theme, grid="x")
    axes.spines["left"].set_visible(False)
    values = [value for _, one in seen for value in sheet.finite((one.estimate.low, _median(one), one.estimate.high))]
    sheet.logarithmic(axes, "x", min(values) / 1.6, max(values) * 1.6, _ns, inches=3.0)
    axes.set_ylim(len(seen) - 0.4, -0.8)
    axes.set_yticks([])
    left = axes.get_xlim()[0]
    for place, (name, one) in enumerate(seen):
        sheet.interval(axes, "x", place, one.estimate, theme.ink, width=2.0)
        axes.plot([_median(one)], [place], "o", color=theme.ink)
        axes.annotate(name, (left, place), (3, 9), textcoords="offset points", fontsize=8, color=theme.soft)
        axes.annotate(
            formats.seconds(_median(one) / 1e9),
            (_median(one), place),
            (0, -12),
            textcoords="offset points",
            fontsize=8,
            ha="center",
        )

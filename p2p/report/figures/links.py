"""What comes before the first byte: looking a name up, and the legs of the set-up of a link."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis, LinkFigures, LookupFigures
from p2p.report import words
from p2p.report.figures import sheet
from p2p.report.figures.panels import spread
from p2p.report.figures.picture import Picture
from p2p.report.figures.theme import Theme
from p2p.report.figures.units import seconds

__all__ = ["legs", "lookup"]

BARS: Final = 12
"""Numbers of pairs in one figure."""

BATCHES: Final = 60
"""Points of one table size."""

_SEEN: Final = (
    ("table_lookup_ns", "in the routing table"),
    ("router_lookup_ns", "router to router, there and back"),
    ("instruct_ns", "seen by the peer, from asking to the answer"),
)
_LEGS: Final = (
    ("listen_ns", "listen"),
    ("instruct_ns", "routers' answer"),
    ("dial_ns", "dial"),
    ("tls_ns", "TLS"),
    ("ticket_ns", "ticket"),
)


def _median(one: LookupFigures | LinkFigures) -> float:
    return one.estimate.median or 0.0


# -- look-up --------------------------------------------------------------------------------------------------------


def lookup(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show the look-up against the size of the table, and as those see it who wait for it."""
    tables = [one for one in analysis.lookups if one.table_size > 0 and sheet.finite([one.estimate.median])]
    seen = _seen(analysis)
    if not tables and not seen:
        return None
    said = []
    if tables:
        batches = words.counted(tables[0].estimate.n, "batch", "batches")
        said.append(
            f"{'Left: the' if seen else 'The'} time of one look-up in a routing table against its size; a point is a "
            f"batch of look-ups, and the large marks are the medians of {batches} with their 95 % intervals."
        )
    if seen:
        pairs = seen[0][1].pairs
        said.append(
            f"{'Right: what' if tables else 'What'} became of it in the run, with {words.counted(pairs, 'pair')} at "
            f"once, on a logarithmic axis: medians of {words.counted(seen[0][1].estimate.n, 'block')} with their 95 % "
            "intervals."
        )
    parts = [f"{words.count(one.table_size)} entries: {words.seconds(_median(one) / 1e9)}" for one in tables]
    alt = f"Look-up times. {'; '.join(parts)}. " if parts else "Look-up times. "
    alt += " ".join(f"{name[0].upper()}{name[1:]}: {words.seconds(_median(one) / 1e9)}." for name, one in seen)
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
    sheet.places(axes, sizes, words.count, inches=2.8)
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
    return words.seconds(value / 1e9)


def _draw_seen(axes: Axes, seen: Sequence[tuple[str, LinkFigures]], theme: Theme) -> None:
    axes.set_title(f"In the run, {words.counted(seen[0][1].pairs, 'pair')} at once", fontweight="bold")
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
            words.seconds(_median(one) / 1e9),
            (_median(one), place),
            (0, -12),
            textcoords="offset points",
            fontsize=8,
            ha="center",
        )


# -- set-up ---------------------------------------------------------------------------------------------------------


def legs(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show the legs of the set-up of a link, by the number of pairs."""
    found = {(one.pairs, one.figure): one for one in analysis.links if one.estimate.median is not None}
    there = sorted({pairs for pairs, figure in found if any(figure == leg for leg, _ in _LEGS)})
    if not there:
        return None
    shown = spread(there, BARS)
    links = sum(one.links for (pairs, figure), one in found.items() if figure == "setup_ns" and pairs in shown)
    inner = any((pairs, "router_lookup_ns") in found for pairs in shown)
    caption = (
        "The set-up of a direct link by legs, in the order in which they come: the median of each over blocks, "
        f"{words.counted(links, 'link')} in all."
        + (" The thin bar is what the question from router to router takes of the routers' answer." if inner else "")
        + " The diamond is the median of the whole set-up with its 95 % interval: medians of legs needn't add up to it."
        + (f" {len(there) - len(shown)} more numbers of pairs are in the table." if len(there) > len(shown) else "")
    )
    alt = f"Set-up of a link by legs. {' '.join(_said(found, (shown[0], shown[-1])))}"
    return Picture(
        "setup-legs",
        "How long does the set-up of a link take?",
        caption,
        alt,
        partial(_draw_legs, found, shown),
    )


def _said(found: dict[tuple[int, str], LinkFigures], ends: Sequence[int]) -> Iterator[str]:
    for pairs in dict.fromkeys(ends):
        parts = [
            f"{name} {words.seconds(_median(found[pairs, leg]) / 1e9)}"
            for leg, name in (*_LEGS, ("setup_ns", "the whole set-up"))
            if (pairs, leg) in found
        ]
        yield f"{words.counted(pairs, 'pair')} at once: {words.listed(parts)}."


def _draw_legs(found: dict[tuple[int, str], LinkFigures], shown: Sequence[int], theme: Theme) -> Figure:
    figure = sheet.new(1.15 + 0.42 * len(shown))
    axes = figure.subplots()
    sheet.calm(axes, theme, grid="x")
    axes.spines["left"].set_visible(False)
    colors = (theme.step1, theme.step2, theme.step3, theme.step4, theme.step5)
    handles: dict[str, Patch | Line2D] = {
        name: Patch(color=color)
        for (leg, name), color in zip(_LEGS, colors, strict=True)
        if any((pairs, leg) in found for pairs in shown)
    }
    longest = 0.0
    for place, pairs in enumerate(shown):
        began = 0.0
        for (leg, _), color in zip(_LEGS, colors, strict=True):
            one = found.get((pairs, leg))
            if one is None:
                continue
            took = _median(one) / 1e9
            axes.barh(place, took, 0.62, began, color=color, edgecolor=theme.paper, linewidth=0.6)
            router = found.get((pairs, "router_lookup_ns"))
            if leg == "instruct_ns" and router is not None:
                inner = min(_median(router) / 1e9, took)
                axes.barh(place, inner, 0.16, began, color=theme.ink, alpha=0.75)
                handles.setdefault("router to router", Patch(color=theme.ink, alpha=0.75))
            began += took
        longest = max(longest, began, _draw_whole(axes, place, found.get((pairs, "setup_ns")), began, handles, theme))
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_yticks(range(len(shown)), [words.counted(pairs, "pair") for pairs in shown])
    sheet.linear(axes, "x", 0, longest * 1.12 or 1e-3, seconds, most=7)
    axes.set_xlabel("time since the link was asked for")
    sheet.keys(figure, handles)
    return figure


def _draw_whole(
    axes: Axes,
    place: int,
    whole: LinkFigures | None,
    end: float,
    handles: dict[str, Patch | Line2D],
    theme: Theme,
) -> float:
    """Mark the median of the whole set-up, and write it beside the bar; returns how far to the right that is."""
    if whole is None:
        return end
    how = {"color": theme.ink, "marker": "D", "markersize": 4.5, "markeredgecolor": theme.paper, "linestyle": "none"}
    handles.setdefault("whole set-up", Line2D([], [], **how))  # type: ignore[arg-type] # mypy takes all for one type
    sheet.interval(axes, "x", place, whole.estimate, theme.ink, factor=1e-9, width=1.6)
    median = _median(whole) / 1e9
    axes.plot([median], [place], zorder=3, **how)  # type: ignore[arg-type] # likewise
    right = max(end, median, (whole.estimate.high or 0.0) / 1e9)
    axes.annotate(words.seconds(median), (right, place), (6, 0), textcoords="offset points", va="center", fontsize=8)
    return right

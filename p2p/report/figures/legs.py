"""The set-up of a direct link, leg by leg."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis, LinkFigures
from p2p.report import formats
from p2p.report.figures import sheet
from p2p.report.figures.output import Picture
from p2p.report.figures.panels import spread
from p2p.report.figures.theme import Theme
from p2p.report.figures.units import seconds

__all__ = ["legs"]

BARS: Final = 12
"""Numbers of pairs in one figure."""

_LEGS: Final = (
    ("listen_ns", "listen"),
    ("instruct_ns", "routers' answer"),
    ("dial_ns", "dial"),
    ("tls_ns", "TLS"),
    ("ticket_ns", "ticket"),
)


def _median(one: LinkFigures) -> float:
    return one.estimate.median or 0.0


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
        f"{formats.counted(links, 'link')} in all."
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
            f"{name} {formats.seconds(_median(found[pairs, leg]) / 1e9)}"
            for leg, name in (*_LEGS, ("setup_ns", "the whole set-up"))
            if (pairs, leg) in found
        ]
        yield f"{formats.counted(pairs, 'pair')} at once: {formats.listed(parts)}."


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
    axes.set_yticks(range(len(shown)), [formats.counted(pairs, "pair") for pairs in shown])
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
    axes.annotate(formats.seconds(median), (right, place), (6, 0), textcoords="offset points", va="center", fontsize=8)
    return right

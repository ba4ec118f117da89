"""How a direct link comes to be: who says what to whom, from top to bottom."""

from __future__ import annotations

from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis
from p2p.report.figures import sheet
from p2p.report.figures.output import Picture
from p2p.report.figures.theme import Theme

__all__ = ["link_sequence"]

_WHO: Final = ("peer n1.n", "router n", "router m", "peer m4.m")
_STEPS: Final[tuple[tuple[int, int, str, str], ...]] = (
    (0, 0, "opens a fresh port and listens", "soft"),
    (0, 1, "who is m4.m? (port, ticket)", "soft"),
    (1, 2, "look-up, and: have it dial", "soft"),
    (2, 2, "looks into its table", "soft"),
    (2, 3, "dial n1.n (address, port, ticket)", "soft"),
    (2, 1, "found, at this address", "soft"),
    (1, 0, "found", "soft"),
    (3, 0, "TCP connection", "ink"),
    (0, 3, "TLS 1.3, certificates of both", "ink"),
    (3, 0, "proof of the ticket; the link stands", "ink"),
    (0, 3, "message: head, chunks, tail", "text"),
    (3, 0, "reply", "text"),
)
"""From, to, what, and the colour; from and to the same is what somebody does alone."""


def link_sequence(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show how a direct link comes to be; it is the same in every run."""
    if not analysis.levels:
        return None
    caption = (
        "How a direct link comes to be, from top to bottom. The two routers introduce the peers (grey) and take no "
        "part in what follows: connection and TLS (black), messages and replies (blue). If m4.m can't reach n1.n, n1.n "
        "dials as well."
    )
    said = [
        f"{_WHO[begin]} {what}" if begin == end else f"{_WHO[begin]} to {_WHO[end]}: {what}"
        for begin, end, what, _ in _STEPS
    ]
    return Picture("link-sequence", "How does a link come to be?", caption, f"{'; '.join(said)}.", _draw)


def _draw(theme: Theme) -> Figure:
    figure = sheet.new(0.7 + 0.29 * len(_STEPS))
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(-0.45, 3.45)
    axes.set_ylim(len(_STEPS) + 0.2, -1.0)
    for place, name in enumerate(_WHO):
        axes.plot([place, place], [-0.3, len(_STEPS)], color=theme.line, linewidth=1.2, zorder=0)
        axes.annotate(name, (place, -0.75), ha="center", va="center", fontweight="bold", fontsize=9)
    for row, (begin, end, what, color) in enumerate(_STEPS):
        _step(axes, row + 0.4, begin, end, what, theme.color(color), theme)
    return figure


def _step(axes: Axes, at: float, begin: int, end: int, what: str, color: str, theme: Theme) -> None:
    box = {"facecolor": theme.paper, "edgecolor": "none", "pad": 1.2}
    if begin == end:
        axes.plot([begin], [at], "o", color=color, markersize=4)
        axes.annotate(
            what, (begin, at), (7, 0), textcoords="offset points", va="center", fontsize=8, color=color, bbox=box
        )
        return
    axes.annotate(
        "",
        (end, at),
        (begin, at),
        arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0},
    )
    # Beside the sender; a way across the routers is labelled in its middle.
    middle = (begin + end) / 2
    axes.annotate(what, (middle, at - 0.04), ha="center", va="bottom", fontsize=8, color=color)

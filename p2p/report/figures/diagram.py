"""What ran where: clusters, routers, peers and the links between them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis
from p2p.report import formats
from p2p.report.figures import sheet
from p2p.report.figures.lab_layout import LabLayout, lab_of
from p2p.report.figures.output import Picture
from p2p.report.figures.panels import cut
from p2p.report.figures.theme import Theme

__all__ = ["setup_diagram"]

PAIRS: Final = 4
"""That are drawn; of more, the first and the last."""

_LEFT: Final = (0.35, 2.75)
_RIGHT: Final = (4.45, 6.85)
_NAME: Final = 18
_STEP: Final = 0.36


def setup_diagram(run: RawRun, analysis: Analysis) -> Picture | None:
    """Show what ran where."""
    lab = lab_of(run)
    if lab is None:
        return None
    caption = " ".join(_caption(lab))
    first = " and ".join(cut(peer, _NAME) for peer in lab.pairs[0])
    where = f", all on machine {cut(lab.machine)}" if lab.machine else ""
    machines = len(set(lab.machines.values()))
    where = f", on {formats.counted(machines, 'machine')}" if machines else where
    several = len(lab.clusters) > 1
    routers = "; the routers are joined by AMP over TLS" if several else ""
    own = f"{'each with' if len(lab.pairs) > 1 else 'with'} a direct link of its own that doesn't go by the routers"
    alt = (
        f"{_clusters(lab)}{', each' if several else ''} with its router{where}{routers}. Every peer has a control "
        f"channel to its router. {formats.counted(len(lab.pairs), 'pair')} of peers, the first of them {first}, {own}."
    )
    return Picture("setup-diagram", "What ran where?", caption, alt, partial(_draw, lab))


def _clusters(lab: LabLayout) -> str:
    names = formats.listed([cut(name, _NAME) for name in lab.clusters])
    return f"{'Clusters' if len(lab.clusters) > 1 else 'Cluster'} {names}"


def _caption(lab: LabLayout) -> Sequence[str]:
    number = formats.counted(len(lab.pairs), "pair")
    said = [
        f"{number} of peers, each with a direct link of its own.",
        "The routers help to set it up, over control channels (thin), and no content goes by them.",
        "The dot is at the peer that asks for the link and takes the times.",
    ]
    if lab.is_own and len(lab.clusters) > 1:
        said.append(
            "The routers of this run listened on ports that were free; in a lab they listen where their configuration "
            "says, 5555 and 5556 in the examples."
        )
    if lab.more:
        said.append(f"{formats.counted(lab.more, 'more pair')} of other clusters talked at the same time.")
    return said


# -- drawing --------------------------------------------------------------------------------------------------------


def _draw(lab: LabLayout, theme: Theme) -> Figure:
    shown = _shown(lab)
    bottom = 1.02 if lab.coordinator else 0.3
    inside = _STEP * len(shown) + 1.3
    height = bottom + inside + (0.45 if lab.machine else 0.2)
    figure = Figure(figsize=(sheet.WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, sheet.WIDTH), ylim=(0, height))
    axes.set_axis_off()
    top = bottom + inside
    if lab.machine:
        _box(axes, 0.1, 0.08, sheet.WIDTH - 0.2, height - 0.16, theme.line)
        axes.text(0.25, height - 0.26, f"machine {cut(lab.machine)}", color=theme.soft, va="center")
    _draw_clusters(axes, lab, bottom, top, theme)
    _draw_pairs(axes, lab, shown, bottom, theme)
    if lab.coordinator:
        _draw_coordinator(axes, lab, bottom, theme)
    return figure


def _shown(lab: LabLayout) -> list[int | None]:
    """The places of the pairs that are drawn; None stands for those that aren't."""
    number = len(lab.pairs)
    if number <= PAIRS:
        return list(range(number))
    return [*range(PAIRS - 1), None, number - 1]


def _box(axes: Axes, x: float, y: float, width: float, height: float, edge: str, face: str = "none") -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.06",
            edgecolor=edge,
            facecolor=face,
            linewidth=1.0,
        )
    )


def _draw_clusters(axes: Axes, lab: LabLayout, bottom: float, top: float, theme: Theme) -> None:
    router = top - 0.72
    one = len(lab.clusters) == 1
    frames = ((_LEFT[0], _RIGHT[1]),) if one else (_LEFT, _RIGHT)
    middles = []
    for cluster, (left, right) in zip(lab.clusters, frames, strict=True):
        _box(axes, left, bottom, right - left, top - bottom, theme.line, theme.wash)
        axes.text(left + 0.12, top - 0.17, f"cluster {cut(cluster, _NAME)}", fontweight="bold", va="center")
        if daemon := lab.daemons.get(cluster):
            said = f"peers in daemon {cut(daemon, _NAME)}"
            axes.text(right - 0.12, top - 0.17, said, color=theme.soft, fontsize=7.5, ha="right", va="center")
        middle = (left + right) / 2
        middles.append(middle)
        _box(axes, middle - 0.7, router, 1.4, 0.34, theme.ink, theme.paper)
        axes.text(middle, router + 0.17, f"router.{cut(cluster, 12)}", ha="center", va="center")
    if not one:
        axes.plot([middles[0] + 0.7, middles[1] - 0.7], [router + 0.17] * 2, color=theme.ink, linewidth=1.0)
        _label(axes, (_LEFT[1] + _RIGHT[0]) / 2, router + 0.17, "AMP over TLS", theme)


def _label(axes: Axes, x: float, y: float, text: str, theme: Theme) -> None:
    """Write above a line."""
    axes.text(x, y + 0.1, text, color=theme.soft, fontsize=7.5, ha="center", va="center")


def _draw_pairs(axes: Axes, lab: LabLayout, shown: Sequence[int | None], bottom: float, theme: Theme) -> None:
    width = 1.62
    ends = (_LEFT[1] - 0.12, _RIGHT[0] + 0.12)
    buses = (_LEFT[0] + 0.3, _RIGHT[1] - 0.3)
    ys = [bottom + 0.14 + _STEP * (len(shown) - 1 - row) for row in range(len(shown))]
    router = bottom + _STEP * len(shown) + 1.3 - 0.72 + 0.17
    reach = (_LEFT, _RIGHT)
    for side, bus in enumerate(buses):
        near = (reach[side][0] + reach[side][1]) / 2 + (0.7 if side else -0.7)
        if len(lab.clusters) == 1:
            near = (_LEFT[0] + _RIGHT[1]) / 2 + (0.7 if side else -0.7)
        axes.plot([near, bus, bus], [router, router, ys[-1] + 0.13], color=theme.soft, linewidth=0.8)
        axes.text(
            bus + (-0.06 if side else 0.06),
            ys[0] + 0.42,
            "control channels",
            color=theme.soft,
            fontsize=7.5,
            ha="right" if side else "left",
            va="center",
        )
    for row, (place, y) in enumerate(zip(shown, ys, strict=True)):
        if place is None:
            for x in (ends[0] - width / 2, sum(ends) / 2, ends[1] + width / 2):
                axes.text(x, y + 0.13, "· · ·", color=theme.soft, ha="center", va="center", fontweight="bold")
            continue
        for side, peer in enumerate(lab.pairs[place]):
            left = ends[1] if side else ends[0] - width
            axes.plot([buses[side], left + width * side], [y + 0.13] * 2, color=theme.soft, linewidth=0.8)
            _box(axes, left, y, width, 0.26, theme.soft, theme.paper)
            machine = lab.machines.get(peer, "")
            said = f"{cut(peer, 11)} on {_short(machine)}" if machine else cut(peer, _NAME)
            axes.text(left + width / 2, y + 0.13, said, ha="center", va="center", fontsize=7.5 if machine else 8.5)
        axes.plot(ends, [y + 0.13] * 2, color=theme.another, linewidth=2.2, solid_capstyle="butt")
        asked = ends[0] if lab.asked_left[place] else ends[1]
        axes.plot([asked], [y + 0.13], "o", color=theme.another, markersize=6)
        if row == 0:
            axes.text(
                sum(ends) / 2,
                y + 0.26,
                "direct links",
                color=theme.another,
                fontsize=8.5,
                fontweight="bold",
                ha="center",
                va="center",
            )


def _short(machine: str) -> str:
    """Shorten the name of a machine to what people call it, without its domain."""
    name, _, _ = machine.partition(".")
    return cut(machine if name.isdigit() else name, 12)


def _draw_coordinator(axes: Axes, lab: LabLayout, bottom: float, theme: Theme) -> None:
    middle = sheet.WIDTH / 2
    _box(axes, middle - 1.3, 0.24, 2.6, 0.34, theme.soft, theme.paper)
    machine = f" on {_short(lab.coordinator_machine)}" if lab.machines else ""
    axes.text(middle, 0.41, f"{cut(lab.coordinator, _NAME)}{machine}", ha="center", va="center")
    for side, (left, right) in zip((-1, 1), (_LEFT, _RIGHT), strict=True):
        x = (left + right) / 2
        axes.plot(
            [middle + side * 1.3, x, x], [0.41, 0.41, bottom], color=theme.soft, linewidth=0.9, linestyle=(0, (4, 2))
        )
    axes.text(middle, 0.72, "what to send, and samples home", color=theme.soft, fontsize=7.5, ha="center", va="center")

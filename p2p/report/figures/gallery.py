"""All figures of a report, in its order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis, RunComparison
from p2p.report.figures.diagram import setup_diagram
from p2p.report.figures.drops import drops
from p2p.report.figures.latency import latency
from p2p.report.figures.legs import legs
from p2p.report.figures.lookups import lookup
from p2p.report.figures.picture import Picture
from p2p.report.figures.rates import scaling, throughput
from p2p.report.figures.ratios import comparison_picture, ratios
from p2p.report.figures.resources import resources
from p2p.report.figures.types import content_types

__all__ = ["of_comparison", "of_run"]

_FIGURES: Final[tuple[Callable[[RawRun, Analysis], Picture | None], ...]] = (
    setup_diagram,
    latency,
    throughput,
    scaling,
    lookup,
    legs,
    content_types,
    ratios,
    drops,
    resources,
)


def of_run(run: RawRun, analysis: Analysis) -> tuple[Picture, ...]:
    """Say what there is to see in a run."""
    found = (figure(run, analysis) for figure in _FIGURES)
    return tuple(one for one in found if one is not None)


def of_comparison(comparison: RunComparison) -> Picture:
    """Show the ratios of two runs."""
    return comparison_picture(comparison)

"""The figures of the report: what there is to see in a run, drawn for the page and for the paper.

Importing this is cheap: matplotlib comes with the first figure. Needs the extra ``report``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2p.report.figures.theme import DARK, LIGHT, Theme

if TYPE_CHECKING:
    from p2p.measure.raw_reader import RawRun
    from p2p.measure.results import Analysis
    from p2p.report.figures.output import Picture

__all__ = ["DARK", "LIGHT", "Theme", "pdf", "pictures", "svg"]


def pictures(run: RawRun, analysis: Analysis) -> tuple[Picture, ...]:
    """Say what there is to see in a run, in the report's order; a figure without data is left out."""
    from p2p.report.figures.diagram import setup_diagram
    from p2p.report.figures.drops import drops
    from p2p.report.figures.latency import latency
    from p2p.report.figures.legs import legs
    from p2p.report.figures.lookups import lookup
    from p2p.report.figures.rates import scaling, throughput
    from p2p.report.figures.ratios import ratios
    from p2p.report.figures.resources import resources
    from p2p.report.figures.types import content_types

    every = (setup_diagram, latency, throughput, scaling, lookup, legs, content_types, ratios, drops, resources)
    found = (figure(run, analysis) for figure in every)
    return tuple(one for one in found if one is not None)


def svg(picture: Picture) -> str:
    """Draw a figure for a page, light and dark in one; the same data give the same bytes.

    It can be put into a page as it is: its ids and styles begin with its name. As an image of its own it does, too.
    """
    from p2p.report.figures.output import svg as draw

    return draw(picture)


def pdf(picture: Picture) -> bytes:
    """Draw a figure for print: one page of vectors; the same data give the same bytes."""
    from p2p.report.figures.output import pdf as draw

    return draw(picture)

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

__all__ = ["DARK", "LIGHT", "Theme", "pictures", "print_svg", "svg"]


def pictures(run: RawRun, analysis: Analysis) -> tuple[Picture, ...]:
    """Say what there is to see in a run, in the report's order; a figure without data is left out."""
    from p2p.report.figures.by_pair import by_pair
    from p2p.report.figures.course import course
    from p2p.report.figures.diagram import setup_diagram
    from p2p.report.figures.drops import drops
    from p2p.report.figures.latency import latency
    from p2p.report.figures.legs import legs
    from p2p.report.figures.link_sequence import link_sequence
    from p2p.report.figures.lookups import lookup
    from p2p.report.figures.message_sizes import message_sizes
    from p2p.report.figures.offered import offered
    from p2p.report.figures.rates import cycle, scaling, throughput
    from p2p.report.figures.ratios import ratios
    from p2p.report.figures.resources import resources
    from p2p.report.figures.spectrum import spectrum
    from p2p.report.figures.tcp import tcp
    from p2p.report.figures.types import content_types
    from p2p.report.figures.variation import variation

    every = (
        *(setup_diagram, link_sequence, content_types, ratios, variation, message_sizes, latency, spectrum, cycle),
        *(offered, throughput, scaling, by_pair, lookup, legs, tcp, drops, resources, course),
    )
    found = (figure(run, analysis) for figure in every)
    return tuple(one for one in found if one is not None)


def svg(picture: Picture) -> str:
    """Draw a figure for a page, light and dark in one; the same data give the same bytes.

    It can be put into a page as it is: its ids and styles begin with its name. As an image of its own it does, too.
    """
    from p2p.report.figures.output import svg as draw

    return draw(picture)


def print_svg(picture: Picture) -> bytes:
    """Draw a figure for print; the same data give the same bytes."""
    from p2p.report.figures.output import print_svg as draw

    return draw(picture)

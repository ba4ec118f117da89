"""The figures of the report: what there is to see in a run, drawn for the page and for the paper.

Importing this is cheap: matplotlib comes with the first figure. Needs the extra ``report``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2p.report.figures.picture import Picture
from p2p.report.figures.theme import DARK, LIGHT, Theme

if TYPE_CHECKING:
    from p2p.measure.raw_reader import RawRun
    from p2p.measure.results import Analysis, RunComparison

__all__ = ["DARK", "LIGHT", "Picture", "Theme", "comparison_picture", "pdf", "pictures", "png", "svg"]


def pictures(run: RawRun, analysis: Analysis) -> tuple[Picture, ...]:
    """Say what there is to see in a run, in the report's order; a figure without data is left out."""
    from p2p.report.figures.gallery import of_run

    return of_run(run, analysis)


def comparison_picture(comparison: RunComparison) -> Picture:
    """Show the ratios of run B to run A with the margin."""
    from p2p.report.figures.gallery import of_comparison

    return of_comparison(comparison)


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


def png(picture: Picture, dpi: float = 150, *, dark: bool = False) -> bytes:
    """Draw a figure as an image."""
    from p2p.report.figures.output import png as draw

    return draw(picture, dpi, dark=dark)

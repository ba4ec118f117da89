"""The report as one HTML page that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

__all__ = ["page"]


def page(document: dict[str, Any], pictures: Mapping[str, str]) -> str:
    """Write the page.

    Pictures become part of it, so that they print and are read aloud with it. The page forbids scripts and everything
    from elsewhere, whatever it holds.

    :param document: what :func:`p2p.report.document.plain` makes.
    :param pictures: SVG by the names of the figures, with ids that begin with these, as
        :func:`p2p.report.figures.svg` draws it; it is put in as it is.
    """
    drawn = {name: Markup(svg) for name, svg in pictures.items()}
    return _template().render(report=document, pictures=drawn)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("p2p.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("report.html.j2")

"""From a run to its page and its paper: read, analyse, draw, typeset. Needs the extra ``report``.

The page is one HTML file that needs nothing else: no network, no script, no other file. The paper is a PDF by Typst:
A4, with page numbers, an outline, and tags for those who listen to it. Both are bytes here, and both are the same for
the same raw data; :mod:`p2p.report.writing` puts them into files.

Typst comes as a wheel with its own fonts and asks no network; the machine's own fonts are left alone. The source that
the paper is set from is written beside it, for whoever wants to edit it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import typst
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from p2p.base.errors import LocalFileError
from p2p.measure.analysis import analyse
from p2p.measure.block_figures import frames
from p2p.measure.raw_reader import read_run
from p2p.report import figures, formats
from p2p.report.contents import contents, headlines
from p2p.report.document import NOTHING_ELSE, FrontMatter, plain
from p2p.report.headlines import Headline
from p2p.report.subject import subject_of
from p2p.report.typst_source import source

__all__ = ["Built", "build", "page", "paper"]


@dataclass(frozen=True, slots=True)
class Built:
    """A report that isn't in files yet.

    :ivar html: the page.
    :ivar pdf: the paper.
    :ivar source: what the paper is set from, by the names of the files.
    :ivar answers: what came out for each arm.
    """

    html: bytes
    pdf: bytes
    source: dict[str, bytes]
    answers: tuple[Headline, ...]


def build(folder: Path, step: Callable[[str], None], front: FrontMatter = NOTHING_ELSE) -> Built:
    """Make the report of the run in a folder.

    :param front: title, author and course, where they are to be other than the run says.
    :param step: is told what is being done.
    :raises LocalFileError: if the folder isn't a run or has no finished block, or there is no temporary folder.
    :raises Unaccounted: if the samples of a block aren't what was offered.
    """
    step("reading the raw data")
    run = read_run(folder)
    if "on" not in run.blocks["sampling"]:
        raise LocalFileError(
            f"{folder}: no block is finished, so there is nothing to report{_first(run.notes)}; "
            f"go on with the run: p2p experiment run {folder / 'plan.yaml'} --out {folder}"
        )
    step("analysing")
    facts = run.facts
    analysis = analyse(frames(run), margin=facts.margin, seed=facts.seed, missing=facts.missing, notes=run.notes)
    subject = subject_of(run, analysis)
    step("drawing")
    pictures = figures.pictures(run, analysis)
    document = plain(contents(subject, pictures, front))
    step("writing the page")
    html = page(document, {one.name: figures.svg(one) for one in pictures})
    step("writing the paper")
    drawn = {one.name: figures.print_svg(one) for one in pictures}
    try:
        pdf, parts = paper(document, drawn)
    except OSError as error:
        raise LocalFileError(
            f"{error.filename}: {error.strerror}; name another folder for temporary files in TMPDIR"
        ) from error
    return Built(html.encode(), pdf, parts, headlines(subject))


def _first(notes: Sequence[str]) -> str:
    """Tell the first of the notes in brackets, which may be why."""
    return f" ({formats.cut(notes[0])})" if notes else ""


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


def paper(document: dict[str, Any], pictures: Mapping[str, bytes]) -> tuple[bytes, dict[str, bytes]]:
    """Write the PDF, and the source that it is made of: ``report.typ`` and its pictures, by the names of the files.

    :param document: what :func:`p2p.report.document.plain` makes.
    :param pictures: SVG by the names of the figures.
    :raises OSError: if there is no room for what Typst reads.
    """
    text = source(document, files("p2p.report").joinpath("report.typ").read_text("utf-8"))
    parts = {"report.typ": text.encode(), **{f"{name}.svg": content for name, content in pictures.items()}}
    with tempfile.TemporaryDirectory(prefix="p2p-report-") as name:
        for file, content in parts.items():
            (Path(name) / file).write_bytes(content)
        main = str(Path(name) / "report.typ")
        made: bytes = typst.compile(main, root=name, format="pdf", ignore_system_fonts=True)
    return made, parts

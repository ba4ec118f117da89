"""Making a report: read the run, analyse it, draw it, and write the page and the paper. Needs the extra ``report``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from p2p.base.errors import LocalFileError
from p2p.measure.analysis import analyse
from p2p.measure.block_figures import frames
from p2p.measure.raw_reader import read_run
from p2p.report import figures, formats
from p2p.report.contents import contents, headlines
from p2p.report.document import plain
from p2p.report.page import page
from p2p.report.paper import paper
from p2p.report.subject import subject_of
from p2p.report.writing import ArmVerdict, ReportFiles

__all__ = ["build"]


def build(folder: Path, out: Path, step: Callable[[str], None]) -> ReportFiles:
    """Make the report; :func:`p2p.report.writing.write_report` says how."""
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
    report = contents(subject, pictures)
    document = plain(report)
    step("writing the page")
    html = page(document, {one.name: figures.svg(one) for one in pictures})
    step("writing the paper")
    drawn = {one.name: figures.pdf(one) for one in pictures}
    try:
        pdf = paper(document, drawn)
    except OSError as error:
        raise LocalFileError(
            f"{error.filename}: {error.strerror}; name another folder for temporary files in TMPDIR"
        ) from error
    files = ReportFiles(
        out / "report.html",
        out / "report.pdf",
        tuple(ArmVerdict(one.arm, one.outcome, one.text) for one in headlines(subject)),
    )
    _write(files.html, html.encode())
    _write(files.pdf, pdf)
    return files


def _first(notes: Sequence[str]) -> str:
    """Tell the first of the notes in brackets, which may be why."""
    return f" ({formats.cut(notes[0])})" if notes else ""


def _write(path: Path, content: bytes) -> None:
    """Write a file whole, or leave what was there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise LocalFileError(f"{path}: {error.strerror}; name another folder with --out") from error

"""Writing the report of a run into files. Nothing here needs the extra ``report``; what it calls does."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from p2p.base.errors import LocalFileError, P2PError
from p2p.report.document import FrontMatter

__all__ = ["ArmVerdict", "ReportFiles", "ReportUnavailable", "write_report"]


class ReportUnavailable(P2PError):
    """The libraries that make a report aren't installed."""


@dataclass(frozen=True, slots=True)
class ArmVerdict:
    """What came out for an arm: ``equivalent``, ``differs``, ``inconclusive`` or ``not asked``, and in a sentence."""

    arm: str
    verdict: str
    sentence: str


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where a report lies, and its answers."""

    html: Path
    pdf: Path
    source: Path
    verdicts: tuple[ArmVerdict, ...]


def _nobody(step: str) -> None:
    """Hear of a step, and do nothing."""


def write_report(
    folder: Path,
    out: Path | None = None,
    step: Callable[[str], None] = _nobody,
    *,
    title: str = "",
    author: str = "",
    course: str = "",
) -> ReportFiles:
    """Write ``report.html`` and ``report.pdf`` of the run in a folder, and what the paper is set from.

    :param title: instead of the plan's; ``author`` and ``course`` stand below it, unless they are empty.
    :param out: the folder for both; without it, that of the run.
    :param step: is told what is being done.
    :raises ReportUnavailable: if the extra ``report`` isn't installed.
    :raises LocalFileError: if the folder isn't a run, has no finished block, or can't be written.
    :raises Unaccounted: if the samples of a block aren't what was offered.
    """
    step("loading libraries")
    try:
        from p2p.report.build import build
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "p2p":
            raise  # a fault of ours, which no installation mends
        raise ReportUnavailable(
            f"a report needs {error.name}, which isn't installed; install it with: pip install 'p2p[report]'"
        ) from error
    built = build(folder, step, FrontMatter(title, author, course))
    out = folder if out is None else out
    made = ReportFiles(
        out / "report.html",
        out / "report.pdf",
        out / "report-source",
        tuple(ArmVerdict(one.arm, one.outcome, one.text) for one in built.answers),
    )
    _write(made.html, built.html)
    _write(made.pdf, built.pdf)
    for name, content in built.source.items():
        _write(made.source / name, content)
    return made


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

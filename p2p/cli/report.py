"""``p2p report``: the report of an experiment, as a page and as a paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from p2p.cli.output import json_option, on_terminal, printable, show_json
from p2p.report.writing import ReportFiles, write_report

__all__ = ["report", "report_fields", "show_verdicts", "steps"]

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option("--out", type=_FOLDER, help="Folder for the report.  [default: DIR]")
@click.option("--title", default="", help="Title of the report.  [default: the plan's]")
@click.option("--author", default="", help="Who hands it in.")
@click.option("--course", default="", help="What it is handed in for.")
@json_option
def report(folder: Path, out: Path | None, title: str, author: str, course: str, as_json: bool) -> None:
    """Make the report of the run in DIR: report.html and report.pdf.

    Both say the same. The page needs no network and no other file, so it can be sent as it is. The same raw data give
    the same report, to the byte. The folder report-source has the paper as Typst, with its pictures, to be edited.

    \b
      p2p experiment run etc/experiment.yaml --out results
      p2p report results
      p2p report results --author "Ada L." --course "Networks 2"
    """
    with steps(quiet=as_json) as step:
        made = write_report(folder, out, step, title=title, author=author, course=course)
    if as_json:
        show_json(report_fields(made))
        return
    show_verdicts(made)
    click.echo(printable(f"the report is in {made.html} and {made.pdf}"))


def report_fields(made: ReportFiles) -> dict[str, object]:
    """What JSON says of a report."""
    return {
        "html": str(made.html),
        "pdf": str(made.pdf),
        "source": str(made.source),
        "verdicts": [{"arm": one.arm, "verdict": one.verdict, "sentence": one.sentence} for one in made.verdicts],
    }


def show_verdicts(made: ReportFiles) -> None:
    """Tell a person the answer of each arm."""
    for one in made.verdicts:
        click.echo(printable(f"arm {one.arm}: {one.verdict}. {one.sentence}"))


@contextmanager
def steps(*, quiet: bool, subject: str = "") -> Iterator[Callable[[str], None]]:
    """Show what is being done on a terminal; elsewhere a line a step, or one line for all steps of a named subject.

    :param quiet: show nothing; beside JSON.
    :param subject: what the steps are part of.
    """
    if quiet:
        yield lambda step: None
    elif on_terminal():
        from rich.console import Console

        with Console(stderr=True).status(subject) as status:
            yield lambda step: status.update(f"{subject}: {step}" if subject else f"{step} ...")
    elif subject:
        click.echo(f"{subject} ...", err=True)
        yield lambda step: None
    else:
        yield lambda step: click.echo(f"{step} ...", err=True)

"""``p2p report``: the report of an experiment, as a page and as a paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from p2p.cli.output import json_option, on_terminal, printable, show_json
from p2p.report.writing import ReportFiles, write_report

__all__ = ["report"]

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option("--out", type=_FOLDER, help="Folder for the report.  [default: DIR]")
@json_option
def report(folder: Path, out: Path | None, as_json: bool) -> None:
    """Make the report of the run in DIR: report.html and report.pdf.

    Both say the same. The page needs no network and no other file, so it can be sent as it is. The same raw data give
    the same report, to the byte.

    \b
      p2p experiment run etc/experiment.yaml --out results
      p2p report results
    """
    with _steps(as_json) as step:
        made = write_report(folder, out, step)
    if as_json:
        show_json(_fields(made))
        return
    for one in made.verdicts:
        click.echo(printable(f"arm {one.arm}: {one.verdict}. {one.sentence}"))
    click.echo(printable(f"the report is in {made.html} and {made.pdf}"))


def _fields(made: ReportFiles) -> dict[str, object]:
    return {
        "html": str(made.html),
        "pdf": str(made.pdf),
        "verdicts": [{"arm": one.arm, "verdict": one.verdict, "sentence": one.sentence} for one in made.verdicts],
    }


@contextmanager
def _steps(as_json: bool) -> Iterator[Callable[[str], None]]:
    """Show what is being done on a terminal; elsewhere a line a step, and nothing beside JSON."""
    if as_json:
        yield lambda step: None
    elif on_terminal():
        from rich.console import Console

        with Console(stderr=True).status("") as status:
            yield lambda step: status.update(f"{step} ...")
    else:
        yield lambda step: click.echo(f"{step} ...", err=True)

"""The last part of ``p2p demo``: a short experiment in a lab of its own, and the report of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from p2p.base.errors import P2PError
from p2p.cli.experiment_progress import Silence, experiment_progress
from p2p.cli.output import on_terminal, problem
from p2p.measure.experiment import RunResult, run_experiment
from p2p.measure.installed import installed_folders
from p2p.measure.raw_writer import remove_run
from p2p.measure.running_lab import lab_here
from p2p.report.writing import ReportFiles, ReportUnavailable, write_report
from p2p.services.inspect_workers import MEDIA_MISSING, has_media

__all__ = ["DEMO_PLAN", "demo_plan", "report_of_demo", "run_demo_experiment", "why_no_experiment"]

DEMO_PLAN = "demo-experiment.yaml"


def demo_plan() -> Path:
    """Find the plan that the demo runs.

    :raises P2PError: if it isn't there.
    """
    searched = [folder / DEMO_PLAN for folder in installed_folders("etc")]
    for path in searched:
        if path.is_file():
            return path
    raise P2PError(
        f"the demo's plan is neither {' nor '.join(map(str, searched))}; install p2p again, or take --no-report"
    )


def why_no_experiment() -> str:
    """Say what this machine lacks for the experiment; nothing if it has everything."""
    return "" if has_media() else f"no experiment and no report: {MEDIA_MISSING}; then run the demo again"


async def run_demo_experiment(reactor: Any, folder: Path, *, quiet: bool) -> RunResult:
    """Run the demo's experiment into a folder, in the place of an earlier one.

    :raises P2PError: if it can't be run here, with what to do.
    """
    plan = demo_plan()
    remove_run(folder)
    if quiet:
        return await run_experiment(reactor, plan, folder, lab_here, Silence())
    with experiment_progress() as telling:
        return await run_experiment(reactor, plan, folder, lab_here, telling)


def report_of_demo(run: Path, out: Path, *, quiet: bool) -> ReportFiles | None:
    """Write the report of the demo's experiment; without the extra for it, say how to get it."""
    try:
        with _steps(quiet=quiet) as step:
            return write_report(run, out, step)
    except ReportUnavailable as error:
        click.echo(problem(f"{error}; then: p2p report {run}"), err=True)
        return None


@contextmanager
def _steps(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    if quiet:
        yield lambda step: None
    elif on_terminal():
        from rich.console import Console

        with Console(stderr=True).status("the report") as status:
            yield lambda step: status.update(f"the report: {step}")
    else:
        click.echo("the report ...", err=True)
        yield lambda step: None

"""``p2p experiment``: run a plan, and compare two runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from p2p.base.errors import Outcome, P2PError
from p2p.cli.comparison import show_comparison
from p2p.cli.experiment_progress import experiment_progress
from p2p.cli.output import ExitCode, json_option, printable
from p2p.cli.session import ConsoleSession
from p2p.measure.experiment import OpenLab, RunResult, run_experiment
from p2p.measure.lab_hosts import load_lab_hosts
from p2p.measure.plan import load_plan
from p2p.measure.raw_data import RunFacts
from p2p.measure.raw_reader import read_run
from p2p.measure.running_lab import lab_elsewhere, lab_here

__all__ = ["experiment"]

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def experiment() -> None:
    """Measure what the network does with content, by a plan."""


@experiment.command()
@click.argument("plan", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--out", type=_FOLDER, help="Folder for the raw data.  [default: the plan's name without its ending]")
@click.option(
    "--lab",
    "hosts",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="YAML file of a lab that runs already; without it, a lab is started on this machine.",
)
@click.pass_obj
def run(session: ConsoleSession, plan: Path, out: Path | None, hosts: Path | None) -> None:
    """Run the blocks of a PLAN, or those that its folder lacks.

    Each block is kept as soon as it is finished: after Ctrl-C or a crash, the same command goes on where it was.

    \b
      p2p experiment run etc/experiment.yaml --out results
      p2p experiment run plan.yaml --lab hosts.yaml
    """
    load_plan(plan)  # what is wrong with it is told before anything else
    folder = plan.with_suffix("") if out is None else out
    lab: OpenLab = lab_here
    if hosts is not None:
        lab = _elsewhere(hosts)

    async def work(reactor: Any) -> RunResult:
        with experiment_progress() as telling:
            return await run_experiment(reactor, plan, folder, lab, telling)

    try:
        result = session.run_in_reactor(work)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; finished blocks are kept in {folder}, run again to go on") from None
    _show(result)
    drops = sum(count for outcome, count in result.outcomes.items() if Outcome(outcome).is_drop)
    sys.exit(ExitCode.UNEXPECTED if drops or result.missing else ExitCode.OK)


def _elsewhere(hosts: Path) -> OpenLab:
    listed = load_lab_hosts(hosts)
    return lambda reactor, pairs, seed, progress: lab_elsewhere(reactor, listed, pairs, seed, progress)


@experiment.command()
@click.argument("a", type=_FOLDER)
@click.argument("b", type=_FOLDER)
@json_option
def compare(a: Path, b: Path, as_json: bool) -> None:
    """Set run B beside run A: before and after a change, wired and wireless.

    Only what both runs have is compared; what else they have is named.

    \b
      p2p experiment compare wired wireless
    """
    try:
        from p2p.measure.analysis import compare as compare_runs
        from p2p.measure.block_figures import frames
        from p2p.measure.results import to_json
    except ImportError as error:
        raise P2PError(
            f"comparing runs needs {error.name}, which isn't installed; install it with: pip install 'p2p[report]'"
        ) from error
    runs = read_run(a), read_run(b)
    facts: RunFacts = runs[0].facts
    found = compare_runs(frames(runs[0]), frames(runs[1]), margin=facts.margin, seed=facts.seed)
    if as_json:
        click.echo(to_json(found), nl=False)
        return
    show_comparison(found, *runs)


def _show(result: RunResult) -> None:
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(result.outcomes.items()))
    click.echo(f"{result.finished} of {result.planned} blocks are in {result.folder}")
    if outcomes:
        click.echo(f"exchanges of this run: {outcomes}")
    for one in result.missing:
        click.echo(printable(f"missing in block {one.block}: {one.why}"))
    click.echo(f"the report: p2p report {result.folder}")

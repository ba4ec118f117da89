"""``p2p experiment``: run a plan, and compare two runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from p2p.cli.exit_codes import ExitCode
from p2p.cli.output import duration, json_option, on_terminal, printable, problem
from p2p.cli.session import Session
from p2p.errors import Outcome, P2PError
from p2p.measure.experiment import OpenLab, RunResult, Telling, run_experiment
from p2p.measure.lab_hosts import load_lab_hosts
from p2p.measure.plan import load_plan
from p2p.measure.raw_data import RunFacts
from p2p.measure.raw_reader import RawRun, read_run
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
def run(session: Session, plan: Path, out: Path | None, hosts: Path | None) -> None:
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
        with _telling() as telling:
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
    runs = [read_run(folder) for folder in (a, b)]
    facts: RunFacts = runs[0].facts
    found = compare_runs(frames(runs[0]), frames(runs[1]), margin=facts.margin, seed=facts.seed)
    if as_json:
        click.echo(to_json(found), nl=False)
        return
    for verdict in found.verdicts:
        click.echo(verdict.sentence)
    for name, drops in (("A", found.drops_a), ("B", found.drops_b)):
        if drops:
            lost = drops[0].dropped
            click.echo(f"Run {name} dropped {lost.count} of {lost.of} exchanges.")
    for note in (*found.notes, *_notes("A", runs[0]), *_notes("B", runs[1])):
        click.echo(f"note: {printable(note)}")


def _notes(name: str, run: RawRun) -> Iterator[str]:
    for note in run.notes:
        yield f"run {name}: {note}"
    for one in run.facts.missing:
        yield f"run {name}: block {one.block}: {one.why}"


# -- the progress -------------------------------------------------------------------------------------------------


@contextmanager
def _telling() -> Iterator[Telling]:
    """A bar on a terminal, a line now and then elsewhere."""
    if on_terminal():
        with _bar() as bar:
            yield bar
    else:
        yield _Lines()


class _Lines:
    """Tells the steps, and every tenth of the blocks, a line each."""

    def __init__(self) -> None:
        self._tenth = -1

    def step(self, what: str) -> None:
        """Tell a step."""
        click.echo(f"{what} ...", err=True)

    def blocks(self, done: int, total: int, seconds: float) -> None:
        """Tell it now and then."""
        tenth = 10 * done // max(total, 1)
        if tenth != self._tenth:
            self._tenth = tenth
            click.echo(f"{done} of {total} blocks, about {duration(max(seconds, 0.0))} left", err=True)

    def missing(self, what: str) -> None:
        """Tell it at once."""
        click.echo(problem(what), err=True)


@contextmanager
def _bar() -> Iterator[Telling]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    with Progress(
        TextColumn("{task.description:<22}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        console=Console(stderr=True),
    ) as bars:
        yield _Bar(bars)


class _Bar:
    """Shows the blocks as a bar with the time that is left, by what the blocks so far took."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._task: Any = bars.add_task("", total=None, left="")

    def step(self, what: str) -> None:
        """Show a step."""
        self._bars.update(self._task, description=what)

    def blocks(self, done: int, total: int, seconds: float) -> None:
        """Show how far it is."""
        left = f"{duration(seconds)} left" if seconds > 0 else ""
        self._bars.update(self._task, description="blocks", completed=done, total=total, left=left)

    def missing(self, what: str) -> None:
        """Show it above the bar."""
        self._bars.console.print(printable(what), style="red", markup=False, highlight=False)


def _show(result: RunResult) -> None:
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(result.outcomes.items()))
    click.echo(f"{result.finished} of {result.planned} blocks are in {result.folder}")
    if outcomes:
        click.echo(f"exchanges of this run: {outcomes}")
    for one in result.missing:
        click.echo(printable(f"missing in block {one.block}: {one.why}"))
    click.echo(f"the report: p2p report {result.folder}")

"""``p2p experiment``: run a plan, and compare two runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from p2p.base.errors import Outcome, P2PError
from p2p.cli.output import ExitCode, columns, duration, json_option, on_terminal, printable, problem, size
from p2p.cli.session import ConsoleSession
from p2p.measure.experiment import OpenLab, RunResult, Telling, run_experiment
from p2p.measure.lab_hosts import load_lab_hosts
from p2p.measure.plan import load_plan
from p2p.measure.raw_data import RunFacts
from p2p.measure.raw_reader import RawRun, read_run
from p2p.measure.running_lab import lab_elsewhere, lab_here

if TYPE_CHECKING:  # it needs the extra "report"
    from p2p.measure.estimates import Estimate
    from p2p.measure.results import LevelPair, RunComparison
    from p2p.measure.verdicts import EquivalenceVerdict

__all__ = ["experiment", "experiment_progress"]

_FOLDER = click.Path(file_okay=False, path_type=Path)

NOTES: Final = 6
"""Notes of what one run has alone that are shown; ``--json`` has them all."""

_ALONE: Final = ("is in run A alone", "is in run B alone")


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
    _show_comparison(found, *runs)


def _show(result: RunResult) -> None:
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(result.outcomes.items()))
    if result.unsent:
        outcomes = f"{outcomes or '0 ok'}, {result.unsent} never sent"
    click.echo(f"{result.finished} of {result.planned} blocks are in {result.folder}")
    if outcomes:
        click.echo(f"exchanges of this run: {outcomes}")
    for one in result.missing:
        click.echo(printable(f"block {one.block} came to nothing: {one.why}"))
    if result.finished < result.planned:
        click.echo("the same command again does the blocks that are missing")
    click.echo(f"the report: p2p report {result.folder}")


@contextmanager
def experiment_progress(*, quiet: bool = False) -> Iterator[Telling]:
    """A bar on a terminal, a line now and then elsewhere.

    :param quiet: show nothing; beside JSON.
    """
    if quiet:
        yield _Silence()
    elif on_terminal():
        with _bar() as bar:
            yield bar
    else:
        yield _Lines()


class _Silence:
    """Tells nothing; beside JSON."""

    def step(self, what: str) -> None:
        """Say nothing."""

    def blocks(self, done: int, total: int, seconds: float) -> None:
        """Say nothing."""

    def missing(self, what: str) -> None:
        """Say nothing; the result has it."""


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
            left = f", about {duration(seconds)} left" if done < total and seconds > 0 else ""
            click.echo(f"{done} of {total} blocks{left}", err=True)

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


def _show_comparison(found: RunComparison, a: RawRun, b: RawRun) -> None:
    """Print it for a person: what each arm says, every level of both, drops, and what else to know."""
    for name, run in (("A", a), ("B", b)):
        facts = run.facts
        what = f"{facts.title or 'untitled'}, {facts.started or 'nobody knows when'}, {len(run.finished)} blocks"
        click.echo(printable(f"run {name}: {run.folder}: {what}"))
    if found.verdicts:
        click.echo("\nB against A, by arm, where the interval reaches farthest:\n")
        rows = [_verdict_row(one) for one in found.verdicts]
        click.echo(columns(("arm", "what", "B / A", "95 % interval", "with", "verdict"), rows))
        for one in found.verdicts:
            if one.reason:
                click.echo(printable(f"{one.question.arm}, {one.question.quantity}: {one.reason}"))
    if found.levels:
        click.echo("\nMedians of what both have:\n")
        heads = ("arm", "content", "size", "pairs", "load", "latency A", "B", "bytes per second A", "B")
        click.echo(columns(heads, [_level_row(one) for one in found.levels]))
    click.echo("")
    for name, drops in (("A", found.drops_a), ("B", found.drops_b)):
        if drops:
            lost = drops[0].dropped
            click.echo(f"Run {name} dropped {lost.count} of {lost.of} exchanges.")
    for note in (*_notes_on(found, a, b), *_notes_of("A", a), *_notes_of("B", b)):
        click.echo(f"note: {printable(note)}")


def _verdict_row(verdict: EquivalenceVerdict) -> tuple[str, ...]:
    """Show the level whose interval reaches farthest: what holds for it holds for all."""
    question, found = verdict.question, verdict.farthest
    if found is None:
        return question.arm, question.quantity, "", "", "", verdict.outcome
    _, level = found
    place = " ".join(str(value) for value in level.factors.values())
    interval = f"{level.low:.3f} to {level.high:.3f}"
    return question.arm, question.quantity, f"{level.ratio:.3f}", interval, place, verdict.outcome


def _level_row(pair: LevelPair) -> tuple[str, ...]:
    level = pair.level
    place = (level.arm, level.condition, str(level.size), str(level.pairs), level.load)
    latencies = [_shown(run["latency_s"], is_rate=False) for run in (pair.a, pair.b)]
    rates = [_shown(run["throughput_bytes_per_s"], is_rate=True) for run in (pair.a, pair.b)]
    return (*place, *latencies, *rates)


def _shown(estimate: Estimate, *, is_rate: bool) -> str:
    if estimate.median is None:
        return "none"
    return f"{size(estimate.median)}/s" if is_rate else duration(estimate.median)


def _notes_on(found: RunComparison, a: RawRun, b: RawRun) -> Iterator[str]:
    if a.facts.margin != b.facts.margin:
        yield (
            f"the margin is that of run A, ±{a.facts.margin * 100:g} %; the plan of run B has "
            f"±{b.facts.margin * 100:g} %"
        )
    alone = [note for note in found.notes if note.endswith(_ALONE)]
    yield from alone[:NOTES]
    if len(alone) > NOTES:
        yield f"{len(alone) - NOTES} more levels are in one run alone; --json has them all"
    yield from (note for note in found.notes if note not in alone)


def _notes_of(name: str, run: RawRun) -> Iterator[str]:
    for note in run.notes:
        yield f"run {name}: {note}"
    for one in run.facts.missing:
        yield f"run {name}: block {one.block}: {one.why}"

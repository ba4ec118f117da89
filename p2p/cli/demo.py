"""``p2p demo``: a whole lab on this machine, measured."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from p2p.base.errors import P2PError
from p2p.cli.experiment import experiment_progress
from p2p.cli.output import ExitCode, duration, json_option, on_terminal, printable, problem, show_json, size
from p2p.cli.report import report_fields, show_verdicts, steps
from p2p.cli.session import ConsoleSession
from p2p.measure.demo import DemoPlan, DemoResult, Progress, run_demo
from p2p.measure.experiment import RunResult, run_experiment
from p2p.measure.raw_writer import remove_run
from p2p.measure.running_lab import lab_here
from p2p.measure.sample_files import installed_folders
from p2p.report.writing import ReportFiles, ReportUnavailable, write_report
from p2p.services.inspect_workers import MEDIA_MISSING, has_media

__all__ = ["demo", "demo_plan", "run_demo_experiment"]


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


def _why_no_experiment() -> str:
    """Say what this machine lacks for the experiment; nothing if it has everything."""
    return "" if has_media() else f"no experiment and no report: {MEDIA_MISSING}; then run the demo again"


async def run_demo_experiment(reactor: Any, folder: Path, *, quiet: bool) -> RunResult:
    """Run the demo's experiment into a folder, in the place of an earlier one.

    :raises P2PError: if it can't be run here, with what to do.
    """
    plan = demo_plan()
    remove_run(folder)
    with experiment_progress(quiet=quiet) as telling:
        return await run_experiment(reactor, plan, folder, lab_here, telling)


def _report(run: Path, out: Path, *, quiet: bool) -> ReportFiles | None:
    """Write the report of the demo's experiment; without the extra for it, say how to get it."""
    try:
        with steps(quiet=quiet, subject="the report") as step:
            return write_report(run, out, step)
    except ReportUnavailable as error:
        click.echo(problem(f"{error}; then: p2p report {run}"), err=True)
        return None


def _ports(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, int]:
    parts = value.split(",")
    if len(parts) != 2 or not all(part.isdigit() and 0 < int(part) < 65536 for part in parts) or parts[0] == parts[1]:
        raise click.BadParameter("give two different ports with a comma between them, for example 5555,5556")
    return int(parts[0]), int(parts[1])


@click.command()
@click.option("--pairs", type=click.IntRange(1, 5000), default=100, show_default=True, help="Pairs that talk at once.")
@click.option(
    "--exchanges", type=click.IntRange(2, 100_000), default=30, show_default=True, help="Exchanges of each pair."
)
@click.option("--ports", default="5555,5556", show_default=True, callback=_ports, help="Ports of the two routers.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("p2p-demo"),
    show_default=True,
    help="Folder for everything that is written.",
)
@click.option("--no-report", "--quick", "quick", is_flag=True, help="Leave the experiment and its report out.")
@json_option
@click.pass_obj
def demo(
    session: ConsoleSession, pairs: int, exchanges: int, ports: tuple[int, int], out: Path, quick: bool, as_json: bool
) -> None:
    """Run a whole lab on this machine, measure it, and report.

    Starts two routers and the daemons of both clusters, lets all pairs exchange text, audio and video at once and in
    both directions, kills both routers in the middle, and stops everything again. What was measured is printed as a
    table and written to summary.json and samples.csv.

    Then a short experiment asks whether the content type matters, and report.html and report.pdf have the answers. Its
    raw data are in the folder run.

    \b
      p2p demo
      p2p demo --quick
      p2p demo --pairs 1000 --exchanges 10
      p2p demo --ports 15555,15556 --json
    """
    plan = DemoPlan(pairs=pairs, exchanges=exchanges, ports=ports)

    async def run(reactor: Any) -> tuple[DemoResult, RunResult | None]:
        with _progress(as_json) as progress:
            result = await run_demo(reactor, plan, progress)
        result.write(out)
        if not as_json:
            _show(result, out)
        why_not = _why_no_experiment()
        if quick or result.failures or why_not:
            if why_not and not quick:
                click.echo(problem(why_not), err=True)
            return result, None
        if not as_json:
            click.echo("\nDoes the content type matter? A short experiment:")
        return result, await run_demo_experiment(reactor, out / "run", quiet=as_json)

    result, experiment = session.run_in_reactor(run)
    report = None if experiment is None else _report(experiment.folder, out, quiet=as_json)
    if as_json:
        fields = {**result.summary, "failures": result.failures, "out": str(out)}
        fields["experiment"] = None if experiment is None else _experiment_fields(experiment)
        fields["report"] = None if report is None else report_fields(report)
        show_json(fields)
    elif report is not None:
        show_verdicts(report)
        click.echo(f"\nThe report: {printable(str(report.html))} and {printable(str(report.pdf))}")
    sys.exit(ExitCode.UNEXPECTED if result.failures else ExitCode.OK)


def _experiment_fields(result: RunResult) -> dict[str, Any]:
    return {
        "folder": str(result.folder),
        "blocks": {"planned": result.planned, "finished": result.finished},
        "exchanges": dict(sorted(result.outcomes.items())),
        "missing": [one.model_dump() for one in result.missing],
    }


@contextmanager
def _progress(as_json: bool) -> Iterator[Progress]:
    """A bar on a terminal, a line a step elsewhere, nothing beside JSON."""
    if as_json:
        yield lambda step, done, total: None
    elif on_terminal():
        with _bars() as bars:
            yield bars
    else:
        told: set[str] = set()

        def tell(step: str, done: int, total: int) -> None:
            if step not in told:
                told.add(step)
                click.echo(f"{step} ..." if total == 1 else f"{step}: {total} ...", err=True)

        yield tell


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    with Bars(
        TextColumn("{task.description:<28}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
    ) as bars:
        tasks: dict[str, Any] = {}
        current: list[str] = []

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                if current and bars.tasks[tasks[current[-1]]].total == 1:
                    bars.update(tasks[current[-1]], completed=1)
                tasks[step] = bars.add_task(step, total=total)
                current.append(step)
            # A redraw for each of many thousand exchanges would cost more than they do.
            bars.update(tasks[step], completed=done, refresh=done % max(total // 100, 1) == 0)

        yield show
        bars.update(tasks[current[-1]], completed=bars.tasks[tasks[current[-1]]].total, refresh=True)


def _show(result: DemoResult, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    summary = result.summary
    kinds = summary["by_content_type"]
    columns = [summary, *kinds.values()]
    table = Table(title=f"{summary['pairs']} pairs, {summary['exchanges']['offered']} exchanges", title_justify="left")
    table.add_column("measured")
    for head in ("all", *kinds):
        table.add_column(head, justify="right")
    table.add_row("exchanges ok", *(str(column["exchanges"]["ok"]) for column in columns))
    table.add_row("drops", *(str(column["drops"]["total"]) for column in columns))
    table.add_row("message size, mean", *(size(column["message_size_bytes"]["mean"]) for column in columns))
    for name in ("mean", "p50", "p99", "max"):
        table.add_row(
            f"transmission time, {name}", *(duration(column["transmission_time_s"][name]) for column in columns)
        )
    table.add_row("bytes per second", *(f"{size(column['throughput_bytes_per_s'])}/s" for column in columns))
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(table)
    links, setup = summary["links"], summary["setup_s"]
    later, sockets = summary["exchanges_after_routers_died"], summary["open_sockets"]
    share = summary["router_bytes"] / summary["content_bytes"] if summary["content_bytes"] else 0.0
    lines = [
        ("links", f"{links['standing']} stood {duration(links['all_within_s'])} after the first was asked for"),
        ("set-up of a link", f"p50 {duration(setup['p50'])}, p99 {duration(setup['p99'])}"),
        ("look-up in the table", f"p50 {duration(summary['table_lookup_s']['p50'])}"),
        ("look-up, router to router", f"p50 {duration(summary['router_lookup_s']['p50'])}"),
        ("after the routers died", f"{later['ok']} of {later['offered']} exchanges ok"),
        ("content, peer to peer", size(summary["content_bytes"])),
        ("through the routers", f"{size(summary['router_bytes'])}, {share:.2%} of the content"),
        ("open sockets", f"{sockets['before']} before the links, {sockets['after']} after them"),
    ]
    for name, value in lines:
        click.echo(f"{name:<27} {value}")
    click.echo(f"\nWritten: {out / 'summary.json'} and {out / 'samples.csv'}")
    for failure in result.failures:
        click.echo(click.style("wrong: ", fg="red", bold=True) + failure, err=True)
    if not result.failures:
        click.echo("No process, socket or file is left.")

"""``p2p demo``: a whole lab on this machine, measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from p2p.cli.experiment import experiment_progress
from p2p.cli.output import ExitCode, duration, json_option, printable, problem, show_json, size
from p2p.cli.report import report_fields, show_verdicts, steps
from p2p.cli.session import ConsoleSession
from p2p.measure.demo import DemoPlan, DemoResult, run_demo
from p2p.measure.experiment import RunResult
from p2p.report.writing import ReportFiles, ReportUnavailable, write_report
from p2p.services.inspect_workers import MEDIA_MISSING, has_media

__all__ = ["demo"]


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
    "--exchanges",
    type=click.IntRange(2, 100_000),
    default=30,
    show_default=True,
    help="Exchanges of each pair, at least.",
)
@click.option("--ports", default="5555,5556", show_default=True, callback=_ports, help="Ports of the two routers.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("p2p-demo"),
    show_default=True,
    help="Folder for everything that is written.",
)
@click.option("--no-report", "--quick", "quick", is_flag=True, help="Leave the experiment and the report out.")
@json_option
@click.pass_obj
def demo(
    session: ConsoleSession, pairs: int, exchanges: int, ports: tuple[int, int], out: Path, quick: bool, as_json: bool
) -> None:
    """Run a whole lab on this machine, measure it, and report.

    Starts two routers and the daemons of both clusters, and lets all pairs exchange text, audio and video at once and
    in both directions, while both routers are killed in the middle. Then a short experiment asks whether the content
    type matters. It ends when everything is stopped again.

    All of it is one run: its raw data lie in the folder, with report.html and report.pdf. What all pairs did is printed
    as a table and written to summary.json.

    \b
      p2p demo
      p2p demo --quick
      p2p demo --pairs 1000 --exchanges 10
      p2p demo --ports 15555,15556 --json
    """
    plan = DemoPlan(pairs=pairs, exchanges=exchanges, ports=ports, quick=quick, media=has_media())

    async def run(reactor: Any) -> DemoResult:
        with experiment_progress(quiet=as_json) as telling:
            return await run_demo(reactor, plan, out, telling)

    result = session.run_in_reactor(run)
    result.write(out)
    if not as_json:
        _show(result, out)
    if not (plan.media or quick):
        click.echo(problem(f"no experiment: {MEDIA_MISSING}; then run the demo again"), err=True)
    report = None if quick else _report(out, out, quiet=as_json)
    if as_json:
        fields = {**result.summary, "failures": result.failures, "out": str(out)}
        fields["experiment"] = None if result.run is None else _experiment_fields(result.run)
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
        "never_sent": result.unsent,
        "missing": [one.model_dump() for one in result.missing],
    }


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
        ("links", f"{links['standing']} of {links['standing'] + links['failed']} stood"),
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
    click.echo(f"\nWritten: {out / 'summary.json'}, and the raw data of the run beside it")
    for failure in result.failures:
        click.echo(click.style("wrong: ", fg="red", bold=True) + failure, err=True)
    if not result.failures:
        click.echo("No process, socket or file is left.")

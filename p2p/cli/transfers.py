"""``p2p transfers``: what moves, what has moved, and what waits to go on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import click

from p2p.base.texts import left_out_text
from p2p.cli.output import columns, json_option, printable, show_json, size
from p2p.cli.parameters import complete_transfers, option
from p2p.cli.session import ConsoleSession
from p2p.cli.transfer_lines import event_line, names_shown
from p2p.client import Client, Progress, TransferEvent, TransfersArguments, TransfersShown
from p2p.client import TransferShown as Shown

__all__ = ["transfers"]

_EXPLAINED = ("waiting", "failed", "cancelled")
"""States whose reason a person wants to know."""

PROGRESS_S: Final = 5.0
"""Seconds between two lines that only say how far a transfer is."""

_WAY = {"send": "to", "serve": "to", "get": "from", "receive": "from"}


@click.command(short_help="List transfers; follow them, or cancel one.")
@option(TransfersArguments, "follow", "-f")
@click.option("--cancel", metavar="ID", shell_complete=complete_transfers, help="Give a transfer up, for good.")
@option(TransfersArguments, "count", "-n")
@json_option
@click.pass_obj
def transfers(session: ConsoleSession, /, cancel: str | None, as_json: bool, **options: Any) -> None:
    """List the daemon's transfers, both ways: those that changed last come last.

    "waiting" ones go on by themselves as soon as the peer is there, until their deadline; "paused" ones (after Ctrl-C)
    and "failed" ones go on when the same is sent or got again.

    \b
      p2p transfers
      p2p transfers --follow
      p2p transfers --cancel 5f0e9c3a17b2d846
    """
    arguments = TransfersArguments.read(options)
    if cancel is not None:
        if arguments.follow:
            raise click.UsageError("--follow and --cancel don't go together")
        cancelled = session.run(lambda client, reactor: client.cancel_transfer(cancel)).transfers
        _show(cancelled, as_json)
    elif arguments.follow:
        _follow(session, arguments, as_json)
    else:
        _show(session.run(lambda client, reactor: client.transfers(arguments)).transfers, as_json)


def _follow(session: ConsoleSession, arguments: TransfersArguments, as_json: bool) -> None:
    """Print the list, and then events, until somebody interrupts it."""
    progress_told: dict[str, float] = {}

    def on_shown(known: TransfersShown) -> None:
        if as_json:
            show_json({"event": "transfers", **known.model_dump(mode="json")})
        elif known.transfers:
            click.echo(_table(known.transfers))

    async def follow(client: Client, reactor: Any) -> None:
        def on_event(event: TransferEvent) -> None:
            if as_json:
                show_json(event.model_dump(mode="json"))
            elif not isinstance(event, Progress) or now_and_then(event.transfer, reactor.seconds()):
                click.echo(printable(f"{_time_now()}  {event.transfer}  {event_line(event)}"))

        await client.transfers(arguments, on_shown=on_shown, on_event=on_event)

    def now_and_then(transfer: str, now: float) -> bool:
        if now - progress_told.get(transfer, -PROGRESS_S) < PROGRESS_S:
            return False
        progress_told[transfer] = now
        return True

    try:
        session.run(follow)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; the transfers go on") from None


def _time_now() -> str:
    return datetime.now(UTC).astimezone().strftime("%H:%M:%S")


def _show(known: list[Shown], as_json: bool) -> None:
    if as_json:
        show_json({"transfers": [one.model_dump(mode="json") for one in known]})
    elif known:
        click.echo(_table(known))
    else:
        click.echo("there have been no transfers", err=True)


def _table(known: list[Shown]) -> str:
    heads = ("ID", "CHANGED", "PEER", "STATE", "ENTRIES", "SIZE", "WHAT")
    rows = [_row(one) for one in reversed(known)]
    reasons = [f"{one.transfer}: {one.reason}" for one in reversed(known) if one.reason and one.state in _EXPLAINED]
    reasons += [f"{one.transfer}: {_left_out(one)}" for one in reversed(known) if one.refused]
    return "\n".join([columns(heads, rows), *([""] if reasons else []), *map(printable, reasons)])


def _left_out(shown: Shown) -> str:
    return left_out_text(shown.refused, [(one.path, one.outcome, one.reason) for one in shown.left_out])


def _row(shown: Shown) -> tuple[str, ...]:
    done = size(shown.bytes)
    if shown.bytes_total is not None and shown.bytes_total != shown.bytes:
        done += f" of {size(shown.bytes_total)}"
    changed = datetime.fromtimestamp(shown.updated, UTC).astimezone().strftime("%m-%d %H:%M:%S")
    what = names_shown(shown)
    return (
        shown.transfer,
        changed,
        f"{_WAY[shown.direction]} {shown.peer}",
        shown.state,
        f"{shown.entries:,}",
        done,
        what,
    )

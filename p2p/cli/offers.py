"""``p2p offers``: what others want to send, and whether to take it."""

from __future__ import annotations

import click

from p2p.base.texts import few
from p2p.cli.output import columns, duration, json_option, printable, show_json, size
from p2p.cli.parameters import complete_offers
from p2p.cli.session import ConsoleSession
from p2p.client import Client, PendingOffer

__all__ = ["offers"]


@click.group(invoke_without_command=True, short_help="List what others want to send; accept or refuse it.")
@json_option
@click.pass_context
def offers(ctx: click.Context, as_json: bool) -> None:
    """List what others want to send and the rules in the YAML file leave to you ("ask").

    \b
      p2p offers
      p2p offers accept 5f0e9c3a17b2d846
      p2p offers refuse 5f0e9c3a17b2d846
    """
    if ctx.invoked_subcommand is not None:
        return
    session: ConsoleSession = ctx.obj
    pending = session.run(lambda client, reactor: client.offers())
    if as_json:
        show_json(pending.model_dump(mode="json"))
    elif pending.offers:
        heads = ("ID", "FROM", "FOR", "WHAT", "TYPE", "ENTRIES", "SIZE", "WAITS")
        click.echo(columns(heads, [_row(one) for one in pending.offers]))
    else:
        click.echo("nothing waits for your consent", err=True)


@offers.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True, shell_complete=complete_offers)
@json_option
@click.pass_obj
def accept(session: ConsoleSession, ids: tuple[str, ...], as_json: bool) -> None:
    """Take what was offered; the transfer begins at once."""
    _decide(session, ids, True, as_json)


@offers.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True, shell_complete=complete_offers)
@json_option
@click.pass_obj
def refuse(session: ConsoleSession, ids: tuple[str, ...], as_json: bool) -> None:
    """Don't take what was offered; the other side is told."""
    _decide(session, ids, False, as_json)


def _decide(session: ConsoleSession, ids: tuple[str, ...], accepted: bool, as_json: bool) -> None:
    async def decide(client: Client, reactor: object) -> None:
        for offer in ids:
            await client.decide(offer, accept=accepted)
            if as_json:
                show_json({"offer": offer, "accepted": accepted})
            else:
                click.echo(printable(f"{offer} {'accepted' if accepted else 'refused'}"))

    session.run(decide)


def _row(offer: PendingOffer) -> tuple[str, ...]:
    return (
        offer.offer,
        offer.peer,
        offer.acting,
        few(offer.names or [offer.name], offer.more_names),
        ", ".join(offer.types or [offer.type]),
        "" if offer.entries is None else f"{offer.entries:,}",
        "" if offer.bytes is None else size(offer.bytes),
        duration(offer.age_s),
    )

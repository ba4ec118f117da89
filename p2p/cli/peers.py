"""``p2p peers``: who is registered in a cluster."""

from __future__ import annotations

import sys
from typing import Any

import click

from p2p.base.names import parse_cluster
from p2p.cli.output import json_option, printable, show_json
from p2p.cli.session import ConsoleSession
from p2p.client import Client
from p2p.console.operations import PeerStatus, RouterStatus

__all__ = ["peers"]


@click.command()
@click.argument("cluster", required=False)
@json_option
@click.pass_obj
def peers(session: ConsoleSession, cluster: str | None, as_json: bool) -> None:
    """List the peers of CLUSTER, a name a line.

    Those are listed that are registered now; without CLUSTER, those of one's own. On a terminal, and with --json, it is
    said of those that are linked by way of a relay.

    \b
      p2p peers
      p2p peers m
      for peer in $(p2p peers m); do p2p send $peer notes.txt; done
    """
    wanted = session.daemon().cluster if cluster is None else parse_cluster(cluster)

    async def ask(client: Client, reactor: Any) -> tuple[list[str], dict[str, str]]:
        names = await client.peers(wanted, acting=session.acting)
        return names, _relayed(await client.status(), session.acting) if for_people or as_json else {}

    for_people = sys.stdout.isatty()  # elsewhere a line is a name, for programs
    names, relayed = session.run(ask)
    if as_json:
        show_json(
            {"cluster": wanted, "names": names, "relayed": {one: relayed[one] for one in names if one in relayed}}
        )
    elif names:
        lines = (f"{one}  relayed by {relayed[one]}" if one in relayed else one for one in names)
        click.echo("\n".join(map(printable, lines)))
    else:
        click.echo(f"no peer is registered in cluster {wanted}", err=True)


def _relayed(status: PeerStatus | RouterStatus, acting: str | None) -> dict[str, str]:
    """The relays by which a daemon's peers are linked with others, by the names of those."""
    hosted = status.peers if isinstance(status, PeerStatus) else []
    links = (link for one in hosted if acting in (None, one.name) for link in one.links)
    return {link.peer: link.relayed_by for link in links if link.relayed_by}

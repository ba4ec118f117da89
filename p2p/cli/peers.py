"""``p2p peers``: who is registered in a cluster."""

from __future__ import annotations

import click

from p2p.base.names import parse_cluster
from p2p.cli.output import json_option, printable, show_json
from p2p.cli.session import ConsoleSession

__all__ = ["peers"]


@click.command()
@click.argument("cluster", required=False)
@json_option
@click.pass_obj
def peers(session: ConsoleSession, cluster: str | None, as_json: bool) -> None:
    """List the peers of CLUSTER, a name a line.

    Those are listed that are registered now; without CLUSTER, those of one's own.

    \b
      p2p peers
      p2p peers m
      for peer in $(p2p peers m); do p2p send $peer notes.txt; done
    """
    wanted = session.daemon().cluster if cluster is None else parse_cluster(cluster)
    names = session.run(lambda client, reactor: client.peers(wanted, acting=session.acting))
    if as_json:
        show_json({"cluster": wanted, "names": names})
    elif names:
        click.echo("\n".join(printable(name) for name in names))
    else:
        click.echo(f"no peer is registered in cluster {wanted}", err=True)

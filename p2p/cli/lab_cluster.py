"""``p2p lab add-cluster``: one more cluster in a lab that runs."""

from __future__ import annotations

from pathlib import Path

import click

from p2p.cli.lab_revoke import lab_option
from p2p.cli.output import json_option, printable, show_json
from p2p.identity.growing import add_cluster

__all__ = ["add_a_cluster"]


@click.command(name="add-cluster")
@click.argument("cluster")
@click.option(
    "--host",
    required=True,
    metavar="HOST",
    help="The machine of its router, as the others reach it, by DNS name or IP address; with the prefix of the network "
    "in which its peers are, if that is known.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    metavar="PORT",
    help="The TCP port of its router. Without it: the one behind that of the last cluster.",
)
@lab_option
@json_option
def add_a_cluster(cluster: str, host: str, port: int | None, directory: Path, as_json: bool) -> None:
    """Add CLUSTER to a lab: the files of its router, and its name in those of the other routers.

    The other routers learn of it at their next SIGHUP, without a restart. Its peers are invited: p2p lab invite.

    \b
      p2p lab add-cluster k --host 203.0.113.1 --lab lab
    """
    made = add_cluster(directory, cluster, host, port)
    if as_json:
        show_json(
            {
                "config": str(made.router.config),
                "changed": [str(path) for path in made.changed],
                "unchanged": made.unchanged,
            }
        )
        return
    issued = made.router.issued
    lines = [
        f"Made {made.router.config}, with {issued.certificate.name} and {issued.key.name}, for the machine at {host}.",
        *(f"Changed {path}: copy it to its machine, and have the router read it (kill -HUP)." for path in made.changed),
    ]
    for other, needed in made.unchanged.items():
        lines += [f"The YAML file of the router of {other} needs this, and kill -HUP:", "", needed.rstrip(), ""]
    click.echo(printable("\n".join(lines), lines=True))

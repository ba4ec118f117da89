"""``p2p lab``: make a lab, and add peers to it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from p2p.base.names import router_name
from p2p.cli.lab_cluster import add_a_cluster
from p2p.cli.lab_invite import invite
from p2p.cli.lab_revoke import list_names, revoke
from p2p.cli.output import json_option, printable, show_json
from p2p.identity.authority import AUTHORITY_CERTIFICATE, AUTHORITY_KEY, CERTIFICATE_DAYS
from p2p.identity.lab import LAB_FILE, MAX_PEERS, IssuedName, Lab, create_lab, issue_name
from p2p.identity.lab_files import CERTIFICATES, LabPlan

__all__ = ["lab"]


def _by_cluster(context: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    """Take ``CLUSTER=VALUE`` apart, which may be given once for each cluster."""
    values: dict[str, str] = {}
    for text in given:
        cluster, equals, value = (part.strip() for part in text.partition("="))
        if not (cluster and equals and value):
            raise click.BadParameter(
                f"{text!r} isn't {parameter.metavar}, for example {_EXAMPLES[parameter.name or '']}"
            )
        if cluster in values:
            raise click.BadParameter(f"cluster {cluster} is given twice")
        values[cluster] = value
    return values


def _ports(context: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, int]:
    ports = _by_cluster(context, parameter, given)
    for cluster, port in ports.items():
        if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
            raise click.BadParameter(f"port {port!r} of cluster {cluster} isn't a number from 1 to 65535")
    return {cluster: int(port) for cluster, port in ports.items()}


_EXAMPLES = {"hosts": "n=192.0.2.1", "ports": "n=5555"}


@click.group()
def lab() -> None:
    """Make a lab's certificates and configuration files."""


@lab.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--clusters", default="n,m", show_default=True, metavar="NAMES", help="The clusters, with commas.")
@click.option(
    "--peers",
    default=4,
    show_default=True,
    type=click.IntRange(0, MAX_PEERS),
    help="Peers of each cluster, n1.n and on.",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="CLUSTER=HOST",
    callback=_by_cluster,
    help="The machine of a cluster's router, by DNS name or IP address, once for each cluster; with the prefix of the "
    "network in which its peers are (192.0.2.1/24), the others' peers dial no address outside of it. "
    "Without any: 127.0.0.1, a lab on one machine.",
)
@click.option(
    "--port",
    "ports",
    multiple=True,
    metavar="CLUSTER=PORT",
    callback=_ports,
    help="The TCP port of a cluster's router. Without it: 5555 for the first cluster, 5556 for the second, and on.",
)
@click.option(
    "--systemd",
    is_flag=True,
    help="Write files for the units of etc/systemd: consoles below /run/p2p, inboxes below /var/lib/p2p.",
)
@json_option
def init(
    directory: Path,
    clusters: str,
    peers: int,
    hosts: Mapping[str, str],
    ports: Mapping[str, int],
    systemd: bool,
    as_json: bool,
) -> None:
    """Make a lab in DIR, a folder that is empty or doesn't exist yet.

    It gets a certificate authority, certificates for one router in each cluster and for the peers, and the YAML files
    of their daemons.

    \b
      p2p lab init lab
      p2p lab init lab --peers 8 --host n=192.0.2.1 --host m=198.51.100.1
    """
    names = [name.strip() for name in clusters.split(",")]
    made = create_lab(directory, clusters=names, peers=peers, hosts=hosts, ports=ports, systemd=systemd)
    if as_json:
        show_json(_lab_fields(made))
    else:
        click.echo(printable(_lab_text(made, directory), lines=True))


@lab.command()
@click.argument("name")
@click.option(
    "--lab",
    "directory",
    default=".",
    show_default=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The folder of the lab.",
)
@json_option
def issue(name: str, directory: Path, as_json: bool) -> None:
    """Add the peer NAME to a lab: a certificate, its key and a YAML file.

    To renew a certificate, that of a router (router.n) as well, move the old one and its key away first. The YAML file
    is kept.

    \b
      p2p lab issue n9.n --lab lab
    """
    made = issue_name(directory, name)
    if as_json:
        show_json(_peer_fields(made))
    else:
        click.echo(printable(_peer_text(made, directory), lines=True))


for command in (invite, list_names, revoke, add_a_cluster):
    lab.add_command(command)


def _lab_fields(made: Lab) -> dict[str, Any]:
    return {
        "lab": str(made.directory),
        "clusters": {
            cluster: {"host": place.host, "port": place.port, "endpoint": place.endpoint}
            for cluster, place in made.plan.clusters.items()
        },
        "authority": str(made.directory / AUTHORITY_CERTIFICATE),
        "routers": {name: str(path) for name, path in made.routers.items()},
        "peers": {name: str(path) for name, path in made.peers.items()},
    }


def _lab_text(made: Lab, directory: Path) -> str:
    places = "  ".join(f"{cluster} at {place.host}:{place.port}" for cluster, place in made.plan.clusters.items())
    there = ", all in /etc/p2p" if made.plan.systemd else ""
    lines = [
        f"Made a lab in {directory}: {len(made.routers)} routers ({places}), {len(made.peers)} peers.",
        f"{directory / AUTHORITY_KEY} signs new certificates: keep it on this machine and show it to nobody.",
        f"Certificates last {CERTIFICATE_DAYS} days, and renew themselves while the signer runs, on this machine:",
        f"twistd --nodaemon --pidfile= p2p-signer --lab {_quoted(directory)}",
        "",
        f"A daemon's machine needs its YAML file, {AUTHORITY_CERTIFICATE}, and its files in {CERTIFICATES}/{there}.",
        "Start the daemons, each on its machine:" if made.plan.systemd else "Start the daemons, each in a terminal:",
        "",
        *(_start(made.plan, "p2p-router", directory / path.name) for path in made.routers.values()),
    ]
    names = _two_to_try(made)
    configs = [directory / made.peers[name].name for name in names]
    lines += [_start(made.plan, "p2p-peer", config) for config in configs]
    if len(names) == 2:
        lines += ["", "and then:", "", f"  p2p --config {_quoted(configs[0])} message {names[1]} hello"]
    if not names:
        lines += ["", f"and add peers: p2p lab issue NAME --lab {_quoted(directory)}"]
    return "\n".join(lines)


def _two_to_try(made: Lab) -> list[str]:
    """Return two peers, of different clusters if there are such: a message across is the better first try."""
    names = list(made.peers)
    far = next((name for name in names[1:] if name.partition(".")[2] != names[0].partition(".")[2]), None)
    return [names[0], far] if far else names[:2]


def _peer_fields(made: IssuedName) -> dict[str, Any]:
    return {
        "name": made.issued.name,
        "certificate": str(made.issued.certificate),
        "key": str(made.issued.key),
        "config": str(made.config),
        "config_kept": made.kept,
        "valid_until": made.issued.until.isoformat(),
    }


def _peer_text(made: IssuedName, directory: Path) -> str:
    files = directory / CERTIFICATES
    lines = [
        f"Made {files / made.issued.certificate.name} and its key, valid until {made.issued.until:%Y-%m-%d}.",
        f"Kept {directory / made.config.name} as it was."
        if made.kept
        else f"Made {directory / made.config.name} from {directory / LAB_FILE}.",
        "",
        "Next:",
        "",
        _start(made.plan, _daemon_of(made), directory / made.config.name),
    ]
    return "\n".join(lines)


def _daemon_of(made: IssuedName) -> str:
    return "p2p-router" if made.issued.name.startswith(router_name("")) else "p2p-peer"


def _start(plan: LabPlan, daemon: str, config: Path) -> str:
    if plan.systemd:
        return f"  systemctl enable --now {daemon}@{config.stem.partition('-')[2]}"
    # Without --pidfile= a second twistd in the same folder takes the first one for itself.
    return f"  twistd --nodaemon --pidfile= {daemon} --config {_quoted(config)}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))

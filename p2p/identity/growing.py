"""A lab that grows: one more cluster, in the lab's folder. Everything here blocks for a moment."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from p2p.base.config import load_router
from p2p.base.errors import ConfigError, P2PError
from p2p.base.names import parse_cluster
from p2p.base.saving import save_file
from p2p.base.yaml_tree import quote
from p2p.identity.lab import LAB_FILE, IssuedName, issue_name, load_plan
from p2p.identity.lab_files import FIRST_PORT, lab_yaml, make_plan, router_file

__all__ = ["Grown", "add_cluster"]


class Grown(NamedTuple):
    """A cluster that was added.

    :ivar router: the files of its router.
    :ivar changed: the YAML files of the routers that know it now.
    :ivar unchanged: those that aren't in the folder, or can't be changed, with the lines that they need.
    """

    router: IssuedName
    changed: list[Path]
    unchanged: dict[str, str]


def add_cluster(directory: Path, cluster: str, host: str, port: int | None = None) -> Grown:
    """Add a cluster to a lab, with a router, and have the other routers' YAML files name it as a neighbour.

    :param host: where its router is, with the prefix of its network if that is known.
    :param port: of its router; without it, the one behind the last.
    :raises ConfigError: if the lab has it already, or it can't be reached by the others there.
    :raises P2PError: if a file can't be written.
    """
    parse_cluster(cluster)
    plan = load_plan(directory)
    if cluster in plan.clusters:
        raise ConfigError(f"{directory / LAB_FILE}: the lab has a cluster {cluster} already")
    others = list(plan.clusters)
    hosts = {**{one: place.host for one, place in plan.clusters.items()}, cluster: host}
    ports = {**{one: place.port for one, place in plan.clusters.items()}, cluster: port or FIRST_PORT + len(others)}
    grown = make_plan([*others, cluster], hosts, ports, plan.links, plan.systemd)
    fresh = grown.clusters[cluster]
    before = (directory / LAB_FILE).read_bytes()
    save_file(directory / LAB_FILE, lab_yaml(grown).encode())
    try:
        router = issue_name(directory, f"router.{cluster}")
    except P2PError:
        save_file(directory / LAB_FILE, before)
        raise
    lines = f"  {quote(cluster)}:\n    endpoint: {quote(fresh.endpoint)}\n"
    changed, unchanged = [], {}
    for other in others:
        path = directory / router_file(other)
        if _named(path, lines):
            changed.append(path)
        else:
            unchanged[other] = f"neighbours:\n{lines}"
    return Grown(router, changed, unchanged)


def _named(path: Path, lines: str) -> bool:
    """Write a neighbour into the YAML file of a router, if it looks as such a file does; say whether it does."""
    try:
        before = path.read_text("utf-8")
    except OSError:
        return False
    for head in ("\nneighbours: {}\n", "\nneighbours:\n"):
        if before.count(head) == 1:
            save_file(path, before.replace(head, f"\nneighbours:\n{lines}").encode())
            try:
                load_router(path, files=False)
            except ConfigError:
                save_file(path, before.encode())
                return False
            return True
    return False

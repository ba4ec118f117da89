"""A lab in a folder: its authority, the certificates of its routers and peers, and the YAML files that use them.

::

    lab.yaml            where the routers are
    ca.pem, ca.key      the authority; only the machine that issues certificates needs the key
    certificates/       router.n.pem, router.n.key, n1.n.pem, n1.n.key, …
    router-n.yaml       for `twistd p2p-router`
    peer-n1.n.yaml      for `twistd p2p-peer`
    inbox/n1.n/         what the peer n1.n receives
    state/peer-n1.n/    what its daemon keeps through restarts; made by it
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from p2p.base.config import check_console
from p2p.base.errors import ConfigError, LocalFileError
from p2p.base.names import parse_cluster, parse_peer, router_name
from p2p.base.yaml_files import load, nearest
from p2p.identity.authority import Authority, Issued
from p2p.identity.lab_files import (
    CERTIFICATES,
    INBOX,
    LabPlan,
    Links,
    console_of,
    lab_yaml,
    make_plan,
    peer_file,
    peers_yaml,
    router_file,
    router_yaml,
)
from p2p.identity.ledger import Ledger
from p2p.identity.pem_files import load_certificate, write_new

__all__ = [
    "LAB_FILE",
    "MAX_PEERS",
    "IssuedName",
    "Lab",
    "create_lab",
    "issue_name",
    "load_plan",
    "make_inbox",
    "plan_with",
    "require_console_path",
    "write_peer_daemon",
]

LAB_FILE = "lab.yaml"

MAX_PEERS = 100_000
"""Peers of a cluster that one call makes; beyond it the number is a mistake."""


class Lab(NamedTuple):
    """A new lab: its folder, its clusters, and the YAML files of its daemons by router's and peer's name."""

    directory: Path
    plan: LabPlan
    routers: dict[str, Path]
    peers: dict[str, Path]


class IssuedName(NamedTuple):
    """Who got a certificate: that, the YAML file, whether that was there and has been kept, and the plan of the lab."""

    issued: Issued
    config: Path
    kept: bool
    plan: LabPlan


def create_lab(
    directory: Path,
    *,
    clusters: Sequence[str] = ("n", "m"),
    peers: int = 4,
    hosts: Mapping[str, str] | None = None,
    ports: Mapping[str, int] | None = None,
    links: Links = "tls",
    systemd: bool = False,
    now: datetime | None = None,
) -> Lab:
    """Make a lab in a folder that is empty or doesn't exist yet; if anything fails, nothing of it is left.

    :param peers: how many peers each cluster gets, one daemon each: ``n1.n``, ``n2.n`` and so on.
    :param hosts: where the routers are, by cluster; 127.0.0.1 for one that isn't there.
    :param ports: their ports, by cluster; those left out count on from 5555 in the order of the clusters.
    :param links: what the peers ask of their direct links.
    :param systemd: whether the daemons are systemd's units, with consoles and inboxes where these have them.
    :param now: when the certificates begin.
    :raises ConfigError: if the clusters, hosts, ports or the number of peers don't make a lab.
    :raises LocalFileError: if the folder isn't empty or can't be written.
    """
    for cluster in clusters:
        parse_cluster(cluster)
    plan = make_plan(clusters, hosts, ports, links, systemd)
    if not 0 <= peers <= MAX_PEERS:
        raise ConfigError(f"a cluster can't have {peers} peers, expected 0 to {MAX_PEERS}")
    names = {
        cluster: [f"{cluster[0]}{number}.{cluster}" for number in range(1, peers + 1)] for cluster in plan.clusters
    }
    directory = _absolute(directory)
    everyone = [name for of_cluster in names.values() for name in of_cluster]
    for file_name in (*map(router_file, plan.clusters), *map(peer_file, everyone)):
        require_console_path(plan, directory, file_name)
    with _os_errors(directory), _fresh_folder(directory) as root:
        authority = Authority.create(root, name=f"p2p lab of {', '.join(plan.clusters)}"[:64], now=now)
        (root / CERTIFICATES).mkdir()
        _write(root / LAB_FILE, lab_yaml(plan))
        for cluster in plan.clusters:
            authority.issue(router_name(cluster), root / CERTIFICATES, now=now)
            _write(root / router_file(cluster), router_yaml(plan, cluster))
            for name in names[cluster]:
                authority.issue(name, root / CERTIFICATES, now=now)
                make_inbox(plan, root, name)
                _write(root / peer_file(name), peers_yaml(plan, cluster, peer_file(name), [name]))
    return Lab(
        directory,
        plan,
        {router_name(cluster): directory / router_file(cluster) for cluster in plan.clusters},
        {name: directory / peer_file(name) for name in everyone},
    )


def issue_name(directory: Path, name: str, *, now: datetime | None = None) -> IssuedName:
    """Give a peer, new or not, or a router a certificate, a key, and a YAML file, which is kept if it is there already.

    :raises InvalidName: if the name is neither a peer's nor a router's.
    :raises ConfigError: if the folder holds no lab, or the lab has no such cluster.
    :raises IdentityError: if the peer has a certificate already, or the authority can't be used.
    :raises LocalFileError: if a file can't be written.
    """
    is_router = name.startswith(router_name(""))
    if is_router:
        cluster = parse_cluster(name.removeprefix(router_name("")))
        plan = plan_with(directory, cluster)
    else:
        plan, cluster = _plan_for(directory, [name])
    directory = _absolute(directory)
    file_name = router_file(cluster) if is_router else peer_file(name)
    require_console_path(plan, directory, file_name)
    authority = Authority.load(directory)
    with _os_errors(directory), _all_or_nothing() as undo:
        issued = _issue(authority, directory, name, undo, now)
        kept = (directory / file_name).exists()
        if not kept and is_router:
            _write(directory / file_name, router_yaml(plan, cluster))
        elif not kept:
            make_inbox(plan, directory, name)
            _write(directory / file_name, peers_yaml(plan, cluster, file_name, [name]))
    _record(directory, [issued])
    return IssuedName(issued, directory / file_name, kept, plan)


def write_peer_daemon(directory: Path, file_name: str, names: Iterable[str], *, now: datetime | None = None) -> Path:
    """Write the YAML file of one daemon that hosts many peers of one cluster, and return its path.

    Peers that have no certificate get one.

    :param file_name: a name in the lab's folder, for example ``peers-n.yaml``.
    :raises InvalidName: if a name isn't a peer's.
    :raises ConfigError: if the folder holds no lab, or the peers aren't of one cluster of it.
    :raises IdentityError: if the authority can't be used.
    :raises LocalFileError: if the file exists already, or one can't be written.
    """
    hosted = list(names)
    plan, cluster = _plan_for(directory, hosted)
    directory = _absolute(directory)
    require_console_path(plan, directory, file_name)
    path = directory / file_name
    authority = Authority.load(directory)
    with _os_errors(directory), _all_or_nothing() as undo:
        _write(path, peers_yaml(plan, cluster, file_name, hosted))
        undo.callback(path.unlink)
        made = []
        for name in hosted:
            if not all((directory / CERTIFICATES / f"{name}.{end}").exists() for end in ("pem", "key")):
                made.append(_issue(authority, directory, name, undo, now))
            make_inbox(plan, directory, name)
    _record(directory, made)
    return path


def _plan_for(directory: Path, names: Sequence[str]) -> tuple[LabPlan, str]:
    """Return the lab's plan, and the one cluster of the names."""
    clusters = {parse_peer(name).cluster for name in names}
    if len(clusters) != 1 or len(set(names)) != len(names):
        raise ConfigError("one daemon hosts one or more different peers, all of one cluster")
    (cluster,) = clusters
    return plan_with(directory, cluster), cluster


def load_plan(directory: Path) -> LabPlan:
    """Return the plan of the lab in a folder.

    :raises ConfigError: if it holds none.
    """
    if not (directory / LAB_FILE).is_file():
        raise ConfigError(f"{directory}: isn't the folder of a lab, it has no {LAB_FILE}; make one: p2p lab init")
    return load(directory / LAB_FILE, LabPlan)


def plan_with(directory: Path, cluster: str) -> LabPlan:
    """Return the plan of a lab that has this cluster."""
    plan = load_plan(directory)
    if cluster not in plan.clusters:
        raise ConfigError(
            f"{directory / LAB_FILE}: the lab has no cluster {cluster!r}, {nearest(cluster, list(plan.clusters))}"
        )
    return plan


def _issue(authority: Authority, directory: Path, name: str, undo: ExitStack, now: datetime | None) -> Issued:
    issued = authority.issue(name, directory / CERTIFICATES, now=now)
    undo.callback(issued.certificate.unlink)
    undo.callback(issued.key.unlink)
    return issued


def _record(directory: Path, made: Iterable[Issued]) -> None:
    with Ledger.open(directory) as ledger:
        ledger.record(load_certificate(one.certificate) for one in made)


def make_inbox(plan: LabPlan, directory: Path, name: str) -> None:
    """Make the inbox of a peer, unless systemd lets only the daemon do so.

    :raises OSError: if it can't be made.
    """
    if plan.systemd:
        return  # the daemon makes it, where systemd lets it
    (directory / INBOX).mkdir(exist_ok=True)
    (directory / INBOX / name).mkdir(mode=0o700, exist_ok=True)


def _write(path: Path, text: str) -> None:
    write_new(path, text.encode(), 0o644)


def require_console_path(plan: LabPlan, directory: Path, file_name: str) -> None:
    """See whether the console of a daemon can be there.

    :raises LocalFileError: if its path is too long.
    """
    try:
        check_console(directory / console_of(plan, file_name))
    except ValueError as error:
        raise LocalFileError(str(error)) from error


def _absolute(directory: Path) -> Path:
    return Path(os.path.abspath(directory))  # noqa: PTH100 - links in the path stay as the user wrote them


@contextmanager
def _os_errors(directory: Path) -> Iterator[None]:
    """Name the file that an error of the system is about."""
    try:
        yield
    except OSError as error:
        raise LocalFileError(f"{error.filename or directory}: can't be written ({error.strerror})") from error


@contextmanager
def _all_or_nothing() -> Iterator[ExitStack]:
    """Give a stack for what takes each step back; it runs only if something fails."""
    with ExitStack() as undo:
        yield undo
        undo.pop_all()


@contextmanager
def _fresh_folder(directory: Path) -> Iterator[Path]:
    """Give a folder to build in, which becomes ``directory`` when all is well, and is removed when it isn't."""
    exists = directory.exists()
    if exists and not directory.is_dir():
        raise LocalFileError(f"{directory}: isn't a folder; name one that is empty or doesn't exist yet")
    if exists and any(directory.iterdir()):
        raise LocalFileError(f"{directory}: isn't empty; name a folder that is, or one that doesn't exist yet")
    if not directory.parent.is_dir():
        raise LocalFileError(f"{directory.parent}: isn't a folder, so nothing can be made in it; make it first")
    # An existing folder may be the top of a file system, or somebody's working folder: it stays, and is filled.
    with tempfile.TemporaryDirectory(prefix=".p2p-lab-", dir=directory if exists else directory.parent) as workshop:
        root = Path(workshop) / directory.name
        root.mkdir()
        yield root
        if not exists:
            root.rename(directory)
            return
        with _all_or_nothing() as undo:
            for entry in sorted(root.iterdir()):
                entry.rename(directory / entry.name)
                undo.callback((directory / entry.name).rename, entry)

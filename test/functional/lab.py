"""Labs whose daemons are real ``twistd`` processes.

A lab has its own folder and ports. What :func:`shared_lab` starts is gone when the whole run of tests ends.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psutil
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from p2p.client import Client
from p2p.console.operations import PeerStatus, RouterStatus
from p2p.identity.lab import create_lab, write_peer_daemon
from p2p.identity.tls import Credentials
from p2p.measure.processes import Daemon, Daemons
from test.ports import free_ports

__all__ = ["RunningLab", "no_links", "reactor", "shared_lab", "started", "until"]

reactor: Any = installed_reactor

START_S: Final = 30.0
REGISTER_S: Final = 20.0


class RunningLab:
    """A lab in a temporary folder.

    :param ports: of the routers, by cluster; free ones if left out.
    :param settings: further lines of YAML for every peer daemon.
    :param environment: what the environment of the daemons has besides that of this process.
    :param create: makes the lab's folder, ``create_lab`` or what takes the same arguments.
    :param peers: of each cluster, with a daemon of its own for each; none if left out.
    :param more: further arguments of ``create``.
    :ivar folder: the lab's folder.
    :ivar pythons: the interpreters of daemons that run another version of p2p, by name.
    :ivar daemons: those that were started, by name; the latest of each name.
    """

    def __init__(
        self,
        clusters: Iterable[str] = ("n", "m"),
        *,
        ports: Mapping[str, int] | None = None,
        settings: str = "",
        environment: Mapping[str, str] | None = None,
        create: Callable[..., object] = create_lab,
        peers: int = 0,
        **more: Any,
    ) -> None:
        names = list(clusters)
        self.ports = ports or dict(zip(names, free_ports(len(names)), strict=True))
        self._top = Path(tempfile.mkdtemp(prefix="p2p-"))  # short, for the paths of UNIX sockets
        self.folder = self._top / "lab"
        create(self.folder, clusters=names, peers=peers, ports=self.ports, **more)
        self.pythons: dict[str, str] = {}
        self.daemons: dict[str, Daemon] = {}
        self._settings = settings
        self._processes = Daemons(reactor, self._top, environment)

    def peers_file(self, daemon: str, *names: str, settings: str = "", now: datetime | None = None) -> Path:
        """Write the YAML file of a daemon that hosts these peers, with more settings at its end."""
        path = write_peer_daemon(self.folder, f"{daemon}.yaml", names, now=now)
        text = path.read_text()
        if "links:" in settings:
            text = text.replace("\nlinks: tls\n", "\n")
        path.write_text(text + self._settings + settings)
        return path

    async def start_router(self, cluster: str) -> Daemon:
        """Start a router, or start it again."""
        return await self._start(f"router-{cluster}", "p2p-router")

    async def start_peers(self, daemon: str, *names: str, settings: str = "", registered: bool = True) -> Daemon:
        """Start a daemon that hosts these peers, or start it again, and wait until they are registered."""
        if not (self.folder / f"{daemon}.yaml").exists():
            self.peers_file(daemon, *names, settings=settings)
        started = await self._start(daemon, "p2p-peer")
        if registered:
            await self.all_registered(daemon)
        return started

    async def start(self, **hosts: Iterable[str]) -> None:
        """Start all routers and these daemons with their peers, and wait until everybody knows everybody."""
        starting = [self.start_router(cluster) for cluster in self.ports]
        starting += [self.start_peers(name, *peers, registered=False) for name, peers in hosts.items()]
        await gatherResults([Deferred.fromCoroutine(one) for one in starting], consumeErrors=True)
        for name in hosts:
            await self.all_registered(name)
        await self.linked()

    async def all_registered(self, daemon: str) -> None:
        """Wait until every peer of a daemon is registered."""
        async with await self.connect(daemon) as client:
            answer = await client.wait_registered(REGISTER_S)
        if answer.registered != answer.peers:
            raise AssertionError(f"{answer.registered} of {answer.peers} peers of {daemon} are registered")

    async def linked(self) -> None:
        """Wait until every router has a link to every neighbour."""
        for cluster in self.ports:
            await until(lambda cluster=cluster: self._is_linked(cluster), f"router {cluster} to reach its neighbours")  # type: ignore[misc]  # mypy can't type a lambda's default

    async def _is_linked(self, cluster: str) -> bool:
        return all((await self.router_status(cluster)).neighbours.values())

    async def connect(self, daemon: str) -> Client:
        """Connect to the console of a daemon; close it in the same test."""
        return await Client.connect(reactor, self.console(daemon))

    def console(self, daemon: str) -> Path:
        """The path of a daemon's console."""
        return self.folder / f"{daemon}.sock"

    def python(self, daemon: str) -> str:
        """The interpreter that runs a daemon, and the commands for it."""
        return self.pythons.get(daemon, sys.executable)

    async def router_status(self, cluster: str) -> RouterStatus:
        """What a router says of itself."""
        async with await self.connect(f"router-{cluster}") as client:
            status = await client.status()
        assert isinstance(status, RouterStatus)
        return status

    async def peer_status(self, daemon: str) -> PeerStatus:
        """What a peer daemon says of itself."""
        async with await self.connect(daemon) as client:
            status = await client.status()
        assert isinstance(status, PeerStatus)
        return status

    def credentials(self, name: str) -> Credentials:
        """The credentials of somebody who has a certificate of this lab."""
        certificates = self.folder / "certificates"
        return Credentials(certificates / f"{name}.pem", certificates / f"{name}.key", self.folder / "ca.pem")

    def inbox(self, peer: str) -> list[str]:
        """The names of everything in a peer's inbox."""
        return sorted(one.name for one in (self.folder / "inbox" / peer).iterdir())

    def log(self, daemon: str) -> str:
        """Everything that a daemon has logged, in all its lives."""
        return (self._top / f"{daemon}.log").read_text(errors="replace")

    def faults(self) -> str:
        """The first traceback in the logs: none is right, whatever the others do to a daemon."""
        for name in self.daemons:
            text = self.log(name)
            found = min((text.find(mark) for mark in ("Traceback", "Unhandled") if mark in text), default=-1)
            if found >= 0:
                return f"{name}: {text[max(found - 200, 0) : found + 3000]}"
        return ""

    @contextmanager
    def suspended(self, daemon: str) -> Iterator[None]:
        """Hold a daemon up, so that what others do with it stays under way."""
        process = psutil.Process(self.daemons[daemon].pid)
        process.suspend()
        try:
            yield
        finally:
            process.resume()

    async def stop(self) -> None:
        """End every daemon and remove the folder."""
        try:
            await self._processes.stop_all()
        finally:
            shutil.rmtree(self._top)

    async def _start(self, name: str, plugin: str) -> Daemon:
        daemon = await self._processes.start(
            name, plugin, self.folder / f"{name}.yaml", deadline=START_S, python=self.python(name)
        )
        self.daemons[name] = daemon
        return daemon


_shared: dict[str, RunningLab] = {}


async def started(lab: RunningLab, **hosts: Iterable[str]) -> RunningLab:
    """Start a lab that lasts as long as the whole run of tests."""
    reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(lab.stop()))
    await lab.start(**hosts)
    return lab


async def _plain_lab() -> RunningLab:
    return await started(
        RunningLab("nmk"), **{f"peers-{c}": [f"{c}{number}.{c}" for number in range(1, 5)] for c in "nmk"}
    )


async def shared_lab(name: str = "", make: Callable[[], Awaitable[RunningLab]] = _plain_lab) -> RunningLab:
    """A lab for tests that leave it as it is, made once a run.

    :param make: makes it with the help of :func:`started`. If left out: clusters n, m and k, with peers 1 to 4 of each
        in one daemon.
    """
    if name not in _shared:
        _shared[name] = await make()
    return _shared[name]


async def until(holds: Callable[[], Awaitable[bool]], what: str, seconds: float = 20.0) -> None:
    """Wait for something that has no event to wait for."""
    end = reactor.seconds() + seconds
    while not await holds():
        if reactor.seconds() >= end:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        await deferLater(reactor, 0.02)


async def no_links(client: Client) -> None:
    """Close all links of a daemon's peers, and wait until they are gone."""

    async def hold() -> bool:
        status = await client.status()
        assert isinstance(status, PeerStatus)
        return status.open.links == status.open.attempts == 0

    await client.disconnect()
    await until(hold, "the links to end")

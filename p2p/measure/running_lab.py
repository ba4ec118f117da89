"""The lab that a demo or an experiment runs in: one that is started on this machine, or one that runs already."""

from __future__ import annotations

import platform
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from p2p.base.config import PeerLimits
from p2p.base.errors import ConfigError, ExchangeFailed, P2PError
from p2p.client import Client
from p2p.console.operations import RouterStatus
from p2p.experiment.words import GaugeTold
from p2p.identity.lab import create_lab, write_peer_daemon
from p2p.measure.conductor import Conductor, Pair
from p2p.measure.gather import together, until
from p2p.measure.gauges import LabGauges, LocalGauges, Reader
from p2p.measure.lab_hosts import LabHosts
from p2p.measure.processes import Daemon, Daemons
from p2p.measure.raw_data import Placement

__all__ = [
    "CLUSTERS",
    "HOSTS",
    "ROUTERS",
    "ExperimentLab",
    "LabHere",
    "daemons_here",
    "lab_elsewhere",
    "lab_here",
    "pairs_here",
    "router_status",
]

CLUSTERS: Final = ("n", "m")
ROUTERS: Final = tuple(f"router-{cluster}" for cluster in CLUSTERS)
HOSTS: Final = tuple(f"peers-{cluster}" for cluster in CLUSTERS)
COORDINATOR: Final = "coordinator.n"

STREAMS_EACH: Final = 4
"""Streams that a coordinator has with each peer of a daemon at most, and some to spare."""

START_S: Final = 60.0
REGISTER_S: Final = 120.0


@dataclass
class ExperimentLab:
    """A lab that is ready.

    :ivar inboxes: the folder of each peer's inbox, where it is on this machine and belongs to the experiment.
    :ivar missing: peers that aren't there, a sentence each.
    :ivar here: its daemons, if they were started on this machine.
    """

    conductor: Conductor
    gauges: Reader
    placement: Sequence[Placement]
    inboxes: Path | None = None
    missing: list[str] = field(default_factory=list)
    here: LabHere | None = None

    def check(self) -> None:
        """See that the daemons that were started here are there still.

        :raises P2PError: with what one of them said last.
        """
        for daemon in self.here.daemons.values() if self.here is not None else ():
            if daemon.exited:
                raise P2PError(f"{daemon.name} has ended with exit code {daemon.exit}:\n{daemon.tail()}")

    def empty_inboxes(self) -> None:
        """Remove what was stored: hundreds of blocks would fill the disk."""
        for file in self.inboxes.glob("*/*") if self.inboxes is not None else ():
            if file.is_file():
                file.unlink()


class LabHere:
    """The daemons of a lab that was started on this machine.

    :ivar directory: holds the configuration, the consoles and the inboxes.
    :ivar ports: of the routers, by the names of their YAML files.
    :ivar daemons: those that were started last, by the names of their YAML files.
    :ivar router_bytes: what went through the sockets of routers that were killed.
    """

    def __init__(self, reactor: Any, starter: Daemons, directory: Path, ports: Mapping[str, int]) -> None:
        self.directory = directory
        self.ports = ports
        self.daemons: dict[str, Daemon] = {}
        self.router_bytes = 0
        self._reactor = reactor
        self._starter = starter

    async def start(self, names: Sequence[str]) -> None:
        """Start daemons, and wait until every peer is registered and the routers are linked.

        :raises P2PError: if they don't get ready in time.
        """
        started = await together(
            self._starter.start(
                name,
                "p2p-router" if name in ROUTERS else "p2p-peer",
                self.directory / f"{name}.yaml",
                deadline=START_S,
            )
            for name in names
        )
        self.daemons.update(zip(names, started, strict=True))
        for name in self.daemons:
            if name not in ROUTERS:
                await self._registered(name)
        for name in ROUTERS:
            async with await self.connect(name) as router:
                await until(self._reactor, partial(_reaches_the_other, router), f"{name} to reach the other")

    def described(self, name: str) -> str:
        """A daemon as it is listed: routers with their port."""
        port = self.ports.get(name)
        return name if port is None else f"{name}, port {port}"

    async def connect(self, name: str) -> Client:
        """Connect to the console of a daemon."""
        return await Client.connect(self._reactor, self.directory / f"{name}.sock")

    async def kill_routers(self) -> None:
        """Kill both routers (SIGKILL), and wait until they are gone."""
        self.router_bytes += await self.count_router_bytes()
        for name in ROUTERS:
            self.daemons[name].kill()
        for name in ROUTERS:
            await self.daemons[name].when_exited()

    async def count_router_bytes(self) -> int:
        """Count what has gone through the sockets of the routers that run."""
        total = 0
        for name in ROUTERS:
            async with await self.connect(name) as router:
                counted = (await router_status(router)).socket_bytes
            total += counted.received + counted.sent
        return total

    async def _registered(self, name: str) -> None:
        async with await self.connect(name) as host:
            answer = await host.wait_registered(REGISTER_S)
        if answer.registered < answer.peers:
            raise P2PError(
                f"only {answer.registered} of {answer.peers} peers of {name} are registered after {REGISTER_S:g} s; "
                "is this machine busy with something else?"
            )


async def router_status(router: Client) -> RouterStatus:
    """Ask a router what it holds."""
    status = await router.status()
    assert isinstance(status, RouterStatus)
    return status


async def _reaches_the_other(router: Client) -> bool:
    return all((await router_status(router)).neighbours.values())


@asynccontextmanager
async def daemons_here(
    reactor: Any,
    pairs: int,
    progress: Callable[[str], None],
    *,
    ports: Sequence[int] = (),
    coordinator: str = "",
) -> AsyncIterator[LabHere]:
    """Start the daemons of so many pairs on this machine; nothing of them is left in the end.

    Each cluster has a router and a daemon with all its peers: ``peers-n`` and ``peers-m``.

    :param progress: is told the steps.
    :param ports: of the routers of clusters n and m; without them, any that are free.
    :param coordinator: the peer that all others obey in experiments, with a daemon of its own: ``coordinator``.
    :raises P2PError: if they can't be started, with what to do.
    """
    folder = Path(tempfile.mkdtemp(prefix="p2p-"))  # short, for the paths of UNIX sockets
    daemons = Daemons(reactor, folder)
    try:
        progress("making a lab")
        directory = folder / "lab"
        ports = ports or _free_ports(len(CLUSTERS))
        create_lab(directory, clusters=CLUSTERS, peers=0, ports=dict(zip(CLUSTERS, ports, strict=True)))
        numbers = range(1, pairs + 1)
        hosts = {host: [f"{c}{number}.{c}" for number in numbers] for host, c in zip(HOSTS, CLUSTERS, strict=True)}
        if coordinator:
            hosts["coordinator"] = [coordinator]
        for name, peers in hosts.items():
            path = write_peer_daemon(directory, f"{name}.yaml", peers)
            if coordinator:
                with path.open("a", encoding="utf-8") as file:
                    file.write(f"experiment: [{coordinator}]\n{_limits(pairs)}")
        progress("starting daemons")
        here = LabHere(reactor, daemons, directory, dict(zip(ROUTERS, ports, strict=True)))
        await here.start([*ROUTERS, *hosts])
        yield here
    finally:
        await daemons.stop_all()
        shutil.rmtree(folder, ignore_errors=True)


def _limits(pairs: int) -> str:
    """What the YAML of a daemon with so many peers needs besides, so that one coordinator can speak to all of them."""
    needed = {"peer_streams": STREAMS_EACH * pairs, "all_streams": 2 * STREAMS_EACH * pairs}
    lines = [f"  {name}: {count}\n" for name, count in needed.items() if count > PeerLimits.model_fields[name].default]
    return "".join(["limits:\n", *lines]) if lines else ""


@asynccontextmanager
async def lab_here(
    reactor: Any, pairs: int, seed: int, progress: Callable[[str], None], ports: Sequence[int] = ()
) -> AsyncIterator[ExperimentLab]:
    """Start a lab of so many pairs on this machine for an experiment; nothing of it is left in the end.

    :param ports: of the routers of clusters n and m; without them, any that are free.
    :raises P2PError: if it can't be started, with what to do.
    """
    async with (
        daemons_here(reactor, pairs, progress, ports=ports, coordinator=COORDINATOR) as here,
        await here.connect("coordinator") as client,
    ):
        yield ExperimentLab(
            conductor=Conductor(client, COORDINATOR, pairs_here(pairs), seed),
            gauges=LocalGauges(
                lambda: {name: ("router" if name in ROUTERS else "peer", one.pid) for name, one in here.daemons.items()}
            ),
            placement=[Placement(what=here.described(name), where=platform.node()) for name in here.daemons],
            inboxes=here.directory / "inbox",
            here=here,
        )


@asynccontextmanager
async def lab_elsewhere(
    reactor: Any, hosts: LabHosts, pairs: int, seed: int, progress: Callable[[str], None]
) -> AsyncIterator[ExperimentLab]:
    """Use a lab that runs already.

    :param pairs: how many the plan needs.
    :raises P2PError: if it can't be used, with what to do.
    """
    if len(hosts.pairs) < pairs:
        raise ConfigError(
            f"the plan has blocks of {pairs} pairs, and the lab has {len(hosts.pairs)}; add pairs to the lab's file, "
            "or take fewer in the plan"
        )
    name, console = hosts.coordinating()
    progress("looking for the peers")
    async with await Client.connect(
        reactor, console, start=f"twistd -n --pidfile= p2p-peer --config {hosts.coordinator}"
    ) as client:
        listed = [Pair(number, first, second) for number, (first, second) in enumerate(hosts.pairs[:pairs], 1)]
        conductor = Conductor(client, name, listed, seed)
        peers = [peer for pair in listed for peer in (pair.initiator, pair.receiver)]
        placement = [Placement(what=f"{name}, coordinator", where=platform.node())]
        missing: list[ExchangeFailed] = []
        daemons: dict[str, str] = {}
        for peer, told in zip(peers, await together(_look(conductor, peer) for peer in peers), strict=True):
            if isinstance(told, ExchangeFailed):
                missing.append(told)
            else:
                daemons.setdefault(told.daemon, peer)
                placement.append(Placement(what=f"{peer}, daemon {told.daemon}", where=told.machine))
        if len(missing) == len(peers):
            raise ExchangeFailed(missing[0].outcome, f"no peer of the lab can be had; the first of them: {missing[0]}")
        gauges = LabGauges(conductor, list(daemons.values()))
        yield ExperimentLab(conductor, gauges, placement, missing=[f"{one.outcome}: {one}" for one in missing])


async def _look(conductor: Conductor, peer: str) -> GaugeTold | ExchangeFailed:
    """What a peer says of its daemon and its machine, or why it can't be had."""
    try:
        return await conductor.gauge(peer)
    except ExchangeFailed as failure:
        return ExchangeFailed(failure.outcome, f"{peer}: {failure}")


def pairs_here(count: int) -> list[Pair]:
    """List the pairs of a lab on this machine: odd ones ask from cluster n to m, even ones from m to n."""
    pairs = []
    for number in range(1, count + 1):
        near, far = CLUSTERS if number % 2 else CLUSTERS[::-1]
        pairs.append(Pair(number, f"{near}{number}.{near}", f"{far}{number}.{far}"))
    return pairs


def _free_ports(count: int) -> list[int]:
    """Ports on which nothing listens now; who takes one in the next moment makes a router say so and end."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]

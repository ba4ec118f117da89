"""The lab that an experiment runs in: one that is started on this machine for it, or one that runs already."""

from __future__ import annotations

import platform
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from twisted.internet.task import deferLater

from p2p.base.errors import ConfigError, ExchangeFailed, P2PError
from p2p.client import Client
from p2p.console.operations import RouterStatus
from p2p.experiment.words import GaugeTold
from p2p.identity.lab import create_lab, write_peer_daemon
from p2p.measure.conductor import Conductor, Pair
from p2p.measure.gather import together
from p2p.measure.gauges import LabGauges, LocalGauges, Reader
from p2p.measure.lab_hosts import LabHosts
from p2p.measure.processes import Daemon, Daemons
from p2p.measure.raw_data import Placement

__all__ = ["Lab", "lab_elsewhere", "lab_here"]

CLUSTERS: Final = ("n", "m")
COORDINATOR: Final = "coordinator.n"

START_S: Final = 60.0
REGISTER_S: Final = 120.0
SETTLE_S: Final = 30.0


@dataclass
class Lab:
    """A lab that is ready.

    :ivar inboxes: the folder of each peer's inbox, where it is on this machine and belongs to the experiment.
    :ivar missing: peers that aren't there, a sentence each.
    """

    conductor: Conductor
    gauges: Reader
    placement: Sequence[Placement]
    inboxes: Path | None = None
    missing: list[str] = field(default_factory=list)
    _daemons: Sequence[Daemon] = ()

    def check(self) -> None:
        """See that the daemons that were started here are there still.

        :raises P2PError: with what one of them said last.
        """
        for daemon in self._daemons:
            if daemon.exited:
                raise P2PError(f"{daemon.name} has ended with exit code {daemon.exit}:\n{daemon.tail()}")

    def empty_inboxes(self) -> None:
        """Remove what was stored: hundreds of blocks would fill the disk."""
        for file in self.inboxes.glob("*/*") if self.inboxes is not None else ():
            if file.is_file():
                file.unlink()


@asynccontextmanager
async def lab_here(reactor: Any, pairs: int, seed: int, progress: Callable[[str], None]) -> AsyncIterator[Lab]:
    """Start a lab of so many pairs on this machine; nothing of it is left in the end.

    Odd pairs ask from cluster n to m, even ones from m to n.

    :raises P2PError: if it can't be started, with what to do.
    """
    folder = Path(tempfile.mkdtemp(prefix="p2p-"))  # short, for the paths of UNIX sockets
    daemons = Daemons(reactor, folder)
    try:
        progress("making a lab")
        directory = folder / "lab"
        create_lab(directory, clusters=CLUSTERS, peers=0, ports=dict(zip(CLUSTERS, _free_ports(2), strict=True)))
        hosts = {f"peers-{one}": [f"{one}{number}.{one}" for number in range(1, pairs + 1)] for one in CLUSTERS}
        hosts["coordinator"] = [COORDINATOR]
        for name, peers in hosts.items():
            path = write_peer_daemon(directory, f"{name}.yaml", peers)
            with path.open("a", encoding="utf-8") as file:
                file.write(f"experiment: [{COORDINATOR}]\n")
        progress("starting daemons")
        plugins = {**{f"router-{one}": "p2p-router" for one in CLUSTERS}, **dict.fromkeys(hosts, "p2p-peer")}
        started = await together(
            daemons.start(name, plugin, directory / f"{name}.yaml", deadline=START_S)
            for name, plugin in plugins.items()
        )
        for name in hosts:
            await _registered(reactor, directory / f"{name}.sock", name)
        for cluster in CLUSTERS:
            await _linked(reactor, directory / f"router-{cluster}.sock", cluster)
        async with await Client.connect(reactor, directory / "coordinator.sock") as client:
            yield Lab(
                conductor=Conductor(client, COORDINATOR, _pairs_here(pairs), seed),
                gauges=LocalGauges(
                    {one.name: ("router" if "router" in one.name else "peer", one.pid) for one in started}
                ),
                placement=[Placement(what=name, where=platform.node()) for name in plugins],
                inboxes=directory / "inbox",
                _daemons=started,
            )
    finally:
        await daemons.stop_all()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def lab_elsewhere(
    reactor: Any, hosts: LabHosts, pairs: int, seed: int, progress: Callable[[str], None]
) -> AsyncIterator[Lab]:
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
        yield Lab(conductor, gauges, placement, missing=[f"{one.outcome}: {one}" for one in missing])


async def _look(conductor: Conductor, peer: str) -> GaugeTold | ExchangeFailed:
    """What a peer says of its daemon and its machine, or why it can't be had."""
    try:
        return await conductor.gauge(peer)
    except ExchangeFailed as failure:
        return ExchangeFailed(failure.outcome, f"{peer}: {failure}")


def _pairs_here(count: int) -> list[Pair]:
    pairs = []
    for number in range(1, count + 1):
        near, far = CLUSTERS if number % 2 else CLUSTERS[::-1]
        pairs.append(Pair(number, f"{near}{number}.{near}", f"{far}{number}.{far}"))
    return pairs


async def _registered(reactor: Any, console: Path, name: str) -> None:
    async with await Client.connect(reactor, console) as client:
        answer = await client.wait_registered(REGISTER_S)
    if answer.registered < answer.peers:
        raise P2PError(
            f"only {answer.registered} of {answer.peers} peers of {name} are registered after {REGISTER_S:g} s; "
            "is this machine busy with something else?"
        )


async def _linked(reactor: Any, console: Path, cluster: str) -> None:
    """Wait until a router reaches the other one, for which there is no event."""
    end = reactor.seconds() + SETTLE_S
    async with await Client.connect(reactor, console) as client:
        while True:
            status = await client.status()
            assert isinstance(status, RouterStatus)
            if all(status.neighbours.values()):
                return
            if reactor.seconds() >= end:
                raise P2PError(f"router {cluster} hasn't reached the other within {SETTLE_S:g} s")
            await deferLater(reactor, 0.05)


def _free_ports(count: int) -> list[int]:
    """Ports on which nothing listens now; who takes one in the next moment makes a router say so and end."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]

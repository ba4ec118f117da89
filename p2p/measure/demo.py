"""The demo: a whole lab on one machine, every pair talking at once, both routers killed in the middle.

Real daemons, real sockets: two routers and, for each cluster, a daemon that hosts all its peers. The coordinator here
only asks the daemons over their consoles and looks at what they answer; every time comes from the daemons' own clocks.
"""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

import psutil
from blake3 import blake3
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from p2p.base.errors import ConfigError, ExchangeFailed, LocalFileError, Outcome, P2PError
from p2p.client import Client, ExchangeArguments
from p2p.console.operations import Connected, PeerStatus, RouterStatus
from p2p.identity.lab import create_lab, write_peer_daemon
from p2p.measure import sample_files
from p2p.measure.gather import together
from p2p.measure.processes import Daemon, Daemons
from p2p.measure.samples import Sample, figures, message_figures, outcomes, write_csv

__all__ = ["CLUSTERS", "DemoPlan", "DemoResult", "Progress", "run_demo"]

CLUSTERS: Final = ("n", "m")

START_S: Final = 60.0
SETTLE_S: Final = 30.0
REGISTER_S: Final = 120.0


@dataclass(frozen=True)
class DemoPlan:
    """What to run.

    :ivar pairs: peers in each cluster; the peers of one number make a pair.
    :ivar exchanges: of each pair, one after another, by turns from either side.
    :ivar ports: of the routers of clusters n and m.
    """

    pairs: int = 100
    exchanges: int = 30
    ports: tuple[int, int] = (5555, 5556)


Progress = Callable[[str, int, int], None]
"""Is told the step, how much of it is done, and how much there is."""


@dataclass
class DemoResult:
    """What came out.

    :ivar summary: the content of ``summary.json``.
    :ivar failures: what isn't as it should be, in words; empty if all is well.
    """

    samples: list[Sample] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write ``summary.json`` and ``samples.csv``.

        :raises LocalFileError: if the folder can't be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "summary.json").write_text(json.dumps(self.summary, indent=2) + "\n", encoding="utf-8")
            write_csv(folder / "samples.csv", self.samples)
        except OSError as error:
            raise LocalFileError(
                f"{error.filename or folder}: {error.strerror}; name another folder with --out"
            ) from error


async def run_demo(reactor: Any, plan: DemoPlan, progress: Progress) -> DemoResult:
    """Run the demo; whatever happens, no process and no file of it is left.

    :raises P2PError: if it can't be run here, with what to do.
    """
    for port in plan.ports:
        _check_port_is_free(port)
    folder = Path(tempfile.mkdtemp(prefix="p2p-demo-"))
    daemons = Daemons(reactor, folder)
    demo = _Demo(reactor, plan, progress, folder / "lab", daemons)
    try:
        await demo.run()
    finally:
        pids = [daemon.pid for daemon in demo.started]
        await daemons.stop_all()
        shutil.rmtree(folder, ignore_errors=True)
    demo.check_nothing_is_left(pids, folder)
    return demo.result


class _Demo:
    """One run, step by step."""

    def __init__(self, reactor: Any, plan: DemoPlan, progress: Progress, lab: Path, daemons: Daemons) -> None:
        self._reactor = reactor
        self._plan = plan
        self._progress = progress
        self._lab = lab
        self._daemons = daemons
        self._samples = sample_files.samples()
        self._expected = {sample.name: _digests(sample) for sample in self._samples}
        self.result = DemoResult()
        self.started: list[Daemon] = []
        self._routers: dict[str, Daemon] = {}
        self._hosts: dict[str, Daemon] = {}
        self._clients: dict[str, Client] = {}
        self._links: list[Connected] = []
        self._unlinked: list[ExchangeFailed] = []
        self._done = 0
        self._all_links_s = 0.0
        self._killed_ns = 0
        self._router_bytes = 0
        self._memory: dict[str, int] = {}
        self._why = ""

    async def run(self) -> None:
        """All steps; the order is the point: the routers die while the exchanges go on."""
        plan, total = self._plan, self._plan.pairs * self._plan.exchanges
        self._progress("making a lab", 0, 1)
        self._make_lab()
        await self._start_daemons()
        before = self._open_sockets()
        self._progress("links", 0, plan.pairs)
        began = self._reactor.seconds()
        await self._all_pairs(self._link)
        self._all_links_s = self._reactor.seconds() - began
        self._progress("exchanges", 0, total)
        await self._all_pairs(self._talk)
        self._progress("starting the routers again", 0, 1)
        await self._start_routers()
        await self._disconnect()
        after = self._open_sockets()
        self._router_bytes += await self._count_router_bytes()
        for client in self._clients.values():
            await client.close()
        self._summarise(before, after)

    async def _all_pairs(self, step: Callable[[int], Coroutine[Deferred[Any], Any, None]]) -> None:
        """Do the same with every pair at once; the first that fails unexpectedly ends the demo."""
        await together(step(pair) for pair in range(1, self._plan.pairs + 1))

    # -- the lab ----------------------------------------------------------------------------------------------

    def _make_lab(self) -> None:
        create_lab(self._lab, clusters=CLUSTERS, peers=0, ports=dict(zip(CLUSTERS, self._plan.ports, strict=True)))
        for cluster in CLUSTERS:
            names = [f"{cluster}{number}.{cluster}" for number in range(1, self._plan.pairs + 1)]
            write_peer_daemon(self._lab, f"peers-{cluster}.yaml", names)

    async def _start_daemons(self) -> None:
        self._progress("starting daemons", 0, 1)
        await together([self._launch_routers(), *(self._start_host(cluster) for cluster in CLUSTERS)])
        await self._all_registered()

    async def _start_routers(self) -> None:
        await self._launch_routers()
        await self._all_registered()

    async def _launch_routers(self) -> None:
        started = await together(
            self._daemons.start(f"router-{c}", "p2p-router", self._lab / f"router-{c}.yaml", deadline=START_S)
            for c in CLUSTERS
        )
        for cluster, daemon in zip(CLUSTERS, started, strict=True):
            self._routers[cluster] = daemon
            self.started.append(daemon)

    async def _start_host(self, cluster: str) -> None:
        daemon = await self._daemons.start(
            f"peers-{cluster}", "p2p-peer", self._lab / f"peers-{cluster}.yaml", deadline=START_S
        )
        self._hosts[cluster] = daemon
        self.started.append(daemon)
        self._clients[cluster] = await Client.connect(self._reactor, self._lab / f"peers-{cluster}.sock")

    async def _all_registered(self) -> None:
        """Every peer is in its router's table, and the routers are linked both ways."""
        for cluster in CLUSTERS:
            answer = await self._clients[cluster].wait_registered(REGISTER_S)
            if answer.registered < answer.peers:
                raise P2PError(
                    f"only {answer.registered} of {answer.peers} peers of cluster {cluster} are registered after "
                    f"{REGISTER_S:g} s; is this machine busy with something else?"
                )
            await self._until(partial(self._is_linked, cluster), f"router {cluster} to reach the other")

    async def _is_linked(self, cluster: str) -> bool:
        return all((await self._router_status(cluster)).neighbours.values())

    async def _router_status(self, cluster: str) -> RouterStatus:
        async with await Client.connect(self._reactor, self._lab / f"router-{cluster}.sock") as client:
            status = await client.status()
        assert isinstance(status, RouterStatus)
        return status

    # -- what the pairs do ------------------------------------------------------------------------------------

    async def _link(self, pair: int) -> None:
        """Odd pairs link from n to m, even ones from m to n, all of them at once."""
        near, far = CLUSTERS if pair % 2 else CLUSTERS[::-1]
        try:
            link = await self._clients[near].link(f"{far}{pair}.{far}", acting=f"{near}{pair}.{near}")
        except ExchangeFailed as failure:
            self._unlinked.append(failure)
        else:
            self._links.append(link)
        self._progress("links", len(self._links) + len(self._unlinked), self._plan.pairs)

    async def _talk(self, pair: int) -> None:
        """The exchanges of one pair, one after another, by turns in either direction."""
        for number in range(self._plan.exchanges):
            near, far = CLUSTERS if (pair + number) % 2 else CLUSTERS[::-1]
            sample = self._samples[(pair + number) % len(self._samples)]
            self.result.samples.append(await self._exchange(pair, near, far, sample))
            self._done += 1
            self._progress("exchanges", self._done, self._plan.pairs * self._plan.exchanges)
            if self._done == self._plan.pairs * self._plan.exchanges // 2:
                await self._kill_routers()

    async def _exchange(self, pair: int, near: str, far: str, sample: sample_files.Sample) -> Sample:
        initiator, receiver = f"{near}{pair}.{near}", f"{far}{pair}.{far}"
        service = "uppercase" if sample.content_type == "text" else "store"
        outcome, first_byte_ns, reply_bytes = Outcome.OK, None, 0
        try:
            asked = ExchangeArguments(
                peer=receiver,
                service=service,
                path=str(sample.path),
                name=sample.name,
                type=sample.content_type,
                acting=initiator,
            )
            answer = await self._clients[near].exchange(asked)
        except ExchangeFailed as failure:
            outcome = failure.outcome
            self._why = self._why or f"the first: {initiator} to {receiver}, {sample.name}: {outcome}: {failure}"
            size, planned_ns, end_ns = (int(failure.fields.get(key, 0)) for key in ("bytes", "planned_ns", "end_ns"))
        else:
            size, planned_ns, end_ns = answer.bytes, answer.planned_ns, answer.end_ns
            first_byte_ns, reply_bytes = answer.first_byte_ns, answer.reply_bytes
            sent, upper = self._expected[sample.name]
            if answer.receipt is not None:
                stored = self._lab / "inbox" / receiver / answer.receipt.name
                right = answer.receipt.digest == sent == _file_digest(stored)
                stored.unlink(missing_ok=True)  # a thousand pairs would fill the disk
            else:
                right = answer.reply_digest == upper
            if not right:
                outcome = Outcome.CORRUPT
        return Sample(
            pair=pair,
            direction=f"{initiator}>{receiver}",
            content_type=sample.content_type,
            service=service,
            name=sample.name,
            bytes=size,
            reply_bytes=reply_bytes,
            planned_ns=planned_ns,
            first_byte_ns=first_byte_ns,
            end_ns=end_ns,
            outcome=outcome,
        )

    async def _kill_routers(self) -> None:
        """Kill both routers while the other pairs go on, and note when they were gone."""
        self._router_bytes = await self._count_router_bytes()
        self._note_memory()
        for router in self._routers.values():
            router.kill()
        for router in self._routers.values():
            await router.when_exited()
        self._killed_ns = time.monotonic_ns()  # the daemons read the same clock

    async def _disconnect(self) -> None:
        for client in self._clients.values():
            await client.disconnect()
        for cluster in CLUSTERS:
            await self._until(partial(self._has_no_links, cluster), "all links to end")

    async def _has_no_links(self, cluster: str) -> bool:
        status = await self._clients[cluster].status()
        assert isinstance(status, PeerStatus)
        return status.open.links == 0 and status.open.listeners == 0

    async def _until(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        """Ask again and again until something holds: what has no event to wait for."""
        end = self._reactor.seconds() + SETTLE_S
        while not await holds():
            if self._reactor.seconds() >= end:
                raise P2PError(f"waited {SETTLE_S:g} s in vain for {what}; the demo can't go on")
            await deferLater(self._reactor, 0.05)

    # -- figures ----------------------------------------------------------------------------------------------

    def _open_sockets(self) -> int:
        return sum(daemon.open_sockets() for daemon in (*self._routers.values(), *self._hosts.values()))

    async def _count_router_bytes(self) -> int:
        total = 0
        for cluster in CLUSTERS:
            status = await self._router_status(cluster)
            total += status.socket_bytes.received + status.socket_bytes.sent
        return total

    def _note_memory(self) -> None:
        for daemon in (*self._routers.values(), *self._hosts.values()):
            self._memory[daemon.name] = daemon.memory_bytes()

    def _summarise(self, before: int, after: int) -> None:
        result, pairs = self.result, self._plan.pairs
        done = [sample for sample in result.samples if sample.outcome is Outcome.OK]
        later = [sample for sample in result.samples if sample.planned_ns >= self._killed_ns]
        result.summary = {
            "pairs": pairs,
            **message_figures(result.samples, pairs),
            "links": {"standing": len(self._links), "failed": len(self._unlinked), "all_within_s": self._all_links_s},
            "setup_s": figures([(link.setup_ns or 0) / 1e9 for link in self._links]),
            "table_lookup_s": figures([(link.table_lookup_ns or 0) / 1e9 for link in self._links]),
            "router_lookup_s": figures([(link.router_lookup_ns or 0) / 1e9 for link in self._links]),
            "by_content_type": {
                kind: message_figures([sample for sample in result.samples if sample.content_type == kind], pairs)
                for kind in get_args(sample_files.ContentType)
            },
            "exchanges_after_routers_died": outcomes(later),
            "content_bytes": sum(sample.bytes + sample.reply_bytes for sample in done),
            "router_bytes": self._router_bytes,
            "open_sockets": {"before": before, "after": after},
            "memory_bytes": self._memory,
        }
        result.failures += [f"a link didn't come to stand: {failure}" for failure in self._unlinked[:3]]
        if lost := result.summary["drops"]["total"]:
            result.failures.append(f"{lost} of {len(result.samples)} exchanges were dropped; {self._why}")
        if refused := result.summary["exchanges"]["refused"]:
            result.failures.append(f"{refused} exchanges were refused; {self._why}")
        if before != after:
            result.failures.append(f"{before} sockets were open before the links, and {after} after they were closed")
        if not later:
            result.failures.append("no exchange was left for the time after the routers died; use more --exchanges")

    def check_nothing_is_left(self, pids: Sequence[int], folder: Path) -> None:
        """Add to the failures whatever outlived the demo."""
        left = [f"process {pid}" for pid in pids if psutil.pid_exists(pid)]
        left += [f"port {port}" for port in self._plan.ports if not _is_free(port)]
        if folder.exists():
            left.append(f"the folder {folder}")
        if left:
            self.result.failures.append(f"something is left: {', '.join(left)}")


def _digests(sample: sample_files.Sample) -> tuple[str, str]:
    """What ``store`` and what ``uppercase`` must answer to a sample."""
    content = sample.path.read_bytes()
    upper = content.decode().upper().encode() if sample.content_type == "text" else b""
    return blake3(content).hexdigest(), blake3(upper).hexdigest()


def _file_digest(path: Path) -> str:
    return blake3(path.read_bytes()).hexdigest()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _check_port_is_free(port: int) -> None:
    if not _is_free(port):
        raise ConfigError(
            f"port {port} is taken, and the demo's router needs it; stop what listens there ('ss -ltnp' shows it), "
            "or use others: p2p demo --ports 15555,15556"
        )

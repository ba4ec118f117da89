"""The demo: a whole lab on one machine, every pair talking at once, both routers killed in the middle.

Real daemons, real sockets: two routers and, for each cluster, a daemon that hosts all its peers. The coordinator here
only asks the daemons over their consoles and looks at what they answer; every time comes from the daemons' own clocks.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, get_args

import psutil
from blake3 import blake3
from twisted.internet.defer import Deferred

from p2p.base.errors import ConfigError, ExchangeFailed, LocalFileError, Outcome
from p2p.base.names import parse_peer
from p2p.client import Client, ExchangeArguments
from p2p.console.operations import Connected, Exchanged, PeerStatus
from p2p.measure.conductor import Pair
from p2p.measure.gather import together, until
from p2p.measure.running_lab import CLUSTERS, HOSTS, ROUTERS, LabHere, daemons_here, pairs_here, router_status
from p2p.measure.sample_files import ContentType, SampleFile, samples
from p2p.measure.samples import Sample, figures, message_figures, outcomes, write_csv

__all__ = ["DemoPlan", "DemoResult", "Progress", "run_demo"]


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
    files = samples()
    async with daemons_here(reactor, plan.pairs, lambda step: progress(step, 0, 1), ports=plan.ports) as lab:
        async with await lab.connect(HOSTS[0]) as n, await lab.connect(HOSTS[1]) as m:
            demo = _Demo(reactor, plan, files, progress, lab, dict(zip(CLUSTERS, (n, m), strict=True)))
            await demo.run()
        demo.summarise()
    demo.check_nothing_is_left()
    return demo.result


class _Demo:
    """One run, step by step.

    :param clients: of the daemons with peers, by their clusters.
    """

    def __init__(
        self,
        reactor: Any,
        plan: DemoPlan,
        files: Sequence[SampleFile],
        progress: Progress,
        lab: LabHere,
        clients: Mapping[str, Client],
    ) -> None:
        self._reactor = reactor
        self._plan = plan
        self._progress = progress
        self._lab = lab
        self._clients = clients
        self._files = files
        self._expected = {file.name: _digests(file) for file in self._files}
        self.result = DemoResult()
        self._pids = {daemon.pid for daemon in lab.daemons.values()}
        self._links: list[Connected] = []
        self._unlinked: list[ExchangeFailed] = []
        self._done = 0
        self._all_links_s = 0.0
        self._killed_ns = 0
        self._router_bytes = 0
        self._sockets = {"before": 0, "after": 0}
        self._memory: dict[str, int] = {}
        self._why = ""

    async def run(self) -> None:
        """All steps; the order is the point: the routers die while the exchanges go on."""
        self._sockets["before"] = self._open_sockets()
        self._progress("links", 0, self._plan.pairs)
        began = self._reactor.seconds()
        await self._all_pairs(self._link)
        self._all_links_s = self._reactor.seconds() - began
        self._progress("exchanges", 0, self._total)
        await self._all_pairs(self._talk)
        self._progress("starting the routers again", 0, 1)
        await self._lab.start(ROUTERS)
        self._pids.update(daemon.pid for daemon in self._lab.daemons.values())
        await self._disconnect()
        self._sockets["after"] = self._open_sockets()
        self._router_bytes += await self._count_router_bytes()

    @property
    def _total(self) -> int:
        return self._plan.pairs * self._plan.exchanges

    async def _all_pairs(self, step: Callable[[Pair], Coroutine[Deferred[Any], Any, None]]) -> None:
        """Do the same with every pair at once; the first that fails unexpectedly ends the demo."""
        await together(step(pair) for pair in pairs_here(self._plan.pairs))

    def _daemon_of(self, peer: str) -> Client:
        return self._clients[parse_peer(peer).cluster]

    async def _link(self, pair: Pair) -> None:
        try:
            link = await self._daemon_of(pair.initiator).link(pair.receiver, acting=pair.initiator)
        except ExchangeFailed as failure:
            self._unlinked.append(failure)
        else:
            self._links.append(link)
        self._progress("links", len(self._links) + len(self._unlinked), self._plan.pairs)

    async def _talk(self, pair: Pair) -> None:
        """The exchanges of one pair, one after another, by turns in either direction."""
        turns = pair, Pair(pair.number, pair.receiver, pair.initiator)
        for number in range(self._plan.exchanges):
            file = self._files[(pair.number + number) % len(self._files)]
            self.result.samples.append(await self._exchange(turns[number % 2], file))
            self._done += 1
            self._progress("exchanges", self._done, self._total)
            if self._done == self._total // 2:
                await self._kill_routers()

    async def _exchange(self, pair: Pair, file: SampleFile) -> Sample:
        service = "uppercase" if file.content_type == "text" else "store"
        outcome, first_byte_ns, reply_bytes = Outcome.OK, None, 0
        try:
            asked = ExchangeArguments(
                peer=pair.receiver,
                service=service,
                path=str(file.path),
                name=file.name,
                type=file.content_type,
                acting=pair.initiator,
            )
            answer = await self._daemon_of(pair.initiator).exchange(asked)
        except ExchangeFailed as failure:
            outcome = failure.outcome
            where = f"{pair.initiator} to {pair.receiver}, {file.name}"
            self._why = self._why or f"the first: {where}: {outcome}: {failure}"
            size, planned_ns, end_ns = (int(failure.fields.get(key, 0)) for key in ("bytes", "planned_ns", "end_ns"))
        else:
            size, planned_ns, end_ns = answer.bytes, answer.planned_ns, answer.end_ns
            first_byte_ns, reply_bytes = answer.first_byte_ns, answer.reply_bytes
            if not self._is_right(pair.receiver, file, answer):
                outcome = Outcome.CORRUPT
        return Sample(
            pair=pair.number,
            direction=pair.direction,
            content_type=file.content_type,
            service=service,
            name=file.name,
            bytes=size,
            reply_bytes=reply_bytes,
            planned_ns=planned_ns,
            first_byte_ns=first_byte_ns,
            end_ns=end_ns,
            outcome=outcome,
        )

    def _is_right(self, receiver: str, file: SampleFile, answer: Exchanged) -> bool:
        sent, upper = self._expected[file.name]
        if answer.receipt is None:
            return answer.reply_digest == upper
        stored = self._lab.directory / "inbox" / receiver / answer.receipt.name
        is_right = answer.receipt.digest == sent == blake3(stored.read_bytes()).hexdigest()
        stored.unlink(missing_ok=True)  # a thousand pairs would fill the disk
        return is_right

    async def _kill_routers(self) -> None:
        """Kill both routers while the other pairs go on, and note when they were gone."""
        self._router_bytes = await self._count_router_bytes()
        self._memory = {name: daemon.memory_bytes() for name, daemon in self._lab.daemons.items()}
        await self._lab.kill_routers()
        self._killed_ns = time.monotonic_ns()  # the daemons read the same clock

    async def _disconnect(self) -> None:
        for client in self._clients.values():
            await client.disconnect()
        for client in self._clients.values():
            await until(self._reactor, partial(_has_no_links, client), "all links to end")

    def _open_sockets(self) -> int:
        return sum(daemon.open_sockets() for daemon in self._lab.daemons.values())

    async def _count_router_bytes(self) -> int:
        total = 0
        for name in ROUTERS:
            async with await self._lab.connect(name) as router:
                status = await router_status(router)
            total += status.socket_bytes.received + status.socket_bytes.sent
        return total

    def summarise(self) -> None:
        """Fill the result in from what was seen."""
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
                for kind in get_args(ContentType)
            },
            "exchanges_after_routers_died": outcomes(later),
            "content_bytes": sum(sample.bytes + sample.reply_bytes for sample in done),
            "router_bytes": self._router_bytes,
            "open_sockets": self._sockets,
            "memory_bytes": self._memory,
        }
        result.failures += [f"a link didn't come to stand: {failure}" for failure in self._unlinked[:3]]
        if lost := result.summary["drops"]["total"]:
            result.failures.append(f"{lost} of {len(result.samples)} exchanges were dropped; {self._why}")
        if refused := result.summary["exchanges"]["refused"]:
            result.failures.append(f"{refused} exchanges were refused; {self._why}")
        before, after = self._sockets.values()
        if before != after:
            result.failures.append(f"{before} sockets were open before the links, and {after} after they were closed")
        if not later:
            result.failures.append("no exchange was left for the time after the routers died; use more --exchanges")

    def check_nothing_is_left(self) -> None:
        """Add to the failures whatever outlived the demo."""
        folder = self._lab.directory.parent
        left = [f"process {pid}" for pid in sorted(self._pids) if psutil.pid_exists(pid)]
        left += [f"port {port}" for port in self._plan.ports if not _is_free(port)]
        if folder.exists():
            left.append(f"the folder {folder}")
        if left:
            self.result.failures.append(f"something is left: {', '.join(left)}")


async def _has_no_links(host: Client) -> bool:
    status = await host.status()
    assert isinstance(status, PeerStatus)
    return status.open.links == 0 and status.open.listeners == 0


def _digests(file: SampleFile) -> tuple[str, str]:
    """What ``store`` and what ``uppercase`` must answer to a file."""
    content = file.path.read_bytes()
    upper = content.decode().upper().encode() if file.content_type == "text" else b""
    return blake3(content).hexdigest(), blake3(upper).hexdigest()


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

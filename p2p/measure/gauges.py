"""What the daemons of an experiment hold over time: read here where they run here, asked for where they don't."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from p2p.base.errors import ExchangeFailed
from p2p.experiment.gauge import read_gauge
from p2p.measure.conductor import Conductor
from p2p.measure.gather import together
from p2p.measure.raw_data import DaemonRow

__all__ = ["Gauges", "LabGauges", "LocalGauges", "Reader"]

EACH_S: Final = 1.0


class Reader(Protocol):
    """Reads the gauges of all daemons."""

    async def read(self) -> list[DaemonRow]:
        """Those that can be read now."""


class LocalGauges:
    """Reads the gauges of processes of this machine.

    :param daemons: gives the role and the process id of each, by name; a daemon may be started again.
    """

    def __init__(self, daemons: Callable[[], Mapping[str, tuple[str, int]]]) -> None:
        self._daemons = daemons

    async def read(self) -> list[DaemonRow]:
        """Those whose process is there."""
        found = [(name, role, read_gauge(pid)) for name, (role, pid) in self._daemons().items()]
        return [
            DaemonRow(gauge.t_ns, name, role, gauge.sockets, gauge.cpu_s, gauge.rss_bytes)
            for name, role, gauge in found
            if gauge is not None
        ]


class LabGauges:
    """Asks peers of a lab, one of each daemon; routers aren't asked, since they serve no content."""

    def __init__(self, conductor: Conductor, peers: Sequence[str]) -> None:
        self._conductor = conductor
        self._peers = peers

    async def read(self) -> list[DaemonRow]:
        """Those that answer."""
        rows = await together(self._ask(peer) for peer in self._peers)
        return [row for row in rows if row is not None]

    async def _ask(self, peer: str) -> DaemonRow | None:
        try:
            told = await self._conductor.gauge(peer)
        except ExchangeFailed:
            return None  # the block tells of peers that are gone
        return DaemonRow(told.t_ns, told.daemon, "peer", told.sockets, told.cpu_s, told.rss_bytes)


class Gauges:
    """Reads gauges each second, while there is a block with sampling on.

    :param take: gets the rows.
    """

    _log = Logger()

    def __init__(self, clock: Any, reader: Reader, take: Callable[[DaemonRow], None]) -> None:
        self._reader = reader
        self._take = take
        self._loop = LoopingCall(self._read)
        self._loop.clock = clock
        self.paused = False

    def start(self) -> None:
        """Read now, and each second."""
        running = self._loop.start(EACH_S)
        running.addErrback(lambda failure: self._log.failure("gauges can't be read any more", failure))

    def stop(self) -> None:
        """Read no more."""
        if self._loop.running:
            self._loop.stop()

    def _read(self) -> Deferred[None] | None:
        return None if self.paused else Deferred.fromCoroutine(self._once())

    async def _once(self) -> None:
        for row in await self._reader.read():
            self._take(row)

"""The exchanges of one peer in one block of an experiment: when they begin, and what is measured of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from blake3 import blake3
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange.exchange import Request, Result, Sink, Source
from p2p.exchange.request import DigestSink
from p2p.experiment.interleaving import orders
from p2p.experiment.words import BlockOrder, Ended, ExchangeTold
from p2p.link.flow import Stream
from p2p.services.store import BytesSource

__all__ = ["BlockRun", "Exchanger", "Material"]


class Exchanger(Protocol):
    """Sends requests to other peers, as a hosted peer does."""

    async def exchange(
        self,
        target: str,
        request: Request,
        source: Source,
        sink: Callable[[], Sink],
        *,
        planned_ns: int,
        watch: Callable[[Stream], None] = lambda stream: None,
    ) -> Result:
        """Send a request and take its reply; raises ``ExchangeFailed``."""


@dataclass(frozen=True)
class Material:
    """What is sent, over and over.

    :ivar source: it keeps nothing of one exchange, so that any number of them share it.
    :ivar upper: the digest of what ``uppercase`` makes of it; None if it isn't text.
    """

    source: BytesSource
    upper: str | None

    @classmethod
    def of(cls, data: bytes) -> Material:
        """Hash it; this takes a while, so call it in a thread."""
        try:
            upper = blake3(data.decode().upper().encode()).hexdigest()
        except UnicodeDecodeError:
            upper = None
        return cls(BytesSource(data), upper)

    def reply(self, service: str) -> str | None:
        """The digest that a service's reply must have; None where nobody knows it beforehand."""
        return {"echo": self.source.digest, "uppercase": self.upper}.get(service)


@dataclass(frozen=True, slots=True)
class _Turn:
    """One message: the set that it belongs to, below 0 in the warm-up, and its place in the order's messages."""

    set: int
    cell: int


class BlockRun:
    """Runs the exchanges of a block, and tells each one when it has ended, those of the warm-up not.

    :param materials: the contents of each of the order's messages; they take turns set by set.
    :param now_ns: reads the monotonic clock, the only one that any figure comes from.
    :param tell: gets each exchange, unless the order has sampling off.
    """

    def __init__(
        self,
        peer: Exchanger,
        order: BlockOrder,
        materials: Sequence[Sequence[Material]],
        clock: IReactorTime,
        now_ns: Callable[[], int],
        tell: Callable[[ExchangeTold], None],
    ) -> None:
        self._peer = peer
        self._order = order
        self._materials = materials
        self._clock = clock
        self._now_ns = now_ns
        self._tell = tell
        self._requests = [Request(service=one.service, type=one.label, name=one.name) for one in order.messages]
        self._under_way: set[Deferred[ExchangeTold]] = set()
        self._too_late = False
        self._offered = self._ok = 0
        self._bytes = 0
        self._first_ns = self._last_ns = 0

    async def run(self) -> Ended:
        """Run them all; whoever waits may be cancelled, which ends those under way."""
        late = self._clock.callLater(self._order.deadline_s, self._expire)
        try:
            await (self._closed() if self._order.rate is None else self._open(self._order.rate))
        finally:
            if late.active():
                late.cancel()
        return Ended(
            offered=self._offered, bytes=self._bytes, took_ns=max(self._last_ns - self._first_ns, 0), ok=self._ok
        )

    def _turns(self) -> Iterator[_Turn]:
        """Whose turn is next; those of the warm-up belong to sets before the first."""
        order, cells = self._order, len(self._requests)
        for lot, first, sets in (("warm-up", -order.warm_up, order.warm_up), ("", 0, order.exchanges)):
            for number, row in enumerate(islice(orders(cells, f"{order.lot} {lot}"), sets), first):
                if number > 0 and self._is_over():
                    return
                for cell in row:
                    yield _Turn(number, cell)

    def _is_over(self) -> bool:
        """Whether the time of a pilot is over."""
        span_s = self._order.span_s
        return span_s is not None and self._now_ns() - self._first_ns >= span_s * 1e9

    async def _closed(self) -> None:
        """The next begins when the last has ended."""
        for turn in self._turns():
            await self._one(turn, self._now_ns())

    async def _open(self, rate: float) -> None:
        """Each begins at its planned time, whether others have ended or not."""
        first_ns = self._now_ns() + round(self._order.offset_s * 1e9)
        self._first_ns = first_ns + round(self._order.warm_up / rate * 1e9)
        running: list[Deferred[None]] = []
        try:
            for number, turn in enumerate(self._turns()):
                planned_ns = first_ns + round(number / rate * 1e9)
                wait_ns = planned_ns - self._now_ns()
                if wait_ns > 0 and not self._too_late:
                    await deferLater(self._clock, wait_ns / 1e9)
                running.append(Deferred.fromCoroutine(self._one(turn, planned_ns)))
            await gatherResults(running, consumeErrors=True)
        except BaseException:
            for one in running:
                one.addErrback(lambda failure: failure.trap(CancelledError))
                one.cancel()
            raise

    async def _one(self, turn: _Turn, planned_ns: int) -> None:
        if self._too_late:
            now_ns = self._now_ns()
            done = ExchangeTold(
                0, 0, min(planned_ns, now_ns), None, now_ns, Outcome.TIMEOUT, "it came to no turn in time"
            )
        else:
            running = Deferred.fromCoroutine(self._exchange(turn, planned_ns))
            self._under_way.add(running)
            try:
                done = await running
            finally:
                self._under_way.discard(running)
        if turn.set < 0:
            return
        if not self._offered:
            self._first_ns = done.planned_ns
        self._first_ns = min(self._first_ns, done.planned_ns)
        self._last_ns = max(self._last_ns, done.end_ns)
        self._offered += 1
        if done.outcome == Outcome.OK:
            self._ok += 1
            self._bytes += done.bytes + done.reply_bytes
        if self._order.sampling:
            self._tell(done._replace(set=turn.set, cell=turn.cell))

    async def _exchange(self, turn: _Turn, planned_ns: int) -> ExchangeTold:
        sinks: list[DigestSink] = []
        streams: list[Stream] = []

        def sink() -> Sink:
            sinks.append(DigestSink())
            return sinks[-1]

        contents = self._materials[turn.cell]
        material, request = contents[turn.set % len(contents)], self._requests[turn.cell]
        source = material.source
        try:
            result = await self._peer.exchange(
                self._order.partner, request, source, sink, planned_ns=planned_ns, watch=streams.append
            )
            self._check(material, request.service, result.tail, sinks[-1].digest)
        except ExchangeFailed as failure:
            outcome, reason = failure.outcome, str(failure)
        except CancelledError:
            if not self._too_late:
                raise
            outcome, reason = Outcome.TIMEOUT, "the time of its block was over"
        else:
            return ExchangeTold(
                result.bytes,
                result.reply_bytes,
                planned_ns,
                max(result.first_byte_ns, planned_ns),
                max(result.end_ns, planned_ns),
                Outcome.OK,
                "",
            )
        sent = min(streams[-1].sent, source.length) if streams else 0
        return ExchangeTold(sent, 0, planned_ns, None, max(self._now_ns(), planned_ns), outcome, reason)

    def _check(self, material: Material, service: str, tail: Mapping[str, str], digest: str) -> None:
        """See that the partner did what its service is for."""
        stored, expected = tail.get("digest", material.source.digest), material.reply(service)
        if stored != material.source.digest or (expected is not None and digest != expected):
            raise ExchangeFailed(Outcome.CORRUPT, f"{self._order.partner} answered with something else")

    def _expire(self) -> None:
        self._too_late = True
        for one in list(self._under_way):
            one.cancel()

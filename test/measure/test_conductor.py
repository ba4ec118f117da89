"""One block, as its coordinator has it run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ConsoleUnreachable, ExchangeFailed, Outcome
from p2p.experiment.words import (
    Ended,
    ExchangeTold,
    GaugeOrder,
    GaugeTold,
    LinkTold,
    Order,
    PrepareOrder,
    RunOrder,
    encode_line,
    encode_samples,
    parse_order,
)
from p2p.measure.blocks import Block, Load
from p2p.measure.conductor import BlockDone, Conductor, Pair

__all__ = ["BLOCK", "PAIRS", "StandInClient"]

BLOCK = Block(
    number=4,
    order=2,
    arm="transport",
    condition="text-as-video",
    service="echo",
    content="text",
    label="video",
    size=1024,
    pairs=2,
    load=Load(),
    repetition=1,
    exchanges=2,
    warm_up=1,
)
PAIRS = [Pair(1, "n1.n", "m1.m"), Pair(2, "m2.m", "n2.n")]
GAUGE = GaugeTold(daemon="d", machine="host", t_ns=5, sockets=6, cpu_s=0.5, rss_bytes=7)


class StandInClient:
    """A coordinator's daemon whose peers answer as they should, unless a test says otherwise.

    :ivar changed: what a peer answers to a kind of order instead: text, or an error.
    :ivar given: the orders.
    """

    def __init__(self) -> None:
        self.changed: dict[tuple[str, type[Order]], str | Exception | tuple[str, Exception]] = {}
        self.given: list[tuple[str, Order]] = []

    async def request(
        self, op: str, fields: Mapping[str, Any], *, on_event: Callable[[Mapping[str, Any]], None]
    ) -> dict[str, Any]:
        assert (op, fields["service"], fields["as"]) == ("exchange", "experiment", "coordinator.n")
        order = parse_order(fields["text"].encode())
        self.given.append((fields["peer"], order))
        answer = self.changed.get((fields["peer"], type(order)), self.answer(order))
        if isinstance(answer, Exception):
            raise answer
        text, error = answer if isinstance(answer, tuple) else (answer, None)
        on_event({"event": "progress"})
        for half in (text[: len(text) // 2], text[len(text) // 2 :]):
            on_event({"event": "text", "text": half})
        if error is not None:
            raise error
        return {}

    def answer(self, order: Order) -> str:
        """What a peer answers that is well."""
        if isinstance(order, PrepareOrder):
            return "\n" + encode_line(LinkTold(setup_ns=9, tls_ns=4)).decode()
        if isinstance(order, GaugeOrder):
            return encode_line(GAUGE).decode()
        block = order.block
        samples = [ExchangeTold(block.size, 1, 10, 20, 30, "ok", "")] * block.exchanges
        end = Ended(
            offered=block.exchanges, bytes=block.exchanges * (block.size + 1), took_ns=10**9, rtt_us=80, retransmits=3
        )
        return (encode_samples(samples) if block.sampling else b"").decode() + encode_line(end).decode()


class ConductorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.client = StandInClient()
        self.conductor = Conductor(self.client, "coordinator.n", PAIRS, 7, count(100).__next__)  # type: ignore[arg-type]  # stands in

    def block(self, **changed: Any) -> BlockDone:
        """Run a block."""
        fields = {name: getattr(BLOCK, name) for name in Block.__slots__}
        running = Deferred.fromCoroutine(self.conductor.block(Block(**{**fields, **changed})))
        done: BlockDone = self.successResultOf(running)
        return done

    def test_whole(self) -> None:
        """All links stand before any exchange begins; samples, links and the block have what raw data asks for."""
        done = self.block()
        kinds = [(peer, type(order)) for peer, order in self.client.given]
        self.assertEqual(kinds, [(one, kind) for kind in (PrepareOrder, RunOrder) for one in ("n1.n", "m2.m")])
        assert done.row is not None
        self.assertEqual((done.row.block, done.row.order, done.row.offered, done.row.sampling), (4, 2, 4, "on"))
        self.assertEqual((done.row.bytes, done.row.started_ns, done.row.ended_ns), (4 * 1025, 100, 101))
        self.assertEqual(done.row.bytes_per_s, 4 * 1025)
        self.assertEqual({one.direction for one in done.samples}, {"n1.n>m1.m", "m2.m>n2.n"})
        self.assertEqual({(one.name, one.condition) for one in done.samples}, {("text-as-video-1024", "text-as-video")})
        self.assertEqual(
            [(one.pair, one.setup_ns, one.rtt_us, one.retransmits) for one in done.links],
            [(1, 9, 80, 3), (2, 9, 80, 3)],
        )
        self.assertEqual((done.missing, done.outcomes), ([], {"ok": 4}))
        order = self.client.given[0][1]
        assert isinstance(order, PrepareOrder)
        self.assertEqual((order.block.partner, order.block.seed, order.block.label), ("m1.m", 7, "video"))

    def test_unsampled(self) -> None:
        """A block with sampling off has its sums and no rows elsewhere."""
        done = self.block(sampling=False)
        assert done.row is not None
        self.assertEqual((done.row.offered, done.row.bytes, done.row.sampling), (4, 4 * 1025, "off"))
        self.assertEqual(done.row.bytes_per_s, 4 * 1025)
        self.assertEqual((done.samples, done.links, done.missing), ([], [], []))

    def test_open(self) -> None:
        """The pairs of an open load take turns."""
        self.block(load=Load(20.0))
        orders = [order.block for _, order in self.client.given if isinstance(order, RunOrder)]
        self.assertEqual([(one.rate, one.offset_s) for one in orders], [(20.0, 0.0), (20.0, 0.025)])

    def test_missing(self) -> None:
        """A pair that can't take part is left out and told, and the others go on."""
        self.client.changed["n1.n", PrepareOrder] = ExchangeFailed(Outcome.UNKNOWN_PEER, "nobody is n1.n")
        done = self.block()
        assert done.row is not None
        self.assertEqual((done.row.offered, done.row.pairs), (2, 2))
        self.assertEqual(done.missing, ["pair 1 (n1.n to m1.m) has no exchanges: unknown-peer: nobody is n1.n"])
        self.assertEqual([one.pair for one in done.links], [2])

    def test_dies(self) -> None:
        """What a pair told before it died is kept, and what isn't known isn't made up."""
        told = encode_samples([ExchangeTold(5, 5, 10, 20, 30, "ok", "")]).decode() + '{"sampl'
        self.client.changed["m2.m", RunOrder] = (told, ExchangeFailed(Outcome.RESET, "the link broke"))
        done = self.block()
        assert done.row is not None
        self.assertEqual((done.row.offered, len(done.samples), done.row.bytes), (3, 3, 2 * 1025 + 10))
        self.assertIsNone(done.row.bytes_per_s)
        self.assertEqual(done.missing, ["pair 2 (m2.m to n2.n) has 1 of 2 exchanges: reset: the link broke"])

    def test_nobody(self) -> None:
        """A block without any pair, or without any exchange, isn't one."""
        for kind in (PrepareOrder, RunOrder):
            for peer in ("n1.n", "m2.m"):
                self.client.changed[peer, kind] = ExchangeFailed(Outcome.TIMEOUT, "nothing moved")
            done = self.block()
            self.assertIsNone(done.row)
            self.assertEqual(len(done.missing), 2)
            self.client.changed.clear()

    def test_senseless(self) -> None:
        """A peer that answers something else is left out by name, whatever it says."""
        late = encode_samples([ExchangeTold(5, 5, 30, None, 10, "ok", "")] * 2).decode()
        strange = encode_samples([ExchangeTold(5, 5, 10, None, 30, "splendid", "")] * 2).decode()
        end = encode_line(Ended(offered=2, bytes=2)).decode()
        for kind, answer in (
            (PrepareOrder, ""),
            (PrepareOrder, "nonsense\n"),
            (RunOrder, ""),
            (RunOrder, late + end),
            (RunOrder, strange + end),
        ):
            self.client.changed = {("n1.n", kind): answer}
            done = self.block()
            assert done.row is not None
            self.assertEqual((done.row.offered, len(done.missing)), (2, 1), answer)
            self.assertIn("corrupt", done.missing[0])

    def test_own_daemon(self) -> None:
        """When the coordinator's own daemon is gone, the block fails and everything that waits is let go."""
        self.client.changed["n1.n", RunOrder] = ConsoleUnreachable("it ended")
        failing = Deferred.fromCoroutine(self.conductor.block(BLOCK))
        self.failureResultOf(failing, ConsoleUnreachable)

    def test_gauge(self) -> None:
        """A peer tells what its daemon holds, or why it doesn't."""
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(self.conductor.gauge("n1.n"))), GAUGE)
        for answer, outcome in ((ExchangeFailed(Outcome.REFUSED, "no"), Outcome.REFUSED), ("\n", Outcome.CORRUPT)):
            self.client.changed["n1.n", GaugeOrder] = answer
            failure = self.failureResultOf(Deferred.fromCoroutine(self.conductor.gauge("n1.n")), ExchangeFailed)
            self.assertEqual(failure.value.outcome, outcome)

"""One block, as its coordinator has it run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
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
from p2p.measure.blocks import Block, Load, Message, contents_of
from p2p.measure.conductor import MOST_IN_PILOT, BlockDone, Conductor, Pair
from p2p.measure.raw_data import PilotRow

__all__ = ["BLOCK", "PAIRS", "StandInClient"]

BLOCK = Block(
    number=4,
    order=2,
    arm="transport",
    messages=(Message("text-as-video", "echo", "text", "video"),),
    size=1024,
    pairs=2,
    load=Load(),
    repetition=1,
    exchanges=2,
    warm_up=1,
)
PAIRS = [Pair(1, "n1.n", "m1.m"), Pair(2, "m2.m", "n2.n")]
GAUGE = GaugeTold(daemon="d", machine="host", t_ns=5, sockets=6, cpu_s=0.5, rss_bytes=7, life="first")
MS = 10**6


class StandInClient:
    """A coordinator's daemon whose peers answer as they should, unless a test says otherwise.

    :ivar changed: what a peer answers to a kind of order instead: text, or an error.
    :ivar given: the orders.
    :ivar spread: by how many ms blocks differ that have another content.
    """

    def __init__(self) -> None:
        self.changed: dict[tuple[str, type[Order]], str | Exception | tuple[str, Exception]] = {}
        self.given: list[tuple[str, Order]] = []
        self.spread = 0

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
        sets = block.exchanges if block.span_s is None else 5
        turns = [(number, cell) for number in range(sets) for cell in range(len(block.messages))]
        extra = self.spread * (len(self.given) * 7 % 13)
        samples = [
            ExchangeTold(
                block.size, 1, 10 + MS * 20 * at, 20 + MS * 20 * at, 30 + MS * (20 * at + extra), "ok", "", *turn
            )
            for at, turn in enumerate(turns)
        ]
        count = len(samples)
        end = Ended(offered=count, ok=count, bytes=count * (block.size + 1), took_ns=10**9, rtt_us=80, retransmits=3)
        return (encode_samples(samples) if block.sampling else b"").decode() + encode_line(end).decode()


class ConductorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.client = StandInClient()
        self.conductor = Conductor(self.client, "coordinator.n", PAIRS, 7, count(100).__next__)  # type: ignore[arg-type]  # stands in

    def block(self, **changed: Any) -> BlockDone:
        """Run a block."""
        fields = {name: getattr(BLOCK, name) for name in Block.__slots__}
        running = Deferred.fromCoroutine(self.conductor.block(Block(**{**fields, **changed}), 3))
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

    def test_interleaved(self) -> None:
        """Each message of a set is a row of its own condition, label and content, with the number of its set."""
        messages = (
            BLOCK.messages[0],
            Message("text", "echo", "text", "text"),
            Message("audio", "echo", "audio", "audio"),
        )
        done = self.block(messages=messages, pairs=1, exchanges=12)
        assert done.row is not None
        self.assertEqual((done.row.condition, done.row.offered, done.row.sets), ("interleaved", 36, 12))
        first = [(one.set, one.condition, one.label, one.content) for one in done.samples[:3]]
        self.assertEqual(first, [(1, "text-as-video", "video", 1), (1, "text", "text", 1), (1, "audio", "audio", 1)])
        self.assertEqual([one.content for one in done.samples[::3]], [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4])
        order = self.client.given[1][1]
        assert isinstance(order, RunOrder)
        self.assertEqual([one.name for one in order.block.cells], ["text-as-video-1024", "text-1024", "audio-1024"])
        self.assertEqual(order.block.seeds, [seed for _, seed in contents_of(7, 1024, 1)])
        self.assertEqual(order.block.lot, "7 4")

    def test_missing(self) -> None:
        """Where a pair can't take part no exchange begins, and what kept each message from being sent is told."""
        self.client.changed["n1.n", PrepareOrder] = ExchangeFailed(Outcome.UNKNOWN_PEER, "nobody is n1.n")
        done = self.block()
        self.assertEqual((done.row, done.samples), (None, []))
        self.assertNotIn(RunOrder, {type(order) for _, order in self.client.given})
        self.assertEqual(done.missing, ["pair 1 (n1.n to m1.m) has no exchanges: unknown-peer: nobody is n1.n"])
        self.accounted(done, [(1, "no", "unknown-peer", 2), (2, "no", "unknown-peer", 2)])
        self.assertIn("its block was broken off: pair 1", done.broken[1].reason)

    def test_dies(self) -> None:
        """What an initiator told before it died is counted, and what isn't known isn't made up."""
        told = encode_samples([ExchangeTold(5, 5, 10, 20, 30, "ok", "")]).decode() + '{"sampl'
        self.client.changed["m2.m", RunOrder] = (told, ExchangeFailed(Outcome.RESET, "the link broke"))
        done = self.block()
        self.assertIsNone(done.row)
        self.assertEqual(done.missing, ["pair 2 (m2.m to n2.n) has 1 of 2 exchanges: reset: the link broke"])
        self.accounted(done, [(1, "yes", "ok", 2), (2, "yes", "ok", 1), (2, "no", "reset", 1)])
        self.assertEqual(done.outcomes, {"ok": 3})
        self.assertEqual({(one.block, one.attempt, one.condition) for one in done.broken}, {(4, 3, "text-as-video")})

    def test_dies_unsampled(self) -> None:
        """Of a block without samples that came to nothing, nobody knows how its messages ended."""
        self.client.changed["m2.m", RunOrder] = ExchangeFailed(Outcome.RESET, "the link broke")
        done = self.block(sampling=False)
        self.accounted(done, [(1, "no", "reset", 2), (2, "no", "reset", 2)])

    def drops(self, receiver: str | Exception) -> BlockDone:
        """Run a block in which the second pair loses one message, whose receiver answers so."""
        dropped = ExchangeTold(5, 0, 10, None, 30, "reset", "gone", 0)
        kept = ExchangeTold(5, 5, 40, 50, 60, "ok", "", 1)
        end = encode_line(Ended(offered=2, bytes=10, ok=1)).decode()
        self.client.changed["m2.m", RunOrder] = encode_samples([dropped, kept]).decode() + end
        self.client.changed["n2.n", GaugeOrder] = receiver
        return self.block()

    def test_drops(self) -> None:
        """Messages that are lost while both ends are there stay in their block, also where nobody may ask."""
        for receiver in (encode_line(GAUGE).decode(), ExchangeFailed(Outcome.REFUSED, "I obey nobody")):
            done = self.drops(receiver)
            assert done.row is not None
            self.assertEqual((done.row.offered, done.outcomes, done.missing), (4, {"ok": 3, "reset": 1}, []))
            self.assertEqual(len(done.samples), 4)

    def test_receiver_dies(self) -> None:
        """Where the receiver is gone, or was started again, what was lost says nothing of the network."""
        gone = self.drops(ExchangeFailed(Outcome.UNKNOWN_PEER, "nobody is n2.n"))
        self.assertIn("pair 2 (m2.m to n2.n) isn't what it was: unknown-peer: n2.n is gone", gone.missing[0])
        self.accounted(gone, [(1, "yes", "ok", 2), (2, "yes", "ok", 1), (2, "yes", "reset", 1)])
        self.assertIsNotNone(self.drops(encode_line(GAUGE).decode()).row)
        again = GAUGE.model_copy(update={"life": "second"})
        self.assertIn("n2.n was started again meanwhile", self.drops(encode_line(again).decode()).missing[0])
        self.assertIsNotNone(self.drops(encode_line(again).decode()).row)

    def accounted(self, done: BlockDone, expected: list[tuple[int, str, str, int]]) -> None:
        """Every message that was planned is in one of the rows."""
        self.assertEqual([(one.pair, one.sent, one.outcome, one.count) for one in done.broken], expected)
        self.assertEqual({one.planned for one in done.broken}, {sum(one.count for one in done.broken)})

    def test_nobody(self) -> None:
        """A block without any pair, or without any exchange, isn't one."""
        for kind in (PrepareOrder, RunOrder):
            for peer in ("n1.n", "m2.m"):
                self.client.changed[peer, kind] = ExchangeFailed(Outcome.TIMEOUT, "nothing moved")
            done = self.block()
            self.assertEqual((done.row, len(done.missing)), (None, 2))
            self.client.changed.clear()

    def test_senseless(self) -> None:
        """A peer that answers something else breaks the block, and is named, whatever it says."""
        late = encode_samples(
            [ExchangeTold(5, 5, 30, None, 10, "ok", ""), ExchangeTold(5, 5, 30, None, 10, "ok", "", 1)]
        )
        strange = encode_samples([ExchangeTold(5, 5, 10, None, 30, "splendid", "", number) for number in (0, 1)])
        twice = encode_samples([ExchangeTold(5, 5, 10, None, 30, "ok", "")] * 2)
        beyond = encode_samples([ExchangeTold(5, 5, 10, None, 30, "ok", "", number) for number in (1, 2)])
        other = encode_samples([ExchangeTold(5, 5, 10, None, 30, "ok", "", number, number) for number in (0, 1)])
        end = encode_line(Ended(offered=2, bytes=2))
        answers: tuple[tuple[type[Order], bytes], ...] = (
            (PrepareOrder, b""),
            (PrepareOrder, b"nonsense\n"),
            (RunOrder, b""),
            (RunOrder, end),
            *((RunOrder, wrong + end) for wrong in (late, strange, twice, beyond, other)),
        )
        for kind, answer in answers:
            self.client.changed = {("n1.n", kind): answer.decode()}
            done = self.block()
            self.assertEqual((done.row, len(done.missing)), (None, 1), answer)
            self.assertIn("corrupt", done.missing[0])
            self.assertEqual(sum(one.count for one in done.broken), 4)

    def pilot(self, **changed: Any) -> Deferred[PilotRow]:
        """Run a pilot."""
        return Deferred.fromCoroutine(self.conductor.pilot(replace(BLOCK, exchanges=0, **changed)))

    def test_pilot(self) -> None:
        """The pace of a pilot says how many exchanges are enough, and the slowest pair doesn't shorten the others'."""
        row = self.successResultOf(self.pilot())
        self.assertEqual(row, PilotRow("transport", "text-as-video", 1024, 2, "closed", 13, 5, 80 * MS + 20))
        order = self.client.given[-1][1]
        assert isinstance(order, RunOrder)
        limits = (order.block.span_s, order.block.sampling, order.block.exchanges)
        self.assertEqual(limits, (0.25, True, MOST_IN_PILOT))
        messages = (BLOCK.messages[0], Message("text", "echo", "text", "text"))
        row = self.successResultOf(self.pilot(messages=messages, pairs=1))
        self.assertEqual((row.condition, row.exchanges, row.pilot_exchanges), ("interleaved", 8, 5))

    def test_pilot_fails(self) -> None:
        """A pair that can't take part ends a pilot; what fails at once isn't taken for fast."""
        failure = ExchangeFailed(Outcome.UNKNOWN_PEER, "nobody is n1.n")
        kinds: tuple[type[Order], ...] = (PrepareOrder, RunOrder)
        for kind in kinds:
            self.client.changed = {("n1.n", kind): failure}
            self.failureResultOf(self.pilot(), ExchangeFailed)
        self.client.changed = {("n1.n", RunOrder): encode_line(Ended(offered=0, bytes=0)).decode()}
        self.failureResultOf(self.pilot(), ExchangeFailed)
        fast = [ExchangeTold(5, 0, 10 + number, None, 11 + number, "refused", "no", number) for number in range(9)]
        told = encode_samples(fast).decode() + encode_line(Ended(offered=9, bytes=0, ok=0)).decode()
        self.client.changed = {("n1.n", RunOrder): told, ("m2.m", RunOrder): told}
        self.assertEqual(self.successResultOf(self.pilot()).exchanges, 1)

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

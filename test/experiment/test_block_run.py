"""The exchanges of a block: when they begin, what is told of them, and how they end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from blake3 import blake3
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange.exchange import Request, Result, Sink, Source
from p2p.experiment.block_run import BlockRun, Material
from p2p.experiment.words import BlockOrder, Cell, Ended, ExchangeTold
from test.experiment.test_words import BLOCK

DATA = "größer".encode()
SECOND = 10**9
CELL = Cell(service="echo", content="text", label="text", name="text")


class Partner:
    """Answers what it is sent, after a time.

    :ivar seconds: for each exchange.
    :ivar answer: what comes back.
    :ivar failures: what exchanges raise instead, by their numbers.
    :ivar asked: the requests.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.seconds = 1.0
        self.answer = DATA
        self.tail: dict[str, str] = {}
        self.failures: dict[int, Exception] = {}
        self.asked: list[Request] = []
        self.most = self.under_way = 0

    async def exchange(
        self,
        target: str,
        request: Request,
        source: Source,
        sink: Callable[[], Sink],
        *,
        planned_ns: int,
        watch: Any = None,
    ) -> Result:
        self.asked.append(request)
        number = len(self.asked)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            waiting: Deferred[None] = Deferred()
            self._clock.callLater(self.seconds, lambda: None if waiting.called else waiting.callback(None))
            await waiting
        finally:
            self.under_way -= 1
        if number in self.failures:
            raise self.failures[number]
        sink().write(self.answer)
        now_ns = round(self._clock.seconds() * SECOND)
        return Result(await source.open() or 0, len(self.answer), planned_ns, now_ns - 1000, now_ns, tail=self.tail)


class BlockRunTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Time begins at 100 s, so that no time is 0."""
        self.clock = Clock()
        self.clock.advance(100)
        self.partner = Partner(self.clock)
        self.told: list[ExchangeTold] = []
        self.materials = [[Material.of(DATA)]]

    def run_block(self, **changed: Any) -> Deferred[Ended]:
        """Start a block of three exchanges after one to warm up."""
        order = BLOCK.model_copy(update={"rate": None, "exchanges": 3, "warm_up": 1, **changed})
        run = BlockRun(
            self.partner,
            BlockOrder.model_validate(order.model_dump()),
            self.materials,
            self.clock,
            lambda: round(self.clock.seconds() * SECOND),
            self.told.append,
        )
        return Deferred.fromCoroutine(run.run())

    def test_closed(self) -> None:
        """The next begins when the last has ended; those of the warm-up are told to nobody."""
        running = self.run_block()
        self.clock.pump([0.5] * 8)
        self.assertEqual(self.successResultOf(running), Ended(offered=3, bytes=6 * len(DATA), took_ns=3 * SECOND, ok=3))
        self.assertEqual([one.planned_ns for one in self.told], [101 * SECOND, 102 * SECOND, 103 * SECOND])
        self.assertEqual({one.end_ns - one.planned_ns for one in self.told}, {SECOND})
        self.assertEqual({one.outcome for one in self.told}, {Outcome.OK})
        self.assertEqual(self.partner.most, 1)
        self.assertEqual(self.partner.asked[0], Request("echo", "video", "text-as-video-1024"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_open(self) -> None:
        """Each begins at its planned time though others haven't ended, and its latency counts from there."""
        self.partner.seconds = 2.0
        running = self.run_block(rate=4.0, offset_s=0.125)
        self.clock.pump([0.125] * 40)
        self.assertEqual(self.successResultOf(running).offered, 3)
        first = 100 * SECOND + SECOND // 8
        self.assertEqual([one.planned_ns - first for one in self.told], [SECOND // 4, SECOND // 2, 3 * SECOND // 4])
        self.assertEqual(self.partner.most, 4)

    def test_unsampled(self) -> None:
        """Without sampling nothing is told but the sums."""
        running = self.run_block(sampling=False)
        self.clock.pump([0.5] * 8)
        self.assertEqual(self.successResultOf(running), Ended(offered=3, bytes=6 * len(DATA), took_ns=3 * SECOND, ok=3))
        self.assertEqual(self.told, [])

    def test_failures(self) -> None:
        """An exchange that fails is told with its outcome and reason, and the others go on."""
        self.partner.failures = {3: ExchangeFailed(Outcome.RESET, "gone")}
        running = self.run_block()
        self.clock.pump([0.5] * 8)
        self.assertEqual(self.successResultOf(running), Ended(offered=3, bytes=4 * len(DATA), took_ns=3 * SECOND, ok=2))
        self.assertEqual([one.outcome for one in self.told], ["ok", "reset", "ok"])
        self.assertEqual((self.told[1].first_byte_ns, self.told[1].reason), (None, "gone"))

    def test_wrong_answers(self) -> None:
        """What comes back must be what the service makes of it; where nobody can know that, anything is right."""
        for service, answer, tail, outcome in (
            ("echo", b"other", {}, "corrupt"),
            ("uppercase", "GRÖSSER".encode(), {}, "ok"),
            ("uppercase", DATA, {}, "corrupt"),
            ("store", b"", {"digest": blake3(DATA).hexdigest()}, "ok"),
            ("store", b"", {"digest": "00"}, "corrupt"),
            ("inspect", b"a picture", {}, "ok"),
        ):
            self.told.clear()
            self.partner.answer, self.partner.tail = answer, tail
            running = self.run_block(service=service, exchanges=1, warm_up=0)
            self.clock.advance(1)
            self.successResultOf(running)
            self.assertEqual([one.outcome for one in self.told], [outcome], service)

    def test_interleaved(self) -> None:
        """Each set has every message once, in orders that the lot draws; after whole cycles none has an advantage."""
        cells = [CELL.model_copy(update={"name": name, "label": name}) for name in ("text", "audio", "video")]
        self.materials = [[Material.of(DATA)]] * 3
        running = self.run_block(cells=cells, lot="1", exchanges=6, warm_up=2)
        self.clock.pump([0.5] * 50)
        self.assertEqual(self.successResultOf(running).offered, 18)
        self.assertEqual([one.name for one in self.partner.asked[6:]], [cells[one.cell].name for one in self.told])
        self.assertEqual([one.set for one in self.told], [number for number in range(6) for _ in range(3)])
        sets = [tuple(one.cell for one in self.told[3 * number :][:3]) for number in range(6)]
        self.assertEqual({tuple(sorted(one)) for one in sets}, {(0, 1, 2)})
        self.assertEqual(sorted(Counter(pair for one in sets for pair in pairwise(one)).values()), [2] * 6)
        first = [one.name for one in self.partner.asked]
        self.partner.asked.clear()
        running = self.run_block(cells=cells, lot="2", exchanges=6, warm_up=2)
        self.clock.pump([0.5] * 50)
        self.assertNotEqual(first, [one.name for one in self.partner.asked])

    def test_contents(self) -> None:
        """Several contents take turns set by set, the same for all messages of a set."""
        self.materials = [[Material.of(DATA), Material.of(DATA * 2)]] * 2
        self.partner.answer, service = b"anything", "inspect"
        cells = [CELL.model_copy(update={"service": service})] * 2
        running = self.run_block(cells=cells, exchanges=4, warm_up=0)
        self.clock.pump([0.5] * 20)
        self.successResultOf(running)
        self.assertEqual([one.bytes // len(DATA) for one in self.told], [1, 1, 2, 2, 1, 1, 2, 2])

    def test_pilot(self) -> None:
        """A pilot begins no further set when its time is over, and a set that has begun is finished."""
        self.materials = [[Material.of(DATA)]] * 2
        running = self.run_block(cells=[CELL, CELL], exchanges=1000, span_s=4.5)
        self.clock.pump([0.5] * 20)
        self.assertEqual(self.successResultOf(running).offered, 6)
        self.told.clear()
        self.materials = [[Material.of(DATA)]]
        running = self.run_block(rate=2.0, exchanges=1000, span_s=2.0)
        self.clock.pump([0.25] * 20)
        self.assertEqual(self.successResultOf(running).offered, 5)

    def test_no_text(self) -> None:
        """Content that isn't text has no upper case."""
        self.assertIsNone(Material.of(b"\xff\xfe").reply("uppercase"))

    def test_deadline(self) -> None:
        """When the time is over, what is under way and what hasn't begun are timeouts, and all are counted."""
        self.partner.seconds = 10.0
        for rate in (None, 4.0):
            self.told.clear()
            running = self.run_block(rate=rate, deadline_s=15.0 if rate is None else 0.6)
            self.clock.pump([0.25] * 80)
            self.assertEqual(self.successResultOf(running).offered, 3)
            self.assertEqual({one.outcome for one in self.told}, {"timeout"})
            self.assertTrue(all(one.planned_ns <= one.end_ns for one in self.told))
            self.clock.advance(100)

    def test_cancelled(self) -> None:
        """Whoever gives the block up ends what is under way, and no timer is left."""
        for rate in (None, 100.0):
            running = self.run_block(rate=rate, exchanges=50)
            self.clock.pump([0.1] * 3)
            running.cancel()
            self.failureResultOf(running, CancelledError)
            self.assertEqual(self.partner.under_way, 0)
            self.clock.advance(10)
            self.assertEqual(self.clock.getDelayedCalls(), [])

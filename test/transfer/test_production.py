"""Records on their way to a stream: read ahead, at the pace of the stream or of a limit, each batch whole."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPullProducer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2p.base.errors import LocalFileError
from p2p.base.rates import Pace
from p2p.base.scopes import STREAM_COST
from p2p.exchange.threaded import Worker
from p2p.link.flow import Stream
from p2p.transfer.production import AHEAD, BATCH, Production
from p2p.transfer.records import Buffer
from test.exchange.doubles import HeldThreads
from test.link.test_flow import Carrier
from test.scopes import stream_scope


class Consumer:
    """A message that a test asks to be fed."""

    def __init__(self) -> None:
        self.stream: Any = None
        self.batches: list[bytes] = []
        self.producer: Any = None
        self.eager = False

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert not streaming
        self.producer = producer
        producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None

    def write_pieces(self, pieces: list[Buffer]) -> None:
        self.batches.append(b"")
        for piece in pieces:
            self.batches[-1] += piece
            if self.eager:
                self.producer.resumeProducing()  # a stream may ask while it is written to


class ProductionTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Have something to produce."""
        self.threads = HeldThreads()
        self.clock = Clock()
        self.consumer = Consumer()
        self.left: list[list[Buffer]] = [[b"one", b"1"], [b"two"], [b"three"], [b"four"], [b"five"]]
        self.sizes: list[int] = []
        self.written = 0

    def give(self, size: int) -> list[Buffer]:
        self.sizes.append(size)
        return self.left.pop(0) if self.left else []

    def count(self) -> None:
        self.written += 1

    def start(self, pace: Pace | None = None) -> Deferred[None]:
        """Begin to produce."""
        self.production = Production(self.give, Worker(self.threads), self.clock, pace=pace, written=self.count)
        running: Any = Deferred.fromCoroutine(self.production.run(self.consumer))  # type: ignore[arg-type]  # a double
        found: Deferred[None] = running
        return found

    def test_full(self) -> None:
        """Nothing more is read while there is a reason not to, and it goes on when it is told to look again."""
        reasons = [False, True, True, False]
        production = Production(
            self.give, Worker(self.threads), self.clock, full=lambda: bool(reasons) and reasons.pop(0)
        )
        running = Deferred.fromCoroutine(production.run(self.consumer))  # type: ignore[arg-type]  # a double
        self.threads.release()
        self.assertEqual((1, [b"one1"]), (len(self.sizes), self.consumer.batches))
        production.go_on()
        self.assertEqual(1, len(self.sizes))
        self.consumer.eager = True
        self.consumer.producer.resumeProducing()
        production.go_on()
        self.successResultOf(running)
        self.assertEqual([b"one1", b"two", b"three", b"four", b"five"], self.consumer.batches)

    def test_read_ahead(self) -> None:
        """While the stream doesn't ask, so many batches are read, and no more."""
        running = self.start()
        self.assertTrue(verifyObject(IPullProducer, self.production))
        self.threads.work()
        self.assertEqual(([b"one1"], [BATCH] * (AHEAD + 1)), (self.consumer.batches, self.sizes))
        self.assertNoResult(running)

    def test_account(self) -> None:
        """What was read and isn't written counts with the stream; while much is held, nothing is read ahead."""
        self.consumer.stream = Stream(Carrier(), 1, stream_scope(memory_bytes=10**6))
        scope = self.consumer.stream.scope
        elsewhere = scope.bytes_held()
        self.left = [[b"1" * 9000], [b"2" * 8000], [b"3" * 7000]]
        running = self.start()
        self.threads.work()
        self.assertEqual(STREAM_COST + 8000, scope.memory)
        elsewhere.set(600_000)
        self.consumer.producer.resumeProducing()
        self.threads.work()
        self.assertEqual((2, STREAM_COST + 600_000), (len(self.consumer.batches), scope.memory))
        self.assertEqual(2, len(self.sizes))
        self.consumer.producer.resumeProducing()
        self.threads.work()
        self.assertEqual(3, len(self.consumer.batches))
        self.consumer.producer.resumeProducing()
        self.threads.work()
        self.successResultOf(running)

    def test_all(self) -> None:
        """A batch is written each time that the stream asks, in order, and at the end it is over."""
        running = self.start()
        for _ in range(4):
            self.threads.work()
            self.assertNoResult(running)
            self.consumer.producer.resumeProducing()
        self.threads.work()
        self.successResultOf(running)
        self.assertEqual([b"one1", b"two", b"three", b"four", b"five"], self.consumer.batches)
        self.assertEqual((None, 5), (self.consumer.producer, self.written))

    def test_asked_early(self) -> None:
        """A stream that asks before anything is read gets it as soon as it is."""
        self.start()
        self.assertEqual([], self.consumer.batches)
        self.threads.work(1)
        self.assertEqual([b"one1"], self.consumer.batches)

    def test_asked_within(self) -> None:
        """A stream that asks while it is written to gets the next batch after this one, not within it."""
        self.consumer.eager = True
        running = self.start()
        self.threads.work()
        self.successResultOf(running)
        self.assertEqual([b"one1", b"two", b"three", b"four", b"five"], self.consumer.batches)

    def test_asked_within_what_was_read_ahead(self) -> None:
        """So it is with what was read ahead: no batch comes between the pieces of another one."""
        self.left = [[b"one"], [b"two", b"2"], [b"three", b"3"], [b"four"]]
        running = self.start()
        self.threads.work()
        self.assertEqual([b"one"], self.consumer.batches)
        self.consumer.eager = True
        self.consumer.producer.resumeProducing()
        self.threads.work()
        self.successResultOf(running)
        self.assertEqual([b"one", b"two2", b"three3", b"four"], self.consumer.batches)

    def test_nothing(self) -> None:
        """There may be nothing to produce."""
        self.left = []
        running = self.start()
        self.threads.work()
        self.successResultOf(running)

    def test_failing(self) -> None:
        """What the engine raises ends it."""

        def give(size: int) -> list[Buffer]:
            raise LocalFileError("the disk is broken")

        self.give = give  # type: ignore[method-assign]  # it fails
        running = self.start()
        self.threads.work()
        self.failureResultOf(running, LocalFileError)
        self.assertIsNone(self.consumer.producer)

    def test_cancelled(self) -> None:
        """Cancelling ends it at once; what a thread still brings is dropped."""
        running = self.start()
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.threads.work()
        self.production.resumeProducing()
        self.production.stopProducing()
        self.assertEqual(([], None), (self.consumer.batches, self.consumer.producer))

    def test_failing_unseen(self) -> None:
        """An engine that fails after that bothers nobody."""
        running = self.start()

        def give(size: int) -> list[Buffer]:
            raise LocalFileError("the disk is broken")

        self.threads.waiting[0] = (lambda: give(1), self.threads.waiting[0][1])
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.threads.work()

    def test_pace(self) -> None:
        """With a limit, batches go in parts, and each when the limit allows it."""
        self.left = [[b"a" * 700, b"b" * 500], [b"c" * 10]]
        running = self.start(Pace(1000, 0.0))
        self.consumer.eager = True
        self.threads.work()
        self.assertEqual([], self.consumer.batches)
        self.assertTrue(self.production.held)
        for quarter in range(1, 5):
            self.clock.advance(0.25)
            self.assertEqual([250, 250, 250, 250][:quarter], [len(batch) for batch in self.consumer.batches])
        self.clock.advance(0.3)
        self.threads.work()
        self.assertEqual(b"a" * 700 + b"b" * 500, b"".join(self.consumer.batches)[:1200])
        self.successResultOf(running)
        self.assertEqual((b"c" * 10, False), (b"".join(self.consumer.batches)[1200:], self.production.held))
        self.assertEqual(len(self.consumer.batches), self.written)

    def test_pace_cancelled(self) -> None:
        """No timer stays behind."""
        running = self.start(Pace(1000, 0.0))
        self.left = [[b"a" * 7000]]
        self.threads.work()
        self.consumer.producer.resumeProducing()
        self.assertEqual(1, len(self.clock.getDelayedCalls()))
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertEqual([], self.clock.getDelayedCalls())

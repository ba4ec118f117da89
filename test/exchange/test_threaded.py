"""What is taken in threads: one call at a time and in order; and the stream that is paused meanwhile."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2p.base.errors import ExchangeFailed, LocalFileError, Outcome
from p2p.base.scopes import STREAM_COST, StreamScope
from p2p.exchange.threaded import (
    BATCH,
    GATHER_S,
    HIGH_WATER,
    PRESSED_WATER,
    TRICKLE_BYTES,
    TRICKLE_S,
    ThreadedSink,
    Worker,
)
from p2p.link.flow import Stream
from test.exchange.doubles import HeldThreads
from test.link.test_flow import Carrier
from test.scopes import stream_scope


class WorkerTests(SynchronousTestCase):
    """Calls one after another."""

    def setUp(self) -> None:
        """Make a worker whose threads the test runs."""
        self.threads = HeldThreads()
        self.worker = Worker(self.threads)
        self.called: list[Any] = []

    def call(self, what: Any) -> Deferred[Any]:
        """Call something that may raise."""
        return self.worker(self.take, what)

    def take(self, what: Any) -> Any:
        self.called.append(what)
        if isinstance(what, Exception):
            raise what
        return what

    def test_one_at_a_time(self) -> None:
        """A call begins when the one before it has ended."""
        one, two = self.call(1), self.call(2)
        self.assertEqual(1, len(self.threads.waiting))
        self.assertTrue(self.worker.busy)
        self.threads.work(1)
        self.assertEqual(([1], 1), (self.called, self.successResultOf(one)))
        self.threads.work()
        self.assertEqual(2, self.successResultOf(two))
        self.assertFalse(self.worker.busy)

    def test_failing(self) -> None:
        """An error gets to whoever waits, and the next call begins."""
        one, two = self.call(ValueError("no")), self.call(2)
        self.threads.work()
        self.failureResultOf(one, ValueError)
        self.assertEqual(2, self.successResultOf(two))

    def test_cancelled_before(self) -> None:
        """A call that hasn't begun never does once nobody waits for it."""
        self.call(1)
        two, three = self.call(2), self.call(3)
        two.cancel()
        self.failureResultOf(two, CancelledError)
        self.threads.work()
        self.assertEqual([1, 3], self.called)
        self.assertEqual(3, self.successResultOf(three))

    def test_cancelled_meanwhile(self) -> None:
        """A call that has begun goes on when nobody waits any more, and the next one begins after it."""
        one, two = self.call(1), self.call(2)
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.assertEqual(1, len(self.threads.waiting))
        self.threads.work()
        self.assertEqual([1, 2], self.called)
        self.successResultOf(two)

    def test_fault_unseen(self) -> None:
        """What fails when nobody waits any more is logged if it is a fault, and dropped if it was to be expected."""
        for error in (LocalFileError("the disk is full"), ValueError("a fault")):
            call = self.call(error)
            call.cancel()
            self.failureResultOf(call, CancelledError)
            self.threads.work()
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))


class Sink(ThreadedSink):
    """Keeps what it takes.

    :ivar batches: the bytes of each call.
    """

    def __init__(self, worker: Worker, clock: Clock | None = None, *, trickle: bool = False) -> None:
        super().__init__(worker, clock, trickle=trickle)
        self.batches: list[bytes] = []
        self.results: list[int] = []
        self.failures: list[BaseException] = []
        self.error: Exception | None = None

    def take(self, pieces: list[memoryview]) -> int:
        if self.error is not None:
            raise self.error
        self.batches.append(b"".join(pieces))
        return len(self.batches[-1])

    def taken(self, result: int) -> None:
        self.results.append(result)

    def failed(self, error: BaseException) -> None:
        self.failures.append(error)

    async def complete(self, tail: Any) -> dict[str, str]:
        await self.flush()
        return {}


class Counted(Stream):
    """A stream that tells whether it is paused."""

    def __init__(self, scope: StreamScope) -> None:
        super().__init__(Carrier(), 1, scope)
        self.paused = False

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False


class ThreadedSinkTests(SynchronousTestCase):
    """Bytes on their way to a thread."""

    def setUp(self) -> None:
        """Make a sink whose threads the test runs."""
        self.threads = HeldThreads()
        self.clock = Clock()
        self.make()

    def make(self, clock: Clock | None = None, *, trickle: bool = False) -> None:
        """Make a sink."""
        self.said: list[str] = []
        self.sink = Sink(Worker(self.threads), clock, trickle=trickle)
        self.sink.registerProducer(self, True)

    def pauseProducing(self) -> None:
        self.said.append("pause")

    def resumeProducing(self) -> None:
        self.said.append("resume")

    def test_batches(self) -> None:
        """Bytes are gathered until they are worth a call; those that come meanwhile go with the next."""
        self.assertTrue(verifyObject(IConsumer, self.sink))
        self.sink.write(b"a" * (BATCH - 1))
        self.assertEqual([], self.threads.waiting)
        self.assertFalse(self.sink.touched)
        self.sink.write(b"b")
        self.sink.write(b"c" * BATCH)
        self.assertEqual(1, len(self.threads.waiting))
        self.threads.work()
        self.assertEqual([BATCH, BATCH], self.sink.results)
        self.assertTrue(self.sink.touched)

    def test_full(self) -> None:
        """The stream is paused while too much waits, and resumed when it doesn't any more."""
        self.sink.write(b"a" * BATCH)
        self.sink.write(b"b" * HIGH_WATER)
        self.sink.write(b"c")
        self.assertEqual(["pause"], self.said)
        self.threads.work(1)
        self.assertEqual(["pause"], self.said)
        self.threads.work(1)
        self.assertEqual(["pause", "resume"], self.said)

    def test_account(self) -> None:
        """What waits, what a thread has in hand, and what was kept of it counts with the stream, until it is gone."""
        stream = self.counted()
        self.sink.write(b"a" * BATCH)
        self.sink.write(b"b" * 100_000)
        self.assertEqual(STREAM_COST + BATCH + 100_000, stream.scope.memory)
        self.threads.work(1)
        self.sink.keeps(50_000, 3)
        self.assertEqual((STREAM_COST + 150_000, 3), (stream.scope.memory, stream.scope.descriptors))
        self.sink.write(b"c" * BATCH)
        self.sink.drop()
        self.assertEqual(STREAM_COST + BATCH + 150_000, stream.scope.memory)
        self.sink.keeps(0, 0)
        stream.scope.end()
        self.assertEqual(BATCH + 100_000, stream.scope.memory)
        self.threads.work()
        self.assertEqual((0, 0), (stream.scope.memory, stream.scope.descriptors))

    def test_account_of_what_failed(self) -> None:
        """What couldn't be taken doesn't count any more."""
        stream = self.counted()
        self.sink.error = LocalFileError("the disk is full")
        self.sink.write(b"a" * BATCH)
        self.sink.write(b"b" * 100_000)
        self.threads.work()
        self.assertEqual(STREAM_COST, stream.scope.memory)

    def test_error_keeps_nothing(self) -> None:
        """An error that was to be expected doesn't keep the bytes alive that couldn't be taken."""

        def no_room(pieces: list[memoryview]) -> int:
            try:
                raise OSError("no space")
            except OSError as error:
                raise LocalFileError("the disk is full") from error

        self.sink.take = no_room  # type: ignore[method-assign]  # its disk is full
        self.sink.write(b"a" * BATCH)
        self.threads.work()
        self.assertRaises(LocalFileError, self.sink.write, b"b")
        self.sink.drop()
        error = self.sink.failure
        assert error is not None and error.__cause__ is not None
        self.assertEqual((None, None), (error.__traceback__, error.__cause__.__traceback__))

    def test_pressed(self) -> None:
        """While much is held, a thread is asked early and the stream is paused early; it goes on all the same."""
        stream = self.counted(memory_bytes=2**21)
        elsewhere = stream.scope.bytes_held()
        elsewhere.set(1_100_000)
        self.sink.write(b"a" * PRESSED_WATER)
        self.assertEqual((1, True), (len(self.threads.waiting), stream.paused))
        self.sink.write(b"b" * PRESSED_WATER)
        self.threads.work(1)
        self.assertEqual((1, True), (len(self.threads.waiting), stream.paused))
        self.threads.work(1)
        self.assertEqual(([], False), (self.threads.waiting, stream.paused))
        self.assertEqual([PRESSED_WATER] * 2, self.sink.results)
        elsewhere.set(0)
        self.sink.write(b"c" * PRESSED_WATER)
        self.assertEqual([], self.threads.waiting)

    def counted(self, **limits: int) -> Counted:
        """Have the sink fed by a stream."""
        stream = Counted(stream_scope(**limits))
        self.sink.registerProducer(stream, True)
        return stream

    def test_blocked(self) -> None:
        """Nothing is taken, and the stream is paused, until no reason for that is left."""
        self.sink.block("one")
        self.sink.block("other")
        self.sink.write(b"a" * BATCH)
        self.sink.unblock("one")
        self.assertEqual(([], ["pause"]), (self.threads.waiting, self.said))
        self.sink.unblock("other")
        self.assertEqual((1, ["pause", "resume"]), (len(self.threads.waiting), self.said))

    def test_blocked_from_the_start(self) -> None:
        """A stream that comes to a sink that takes nothing yet is paused at once."""
        sink = Sink(Worker(self.threads))
        sink.block("consent")
        sink.registerProducer(self, True)
        self.assertEqual(["pause"], self.said)
        sink.unregisterProducer()
        sink.unblock("consent")
        self.assertEqual(["pause"], self.said)

    def test_flush(self) -> None:
        """In the end all is taken, however little it is, and whoever waits for that is told."""
        self.sink.write(b"a" * BATCH)
        self.sink.write(b"end")
        flushed = self.sink.flush()
        self.threads.work(1)
        self.assertNoResult(flushed)
        self.threads.work()
        self.successResultOf(flushed)
        self.assertEqual(b"end", self.sink.batches[-1])

    def test_flush_blocked(self) -> None:
        """The end waits for whatever blocks."""
        self.sink.block("reader")
        self.sink.write(b"end")
        flushed = self.sink.flush()
        self.assertNoResult(flushed)
        self.sink.unblock("reader")
        self.threads.work()
        self.successResultOf(flushed)

    def test_soon(self) -> None:
        """With a clock, few bytes are taken when no more have come for a moment."""
        self.make(self.clock)
        self.sink.write(b"a")
        self.sink.write(b"b")
        self.assertEqual(1, len(self.clock.getDelayedCalls()))
        self.clock.advance(GATHER_S)
        self.threads.work()
        self.assertEqual([b"ab"], self.sink.batches)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_soon_enough(self) -> None:
        """The moment is over when a batch is there before it."""
        self.make(self.clock)
        self.sink.write(b"a")
        self.sink.write(b"b" * BATCH)
        self.assertEqual([], self.clock.getDelayedCalls())
        self.threads.work()
        self.assertEqual([BATCH + 1], self.sink.results)

    def test_failure(self) -> None:
        """What fails is told at once, resumes the stream, and meets whoever writes or waits after it."""
        self.sink.error = LocalFileError("the disk is full")
        self.sink.write(b"a" * BATCH)
        self.sink.write(b"b" * HIGH_WATER)
        self.threads.work()
        self.assertEqual([self.sink.error], self.sink.failures)
        self.assertEqual(["pause", "resume"], self.said)
        with self.assertRaises(LocalFileError):
            self.sink.write(b"c")
        with self.assertRaises(LocalFileError):
            self.sink.flush()

    def test_failure_at_the_end(self) -> None:
        """Who waits for the end is told of a failure."""
        self.make(self.clock)
        self.sink.write(b"a")
        flushed = self.sink.flush()
        self.sink.error = ValueError("a fault")
        self.threads.work()
        self.failureResultOf(flushed, ValueError)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_dropped(self) -> None:
        """A sink that was dropped takes nothing more, keeps no timer, and tells whoever waits for its end."""
        self.make(self.clock)
        self.sink.write(b"a" * BATCH)
        self.sink.write(b"b")
        flushed = self.sink.flush()
        self.sink.drop()
        failure = self.failureResultOf(flushed, ExchangeFailed).value
        self.assertEqual(Outcome.RESET, failure.outcome)
        self.sink.write(b"c" * BATCH)
        self.assertRaises(ExchangeFailed, self.sink.flush)
        self.threads.work()
        self.assertEqual([b"a" * BATCH], self.sink.batches)
        self.assertEqual(([], []), (self.sink.results, self.clock.getDelayedCalls()))

    def test_dropped_then_failed(self) -> None:
        """Nobody is told of what fails after that."""
        self.sink.error = LocalFileError("the disk is full")
        self.sink.write(b"a" * BATCH)
        self.sink.drop()
        self.threads.work()
        self.assertEqual([], self.sink.failures)

    def test_timer_dropped(self) -> None:
        """A sink that is dropped while few bytes wait has no timer any more."""
        self.make(self.clock)
        self.sink.write(b"a")
        self.sink.drop()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_trickle(self) -> None:
        """While the queue is full, a piece is let in now and then, but only so much in all; without that there is no
        timer."""
        self.make(self.clock)
        self.sink.write(b"a" * HIGH_WATER)
        self.assertEqual([], self.clock.getDelayedCalls())
        self.make(self.clock, trickle=True)
        self.sink.write(b"a" * HIGH_WATER)
        self.threads.waiting.clear()  # the thread is at it for ever
        piece = b"b" * (TRICKLE_BYTES // 4)
        for _ in range(4):
            self.assertEqual("pause", self.said[-1])
            self.clock.advance(TRICKLE_S)
            self.assertEqual("resume", self.said[-1])
            self.sink.write(piece)
        self.clock.advance(2 * TRICKLE_S)
        self.assertEqual(("pause", []), (self.said[-1], self.clock.getDelayedCalls()))

    def test_trickle_ends(self) -> None:
        """Nothing is let in any more when the body has ended, or the sink was dropped."""
        for end in ("unregisterProducer", "drop"):
            sink = Sink(Worker(self.threads), self.clock, trickle=True)
            sink.registerProducer(self, True)
            sink.write(b"a" * HIGH_WATER)
            self.assertEqual(1, len(self.clock.getDelayedCalls()))
            getattr(sink, end)()
            self.assertEqual([], self.clock.getDelayedCalls())

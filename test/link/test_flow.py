"""Streams as producers and consumers: nothing is lost, nothing piles up, nothing is told twice."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.base.scopes import STREAM_COST, UNCOUNTED
from p2p.link.flow import HIGH_WATER, LOW_WATER, PIECE_COST, PRESSED_WATER, Stream, StreamTurns, account_of
from p2p.link.mux import INITIAL_WINDOW, TooManyStreams
from test.scopes import stream_scope

BROKEN = ExchangeFailed(Outcome.RESET, "the link broke")


class Carrier:
    """A link that writes down what its stream asks for; the test says what is taken off the queue."""

    def __init__(self) -> None:
        self.queued = 0
        self.written: list[bytes] = []
        self.asked: list[str] = []
        self.consumed = 0

    def stream_write(self, stream_id: int, data: bytes | memoryview) -> int:
        self.written.append(bytes(data))
        self.queued += len(data)
        return self.queued

    def stream_finish(self, stream_id: int) -> None:
        self.asked.append("finish")

    def stream_reset(self, stream_id: int) -> None:
        self.asked.append("reset")

    def stream_consumed(self, stream_id: int, count: int) -> None:
        self.consumed += count

    def stream_settled(self, stream_id: int) -> None:
        self.asked.append("settled")


class Receiver:
    """Writes down what arrives; ``react`` is called at each piece."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.react: Any = lambda data: None

    def data_received(self, data: memoryview) -> None:
        self.told.append(bytes(data))
        self.react(data)

    def ended(self) -> None:
        self.told.append("ended")

    def settled(self) -> None:
        self.told.append("settled")

    def lost(self, failure: ExchangeFailed) -> None:
        self.told.append(failure)


class Producer:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.react: Any = lambda: None

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")
        self.react()

    def stopProducing(self) -> None:
        self.told.append("stop")


class StreamCase(SynchronousTestCase):
    """One stream, its link and its receiver."""

    def setUp(self) -> None:
        """Make a stream that has a receiver."""
        self.carrier = Carrier()
        self.stream = Stream(self.carrier, 1, stream_scope())
        self.receiver = Receiver()
        self.stream.receive_with(self.receiver)
        self.producer = Producer()

    def arrive(self, *pieces: bytes) -> None:
        """Have pieces arrive."""
        for piece in pieces:
            self.stream.link_data(memoryview(piece))

    def drain(self, left: int) -> None:
        """Have the link take bytes off the queue until so many are left."""
        self.carrier.queued = left
        self.stream.link_drained(left)


class SendingTests(StreamCase):
    """A stream as a consumer."""

    def test_interfaces(self) -> None:
        """A stream is a consumer of what is sent and a push producer of what arrives."""
        self.assertTrue(verifyObject(IConsumer, self.stream))
        self.assertTrue(verifyObject(IPushProducer, self.stream))

    def test_push_producer(self) -> None:
        """A push producer is paused once at the high water mark, and resumed once below the low one."""
        self.stream.registerProducer(self.producer, True)
        self.stream.write(b"x" * (HIGH_WATER - 1000))
        self.assertEqual([], self.producer.told)
        self.stream.write(b"x" * 1000)
        self.stream.write(b"x")
        self.assertEqual(["pause"], self.producer.told)
        self.drain(LOW_WATER)
        self.assertEqual(["pause"], self.producer.told)
        self.drain(LOW_WATER - 10_000)
        self.drain(0)
        self.assertEqual(["pause", "resume"], self.producer.told)
        self.assertEqual(HIGH_WATER + 1, self.stream.sent)
        self.assertEqual(0, self.stream.unsent)

    def test_pause_comes_at_registration(self) -> None:
        """A producer that comes to a stream which is full already is paused at once."""
        self.stream.write(b"x" * HIGH_WATER)
        self.stream.registerProducer(self.producer, True)
        self.assertEqual(["pause"], self.producer.told)

    def test_small_pieces(self) -> None:
        """Tiny writes count with what it costs to keep them, so memory is bounded whatever the size of the pieces."""
        self.stream.registerProducer(self.producer, True)
        for _ in range(5000):
            self.stream.write(b"x")
        self.assertEqual(["pause"], self.producer.told)
        self.drain(10)
        self.assertEqual(["pause"], self.producer.told)
        self.drain(0)
        self.assertEqual(["pause", "resume"], self.producer.told)

    def test_pull_producer(self) -> None:
        """A pull producer is asked at once, and again each time when less than the low water mark waits."""
        self.stream.registerProducer(self.producer, False)
        self.assertEqual(["resume"], self.producer.told)
        self.stream.write(b"x" * HIGH_WATER)
        self.drain(LOW_WATER)
        self.assertEqual(["resume"], self.producer.told)
        self.drain(LOW_WATER - 10_000)
        self.assertEqual(["resume", "resume"], self.producer.told)

    def test_unregister(self) -> None:
        """A producer that is done is asked nothing more, and another may come."""
        self.stream.registerProducer(self.producer, False)
        with self.assertRaises(RuntimeError):
            self.stream.registerProducer(Producer(), True)
        self.stream.unregisterProducer()
        self.stream.write(b"x" * HIGH_WATER)
        self.drain(0)
        self.assertEqual(["resume"], self.producer.told)
        self.stream.registerProducer(Producer(), True)

    def test_finish(self) -> None:
        """After the end of our direction nothing more is sent, and the end is sent once."""
        self.stream.write(b"last")
        self.stream.finish()
        self.stream.finish()
        self.stream.write(b"late")
        self.assertEqual([b"last"], self.carrier.written)
        self.assertEqual(["finish"], self.carrier.asked)
        self.assertTrue(self.stream.alive)

    def test_reset(self) -> None:
        """A reset stops the producer, and whatever is written, finished or registered later comes to nothing."""
        self.stream.registerProducer(self.producer, True)
        self.stream.reset()
        self.stream.reset()
        self.assertEqual(["stop"], self.producer.told)
        self.stream.write(b"late")
        self.stream.finish()
        self.assertEqual(["reset"], self.carrier.asked)
        late = Producer()
        self.stream.registerProducer(late, True)
        self.assertEqual(["stop"], late.told)

    def test_own_producer(self) -> None:
        """A stream may pace itself, as the service echo has it: its queue pauses what arrives."""
        self.stream.registerProducer(self.stream, True)
        self.stream.write(b"x" * HIGH_WATER)
        self.arrive(b"one")
        self.assertEqual([], self.receiver.told)
        self.drain(0)
        self.assertEqual([b"one"], self.receiver.told)
        self.stream.reset()
        self.assertEqual(["reset"], self.carrier.asked)


class ReceivingTests(StreamCase):
    """A stream as a producer."""

    def test_delivery(self) -> None:
        """What arrives is handed on in order, its credit goes back, then comes the end."""
        self.arrive(b"one", b"two")
        self.stream.link_end()
        self.assertEqual([b"one", b"two", "ended"], self.receiver.told)
        self.assertEqual(6, self.carrier.consumed)
        self.assertEqual(6, self.stream.received)

    def test_before_the_receiver(self) -> None:
        """What arrives before there is a receiver waits for it."""
        stream = Stream(self.carrier, 3, stream_scope())
        stream.link_data(memoryview(b"early"))
        stream.link_end()
        self.assertEqual(0, self.carrier.consumed)
        stream.receive_with(self.receiver)
        self.assertEqual([b"early", "ended"], self.receiver.told)

    def test_pause(self) -> None:
        """While it is paused a stream keeps what arrives, its end as well, and gives no credit back."""
        self.stream.pauseProducing()
        self.arrive(b"one", b"two")
        self.stream.link_end()
        self.assertEqual([], self.receiver.told)
        self.assertEqual(0, self.carrier.consumed)
        self.stream.resumeProducing()
        self.assertEqual(b"onetwo", b"".join(self.receiver.told[:-1]))
        self.assertEqual("ended", self.receiver.told[-1])
        self.assertEqual(6, self.carrier.consumed)

    def test_pause_from_within(self) -> None:
        """A receiver that pauses at a piece gets no other before it resumes."""
        self.receiver.react = lambda data: self.stream.pauseProducing()
        big = b"x" * 5000
        self.stream.pauseProducing()
        self.arrive(big, big)
        self.stream.resumeProducing()
        self.assertEqual(1, len(self.receiver.told))
        self.stream.resumeProducing()
        self.assertEqual(2, len(self.receiver.told))

    def test_resume_from_within(self) -> None:
        """A receiver that pauses and resumes within one piece gets the next one after it has returned, not inside."""
        order: list[str] = []

        def react(data: memoryview) -> None:
            order.append("begin")
            self.stream.pauseProducing()
            self.stream.resumeProducing()
            order.append("end")

        self.receiver.react = react
        self.stream.pauseProducing()
        self.arrive(b"x" * 5000, b"y" * 5000)
        self.stream.resumeProducing()
        self.assertEqual(["begin", "end", "begin", "end"], order)

    def test_end_from_within(self) -> None:
        """A receiver that finishes at the end settles the stream, once."""
        self.receiver.react = lambda data: self.stream.finish()
        self.arrive(b"x")
        self.stream.link_end()
        self.assertEqual([b"x", "ended"], self.receiver.told)
        self.assertEqual(["finish", "settled"], self.carrier.asked)
        self.assertFalse(self.stream.alive)

    def test_reset_from_within(self) -> None:
        """A receiver that resets at a piece is told nothing more, neither data nor the end."""
        self.receiver.react = lambda data: self.stream.reset()
        self.stream.pauseProducing()
        self.arrive(b"x" * 5000, b"y" * 5000)
        self.stream.link_end()
        self.stream.resumeProducing()
        self.assertEqual(1, len(self.receiver.told))
        self.assertEqual(["reset"], self.carrier.asked)

    def test_failing_receiver(self) -> None:
        """A fault of the receiver reaches the link, and doesn't keep the stream from delivering later."""
        self.receiver.react = lambda data: 1 // 0
        with self.assertRaises(ZeroDivisionError):
            self.arrive(b"one")
        self.receiver.react = lambda data: None
        self.arrive(b"two")
        self.assertEqual([b"one", b"two"], self.receiver.told)

    def test_stop(self) -> None:
        """Who wants nothing more of a stream resets it."""
        self.stream.stopProducing()
        self.assertEqual(["reset"], self.carrier.asked)

    def test_discard(self) -> None:
        """A stream that takes nothing more drops what is there and what comes, without credit, and still ends."""
        self.stream.pauseProducing()
        self.arrive(b"there")
        self.stream.discard()
        self.arrive(b"comes")
        self.assertEqual(10, self.stream.received)
        self.stream.finish()
        self.stream.link_end()
        self.assertEqual(["ended"], self.receiver.told)
        self.assertEqual(0, self.carrier.consumed)
        self.assertEqual(["finish", "settled"], self.carrier.asked)


class EndTests(StreamCase):
    """The end of a stream."""

    def test_settled(self) -> None:
        """When both directions have ended the link is told, and tells the receiver when the last byte is out."""
        self.stream.finish()
        self.assertEqual(["finish"], self.carrier.asked)
        self.stream.link_end()
        self.assertEqual(["finish", "settled"], self.carrier.asked)
        self.assertFalse(self.stream.alive)
        self.stream.link_settled()
        self.assertEqual(["ended", "settled"], self.receiver.told)

    def test_ended_but_not_sent(self) -> None:
        """A stream that has ended both ways but isn't sent yet can be reset or lost, and nothing happens after that."""
        for end in ("reset", "lost", "settled"):
            stream, receiver = Stream(self.carrier, 9, stream_scope()), Receiver()
            stream.receive_with(receiver)
            stream.write(b"x")
            stream.finish()
            stream.link_end()
            self.assertFalse(stream.alive)
            self.carrier.asked.clear()
            if end == "reset":
                stream.reset()
            elif end == "lost":
                stream.link_lost(BROKEN)
            else:
                stream.link_settled()
            ends: dict[str, list[Any]] = {"reset": [], "lost": [BROKEN], "settled": ["settled"]}
            stream.reset()
            stream.link_lost(BROKEN)
            self.assertEqual(["ended", *ends[end]], receiver.told)
            self.assertEqual(["reset"] if end == "reset" else [], self.carrier.asked)

    def test_settled_without_receiver(self) -> None:
        """A stream that nobody reads can settle as well."""
        Stream(self.carrier, 5, stream_scope()).link_settled()

    def test_lost(self) -> None:
        """The end of the link stops the producer, drops what gathered, and is told once."""
        self.stream.registerProducer(self.producer, True)
        self.stream.pauseProducing()
        self.arrive(b"gathered")
        self.stream.link_lost(BROKEN)
        self.stream.link_lost(BROKEN)
        self.stream.resumeProducing()
        self.assertEqual([BROKEN], self.receiver.told)
        self.assertEqual(["stop"], self.producer.told)
        self.assertEqual([], self.carrier.asked)

    def test_lost_without_receiver(self) -> None:
        """A stream that nobody reads can be lost as well."""
        stream = Stream(self.carrier, 7, stream_scope())
        stream.link_lost(BROKEN)
        self.assertFalse(stream.alive)


class StreamTurnsTests(SynchronousTestCase):
    """The streams that one end may have at a time."""

    def setUp(self) -> None:
        self.turns = StreamTurns(4)
        self.opened: list[Stream] = []

    def take(self) -> Deferred[Stream]:
        def open_stream() -> Stream:
            self.opened.append(Stream(Carrier(), len(self.opened), stream_scope()))
            return self.opened[-1]

        return Deferred.fromCoroutine(self.turns.next(open_stream))

    def test_each_end_once(self) -> None:
        """Whatever ends a stream gives its turn to the next, once."""
        running, waiting = [self.take() for _ in range(2)], [self.take() for _ in range(4)]
        first, second = map(self.successResultOf, running)
        first.link_settled()
        first.link_lost(BROKEN)
        first.reset()
        third = self.successResultOf(waiting[0])
        self.assertEqual(3, len(self.opened))
        second.link_lost(BROKEN)
        second.link_lost(BROKEN)
        self.successResultOf(waiting[1])
        third.reset()
        third.reset()
        self.successResultOf(waiting[2])
        self.assertEqual(5, len(self.opened))
        self.assertNoResult(waiting[3])

    def test_half(self) -> None:
        """It is half of the streams, and one at least."""
        self.assertEqual([128, 1, 1, 1], [StreamTurns(streams).limit for streams in (256, 3, 2, 1)])

    def test_not_opened(self) -> None:
        """A stream that can't be opened takes no turn."""

        def full() -> Stream:
            raise TooManyStreams("full")

        for _ in range(3):
            self.failureResultOf(Deferred.fromCoroutine(self.turns.next(full)), TooManyStreams)
        self.assertEqual(2, self.turns.tokens)


class AccountTests(StreamCase):
    """What a stream counts in its scope, and what it does when much is held elsewhere."""

    def setUp(self) -> None:
        super().setUp()
        self.scope = stream_scope(memory_bytes=1024 * 1024)
        self.stream = Stream(self.carrier, 1, self.scope)
        self.elsewhere = self.scope.bytes_held()

    def test_counted(self) -> None:
        """What waits to be sent, what has arrived and isn't read, and what its window grew by; all until its end."""
        self.stream.write(b"x" * 100_000)
        self.stream.pauseProducing()
        self.arrive(b"y" * 50_000)
        self.assertTrue(self.stream.may_grow(30_000))
        self.assertEqual(STREAM_COST + 180_000 + PIECE_COST, self.scope.memory)
        self.stream.link_lost(BROKEN)
        self.assertEqual(0, self.scope.memory)

    def test_window(self) -> None:
        """What arrived doesn't count besides what the window grew by; and a window doesn't grow under pressure."""
        self.arrive(b"y" * (INITIAL_WINDOW + 50_000))
        self.assertEqual(STREAM_COST + INITIAL_WINDOW, self.scope.memory)
        self.assertFalse(self.stream.may_grow(512 * 1024))

    def test_pressed(self) -> None:
        """While much is held, a producer is paused early, and goes on late."""
        self.stream.registerProducer(self.producer, True)
        self.elsewhere.set(500 * 1024)
        self.stream.write(b"x" * (PRESSED_WATER - 1000))
        self.assertEqual([], self.producer.told)
        self.stream.write(b"x" * 1000)
        self.assertEqual(["pause"], self.producer.told)
        self.drain(PRESSED_WATER)
        self.assertEqual(["pause"], self.producer.told)
        self.drain(1000)
        self.assertEqual(["pause", "resume"], self.producer.told)
        self.elsewhere.set(0)
        self.stream.write(b"x" * PRESSED_WATER)
        self.assertEqual(["pause", "resume"], self.producer.told)

    def test_account(self) -> None:
        """A stream has its account; whatever else gives or takes bytes has none that anybody looks at."""
        self.assertIs(self.scope, account_of(self.stream))
        self.assertIs(UNCOUNTED, account_of(self.producer))

"""A message on its stream: what writes it, what reads it, and what watches that it moves."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.exchange.exchange import MessageWriter, Watch
from p2p.exchange.message import MAX_CHUNK, Body, MessageDecoder
from test.exchange.doubles import Written
from test.exchange.exchanges import message


class WriterTests(SynchronousTestCase):
    """Messages on their way to a stream."""

    def setUp(self) -> None:
        """Write to a stand-in."""
        self.stream = Written()
        self.writer = MessageWriter(self.stream, {"a": "b"})  # type: ignore[arg-type]  # stands in for a Stream

    def test_message(self) -> None:
        """The head goes with the first bytes, the tail ends the message, once."""
        self.writer.write(b"one")
        self.writer.write(b"")
        self.writer.end({"c": "d"})
        self.writer.end({"c": "d"})
        self.assertEqual(message({"a": "b"}, b"one", {"c": "d"}), b"".join(self.stream.pieces))
        self.assertEqual((3, 1), (self.writer.body_bytes, self.stream.finished))

    def test_empty(self) -> None:
        """A message without a body has its head all the same."""
        self.writer.end({})
        self.assertEqual(message({"a": "b"}, b"", {}), b"".join(self.stream.pieces))

    def test_small_pieces(self) -> None:
        """A small piece is written together with its length, so that it costs one object and not two."""
        self.writer.begin()
        self.writer.write(memoryview(b"small"))
        self.assertEqual(2, len(self.stream.pieces))
        self.writer.write(b"x" * 100_000)
        self.assertEqual(4, len(self.stream.pieces))

    def test_large_pieces(self) -> None:
        """A piece that is larger than a chunk may be is cut."""
        self.writer.write(b"x" * (MAX_CHUNK + 1))
        events = MessageDecoder(100).feed(memoryview(b"".join(self.stream.pieces)))
        self.assertEqual([MAX_CHUNK, 1], [len(event.data) for event in events if isinstance(event, Body)])

    def test_producer(self) -> None:
        """The stream paces the producer."""
        self.writer.registerProducer(self, True)
        self.writer.unregisterProducer()
        self.assertEqual([(self, True), None], self.stream.producers)


class WatchTests(SynchronousTestCase):
    """Telling silence from slowness."""

    def test_stopped(self) -> None:
        """A watch that was stopped tells nothing, and can be stopped again."""
        clock, told = Clock(), []
        watch = Watch(clock, 10, lambda: 0, lambda: told.append("expired"))
        watch.stop()
        watch.stop()
        clock.pump([10] * 5)
        self.assertEqual(([], []), (told, clock.getDelayedCalls()))

    def test_stopped_when_expired(self) -> None:
        """It expires once."""
        clock, told = Clock(), []
        watch = Watch(clock, 10, lambda: 0, lambda: told.append("expired"))
        clock.pump([2.5] * 8)
        watch.stop()
        self.assertEqual((["expired"], []), (told, clock.getDelayedCalls()))

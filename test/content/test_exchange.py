"""One exchange, as its initiator runs it and as the other side serves it: it ends once, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p.config import PeerLimits
from p2p.content import exchange
from p2p.content.exchange import MessageWriter, Request, Result, Serving, Watch, perform
from p2p.content.files import BytesSource
from p2p.content.message import MAX_CHUNK, Body, MessageDecoder, Tail, encode_chunk, encode_head, encode_tail
from p2p.errors import ExchangeFailed, LocalFileError, Outcome, ProtocolViolation
from p2p.link.flow import HIGH_WATER, Stream
from p2p.link.mux import INITIAL_WINDOW
from test.content.doubles import Gatherer, HeldSource, Written
from test.link.links import Collector, Ends

SILENCE_S = 30.0
HEADER_BYTES = 4096


class ExchangeCase(SynchronousTestCase):
    """A link that stands, plain to be quick."""

    def setUp(self) -> None:
        """Make the link."""
        self.ends = Ends(PeerLimits(), plain=True)
        self.network = self.ends.network
        self.near_link, self.far_link = self.ends.stand()

    def assert_settled(self) -> None:
        """Both ends have forgotten the stream, the link still stands and isn't waiting for anything."""
        self.assertEqual((0, 0), (self.near_link.stream_count, self.far_link.stream_count))
        self.assertTrue(self.near_link.reusable)
        self.assertEqual(2, len(self.network.getDelayedCalls()), "only the timers of the link's two ends run")


def message(head: dict[str, str], body: bytes, tail: dict[str, str | bytes]) -> bytes:
    """A whole message in bytes."""
    return b"".join([encode_head(head), *encode_chunk(body), encode_tail(tail)])


class PerformTests(ExchangeCase):
    """The initiator's side; the other side is done by hand."""

    def perform(self, source: Any = None, sink: Any = None, planned_ns: int = 0) -> Deferred[Result]:
        """Begin an exchange; ``far`` collects what the other side gets of it."""
        self.near = self.ends.open()
        self.sink = sink or Gatherer()
        running = Deferred.fromCoroutine(
            perform(
                self.near,
                Request("echo", "text", "a name", 5),
                source or BytesSource(b"hello"),
                self.sink,
                clock=self.network,
                now_ns=lambda: int(self.network.seconds() * 1e9),
                planned_ns=planned_ns,
                silence_s=SILENCE_S,
                header_bytes=HEADER_BYTES,
            )
        )
        self.network.settle()
        self.far = self.ends.listening.streams[-1]
        self.got = Collector(self.far)
        return running

    def answer(self, data: bytes, *, finish: bool = True) -> None:
        """Have the other side send bytes, and its FIN."""
        self.far.write(data)
        if finish:
            self.far.finish()
        self.network.settle()

    def failed(self, running: Deferred[Result]) -> ExchangeFailed:
        """The failure of an exchange whose stream was given up on both sides."""
        failure = self.failureResultOf(running, ExchangeFailed).value
        self.assertEqual(1, self.sink.abandoned)
        self.network.settle()
        self.assert_settled()
        assert isinstance(failure, ExchangeFailed)
        return failure

    def test_ok(self) -> None:
        """The request arrives as it is, the reply gets to the sink, and the result tells of both."""
        self.network.advance(1)
        running = self.perform(planned_ns=7)
        decoder = MessageDecoder(HEADER_BYTES)
        head, body, tail = decoder.feed(memoryview(bytes(self.got.data)))
        self.assertEqual(
            {"service": b"echo", "type": b"text", "name": b"a name", "encoding": b"utf-8", "length": b"5"},
            getattr(head, "box", None),
        )
        self.assertEqual(Body(memoryview(b"hello")), body)
        self.assertEqual(Tail({"digest": bytes.fromhex(BytesSource(b"hello").digest)}), tail)
        self.network.advance(1)
        self.answer(encode_head({}), finish=False)
        self.network.advance(1)
        self.answer(message({}, b"HELLO!", {"outcome": "ok", "size": "6"})[2:])
        result = self.successResultOf(running)
        self.assertEqual(b"HELLO!", self.sink.data)
        self.assertEqual(
            Result(5, 6, 7, 2_000_000_000, 3_000_000_000, {}, {"outcome": "ok", "size": "6"}),
            result,
        )
        self.assertEqual(0, self.sink.abandoned)
        self.assert_settled()

    def test_refused(self) -> None:
        """The outcome and the reason that the other side gives are those of the exchange, cleaned for a screen."""
        running = self.perform()
        self.answer(message({}, b"", {"outcome": "refused", "reason": "no\x1b[2J " + "x" * 2000}))
        failure = self.failed(running)
        self.assertEqual(Outcome.REFUSED, failure.outcome)
        self.assertTrue(str(failure).startswith("no"))
        self.assertNotIn("\x1b", str(failure))
        self.assertLessEqual(len(str(failure)), 500)

    def test_refused_at_once(self) -> None:
        """An exchange that is refused while its body is still being sent ends, and so does the sending."""
        source = HeldSource()
        running = self.perform(source)
        self.answer(message({}, b"", {"outcome": "refused"}))
        self.assertEqual("no reason was given", str(self.failed(running)))
        self.assertTrue(source.held.called)

    def test_nonsense(self) -> None:
        """A reply that isn't a message, or ends with what is no outcome or no text, is corrupt."""
        for nonsense in (
            b"\xff" * 20,
            message({}, b"", {"outcome": "fine"}),
            message({}, b"", {}),
            message({}, b"", {"outcome": b"\xff"}),
            message({}, b"", {"outcome": "ok", "size": b"\xff"}),
            message({}, b"", {"outcome": "refused", "reason": b"\xff"}),
            encode_head({"x": "y" * HEADER_BYTES}),
            encode_head({}) + (MAX_CHUNK + 1).to_bytes(4),
        ):
            running = self.perform()
            self.answer(nonsense)
            self.assertEqual(Outcome.CORRUPT, self.failed(running).outcome, nonsense[:40])

    def test_truncated(self) -> None:
        """A reply that ends before its tail is truncated, wherever it is cut."""
        whole = message({"a": "b"}, b"body", {"outcome": "ok"})
        for cut in range(len(whole)):
            running = self.perform()
            self.answer(whole[:cut])
            self.assertEqual(Outcome.TRUNCATED, self.failed(running).outcome)

    def test_cut_anywhere(self) -> None:
        """A reply in single bytes is the same reply."""
        running = self.perform()
        for byte in message({}, b"body", {"outcome": "ok"}):
            self.answer(bytes([byte]), finish=False)
        self.far.finish()
        self.network.settle()
        self.assertEqual(4, self.successResultOf(running).reply_bytes)
        self.assertEqual(b"body", self.sink.data)
        self.assert_settled()

    def test_reset(self) -> None:
        """An exchange that the other side resets, or whose link breaks, ends as reset."""
        running = self.perform()
        self.far.reset()
        self.network.settle()
        self.assertEqual(Outcome.RESET, self.failed(running).outcome)
        running = self.perform(HeldSource())
        self.near_link.abort("the cable burnt")
        self.network.settle()
        failure = self.failureResultOf(running, ExchangeFailed).value
        self.assertEqual((Outcome.RESET, 1), (failure.outcome, self.sink.abandoned))
        self.assertIn("the cable burnt", str(failure))
        self.assertEqual([], self.network.getDelayedCalls())

    def test_silence(self) -> None:
        """An exchange on which nothing moves for ``silence_s`` is given up; as long as something moves it goes on."""
        running = self.perform()
        for _ in range(5):
            self.network.advance(SILENCE_S - 1)
            self.answer(encode_chunk(b"x")[0][:1] if self.got.data else b"", finish=False)
        self.assertNoResult(running)
        running.cancel()
        self.failureResultOf(running, CancelledError)

    def test_silence_ends(self) -> None:
        """Silence ends an exchange within a quarter more than the time it may take."""
        running = self.perform()
        self.network.advance(SILENCE_S - 1)
        self.assertNoResult(running)
        self.network.advance(SILENCE_S / 4 + 1.1)
        failure = self.failed(running)
        self.assertEqual((Outcome.TIMEOUT, "nothing moved for 30 s"), (failure.outcome, str(failure)))

    def test_too_early(self) -> None:
        """An ``ok`` for content that was still being sent is none."""
        source = HeldSource()
        running = self.perform(source)
        self.answer(message({}, b"", {"outcome": "ok"}))
        failure = self.failed(running)
        self.assertEqual(Outcome.CORRUPT, failure.outcome)
        self.assertTrue(source.held.called)

    def test_too_early_for_the_queue(self) -> None:
        """An ``ok`` for content that never left this machine, because no credit came for it, is none either."""
        near = self.ends.open()
        self.sink = Gatherer()
        running = Deferred.fromCoroutine(self._performed(near, BytesSource(b"x" * 2 * INITIAL_WINDOW)))
        self.network.settle()
        self.far = self.ends.listening.streams[-1]
        self.far.pauseProducing()
        self.answer(message({}, b"", {"outcome": "ok"}))
        self.assertEqual(Outcome.CORRUPT, self.failed(running).outcome)

    async def _performed(self, stream: Stream, source: Any) -> Result:
        return await perform(
            stream,
            Request("store"),
            source,
            self.sink,
            clock=self.network,
            now_ns=lambda: 0,
            planned_ns=0,
            silence_s=SILENCE_S,
            header_bytes=HEADER_BYTES,
        )

    def test_source_fails(self) -> None:
        """A source that fails on this side resets the stream, and its own error is told."""
        source = HeldSource()
        running = self.perform(source)
        source.held.errback(LocalFileError("the file is gone"))
        self.failureResultOf(running, LocalFileError)
        self.network.settle()
        self.assertEqual(Outcome.RESET, self.got.ends[0].outcome)
        self.assertEqual(1, self.sink.abandoned)
        self.assert_settled()

    def test_source_fails_late(self) -> None:
        """What a source says after the exchange has ended changes nothing, unless it is a fault of ours."""
        source = HeldSource()
        source.held = Deferred(lambda held: held.errback(LocalFileError("closed")))
        running = self.perform(source)
        self.far.reset()
        self.network.settle()
        self.failed(running)
        source = HeldSource()
        source.held = Deferred(lambda held: held.errback(ZeroDivisionError()))
        running = self.perform(source)
        self.far.reset()
        self.network.settle()
        self.failed(running)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_sink_fails(self) -> None:
        """A sink that fails, at a piece or at the end, ends the exchange with its error and gets nothing more."""
        sink = Gatherer()
        sink.react = _raiser(LocalFileError("the disk is full"))
        running = self.perform(sink=sink)
        pieces = b"".join([encode_head({}), *encode_chunk(b"one"), *encode_chunk(b"two")])
        self.answer(pieces + encode_tail({"outcome": "ok"}))
        self.failureResultOf(running, LocalFileError)
        self.assertEqual((b"one", 1), (sink.data, sink.abandoned))
        sink = Gatherer()
        sink.finishing = LocalFileError("the disk is full")
        running = self.perform(sink=sink)
        self.answer(message({}, b"", {"outcome": "ok"}))
        self.failureResultOf(running, LocalFileError)
        self.assertEqual(1, sink.abandoned)
        self.network.settle()
        self.assert_settled()

    def test_cancelled(self) -> None:
        """A cancelled exchange resets its stream, stops its source and leaves no timer."""
        source = HeldSource()
        running = self.perform(source)
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertTrue(source.held.called)
        self.network.settle()
        self.assertEqual((1, Outcome.RESET), (self.sink.abandoned, self.got.ends[0].outcome))
        self.assert_settled()

    def test_cancelled_at_the_end(self) -> None:
        """An exchange can be cancelled while its sink finishes."""
        sink = Gatherer()
        sink.finishing = Deferred()
        running = self.perform(sink=sink)
        self.answer(message({}, b"", {"outcome": "ok"}))
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertEqual(1, sink.abandoned)

    def test_pause_at_the_last_piece(self) -> None:
        """A sink that pauses at the piece which came together with the tail doesn't keep the stream open for ever."""
        sink = Gatherer()
        sink.react = lambda data: sink.producer.pauseProducing()
        running = self.perform(sink=sink)
        self.answer(message({}, b"body", {"outcome": "ok"}))
        self.successResultOf(running)
        self.assert_settled()

    def test_no_end(self) -> None:
        """A side that says ``ok`` and never ends its stream loses it when nothing moves any more."""
        running = self.perform()
        self.answer(message({}, b"", {"outcome": "ok"}), finish=False)
        self.successResultOf(running)
        self.assertEqual(1, self.near_link.stream_count)
        self.network.advance(SILENCE_S * 1.25 + 1)
        self.assert_settled()

    def test_bytes_after_the_tail(self) -> None:
        """Bytes after the tail break the protocol; those that come after a good reply cost the stream alone."""
        running = self.perform()
        self.answer(message({}, b"", {"outcome": "ok"}) + b"more", finish=False)
        self.assertEqual(Outcome.CORRUPT, self.failed(running).outcome)
        running = self.perform()
        self.answer(message({}, b"", {"outcome": "ok"}), finish=False)
        self.successResultOf(running)
        self.answer(b"more", finish=False)
        self.assert_settled()


class ServingTests(ExchangeCase):
    """The receiving peer's side; the initiator is done by hand."""

    def setUp(self) -> None:
        """Serve every stream with a sink that the test prepares."""
        super().setUp()
        self.sink = Gatherer({"note": "taken"})
        self.requests: list[Request] = []
        self.accept: Callable[[Request, MessageWriter], Any] = lambda request, reply: self.sink
        self.ends.listening.serve = self._serve

    def _serve(self, stream: Stream) -> None:
        def accept(request: Request, reply: MessageWriter) -> Any:
            self.requests.append(request)
            self.reply = reply
            return self.accept(request, reply)

        self.far = stream
        Serving(stream, "m4.m", accept, clock=self.network, silence_s=SILENCE_S, header_bytes=HEADER_BYTES)

    def send(self, *data: bytes, finish: bool = True) -> Collector:
        """Open a stream and send bytes on it; return what comes back."""
        self.near = self.ends.open()
        got = Collector(self.near)
        self.near.write(b"".join(data))
        if finish:
            self.near.finish()
        self.network.settle()
        return got

    def replied(self, got: Collector) -> dict[str, str]:
        """The tail of the one reply that came."""
        decoder = MessageDecoder(HEADER_BYTES)
        events = decoder.feed(memoryview(bytes(got.data)))
        self.assertTrue(decoder.complete)
        tail = events[-1]
        assert isinstance(tail, Tail)
        return {key: value.decode() for key, value in tail.box.items()}

    def test_ok(self) -> None:
        """The body gets to the service's sink, whose fields are the reply's tail with the outcome ``ok``."""
        got = self.send(message({"service": "store", "name": "a", "length": "4"}, b"body", {"digest": b"\1"}))
        self.assertEqual([Request("store", "data", "a", 4, "utf-8", "m4.m")], self.requests)
        self.assertEqual((b"body", {"digest": b"\1"}), (self.sink.data, self.sink.tail))
        self.assertEqual({"outcome": "ok", "note": "taken"}, self.replied(got))
        self.assertEqual(0, self.sink.abandoned)
        self.assert_settled()

    def test_reply_with_a_body(self) -> None:
        """What the service writes as it goes comes before the tail."""
        self.sink.react = lambda data: self.reply.write(data.upper())
        got = self.send(message({}, b"body", {}))
        events = MessageDecoder(HEADER_BYTES).feed(memoryview(bytes(got.data)))
        self.assertIn(Body(memoryview(b"BODY")), events)
        self.assert_settled()

    def test_refused(self) -> None:
        """A service that doesn't want a request says why; what else comes of it is taken by nobody."""
        self.accept = _raiser(ExchangeFailed(Outcome.REFUSED, "not today"))
        got = self.send(message({"service": "store"}, b"body", {}))
        self.assertEqual({"outcome": "refused", "reason": "not today"}, self.replied(got))
        self.assertEqual(b"", self.sink.data)
        self.assert_settled()

    def test_refused_and_still_sending(self) -> None:
        """Of a refused request no more than a window comes, nothing of it is kept, and its sender is let go."""
        self.accept = _raiser(ExchangeFailed(Outcome.REFUSED, "not today"))
        got = self.send(encode_head({}), *encode_chunk(b"x" * 3 * INITIAL_WINDOW), finish=False)
        self.assertEqual("refused", self.replied(got)["outcome"])
        self.assertEqual(INITIAL_WINDOW, self.far.received)
        self.assertEqual(0, self.far._inbox.size)
        self.near.reset()
        self.network.settle()
        self.assert_settled()

    def test_refused_and_ended_early(self) -> None:
        """A sender that ends a refused request without its tail still gets the reason, and the stream is over."""
        self.accept = _raiser(ExchangeFailed(Outcome.REFUSED, "not today"))
        got = self.send(encode_head({}), b"\0\0\1\0")
        self.assertEqual("refused", self.replied(got)["outcome"])
        self.assert_settled()

    def test_refused_and_never_ending(self) -> None:
        """A sender that goes on for ever with a refused request, a byte at a time, loses its stream."""
        self.accept = _raiser(ExchangeFailed(Outcome.REFUSED, "not today"))
        got = self.send(encode_head({}), finish=False)
        for _ in range(20):
            self.near.write(b"x")
            self.network.advance(SILENCE_S / 10)
        self.assertEqual(Outcome.RESET, got.ends[-1].outcome)
        self.assert_settled()

    def test_refused_at_a_piece(self) -> None:
        """A service may refuse in the middle of the body; its sink gets nothing more."""
        self.sink.react = _raiser(ExchangeFailed(Outcome.REFUSED, "the disk is full"))
        chunks = b"".join([*encode_chunk(b"one"), *encode_chunk(b"two")])
        got = self.send(encode_head({}), chunks, encode_tail({}))
        self.assertEqual({"outcome": "refused", "reason": "the disk is full"}, self.replied(got))
        self.assertEqual((b"one", 1, None), (self.sink.data, self.sink.abandoned, self.sink.tail))
        self.assert_settled()

    def test_refused_at_the_end(self) -> None:
        """A service may find at the end that what came isn't what was sent."""
        self.sink.finishing = ExchangeFailed(Outcome.CORRUPT, "another digest")
        got = self.send(message({}, b"body", {}))
        self.assertEqual({"outcome": "corrupt", "reason": "another digest"}, self.replied(got))
        self.assertEqual(1, self.sink.abandoned)
        self.assert_settled()

    def test_faulty_service(self) -> None:
        """A service with a fault ends the exchange that met it, and is logged; the link and its others go on."""
        fault = _raiser(ZeroDivisionError())
        for where in ("accept", "write", "complete", "abandon"):
            self.sink, self.accept = Gatherer(), lambda request, reply: self.sink
            if where == "accept":
                self.accept = fault
            elif where == "write":
                self.sink.react = fault
            elif where == "complete":
                self.sink.finishing = ZeroDivisionError()
            else:
                self.sink.finishing = ExchangeFailed(Outcome.REFUSED, "no")
                self.patch(self.sink, "abandon", fault)
            got = self.send(message({"service": "odd"}, b"body", {}))
            outcome = "refused" if where == "abandon" else "reset"
            self.assertEqual(outcome, self.replied(got)["outcome"], where)
            self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)), where)
            self.assert_settled()

    def test_bad_heads(self) -> None:
        """A head that can't be read ends its stream only: no text, no number, or too large."""
        for head in (
            {"service": b"\xff"},
            {"service": "store", "length": "-1"},
            {"service": "store", "length": "1" * 19},
            {"service": "store", "length": "ten"},
            {"service": "store", "name": "x" * HEADER_BYTES},
        ):
            got = self.send(encode_head(head), finish=False)
            self.assertEqual(Outcome.RESET, got.ends[0].outcome)
        self.assertEqual([], self.requests)
        self.assert_settled()

    def test_truncated(self) -> None:
        """A request that ends before its tail is abandoned, wherever it is cut, and its stream reset."""
        whole = message({"service": "store"}, b"body", {"digest": b"x"})
        for cut in range(1, len(whole)):
            self.sink = Gatherer()
            got = self.send(whole[:cut])
            self.assertEqual(Outcome.RESET, got.ends[0].outcome)
            self.assertEqual(1 if len(self.requests) else 0, self.sink.abandoned)
            self.requests.clear()
        self.assert_settled()

    def test_lost(self) -> None:
        """When the sender or the link is gone, what was begun is undone, once."""
        self.send(encode_head({"service": "store"}), finish=False)
        self.near.reset()
        self.network.settle()
        self.assertEqual(1, self.sink.abandoned)
        self.assert_settled()
        self.sink = Gatherer()
        self.send(encode_head({"service": "store"}), finish=False)
        self.far_link.abort("enough")
        self.network.settle()
        self.assertEqual(1, self.sink.abandoned)
        self.assertEqual([], self.network.getDelayedCalls())

    def test_lost_while_it_completes(self) -> None:
        """A service that is done, or fails, after its sender has gone tells nobody."""
        for result in (None, ExchangeFailed(Outcome.REFUSED, "full"), ZeroDivisionError()):
            self.sink = Gatherer()
            self.sink.finishing = finishing = Deferred()
            self.send(message({}, b"", {}), finish=False)
            self.near.reset()
            self.network.settle()
            finishing.callback(None) if result is None else finishing.errback(result)
            self.network.settle()
            self.assertEqual(1, self.sink.abandoned)
            self.assert_settled()
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_slow_service(self) -> None:
        """The reply of a service that takes its time comes when it is done."""
        self.sink.finishing = finishing = Deferred()
        got = self.send(message({}, b"", {}))
        self.assertEqual(b"", got.data)
        self.network.advance(SILENCE_S - 5)
        finishing.callback(None)
        self.network.settle()
        self.assertEqual("ok", self.replied(got)["outcome"])
        self.assert_settled()

    def test_silence(self) -> None:
        """A request on which nothing moves is given up, in its head, in its body or while it is served."""
        self.sink.finishing = Deferred()
        for part in (b"\0", encode_head({"service": "s"}), message({}, b"body", {})):
            got = self.send(part, finish=False)
            self.network.advance(SILENCE_S * 1.25 + 1)
            self.assertEqual(Outcome.RESET, got.ends[0].outcome)
            self.assert_settled()
        self.assertEqual(2, self.sink.abandoned)

    def test_unread_reply(self) -> None:
        """A sender that never reads its reply loses the stream, so that replies don't pile up here."""
        self.sink.react = lambda data: self.reply.write(b"y" * HIGH_WATER)
        self.near = self.ends.open()
        self.near.write(message({}, b"x", {}))
        self.near.finish()
        self.network.settle()
        self.assertEqual(1, self.far_link.stream_count)
        self.network.advance(SILENCE_S * 1.25 + 1)
        self.assertEqual(0, self.far_link.stream_count)

    def test_pause_at_the_last_piece(self) -> None:
        """A sink that pauses at the piece which came together with the tail doesn't keep the stream open for ever."""
        self.sink.react = lambda data: self.sink.producer.pauseProducing()
        got = self.send(message({}, b"body", {}))
        self.assertEqual("ok", self.replied(got)["outcome"])
        self.assert_settled()

    def test_log(self) -> None:
        """What is logged of an exchange that broke can't forge a line or steer a terminal."""
        told: list[dict[str, Any]] = []
        self.patch(Serving, "_log", _Log(told))
        self.send(encode_head({"service": "\x1b[2J\n", "name": "\x1b\n"}))
        (line,) = told
        text = line["log_format"].format(**line)
        self.assertIn("truncated", text)
        self.assertTrue(text.isprintable(), text)


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


class RequestTests(SynchronousTestCase):
    """Heads of requests."""

    def test_round_trip(self) -> None:
        """What is sent is what is read, with the sender that the certificate proves."""
        for request in (Request("store", "audio", "a\u00e4.wav", 10**17), Request("echo", encoding="latin-1")):
            box = {key: value.encode() for key, value in request.fields().items()}
            read = Request.parse(box, "m4.m")
            self.assertEqual((request.fields(), "m4.m"), (read.fields(), read.sender))

    def test_defaults(self) -> None:
        """What a head leaves out has its default."""
        self.assertEqual(Request("", "data", "", None, "utf-8", "m4.m"), Request.parse({}, "m4.m"))

    def test_wrong_length(self) -> None:
        """A length that is no number of bytes breaks the protocol."""
        for wrong in (b"", b"-1", b"1.5", b"0x10", b" 1", "\u0661".encode()):
            with self.assertRaises(ProtocolViolation):
                Request.parse({"length": wrong}, "m4.m")


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


class _Log:
    """A logger that keeps its events."""

    def __init__(self, told: list[dict[str, Any]]) -> None:
        self._told = told

    def info(self, format: str, **fields: Any) -> None:  # noqa: A002 - as Twisted names it
        self._told.append({"log_format": format, **fields})

    def failure(self, format: str, failure: Failure, **fields: Any) -> None:  # noqa: A002 - as Twisted names it
        failure.raiseException()


def _raiser(error: Exception) -> Callable[..., Any]:
    def fail(*arguments: Any) -> Any:
        raise error

    return fail

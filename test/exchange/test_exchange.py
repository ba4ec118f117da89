"""One exchange as its initiator runs it: it ends once, and leaves nothing behind."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from p2p.base.errors import ExchangeFailed, LocalFileError, Outcome
from p2p.exchange.exchange import Request, Result, perform
from p2p.exchange.message import MAX_CHUNK, Body, MessageDecoder, Tail, encode_chunk, encode_head, encode_tail
from p2p.link.flow import Stream
from p2p.link.mux import INITIAL_WINDOW
from p2p.services.store import BytesSource
from test.exchange.doubles import Gatherer, HeldSource
from test.exchange.exchanges import HEADER_BYTES, SILENCE_S, ExchangeCase, message, raiser
from test.link.links import Collector


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
            self.answer(b"\0", finish=False)
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
        sink.react = raiser(LocalFileError("the disk is full"))
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

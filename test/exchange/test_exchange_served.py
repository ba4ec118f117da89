"""One exchange as the other side serves it: whatever its sender or its service does, the link goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange.exchange import ReplyWriter, Request, Serving
from p2p.exchange.message import Body, MessageDecoder, Tail, encode_chunk, encode_head, encode_tail
from p2p.link.flow import HIGH_WATER, Stream
from p2p.link.mux import INITIAL_WINDOW
from test.exchange.doubles import Gatherer
from test.exchange.exchanges import HEADER_BYTES, SILENCE_S, ExchangeCase, message, raiser
from test.link.links import Collector


class ServingTests(ExchangeCase):
    """The receiving peer's side; the initiator is done by hand."""

    def setUp(self) -> None:
        """Serve every stream with a sink that the test prepares."""
        super().setUp()
        self.sink = Gatherer({"note": "taken"})
        self.requests: list[Request] = []
        self.accept: Callable[[Request, ReplyWriter], Any] = lambda request, reply: self.sink
        self.ends.listening.serve = self._serve

    def _serve(self, stream: Stream) -> None:
        def accept(request: Request, reply: ReplyWriter) -> Any:
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
        self.accept = raiser(ExchangeFailed(Outcome.REFUSED, "not today"))
        got = self.send(message({"service": "store"}, b"body", {}))
        self.assertEqual({"outcome": "refused", "reason": "not today"}, self.replied(got))
        self.assertEqual(b"", self.sink.data)
        self.assert_settled()

    def test_refused_and_still_sending(self) -> None:
        """Of a refused request no more than a window comes, nothing of it is kept, and its sender is let go."""
        self.accept = raiser(ExchangeFailed(Outcome.REFUSED, "not today"))
        got = self.send(message({}, b"x" * 3 * INITIAL_WINDOW, {}), finish=False)
        self.assertEqual("refused", self.replied(got)["outcome"])
        self.assertEqual(INITIAL_WINDOW, self.far.received)
        self.assertEqual(0, self.far._inbox.size)
        self.near.reset()
        self.network.settle()
        self.assert_settled()

    def test_refused_and_ended_early(self) -> None:
        """A sender that ends a refused request without its tail still gets the reason, and the stream is over."""
        self.accept = raiser(ExchangeFailed(Outcome.REFUSED, "not today"))
        got = self.send(encode_head({}), b"\0\0\1\0")
        self.assertEqual("refused", self.replied(got)["outcome"])
        self.assert_settled()

    def test_refused_and_never_ending(self) -> None:
        """A sender that goes on for ever with a refused request, a byte at a time, loses its stream."""
        self.accept = raiser(ExchangeFailed(Outcome.REFUSED, "not today"))
        got = self.send(encode_head({}), finish=False)
        for _ in range(20):
            self.near.write(b"x")
            self.network.advance(SILENCE_S / 10)
        self.assertEqual(Outcome.RESET, got.ends[-1].outcome)
        self.assert_settled()

    def test_refused_at_a_piece(self) -> None:
        """A service may refuse in the middle of the body; its sink gets nothing more."""
        self.sink.react = raiser(ExchangeFailed(Outcome.REFUSED, "the disk is full"))
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
        fault = raiser(ZeroDivisionError())
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

    def test_failed_by_the_service(self) -> None:
        """A service may end the exchange when nothing comes, and the request isn't here whole."""
        got = self.send(encode_head({"service": "store"}), finish=False)
        self.reply.fail(ExchangeFailed(Outcome.REFUSED, "changed my mind"))
        self.reply.fail(ExchangeFailed(Outcome.REFUSED, "again"))
        self.near.finish()
        self.network.settle()
        self.assertEqual({"outcome": "refused", "reason": "changed my mind"}, self.replied(got))
        self.assertEqual(("changed my mind", 1), (str(self.reply.failure), self.sink.abandoned))
        self.assert_settled()

    def test_failed_at_once(self) -> None:
        """It may do so before it has returned a sink, which is then abandoned and gets nothing."""

        def accept(request: Request, reply: ReplyWriter) -> Any:
            reply.fail(ExchangeFailed(Outcome.REFUSED, "no"))
            return self.sink

        self.accept = accept
        got = self.send(message({}, b"body", {}))
        self.assertEqual({"outcome": "refused", "reason": "no"}, self.replied(got))
        self.assertEqual((b"", 1, None), (self.sink.data, self.sink.abandoned, self.sink.producer))
        self.assert_settled()

    def test_fields_of_its_own(self) -> None:
        """What only the service knows of a head gets to it as it is."""
        self.send(message({"service": "store", "id": "abc", "x": "1"}, b"", {}))
        self.assertEqual({"id": b"abc", "x": b"1"}, self.requests[0].more)
        self.assertEqual({"service", "type", "name", "encoding", "id", "x"}, set(self.requests[0].fields()))

    def test_bad_heads(self) -> None:
        """A head that can't be read ends its stream only: no text, no number, a key twice, or too large."""
        bad: list[dict[str, str | bytes]] = [
            {"service": b"\xff"},
            {"service": "store", "type": b"\xff"},
            {"service": "store", "name": b"\xff"},
            {"service": "store", "encoding": b"\xff"},
            {"service": "store", "length": "-1"},
            {"service": "store", "length": ""},
            {"service": "store", "length": "1" * 19},
            {"service": "store", "length": "ten"},
            {"service": "store", "name": "x" * HEADER_BYTES},
        ]
        for head in bad:
            got = self.send(encode_head(head), finish=False)
            self.assertEqual(Outcome.RESET, got.ends[0].outcome)
        twice = encode_head({"service": "store"})[:-2]
        got = self.send(twice + twice + b"\0\0", finish=False)
        self.assertEqual(Outcome.RESET, got.ends[0].outcome)
        self.assertEqual([], self.requests)
        self.assert_settled()

    def test_truncated(self) -> None:
        """A request that ends before its tail, wherever it is cut, gets no reply: its stream is reset."""
        whole = message({"service": "store"}, b"body", {"digest": b"x"})
        for cut in range(1, len(whole)):
            self.sink = Gatherer()
            got = self.send(whole[:cut])
            self.assertEqual((Outcome.RESET, b""), (got.ends[0].outcome, got.data))
            self.assertEqual(1 if len(self.requests) else 0, self.sink.abandoned)
            self.requests.clear()
        self.assert_settled()

    def test_why_it_was_lost(self) -> None:
        """A sink that is abandoned can tell why."""
        self.send(encode_head({"service": "store"}), finish=False)
        self.near.reset()
        self.network.settle()
        assert self.reply.failure is not None
        self.assertEqual((Outcome.RESET, 1), (self.reply.failure.outcome, self.sink.abandoned))

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

    def test_given_up_while_it_completes(self) -> None:
        """Whoever ends the exchange says how, not the service that is stopped by it in the middle of completing."""
        finishing: Deferred[None] = Deferred()
        self.sink.finishing = finishing
        self.patch(self.sink, "abandon", lambda: finishing.errback(ExchangeFailed(Outcome.RESET, "given up")))
        got = self.send(message({}, b"", {}))
        self.reply.fail(ExchangeFailed(Outcome.REFUSED, "enough"))
        self.network.settle()
        self.assertEqual({"outcome": "refused", "reason": "enough"}, self.replied(got))
        self.assert_settled()

    def test_lost_while_it_completes(self) -> None:
        """A service that is done, or fails, after its sender has gone tells nobody."""
        for result in (None, ExchangeFailed(Outcome.REFUSED, "full"), ZeroDivisionError()):
            self.sink = Gatherer()
            finishing: Deferred[None] = Deferred()
            self.sink.finishing = finishing
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
        finishing: Deferred[None] = Deferred()
        self.sink.finishing = finishing
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


class _Log:
    """A logger that keeps its events."""

    def __init__(self, told: list[dict[str, Any]]) -> None:
        self._told = told

    def info(self, format: str, **fields: Any) -> None:  # noqa: A002 - as Twisted names it
        self._told.append({"log_format": format, **fields})

    def failure(self, format: str, failure: Failure, **fields: Any) -> None:  # noqa: A002 - as Twisted names it
        failure.raiseException()

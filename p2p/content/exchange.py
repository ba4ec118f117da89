"""One exchange on one stream: a request and its reply, as the initiator runs it and as the other side serves it.

Every exchange ends with exactly one :class:`~p2p.errors.Outcome`. The initiator learns it from the reply's tail, or
finds it itself when no such tail comes: the stream was reset, the message is truncated, nothing moved for too long.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.content.message import Body, Head, MessageDecoder, encode_chunk, encode_head, encode_tail
from p2p.errors import ExchangeFailed, Outcome, P2PError, ProtocolViolation
from p2p.link.boxes import Box, text_of
from p2p.link.flow import Stream

__all__ = ["MessageWriter", "Request", "Result", "Serving", "Sink", "Source", "Watch", "perform"]

MAX_REASON = 500
"""Characters of a reason that are shown, whatever the other side sent."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the head of a request says; everything in it is the other side's word.

    :ivar service: the content service that shall take it.
    :ivar type: the content type: ``text``, ``audio``, ``video``, ``data``.
    :ivar name: the content's name, empty if it has none.
    :ivar length: bytes of the body, None if unknown beforehand.
    :ivar encoding: of text, ``utf-8`` unless it says otherwise.
    :ivar sender: the peer at the other end of the link, proved by its certificate.
    """

    service: str
    type: str = "data"
    name: str = ""
    length: int | None = None
    encoding: str = "utf-8"
    sender: str = ""

    def fields(self) -> dict[str, str]:
        """The head's box."""
        fields = {"service": self.service, "type": self.type, "name": self.name, "encoding": self.encoding}
        if self.length is not None:
            fields["length"] = str(self.length)
        return fields

    @classmethod
    def parse(cls, box: Box, sender: str) -> Request:
        """Read a head.

        :raises ProtocolViolation: if a value isn't UTF-8 or the length isn't a number of bytes.
        """
        digits = box.get("length")
        if digits is not None and not (digits.isdigit() and len(digits) <= 18):
            raise ProtocolViolation("the length in a request's head isn't a number of bytes")
        return cls(
            service=text_of(box, "service"),
            type=text_of(box, "type", "data"),
            name=text_of(box, "name"),
            length=None if digits is None else int(digits),
            encoding=text_of(box, "encoding", "utf-8"),
            sender=sender,
        )


class Source(Protocol):
    """Where the body of a request comes from."""

    async def open(self) -> int | None:
        """Get ready and return the length in bytes, None if it isn't known beforehand."""

    async def send(self, consumer: MessageWriter) -> Mapping[str, str | bytes]:
        """Produce the body into the consumer and return the fields of the tail."""

    def close(self) -> None:
        """Let go of everything, at whatever point."""


class Sink(Protocol):
    """Where a body goes. Also an ``IConsumer``: registered with the stream it may pause."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Get the stream to pause and resume."""

    def unregisterProducer(self) -> None:
        """The body has ended."""

    def write(self, data: bytes | memoryview) -> None:
        """Take bytes; raises ``ExchangeFailed`` to end the exchange."""

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """Everything came: finish, and return the fields of the reply's tail; raises ``ExchangeFailed``."""

    def abandon(self) -> None:
        """The exchange failed: undo what was begun."""


@implementer(IConsumer)
class MessageWriter:
    """Writes one message to a stream: the head with the first bytes, chunks, the tail.

    :ivar body_bytes: bytes of the body written so far.
    """

    def __init__(self, stream: Stream, head: Mapping[str, str | bytes]) -> None:
        self.stream = stream
        self._head: Mapping[str, str | bytes] | None = head
        self.body_bytes = 0
        self.ended = False

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have the stream pace the producer."""
        self.stream.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """The producer is done."""
        self.stream.unregisterProducer()

    def begin(self) -> None:
        """Send the head now."""
        if self._head is not None:
            self.stream.write(encode_head(self._head))
            self._head = None

    def write(self, data: bytes | memoryview) -> None:
        """Send some bytes of the body."""
        self.begin()
        self.body_bytes += len(data)
        for piece in encode_chunk(data):
            self.stream.write(piece)

    def end(self, tail: Mapping[str, str | bytes]) -> None:
        """Send the tail and end our direction of the stream."""
        if not self.ended:
            self.begin()
            self.ended = True
            self.stream.write(encode_tail(tail))
            self.stream.finish()


@dataclass(slots=True)
class Result:
    """How an exchange that ended ``ok`` went, by the initiator's clock (ns, monotonic).

    :ivar tail: what the service said of it, such as the receipt of ``store``.
    """

    bytes: int
    reply_bytes: int
    planned_ns: int
    first_byte_ns: int
    end_ns: int
    sent: Mapping[str, str] = field(default_factory=dict)
    tail: Mapping[str, str] = field(default_factory=dict)


class Watch:
    """Tells when nothing has moved for too long, to within a quarter of the time."""

    def __init__(self, clock: IReactorTime, silence_s: float, progress: Callable[[], int], expired: Callable[[], None]):
        self._clock = clock
        self._silence_s = silence_s
        self._progress = progress
        self._expired = expired
        self._seen = progress()
        self._moved = clock.seconds()
        self._call: IDelayedCall | None = clock.callLater(silence_s / 4, self._look)

    def stop(self) -> None:
        """Watch no more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._call = None
        now, seen = self._clock.seconds(), self._progress()
        if seen != self._seen:
            self._seen, self._moved = seen, now
        elif now - self._moved >= self._silence_s:
            self._expired()
            return
        self._call = self._clock.callLater(self._silence_s / 4, self._look)


class _MessageReceiver(ABC):
    """Decodes one message from a stream; what breaks it ends this stream only."""

    def __init__(self, stream: Stream, limit: int) -> None:
        self.stream = stream
        self._decoder = MessageDecoder(limit)

    def data_received(self, data: memoryview) -> None:
        try:
            for event in self._decoder.feed(data):
                if isinstance(event, Body):
                    self.on_body(event.data)
                elif isinstance(event, Head):
                    self.on_head(event.box)
                else:
                    self.on_tail(event.box)
        except ProtocolViolation as error:
            self.stream.reset()
            self.broken(ExchangeFailed(Outcome.CORRUPT, str(error)))

    def ended(self) -> None:
        if not self._decoder.complete:
            self.stream.reset()
            self.broken(ExchangeFailed(Outcome.TRUNCATED, "the message ended before its tail"))

    def lost(self, failure: ExchangeFailed) -> None:
        self.broken(failure)

    @abstractmethod
    def on_head(self, box: Box) -> None:
        """The message begins."""

    @abstractmethod
    def on_body(self, data: memoryview) -> None:
        """Some bytes of the body came."""

    @abstractmethod
    def on_tail(self, box: Box) -> None:
        """The message is complete."""

    @abstractmethod
    def broken(self, failure: ExchangeFailed) -> None:
        """The message won't be completed."""


class _Reply(_MessageReceiver):
    """The initiator's side of a reply."""

    def __init__(self, stream: Stream, limit: int, sink: Sink, now_ns: Callable[[], int]) -> None:
        super().__init__(stream, limit)
        self._sink = sink
        self._now_ns = now_ns
        self.first_byte_ns: int | None = None
        self.body_bytes = 0
        self.finished: Deferred[Box] = Deferred(lambda _: None)

    def data_received(self, data: memoryview) -> None:
        if self.first_byte_ns is None:
            self.first_byte_ns = self._now_ns()
        super().data_received(data)

    def on_head(self, box: Box) -> None:
        self._sink.registerProducer(self.stream, True)

    def on_body(self, data: memoryview) -> None:
        self.body_bytes += len(data)
        try:
            self._sink.write(data)
        except P2PError as error:
            self.stream.reset()
            self._fail(error)

    def on_tail(self, box: Box) -> None:
        self._sink.unregisterProducer()
        outcome = text_of(box, "outcome")
        if outcome not in set(Outcome):
            raise ProtocolViolation(f"{outcome[:40]!r} is no outcome of an exchange")
        if outcome == Outcome.OK:
            if not self.finished.called:
                self.finished.callback(box)
        else:
            self._fail(ExchangeFailed(Outcome(outcome), _shown(text_of(box, "reason")) or "no reason was given"))

    def broken(self, failure: ExchangeFailed) -> None:
        self._fail(failure)

    def _fail(self, error: Exception) -> None:
        if not self.finished.called:
            self.finished.errback(Failure(error))


async def perform(
    stream: Stream,
    request: Request,
    source: Source,
    sink: Sink,
    *,
    clock: IReactorTime,
    now_ns: Callable[[], int],
    planned_ns: int,
    silence_s: float,
    header_bytes: int,
) -> Result:
    """Run one exchange as its initiator; the source must be open, and is the caller's to close.

    :param silence_s: seconds without a byte either way after which the exchange is given up.
    :raises ExchangeFailed: with the outcome, whenever it isn't ``ok``.
    :raises LocalFileError: if the source or the sink fails on this side; the stream is reset.
    """
    reply = _Reply(stream, header_bytes, sink, now_ns)
    writer = MessageWriter(stream, request.fields())
    watch = Watch(
        clock,
        silence_s,
        lambda: stream.sent + stream.received,
        lambda: reply.broken(ExchangeFailed(Outcome.TIMEOUT, f"nothing moved for {silence_s:g} s")),
    )
    stream.receive_with(reply)
    sent: dict[str, str] = {}

    async def send() -> None:
        tail = await source.send(writer)
        sent.update({key: value for key, value in tail.items() if isinstance(value, str)})
        writer.end(tail)

    sending = Deferred.fromCoroutine(send())
    sending.addErrback(lambda failure: None if reply.finished.called else reply.finished.errback(failure))
    try:
        tail = await reply.finished
        end_ns = now_ns()
        await sink.complete(tail)
        if not writer.ended:
            raise ExchangeFailed(Outcome.CORRUPT, "the other side said ok before it had everything")
    except BaseException:
        stream.reset()
        sink.abandon()
        raise
    finally:
        watch.stop()
        sending.cancel()
    return Result(
        bytes=writer.body_bytes,
        reply_bytes=reply.body_bytes,
        planned_ns=planned_ns,
        first_byte_ns=reply.first_byte_ns or end_ns,
        end_ns=end_ns,
        sent=sent,
        tail={key: _shown(text_of(tail, key)) for key in tail},
    )


class Serving(_MessageReceiver):
    """The receiving peer's side of one exchange: from the request's head to the reply's tail.

    :param accept: finds the service and returns its sink; raises ``ExchangeFailed`` to refuse.
    """

    _log = Logger()

    def __init__(
        self,
        stream: Stream,
        sender: str,
        accept: Callable[[Request, MessageWriter], Sink],
        *,
        clock: IReactorTime,
        silence_s: float,
        header_bytes: int,
    ) -> None:
        super().__init__(stream, header_bytes)
        self._sender = sender
        self._accept = accept
        self._sink: Sink | None = None
        self._reply = MessageWriter(stream, {})
        self._request: Request | None = None
        self._over = False
        self._watch = Watch(clock, silence_s, lambda: stream.sent + stream.received, lambda: self._silent(silence_s))
        stream.receive_with(self)

    def on_head(self, box: Box) -> None:
        self._request = Request.parse(box, self._sender)
        try:
            self._sink = self._accept(self._request, self._reply)
        except ExchangeFailed as failure:
            self._finish(failure.outcome, {"reason": str(failure)})
            return
        self._sink.registerProducer(self.stream, True)

    def on_body(self, data: memoryview) -> None:
        if self._over or self._sink is None:
            return
        try:
            self._sink.write(data)
        except ExchangeFailed as failure:
            self._sink.abandon()
            self._finish(failure.outcome, {"reason": str(failure)})

    def on_tail(self, box: Box) -> None:
        if self._over or self._sink is None:
            return
        self._sink.unregisterProducer()
        Deferred.fromCoroutine(self._complete(self._sink, box)).addErrback(self._failed)

    async def _complete(self, sink: Sink, tail: Box) -> None:
        fields = await sink.complete(tail)
        self._finish(Outcome.OK, fields)

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, ExchangeFailed):
            outcome, reason = error.outcome, str(error)
        else:
            outcome, reason = Outcome.RESET, "the service failed; its log says why"
            self._log.failure("service {service} failed", failure, service=self._request and self._request.service)
        assert self._sink is not None
        self._sink.abandon()
        self._finish(outcome, {"reason": reason})

    def broken(self, failure: ExchangeFailed) -> None:
        self._watch.stop()
        if self._over:
            return
        self._over = True
        if self._request is not None:
            self._log.info(
                "exchange with {sender} ended: {outcome} ({service} {name!r}: {reason})",
                sender=self._sender,
                outcome=failure.outcome,
                service=self._request.service[:40],
                name=self._request.name[:80],
                reason=str(failure),
            )
        if self._sink is not None:
            self._sink.abandon()

    def ended(self) -> None:
        super().ended()
        if self._over:
            self._watch.stop()

    def _finish(self, outcome: Outcome, fields: Mapping[str, str | bytes]) -> None:
        """Send the reply's tail; what still comes of a refused request is read by nobody and gets no credit."""
        if self._over:
            return
        self._over = True
        self._reply.end({"outcome": outcome.value, **fields})
        if self._decoder.complete:
            self._watch.stop()
        else:
            self.stream.pauseProducing()

    def _silent(self, silence_s: float) -> None:
        self.stream.reset()
        self.broken(ExchangeFailed(Outcome.TIMEOUT, f"nothing moved for {silence_s:g} s"))


def _shown(text: str) -> str:
    """Cut a remote text and take control characters out, before it reaches a log or a screen."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:MAX_REASON])

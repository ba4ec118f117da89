"""One exchange on one stream: a request and its reply, as the initiator runs it and as the other side serves it.

Every exchange ends with exactly one :class:`~p2p.errors.Outcome`. The initiator learns it from the reply's tail, or
finds it itself when no such tail comes: the stream was reset, the message is truncated, nothing moved for too long.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.content.message import Body, Head, MessageDecoder, encode_chunk, encode_head, encode_tail
from p2p.control.texts import printable
from p2p.errors import ExchangeFailed, Outcome, P2PError, ProtocolViolation
from p2p.link.boxes import Box, text_of
from p2p.link.flow import Stream
from p2p.link.pieces import SMALL

__all__ = ["MessageWriter", "Request", "Result", "Serving", "Sink", "Source", "Watch", "perform"]

_log = Logger()


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
        pieces = encode_chunk(data)
        for piece in [b"".join(pieces)] if 0 < len(data) < SMALL else pieces:
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
    """Decodes one message from a stream; what breaks it ends this stream only.

    It watches the stream until both directions have ended, because a side that never ends its own would keep it open.
    """

    def __init__(self, stream: Stream, limit: int, clock: IReactorTime, silence_s: float) -> None:
        self.stream = stream
        self._decoder = MessageDecoder(limit)
        self._clock = clock
        self._silence_s = silence_s
        self._watch = Watch(clock, silence_s, lambda: stream.sent + stream.received, self._silent)

    def data_received(self, data: memoryview) -> None:
        try:
            for event in self._decoder.feed(data):
                if isinstance(event, Body):
                    self.on_body(event.data)
                elif isinstance(event, Head):
                    self.on_head(event.box)
                else:
                    self.on_tail(event.box)
                    self.stream.resumeProducing()  # whoever paused it is done; its end is still to come
        except ProtocolViolation as error:
            self.give_up(ExchangeFailed(Outcome.CORRUPT, str(error)))

    def ended(self) -> None:
        if not self._decoder.complete:
            self.give_up(ExchangeFailed(Outcome.TRUNCATED, "the message ended before its tail"))

    def settled(self) -> None:
        self._watch.stop()

    def lost(self, failure: ExchangeFailed) -> None:
        self._watch.stop()
        self.broken(failure)

    def give_up(self, failure: ExchangeFailed) -> None:
        """Reset the stream."""
        self._watch.stop()
        self.stream.reset()
        self.broken(failure)

    def _silent(self) -> None:
        self.give_up(ExchangeFailed(Outcome.TIMEOUT, f"nothing moved for {self._silence_s:g} s"))

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
    """The initiator's side of a reply.

    :ivar finished: fires with the tail's box and the texts in it when the reply says ``ok``, else with the failure.
    """

    def __init__(
        self,
        stream: Stream,
        sink: Sink,
        now_ns: Callable[[], int],
        *,
        clock: IReactorTime,
        silence_s: float,
        header_bytes: int,
    ) -> None:
        super().__init__(stream, header_bytes, clock, silence_s)
        self._sink = sink
        self._now_ns = now_ns
        self.first_byte_ns: int | None = None
        self.body_bytes = 0
        self.finished: Deferred[tuple[Box, dict[str, str]]] = Deferred()
        stream.receive_with(self)

    def data_received(self, data: memoryview) -> None:
        if self.first_byte_ns is None:
            self.first_byte_ns = self._now_ns()
        super().data_received(data)

    def on_head(self, box: Box) -> None:
        self._sink.registerProducer(self.stream, True)

    def on_body(self, data: memoryview) -> None:
        if self.finished.called:
            return
        self.body_bytes += len(data)
        try:
            self._sink.write(data)
        except P2PError as error:
            self.fail(error)

    def on_tail(self, box: Box) -> None:
        self._sink.unregisterProducer()
        fields = {key: printable(text_of(box, key)) for key in box}
        outcome = fields.get("outcome", "")
        if outcome not in set(Outcome):
            raise ProtocolViolation(f"{outcome[:40]!r} is no outcome of an exchange")
        if self.finished.called:
            return
        if outcome == Outcome.OK:
            self.finished.callback((box, fields))
        else:
            self.fail(ExchangeFailed(Outcome(outcome), fields.get("reason") or "no reason was given"))

    def broken(self, failure: ExchangeFailed) -> None:
        self.fail(failure)

    def fail(self, error: Exception) -> None:
        """End the exchange, unless it has ended."""
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
    reply = _Reply(stream, sink, now_ns, clock=clock, silence_s=silence_s, header_bytes=header_bytes)
    writer = MessageWriter(stream, request.fields())
    sent: dict[str, str] = {}

    async def send() -> None:
        tail = await source.send(writer)
        sent.update({key: value for key, value in tail.items() if isinstance(value, str)})
        writer.end(tail)

    def not_sent(failure: Failure) -> None:
        if not reply.finished.called:
            reply.finished.errback(failure)
        elif not failure.check(CancelledError, P2PError):
            _log.failure("the source of an exchange failed after its end", failure)

    sending = Deferred.fromCoroutine(send())
    sending.addErrback(not_sent)
    try:
        box, fields = await reply.finished
        end_ns = now_ns()
        if not writer.ended or stream.unsent:
            raise ExchangeFailed(Outcome.CORRUPT, "the other side said ok before it had everything")
        await sink.complete(box)
    except Exception:
        reply.give_up(ExchangeFailed(Outcome.RESET, "the exchange is over"))
        sending.cancel()
        sink.abandon()
        raise
    return Result(
        bytes=writer.body_bytes,
        reply_bytes=reply.body_bytes,
        planned_ns=planned_ns,
        first_byte_ns=end_ns if reply.first_byte_ns is None else reply.first_byte_ns,
        end_ns=end_ns,
        sent=sent,
        tail=fields,
    )


class Serving(_MessageReceiver):
    """The receiving peer's side of one exchange: from the request's head to the reply's tail.

    Services are plugins: one with a fault ends the exchange that met it, not the link and all that goes over it.

    :param accept: finds the service and returns its sink; raises ``ExchangeFailed`` to refuse.
    """

    _log = _log

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
        super().__init__(stream, header_bytes, clock, silence_s)
        self._sender = sender
        self._accept = accept
        self._sink: Sink | None = None
        self._reply = MessageWriter(stream, {})
        self._request: Request | None = None
        self._over = False
        stream.receive_with(self)

    def on_head(self, box: Box) -> None:
        self._request = Request.parse(box, self._sender)
        try:
            self._sink = self._accept(self._request, self._reply)
            self._sink.registerProducer(self.stream, True)
        except Exception as error:  # noqa: BLE001 - whatever a service raises: it is logged and told
            self._fail(error)

    def on_body(self, data: memoryview) -> None:
        if self._sink is not None:
            try:
                self._sink.write(data)
            except Exception as error:  # noqa: BLE001 - whatever a service raises: it is logged and told
                self._fail(error)

    def on_tail(self, box: Box) -> None:
        if self._sink is not None:
            self._sink.unregisterProducer()
            completing = Deferred.fromCoroutine(self._complete(self._sink, box))
            completing.addErrback(lambda failure: self._log.failure("an exchange can't be ended", failure))

    async def _complete(self, sink: Sink, tail: Box) -> None:
        try:
            fields = await sink.complete(tail)
        except Exception as error:  # noqa: BLE001 - whatever a service raises: it is logged and told
            self._fail(error)
        else:
            self._finish(Outcome.OK, fields)

    def broken(self, failure: ExchangeFailed) -> None:
        if self._over:
            return
        self._over = True
        if self._request is not None:
            self._log.info(
                "exchange with {sender} ended: {outcome} ({service!r} {name!r}: {reason})",
                sender=self._sender,
                outcome=failure.outcome,
                service=self._request.service[:40],
                name=self._request.name[:80],
                reason=str(failure),
            )
        self._abandon()

    def ended(self) -> None:
        if not self._over:
            super().ended()

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, ExchangeFailed):
            outcome, reason = error.outcome, str(error)
        else:
            outcome, reason = Outcome.RESET, "the service failed; the log of the receiver says why"
            self._log_fault(error)
        self._abandon()
        self._finish(outcome, {"reason": reason})

    def _abandon(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                sink.abandon()
            except Exception as error:  # noqa: BLE001 - whatever a service raises: it is logged
                self._log_fault(error)

    def _log_fault(self, error: BaseException) -> None:
        service = self._request.service[:40] if self._request is not None else ""
        self._log.failure("service {service!r} failed", Failure(error), service=service)

    def _finish(self, outcome: Outcome, fields: Mapping[str, str | bytes]) -> None:
        """Send the reply's tail; what still comes of a refused request is dropped and gets no credit."""
        if self._over:
            return
        self._over = True
        self._sink = None
        self._reply.end({"outcome": outcome.value, **fields})
        if not self._decoder.complete:
            self.stream.discard()
            # Its sender has this long to let go, whether it goes on sending or not.
            self._watch.stop()
            self._watch = Watch(self._clock, self._silence_s, lambda: 0, self._silent)

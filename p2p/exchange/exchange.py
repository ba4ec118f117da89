"""One exchange on one stream: a request and its reply, as the initiator runs it and as the other side serves it.

Every exchange ends with exactly one :class:`~p2p.base.errors.Outcome`. The initiator learns it from the reply's tail,
or finds it itself when no such tail comes: the stream was reset, the message is truncated, nothing moved for too long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2p.base.errors import CancelledThere, ExchangeFailed, Outcome, P2PError, ProtocolViolation
from p2p.base.log_gate import LogGate
from p2p.base.texts import printable
from p2p.exchange.message_streams import MessageReceiver, MessageWriter, ReplyWriter, Watch
from p2p.exchange.request import Request, Sink, Source
from p2p.link.boxes import Box, text_of
from p2p.link.flow import Stream

__all__ = ["MessageWriter", "ReplyWriter", "Request", "Result", "Serving", "Sink", "Source", "Watch", "perform"]

CANCELLED: Final = "cancelled"
"""The field of a reply's tail that tells what was given up for good from what is refused."""

_log = Logger()


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


class _Reply(MessageReceiver):
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
            return
        reason = fields.get("reason") or "no reason was given"
        is_cancelled = outcome == Outcome.REFUSED and CANCELLED in fields
        self.fail(CancelledThere(reason) if is_cancelled else ExchangeFailed(Outcome(outcome), reason))

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


class Serving(MessageReceiver):
    """The receiving peer's side of one exchange: from the request's head to the reply's tail.

    Services are plugins: one with a fault ends the exchange that met it, not the link and all that goes over it.

    :param accept: finds the service and returns its sink; raises ``ExchangeFailed`` to refuse.
    :param gate: what the sender can provoke in the log passes here; one of its own if left out.
    :param refused: is called if the exchange is refused, or fails otherwise, before it has come to its end.
    """

    _log = Logger()

    def __init__(
        self,
        stream: Stream,
        sender: str,
        accept: Callable[[Request, ReplyWriter], Sink],
        *,
        clock: IReactorTime,
        silence_s: float,
        header_bytes: int,
        gate: LogGate | None = None,
        refused: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(stream, header_bytes, clock, silence_s)
        self._gate = gate or LogGate(clock)
        self._refused = refused
        self._sender = sender
        self._accept = accept
        self._sink: Sink | None = None
        self._reply = ReplyWriter(stream, {}, self._fail, self.keep_open)
        self._request: Request | None = None
        self._over = False
        stream.receive_with(self)

    def on_head(self, box: Box) -> None:
        self._request = Request.parse(box, self._sender)
        try:
            self._sink = self._accept(self._request, self._reply)
            if self._over:  # the service has ended it already
                self._abandon()
            else:
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
            if self._sink is sink:
                self._fail(error)
            elif not isinstance(error, ExchangeFailed):
                self._log_fault(error)  # the exchange was broken off before, and that is what is told
        else:
            self._finish(Outcome.OK, fields)

    def broken(self, failure: ExchangeFailed) -> None:
        if self._over:
            return
        self._over = True
        self._reply.failure = failure
        if self._request is not None:
            self._gate.info(
                self._log,
                self._sender,
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
        if not self._over:
            self._reply.failure = ExchangeFailed(outcome, reason)
            self._refused()
        self._abandon()
        if self._reply.ended and not self._over:  # it has said ok already, so only a reset can tell
            self._over = True
            self._watch.stop()
            self.stream.reset()
            return
        cancelled = {CANCELLED: "1"} if isinstance(error, CancelledThere) else {}
        self._finish(outcome, {"reason": reason, **cancelled})

    def _abandon(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                sink.abandon()
            except Exception as error:  # noqa: BLE001 - whatever a service raises: it is logged
                self._log_fault(error)

    def _log_fault(self, error: BaseException) -> None:
        service = self._request.service[:40] if self._request is not None else ""
        self._gate.failure(self._log, self._sender, "service {service!r} failed", Failure(error), service=service)

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

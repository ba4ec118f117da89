"""The receiving peer's side of an exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange.request import Request, Sink
from p2p.exchange.watching import MessageReceiver, Watch
from p2p.exchange.writer import ReplyWriter
from p2p.link.boxes import Box
from p2p.link.flow import Stream

__all__ = ["Serving"]


class Serving(MessageReceiver):
    """The receiving peer's side of one exchange: from the request's head to the reply's tail.

    Services are plugins: one with a fault ends the exchange that met it, not the link and all that goes over it.

    :param accept: finds the service and returns its sink; raises ``ExchangeFailed`` to refuse.
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
    ) -> None:
        super().__init__(stream, header_bytes, clock, silence_s)
        self._sender = sender
        self._accept = accept
        self._sink: Sink | None = None
        self._reply = ReplyWriter(stream, {}, self._fail)
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
        if not self._over:
            self._reply.failure = ExchangeFailed(outcome, reason)
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

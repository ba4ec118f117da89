"""An exchange whose request and reply flow at the same time, each for as long as whoever writes it wants.

The end that began it uses :class:`Duplex`; at the other end a service takes the request's body and writes the reply's,
as ever. Each direction ends by itself (half-close): its message has a tail then.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime

from p2p.base.errors import ExchangeFailed, Outcome, ProtocolViolation
from p2p.base.texts import printable
from p2p.exchange.message_streams import MessageReceiver, MessageWriter
from p2p.exchange.request import Request
from p2p.link.boxes import Box, text_of
from p2p.link.flow import Stream

__all__ = ["Duplex", "DuplexEnd"]


class DuplexEnd(Protocol):
    """Whoever uses a :class:`Duplex`: it is told what comes, and at last of exactly one of ``ended`` and ``broken``."""

    def came(self, data: memoryview) -> None:
        """Some bytes of the reply's body came."""

    def ended(self) -> None:
        """The other end sends nothing more, and all that it sent has come; this end may still send."""

    def broken(self, failure: ExchangeFailed) -> None:
        """The exchange was refused, or is broken off; nothing goes either way any more."""


class Duplex(MessageReceiver):
    """This end of the exchange, its stream given; the request's head is sent at once.

    Until :meth:`keep_open` is called it is given up when nothing moves for ``silence_s`` seconds.
    """

    def __init__(
        self,
        stream: Stream,
        request: Request,
        end: DuplexEnd,
        *,
        clock: IReactorTime,
        silence_s: float,
        header_bytes: int,
    ) -> None:
        super().__init__(stream, header_bytes, clock, silence_s)
        self._writer = MessageWriter(stream, request.fields())
        self._end = end
        self._told = False
        stream.receive_with(self)
        self._writer.begin()

    # -- what goes out ----------------------------------------------------------------------------------------

    def write(self, data: bytes | memoryview) -> None:
        """Send some bytes of the request's body; they must not change afterwards."""
        if not self._writer.ended:
            self._writer.write(data)

    def finish(self) -> None:
        """Send nothing more after what is queued."""
        self._writer.end({})

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have the stream pace a producer."""
        self.stream.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """The producer is done."""
        self.stream.unregisterProducer()

    def abort(self) -> None:
        """Give the exchange up, both ways and at once; nothing more is told."""
        self._told = True
        self.give_up(ExchangeFailed(Outcome.RESET, "the exchange was given up"))

    # -- what comes in ----------------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Deliver nothing for now."""
        self.stream.pauseProducing()

    def resumeProducing(self) -> None:
        """Deliver again."""
        self.stream.resumeProducing()

    def on_head(self, box: Box) -> None:
        """What a head says is in the reply's body or tail."""

    def on_body(self, data: memoryview) -> None:
        if not self._told:
            self._end.came(data)

    def on_tail(self, box: Box) -> None:
        outcome = text_of(box, "outcome")
        if outcome not in set(Outcome):
            raise ProtocolViolation(f"{outcome[:40]!r} is no outcome of an exchange")
        if self._told:
            return
        self._told = True
        if outcome == Outcome.OK:
            self._end.ended()
            return
        reason = printable(text_of(box, "reason"))[:300] or "no reason was given"
        self.give_up(ExchangeFailed(Outcome(outcome), reason))
        self._end.broken(ExchangeFailed(Outcome(outcome), reason))

    def broken(self, failure: ExchangeFailed) -> None:
        if not self._told:
            self._told = True
            self._end.broken(failure)

"""An exchange whose request and reply flow at the same time, each for as long as whoever writes it wants.

The end that began it uses :class:`Duplex`. At the other end a service takes the request's body and writes the reply's,
as ever, or uses :class:`DuplexAnswer`, which is the same thing from that side: there the head of the reply, with
``joined`` in it, says that everything stands. Each direction ends by itself (half-close): its message has a tail then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from p2p.base.errors import ExchangeFailed, Outcome, ProtocolViolation
from p2p.base.texts import printable
from p2p.exchange.message_streams import MessageReceiver, MessageWriter, ReplyWriter
from p2p.exchange.request import BaseSink, Request
from p2p.link.boxes import Box, text_of
from p2p.link.flow import Stream

__all__ = ["JOINED", "Duplex", "DuplexAnswer", "DuplexEnd"]

JOINED: Final = "joined"
"""The field of a reply's head which says that both ends are there."""


class DuplexEnd(Protocol):
    """Whoever uses such an exchange: it is told what comes, and at last of exactly one of ``ended`` and ``broken``.

    An end that has been told ``ended`` may still be told ``broken``, as long as it sends.
    """

    def came(self, data: memoryview) -> None:
        """Some bytes of the other's body came."""

    def ended(self) -> None:
        """The other end sends nothing more, and all that it sent has come; this end may still send."""

    def broken(self, failure: ExchangeFailed) -> None:
        """The exchange was refused, or is broken off; nothing goes either way any more."""


class Duplex(MessageReceiver):
    """This end of the exchange, its stream given; the request's head is sent at once.

    Until :meth:`keep_open` is called it is given up when nothing moves for ``silence_s`` seconds.

    :param joined: is called when the other end says that everything stands, if it does.
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
        joined: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(stream, header_bytes, clock, silence_s)
        self._writer = MessageWriter(stream, request.fields())
        self._end = end
        self._joined = joined
        self._told = False
        stream.receive_with(self)
        self._writer.begin()

    # -- what goes out ----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Both ends are there. From now on nothing need move; whoever uses this sees to its end."""
        self.keep_open()

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
        """Whatever else a head says is in the reply's body or tail."""
        if JOINED in box and not self._told:
            self._joined()

    def on_body(self, data: memoryview) -> None:
        if not self._told:
            self._end.came(data)

    def on_tail(self, box: Box) -> None:
        outcome = text_of(box, "outcome")
        if outcome not in set(Outcome):
            raise ProtocolViolation(f"{outcome[:40]!r} is no outcome of an exchange")
        if self._told:
            return
        if outcome == Outcome.OK:
            self._end.ended()
            return
        self._told = True
        reason = printable(text_of(box, "reason"))[:300] or "no reason was given"
        self.give_up(ExchangeFailed(Outcome(outcome), reason))
        self._end.broken(ExchangeFailed(Outcome(outcome), reason))

    def broken(self, failure: ExchangeFailed) -> None:
        if not self._told:
            self._told = True
            self._end.broken(failure)


class DuplexAnswer:
    """The other end of it, from a request that a service takes: a :class:`Duplex` from that side.

    Nothing is delivered before :meth:`begin`, and whoever began the exchange sends nothing before that.

    :param end: is told what comes; it may be replaced until then.
    :ivar sink: what the service returns.
    """

    def __init__(self, reply: ReplyWriter, end: DuplexEnd) -> None:
        self.end = end
        self.sink = _Asked(self)
        self.reply = reply
        self.joined = False
        self.failure: ExchangeFailed | None = None
        self.finished: Deferred[None] = Deferred()

    def begin(self) -> None:
        """Both ends are there: say so. From now on nothing need move; whoever uses this sees to its end."""
        self.joined = True
        self.reply.keep_open()
        self.reply.begin({JOINED: "yes"})

    def write(self, data: bytes | memoryview) -> None:
        """Send some bytes of the reply's body; they must not change afterwards."""
        if not self.reply.ended:
            self.reply.write(data)

    def finish(self) -> None:
        """Send nothing more after what is queued."""
        if not self.finished.called:
            self.reply.end({"outcome": Outcome.OK.value})
            self.finished.callback(None)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have the stream pace a producer."""
        self.reply.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """The producer is done."""
        self.reply.unregisterProducer()

    def pauseProducing(self) -> None:
        """Deliver nothing for now."""
        self.sink.stream.pauseProducing()

    def resumeProducing(self) -> None:
        """Deliver again."""
        self.sink.stream.resumeProducing()

    def abort(self) -> None:
        """Give the exchange up, both ways and at once; nothing more is told."""
        self.fail(ExchangeFailed(Outcome.RESET, "the other end has broken it off"))

    def fail(self, failure: ExchangeFailed) -> None:
        """The same, and say why."""
        if self.failure is None:
            self.failure = failure
            self.reply.fail(failure)


class _Asked(BaseSink):
    """Where the request's body goes."""

    stream: Any  # from registerProducer on, which comes before all else

    def __init__(self, answer: DuplexAnswer) -> None:
        self._answer = answer

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Get the stream to pause."""
        self.stream = producer

    def write(self, data: bytes | memoryview) -> None:
        """Pass bytes on."""
        self._check()
        self._answer.end.came(memoryview(data))

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """Tell of the end of this direction, and wait for that of the other."""
        self._check()
        self._answer.end.ended()
        await self._answer.finished
        if self._answer.failure is not None:
            raise self._answer.failure
        return {}

    def abandon(self) -> None:
        """It is over before its time."""
        answer = self._answer
        if answer.failure is None:
            answer.failure = answer.reply.failure or ExchangeFailed(Outcome.RESET, "the exchange is over")
            answer.end.broken(answer.failure)
        if not answer.finished.called:
            answer.finished.callback(None)

    def _check(self) -> None:
        if not self._answer.joined:
            raise ExchangeFailed(Outcome.CORRUPT, "it sends before both ends are there")

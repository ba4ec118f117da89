"""The service ``pipe``: whoever asks is joined with a program on this side that waits for that.

Whoever comes while nobody listens waits for a few seconds. Once both are there, the head of the reply has ``joined``,
and from then on each body is what that side sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from p2p.base.errors import ExchangeFailed, InvalidRequest, Outcome
from p2p.base.log_gate import LogGate
from p2p.exchange.duplex import DuplexAnswer
from p2p.exchange.exchange import ReplyWriter, Request, Sink
from p2p.exchange.rules import Offer, Rule
from p2p.exchange.service import Context, IContentService

__all__ = ["PIPE", "PipeRoom", "PipeVisitor", "pipe"]

PIPE: Final = "pipe"
"""The name of the service."""

WAIT_S: Final = 10.0
"""Seconds for which who comes waits for somebody to listen."""

WAITING: Final = 64
"""Peers that wait for one hosted peer at once; also how many programs listen there at once."""


class PipeVisitor:
    """Somebody who came: an end of the exchange (``DuplexEnd``) until it is joined with a program.

    :ivar answer: the exchange.
    """

    def __init__(self, sender: str, reply: ReplyWriter) -> None:
        self.sender = sender
        self.answer = DuplexAnswer(reply, self)
        self.gone: Deferred[None] = Deferred()

    def came(self, data: memoryview) -> None:
        """It sends nothing before it is joined."""

    def ended(self) -> None:
        """Nor does it end."""

    def broken(self, failure: ExchangeFailed) -> None:
        """It has left."""
        if not self.gone.called:
            self.gone.callback(None)


class PipeRoom:
    """Who listens at one hosted peer, and who waits for that."""

    _log = Logger()

    def __init__(self, clock: IReactorTime, peer: str, gate: LogGate | None = None) -> None:
        self._clock = clock
        self._peer = peer
        self._gate = gate or LogGate(clock)
        self._listeners: dict[Deferred[PipeVisitor], Rule] = {}
        self._visitors: dict[PipeVisitor, IDelayedCall] = {}

    @property
    def waiting(self) -> list[str]:
        """Who waits, the longest first."""
        return [visitor.sender for visitor in self._visitors]

    def listen(self, senders: Sequence[str]) -> Deferred[PipeVisitor]:
        """Wait for one peer whose name fits one of the patterns; cancel it to wait no more.

        :raises InvalidRequest: if too many listen.
        """
        if len(self._listeners) >= WAITING:
            raise InvalidRequest(f"{WAITING} programs listen at {self._peer} already; end some of them first")
        listener: Deferred[PipeVisitor] = Deferred(self._forget)
        self._listeners[listener] = Rule(senders=tuple(senders))
        self._match()
        return listener

    def come(self, request: Request, reply: ReplyWriter) -> Sink:
        """Have somebody wait to be joined, maybe for no time at all.

        :raises ExchangeFailed: with ``refused``, if too many wait.
        """
        if len(self._visitors) >= WAITING:
            raise ExchangeFailed(Outcome.REFUSED, f"{WAITING} peers wait at {self._peer} already; try again later")
        visitor = PipeVisitor(request.sender, reply)
        self._visitors[visitor] = self._clock.callLater(WAIT_S, self._in_vain, visitor)
        visitor.gone.addCallback(lambda _: self._leave(visitor))
        self._clock.callLater(0, self._match)  # not at once: the request isn't in the hands of its sink yet
        return visitor.answer.sink

    def close(self) -> None:
        """This peer stops: nobody is joined any more."""
        for visitor in list(self._visitors):
            visitor.answer.fail(ExchangeFailed(Outcome.RESET, f"{self._peer} is stopping"))
            self._leave(visitor)

    def _forget(self, listener: Deferred[PipeVisitor]) -> None:
        self._listeners.pop(listener, None)

    def _match(self) -> None:
        for listener, rule in list(self._listeners.items()):
            found = (one for one in self._visitors if rule.meets(Offer(one.sender, PIPE), "data"))
            visitor = next(found, None)
            if visitor is not None:
                del self._listeners[listener]
                self._leave(visitor)
                listener.callback(visitor)

    def _leave(self, visitor: PipeVisitor) -> None:
        call = self._visitors.pop(visitor, None)
        if call is not None and call.active():
            call.cancel()

    def _in_vain(self, visitor: PipeVisitor) -> None:
        self._leave(visitor)
        self._gate.info(
            self._log,
            visitor.sender,
            "{sender} wanted to be joined with a program of {peer}, and nobody listened",
            sender=visitor.sender,
            peer=self._peer,
        )
        there = f"nobody listens at {self._peer}; within {WAIT_S:g} s somebody has to say there: p2p pipe --listen"
        visitor.answer.fail(ExchangeFailed(Outcome.REFUSED, there))


@implementer(IContentService)
class _Pipe:
    name = PIPE

    def receive(self, request: Request, reply: ReplyWriter, context: Context) -> Sink:
        return context.of(PipeRoom).come(request, reply)


pipe = _Pipe()

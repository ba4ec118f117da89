"""The service ``tunnel``: a connection to a program that the peer's configuration opens to whoever asks.

The head of the request has the ``port``. A program that listens there and is open to the sender is dialled, and once
the connection stands, the head of the reply has ``joined``; from then on each body is what that side sends. Nothing is
dialled for whom nothing is opened. A head with ``dial: no`` only asks whether it would be: the reply's tail has ``to``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import TimeoutError as DialTimeout
from twisted.internet.interfaces import IAddress, IConnector
from twisted.internet.protocol import ClientFactory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.base.addresses import ProgramPlace
from p2p.base.errors import ExchangeFailed, Outcome
from p2p.base.log_gate import LogGate
from p2p.base.texts import printable
from p2p.exchange.duplex import DuplexAnswer
from p2p.exchange.exchange import ReplyWriter, Request, Sink
from p2p.exchange.request import BaseSink
from p2p.exchange.rules import Offer, Rule
from p2p.exchange.service import Context, IContentService
from p2p.link.boxes import Box
from p2p.link.flow import account_of
from p2p.services.splice import Splice

__all__ = ["DIAL", "TUNNEL", "Opening", "TunnelDoor", "tunnel"]

TUNNEL: Final = "tunnel"
"""The name of the service."""

DIAL: Final = "dial"
"""The field of a head that is ``no`` where nothing shall be dialled."""

DIAL_S: Final = 10.0
"""Seconds that a program has to take a connection."""

ALL: Final = 256
"""Connections through tunnels at once to what one hosted peer opens."""

EACH: Final = 64
"""Of them, those of one other peer."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A program that others may reach.

    :ivar to: where it listens.
    :ivar peers: patterns of the names of those who may.
    """

    to: ProgramPlace
    peers: tuple[str, ...]


class TunnelDoor:
    """What one hosted peer opens, and the connections to it.

    :param reactor: connects by TCP, and is the clock.
    """

    _log = Logger()

    def __init__(self, reactor: Any, peer: str, openings: Sequence[Opening] = (), gate: LogGate | None = None) -> None:
        self.reactor = reactor
        self.peer = peer
        self._openings = openings
        self._gate = gate or LogGate(reactor)
        self._tunnels: set[_Tunnel] = set()

    @property
    def joined(self) -> list[tuple[str, str]]:
        """The connections that stand or are being made: who has them, and where to."""
        return [(tunnel.sender, str(tunnel.to)) for tunnel in self._tunnels]

    def come(self, request: Request, reply: ReplyWriter) -> Sink:
        """Take a request for a connection, or for word whether one could be had.

        :raises ExchangeFailed: with ``refused``, if nothing is open to the sender there, or too much is in use.
        """
        to = self._granted(request)
        if request.more.get(DIAL) in (b"no", "no"):
            return _Word(to)
        sender = request.sender
        if len(self._tunnels) >= ALL or sum(tunnel.sender == sender for tunnel in self._tunnels) >= EACH:
            raise self._refusal(f"has {EACH} connections of {sender}, or {ALL} in all, its limit; end some first")
        tunnel = _Tunnel(self, sender, to, reply)
        self._tunnels.add(tunnel)
        tunnel.dial()
        return tunnel.answer.sink

    def close(self) -> None:
        """This peer stops: end every connection."""
        for tunnel in list(self._tunnels):
            tunnel.stop(ExchangeFailed(Outcome.RESET, f"{self.peer} is stopping"))

    def begun(self, tunnel: _Tunnel) -> None:
        """A connection stands."""
        text = "{peer}: {sender} has a connection to {to}"
        self._gate.info(self._log, tunnel.sender, text, peer=self.peer, sender=tunnel.sender, to=str(tunnel.to))

    def ended(self, tunnel: _Tunnel, moved: int) -> None:
        """It is over, and so many bytes went through it."""
        self._tunnels.discard(tunnel)
        if not tunnel.stood:
            return
        text = "{peer}: the connection of {sender} to {to} has ended after {moved} bytes"
        known = {"peer": self.peer, "sender": tunnel.sender, "to": str(tunnel.to), "moved": moved}
        self._gate.info(self._log, tunnel.sender, text, **known)

    def _granted(self, request: Request) -> ProgramPlace:
        offer = Offer(request.sender, TUNNEL)
        text = request.more.get("port", b"")
        port = printable(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)[:20]
        for opening in self._openings:
            if str(opening.to.port) == port and Rule(senders=opening.peers).meets(offer, request.type):
                return opening.to
        what = f"doesn't open port {port} to {request.sender}"
        raise self._refusal(f"{what}; 'tunnel:' in its YAML file says what is open to whom")

    def _refusal(self, why: str) -> ExchangeFailed:
        return ExchangeFailed(Outcome.REFUSED, f"{self.peer} {why}")


class _Word(BaseSink):
    """Takes a request that only asks."""

    def __init__(self, to: ProgramPlace) -> None:
        self._to = to

    def write(self, data: bytes | memoryview) -> None:
        """It has no body."""
        raise ExchangeFailed(Outcome.CORRUPT, "a question has no body")

    async def complete(self, tail: Box) -> dict[str, str | bytes]:
        """Say where a connection would lead."""
        return {"to": str(self._to)}


class _Tunnel(ClientFactory):
    """One connection: dialled, then joined with its exchange."""

    noisy = False

    def __init__(self, door: TunnelDoor, sender: str, to: ProgramPlace, reply: ReplyWriter) -> None:
        self.sender = sender
        self.to = to
        self.stood = False
        self._door = door
        self._connector: IConnector | None = None
        self._splice = Splice()
        self.answer = self._splice.carrier = DuplexAnswer(reply, self._splice)
        self._descriptor = account_of(reply.stream).files_open()
        self._splice.over.addBoth(self._over)

    def dial(self) -> None:
        """Have the program take a connection."""
        self._descriptor.set(1)
        self._connector = self._door.reactor.connectTCP(self.to.host, self.to.port, self, timeout=DIAL_S)

    def stop(self, failure: ExchangeFailed) -> None:
        """Break it off."""
        self.answer.fail(failure)
        self._splice.broken(failure)

    def buildProtocol(self, addr: IAddress | None) -> Splice:
        self.stood = True
        self._door.begun(self)
        return self._splice

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        where = f"{self._door.peer}'s {self.to}"
        if reason.check(Refused):
            failure = ExchangeFailed(Outcome.REFUSED, f"ECONNREFUSED at {where}: no program listens there")
        elif reason.check(DialTimeout):
            failure = ExchangeFailed(Outcome.TIMEOUT, f"{where} didn't take a connection within {DIAL_S:g} s")
        else:
            failure = ExchangeFailed(Outcome.REFUSED, f"{where} can't be reached: {reason.getErrorMessage()[:200]}")
        self.stop(failure)

    def _over(self, result: Any) -> None:
        self._descriptor.set(0)
        if self._connector is not None:
            self._connector.disconnect()  # if it is still connecting
        self._door.ended(self, self._splice.sent + self._splice.received)


@implementer(IContentService)
class _TunnelService:
    name = TUNNEL

    def receive(self, request: Request, reply: ReplyWriter, context: Context) -> Sink:
        return context.of(TunnelDoor).come(request, reply)


tunnel = _TunnelService()

"""Programs of two machines that are joined over a link, in memory: by tunnels, and by pipes."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from zope.interface import implementer

from p2p.base.addresses import parse_place
from p2p.exchange.duplex import Duplex
from p2p.exchange.exchange import Request
from p2p.peer.tunnels import TunnelConsole
from p2p.services.echo import echo, uppercase
from p2p.services.pipe import pipe
from p2p.services.splice import Splice
from p2p.services.tunnel import Opening, tunnel
from test.exchange.test_duplex import End
from test.peer.pair import N1, NodeCase, Pair

__all__ = ["Program", "ProgramCase"]

LOCAL = 7000
"""The port of n1.n's machine behind which the programs there are."""


@implementer(IHalfCloseableProtocol)
class Program(Protocol):
    """Keeps what it gets."""

    transport: Any

    def __init__(self) -> None:
        self.data = bytearray()
        self.half = False
        self.gone = ""

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def readConnectionLost(self) -> None:
        self.half = True

    def writeConnectionLost(self) -> None:
        """It has said so itself."""

    def connectionLost(self, reason: Any = None) -> None:
        self.gone = type(reason.value).__name__


class ProgramPair(Pair):
    services = (uppercase, echo, tunnel, pipe)


class ProgramCase(NodeCase):
    """n1.n, and m4.m, which opens 127.0.0.1:22 to n1.n and [::1]:80 to m's.

    :ivar here: the programs whose connections n1.n's daemon got.
    :ivar there: those that m4.m's machine dialled.
    :ivar events: what the console told.
    """

    def setUp(self) -> None:
        """Nothing listens yet."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.pair = ProgramPair(folder)
        openings = (
            Opening(parse_place("[::1]:22"), ("*.x",)),
            Opening(parse_place("127.0.0.1:22"), ("n1.n",)),
            Opening(parse_place("[::1]:80"), ("*.m",)),
        )
        self.m4 = self.pair.host("m4.m", "192.0.2.3", openings=openings)
        self.here: list[Program] = []
        self.there: list[Program] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.pair.network.listenTCP(LOCAL, self.kept(self.here), interface=N1)
        self.sockets = socket.socketpair()
        for one in self.sockets:
            self.addCleanup(one.close)

    def kept(self, programs: list[Program]) -> Factory[Any]:
        """A factory of programs, each of which is kept."""

        def made() -> Program:
            programs.append(Program())
            return programs[-1]

        return Factory.forProtocol(made)

    def listen(self, port: int = 22) -> None:
        """Have a program listen on m4.m's machine."""
        self.pair.network.listenTCP(port, self.kept(self.there), interface="127.0.0.1")

    def emit(self, event: str, /, **fields: Any) -> Deferred[None]:
        """Keep an event."""
        self.events.append((event, fields))
        return Deferred()

    def adopt(self, reactor: Any, descriptor: int, splice: Splice) -> None:
        """Connect with a program on n1.n's machine."""
        factory = ClientFactory()
        factory.noisy = False
        factory.buildProtocol = lambda addr: splice  # type: ignore[method-assign]  # of this one alone
        self.pair.network.on(N1).connectTCP(N1, LOCAL, factory)

    def ask(self, op: str, acting: str = "n1.n", file: int | None = None, **arguments: Any) -> Deferred[Any]:
        """Ask the console of a peer's daemon."""
        console = TunnelConsole(self.pair.network, lambda _: self.pair.peers[acting], self.adopt)
        handler: Any = console.handlers()[op]

        async def handle() -> Mapping[str, Any]:
            answer: Mapping[str, Any] = await handler.run(arguments, self.emit, file)
            return answer

        asking = Deferred.fromCoroutine(handle())
        self.pair.network.settle()
        return asking

    def begin(self, op: str, acting: str = "n1.n", **arguments: Any) -> Deferred[Any]:
        """Ask with a connection."""
        return self.ask(op, acting, self.sockets[0].fileno(), stream=True, **arguments)

    def tunnelled(self) -> Deferred[Any]:
        """Join a program of n1.n's with one of m4.m's."""
        if not self.pair.network.ports.get(("127.0.0.1", 22)):
            self.listen()
        asking = self.begin("tunnel", peer="m4.m", port=22)
        self.assertNoResult(asking)
        return asking

    def by_hand(self, **more: str | bytes) -> tuple[Duplex, End]:
        """Send the service a request without a console."""
        link, _ = self.pair.run(self.pair.n1.link_to("m4.m"))
        end = End()
        clock: Any = self.pair.network
        request = Request("tunnel", more=more)
        duplex = Duplex(link.open_stream(), request, end, clock=clock, silence_s=30.0, header_bytes=4096)
        self.pair.network.settle()
        return duplex, end

    def assert_closed(self) -> None:
        """Nothing is left of any connection but the link's."""
        self.pair.network.settle()
        self.assertEqual([], self.m4.tunnels.joined)
        for peer in self.pair.peers.values():
            peer.disconnect()
        self.pair.network.settle()
        self.assertEqual(set(), self.pair.network.wires)

"""A router by hand, for the tests of those who register at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twisted.internet.protocol import Factory
from twisted.protocols.amp import CommandLocator
from twisted.python.failure import Failure

from p2p.control.channel import Channel
from p2p.control.commands import ListPeers, Observe, Register, responder
from p2p.identity.tls import CONTROL_ALPN
from test.identities import credentials
from test.network import Network

__all__ = ["PEER", "ROUTER", "Router"]

ROUTER: Final = "192.0.2.100"
PEER: Final = "192.0.2.1"


class Commands(CommandLocator):
    """What a router answers."""

    def __init__(self, router: Router) -> None:
        self._router = router

    @responder(Register)
    async def register(self, **arguments: Any) -> Mapping[str, Any]:
        self._router.asked.append(arguments)
        return await self._router.answer(arguments)

    @responder(Observe)
    async def observe(self, **arguments: Any) -> Mapping[str, Any]:
        self._router.asked.append(arguments)
        return await self._router.seen()

    @responder(ListPeers)
    async def list_peers(self, **arguments: Any) -> Mapping[str, Any]:
        return {"names": ["n1.n"], "more": False}


class End(Channel):
    """A router's end of a control channel."""

    def __init__(self, router: Router) -> None:
        super().__init__(router.network, silence_s=600, call_s=10, handshake_s=10, locator=Commands(router))
        self._router = router
        router.connections.append(self)
        router.came_at.append(router.network.seconds())

    def closed(self, reason: Failure) -> None:
        self._router.connections.remove(self)


class Router:
    """A router of cluster n that does as a test wants.

    :ivar asked: the arguments of each Register and Observe.
    :ivar came_at: when connections came.
    """

    def __init__(self, network: Network, name: str = "router.n") -> None:
        self.network = network
        self.asked: list[Mapping[str, Any]] = []
        self.connections: list[End] = []
        self.came_at: list[float] = []
        factory = Factory.forProtocol(lambda: End(self))
        factory.noisy = False
        wrapped = credentials(name).wrap(factory, client=False, alpn=CONTROL_ALPN, clock=network)
        self._port = network.on(ROUTER).listenTCP(5555, wrapped)

    async def answer(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer a Register."""
        return {"lease": 60.0, "observed": PEER}

    async def seen(self) -> Mapping[str, Any]:
        """Answer an Observe."""
        return {"address": PEER, "port": 61001}

    def die(self) -> None:
        """Close the port and all connections."""
        self._port.stopListening()
        for connection in list(self.connections):
            connection.abort("the router dies")
        self.network.settle()

"""Routers and peers on machines of an in-memory network, with real certificates and real TLS between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory
from twisted.protocols.amp import CommandLocator
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import Neighbour, RouterConfig, RouterLimits
from p2p.control.channel import Channel
from p2p.control.commands import DialFailed, Go, InstructConnect, Register, RequestConnect, responder
from p2p.identity.tls import CONTROL_ALPN, Credentials
from p2p.router.service import RouterService
from test.identities import credentials, tls_files
from test.network import Network

__all__ = ["TICKET", "Instructions", "Lab", "Peer", "RouterTestCase", "credentials", "tls_files"]

TICKET = bytes(range(32))


class Instructions(CommandLocator):
    """Answers InstructConnect as its peer says."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    @responder(InstructConnect)
    async def instruct(self, **arguments: Any) -> Mapping[str, Any]:
        self._peer.instructed.append(arguments)
        answer = self._peer.answer
        if isinstance(answer, Exception):
            raise answer
        return await answer if isinstance(answer, Deferred) else answer

    @responder(Go)
    async def go(self, **arguments: Any) -> Mapping[str, Any]:
        self._peer.gone.append(arguments)
        answer = self._peer.answer
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Deferred):
            await answer
        return {}

    @responder(DialFailed)
    async def report(self, **arguments: Any) -> Mapping[str, Any]:
        self._peer.reported.append(arguments)
        if isinstance(self._peer.answer, Deferred):
            await self._peer.answer
        return {}


class Peer(Channel):
    """The other end of a router's control channel, be it a peer's, a router's or a stranger's.

    :ivar instructed: what it was told to dial.
    :ivar gone: the words that it shall dial now.
    :ivar reported: what it was told of dials that it had asked for.
    :ivar answer: what it says to that: an answer, one to come, or an error.
    """

    def __init__(self, lab: Lab, name: str) -> None:
        super().__init__(lab.network, silence_s=60, call_s=10, handshake_s=10, locator=Instructions(self))
        self.name = name
        self.lab = lab
        self.instructed: list[dict[str, Any]] = []
        self.reported: list[dict[str, Any]] = []
        self.gone: list[dict[str, Any]] = []
        self.answer: Mapping[str, Any] | Deferred[Mapping[str, Any]] | Exception = {"dialling": True, "plain": False}
        self.ended: Failure | None = None

    def closed(self, reason: Failure) -> None:
        self.ended = reason

    def said(self, command: Any, **arguments: Any) -> Deferred[dict[str, Any]]:
        """Ask the router, and let everything happen that happens at once."""
        answer = self.ask(command, **arguments)
        self.lab.network.settle()
        return answer

    def register(self) -> Deferred[dict[str, Any]]:
        return self.said(Register, name=self.name, version="0.1.0")

    def request(self, target: str, **changed: Any) -> Deferred[dict[str, Any]]:
        """Ask for a link."""
        arguments: dict[str, Any] = {
            "target": target,
            "port": 40001,
            "ticket": TICKET,
            "lifetime": 30.0,
            "plain": False,
            "candidates": [],
            **changed,
        }
        return self.said(RequestConnect, **arguments)


class Lab:
    """A network with routers; the router of cluster n is at 10.0.n.1, with the number of the letter for n.

    :ivar told: what the routers told the service manager.
    """

    def __init__(self) -> None:
        self.network = Network()
        self.routers: dict[str, RouterService] = {}
        self.told: list[str] = []
        self.asleep_s = 0.0

    @staticmethod
    def address(cluster: str) -> str:
        return f"10.0.{ord(cluster) - ord('a')}.1"

    def make_router(
        self,
        cluster: str,
        *neighbours: str,
        networks: Mapping[str, list[str]] | None = None,
        days: float = 100,
        relays: list[str] | None = None,
        **limits: Any,
    ) -> RouterService:
        """A router that isn't started."""
        files = tls_files(f"router.{cluster}", days=days)
        granted: dict[str, list[IPv4Network | IPv6Network]] = {
            one: [ip_network(network) for network in several] for one, several in (networks or {}).items()
        }
        config = RouterConfig(
            cluster=cluster,
            listen="tcp:5555",
            tls=files,
            neighbours={one: Neighbour(endpoint=f"tcp:{self.address(one)}:5555") for one in neighbours},
            networks=granted,
            relays=relays or [],
            limits=RouterLimits(**limits),
        )
        return RouterService(
            self.network.on(self.address(cluster)),
            config,
            Credentials(files.certificate, files.key, files.authority),
            random=lambda: 0.0,
            tell=self.told.append,
            asleep=lambda: self.asleep_s,
        )

    def start_router(self, cluster: str, *neighbours: str, **more: Any) -> RouterService:
        """Start a router; its links to its neighbours stand if theirs are started."""
        router = self.routers[cluster] = self.make_router(cluster, *neighbours, **more)
        router.startService()
        self.network.settle()
        return router

    def kill_router(self, cluster: str) -> None:
        """End a router as ``kill -9`` does: its connections break, and it says nothing."""
        host = self.address(cluster)
        del self.network.ports[host, 5555]
        for link in self.routers[cluster].federation:
            link.stopService()
        for wire in [one for one in self.network.wires if one.host.host == host]:
            wire.abortConnection()
        self.network.settle()

    def connect(
        self,
        name: str,
        *,
        cluster: str = "",
        host: str = "10.9.9.9",
        lab: str = "lab",
        alpn: bytes = CONTROL_ALPN,
        make: Callable[[Lab, str], Peer] = Peer,
    ) -> Peer:
        """Connect somebody to the router of a cluster, by default its own; the TLS handshake is done after this."""
        peer = make(self, name)
        factory = Factory.forProtocol(lambda: peer)
        factory.noisy = False
        machine = self.network.on(host)
        wrapped = credentials(name, lab).wrap(factory, client=True, alpn=alpn, clock=self.network)
        there = self.address(cluster or name.rpartition(".")[2])
        connecting = clientFromString(machine, f"tcp:{there}:5555").connect(wrapped)
        connecting.addErrback(lambda failure: setattr(peer, "ended", failure))
        self.network.settle()
        return peer

    def peer(self, name: str, host: str = "10.9.9.9", **more: Any) -> Peer:
        """A peer that is registered at its router."""
        peer = self.connect(name, host=host, **more)
        registered = peer.register()
        assert registered.called, f"{name} isn't registered"
        return peer


class RouterTestCase(SynchronousTestCase):
    """One router, of cluster n."""

    def setUp(self) -> None:
        self.lab = Lab()
        self.network = self.lab.network

    def start(self, *neighbours: str, **more: Any) -> None:
        self.service = self.lab.start_router("n", *neighbours, **more)
        self.router = self.service.router

"""Real routers and hosted peers on machines of an in-memory network, for whoever walks from one peer to another."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import ClientFactory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import PeerLimits
from p2p.base.errors import Outcome
from p2p.base.log_gate import LogGate
from p2p.base.ticket import Ticket
from p2p.console.operations import Diagnosis, Leg, LegName, LegState
from p2p.exchange.service import IContentService, Services
from p2p.identity.tls import LINK_ALPN
from p2p.link.boxes import encode_box
from p2p.link.hello import VERSION
from p2p.peer.node import HostedPeer, Surroundings
from p2p.peer.registration import Registration
from p2p.peer.why import why
from p2p.services.echo import echo
from test.exchange.doubles import OpenHost
from test.link.links import Hand
from test.network import FRESH
from test.peer.pair import at_once
from test.router.lab import Lab, credentials
from test.router.lab import Peer as ByHand

__all__ = ["ENDPOINT", "ByHand", "WalkCase", "Walks", "by_name", "states"]

ENDPOINT = "tcp:router-of-n:5555"
"""What the configuration of n1.n calls its router."""


class Walks(Lab):
    """The routers of n and m and the peer n1.n; a test adds whom it walks to.

    :ivar told: what each walk told meanwhile.
    """

    N1 = "10.1.0.1"
    M4 = "10.2.0.4"

    def __init__(self, folder: Path, *, routers: bool = True, limits: PeerLimits | None = None, **n: Any) -> None:
        super().__init__()
        self._folder = folder
        self._limits = limits or PeerLimits()
        self._random = 0
        self.legs: list[Leg] = []
        if routers:
            self.start_router("n", "m", **n)
            self.start_router("m", "n")
            self.network.advance(1)

    def host(
        self,
        name: str,
        address: str,
        *,
        seen_at: str = "",
        router: str = "",
        lab: str = "lab",
        plain: bool = False,
        listen: str = "tcp:0",
        services: list[IContentService] | None = None,
    ) -> HostedPeer:
        """Start a peer on a machine and let it register.

        :param seen_at: the address from which it reaches its router, if that is another.
        :param router: the cluster at whose router it registers, if that isn't its own.
        """
        self._folder.mkdir(exist_ok=True)
        endpoint = f"tcp:{self.address(router or name.rpartition('.')[2])}:5555"
        surroundings = Surroundings(
            reactor=self.network.on(address),
            limits=self._limits,
            services=Services([echo] if services is None else services),
            threads=at_once,
            random=self._bytes,
            now_ns=lambda: int(self.network.seconds() * 1e9),
            listen=listen,
            plain=plain,
            gate=LogGate(self.network),
            scopes=self._limits.scopes(),
            sockets=FRESH,
        )
        own = credentials(name, lab)
        router_of_it = clientFromString(self.network.on(seen_at or address), endpoint)
        registration = Registration(self.network, router_of_it, own, self._limits, DeferredSemaphore(8))
        peer = HostedPeer(own, self._folder, surroundings, OpenHost(self._folder), registration)
        peer.start()
        self.network.settle()
        return peer

    def begin(self, peer: HostedPeer, target: str, *, fresh: bool = False) -> Deferred[Diagnosis]:
        """Begin a walk."""
        self.legs = []
        walk = why(
            peer,
            target,
            fresh=fresh,
            endpoint=ENDPOINT,
            clock=self.network,
            now_ns=lambda: int(self.network.seconds() * 1e9),
            tell=self.legs.append,
        )
        return self.started(walk)

    def started(self, work: Coroutine[Deferred[Any], Any, Any]) -> Deferred[Any]:
        """Start a coroutine and let happen what happens at once."""
        running = Deferred.fromCoroutine(work)
        self.network.settle()
        return running

    def walk(self, peer: HostedPeer, target: str, *, fresh: bool = False, seconds: float = 0) -> Diagnosis:
        """Walk to the end, which comes within so many seconds."""
        found: list[Diagnosis] = []
        self.begin(peer, target, fresh=fresh).addCallback(found.append)
        if seconds:
            self.network.advance(seconds)
        (diagnosis,) = found
        return diagnosis

    def step(self) -> None:
        """Deliver what was sent by now, and no answers to it."""
        Clock.advance(self.network, 0)
        for wire in list(self.network.wires):
            wire.move()

    def call(self, target: ByHand, who: str, *, host: str = "", hello: bytes | None = b"") -> Hand:
        """Connect to the socket that a target was told to dial.

        :param who: whose certificate the caller shows.
        :param hello: what it says; the right hello if left out, None to say nothing.
        """
        told = target.instructed[-1]
        hand = Hand()
        factory = ClientFactory.forProtocol(lambda: hand)
        wrapped = credentials(who).wrap(factory, client=True, alpn=LINK_ALPN, clock=self.network)
        self.network.on(host or self.M4).connectTCP(told["candidates"][0], told["port"], wrapped)
        self.network.settle()
        if hello is not None:
            ticket = Ticket(told["ticket"], told["initiator"], told["target"], 0)
            right = encode_box({"version": VERSION, "streams": "256", "ticket": ticket.dialler_proof()})
            hand.say(hello or right)
            self.network.settle()
        return hand

    def _bytes(self, count: int) -> bytes:
        self._random += 1
        return self._random.to_bytes(count)


def states(found: Diagnosis) -> str:
    """The states of all legs, a letter each: ok, failed, needless (not needed), unreached."""
    letters = {LegState.OK: "o", LegState.FAILED: "f", LegState.NOT_NEEDED: "n", LegState.NOT_REACHED: "u"}
    return "".join(letters[LegState(leg.state)] for leg in found.legs)


def by_name(found: Diagnosis, name: LegName) -> Leg:
    """The leg of this name."""
    (leg,) = [leg for leg in found.legs if leg.leg == name]
    return leg


class WalkCase(SynchronousTestCase):
    """Walks from n1.n."""

    def walks(self, **more: Any) -> Walks:
        """Start the routers and n1.n."""
        self.lab = Walks(Path(self.mktemp()), **more)
        self.n1 = self.lab.host("n1.n", self.lab.N1)
        return self.lab

    def failed(self, found: Diagnosis, leg: LegName, outcome: Outcome, cause: str, remedy: str) -> None:
        """The walk failed at this leg alone, with a cause and a remedy that say so."""
        self.assertEqual((leg, outcome), (found.failed, found.outcome), found)
        names = [one.leg for one in found.legs]
        where = names.index(leg)
        self.assertEqual({LegState.OK} if where else set(), {one.state for one in found.legs[:where]})
        self.assertEqual({LegState.NOT_REACHED}, {one.state for one in found.legs[where + 1 :]} or {"not-reached"})
        wrong = found.legs[where]
        self.assertEqual((LegState.FAILED, outcome), (wrong.state, wrong.outcome))
        self.assertIn(cause, wrong.detail)
        self.assertIn(remedy, wrong.remedy)
        self.assertNotIn("{", wrong.remedy)
        self.assertIsNotNone(wrong.took_ns)

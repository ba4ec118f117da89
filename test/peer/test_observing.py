"""Asking a router from a fresh port where it sees that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IProtocolFactory
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import PeerLimits
from p2p.base.errors import P2PError
from p2p.control.channel import ControlLost
from p2p.peer.observing import OBSERVE_S, Observation
from test.identities import credentials
from test.network import FRESH, Network
from test.peer.pair import StandInRegistration
from test.peer.routers import PEER, ROUTER, Router

TICKET = bytes(range(32))


class ObservationTests(SynchronousTestCase):
    """n1.n asks, and a router by hand answers."""

    def setUp(self) -> None:
        self.network = Network()
        self.machine = self.network.on(PEER)

        async def nobody(name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
            raise AssertionError("over this connection nothing is asked")

        self.access = StandInRegistration("n1.n", nobody)
        self.access.router_at = (ROUTER, 5555)
        self.observation = Observation(self.machine, credentials("n1.n"), PeerLimits(), self.access)

    def connect(self, host: str, port: int, factory: IProtocolFactory, seconds: float) -> Deferred[None]:
        """Connect from a port."""
        return FRESH.dial(self.machine, (PEER, 0), (host, port), factory, seconds)

    def ask(self) -> Deferred[int]:
        """Ask, and let everything happen that happens at once."""
        asking = self.observation.ask(self.connect, TICKET)
        self.network.settle()
        return asking

    def assert_nothing_left(self) -> None:
        """Once it is closed nothing is open, and no timer runs."""
        self.observation.close()
        self.network.settle()
        self.assertEqual(0, len(self.network.wires))
        self.assertEqual([], self.network.getDelayedCalls())

    def test_answered(self) -> None:
        """The answer is the port that the router sees; the connection stands until it is closed."""
        router = Router(self.network)
        self.assertEqual(61001, self.successResultOf(self.ask()))
        self.assertEqual([{"ticket": TICKET}], router.asked)
        self.network.advance(OBSERVE_S + 1)
        self.assertEqual(1, len(router.connections))
        self.assert_nothing_left()

    def test_no_router(self) -> None:
        """A peer that isn't connected to its router has nobody to ask; a router that isn't there answers nothing."""
        self.failureResultOf(self.ask(), OSError)
        self.access.router_at = None
        self.failureResultOf(self.ask(), P2PError)
        self.assert_nothing_left()

    def test_silent(self) -> None:
        """Who doesn't answer in time isn't waited for."""
        router = Router(self.network)

        async def silent() -> Mapping[str, Any]:
            return await Deferred()

        self.patch(router, "seen", silent)
        asking = self.ask()
        self.network.advance(OBSERVE_S - 0.1)
        self.assertNoResult(asking)
        self.network.advance(0.2)
        self.assertIn("within 2 s", str(self.failureResultOf(asking, P2PError).value))
        self.assert_nothing_left()

    def test_impossible(self) -> None:
        """A port that nobody can listen on isn't believed."""
        router = Router(self.network)

        async def low() -> Mapping[str, Any]:
            return {"address": PEER, "port": 80}

        self.patch(router, "seen", low)
        self.failureResultOf(self.ask(), P2PError)
        self.assert_nothing_left()

    def test_impostor(self) -> None:
        """Only the peer's own router is asked."""
        router = Router(self.network, "router.m")
        self.failureResultOf(self.ask(), ControlLost)
        self.assertEqual([], router.asked)
        self.assert_nothing_left()

    def test_closed_early(self) -> None:
        """Closed while it waits, it leaves nothing open."""
        Router(self.network)
        asking = self.observation.ask(self.connect, TICKET)
        self.observation.close()
        self.failureResultOf(asking, CancelledError, OSError)
        self.network.settle()
        self.assert_nothing_left()

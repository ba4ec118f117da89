"""One end's dials and relays, with a gate and relays by hand."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import DialFailure, P2PError
from p2p.peer.reaching import LOOK_S, RELAY_S, Reaching

A, B = ("192.0.2.1", 7000), ("2001:db8::2", 7000)
TERMS: Any = "the terms"


class ReachingCase(SynchronousTestCase):
    """Dials that a test lets fail."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.dials: list[tuple[tuple[str, int], Deferred[None]]] = []
        self.relaying: list[tuple[Sequence[str], Any, Deferred[Any]]] = []
        self.age: float | None = None
        self.told: list[str] = []

    def dial(self, host: str, port: int, seconds: float) -> Deferred[None]:
        """Dial."""
        self.dials.append(((host, port), Deferred()))
        return self.dials[-1][1]

    def handshake_age(self) -> float | None:
        """How old the handshake under way is."""
        return self.age

    def by_relays(self, relays: Sequence[str], terms: Any) -> Deferred[Any]:
        """Go to relays."""
        self.relaying.append((relays, terms, Deferred()))
        return self.relaying[-1][2]

    def make(self, *endpoints: tuple[str, int], relays: bool = True) -> Reaching:
        """Make one, and begin with a relay to go to."""
        wiring: Any = SimpleNamespace(reactor=self.clock, by_relays=self.by_relays if relays else None)
        gate: Any = self
        reaching = Reaching(
            wiring,
            gate,
            endpoints,
            4.0,
            in_vain=lambda: self.told.append("in vain"),
            over=lambda: self.told.append("over"),
            not_relayed=self.told.append,
        )
        reaching.relay_later(["relay.n"], TERMS)
        reaching.begin()
        return reaching

    def lose(self, number: int) -> None:
        """Have the last dial fail."""
        self.dials[-1][1].errback(OSError(number, "no"))


class RelayTests(ReachingCase):
    def test_later(self) -> None:
        """Relays are gone to after a while, beside the dials; closed, it gives both up."""
        reaching = self.make(A)
        self.clock.advance(RELAY_S - 0.1)
        self.assertEqual([], self.relaying)
        self.assertTrue(reaching.relayed)
        self.clock.advance(0.2)
        ((relays, terms, way),) = self.relaying
        self.assertEqual((["relay.n"], TERMS), (relays, terms))
        self.assertTrue(reaching.relayed and reaching.dialling)
        reaching.close()
        self.assertTrue(way.called and self.dials[0][1].called)
        self.assertFalse(reaching.relayed)
        self.assertEqual([], self.clock.getDelayedCalls())
        self.assertEqual([], self.told)

    def test_at_once(self) -> None:
        """Where there is no way to any address, or there is none, nothing is waited for."""
        self.make(A, B)
        self.lose(errno.ENETUNREACH)
        self.assertEqual([], self.relaying)
        self.lose(errno.EHOSTUNREACH)
        self.assertEqual(1, len(self.relaying))
        self.make()
        self.assertEqual(2, len(self.relaying))
        self.assertEqual(["in vain", "in vain"], self.told)
        self.clock.advance(RELAY_S)
        self.assertEqual(2, len(self.relaying))

    def test_refused(self) -> None:
        """A dial that was refused may come to something yet, so the relay waits."""
        reaching = self.make(A, B)
        self.lose(errno.ENETUNREACH)
        self.lose(errno.ECONNREFUSED)
        self.assertEqual([], self.relaying)
        self.assertEqual([(A[0], DialFailure.UNREACHABLE), (B[0], DialFailure.REFUSED)], reaching.failures)
        self.assertTrue(reaching.relayed)
        self.assertFalse(reaching.dialling)

    def test_failed(self) -> None:
        """Why no relay does it is told, unless it was given up."""
        for failure, told in ((P2PError("it is full"), ["it is full"]), (CancelledError(), [])):
            self.told = []
            reaching = self.make(A)
            self.clock.advance(RELAY_S)
            self.relaying[-1][2].errback(failure)
            self.assertEqual(told, self.told)
            self.assertFalse(reaching.relayed)
            reaching.close()

    def test_none(self) -> None:
        """Without relays none is gone to."""
        reaching = self.make(A, relays=False)
        self.assertFalse(reaching.relayed)
        self.clock.advance(RELAY_S)
        self.assertEqual([], self.relaying)


class TimeTests(ReachingCase):
    def test_over(self) -> None:
        """When the time is over that is told; a handshake under way may go on until the ticket expires."""
        reaching = self.make(A, relays=False)
        reaching.end_in(2.0, 4.0)
        self.age = 0.1
        self.clock.advance(2.0)
        self.assertEqual([], self.told)
        self.age = None
        self.clock.advance(LOOK_S)
        self.assertEqual(["over"], self.told)
        reaching = self.make(A, relays=False)
        reaching.end_in(0.3, self.clock.seconds() + 1.0)
        self.age = 0.1
        for _ in range(5):
            self.clock.advance(0.3)
        self.assertEqual(["over", "over"], self.told)

    def test_relay_under_way(self) -> None:
        """A relay on its way, which gives up by itself, is waited for when the time is over."""
        reaching = self.make(A)
        reaching.end_in(2.0, 30.0)
        self.clock.advance(RELAY_S)
        self.clock.advance(1.0)
        self.assertEqual([], self.told)
        self.relaying[-1][2].errback(P2PError("nobody came"))
        self.clock.advance(LOOK_S)
        self.assertEqual(["nobody came", "over"], self.told)

    def test_more(self) -> None:
        """Further endpoints are dialled, also when all before came to nothing, but not once it is closed."""
        reaching = self.make(A, relays=False)
        self.lose(errno.ECONNREFUSED)
        self.assertFalse(reaching.dialling)
        reaching.also([B])
        self.assertTrue(reaching.dialling)
        self.assertEqual([A, B], [endpoint for endpoint, _ in self.dials])
        self.lose(errno.ECONNREFUSED)
        self.assertEqual(["in vain", "in vain"], self.told)
        reaching.also([A])
        self.dials[-1][1].callback(None)
        self.age = 0.1
        reaching.broke(A[0])
        self.assertEqual(DialFailure.NO_LINK, dict(reaching.failures)[A[0]])
        reaching.close()
        reaching.also([B])
        self.assertEqual(3, len(self.dials))

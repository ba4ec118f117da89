"""Every limit of a router, hit."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.logger import capturedLogs, formatEvent

from p2p.base.log_gate import LINES
from p2p.control.channel import ControlLost
from p2p.control.commands import Busy, InstructConnect, ListPeers, LookupPeer, UnknownPeer
from p2p.control.door import FIRST_BYTE_S
from p2p.router.meters import REGISTRATION_BURST
from p2p.router.protocol import HOLD_S
from test.router.lab import TICKET, RouterTestCase


class LimitTests(RouterTestCase):
    def test_requests_per_s(self) -> None:
        """More requests than the burst get Busy with the time to wait, which is enough."""
        self.start(requests_per_s=10.0, request_burst=5)
        peer = self.lab.peer("n1.n")
        failures = [self.failureResultOf(peer.request("n2.n")) for _ in range(6)]
        kinds = [type(one.value) for one in failures]
        self.assertEqual([UnknownPeer] * 4 + [Busy] * 2, kinds)  # registering took one
        waits = [one.value.retry_after for one in failures if isinstance(one.value, Busy)]
        self.assertEqual([0.1, 0.2], waits)
        for _ in range(2):
            self.network.advance(0.1)
            self.failureResultOf(peer.request("n2.n"), UnknownPeer)

    def test_over_quota(self) -> None:
        """Who goes on to ask isn't read for a while, then cut off; the log has a few lines of it, others are served."""
        self.start(requests_per_s=10.0, request_burst=40)
        peer, other = self.lab.peer("n1.n"), self.lab.peer("n2.n")
        with capturedLogs() as logs:
            asked = [peer.said(ListPeers, cluster="n", after="") for _ in range(70)]
            self.assertEqual(39 + 21, sum(one.called for one in asked))
            self.network.advance(HOLD_S)
            self.assertIn(sum(one.called for one in asked), range(61, 70))
            self.successResultOf(other.said(ListPeers, cluster="n", after=""))
            asked += [peer.ask(ListPeers, cluster="n", after="") for _ in range(100)]
            self.network.advance(HOLD_S * 10)
        self.assertIsNotNone(peer.ended)
        kinds = [type(self.failureResultOf(one).value) for one in asked if not isinstance(one.result, dict)]
        self.assertEqual([ControlLost] * 70, kinds[-70:])
        self.assertLess(len(logs), 2 * LINES)
        self.successResultOf(other.said(ListPeers, cluster="n", after=""))

    def test_lookups_per_s(self) -> None:
        """Nor may a neighbour ask for ever, whatever it asks."""
        self.start("m", lookups_per_s=10.0, lookup_burst=5)
        neighbour = self.lab.connect("router.m", cluster="n")
        kinds = []
        for command, arguments in (
            (LookupPeer, {"name": "n1.n"}),
            (ListPeers, {"cluster": "n", "after": ""}),
            (InstructConnect, {"target": "n1.n", "initiator": "m1.m", "observed": "", "candidates": [], "port": 1}),
        ):
            more = {"ticket": TICKET, "lifetime": 1.0, "plain": False} if command is InstructConnect else {}
            for _ in range(3):
                answer = neighbour.said(command, **arguments, **more)
                answer.addErrback(lambda failure: type(failure.value))
                kinds.append(self.successResultOf(answer) if answer.called else None)
        self.assertEqual([UnknownPeer] * 3, kinds[:3])
        self.assertEqual(2, sum(isinstance(one, dict) for one in kinds))
        self.assertIn(Busy, kinds)
        for _ in range(20):
            neighbour.ask(LookupPeer, name="n1.n").addErrback(lambda failure: None)
        self.network.advance(1)
        self.assertIsNotNone(neighbour.ended)

    def test_links_in_a_loop(self) -> None:
        """A neighbour's router that links again and again is turned away for a while."""
        self.start("m")
        for _ in range(REGISTRATION_BURST):
            self.assertTrue(self.lab.connect("router.m", cluster="n").is_open)
        self.assertFalse(self.lab.connect("router.m", cluster="n").is_open)
        self.network.advance(2)
        self.assertTrue(self.lab.connect("router.m", cluster="n").is_open)

    def test_nobody_else_suffers(self) -> None:
        """One peer's rate is its own affair."""
        self.start(requests_per_s=1.0, request_burst=2)
        one, other = self.lab.peer("n1.n"), self.lab.peer("n2.n")
        for _ in range(5):
            one.request("n9.n").addErrback(lambda failure: None)
        self.lab.peer("n3.n")
        self.successResultOf(other.request("n3.n"))

    def test_attempts_in_flight(self) -> None:
        """More attempts under way than allowed get Busy; when one is over, the next may come."""
        self.start(attempts_in_flight=3)
        initiator, target = self.lab.peer("n1.n"), self.lab.peer("n2.n")
        waiting: list[Deferred[Any]] = []
        asked = []
        for _ in range(4):
            target.answer = Deferred()
            waiting.append(target.answer)
            asked.append(initiator.request("n2.n"))
        failure = self.failureResultOf(asked[3], Busy)
        self.assertIn("3 connection attempts of n1.n are under way", str(failure.value))
        waiting[0].callback({"dialling": True, "plain": False})
        self.network.settle()
        self.successResultOf(asked[0])
        target.answer = {"dialling": True, "plain": False}
        self.successResultOf(initiator.request("n2.n"))

    def test_pending_per_address(self) -> None:
        """One address can't open more connections than allowed before it says who it is; others still can."""
        self.start(pending_per_address=2)
        first, second = (self.lab.connect("n1.n", host="10.1.1.1") for _ in range(2))
        with capturedLogs() as logs:
            self.assertIsNotNone(self.lab.connect("n1.n", host="10.1.1.1").ended)
        (told,) = [formatEvent(one) for one in logs if "turned away" in one["log_format"]]
        self.assertIn("2 connections from 10.1.1.1 are not yet authenticated", told)
        self.lab.peer("n2.n", host="10.2.2.2")
        self.successResultOf(first.register())
        self.lab.peer("n3.n", host="10.1.1.1")
        second.close()

    def test_pending_connections(self) -> None:
        """Nor can many addresses together: of those that show a certificate and don't register, the oldest of those
        who have most goes, and the places are free again when the connections end."""
        self.start(pending_connections=4, pending_per_address=2)
        pending = [self.lab.connect("n1.n", host=f"10.1.1.{number // 2}") for number in range(3)]
        self.assertIsNone(self.lab.connect("n1.n", host="10.1.1.9").ended)
        self.assertEqual([False, True, True], [one.ended is None for one in pending])
        self.network.advance(10.1)
        self.assertTrue(all(one.ended is not None for one in pending))
        self.lab.peer("n1.n")

    def test_idle_addresses(self) -> None:
        """Sixteen addresses that hold all the connections they can, say nothing and come again keep nobody out."""
        self.start()

        def flood() -> None:
            for number in range(16):
                for _ in range(34):
                    machine = self.network.on(f"10.1.1.{number}")
                    factory = ClientFactory.forProtocol(Protocol)
                    factory.noisy = False
                    machine.connectTCP(self.lab.address("n"), 5555, factory)
            self.network.settle()

        with capturedLogs() as logs:
            for number in range(5):
                flood()
                self.lab.peer(f"n{number}.n", host="10.2.2.2")
                self.network.advance(1.0)
        self.assertLess(len(logs), 100)
        self.network.advance(FIRST_BYTE_S)
        self.assertEqual((5, 5), (len(self.network.wires) // 2, len(self.router.table)))

    def test_kept(self) -> None:
        """Places are kept for addresses that registered before, whatever strangers do."""
        self.start(pending_connections=4, pending_per_address=4)
        self.lab.peer("n1.n", host="10.1.1.1").close()
        self.network.settle()
        strangers = [self.lab.connect("n9.n", host="10.3.3.3") for _ in range(4)]
        self.assertEqual(3, sum(one.ended is None for one in strangers))
        self.lab.peer("n1.n", host="10.1.1.1")

    def test_registered_peers_dont_count(self) -> None:
        """Who is registered takes no place among the pending."""
        self.start(pending_connections=1, pending_per_address=1)
        for number in range(5):
            self.lab.peer(f"n{number}.n")
        self.assertEqual(5, len(self.router.table))

    def stranger(self, *says: bytes) -> Protocol:
        """Somebody who connects and says no more than this."""
        stranger = Protocol()
        factory = ClientFactory.forProtocol(lambda: stranger)
        factory.noisy = False
        self.network.connectTCP(self.lab.address("n"), 5555, factory)
        self.network.settle()
        for word in says:
            assert stranger.transport is not None
            stranger.transport.write(word)
        self.network.settle()
        return stranger

    def test_handshake(self) -> None:
        """A connection on which the handshake doesn't come to its end is cut off after ``handshake_s``."""
        self.start(handshake_s=3.0)
        self.stranger(b"\x16\x03\x01")
        self.assertEqual(1, self.service.meter.open)
        self.network.advance(2.9)
        self.assertEqual(1, self.service.meter.open)
        self.network.advance(0.2)
        self.assertEqual(0, self.service.meter.open)

    def test_first_byte(self) -> None:
        """One that says nothing costs no TLS, and is cut off after 2 s."""
        self.start()
        self.stranger()
        self.assertEqual((0, 2), (self.service.meter.open, len(self.network.wires)))
        self.network.advance(FIRST_BYTE_S + 0.1)
        self.assertEqual(set(), self.network.wires)

    def test_stopped(self) -> None:
        """A router that stops waits for nobody who says nothing."""
        self.start()
        self.stranger()
        self.service.stopService()
        self.network.settle()
        self.assertEqual((set(), []), (self.network.wires, self.network.getDelayedCalls()))

    def test_call(self) -> None:
        """``call_s`` bounds how long a target may think."""
        self.start(call_s=2.0)
        initiator, target = self.lab.peer("n1.n"), self.lab.peer("n2.n")
        target.answer = Deferred()
        asked = initiator.request("n2.n")
        self.network.advance(1.3)
        self.failureResultOf(asked, Busy)

    def test_lifetime_bounds_the_wait(self) -> None:
        """Nobody is waited for longer than the ticket lives."""
        self.start()
        initiator, target = self.lab.peer("n1.n"), self.lab.peer("n2.n")
        target.answer = Deferred()
        asked = initiator.request("n2.n", lifetime=0.5)
        self.network.advance(0.7)
        self.failureResultOf(asked, Busy)

    def test_silence(self) -> None:
        """``silence_s`` is the lease that a peer is told."""
        self.start(silence_s=30.0)
        self.assertEqual(30.0, self.successResultOf(self.lab.connect("n1.n").register())["lease"])

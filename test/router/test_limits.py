"""Every limit of a router, hit."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.logger import capturedLogs

from p2p.control.commands import (
    Busy,
    UnknownPeer,
)
from test.router.lab import RouterTestCase


class LimitTests(RouterTestCase):
    def test_requests_per_s(self) -> None:
        """More requests than the burst get Busy with the time to wait, which is enough; the log has one line of it."""
        self.start(requests_per_s=10.0, request_burst=5)
        peer = self.lab.peer("n1.n")
        with capturedLogs() as logs:
            failures = [self.failureResultOf(peer.request("n2.n")) for _ in range(20)]
        kinds = [type(one.value) for one in failures]
        self.assertEqual([UnknownPeer] * 4 + [Busy] * 16, kinds)  # registering took one
        self.assertEqual(1, len([one for one in logs if "requests/s" in one["log_format"]]))
        busy = failures[-1].value
        assert isinstance(busy, Busy)
        self.assertTrue(0 < busy.retry_after <= 0.1, busy.retry_after)
        self.network.advance(busy.retry_after)
        self.failureResultOf(peer.request("n2.n"), UnknownPeer)

    def test_nobody_else_suffers(self) -> None:
        """One peer's rate is its own affair."""
        self.start(requests_per_s=1.0, request_burst=2)
        one, other = self.lab.peer("n1.n"), self.lab.peer("n2.n")
        for _ in range(5):
            self.failureResultOf(one.request("n9.n"))
        self.successResultOf(other.request("n1.n"))

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
            self.assertIsNotNone(self.lab.connect("n1.n", host="10.1.1.1").ended)
        warnings = [one for one in logs if "turned away" in one["log_format"]]
        self.assertEqual([1], [one["count"] for one in warnings])  # not one a connection
        self.lab.peer("n2.n", host="10.2.2.2")
        self.successResultOf(first.register())
        self.lab.peer("n3.n", host="10.1.1.1")
        second.close()

    def test_pending_connections(self) -> None:
        """Nor can many addresses together; the places are free again when the connections end."""
        self.start(pending_connections=3, pending_per_address=3)
        pending = [self.lab.connect("n1.n", host=f"10.1.1.{number}") for number in range(4)]
        self.assertEqual([True, True, True, False], [one.ended is None for one in pending])
        self.network.advance(10.1)
        self.assertTrue(all(one.ended is not None for one in pending))
        self.lab.peer("n1.n")

    def test_warns_again(self) -> None:
        """A second later, those turned away meanwhile are counted in one more line."""
        self.start(pending_connections=1, pending_per_address=1)
        self.lab.connect("n1.n")
        with capturedLogs() as logs:
            for _ in range(5):
                self.lab.connect("n1.n")
            self.network.advance(1.0)
            self.lab.connect("n1.n")
        self.assertEqual([1, 5], [one["count"] for one in logs if "turned away" in one["log_format"]])

    def test_registered_peers_dont_count(self) -> None:
        """Who is registered takes no place among the pending."""
        self.start(pending_connections=1, pending_per_address=1)
        for number in range(5):
            self.lab.peer(f"n{number}.n")
        self.assertEqual(5, len(self.router.table))

    def test_handshake(self) -> None:
        """A connection that sends nothing is cut off after ``handshake_s``."""
        self.start(handshake_s=2.0)
        self.network.connectTCP(self.lab.address("n"), 5555, ClientFactory.forProtocol(Protocol))
        self.network.settle()
        self.assertEqual(1, self.service.meter.open)
        self.network.advance(1.9)
        self.assertEqual(1, self.service.meter.open)
        self.network.advance(0.2)
        self.assertEqual(0, self.service.meter.open)

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

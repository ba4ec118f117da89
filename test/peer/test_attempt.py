"""One connection attempt in the real world: what it asks, what it remembers, and that it gives everything back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import PeerLimits
from p2p.base.errors import ExchangeFailed, Outcome
from p2p.base.ticket import NONCE_BYTES, TicketBook
from p2p.control.channel import ControlLost
from p2p.control.commands import Busy, UnknownPeer
from p2p.peer.attempt import AttemptFailed, Attempting, Setup
from p2p.peer.dialling import Wiring
from test.identities import credentials
from test.link.links import Owner
from test.network import FRESH, Network
from test.peer.pair import N1, StandInRegistration

ANSWER = {"address": "192.0.2.2", "table_lookup_ns": 400, "router_lookup_ns": 90000, "dialling": True, "plain": False}


class AttemptCase(SynchronousTestCase):
    """n1.n's attempt to reach m4.m."""

    def setUp(self) -> None:
        """Make it; nothing has begun."""
        self.network = Network()
        self.asked: list[dict[str, Any]] = []
        self.answers: list[Deferred[dict[str, Any]]] = []
        self.registration = StandInRegistration("n1.n", self.ask)
        self.tickets = TicketBook()
        self.ended: list[ExchangeFailed | None] = []

    async def ask(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Note a question, and let the test answer it."""
        self.asked.append(arguments)
        self.answers.append(Deferred())
        return await self.answers[-1]

    def make(self, listen: str = "tcp:0", **limits: Any) -> Attempting:
        """Make an attempt."""
        wiring = Wiring(
            self.network.on(N1),
            credentials("n1.n"),
            PeerLimits().model_copy(update=limits),
            Owner(),
            now_ns=self.now_ns,
            sockets=FRESH,
        )
        return Attempting(
            wiring,
            self.registration,
            self.tickets,
            "m4.m",
            listen=listen,
            plain_allowed=False,
            random=self.random,
            now_ns=self.now_ns,
            lost=lambda target: False,
            addresses=tuple,
            ended=lambda attempt, failure: self.ended.append(failure),
        )

    def now_ns(self) -> int:
        """The network's time."""
        return int(self.network.seconds() * 1e9)

    def random(self, count: int) -> bytes:
        """Other bytes each time."""
        return (len(self.tickets) + 1).to_bytes(count)

    def begin(self, listen: str = "tcp:0") -> None:
        """Make one, and begin a second later."""
        self.attempt = self.make(listen)
        self.network.advance(1)
        self.attempt.machine.begin()

    def answer(self, answer: dict[str, Any] | Exception) -> None:
        """Answer the last question."""
        if isinstance(answer, Exception):
            self.answers[-1].errback(answer)
        else:
            self.answers[-1].callback(answer)

    def assert_nothing_left(self) -> None:
        """No listener, no ticket and no timer is left."""
        self.assertEqual(({}, 0, []), (self.network.ports, len(self.tickets), self.network.getDelayedCalls()))


class AskingTests(AttemptCase):
    def test_question(self) -> None:
        """It listens on a fresh port, then asks with that port, its ticket and how long that still lives."""
        self.begin("tcp:0:interface=192.0.2.7")
        ((_, port),) = self.network.ports
        (asked,) = self.asked
        self.assertEqual(NONCE_BYTES, len(asked.pop("ticket")))
        self.assertEqual(
            {
                "target": "m4.m",
                "port": port,
                "lifetime": 29.0,
                "plain": False,
                "candidates": ["192.0.2.7"],
                "reports": True,
                "reaches": True,
            },
            asked,
        )
        self.attempt.machine.abandon()

    def test_moments(self) -> None:
        """It remembers when each step was done, for whoever asks why there is no link."""
        self.begin()
        self.network.advance(2)
        self.answer(Busy.after(0.5, "full"))
        moments = self.attempt.moments
        self.assertIsInstance(moments.error, Busy)
        self.network.advance(1)
        self.answer({**ANSWER, "dialling": False})
        ns = 1_000_000_000
        self.assertEqual((0, 1 * ns, 1 * ns), (moments.began_ns, moments.bound_ns, moments.asked_ns))
        self.assertEqual((4 * ns, "192.0.2.2", False), (moments.answered_ns, moments.address, moments.dialling))
        self.assertEqual((2, None), (moments.asked, moments.error))
        self.network.advance(1)
        self.attempt.machine.linked()
        self.assertEqual(5 * ns, self.attempt.setup.setup_ns)
        self.assertEqual([None], self.ended)
        self.assert_nothing_left()

    def test_failed(self) -> None:
        """A failure says what the routers said, and how far the attempt came."""
        self.begin()
        self.answer(UnknownPeer("who?"))
        (failure,) = self.ended
        assert isinstance(failure, AttemptFailed)
        self.assertEqual((Outcome.UNKNOWN_PEER, "who?"), (failure.outcome, str(failure)))
        self.assertIs(self.attempt.setup, failure.setup)
        self.assertIsInstance(self.attempt.moments.error, UnknownPeer)
        self.assert_nothing_left()

    def test_busy_and_over(self) -> None:
        """An attempt that ends while it waits to ask again doesn't ask again."""
        self.begin()
        self.answer(Busy.after(5, "full"))
        self.attempt.machine.abandon()
        self.network.advance(60)
        self.assertEqual(1, len(self.asked))
        self.assert_nothing_left()

    def test_late_failure(self) -> None:
        """A question that fails after the attempt has ended fails nobody."""
        for late in (ControlLost("gone"), Busy.after(1, "full"), UnknownPeer("who?")):
            self.begin()
            self.attempt.machine.linked()
            self.answer(late)
            self.assertEqual(None, self.ended[-1])
            self.assert_nothing_left()

    def test_fault(self) -> None:
        """A fault of ours is logged, and the ticket's death ends the attempt."""
        self.begin()
        self.answer(ZeroDivisionError())
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.network.advance(30)
        (failure,) = self.ended
        assert failure is not None
        self.assertEqual(Outcome.TIMEOUT, failure.outcome)
        self.assert_nothing_left()

    def test_ticket_s(self) -> None:
        """It lives as long as its ticket."""
        self.attempt = self.make(ticket_s=7.0)
        self.attempt.machine.begin()
        self.network.advance(6.9)
        self.assertEqual([], self.ended)
        self.network.advance(0.2)
        self.assertEqual(1, len(self.ended))


class ReportedTests(AttemptCase):
    """The target's dial came to nothing, which it reports."""

    FAILURES = (("192.0.2.1", "refused"), ("192.0.2.7", "no-answer"))

    def begun(self) -> bytes:
        """An attempt that has asked; returns its ticket."""
        self.begin()
        ticket: bytes = self.asked[-1]["ticket"]
        return ticket

    def reason(self) -> str:
        """Why it failed, at once."""
        failure = self.ended.pop()
        assert failure is not None
        self.assertEqual(Outcome.CONNECT_FAILED, failure.outcome)
        self.assert_nothing_left()
        return str(failure)

    def test_at_once(self) -> None:
        """The attempt is over at once, with the addresses, the port, and what became of each dial."""
        ticket = self.begun()
        self.answer({**ANSWER, "dials": ["192.0.2.1", "192.0.2.7"]})
        self.attempt.reported(ticket, self.FAILURES)
        port = self.attempt.moments.port
        self.assertEqual(
            f"m4.m was told to dial 192.0.2.1, port {port}: the connection was refused; "
            f"192.0.2.7, port {port}: nothing answered",
            self.reason(),
        )
        self.assertEqual(list(self.FAILURES), self.attempt.moments.failures)

    def test_before_the_answer(self) -> None:
        """A report that overtakes the routers' answer waits for that, which says where the target is."""
        self.attempt_reported_early(self.FAILURES)
        self.assertIn("the connection was refused", self.reason())
        self.assertEqual("192.0.2.2", self.attempt.moments.address)

    def attempt_reported_early(self, failures: Sequence[tuple[str, str]]) -> None:
        self.attempt_ticket = self.begun()
        self.attempt.reported(self.attempt_ticket, failures)
        self.assertEqual([], self.ended)
        self.answer(ANSWER)

    def test_words(self) -> None:
        """Words of a later version, and what could steer a terminal, are taken as what they are."""
        self.attempt_reported_early([("\x1b[2Jx", "teapot")])
        reason = self.reason()
        self.assertIn("it came to nothing", reason)
        self.assertTrue(reason.isprintable())

    def test_nothing_said(self) -> None:
        """A report without any address ends it as well."""
        self.attempt_reported_early([("192.0.2.1", "other")])
        self.assertIn("m4.m was told to dial 192.0.2.1", self.reason())
        ticket = self.begun()
        self.answer(ANSWER)
        self.attempt.reported(ticket, [])
        self.assertEqual([], self.ended, "who couldn't dial anywhere says nothing")
        self.attempt.machine.abandon()

    def test_other_ticket(self) -> None:
        """A report on another ticket, or one that comes late, changes nothing."""
        ticket = self.begun()
        self.answer(ANSWER)
        self.attempt.reported(bytes(32), self.FAILURES)
        self.assertEqual([], self.ended)
        self.attempt.machine.linked()
        self.attempt.reported(ticket, self.FAILURES)
        self.assertEqual([None], self.ended)
        self.assert_nothing_left()

    def test_not_reported(self) -> None:
        """Where nothing is reported, the addresses are named that the target was told to dial."""
        self.begun()
        self.answer({**ANSWER, "dials": ["192.0.2.1"]})
        self.network.advance(30)
        self.assertIn(f"m4.m was told to dial 192.0.2.1, port {self.attempt.moments.port}, but no link", self.reason())


class AnsweredTests(AttemptCase):
    """Waiting for the look-up times."""

    def known(self) -> Deferred[None]:
        """Wait for them."""
        return self.attempt.setup.when_answered()

    def test_after_the_link(self) -> None:
        """They may come after the link: who wants them waits, and each may give up alone."""
        self.begin()
        first, second, third = self.known(), self.known(), self.known()
        self.attempt.machine.linked()
        second.cancel()
        self.failureResultOf(second, CancelledError)
        first.addCallback(lambda _: third.cancel())
        self.assertNoResult(first)
        self.answer(ANSWER)
        self.successResultOf(first)
        self.failureResultOf(third, CancelledError)
        self.assertEqual((400, 90000), (self.attempt.setup.table_lookup_ns, self.attempt.setup.router_lookup_ns))
        self.successResultOf(self.known())

    def test_never(self) -> None:
        """Nobody waits for times that never come: the question fails, or is never asked."""
        for error in (ControlLost("gone"), Busy.after(5, "full")):
            self.begin()
            known = self.known()
            self.answer(error)
            self.attempt.machine.abandon()
            self.successResultOf(known)
        self.attempt = self.make()
        known = self.known()
        self.patch(self.attempt, "listen", lambda: None)
        self.attempt.machine.begin()
        self.attempt.machine.abandon()
        self.successResultOf(known)

    def test_reused(self) -> None:
        """A link that was there has no times to wait for."""
        self.successResultOf(Setup(reused=True).when_answered())

"""One connection attempt in the real world: what it asks, what it remembers, and that it gives everything back."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import PeerLimits
from p2p.base.errors import ExchangeFailed, Outcome, P2PError
from p2p.base.ticket import NONCE_BYTES, TicketBook
from p2p.control.channel import ControlLost
from p2p.control.commands import Busy, UnknownPeer
from p2p.peer.attempt import MAP_S, Attempting
from p2p.peer.dialling import Wiring
from p2p.peer.moments import AttemptFailed
from p2p.peer.offered import OwnAddresses
from test.identities import credentials
from test.link.links import Owner
from test.network import FRESH, Network
from test.peer.pair import M4, N1, StandInRegistration
from test.peer.routers import ROUTER, Router

ANSWER: dict[str, Any] = {
    "address": "192.0.2.2",
    "table_lookup_ns": 400,
    "router_lookup_ns": 90000,
    "dialling": True,
    "plain": False,
}


class Silent(Protocol):
    """Is connected to, and says nothing."""

    def __init__(self, came: list[Protocol]) -> None:
        came.append(self)


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
        self.owner = Owner()

    async def ask(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Note a question, and let the test answer it."""
        self.asked.append(arguments)
        self.answers.append(Deferred())
        return await self.answers[-1]

    own = OwnAddresses()
    by_relays: Any = None

    def make(self, listen: str = "tcp:0", **limits: Any) -> Attempting:
        """Make an attempt."""
        wiring = Wiring(
            self.network.on(N1),
            credentials("n1.n"),
            PeerLimits().model_copy(update=limits),
            self.owner,
            now_ns=self.now_ns,
            sockets=FRESH,
            by_relays=self.by_relays,
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
            own=lambda: self.own,
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


class MappingTests(AttemptCase):
    """Nobody connects at first, and NATs may have given the fresh ports other numbers."""

    own = OwnAddresses((N1,), frozenset({N1}), (ip_network("192.0.2.0/24"),))
    REACHED = {**ANSWER, "port": 7000, "reachable": [M4], "dials": ["203.0.113.5"]}

    def setUp(self) -> None:
        super().setUp()
        self.came: list[Protocol] = []
        self.network.pull(N1, M4)

    def answered(self, **more: Any) -> None:
        """An attempt whose first question was answered."""
        self.begin()
        self.answer({**self.REACHED, **more})

    def listen(self, host: str, port: int) -> Any:
        """Have the target listen there."""
        return self.network.on(host).listenTCP(port, Factory.forProtocol(lambda: Silent(self.came)))

    def advance(self, seconds: float) -> None:
        """Let time pass in steps."""
        for _ in range(round(seconds / 0.1)):
            self.network.advance(0.1)

    def test_asked_again(self) -> None:
        """After a moment the router is asked once more, with the same ticket, and the target is dialled there too."""
        self.answered()
        self.advance(MAP_S - 0.1)
        self.assertEqual(1, len(self.asked))
        self.advance(0.2)
        first, second = self.asked
        self.assertTrue(second.pop("observe"))
        self.assertEqual(first["lifetime"] - MAP_S, second.pop("lifetime"))
        del first["lifetime"]
        self.assertEqual(first, second)
        listening = self.listen(M4, 61002)
        self.network.plug(N1, M4)
        self.answer({**self.REACHED, "mapped": 61002})
        self.network.settle()
        self.assertEqual(1, len(self.came))
        self.assertEqual(61002, self.attempt.moments.target_mapped)
        self.attempt.machine.abandon()
        listening.stopListening()
        self.network.settle()
        self.assert_nothing_left()

    def test_behind_a_nat(self) -> None:
        """A peer behind a NAT first asks its router, from the fresh port, where it sees that; both are let go after."""
        router = Router(self.network)
        self.registration.observed, self.registration.router_at = "203.0.113.5", (ROUTER, 5555)
        self.answered()
        self.advance(MAP_S + 0.1)
        self.assertEqual([{"ticket": self.asked[0]["ticket"]}], router.asked)
        self.assertEqual((61001, 2), (self.attempt.moments.mapped, len(self.asked)))
        self.assertEqual(1, len(router.connections))
        self.attempt.machine.abandon()
        self.network.settle()
        self.assertEqual(0, len(router.connections))
        router.die()
        self.assert_nothing_left()

    def test_in_vain(self) -> None:
        """Where the router can't say it, or isn't asked in time, the attempt ends as without."""
        self.registration.observed = "203.0.113.5"
        for answer in (Busy.after(1, "full"), {**self.REACHED, "mapped": 22}, {**self.REACHED, "port": 7001}):
            self.registration.observed = "203.0.113.5" if isinstance(answer, Busy) else N1
            self.answered()
            self.advance(MAP_S + 0.1)
            if len(self.asked) == 2:
                self.answer(answer)
            self.advance(4.7)
            self.assertEqual(0, self.attempt.moments.target_mapped)
            failure = self.ended.pop()
            assert failure is not None
            self.assertEqual(Outcome.CONNECT_FAILED, failure.outcome)
            self.asked.clear()
            self.assert_nothing_left()

    def test_within_5_s(self) -> None:
        """A failure comes within 5 s of the question, if the answer to that came in less than a second."""
        self.begin()
        self.advance(0.9)
        self.answer(self.REACHED)
        self.advance(3.9)
        self.assertEqual([], self.ended)
        self.advance(0.2)
        self.assertEqual(1, len(self.ended))

    def test_somebody_there(self) -> None:
        """While somebody is connected who may become the link, nothing more is asked."""
        self.listen(M4, 7000)
        self.network.plug(N1, M4)
        self.answered()
        self.network.settle()
        self.advance(2 * MAP_S)
        self.assertEqual((1, 1), (len(self.came), len(self.asked)))
        self.came[0].transport.abortConnection()  # type: ignore[union-attr]
        self.network.settle()
        (link,) = self.attempt.moments.callers
        self.assertTrue(link.dialled)
        self.attempt.link_left(self.owner.left[-1], "it is gone")
        self.network.pull(N1, M4)
        self.advance(MAP_S + 0.1)
        self.assertEqual(2, len(self.asked))
        self.attempt.machine.abandon()

    def test_near_router(self) -> None:
        """Beside its router there is no NAT to ask of."""
        self.registration.nearby = True
        self.answered()
        self.advance(2.0)
        self.assertEqual(1, len(self.asked))
        self.attempt.machine.abandon()

    def test_attached(self) -> None:
        """Of the further addresses those are dialled, first, that are on a network of this machine."""
        self.answered(attached=["192.0.2.9", "198.51.100.9", N1])
        self.assertEqual(["192.0.2.9", M4], self.attempt.moments.reachable)
        self.attempt.machine.abandon()

    def test_no_port(self) -> None:
        """A target that listens nowhere is met at a relay, if there is one, and nowhere else."""
        self.answered(port=None, reachable=None)
        self.assertEqual(([], 0), (self.attempt.moments.reachable, self.attempt.moments.target_port))
        self.advance(6.0)
        self.assertEqual([], self.ended)
        self.attempt.machine.abandon()
        self.answered(port=None, reachable=None, relays=["relay.n"])
        self.advance(5.0)
        self.assertEqual(2, len(self.ended))
        self.assert_nothing_left()

    def test_relay_fails_first(self) -> None:
        """A relay that fails at once, as one that is itself the target, doesn't end what that still dials for."""
        self.by_relays = lambda relays, terms: fail(P2PError("it is to relay itself"))
        self.answered(reachable=[], relays=["relay.n"])
        self.advance(2.0)
        self.assertEqual([], self.ended)
        self.answer(Busy.after(1, "no mapping"))
        self.assertEqual([], self.ended)
        self.attempt.reported(self.asked[0]["ticket"], [("203.0.113.5", "no-route")])
        (failure,) = self.ended
        self.assertIn("it is to relay itself", str(failure))
        self.assert_nothing_left()


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

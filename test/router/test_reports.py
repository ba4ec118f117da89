"""What may be reported of dials, and what routers pass on of it."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import DialFailure
from p2p.control.commands import DialFailed, Refused, UnknownPeer
from p2p.router.broker import CANDIDATES
from p2p.router.reports import REMEMBERED, Awaited, AwaitedReports, tellable
from test.router.lab import TICKET, Lab, Peer

N = (ip_network("10.1.0.0/16"),)


class AwaitedTests(SynchronousTestCase):
    """Which reports may come."""

    def test_once(self) -> None:
        """A dial that was asked for may be reported once, by its target to its initiator, while its ticket lives."""
        awaited = AwaitedReports()
        dial = Awaited("m4.m", "n1.n", 30.0, ["10.1.1.1"])
        awaited.expect(b"one", dial)
        for ticket, target, initiator in ((b"two", "m4.m", "n1.n"), (b"one", "m5.m", "n1.n"), (b"one", "m4.m", "n2.n")):
            self.assertIsNone(awaited.take(ticket, target, initiator, 1.0))
        self.assertIs(dial, awaited.take(b"one", "m4.m", "n1.n", 1.0))
        self.assertIsNone(awaited.take(b"one", "m4.m", "n1.n", 1.0))
        awaited.expect(b"one", dial)
        self.assertIsNone(awaited.take(b"one", "m4.m", "n1.n", 30.0))
        self.assertEqual(0, len(awaited))

    def test_bounded(self) -> None:
        """However many are asked for, so many are remembered, the latest ones; one that is renewed is among them."""
        awaited = AwaitedReports()
        for number in range(REMEMBERED + 1):
            awaited.expect(number.to_bytes(32), Awaited("m4.m", "n1.n", 30.0))
            awaited.expect(bytes(32), Awaited("m4.m", "n1.n", 30.0))
        self.assertEqual(REMEMBERED, len(awaited))
        self.assertIsNotNone(awaited.take(bytes(32), "m4.m", "n1.n", 0.0))
        self.assertIsNone(awaited.take((1).to_bytes(32), "m4.m", "n1.n", 0.0))


class TellableTests(SynchronousTestCase):
    """What an initiator may be told."""

    def told(self, address: str, failure: str = "refused", observed: str = "192.0.2.1") -> str:
        """The kind of failure that is told of an address."""
        ((same, kind),) = tellable([(address, failure)], observed, N)
        self.assertEqual(address, same)
        return kind

    def test_own(self) -> None:
        """What is at its own address, or one that is granted to its cluster, it may know."""
        self.assertEqual("refused", self.told("192.0.2.1"))
        self.assertEqual("no-answer", self.told("10.1.2.3", "no-answer"))
        self.assertEqual("refused", self.told("198.51.100.1", observed="127.0.0.1"), "the machine of its router")

    def test_foreign(self) -> None:
        """What is elsewhere it isn't told, or a peer could have another one look for it which ports are open where."""
        for address in ("192.0.2.2", "10.2.0.1", "127.0.0.1", "10.1.255.255", "not an address", ""):
            self.assertEqual(DialFailure.OTHER, self.told(address))
        self.assertEqual(DialFailure.OTHER, self.told("192.0.2.1", observed="a socket"))

    def test_words(self) -> None:
        """Words that aren't known aren't passed on, nor more addresses than there can be."""
        self.assertEqual(DialFailure.OTHER, self.told("192.0.2.1", "\x1b[2J"))
        self.assertEqual(CANDIDATES + 1, len(tellable([("192.0.2.1", "refused")] * 50, "192.0.2.1", N)))


class ReportCase(SynchronousTestCase):
    """n1.n asks for a link to a peer, which can't dial it."""

    def setUp(self) -> None:
        self.lab = Lab()

    def report(self, who: Peer, *failures: str, **changed: Any) -> Deferred[Any]:
        """A target, or a neighbour, reports."""
        addresses = changed.pop("addresses", ["10.9.9.9"])
        arguments = {"target": "m4.m", "initiator": "n1.n", "ticket": TICKET, **changed}
        return who.said(DialFailed, addresses=addresses, failures=list(failures), **arguments)


class OneRouterTests(ReportCase):
    """Both are of one cluster."""

    def setUp(self) -> None:
        super().setUp()
        self.lab.start_router("n", networks={"n": ["10.1.0.0/16"]})
        self.initiator = self.lab.peer("n1.n")
        self.target = self.lab.peer("n2.n", "10.2.2.2")

    def test_told(self) -> None:
        """The initiator is told where its target was told to dial, and how that ended, once."""
        answer = self.successResultOf(self.initiator.request("n2.n", candidates=["10.1.7.7"], reports=True))
        self.assertEqual(["10.9.9.9", "10.1.7.7"], answer["dials"])
        self.assertIs(True, self.target.instructed[0]["reports"])
        addresses = ["10.9.9.9", "10.1.7.7", "10.66.6.6"]
        reporting = self.report(self.target, "refused", "no-answer", "refused", target="n2.n", addresses=addresses)
        self.assertEqual({}, self.successResultOf(reporting))
        (told,) = self.initiator.reported
        self.assertEqual(("n2.n", "n1.n", TICKET), (told["target"], told["initiator"], told["ticket"]))
        self.assertEqual((["10.9.9.9", "10.1.7.7"], ["refused", "no-answer"]), (told["addresses"], told["failures"]))
        self.failureResultOf(self.report(self.target, "refused", target="n2.n"), Refused)

    def test_not_asked(self) -> None:
        """Who wasn't told to dial has nothing to report, and an initiator that doesn't ask for reports gets none."""
        self.failureResultOf(self.report(self.target, "refused", target="n2.n"), Refused)
        self.successResultOf(self.initiator.request("n2.n"))
        self.assertIsNone(self.target.instructed[0]["reports"])
        self.failureResultOf(self.report(self.target, "refused", target="n2.n"), Refused)
        self.assertEqual([], self.initiator.reported)

    def test_not_the_target(self) -> None:
        """Nobody else can report it."""
        self.successResultOf(self.initiator.request("n2.n", reports=True))
        other = self.lab.peer("n3.n", "10.2.2.3")
        self.failureResultOf(self.report(other, "refused", target="n2.n"), Refused)
        self.assertEqual([], self.initiator.reported)

    def test_initiator_is_gone(self) -> None:
        """An initiator that left meanwhile, or doesn't answer, can't be told."""
        self.successResultOf(self.initiator.request("n2.n", reports=True))
        self.initiator.abort("gone")
        self.lab.network.settle()
        self.failureResultOf(self.report(self.target, "refused", target="n2.n"), UnknownPeer)
        again = self.lab.peer("n1.n")
        self.successResultOf(again.request("n2.n", reports=True))
        again.answer = Deferred()
        reporting = self.report(self.target, "refused", target="n2.n")
        self.lab.network.advance(7)
        self.failureResultOf(reporting, UnknownPeer)


class TwoRoutersTests(ReportCase):
    """They are of two clusters."""

    def setUp(self) -> None:
        super().setUp()
        for own, other in (("n", "m"), ("m", "n")):
            self.lab.start_router(own, other)
        self.lab.network.advance(1)
        self.initiator = self.lab.peer("n1.n")
        self.target = self.lab.peer("m4.m", "10.2.2.2")

    def test_told(self) -> None:
        """The report goes from router to router; the answer of the first says where the target dials."""
        answer = self.successResultOf(self.initiator.request("m4.m", reports=True))
        self.assertEqual(["10.9.9.9"], answer["dials"])
        self.assertEqual({}, self.successResultOf(self.report(self.target, "unreachable")))
        (told,) = self.initiator.reported
        self.assertEqual((["10.9.9.9"], ["unreachable"]), (told["addresses"], told["failures"]))

    def test_neighbour_makes_one_up(self) -> None:
        """A neighbour reports for its own peers, what was asked of them; what is at other addresses isn't passed on."""
        neighbour = self.lab.connect("router.m", cluster="n", host=self.lab.address("m"))
        self.failureResultOf(self.report(neighbour, "refused"), Refused)
        self.successResultOf(self.initiator.request("m4.m", reports=True))
        self.failureResultOf(self.report(neighbour, "refused", target="k1.k"), Refused)
        self.failureResultOf(self.report(neighbour, "refused", initiator="n9.n"), UnknownPeer)
        self.successResultOf(self.report(neighbour, "refused", addresses=["10.66.6.6"]))
        (told,) = self.initiator.reported
        self.assertEqual((["10.66.6.6"], ["other"]), (told["addresses"], told["failures"]))
        self.failureResultOf(self.report(neighbour, "refused"), Refused)

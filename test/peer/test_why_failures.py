"""Walking the legs to a peer where one of them fails: which, why, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory, Factory

from p2p.base.config import PeerLimits
from p2p.base.errors import Outcome
from p2p.console.operations import Diagnosis, LegName
from p2p.control.commands import Busy, DialFailed, Refused
from p2p.link.boxes import encode_box
from test.link.links import Hand
from test.peer.walks import ENDPOINT, ByHand, WalkCase, Walks, by_name, states


class RouterTests(WalkCase):
    """One's own router."""

    def test_refused(self) -> None:
        """Where nothing listens, the router is to be started."""
        self.walks(routers=False)
        found = self.lab.walk(self.n1, "m4.m", seconds=11)
        self.failed(
            found,
            LegName.ROUTER,
            Outcome.CLUSTER_UNREACHABLE,
            f"isn't registered at router.n, {ENDPOINT}: Connection",
            "start router.n",
        )
        self.assertEqual(10_000_000_000, by_name(found, LegName.ROUTER).took_ns)

    def test_silent(self) -> None:
        """Where nobody answers, the machine and the firewalls are named."""
        lab = Walks(Path(self.mktemp()), routers=False)
        lab.network.pull(lab.N1, lab.address("n"))
        n1 = lab.host("n1.n", lab.N1)
        lab.network.advance(10)
        found = lab.walk(n1, "m4.m", seconds=11)
        self.failed(
            found,
            LegName.ROUTER,
            Outcome.CLUSTER_UNREACHABLE,
            "router.n accepted no connection within 10 s",
            f"no firewall stops TCP connections to {ENDPOINT}",
        )

    def test_other_lab(self) -> None:
        """Where TLS fails, the certificates and clocks are named."""
        lab = Walks(Path(self.mktemp()))
        n1 = lab.host("n1.n", lab.N1, lab="another")
        found = lab.walk(n1, "m4.m", seconds=11)
        self.failed(found, LegName.ROUTER, Outcome.CLUSTER_UNREACHABLE, "TLS: ", "certificates of one lab")

    def test_other_router(self) -> None:
        """Where another cluster's router listens, the endpoint in the configuration is what is wrong."""
        lab = Walks(Path(self.mktemp()))
        n1 = lab.host("n1.n", lab.N1, router="m")
        found = lab.walk(n1, "m4.m", seconds=11)
        self.failed(
            found,
            LegName.ROUTER,
            Outcome.CLUSTER_UNREACHABLE,
            "the connection to router.n ended: expected router.n, but the certificate at the other end is for router.m",
            f"be the endpoint of the router of cluster n; it says {ENDPOINT}",
        )

    def test_full(self) -> None:
        """Where the router takes no more peers, its limit is named."""
        lab = Walks(Path(self.mktemp()), peers=1)
        lab.host("n2.n", "10.1.0.2")
        n1 = lab.host("n1.n", lab.N1)
        found = lab.walk(n1, "m4.m", seconds=11)
        self.failed(found, LegName.ROUTER, Outcome.CLUSTER_UNREACHABLE, "which is its limit", "raise limits.peers")

    def test_killed(self) -> None:
        """Where the router has just died, it is dialled again, and nobody has to do anything but start it."""
        lab = self.walks()
        lab.kill_router("n")
        found = lab.walk(self.n1, "m4.m", seconds=11)
        self.failed(found, LegName.ROUTER, Outcome.CLUSTER_UNREACHABLE, "Connection", "start router.n")

    def test_hangs(self) -> None:
        """Where the router is connected but doesn't answer, it is that which is said."""
        lab = self.walks()
        lab.network.pull(lab.N1, lab.address("n"))
        found = lab.walk(self.n1, "m4.m", seconds=11)
        self.failed(
            found, LegName.ROUTER, Outcome.TIMEOUT, "didn't answer Ping within 10 s", "router.n is overloaded or hangs"
        )

    def test_hangs_later(self) -> None:
        """A router that answers a ping but no question is what fails, whatever leg was walked."""
        lab = self.walks()
        lab.host("m4.m", lab.M4)
        answered = self.n1.registration.call

        async def call(command: Any, **arguments: Any) -> Any:
            if arguments:
                lab.network.pull(lab.N1, lab.address("n"))
            return await answered(command, **arguments)

        self.patch(self.n1.registration, "call", call)
        found = lab.walk(self.n1, "m4.m", seconds=11)
        self.failed(
            found, LegName.ROUTER, Outcome.TIMEOUT, "didn't answer RequestConnect within 10 s", "overloaded or hangs"
        )

    def test_too_many_requests(self) -> None:
        """A peer that asks its router too often is told which limit it is at."""
        lab = self.walks(requests_per_s=0.001, request_burst=1)
        lab.host("m4.m", lab.M4)
        found = lab.walk(self.n1, "m4.m", seconds=31)
        self.failed(found, LegName.ROUTER, Outcome.TIMEOUT, "makes more than 0.001 requests a second", "requests_per_s")


class SocketTests(WalkCase):
    """The fresh socket."""

    def test_taken(self) -> None:
        """A port that is taken is told, and what to write instead."""
        lab = Walks(Path(self.mktemp()))
        lab.network.listenTCP(7000, Factory(), host=lab.N1)
        n1 = lab.host("n1.n", lab.N1, listen="tcp:7000")
        found = lab.walk(n1, "m4.m")
        self.failed(found, LegName.LISTEN, Outcome.CONNECT_FAILED, "can't listen on tcp:7000", "port 0")

    def test_stopping(self) -> None:
        """A peer that stops makes no links any more."""
        lab = self.walks()
        lab.host("m4.m", lab.M4)
        self.patch(self.n1, "_stopping", True)
        found = lab.walk(self.n1, "m4.m")
        self.failed(found, LegName.LISTEN, Outcome.RESET, "n1.n is stopping", "the log of n1.n's daemon")


class TableTests(WalkCase):
    """The tables and the neighbours."""

    def test_unknown_near(self) -> None:
        """A peer that isn't in one's own router's table isn't registered there."""
        self.walks()
        found = self.lab.walk(self.n1, "n9.n")
        self.failed(
            found, LegName.TABLE, Outcome.UNKNOWN_PEER, "n9.n isn't connected to the router of cluster n", "p2p peers n"
        )

    def test_unknown_far(self) -> None:
        """A peer that isn't in the other router's table isn't registered there."""
        self.walks()
        found = self.lab.walk(self.n1, "m9.m")
        self.failed(
            found, LegName.NEIGHBOUR_TABLE, Outcome.UNKNOWN_PEER, "m9.m isn't connected", "start the daemon of m9.m"
        )

    def test_unknown_cluster(self) -> None:
        """A cluster that the router doesn't know has to be added to its neighbours."""
        self.walks()
        found = self.lab.walk(self.n1, "x1.x")
        self.failed(
            found,
            LegName.NEIGHBOUR,
            Outcome.UNKNOWN_CLUSTER,
            "cluster x isn't known",
            "'neighbours' in the YAML of router.n",
        )

    def test_neighbour_down(self) -> None:
        """A neighbour that is down fails at once."""
        lab = self.walks()
        lab.kill_router("m")
        found = lab.walk(self.n1, "m4.m")
        self.failed(
            found,
            LegName.NEIGHBOUR,
            Outcome.CLUSTER_UNREACHABLE,
            "router.m isn't connected now",
            "see that router.m runs",
        )

    def test_neighbour_hangs(self) -> None:
        """A neighbour that doesn't answer fails when its deadline has passed."""
        lab = self.walks()
        lab.network.pull(lab.address("n"), lab.address("m"))
        found = lab.walk(self.n1, "m4.m", seconds=9)
        self.failed(
            found, LegName.NEIGHBOUR, Outcome.CLUSTER_UNREACHABLE, "router.m gave no answer", "no firewall is between"
        )
        self.assertEqual(8_000_000_000, by_name(found, LegName.NEIGHBOUR).took_ns)

    def test_neighbour_busy(self) -> None:
        """A link of routers that is full is told, with the limit."""
        lab = self.walks(lookups_in_flight=1, limits=PeerLimits(ticket_s=5))
        lab.peer("m9.m", "10.2.0.9").answer = Deferred()
        held = lab.peer("n3.n", "10.1.0.3").request("m9.m")
        found = lab.walk(self.n1, "m4.m", seconds=6)
        self.failed(
            found, LegName.NEIGHBOUR, Outcome.TIMEOUT, "1 questions to router.m", "raise limits.lookups_in_flight"
        )
        self.failureResultOf(held, Busy)


class InstructTests(WalkCase):
    """The instruction to the target."""

    def by_hand(self, **more: Any) -> ByHand:
        """The target, at whose end the test says what happens."""
        self.walks(**more)
        return self.lab.peer("m4.m", self.lab.M4)

    def test_hangs(self) -> None:
        """A target that doesn't answer its router is told, and how often it was asked."""
        lab = self.walks()
        lab.host("m4.m", lab.M4)
        lab.network.pull(lab.M4, lab.address("m"))
        found = lab.walk(self.n1, "m4.m", seconds=31)
        self.failed(
            found,
            LegName.INSTRUCT,
            Outcome.TIMEOUT,
            "m4.m didn't answer its router within 6 s (asked 5 times within 30 s)",
            "the daemon of m4.m hangs",
        )

    def test_goes_away(self) -> None:
        """A target that goes away while it is told to dial was in the table still."""
        target = self.by_hand()
        target.answer = Deferred()
        walking = self.lab.begin(self.n1, "m4.m")
        target.transport.abortConnection()
        self.lab.network.settle()
        found = self.successResultOf(walking)
        self.failed(
            found,
            LegName.INSTRUCT,
            Outcome.UNKNOWN_PEER,
            "m4.m went away while it was told",
            "start the daemon of m4.m",
        )

    def test_refuses(self) -> None:
        """A target that refuses says why."""
        self.by_hand().answer = Refused("m4.m can't use this instruction: it is stopping")
        found = self.lab.walk(self.n1, "m4.m")
        self.failed(found, LegName.INSTRUCT, Outcome.REFUSED, "it is stopping", "start the daemon of m4.m again")

    def test_no_candidate(self) -> None:
        """An initiator that has no address which the target may dial is told of the networks to grant."""
        lab = Walks(Path(self.mktemp()))
        n1 = lab.host("n1.n", "169.254.7.7")
        lab.host("m4.m", lab.M4)
        found = lab.walk(n1, "m4.m")
        self.failed(
            found,
            LegName.INSTRUCT,
            Outcome.REFUSED,
            "no address to dial",
            "'networks' in the YAML of router.m grant cluster n",
        )

    def test_asked_again(self) -> None:
        """A target that was busy and then dials is good, and how often it was asked is told."""
        target = self.by_hand()
        target.answer = Busy.after(0.5, "m4.m is dialling 64 peers, its limit")
        walking = self.lab.begin(self.n1, "m4.m")
        target.answer = {"dialling": True, "plain": False}
        self.lab.network.advance(31)
        found = self.successResultOf(walking)
        self.assertEqual("m4.m dials 10.1.0.1, asked 2 times", by_name(found, LegName.INSTRUCT).detail)
        self.assertLess(abs(500_000_000 - (by_name(found, LegName.INSTRUCT).took_ns or 0)), 100_000_000)

    def test_at_its_limit(self) -> None:
        """A target that is busy until the ticket dies has a limit to raise."""
        self.by_hand().answer = Busy.after(4, "m4.m is dialling 64 peers, its limit")
        found = self.lab.walk(self.n1, "m4.m", seconds=31)
        self.failed(
            found,
            LegName.INSTRUCT,
            Outcome.TIMEOUT,
            "m4.m is dialling 64 peers, its limit (asked 8 times within 30 s)",
            "raise limits.attempts_in_flight in the YAML of m4.m",
        )

    def test_linked_before_the_answer(self) -> None:
        """A link that stood before a router answered is good; what the answer would have told isn't known."""
        lab = self.walks()
        lab.host("m4.m", lab.M4)
        lab.network.pull(lab.M4, lab.address("m"))
        walking = lab.begin(self.n1, "m4.m")
        lab.network.advance(6.5)
        lab.network.plug(lab.M4, lab.address("m"))
        lab.network.advance(3)
        found = self.successResultOf(walking)
        self.assertEqual(("ok", "ooonnnoooo"), (found.outcome, states(found)))
        self.assertEqual("the link stood before router.n answered", by_name(found, LegName.INSTRUCT).detail)
        assert found.link is not None
        self.assertIsNone(found.link.observed)
        self.assertIn("where router.m sees m4.m isn't known here, since no router answered", found.link.note)


class ConnectionTests(WalkCase):
    """The connection from the target."""

    def setUp(self) -> None:
        """A target by hand, and a walk that waits for its call."""
        lab = self.walks()
        self.target = lab.peer("m4.m", lab.M4)
        self.walking = lab.begin(self.n1, "m4.m")
        self.port = self.target.instructed[-1]["port"]

    def end(self, leg: LegName, cause: str, remedy: str) -> Diagnosis:
        """The walk ends when the ticket dies, failing at this leg."""
        self.lab.network.advance(31)
        found = self.successResultOf(self.walking)
        self.failed(found, leg, Outcome.CONNECT_FAILED, cause, remedy)
        return found

    def test_nobody(self) -> None:
        """Without any connection the firewall is named, with the port and the address."""
        found = self.end(
            LegName.DIAL,
            f"m4.m was told to dial 10.1.0.1, port {self.port}, and no connection came within 30 s",
            f"accept TCP from {self.lab.M4} to port {self.port}",
        )
        self.assertEqual(30_000_000_000, by_name(found, LegName.DIAL).took_ns)

    def test_reported(self) -> None:
        """What the target reports is the cause, at once, and the remedy fits it."""
        for failure, cause, remedy in (
            ("refused", "the connection was refused", "let the firewall of n1.n's machine accept TCP from m4.m"),
            ("no-answer", "nothing answered", "let the firewalls of both machines, and those between"),
            ("unreachable", "there is no way there from m4.m", "ip route get ADDRESS"),
            ("forbidden", "doesn't let it connect there", "let the firewall of m4.m's machine pass outgoing TCP"),
            ("no-link", "didn't become the link", "see the log of m4.m"),
            ("other", "it came to nothing", "see the log of m4.m"),
        ):
            told = self.target.instructed[-1]
            report = {"target": "m4.m", "initiator": "n1.n", "ticket": told["ticket"], "addresses": [self.lab.N1]}
            self.successResultOf(self.target.said(DialFailed, failures=[failure], **report))
            found = self.successResultOf(self.walking)
            self.failed(found, LegName.DIAL, Outcome.CONNECT_FAILED, cause, remedy)
            self.assertIn(
                f"m4.m was told to dial {self.lab.N1}, port {told['port']}: ", by_name(found, LegName.DIAL).detail
            )
            self.walking = self.lab.begin(self.n1, "m4.m")

    def test_wrong_certificate(self) -> None:
        """The target's machine with another peer's certificate fails at TLS."""
        self.lab.call(self.target, "m5.m", hello=None)
        self.end(
            LegName.TLS, "the certificate at the other end is for m5.m", "the certificate of m4.m (p2p lab issue m4.m)"
        )

    def test_stranger(self) -> None:
        """A stranger's call isn't the target's: the target's connection is what is missing."""
        self.lab.call(self.target, "m5.m", host="198.51.100.7", hello=None)
        self.end(LegName.DIAL, "; only 198.51.100.7:", "accept TCP from")

    def test_wrong_ticket(self) -> None:
        """The target with a ticket that isn't valid fails at the ticket."""
        hello = encode_box({"version": "1", "streams": "256", "ticket": bytes(32)})
        self.lab.call(self.target, "m4.m", hello=hello)
        self.end(LegName.TICKET, "shows no valid ticket", "each attempt has a fresh ticket")

    def test_other_version(self) -> None:
        """A target of another version is told to be that."""
        self.lab.call(self.target, "m4.m", hello=encode_box({"version": "2", "streams": "256", "ticket": bytes(32)}))
        self.end(LegName.TICKET, "speaks version '2' of the link protocol", "install the same version")

    def test_says_nothing(self) -> None:
        """A target that connects and is silent is told to be that."""
        self.lab.call(self.target, "m4.m", hello=None)
        self.end(LegName.TICKET, "no hello within 10 s", "it connected and then said nothing")

    def test_hangs_up(self) -> None:
        """A target that hangs up before it has proved itself has its reasons in its log."""
        self.lab.call(self.target, "m4.m", hello=None).transport.abortConnection()
        self.end(LegName.TICKET, "connected as m4.m, but didn't become the link", "see the log of m4.m")

    def test_no_tls(self) -> None:
        """Somebody on the target's machine who doesn't speak TLS is told to be that."""
        hand = Hand()
        factory = Factory.forProtocol(lambda: hand)
        self.connect(factory)
        hand.say(b"GET / HTTP/1.0\r\n\r\n")
        self.end(LegName.TLS, "TLS: ", "something else than a peer of this version called")

    def test_too_late(self) -> None:
        """A connection that was under way when the ticket died is told to be that."""
        self.lab.network.advance(25)
        self.lab.call(self.target, "m4.m", hello=None)
        self.end(LegName.TICKET, "still under way when the ticket died, after 30 s", "try again")

    def test_good_after_all(self) -> None:
        """Callers who are turned away don't keep the target from its link, however many they are."""
        for _ in range(20):
            self.lab.call(self.target, "m5.m", hello=None)
        self.lab.call(self.target, "m4.m")
        self.lab.network.advance(45)
        found = self.successResultOf(self.walking)
        # The hand serves no exchange; the link is good.
        self.failed(found, LegName.EXCHANGE, Outcome.TIMEOUT, "nothing moved for 30 s", "m4.m doesn't serve it")

    def connect(self, factory: Any) -> None:
        """Connect to the fresh socket without TLS."""
        plain = ClientFactory.forProtocol(factory.protocol)
        told = self.target.instructed[-1]
        self.lab.network.on(self.lab.M4).connectTCP(told["candidates"][0], told["port"], plain)
        self.lab.network.settle()


class WalledTests(WalkCase):
    """Both ends dial, and neither gets through."""

    def test_silence(self) -> None:
        """What each end dialled is said after 5 s, and what to open, whether the target reports or not."""
        lab = self.walks()
        lab.host("m4.m", lab.M4)
        lab.network.wall(lab.N1)
        lab.network.wall(lab.M4)
        found = lab.walk(self.n1, "m4.m", seconds=5.1)
        self.failed(
            found, LegName.DIAL, Outcome.CONNECT_FAILED, f"; from here, {lab.M4}, port ", "let the firewalls of"
        )
        self.assertIn(f"m4.m was told to dial {lab.N1}, port ", by_name(found, LegName.DIAL).detail)

    def test_no_report(self) -> None:
        """Without a report of the target's, this end's own dials are told, and the page that says what to open."""
        lab = self.walks()
        target = lab.peer("m4.m", lab.M4)
        target.answer = {"dialling": True, "plain": False, "port": 40002, "addresses": []}
        lab.network.wall(lab.M4)
        found = lab.walk(self.n1, "m4.m", seconds=5.1)
        cause = f", and says nothing; from here, {lab.M4}, port 40002: nothing answered"
        self.failed(found, LegName.DIAL, Outcome.CONNECT_FAILED, cause, "let the firewall of one of the two machines")


class YieldedTests(WalkCase):
    """A target that is asking for this peer itself."""

    def test_comes_to_nothing(self) -> None:
        """A request of the target that went first and came to nothing is told to be that."""
        lab = self.walks()
        lab.peer("m4.m", lab.M4).answer = {"dialling": False, "plain": False}
        found = lab.walk(self.n1, "m4.m", seconds=31)
        self.failed(found, LegName.DIAL, Outcome.CONNECT_FAILED, "m4.m was asking for n1.n itself", "try again")

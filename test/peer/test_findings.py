"""What is said of failures: the leg, the cause, and a remedy that fits."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome, P2PError
from p2p.console.operations import LegName
from p2p.control.channel import ControlLost
from p2p.control.commands import Busy, ClusterUnreachable, ControlError, Refused
from p2p.link.hello import Steps
from p2p.peer.findings import Ends, Finding, explain_attempt, explain_exchange, explain_router
from p2p.peer.moments import AttemptFailed, Moments, Setup

WAY = Ends("n1.n", "m4.m", "tcp:192.0.2.9:5555", 30.0)
NEAR = Ends("n1.n", "n2.n", "tcp:192.0.2.9:5555", 30.0)


def attempt(moments: Moments, outcome: Outcome = Outcome.CONNECT_FAILED, way: Ends = WAY) -> Finding:
    """What is said of an attempt that ended so."""
    return explain_attempt(way, AttemptFailed(ExchangeFailed(outcome, "it failed"), Setup(moments=moments)))


def asked(error: P2PError | None = None) -> Moments:
    """An attempt that has asked its router and got this."""
    return Moments(1, port=40001, bound_ns=2, asked_ns=3, asked=1, error=error)


def called(reason: str, *, secured_ns: int = 0, remote: str = "192.0.2.4:50001") -> Moments:
    """An attempt whose socket somebody called."""
    moments = asked()
    moments.answered_ns, moments.address = 4, "192.0.2.4"
    moments.callers = [Steps(remote, 5, secured_ns, 0, reason)]
    return moments


class FindingTests(SynchronousTestCase):
    """Which leg, and what to do."""

    def test_no_answer(self) -> None:
        """An attempt that ends before its router has answered blames the router."""
        found = attempt(asked(), Outcome.TIMEOUT)
        self.assertEqual((LegName.ROUTER, Outcome.TIMEOUT), (found.leg, found.outcome))
        self.assertIn("router.n hasn't answered where m4.m is: it failed", found.cause)

    def test_router_lost(self) -> None:
        """A router whose connection ends in the middle of a question is connected again."""
        found = attempt(asked(ControlLost("the control channel ended")))
        self.assertEqual((LegName.ROUTER, Outcome.CLUSTER_UNREACHABLE), (found.leg, found.outcome))
        self.assertIn("connects again by itself", found.remedy)

    def test_given_up(self) -> None:
        """An attempt that is given up while it waits for a connection says so, and blames no firewall."""
        moments = asked()
        moments.answered_ns = 4
        found = attempt(moments, Outcome.RESET)
        self.assertEqual((LegName.DIAL, Outcome.RESET, "it failed"), (found.leg, found.outcome, found.cause))
        self.assertNotIn("firewall", found.remedy)

    def test_refusals(self) -> None:
        """Each reason for which a router or a peer refuses has a remedy of its own."""
        for text, leg, remedy in (
            ("n1.n isn't registered over this connection; register first", LegName.ROUTER, "registering anew"),
            ("port 80 isn't within 1024 to 65535", LegName.INSTRUCT, "'listen' and 'limits'"),
            ("router.x doesn't speak for n1.n", LegName.INSTRUCT, "'neighbours' in the YAML of router.m"),
            ("anything else", LegName.INSTRUCT, "change what the reason names"),
        ):
            found = attempt(asked(Refused(text)))
            self.assertEqual((leg, text), (found.leg, found.cause))
            self.assertIn(remedy, found.remedy)

    def test_busy(self) -> None:
        """Who is busy decides the leg; the seconds after which to ask again aren't shown."""
        for text, leg in (
            ("64 connection attempts of n1.n are under way", LegName.ROUTER),
            ("router.n has 4096 instructions under way", LegName.NEIGHBOUR),
            ("m4.m is dialling 64 peers, its limit", LegName.INSTRUCT),
        ):
            found = attempt(asked(Busy.after(1.5, text)), Outcome.TIMEOUT)
            self.assertEqual((leg, text), (found.leg, found.cause))

    def test_neighbour_of_ones_own_cluster(self) -> None:
        """A router that speaks of a neighbour where there is none is itself what is wrong."""
        errors: tuple[ControlError, ...] = (ClusterUnreachable("why"), Busy.after(1, "9 questions to router.n are"))
        for error in errors:
            self.assertEqual(LegName.ROUTER, attempt(asked(error), way=NEAR).leg)

    def test_callers(self) -> None:
        """What kept a caller from being the link decides the leg and the remedy."""
        for reason, secured_ns, leg, remedy in (
            ("TLS: certificate verify failed", 0, LegName.TLS, "certificates of one lab"),
            ("TLS: certificate verify failed: it has expired", 0, LegName.TLS, "make m4.m a new certificate"),
            ("TLS: tls alert certificate expired", 0, LegName.TLS, "make n1.n a new one"),
            ("TLS: tlsv1 alert unknown ca", 0, LegName.TLS, "compare 'authority'"),
            ("no hello within 10 s", 0, LegName.TLS, "a firewall that inspects it"),
            ("the connection broke", 0, LegName.TLS, "if it accepts the certificate of n1.n"),
            ("the connection shows no valid ticket of n1.n for m4.m", 0, LegName.TICKET, "a fresh ticket"),  # plain
            ("the ticket of n1.n for m4.m has expired", 6, LegName.TICKET, "a fresh ticket"),
            ("the connection broke", 6, LegName.TICKET, "before the link stood"),
        ):
            found = attempt(called(reason, secured_ns=secured_ns))
            self.assertEqual(leg, found.leg, reason)
            self.assertIn(reason, found.cause)
            self.assertIn(remedy, found.remedy)

    def test_caller_that_came_furthest(self) -> None:
        """Of several callers the one that came furthest tells most, and a stranger's failure tells nothing."""
        moments = called("TLS: wrong version number", remote="198.51.100.1:1")
        moments.callers.append(Steps("192.0.2.4:1", 5, 0, 0, "TLS: certificate verify failed"))
        self.assertEqual(LegName.TLS, attempt(moments).leg)
        self.assertIn("192.0.2.4:1 connected", attempt(moments).cause)
        moments.callers.append(Steps("203.0.113.5:1", 7, 8, 0, "the ticket has expired"))
        self.assertIn("203.0.113.5:1 connected as m4.m", attempt(moments).cause)

    def test_silent_stranger(self) -> None:
        """A stranger that is still connected when the ticket dies is told beside the missing connection."""
        found = attempt(called("", remote="198.51.100.1:1"))
        self.assertEqual(LegName.DIAL, found.leg)
        self.assertIn("only 198.51.100.1:1 did, which isn't its address: it said nothing", found.cause)

    def test_router_reasons(self) -> None:
        """Each reason for which a peer isn't registered has a remedy of its own, and no reason has none."""
        for reason, remedy in (
            ("DNS lookup failed: no results for hostname lookup: nowhere", "a host that exists; it says tcp:192.0.2.9"),
            ("n1.n is of cluster n, and this is the router of m", "the endpoint of the router of cluster n"),
            ("the channel ended: TLS: tls alert certificate expired", "make n1.n a new one (p2p lab issue n1.n)"),
            ("not connected yet", "n1.n tries again by itself"),
        ):
            found = explain_router(WAY, ControlLost("n1.n isn't registered"), reason)
            self.assertTrue(found.cause.endswith(reason))
            self.assertIn(remedy, found.remedy)

    def test_sockets(self) -> None:
        """Each reason for which no socket listens has a remedy of its own."""
        for reason, remedy in (
            ("can't listen on tcp:0: Too many open files", "LimitNOFILE"),
            ("can't listen on tcp:0:interface=192.0.2.77: Cannot assign requested address", "correct 'listen'"),
        ):
            failure = AttemptFailed(ExchangeFailed(Outcome.CONNECT_FAILED, reason), Setup(moments=Moments(1)))
            found = explain_attempt(WAY, failure)
            self.assertEqual((LegName.LISTEN, reason), (found.leg, found.cause))
            self.assertIn(remedy, found.remedy)

    def test_exchanges(self) -> None:
        """An exchange that is cut off is in the other peer's log."""
        found = explain_exchange(WAY, ExchangeFailed(Outcome.RESET, "the link broke"))
        self.assertEqual((LegName.EXCHANGE, Outcome.RESET, "the link broke"), (found.leg, found.outcome, found.cause))
        self.assertIn("the log of m4.m", found.remedy)

    def test_error_without_an_outcome(self) -> None:
        """An error of no known outcome means that the router can't be reached."""
        self.assertEqual(Outcome.CLUSTER_UNREACHABLE, explain_router(WAY, P2PError("?"), None).outcome)

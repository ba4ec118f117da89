"""Tests of what peers and neighbours may ask a router, over real TLS in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs

from p2p.control.admission import Admission
from p2p.control.channel import FAREWELL_S, ControlLost
from p2p.control.commands import (
    Busy,
    ClusterMismatch,
    InstructConnect,
    ListPeers,
    LookupPeer,
    NameMismatch,
    Ping,
    Refused,
    Register,
    RequestConnect,
    TooManyPeers,
    UnknownCluster,
    UnknownPeer,
)
from p2p.control.door import Arriving
from p2p.identity.tls import LINK_ALPN
from p2p.router.meters import REGISTRATION_BURST
from p2p.router.protocol import REPLACED_S
from test.control.conversation import FakeTLS
from test.router.lab import TICKET, RouterTestCase

HERE = IPv4Address("TCP", "192.0.2.7", 40000)


class RegisterTests(RouterTestCase):
    def test_registered(self) -> None:
        """A peer that registers the name in its certificate is in the table, at the address the router observed."""
        self.start()
        peer = self.lab.connect("n1.n", host="10.1.1.1")
        self.assertIsNone(self.router.table.lookup("n1.n"))
        self.assertEqual({"lease": 60.0, "observed": "10.1.1.1", "renews": True}, self.successResultOf(peer.register()))
        entry = self.router.table.lookup("n1.n")
        assert entry is not None
        self.assertEqual("10.1.1.1", entry.address)

    def test_other_name(self) -> None:
        """No peer registers a name that isn't in its certificate; the attempt is logged."""
        self.start()
        peer = self.lab.connect("n1.n")
        with capturedLogs() as logs:
            self.failureResultOf(peer.said(Register, name="n2.n", version="0.1.0"), NameMismatch)
        self.assertEqual("n2.n", next(one["name"] for one in logs if one["log_level"] is LogLevel.warn))
        self.assertEqual(0, len(self.router.table))

    def test_other_cluster(self) -> None:
        """A peer of another cluster isn't taken, whatever its certificate."""
        self.start()
        peer = self.lab.connect("m1.m", cluster="n")
        self.failureResultOf(peer.register(), ClusterMismatch)

    def test_full(self) -> None:
        """A full table takes no new peer, but lets one come back."""
        self.start(peers=2)
        self.lab.peer("n1.n")
        self.lab.peer("n2.n")
        self.failureResultOf(self.lab.connect("n3.n").register(), TooManyPeers)
        self.lab.peer("n2.n")
        self.assertEqual(2, len(self.router.table))

    def test_leaves_with_its_connection(self) -> None:
        """The entry goes the moment the connection ends, politely or not."""
        self.start()
        for end in ("close", "abortConnection"):
            peer = self.lab.peer("n1.n")
            if end == "close":
                peer.close()
            else:
                peer.transport.abortConnection()
            self.network.settle()
            self.assertEqual(0, len(self.router.table), end)
            self.assertEqual(0, self.service.meter.open)

    def test_again(self) -> None:
        """A new registration replaces the old one, whose connection is closed politely and takes nothing with it."""
        self.start()
        old = self.lab.peer("n1.n", host="10.1.1.1")
        with capturedLogs() as logs:
            new = self.lab.peer("n1.n", host="10.2.2.2")
        self.assertEqual(["10.1.1.1"], [one["old"] for one in logs if "old" in one])
        self.assertIsNotNone(old.ended)
        self.assertTrue(new.is_open)
        entry = self.router.table.lookup("n1.n")
        assert entry is not None
        self.assertEqual("10.2.2.2", entry.address)

    def test_twice_over_one_connection(self) -> None:
        """Registering again over the same connection changes nothing."""
        self.start()
        peer = self.lab.peer("n1.n")
        self.successResultOf(peer.register())
        self.assertTrue(peer.is_open)
        self.assertEqual(1, len(self.router.table))

    def test_flood(self) -> None:
        """Who registers as if there were no tomorrow is cut off."""
        self.start(requests_per_s=1.0, request_burst=3)
        peer = self.lab.peer("n1.n")
        asked = [peer.register() for _ in range(3)]
        self.failureResultOf(asked[-1], ControlLost)
        self.assertEqual(0, len(self.router.table))

    def test_registers_in_a_loop(self) -> None:
        """However many connections a peer makes, its name registers once a second in the long run; no other waits."""
        self.start()
        for number in range(REGISTRATION_BURST):
            self.lab.peer("n1.n", host=f"10.1.1.{number}")
        waiting = [self.lab.connect("n1.n") for _ in range(8)]
        answers = [one.register() for one in waiting]
        self.lab.peer("n2.n")
        self.assertEqual([False] * 5 + [True] * 3, [one.called for one in answers])
        self.network.advance(1.01)
        self.assertEqual([True] + [False] * 4, [one.called for one in answers[:5]])
        reasons = [str(self.failureResultOf(one, ControlLost).value) for one in answers[5:]]
        self.assertEqual(3, len(reasons))
        self.network.advance(4.0)
        self.assertEqual(
            [{"lease": 60.0, "observed": "10.9.9.9", "renews": True}] * 5,
            [self.successResultOf(one) for one in answers[:5]],
        )
        self.network.advance(REPLACED_S)
        self.assertEqual(2, len(self.service._channels.open))

    def test_replaced_in_silence(self) -> None:
        """A connection that is replaced is gone within a second, though its end says nothing."""
        self.start()
        self.lab.peer("n1.n", host="10.1.1.1")
        self.network.pull("10.1.1.1", self.lab.address("n"))
        self.lab.peer("n1.n", host="10.2.2.2")
        self.assertEqual(2, len(self.service._channels.open))
        self.network.advance(REPLACED_S + 0.1)
        self.assertEqual(1, len(self.service._channels.open))

    def test_gives_up_meanwhile(self) -> None:
        """Who has left when its turn to register has come isn't registered."""
        self.start()
        timers = self.network.getDelayedCalls()
        for _ in range(REGISTRATION_BURST):
            self.lab.peer("n1.n").close()
        late = self.lab.connect("n1.n")
        late.register().addErrback(lambda failure: None)
        late.transport.abortConnection()
        self.network.advance(2.0)
        self.assertEqual((0, len(timers)), (len(self.router.table), len(self.network.getDelayedCalls())))

    def test_never(self) -> None:
        """A peer that shows its certificate and doesn't register within 10 s is cut off."""
        self.start()
        peer = self.lab.connect("n1.n")
        self.network.advance(9.9)
        self.assertIsNone(peer.ended)
        self.network.advance(0.2)
        self.assertIsNotNone(peer.ended)

    def test_silence(self) -> None:
        """A peer from which nothing is heard for 60 s is dropped from the table."""
        self.start()
        self.lab.peer("n1.n", host="10.1.1.1")
        self.network.advance(100)
        self.assertEqual(1, len(self.router.table))
        self.network.pull("10.1.1.1", self.lab.address("n"))
        self.network.advance(61)
        self.assertEqual(0, len(self.router.table))

    def test_memory(self) -> None:
        """Peers that came and went leave nothing behind: no entry, no socket, no timer, no place among the pending."""
        self.start()
        timers = self.network.getDelayedCalls()
        for number in range(20):
            peer = self.lab.peer("n1.n", host=f"10.1.1.{number}")
            self.network.advance(1.0)
            peer.request("n2.n").addErrback(lambda failure: None)
        peer.close()
        self.network.settle()
        pending = self.service.admission.pending
        self.assertEqual((0, 0, 0), (len(self.router.table), len(self.service._channels.open), pending))
        self.assertEqual(timers, self.network.getDelayedCalls())


class StrangerTests(RouterTestCase):
    """Those who get no answer at all."""

    def assertSilent(self, who: Any) -> None:
        self.failureResultOf(who.said(Ping), ControlLost)
        self.assertIsNotNone(who.ended)
        self.assertEqual(0, self.service.meter.open)

    def test_foreign_authority(self) -> None:
        """A certificate of another lab's authority is refused, with OpenSSL's reason in the log."""
        self.start()
        with capturedLogs() as logs:
            stranger = self.lab.connect("n1.n", lab="foreign")
        self.assertTrue([one for one in logs if "TLS" in str(one.get("reason"))])
        self.assertSilent(stranger)

    def test_other_protocol(self) -> None:
        """Who speaks the protocol of direct links is at the wrong door."""
        self.start()
        self.assertSilent(self.lab.connect("n1.n", alpn=LINK_ALPN))

    def test_unknown_router(self) -> None:
        """The router of a cluster that isn't in ``neighbours`` is refused with a warning that says what to do."""
        self.start()
        with capturedLogs() as logs:
            stranger = self.lab.connect("router.k", cluster="n")
        reason = "router.k isn't a neighbour; to let it in, add k to neighbours"
        self.assertIn(reason, [str(one.get("reason")) for one in logs])
        self.assertEqual(f"router.n said: {reason}", stranger.end_reason, "who is refused is told why")
        self.assertSilent(stranger)

    def test_neither_peer_nor_router(self) -> None:
        """A certificate of the lab that is neither a peer's nor a router's opens nothing."""
        self.start()
        for name in ("console", "n1.n.example.org"):
            place, _ = Admission(1, 1).enter(HERE.host)
            channel, transport = self.service._channels.buildProtocol(Arriving(HERE, place)), FakeTLS(name)
            channel.makeConnection(transport)
            with capturedLogs() as logs:
                channel.handshakeCompleted()
            self.assertTrue(transport.disconnecting)
            self.network.advance(FAREWELL_S)
            self.assertTrue(transport.aborted, "it has time to read why, and no more")
            self.assertIn("the certificate is neither a peer's nor a router's", str(logs[0]["reason"]))

    def test_this_router_itself(self) -> None:
        """Not even the router's own certificate opens a link to it."""
        self.start()
        self.assertSilent(self.lab.connect("router.n"))

    def test_peer_asks_like_a_router(self) -> None:
        """What is a router's to ask gets a peer closed."""
        self.start()
        self.lab.peer("n2.n")
        for command, arguments in (
            (LookupPeer, {"name": "n2.n"}),
            (
                InstructConnect,
                {
                    "target": "n2.n",
                    "initiator": "n1.n",
                    "observed": "192.0.2.1",
                    "candidates": [],
                    "port": 4000,
                    "ticket": TICKET,
                    "lifetime": 30.0,
                    "plain": False,
                },
            ),
        ):
            peer = self.lab.peer("n1.n")
            self.failureResultOf(peer.said(command, **arguments), ControlLost)
            self.assertIsNotNone(peer.ended)


class RequestTests(RouterTestCase):
    """Two peers of one cluster."""

    def setUp(self) -> None:
        super().setUp()
        self.start(networks={"n": ["10.1.0.0/16"]})
        self.initiator = self.lab.peer("n1.n", host="10.1.1.1")
        self.target = self.lab.peer("n2.n", host="10.2.2.2")

    def test_instructed(self) -> None:
        """The target is told who wants it and where to dial; the initiator where the target is and who dials."""
        answer = self.successResultOf(self.initiator.request("n2.n", candidates=["10.1.7.7", "10.3.3.3"]))
        self.assertEqual(
            [
                {
                    "target": "n2.n",
                    "initiator": "n1.n",
                    "observed": "",
                    "candidates": ["10.1.1.1", "10.1.7.7"],
                    "port": 40001,
                    "ticket": TICKET,
                    "lifetime": 30.0,
                    "plain": False,
                    "reports": None,
                    "reaches": None,
                    "relays": None,
                    "attached": None,
                    "mapped": None,
                    "observe": None,
                }
            ],
            self.target.instructed,
        )
        took = answer.pop("table_lookup_ns")
        self.assertTrue(0 < took < 10**9, took)
        self.assertEqual(["10.1.1.1", "10.1.7.7"], answer.pop("dials"))
        unsaid = ("port", "reachable", "attached", "mapped", "goes", "relays")
        self.assertEqual([None] * 6, [answer.pop(one) for one in unsaid])
        self.assertEqual({"address": "10.2.2.2", "router_lookup_ns": 0, "dialling": True, "plain": False}, answer)
        self.assertEqual(1, self.router.times.count)

    def test_plain(self) -> None:
        """A link is plain only where the initiator offered it and the target takes it."""
        self.target.answer = {"dialling": False, "plain": True}
        for offered in (True, False):
            answer = self.successResultOf(self.initiator.request("n2.n", plain=offered))
            self.assertEqual((offered, False), (answer["plain"], answer["dialling"]))

    def test_unknown(self) -> None:
        """Peers that aren't connected, can't be, or belong to no known cluster each get their own error."""
        for target, kind in (("n9.n", UnknownPeer), ("N2.n", UnknownPeer), ("", UnknownPeer), ("k1.k", UnknownCluster)):
            self.failureResultOf(self.initiator.request(target), kind)
        self.assertTrue(self.initiator.is_open)

    def test_refused_by_the_router(self) -> None:
        """What breaks a rule is refused with the reason, logged with both names, and the target isn't told of it."""
        for changed in (
            {"port": 22},
            {"ticket": b"short"},
            {"lifetime": 1e9},
            {"candidates": ["10.1.1.1"] * 9},
            {"candidates": ["224.0.0.1"]},
        ):
            with capturedLogs() as logs:
                failure = self.failureResultOf(self.initiator.request("n2.n", **changed), Refused)
            self.assertGreater(len(str(failure.value)), 20)
            told = [one for one in logs if one["log_level"] is LogLevel.warn]
            self.assertEqual([("a link to n2.n", "Refused")], [(one["what"], one["kind"]) for one in told])
        self.assertEqual([], self.target.instructed)

    def test_itself(self) -> None:
        """A peer can't ask for a link to itself."""
        failure = self.failureResultOf(self.initiator.request("n1.n"), Refused)
        self.assertEqual("n1.n asks for a link to itself", str(failure.value))

    def test_refused_by_the_target(self) -> None:
        """The target's own errors are passed on as they are."""
        for error in (Refused("not today"), Busy.after(3, "64 attempts"), UnknownPeer("not here any more")):
            self.target.answer = error
            failure = self.failureResultOf(self.initiator.request("n2.n"), type(error))
            self.assertEqual(str(error), str(failure.value))

    def test_target_dies(self) -> None:
        """A target whose connection ends while it is told is unknown from then on."""
        self.target.answer = Deferred()
        asked = self.initiator.request("n2.n")
        self.assertNoResult(asked)
        self.target.transport.abortConnection()
        self.network.settle()
        self.failureResultOf(asked, UnknownPeer)

    def test_target_is_stuck(self) -> None:
        """A target that doesn't answer makes Busy, before the initiator's own patience ends."""
        self.target.answer = Deferred()
        asked = self.initiator.request("n2.n")
        self.network.advance(5.9)
        self.assertNoResult(asked)
        self.network.advance(0.2)
        failure = self.failureResultOf(asked, Busy)
        self.assertIn("n2.n didn't answer its router within 6 s", str(failure.value))

    def test_initiator_leaves(self) -> None:
        """An initiator that is gone when its answer comes disturbs nobody."""
        waiting: Deferred[Any] = Deferred()
        self.target.answer = waiting
        asked = self.initiator.request("n2.n")
        self.initiator.transport.abortConnection()
        self.network.settle()
        self.failureResultOf(asked, ControlLost)
        waiting.callback({"dialling": True, "plain": False})
        self.network.settle()
        self.assertTrue(self.target.is_open)

    def test_not_registered(self) -> None:
        """Before it is registered, and after it was replaced, a peer may ask for nothing."""
        stranger = self.lab.connect("n3.n")
        self.failureResultOf(stranger.request("n2.n"), Refused)
        self.failureResultOf(stranger.said(ListPeers, cluster="n", after=""), Refused)

    def test_no_address(self) -> None:
        """An initiator at an address that nobody else can dial is refused, if it has no better one."""
        near = self.lab.peer("n3.n", host="169.254.3.3")
        failure = self.failureResultOf(near.request("n2.n"), Refused)
        self.assertIn("169.254.3.3 is a link-local address", str(failure.value))
        self.successResultOf(near.request("n2.n", candidates=["10.1.3.3"]))

    def test_initiator_on_the_router(self) -> None:
        """An initiator on the router's own machine is dialled at the address where the target reaches the router."""
        near = self.lab.peer("n3.n", host="127.0.0.1")
        self.successResultOf(near.request("n2.n"))
        self.assertEqual([self.lab.address("n")], self.target.instructed[-1]["candidates"])

    def test_listing(self) -> None:
        """The names of the own cluster come in order, page after page."""
        for number in range(300):
            self.lab.peer(f"n{number}.n", host="10.4.4.4") if number > 2 and number % 100 == 0 else None
        page = self.successResultOf(self.initiator.said(ListPeers, cluster="n", after=""))
        self.assertEqual({"names": ["n1.n", "n100.n", "n2.n", "n200.n"], "more": False}, page)
        page = self.successResultOf(self.initiator.said(ListPeers, cluster="n", after="n100.n"))
        self.assertEqual(["n2.n", "n200.n"], page["names"])
        self.failureResultOf(self.initiator.said(ListPeers, cluster="k", after=""), UnknownCluster)


class NeighbourTests(RouterTestCase):
    """What a neighbour, honest or not, may ask; here it speaks for itself."""

    def setUp(self) -> None:
        super().setUp()
        # Its router is never started here, so that the test is all there is of cluster m.
        self.service = self.lab.start_router(
            "n", "m", networks={"m": ["10.7.0.0/16", "10.8.0.0/16"]}, lookups_in_flight=3
        )
        self.target = self.lab.peer("n2.n", host="10.2.2.2")
        self.neighbour = self.lab.connect("router.m", cluster="n", host="10.8.0.1")

    def instruct(self, **changed: Any) -> Deferred[dict[str, Any]]:
        arguments: dict[str, Any] = {
            "target": "n2.n",
            "initiator": "m1.m",
            "observed": "10.7.7.7",
            "candidates": [],
            "port": 40001,
            "ticket": TICKET,
            "lifetime": 30.0,
            "plain": False,
            **changed,
        }
        return self.neighbour.said(InstructConnect, **arguments)

    def test_lookup(self) -> None:
        """A look-up gets the address of a connected peer and the time it took, or UnknownPeer."""
        answer = self.successResultOf(self.neighbour.said(LookupPeer, name="n2.n"))
        self.assertEqual("10.2.2.2", answer["address"])
        self.assertGreater(answer["table_lookup_ns"], 0)
        for name in ("n9.n", "", "m1.m", "x" * 60_000, "\x1b[31m"):
            failure = self.failureResultOf(self.neighbour.said(LookupPeer, name=name), UnknownPeer)
            self.assertLess(len(str(failure.value)), 300)

    def test_instruct(self) -> None:
        """An instruction for its own peers is passed on, with the observed address and the granted candidates."""
        answer = self.successResultOf(self.instruct(candidates=["10.8.1.1", "10.6.6.6"]))
        dials = ["10.7.7.7", "10.8.1.1"]
        nothing = dict.fromkeys(("port", "addresses", "observed", "attached", "mapped", "goes", "relays"))
        self.assertEqual({"dialling": True, "plain": False, "dials": dials, **nothing}, answer)
        self.assertEqual(dials, self.target.instructed[0]["candidates"])

    def test_other_cluster(self) -> None:
        """A neighbour speaks for the peers of its own cluster alone."""
        for initiator in ("n1.n", "k1.k"):
            with capturedLogs() as logs:
                failure = self.failureResultOf(self.instruct(initiator=initiator), Refused)
            self.assertEqual(f"router.m doesn't speak for {initiator}", str(failure.value))
            self.assertEqual(["n2.n"], [one["target"] for one in logs if one["log_level"] is LogLevel.warn])
        self.assertEqual([], self.target.instructed)

    def test_aiming(self) -> None:
        """It can't aim a peer at loopback, at a service, or at what isn't one machine."""
        for observed in ("0.0.0.0", "224.0.0.1", "169.254.169.254", "localhost", "", "::", "255.255.255.255"):
            self.failureResultOf(self.instruct(observed=observed), Refused)
        self.failureResultOf(self.instruct(port=22), Refused)
        for observed in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
            self.successResultOf(self.instruct(observed=observed, candidates=["127.0.0.1"]))
            self.assertEqual(["10.8.0.1"], self.target.instructed[-1]["candidates"])

    def test_unknown_target(self) -> None:
        """A target that isn't connected here, or is nobody's name, is unknown."""
        for target in ("n9.n", "m2.m", "router.n", ""):
            self.failureResultOf(self.instruct(target=target), UnknownPeer)

    def test_listing(self) -> None:
        """It may list this cluster, and no other through this router."""
        page = self.successResultOf(self.neighbour.said(ListPeers, cluster="n", after=""))
        self.assertEqual({"names": ["n2.n"], "more": False}, page)
        for cluster in ("m", "x" * 80, "x" * 81):
            failure = self.failureResultOf(self.neighbour.said(ListPeers, cluster=cluster, after=""), UnknownCluster)
            self.assertEqual(f"this is the router of n, not of {cluster[:80]}", str(failure.value))

    def test_lookups_in_flight(self) -> None:
        """More instructions under way than allowed get Busy, and nobody else suffers."""
        self.target.answer = Deferred()
        asked = [self.instruct() for _ in range(4)]
        failure = self.failureResultOf(asked[3], Busy)
        self.assertIn("router.m has 3 instructions under way", str(failure.value))
        assert isinstance(failure.value, Busy)
        self.assertEqual(1.0, failure.value.retry_after)
        self.successResultOf(self.lab.peer("n1.n").request("n1.n").addErrback(lambda failure: None))
        self.successResultOf(self.neighbour.said(LookupPeer, name="n2.n"))
        self.target.transport.abortConnection()
        self.network.settle()
        for one in asked[:3]:
            self.failureResultOf(one, UnknownPeer)
        self.failureResultOf(self.instruct(), UnknownPeer)

    def test_asks_like_a_peer(self) -> None:
        """A router can't register or ask for links as a peer does."""
        for command, arguments in (
            (Register, {"name": "router.m", "version": "1"}),
            (
                RequestConnect,
                {
                    "target": "n2.n",
                    "port": 40001,
                    "ticket": TICKET,
                    "lifetime": 30.0,
                    "plain": False,
                    "candidates": [],
                },
            ),
        ):
            neighbour = self.lab.connect("router.m", cluster="n", host="10.8.0.1")
            self.failureResultOf(neighbour.said(command, **arguments), ControlLost)

    def test_one_link(self) -> None:
        """A neighbour that links again takes the place of its older link."""
        with capturedLogs() as logs:
            again = self.lab.connect("router.m", cluster="n", host="10.8.0.1")
        self.assertEqual(1, len([one for one in logs if "linked to this router" in one["log_format"]]))
        self.assertIsNotNone(self.neighbour.ended)
        self.assertTrue(again.is_open)
        again.close()
        self.network.settle()
        self.assertEqual({}, self.service._channels._neighbours)

    def test_takes_no_place(self) -> None:
        """A linked neighbour isn't among the pending any more, and needn't register."""
        self.assertEqual(0, self.service.admission.pending)
        self.network.advance(30)
        self.assertTrue(self.neighbour.is_open)

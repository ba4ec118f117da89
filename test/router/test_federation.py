"""Tests of the links between routers: three clusters in memory, with real TLS between them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.protocols.amp import AmpBox
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import P2PError
from p2p.control.channel import Channel
from p2p.control.commands import (
    Busy,
    ClusterUnreachable,
    InstructConnect,
    ListPeers,
    LookupPeer,
    Refused,
    RequestConnect,
    UnknownCluster,
    UnknownPeer,
    responder,
)
from p2p.identity.tls import CONTROL_ALPN
from p2p.router.core import PAGE
from p2p.router.federation import retry_delay
from test.properties import PROPERTY
from test.router.lab import TICKET, Instructions, Lab, Peer, credentials


class ThreeClustersTests(SynchronousTestCase):
    """The clusters k, m and n, where everybody knows everybody."""

    def setUp(self) -> None:
        self.lab = Lab()
        self.network = self.lab.network
        for cluster in "kmn":
            networks = {"n": ["10.1.0.0/16", "10.9.0.0/16"]}
            self.lab.start_router(cluster, *[one for one in "kmn" if one != cluster], networks=networks)

    def test_linked(self) -> None:
        """Each router has dialled each of its neighbours, and has a connection from each."""
        for cluster, service in self.lab.routers.items():
            self.assertEqual({one: True for one in "kmn" if one != cluster}, dict(service.federation.clusters))
            self.assertEqual(4, service.meter.open)

    def test_every_direction(self) -> None:
        """From each cluster to each cluster, the target is told to dial the initiator, and nobody else is."""
        peers = {
            name: self.lab.peer(name, host=f"10.1.1.{number}") for number, name in enumerate(["k1.k", "m1.m", "n1.n"])
        }
        for initiator in peers.values():
            for target in peers.values():
                if initiator is not target:
                    answer = self.successResultOf(initiator.request(target.name))
                    self.assertEqual(target.transport.getHost().host, answer["address"])
                    self.assertTrue(answer["dialling"])
                    told = target.instructed.pop()
                    self.assertEqual((initiator.name, TICKET, 40001), (told["initiator"], told["ticket"], told["port"]))
                    self.assertEqual([initiator.transport.getHost().host], told["candidates"])
        self.assertEqual([[]] * 3, [peer.instructed for peer in peers.values()])

    def test_look_up_times(self) -> None:
        """The initiator learns how long the other table and the other router took, in ns."""
        self.lab.peer("m1.m")
        answer = self.successResultOf(self.lab.peer("n1.n").request("m1.m"))
        self.assertTrue(0 < answer["table_lookup_ns"] < answer["router_lookup_ns"] < 60 * 10**9, answer)
        self.assertEqual(2, self.lab.routers["m"].router.times.count)  # for LookupPeer, and for InstructConnect
        self.assertEqual(0, self.lab.routers["n"].router.times.count)

    def test_granted_candidates(self) -> None:
        """Candidates pass where both routers' configuration grants their network to the initiator's cluster."""
        target, initiator = self.lab.peer("m1.m"), self.lab.peer("n1.n")
        self.successResultOf(initiator.request("m1.m", candidates=["10.1.5.5", "10.2.5.5"]))
        self.assertEqual(["10.9.9.9", "10.1.5.5"], target.instructed[0]["candidates"])

    def test_initiator_at_its_router(self) -> None:
        """An initiator on its router's machine is dialled there, not at the target's own loopback."""
        target, initiator = self.lab.peer("m1.m"), self.lab.peer("n1.n", host="127.0.0.1")
        self.successResultOf(initiator.request("m1.m"))
        self.assertEqual([self.lab.address("n")], target.instructed[0]["candidates"])

    def test_target_at_its_router(self) -> None:
        """A target on its router's machine is shown at that machine's address."""
        self.lab.peer("m1.m", host="127.0.0.1")
        answer = self.successResultOf(self.lab.peer("n1.n").request("m1.m"))
        self.assertEqual(self.lab.address("m"), answer["address"])

    def test_errors_come_back(self) -> None:
        """What goes wrong in the other cluster is told in the other router's words."""
        initiator, target = self.lab.peer("n1.n"), self.lab.peer("m1.m")
        failure = self.failureResultOf(initiator.request("m9.m"), UnknownPeer)
        self.assertEqual("m9.m isn't connected to the router of cluster m", str(failure.value))
        for error in (Refused("not today"), Busy.after(2, "64 attempts")):
            target.answer = error
            failure = self.failureResultOf(initiator.request("m1.m"), type(error))
            self.assertEqual(str(error), str(failure.value))
        self.failureResultOf(initiator.request("x1.x"), UnknownCluster)

    def test_target_is_stuck(self) -> None:
        """A target that doesn't answer makes Busy, whose text says who kept everybody waiting."""
        initiator, target = self.lab.peer("n1.n"), self.lab.peer("m1.m")
        target.answer = Deferred()
        asked = initiator.request("m1.m")
        self.network.advance(6.2)
        self.assertIn("m1.m didn't answer its router", str(self.failureResultOf(asked, Busy).value))

    def test_neighbour_is_stuck(self) -> None:
        """A neighbour that doesn't answer is unreachable, before the initiator's own patience ends."""
        initiator = self.lab.peer("n1.n")
        self.network.pull(self.lab.address("m"), self.lab.address("n"))
        asked = initiator.request("m1.m")
        self.network.advance(8.2)
        failure = self.failureResultOf(asked, ClusterUnreachable)
        self.assertIn("router.m gave no answer", str(failure.value))

    def test_neighbour_dies(self) -> None:
        """When a neighbour dies, what waits for it fails, later requests fail at once, and other clusters go on."""
        initiator, target = self.lab.peer("n1.n"), self.lab.peer("m1.m")
        self.lab.peer("k1.k")
        target.answer = Deferred()
        asked = initiator.request("m1.m")
        self.lab.kill_router("m")
        self.failureResultOf(asked, ClusterUnreachable)
        self.failureResultOf(initiator.request("m1.m"), ClusterUnreachable)
        self.failureResultOf(initiator.said(ListPeers, cluster="m", after=""), ClusterUnreachable)
        self.successResultOf(initiator.request("k1.k"))

    def test_neighbour_comes_back(self) -> None:
        """A neighbour that is started again is found again, and so are its peers when they have registered."""
        initiator = self.lab.peer("n1.n")
        self.lab.kill_router("m")
        self.network.advance(7)
        self.lab.start_router("m", "k", "n")
        self.lab.peer("m1.m")
        self.network.advance(20)
        self.assertEqual({"k": True, "m": True}, dict(self.lab.routers["n"].federation.clusters))
        self.successResultOf(initiator.request("m1.m"))

    def test_listing(self) -> None:
        """The names of another cluster come through the own router, page by page."""
        table = self.lab.routers["m"].router.table
        one = self.lab.peer("m0.m")
        entry = table.lookup("m0.m")
        assert entry is not None
        for number in range(1, PAGE + 50):
            table.put(type(entry)(f"m{number}.m", entry.address, object(), 0.0))
        asking = self.lab.peer("n1.n")
        names: list[str] = []
        more = True
        while more:
            page = self.successResultOf(asking.said(ListPeers, cluster="m", after=names[-1] if names else ""))
            names += page["names"]
            more = page["more"]
        self.assertEqual(sorted(f"m{number}.m" for number in range(PAGE + 50)), names)
        self.assertTrue(one.is_open)

    def test_shutdown(self) -> None:
        """A router that stops says goodbye to its neighbours and peers, and leaves nothing open."""
        peer = self.lab.peer("n1.n")
        stopped = self.lab.routers["n"].stopService()
        self.network.settle()
        self.successResultOf(stopped)
        self.assertEqual(0, self.lab.routers["n"].meter.open)
        assert peer.ended is not None
        self.assertEqual("ConnectionDone", type(peer.ended.value).__name__)
        self.assertEqual({"k": True, "n": False}, dict(self.lab.routers["m"].federation.clusters))


class TalkativeRouter(Peer):
    """The router of cluster m as the test wants it to be."""

    def __init__(self, lab: Lab, name: str) -> None:
        super().__init__(lab, name)
        self.boxes: list[AmpBox] = []
        self.listed: dict[str, Any] = {"names": [], "more": False}
        self.found: Any = {"address": "10.12.0.4", "table_lookup_ns": 100}
        self.locator = Commands(self)

    def ampBoxReceived(self, box: AmpBox) -> None:
        self.boxes.append(box.copy())
        super().ampBoxReceived(box)


class Commands(Instructions):
    """What it answers to its neighbours."""

    def __init__(self, router: TalkativeRouter) -> None:
        super().__init__(router)
        self._router = router

    @responder(LookupPeer)
    async def lookup(self, name: str) -> Any:
        found = self._router.found
        if isinstance(found, Exception):
            raise found
        return await found if isinstance(found, Deferred) else found

    @responder(ListPeers)
    async def names(self, cluster: str, after: str) -> Any:
        return self._router.listed


class LinkTests(SynchronousTestCase):
    """Router n alone, and a neighbour m that the test plays."""

    def setUp(self) -> None:
        self.lab = Lab()
        self.network = self.lab.network
        self.accepted: list[TalkativeRouter] = []
        self.name = "router.m"

    def listen(self) -> None:
        """Let somebody listen where router m should be."""

        def accept() -> Channel:
            channel = TalkativeRouter(self.lab, self.name)
            self.accepted.append(channel)
            return channel

        factory = credentials(self.name).wrap(
            Factory.forProtocol(accept), client=False, alpn=CONTROL_ALPN, clock=self.network
        )
        self.network.listenTCP(5555, factory, host=self.lab.address("m"))

    def start(self, **limits: Any) -> None:
        self.service = self.lab.start_router("n", "m", **limits)
        self.initiator = self.lab.peer("n1.n")

    @property
    def linked(self) -> bool:
        return self.service.federation.clusters["m"]

    def attempts(self) -> list[float]:
        """The times of the attempts to dial from now on."""
        attempts: list[float] = []
        connect = self.network.connectTCP

        def spy(host: str, *arguments: Any, **more: Any) -> Any:
            if host == self.lab.address("m"):
                attempts.append(self.network.seconds())
            return connect(host, *arguments, **more)

        self.patch(self.network, "connectTCP", spy)
        return attempts

    def test_pipelined(self) -> None:
        """Look-up and instruction leave together, before either is answered."""
        self.listen()
        self.start()
        neighbour = self.accepted[0]
        neighbour.found, neighbour.answer = Deferred(), Deferred()
        asked = self.initiator.request("m4.m")
        ping, lookup, instruction = neighbour.boxes
        commands = [one[b"_command"] for one in (ping, lookup, instruction)]
        self.assertEqual([b"Ping", b"LookupPeer", b"InstructConnect"], commands)
        self.assertEqual(b"m4.m", lookup[b"name"])
        self.assertEqual(
            (b"m4.m", b"n1.n", b"10.9.9.9", TICKET),
            tuple(instruction[key] for key in (b"target", b"initiator", b"observed", b"ticket")),
        )
        self.assertNoResult(asked)
        neighbour.found.callback({"address": "10.12.0.4", "table_lookup_ns": 1})

    def test_either_order(self) -> None:
        """The two answers may come in either order."""
        self.listen()
        self.start()
        neighbour = self.accepted[0]
        neighbour.found = Deferred()
        asked = self.initiator.request("m4.m")
        self.assertNoResult(asked)
        neighbour.found.callback({"address": "10.12.0.4", "table_lookup_ns": 7})
        self.network.settle()
        self.assertEqual(7, self.successResultOf(asked)["table_lookup_ns"])

    def test_unknown_and_refused(self) -> None:
        """If both fail, the look-up's error is told, and the other isn't left unhandled."""
        self.listen()
        self.start()
        self.accepted[0].found = UnknownPeer("nobody")
        self.accepted[0].answer = Refused("no")
        self.failureResultOf(self.initiator.request("m4.m"), UnknownPeer)

    def test_plain(self) -> None:
        """A link is plain only if the initiator offered it, whatever a neighbour answers."""
        self.listen()
        self.start()
        self.accepted[0].answer = {"dialling": True, "plain": True}
        for offered in (True, False):
            answer = self.successResultOf(self.initiator.request("m4.m", plain=offered))
            self.assertEqual(offered, answer["plain"])

    def test_odd_numbers(self) -> None:
        """A look-up time and an address that make no sense reach nobody as they are."""
        self.listen()
        self.start()
        self.accepted[0].found = {"address": "\x1b[31m" + "x" * 9000, "table_lookup_ns": 10**17}
        answer = self.successResultOf(self.initiator.request("m4.m"))
        self.assertEqual((10**10, "[31m"), (answer["table_lookup_ns"], answer["address"][:4]))
        self.assertEqual("[31m" + "x" * 55, answer["address"])
        self.accepted[0].found = {"address": "10.12.0.4", "table_lookup_ns": -1}
        self.assertEqual(0, self.successResultOf(self.initiator.request("m4.m"))["table_lookup_ns"])

    def test_hostile_listing(self) -> None:
        """A list of what aren't names of its cluster ends the link, and the asking peer is told no more."""
        self.listen()
        self.start()
        self.accepted[0].listed = {"names": ["\x1b[2J"], "more": True}
        failure = self.failureResultOf(self.initiator.said(ListPeers, cluster="m", after=""), ClusterUnreachable)
        self.assertEqual("router.m sent a list of names that makes no sense", str(failure.value))
        self.network.settle()
        self.assertFalse(self.linked)

    def test_endless_listing(self) -> None:
        """An empty page is the last one, whatever the neighbour says."""
        self.listen()
        self.start()
        self.accepted[0].listed = {"names": [], "more": True}
        page = self.successResultOf(self.initiator.said(ListPeers, cluster="m", after=""))
        self.assertEqual({"names": [], "more": False}, page)

    def test_lookups_in_flight(self) -> None:
        """More questions to a neighbour than allowed get Busy at once; a place that is free again can be taken."""
        self.listen()
        self.start(lookups_in_flight=2)
        neighbour = self.accepted[0]
        waiting: list[Deferred[Any]] = []
        asked = []
        for _ in range(3):
            neighbour.found = Deferred()
            waiting.append(neighbour.found)
            asked.append(self.initiator.request("m4.m"))
        self.assertIn("2 questions to router.m are under way", str(self.failureResultOf(asked[2], Busy).value))
        waiting[0].callback({"address": "10.12.0.4", "table_lookup_ns": 7})
        self.network.settle()
        self.successResultOf(asked[0])
        neighbour.found = {"address": "10.12.0.4", "table_lookup_ns": 7}
        self.successResultOf(self.initiator.request("m4.m"))
        waiting[1].errback(UnknownPeer("no"))

    def test_wrong_end(self) -> None:
        """Who isn't the router of that cluster is refused, even with a good certificate, and never asked."""
        for self.name in ("router.k", "m1.m"):
            self.setUp_again()
            with capturedLogs() as logs:
                self.listen()
                self.start()
            self.assertFalse(self.linked)
            reasons = [str(one.get("reason")) for one in logs if one["log_level"] is LogLevel.warn]
            self.assertIn(f"expected router.m, but the certificate at the other end is for {self.name}", reasons)
            self.failureResultOf(self.initiator.request("m4.m"), ClusterUnreachable)

    def setUp_again(self) -> None:
        name = self.name
        self.setUp()
        self.name = name

    def test_asked_over_the_dialled_link(self) -> None:
        """A neighbour asks over the connection that it dials; over this one it gets no answer but to a ping."""
        self.listen()
        self.start()
        with capturedLogs() as logs:
            self.accepted[0].said(LookupPeer, name="n1.n").addErrback(lambda failure: failure.trap(P2PError))
        self.assertEqual(["LookupPeer"], [one["command"] for one in logs if "command" in one])
        self.assertFalse(self.linked)

    def test_unreachable(self) -> None:
        """Why a neighbour can't be reached stands in the log, and what is asked of it fails at once."""
        with capturedLogs() as logs:
            self.start()
        self.assertIn("refused", next(str(one["reason"]) for one in logs if "can't reach" in one["log_format"]))
        failure = self.failureResultOf(self.initiator.request("m4.m"), ClusterUnreachable)
        reason = "router.m isn't connected now (Connection was refused by other side); it is dialled again and again"
        self.assertEqual(reason, str(failure.value))

    def test_not_let_in(self) -> None:
        """A neighbour that doesn't know this router says so: that is logged and told to who asks; no link stands."""
        self.start()
        with capturedLogs() as logs:
            self.lab.start_router("m")
            self.network.advance(31)
        said = "router.m said: router.n isn't a neighbour; to let it in, add n to neighbours"
        told = [formatEvent(one) for one in logs]
        self.assertIn(f"federation: router.m doesn't link: {said}", told)
        self.assertNotIn("linked to router.m", " ".join(map(str, told)))
        self.assertFalse(self.linked)
        failure = self.failureResultOf(self.initiator.request("m4.m"), ClusterUnreachable)
        self.assertIn(said, str(failure.value))
        self.assertEqual({"m": said}, self.service.federation.problems)

    def test_dialled_again(self) -> None:
        """A neighbour that isn't there is dialled again with growing pauses, and linked when it comes."""
        self.start()
        attempts = self.attempts()
        self.network.advance(200)
        pauses = [round(later - earlier, 3) for earlier, later in pairwise(attempts)]
        self.assertEqual([1, 2, 4, 8, 16, 30, 30, 30, 30, 30], pauses)
        self.listen()
        self.network.advance(31)
        self.assertTrue(self.linked)

    def test_hangs_up_at_once(self) -> None:
        """A neighbour that accepts and hangs up again isn't dialled at full speed."""
        self.listen()
        self.start()
        for _ in range(100):
            self.network.advance(1)
            if self.accepted[-1].is_open:
                self.accepted[-1].close()
        self.assertLess(len(self.accepted), 10)

    def test_steady_link(self) -> None:
        """A link that held for a while is dialled again soon after it ends."""
        self.listen()
        self.start()
        for _ in range(5):
            self.network.advance(11)
            self.accepted[-1].transport.abortConnection()
            self.network.advance(0.6)
            self.assertTrue(self.linked)

    def test_slept(self) -> None:
        """After a sleep a neighbour that isn't linked is dialled at once; one that is linked is pinged, and dialled
        anew if it must have given up meanwhile."""
        self.start()
        self.network.advance(70)
        self.listen()
        federation = self.service.federation
        federation.slept(5.0)
        self.network.settle()
        self.assertTrue(self.linked)
        self.network.advance(11)
        federation.slept(5.0)
        self.network.advance(1)
        self.assertEqual((1, True), (len(self.accepted), self.linked))
        federation.slept(7200.0)
        self.network.advance(0.6)
        self.assertEqual((2, True), (len(self.accepted), self.linked))

    def test_neighbour_shows_up(self) -> None:
        """A neighbour that links to this router is dialled at once, whatever pause there would be."""
        self.start()
        self.network.advance(70)
        self.listen()
        self.assertFalse(self.linked)
        other = self.lab.connect("router.m", cluster="n", host=self.lab.address("m"))
        self.assertTrue(self.linked)
        other.close()
        self.network.advance(70)
        self.assertEqual(1, len(self.accepted))

    def test_neighbour_shows_up_while_dialled(self) -> None:
        """One that is being dialled, or linked already, isn't dialled twice."""
        self.network.pull(self.lab.address("n"), self.lab.address("m"))
        self.start()
        attempts = self.attempts()
        self.lab.connect("router.m", cluster="n", host="10.8.8.8")
        self.assertEqual([], attempts)

    def test_stop_while_dialling(self) -> None:
        """A router stops also while a neighbour can't be reached, without a word about that."""
        self.network.pull(self.lab.address("n"), self.lab.address("m"))
        self.start()
        with capturedLogs() as logs:
            stopped = self.service.stopService()
            self.network.settle()
        self.successResultOf(stopped)
        self.assertEqual([], [one for one in logs if one["log_level"] is LogLevel.warn])
        self.assertEqual([], [call for call in self.network.getDelayedCalls() if call.getTime() > 31])

    def test_instruction_is_gone_with_the_link(self) -> None:
        """If the link ends while it is asked, the request fails once, and no error is left over."""
        self.listen()
        self.start()
        self.accepted[0].found, self.accepted[0].answer = Deferred(), Deferred()
        asked = self.initiator.request("m4.m")
        self.accepted[0].transport.abortConnection()
        self.network.settle()
        self.failureResultOf(asked, ClusterUnreachable)
        self.assertEqual([], self.flushLoggedErrors())
        self.accepted[0].found.errback(Failure(UnknownPeer("late")))


class InstructTests(SynchronousTestCase):
    def test_declared(self) -> None:
        """Whatever InstructConnect may fail with, RequestConnect may too, so it can be passed on."""
        for command in (InstructConnect, LookupPeer):
            self.assertLessEqual(set(command.errors), set(RequestConnect.errors))


class RetryDelayTests(SynchronousTestCase):
    def test_growth(self) -> None:
        """Pauses double from half a second to half a minute."""
        self.assertEqual([0.5, 1, 2, 4, 8, 16, 30, 30], [retry_delay(attempt, 0.0) for attempt in range(1, 9)])

    @PROPERTY
    @given(st.integers(1, 10**9), st.floats(0, 1))
    def test_jitter(self, attempt: int, jitter: float) -> None:
        """Chance takes away up to a half, and never more; no pause is longer than 30 s, however many there were."""
        whole = retry_delay(attempt, 0.0)
        self.assertTrue(whole / 2 <= retry_delay(attempt, jitter) <= whole <= 30)

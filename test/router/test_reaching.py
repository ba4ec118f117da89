"""What routers tell an initiator of where it may dial its target, which dials it as well."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from p2p.base.config import RouterLimits
from p2p.control.commands import (
    Busy,
    ClusterUnreachable,
    DialFailed,
    Go,
    InstructConnect,
    Observe,
    Refused,
    Register,
    TooManyPeers,
    UnknownCluster,
    UnknownPeer,
)
from p2p.router.broker import LIFETIME_S
from test.router.lab import TICKET, RouterTestCase

LISTENING = {"dialling": True, "plain": False, "port": 40002, "addresses": ["10.2.9.9", "10.3.3.3"]}


class OwnPeersTests(RouterTestCase):
    """Two peers of one router, whose cluster is granted 10.2.0.0/16."""

    def setUp(self) -> None:
        super().setUp()
        self.start(networks={"n": ["10.2.0.0/16"]})
        self.initiator = self.lab.peer("n1.n", host="10.1.1.1")
        self.target = self.lab.peer("n2.n", host="10.2.2.2")
        self.target.answer = LISTENING

    def asked(self, **changed: Any) -> tuple[int | None, list[str] | None]:
        """Where the initiator may dial."""
        answer = self.successResultOf(self.initiator.request("n2.n", **{"reaches": True, **changed}))
        return answer["port"], answer["reachable"]

    def test_told(self) -> None:
        """It is told the target's port, where the router sees the target, and what the target names that is granted."""
        self.assertEqual((40002, ["10.2.2.2", "10.2.9.9"]), self.asked())
        self.assertEqual([True], [one["reaches"] for one in self.target.instructed])

    def test_not_asked(self) -> None:
        """Who doesn't dial isn't told, and its target isn't either."""
        self.assertEqual((None, None), self.asked(reaches=None))
        self.assertEqual([None], [one["reaches"] for one in self.target.instructed])

    def test_does_not_listen(self) -> None:
        """A target that doesn't listen, as those of 0.1.0, or doesn't dial since its own request goes first, is not to
        be dialled; nor is one that names a port that nobody may be told."""
        for answer in (
            {"dialling": True, "plain": False},
            {**LISTENING, "dialling": False},
            {**LISTENING, "port": 22},
            {**LISTENING, "port": 70_000},
        ):
            self.target.answer = answer
            self.assertEqual((None, None), self.asked())

    def test_hostile_words(self) -> None:
        """What a target says of its addresses counts as little as what an initiator says: nothing of what isn't
        granted, or that nobody can dial, is passed on, and the others are, of the first eight."""
        many = [f"10.3.3.{number}" for number in range(8)] + ["10.2.9.9"]
        for addresses, told in (
            (["127.0.0.1", "10.3.3.3", "x" * 999], []),
            (["0.0.0.0", "224.0.0.1", "\x1b[2J", "10.2.9.9"], ["10.2.9.9"]),
            (many, []),
        ):
            self.target.answer = {**LISTENING, "addresses": addresses}
            self.assertEqual((40002, ["10.2.2.2", *told]), self.asked())

    def test_observed_word(self) -> None:
        """Where it is seen is for its router to say, not for the target."""
        self.target.answer = {**LISTENING, "observed": "10.2.66.66"}
        self.assertEqual((40002, ["10.2.2.2", "10.2.9.9"]), self.asked())


class NeighbourTests(RouterTestCase):
    """n1.n and m1.m, each at the router of its cluster."""

    def routers(self, *clusters: str, granted: str = "10.2.0.0/16") -> None:
        """Start the routers of these clusters, and the peers of those."""
        for cluster in clusters:
            other = "m" if cluster == "n" else "n"
            self.lab.start_router(cluster, other, networks={"m": [granted], "n": ["10.1.0.0/16"]})
        if "n" in clusters:
            self.initiator = self.lab.peer("n1.n", host="10.1.1.1")
        self.target = self.lab.peer("m1.m", host="10.2.2.2")
        self.target.answer = LISTENING

    def test_told(self) -> None:
        """The target's router says where it sees the target, and passes on what it names of its cluster's networks."""
        self.routers("n", "m")
        answer = self.successResultOf(self.initiator.request("m1.m", reaches=True))
        self.assertEqual((40002, ["10.2.2.2", "10.2.9.9"]), (answer["port"], answer["reachable"]))

    def test_not_granted(self) -> None:
        """A neighbour's word leads only into the networks that are granted its cluster."""
        self.routers("n", "m", granted="10.77.0.0/16")
        answer = self.successResultOf(self.initiator.request("m1.m", reaches=True))
        self.assertEqual((40002, []), (answer["port"], answer["reachable"]))

    def test_to_a_router(self) -> None:
        """A neighbour is answered with what it needs to judge by itself."""
        self.routers("m")
        neighbour = self.lab.connect("router.n", cluster="m", host="10.0.13.1")
        answer = self.successResultOf(
            neighbour.said(
                InstructConnect,
                target="m1.m",
                initiator="n1.n",
                observed="10.1.1.1",
                candidates=[],
                port=40001,
                ticket=TICKET,
                lifetime=30.0,
                plain=False,
                reaches=True,
            )
        )
        self.assertEqual((40002, "10.2.2.2", ["10.2.9.9"]), (answer["port"], answer["observed"], answer["addresses"]))


class OneNATTests(RouterTestCase):
    """n1.n, n2.n and m1.m are seen at one address, m2.m at another."""

    def setUp(self) -> None:
        super().setUp()
        for cluster, other in ("nm", "mn"):
            self.lab.start_router(cluster, other, networks={"n": ["10.2.0.0/16"]} if cluster == "n" else {})
        self.initiator = self.lab.peer("n1.n", host="203.0.113.5")
        self.near, self.far = self.lab.peer("n2.n", host="203.0.113.5"), self.lab.peer("m1.m", host="203.0.113.5")
        self.elsewhere = self.lab.peer("m2.m", host="203.0.113.6")
        for peer in (self.near, self.far, self.elsewhere):
            peer.answer = LISTENING

    def attached(self, target: str, *candidates: str) -> tuple[list[str] | None, list[str] | None]:
        """What the target, and the initiator, is told for who is attached to those networks."""
        asked = self.initiator.request(target, reaches=True, reports=True, candidates=list(candidates))
        answer = self.successResultOf(asked)
        (told,) = [peer for peer in (self.near, self.far, self.elsewhere) if peer.name == target]
        return told.instructed[-1]["attached"], answer["attached"]

    def test_told(self) -> None:
        """Each is told of the other's further addresses, apart from those that are granted."""
        self.assertEqual((["192.168.1.7"], ["10.3.3.3"]), self.attached("n2.n", "192.168.1.7", "10.2.1.1"))
        self.assertEqual(["203.0.113.5", "10.2.1.1"], self.near.instructed[-1]["candidates"])
        told, answered = self.attached("m1.m", "192.168.1.7", "10.2.1.1", "127.0.0.1")
        self.assertEqual((["10.2.1.1", "192.168.1.7"], ["10.2.9.9", "10.3.3.3"]), (sorted(told or ()), answered))

    def test_elsewhere(self) -> None:
        """Who is seen at another address is told nothing of them, nor who isn't behind a NAT at all."""
        self.assertEqual((None, None), self.attached("m2.m", "192.168.1.7"))
        self.near.answer = {**LISTENING, "addresses": ["203.0.113.5", "192.168.1.8"]}
        self.assertEqual((None, None), self.attached("n2.n", "192.168.1.7", "203.0.113.5"))

    def test_reported(self) -> None:
        """How a dial there ended may be told, without what is there."""
        self.attached("n2.n", "192.168.1.7")
        self.successResultOf(
            self.near.said(
                DialFailed,
                target="n2.n",
                initiator="n1.n",
                ticket=TICKET,
                addresses=["192.168.1.7", "192.168.1.1"],
                failures=["refused", "refused"],
            )
        )
        (told,) = self.initiator.reported
        self.assertEqual((["192.168.1.7"], ["other"]), (told["addresses"], told["failures"]))


class MappedTests(RouterTestCase):
    """n1.n asks m1.m, each through a NAT that gives its fresh port another number."""

    def setUp(self) -> None:
        super().setUp()
        for cluster, other in ("nm", "mn"):
            self.lab.start_router(cluster, other)
        self.initiator = self.lab.peer("n1.n", host="203.0.113.5")
        self.target = self.lab.peer("m1.m", host="203.0.113.6")
        self.target.answer = LISTENING

    def observe(self, name: str, host: str) -> Any:
        """Ask from a fresh port where it is seen; returns the connection, and its port."""
        channel = self.lab.connect(name, cluster=name[-1], host=host)
        answer = self.successResultOf(channel.said(Observe, ticket=TICKET))
        self.assertEqual(host, answer["address"])
        self.assertEqual(channel.transport.getHost().port, answer["port"])
        return channel, answer["port"]

    def asked(self) -> tuple[int | None, int | None, bool | None]:
        """The ports that target and initiator are told, and whether the target is to learn its own."""
        answer = self.successResultOf(self.initiator.request("m1.m", reaches=True, observe=True))
        told = self.target.instructed[-1]
        return told["mapped"], answer["mapped"], told["observe"]

    def test_told(self) -> None:
        """Each end is told the port at which the other's router has seen the other's, while that connection stands."""
        self.assertEqual((None, None, True), self.asked())
        (one, own), (other, far) = self.observe("n1.n", "203.0.113.5"), self.observe("m1.m", "203.0.113.6")
        self.assertEqual((own, far, True), self.asked())
        for channel in (one, other):
            channel.transport.abortConnection()
        self.lab.network.settle()
        self.assertEqual((None, None, True), self.asked())
        self.assertEqual([0, 0], [len(router.router.mappings) for router in self.lab.routers.values()])

    def test_not_asked(self) -> None:
        """Who doesn't ask for it isn't told."""
        self.observe("n1.n", "203.0.113.5")
        answer = self.successResultOf(self.initiator.request("m1.m", reaches=True))
        self.assertEqual(
            (None, None, None),
            (answer["mapped"], self.target.instructed[-1]["mapped"], self.target.instructed[-1]["observe"]),
        )

    def test_another_address(self) -> None:
        """A port that was seen at another address than the peer itself isn't passed on."""
        self.observe("n1.n", "203.0.113.99")
        self.assertEqual((None, None, True), self.asked())

    def test_claimed(self) -> None:
        """What the target claims of it counts nothing; a router that names a port which can't be is refused."""
        self.target.answer = {**LISTENING, "mapped": 61001}
        self.assertEqual((None, None, True), self.asked())
        neighbour = self.lab.connect("router.n", cluster="m", host="10.0.13.1")
        for port in (22, 0, 70_000, -1):
            refused = neighbour.said(
                InstructConnect,
                target="m1.m",
                initiator="n1.n",
                observed="203.0.113.5",
                candidates=[],
                port=40001,
                ticket=TICKET,
                lifetime=30.0,
                plain=False,
                reaches=True,
                mapped=port,
            )
            self.failureResultOf(refused, Refused)

    def test_once(self) -> None:
        """Such a connection asks once, registers nobody, and needs a ticket; a registered one can't ask."""
        channel, _ = self.observe("n1.n", "203.0.113.5")
        self.failureResultOf(channel.said(Observe, ticket=TICKET), Refused)
        self.failureResultOf(channel.said(Register, name="n1.n", version="0.1.0"), TooManyPeers)
        self.failureResultOf(self.initiator.said(Observe, ticket=TICKET), Refused)
        other = self.lab.connect("n1.n", cluster="n", host="203.0.113.5")
        self.failureResultOf(other.said(Observe, ticket=b"short"), Refused)
        self.failureResultOf(other.said(Observe, ticket=TICKET), Busy)
        self.successResultOf(self.initiator.request("m1.m"))

    def test_forgotten(self) -> None:
        """It is held for no longer than a ticket can live, and doesn't count as one that should register."""
        channel, _ = self.observe("n1.n", "203.0.113.5")
        self.lab.network.advance(RouterLimits().handshake_s + 1)
        self.assertIsNone(channel.ended)
        for _ in range(round(LIFETIME_S / 10)):
            self.lab.network.advance(10)
        self.assertIsNotNone(channel.ended)
        self.assertEqual(0, len(self.lab.routers["n"].router.mappings))


class NowhereTests(RouterTestCase):
    """m1.m can be told of no address of n1.n."""

    def setUp(self) -> None:
        super().setUp()
        for cluster, other in ("nm", "mn"):
            self.lab.start_router(cluster, other, networks={"n": ["10.1.0.0/16"]}, relays=["relay.m"])
        self.initiator = self.lab.peer("n1.n", host="203.0.113.5")
        self.target = self.lab.peer("m1.m", host="203.0.113.6")
        self.target.answer = LISTENING

    def test_by_a_relay(self) -> None:
        """It is still told to come to a relay, if there is one, and to listen for the initiator's dials."""
        answer = self.successResultOf(self.initiator.request("m1.m", reaches=True))
        (told,) = self.target.instructed
        self.assertEqual(([], ["relay.m"]), (told["candidates"], told["relays"]))
        self.assertEqual(["relay.m"], answer["relays"])

    def test_without_dials(self) -> None:
        """An initiator that knows nothing of relays is told why nobody dials it."""
        self.failureResultOf(self.initiator.request("m1.m"), Refused)
        self.assertEqual([], self.target.instructed)


class GoTests(RouterTestCase):
    """The word that both ends shall dial now."""

    def setUp(self) -> None:
        super().setUp()
        for cluster, other in ("nm", "mn"):
            self.lab.start_router(cluster, other, call_s=4.0)
        self.initiator = self.lab.peer("n1.n", host="10.1.1.1")
        self.near, self.far = self.lab.peer("n2.n"), self.lab.peer("m1.m")

    def go(self, target: str, initiator: str = "n1.n") -> Deferred[Any]:
        """Pass it on to the router."""
        return self.initiator.said(Go, target=target, initiator=initiator, ticket=TICKET)

    def test_passed_on(self) -> None:
        """It reaches the target, also of another cluster; whoever asks is told that such a word is taken."""
        for target in (self.near, self.far):
            target.answer = {**LISTENING, "goes": True}
            answer = self.successResultOf(self.initiator.request(target.name, reaches=True))
            self.assertTrue(answer["goes"])
            target.answer = {}
            self.successResultOf(self.go(target.name))
            self.assertEqual([{"target": target.name, "initiator": "n1.n", "ticket": TICKET}], target.gone)

    def test_refused(self) -> None:
        """What the target says is passed on: it may dial for no such ticket."""
        for target in (self.near, self.far):
            target.answer = Refused("for no such ticket")
            self.assertIn("no such ticket", str(self.failureResultOf(self.go(target.name), Refused).value))

    def test_nobody(self) -> None:
        """Targets that aren't there, can't be, or are of no known cluster are named."""
        for target, kind in (
            ("n9.n", UnknownPeer),
            ("m9.m", UnknownPeer),
            ("N2.n", UnknownPeer),
            ("", UnknownPeer),
            ("k1.k", UnknownCluster),
        ):
            self.failureResultOf(self.go(target), kind)
        self.lab.kill_router("m")
        self.failureResultOf(self.go("m1.m"), ClusterUnreachable)

    def test_for_others(self) -> None:
        """A peer speaks for itself, and a router for its own cluster's peers."""
        self.failureResultOf(self.go("n2.n", initiator="n3.n"), Refused)
        self.failureResultOf(self.go("n2.n", initiator="\x1b[2J" * 99), Refused)
        self.assertEqual([], self.near.gone)
        self.lab.kill_router("m")
        neighbour = self.lab.connect("router.m", cluster="n", host="10.0.12.1")
        told = neighbour.said(Go, target="n2.n", initiator="n1.n", ticket=TICKET)
        self.failureResultOf(told, Refused)
        self.successResultOf(neighbour.said(Go, target="n2.n", initiator="m1.m", ticket=TICKET))
        self.assertEqual(["m1.m"], [one["initiator"] for one in self.near.gone])

    def test_no_answer(self) -> None:
        """A target that doesn't answer, or goes away, makes nobody wait for long."""
        self.near.answer = Deferred()
        asked = self.go("n2.n")
        self.network.advance(4)
        self.failureResultOf(asked, Busy)
        asked = self.go("n2.n")
        self.near.abort("it goes away")
        self.network.settle()
        self.failureResultOf(asked, UnknownPeer)

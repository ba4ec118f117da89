"""What routers tell an initiator of where it may dial its target, which dials it as well."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from p2p.control.commands import (
    Busy,
    ClusterUnreachable,
    Go,
    InstructConnect,
    Refused,
    UnknownCluster,
    UnknownPeer,
)
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

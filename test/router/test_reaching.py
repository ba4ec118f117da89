"""What routers tell an initiator of where it may dial its target, which dials it as well."""

from __future__ import annotations

from typing import Any

from p2p.control.commands import InstructConnect
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
        granted, and of a list with one that nobody can dial nothing at all."""
        for addresses in (
            ["127.0.0.1"],
            ["10.3.3.3"],
            ["0.0.0.0", "10.2.9.9"],
            ["x" * 999],
            ["10.2.9.9"] * 9 + ["8.8.8.8"],
        ):
            self.target.answer = {**LISTENING, "addresses": addresses}
            port, told = self.asked()
            self.assertEqual(40002, port)
            self.assertEqual([], [one for one in told or [] if one not in ("10.2.2.2", "10.2.9.9")])

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

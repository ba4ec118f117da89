"""What a router does for those who ask it, by itself: its table, its times, and what it takes for a request."""

from __future__ import annotations

from typing import Any

from p2p.base.config import RouterLimits
from p2p.control.commands import ClusterMismatch, ListPeers, Refused, TooManyPeers, UnknownCluster, UnknownPeer
from p2p.router.core import PAGE, Router, checked_request
from test.router.lab import TICKET, RouterTestCase


class TableTests(RouterTestCase):
    """The router of n and who registers there."""

    def test_lookup(self) -> None:
        """Who is registered is found at the address that it came from, and each look-up is measured."""
        self.start()
        self.lab.peer("n1.n", host="10.9.1.1")
        entry, took = self.router.lookup("n1.n")
        self.assertEqual(("n1.n", "10.9.1.1"), (entry.name, entry.address))
        self.assertEqual((1, took), (self.router.times.count, self.router.times.total))
        self.assertIn("n2.n isn't connected", str(self.assertRaises(UnknownPeer, self.router.lookup, "n2.n")))
        self.assertEqual(2, self.router.times.count)

    def test_other_cluster(self) -> None:
        """A peer of another cluster isn't entered, nor is one more than the table may have."""
        self.start(peers=1)
        self.failureResultOf(self.lab.connect("m1.m", cluster="n").register(), ClusterMismatch)
        self.lab.peer("n1.n")
        self.failureResultOf(self.lab.connect("n2.n").register(), TooManyPeers)
        self.assertEqual(1, len(self.router.table))

    def test_pages(self) -> None:
        """Names come in order, a page at a time, and only those of clusters that are known."""
        self.start()
        for number in range(3):
            self.lab.peer(f"n{number}.n")
        self.assertEqual({"names": ["n1.n", "n2.n"], "more": False}, self.router.own_names("n0.n"))
        self.assertGreaterEqual(65535, PAGE * (2 + 127))
        asker = self.lab.peer("n9.n")
        failure = self.failureResultOf(asker.said(ListPeers, cluster="x" * 81, after=""), UnknownCluster)
        self.assertTrue(str(failure.value).startswith(f"cluster {'x' * 80} isn't known to the router of n;"))
        self.failureResultOf(asker.request("x1.x"), UnknownCluster)


class CheckedRequestTests(RouterTestCase):
    """The arguments of RequestConnect and InstructConnect."""

    def check(self, **changed: Any) -> Any:
        known: dict[str, Any] = {"target": "m1.m", "initiator": "n1.n", "port": 40001, "ticket": TICKET}
        return checked_request(**{**known, "lifetime": 30.0, "plain": False, "candidates": [], **changed})

    def test_right(self) -> None:
        """What makes sense is taken as it is."""
        request = self.check()
        self.assertEqual(("m1.m", "n1.n", 40001), (str(request.target), str(request.initiator), request.port))

    def test_wrong(self) -> None:
        """A target that can't be anybody's name is unknown; all else that makes no sense is refused."""
        for target in ("", "m1", "M1.m", "m1.m.m", "router.m"):
            self.assertRaises(UnknownPeer, self.check, target=target)
        for changed in ({"port": 0}, {"ticket": b"short"}, {"lifetime": -1.0}, {"initiator": "m1.m"}):
            self.assertRaises(Refused, self.check, **changed)


class RouterTests(RouterTestCase):
    def test_alone(self) -> None:
        """A router without neighbours knows its own cluster alone."""
        self.start()
        alone = Router("n", RouterLimits(), {}, self.service.federation, self.network.seconds)
        self.assertEqual((0, {"names": [], "more": False}), (len(alone.table), alone.own_names("")))

"""Which peers are meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, InvalidName, InvalidRequest, Outcome
from p2p.control.channel import ControlTimeout
from p2p.control.commands import UnknownCluster
from p2p.peer.node import HostedPeer
from p2p.peer.transfers import targets
from p2p.peer.transfers.targets import expanded, list_peers


class _Asking:
    """A peer whose router knows clusters by heart, and tells three names at a time."""

    name = "m2.m"

    def __init__(self, clusters: Mapping[str, list[str]]) -> None:
        self.registration = self
        self.clusters = clusters
        self.asked = 0
        self.error: Exception | None = None
        self.circles = False
        self.sort = True

    async def call(self, command: Any, *, cluster: str, after: str) -> Mapping[str, Any]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        if cluster not in self.clusters:
            raise UnknownCluster(f"no cluster {cluster}")
        if self.circles:
            return {"names": ["m1.m", "m2.m"], "more": True}
        left = [name for name in self.clusters[cluster] if name > after or not self.sort]
        return {"names": left[:3], "more": len(left) > 3}


class TargetsTests(SynchronousTestCase):
    """Two clusters; m2.m asks."""

    def setUp(self) -> None:
        names = [f"m{number}.m" for number in range(1, 9)] + ["printer.m"]
        self.asking = _Asking({"m": names, "n": ["n1.n"], "empty": []})
        self.peer = cast(HostedPeer, self.asking)

    def expanded(self, *patterns: str) -> list[str]:
        return self.successResultOf(Deferred.fromCoroutine(expanded(self.peer, patterns)))

    def refused(self, kind: type[Exception], *patterns: str) -> Any:
        return self.failureResultOf(Deferred.fromCoroutine(expanded(self.peer, patterns)), kind).value

    def test_names(self) -> None:
        """Names stand for themselves, each once, in their order; no router is asked."""
        self.assertEqual(["n9.n", "m4.m"], self.expanded("n9.n", "m4.m", "n9.n"))
        self.assertEqual(0, self.asking.asked)

    def test_cluster(self) -> None:
        """A pattern stands for all of a cluster but the peer that asks, however many pages that is."""
        self.assertEqual(["m1.m", *(f"m{number}.m" for number in range(3, 9)), "printer.m"], self.expanded("*.m"))
        self.assertEqual(3, self.asking.asked)

    def test_part(self) -> None:
        """A pattern may be for some of a cluster, and name what another one named; a cluster is listed once."""
        self.assertEqual(["n1.n", "m8.m", "m7.m"], self.expanded("*.n", "m8.m", "m[78].m", "m7*.m"))
        self.assertEqual(1 + 3, self.asking.asked)

    def test_nobody(self) -> None:
        """A pattern that stands for nobody is told as such: nothing that is to be sent is lost in silence."""
        for pattern in ("*.empty", "x*.m", "m2*.m"):
            with self.subTest(pattern):
                self.assertEqual(Outcome.UNKNOWN_PEER, self.refused(ExchangeFailed, pattern).outcome)

    def test_open_cluster(self) -> None:
        """A pattern must name the cluster."""
        for pattern in ("*", "m*", "m1.*", "*.?"):
            with self.subTest(pattern):
                self.refused(InvalidRequest, pattern)

    def test_no_name(self) -> None:
        """What is neither a name nor a pattern is told as such, before any router is asked."""
        for pattern in ("", "m4", "M4.m", "router.m"):
            with self.subTest(pattern):
                self.refused(InvalidName, pattern)
        self.refused(InvalidName, "*.M")
        self.assertEqual(0, self.asking.asked)

    def test_too_many(self) -> None:
        """One transfer doesn't go to more peers than the limit."""
        self.patch(targets, "MAX_TARGETS", 7)
        self.assertIn("8 peers", str(self.refused(InvalidRequest, "*.m")))

    def test_unknown_cluster(self) -> None:
        """What a router says comes through with its outcome."""
        error = self.refused(ExchangeFailed, "*.x")
        self.assertEqual(Outcome.UNKNOWN_CLUSTER, error.outcome)
        self.asking.error = ControlTimeout("no answer")
        self.assertEqual(Outcome.TIMEOUT, self.refused(ExchangeFailed, "*.m").outcome)

    def test_no_names(self) -> None:
        """What a router lists that is no name of that cluster reaches neither a log nor a screen."""
        for name in ("\x1b[31mk3.k", "k4.k\nk5.k", "K6.K", "k.k.k", "\u202ek7.k", "n1.n"):
            self.asking.clusters = {"k": ["k2.k", name]}
            self.asking.registration.sort = False
            listing = Deferred.fromCoroutine(list_peers(self.peer, "k"))
            error = self.failureResultOf(listing, ExchangeFailed).value
            self.assertEqual(Outcome.CORRUPT, error.outcome)
            self.assertTrue(str(error).isprintable())

    def test_circles(self) -> None:
        """A router that lists its peers in circles isn't followed."""
        self.asking.circles = True
        listing = Deferred.fromCoroutine(list_peers(self.peer, "m"))
        self.assertEqual(Outcome.CORRUPT, self.failureResultOf(listing, ExchangeFailed).value.outcome)

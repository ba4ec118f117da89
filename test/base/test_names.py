"""Tests for :mod:`p2p.base.names`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import InvalidName, P2PError
from p2p.base.names import ROUTER, PeerName, check_listed, parse_cluster, parse_peer, router_name

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
CLUSTERS = LABELS.filter(lambda label: not label.isdigit())


class PeerNameTests(SynchronousTestCase):
    """Names of peers."""

    def refused(self, text: str) -> str:
        return str(self.assertRaises(InvalidName, parse_peer, text))

    def test_parts(self) -> None:
        """A peer's name has a node and a cluster."""
        name = parse_peer("m4.m")
        self.assertEqual(name, PeerName("m4", "m"))
        self.assertEqual(str(name), "m4.m")

    @given(LABELS.filter(lambda label: label != ROUTER), CLUSTERS)
    def test_every_label_goes(self, node: str, cluster: str) -> None:
        """Every pair of DNS labels in lower case is a name and is written back as it was."""
        self.assertEqual(str(parse_peer(f"{node}.{cluster}")), f"{node}.{cluster}")

    @given(st.text())
    def test_anything_else_is_refused(self, text: str) -> None:
        """Any text either is a name that TLS can check as a DNS-ID or is refused with the declared error."""
        try:
            name = parse_peer(text)
        except InvalidName:
            return
        self.assertEqual(str(name), text)
        self.assertRegex(text, r"\A[a-z0-9-]{1,63}\.[a-z0-9-]{1,63}\Z")

    def test_two_parts(self) -> None:
        """A name without a dot, or with two, is refused with an example of a right one."""
        for text in ("n1", "n1.n.example", ""):
            self.assertIn("for example n1.n", self.refused(text))

    def test_reserved(self) -> None:
        """No peer may be called as its router is, or it could pass for it."""
        self.assertIn("reserved", self.refused("router.n"))

    def test_reasons(self) -> None:
        """Each refusal says what is wrong with the label."""
        reasons = {
            ".n": "node name '' is empty",
            "n1.": "cluster name '' is empty",
            f"{'a' * 64}.n": "has 64 characters, and a DNS label has at most 63",
            "N1.n": "has capital letters",
            "-n.n": "starts or ends with a hyphen",
            "n-.n": "starts or ends with a hyphen",
            "n_1.n": "has a character that isn't",
            "né.n": "has a character that isn't",
            "n1.n\n": "has a character that isn't",
            "../etc": "isn't <node>.<cluster>",
        }
        for text, reason in reasons.items():
            self.assertIn(reason, self.refused(text))

    def test_longest(self) -> None:
        """A label may have 63 characters."""
        self.assertEqual(parse_peer(f"{'a' * 63}.{'b' * 63}").node, "a" * 63)
        self.assertIn("capital letters", self.refused(f"{'A' * 63}.n"))

    def test_hostile_text_is_cut(self) -> None:
        """A refusal quotes at most 80 characters, and control characters not as they are."""
        self.assertIn(f"peer name '{'x' * 80}' isn't", self.refused("x" * 80))
        self.assertIn(f"peer name '{'x' * 77}...' isn't", self.refused("x" * 81))
        message = self.refused("\x1b[2J" + "x" * 10_000)
        self.assertNotIn("\x1b", message)
        self.assertLess(len(message), 250)


class ClusterNameTests(SynchronousTestCase):
    """Names of clusters."""

    def test_name(self) -> None:
        """A cluster's name is one DNS label."""
        self.assertEqual(parse_cluster("lab-2"), "lab-2")
        self.assertRaises(InvalidName, parse_cluster, "n.m")

    def test_digits_alone(self) -> None:
        """Digits alone are refused: n1.5 could be read as part of an address."""
        self.assertIn("no letter", str(self.assertRaises(InvalidName, parse_cluster, "5")))

    def test_errors_are_expected_ones(self) -> None:
        """A bad name is a P2PError, which the command line explains, and a ValueError, which pydantic does."""
        error = self.assertRaises(InvalidName, parse_cluster, "")
        self.assertIsInstance(error, P2PError)
        self.assertIsInstance(error, ValueError)


class RouterNameTests(SynchronousTestCase):
    """The TLS names of routers."""

    def test_name(self) -> None:
        """The router of cluster n is router.n."""
        self.assertEqual(router_name("n"), "router.n")


class CheckListedTests(SynchronousTestCase):
    def test_good(self) -> None:
        """Names of the cluster, in order and behind the last one, are taken."""
        self.assertEqual(["m2.m", "m3.m"], check_listed(["m2.m", "m3.m"], "m", "m1.m", 2))
        self.assertEqual([], check_listed([], "m", "", 2))

    def test_bad(self) -> None:
        """Anything else is refused: other clusters, no names, names again, too many of them."""
        for names in (["n1.n"], ["\x1b[31m"], ["m1.m"], ["m3.m", "m2.m"], ["m2.m", "m2.m"], ["m2.m", "m3.m", "m4.m"]):
            self.assertRaises(InvalidName, check_listed, names, "m", "m1.m", 2)

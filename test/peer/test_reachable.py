"""Whether others can dial a peer, and what people read of that."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.peer.reachable import (
    failed_dials,
    families,
    family_of,
    hindrances,
    host_of,
    is_foreign,
    no_common_family,
    told_to_dial,
    unreached,
)


class HindranceTests(SynchronousTestCase):
    """What is warned of."""

    def hindrances(self, observed: str, host: str = "::") -> list[str]:
        """What is said of n1.n."""
        return hindrances("n1.n", "router.n", observed, host)

    def test_none(self) -> None:
        """A peer that is seen at an address of its machine, of a family that it listens on, is reachable."""
        for observed, host in (
            ("192.0.2.1", ""),
            ("192.0.2.1", "::"),
            ("2001:db8::1", "::"),
            ("192.0.2.1", "192.0.2.1"),
        ):
            self.assertEqual([], self.hindrances(observed, host))
        self.assertEqual([], self.hindrances("a socket"))

    def test_family(self) -> None:
        """Where the router sees the other family than the one listened on, the endpoint for both is named."""
        for observed, host, named in (("2001:db8::1", "", "IPv4"), ("192.0.2.1", "2001:db8::1", "IPv6")):
            (said,) = self.hindrances(observed, host)
            self.assertIn(f"router.n sees n1.n at {observed}, and 'listen' covers {named} alone", said)
            self.assertTrue(said.endswith("be tcp6:0"), said)


class FamilyTests(SynchronousTestCase):
    """IP versions."""

    def test_families(self) -> None:
        """All of IPv4, all of both, or that of one address."""
        self.assertEqual(
            [{4}, {4, 6}, {4}, {6}], [set(families(one)) for one in ("", "::", "192.0.2.1", "2001:db8::1")]
        )
        self.assertEqual([4, 6, None], [family_of(one) for one in ("192.0.2.1", "::1", "x")])

    def test_no_common_family(self) -> None:
        """Who is seen at the one and was told to dial the other alone has none in common, as far as anybody knows."""
        self.assertTrue(no_common_family("192.0.2.1", ["2001:db8::1"]))
        for address, dials in (
            ("192.0.2.1", ["2001:db8::1", "192.0.2.2"]),
            ("x", ["::1"]),
            ("192.0.2.1", []),
            ("::1", ["x"]),
        ):
            self.assertFalse(no_common_family(address, dials))

    def test_host(self) -> None:
        """The host of an address as it is shown, IPv4 on a socket for both as IPv4."""
        for shown, host in (
            ("192.0.2.1:80", "192.0.2.1"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("name:80", "name"),
        ):
            self.assertEqual(host, host_of(shown))


class DialTests(SynchronousTestCase):
    """What is said of dials."""

    def test_failed(self) -> None:
        """Each address with what became of it."""
        said = failed_dials("m4.m", 7, [("192.0.2.1", "unreachable"), ("::1", "teapot")])
        self.assertEqual(
            "m4.m was told to dial 192.0.2.1, port 7: there is no way there from m4.m; ::1, port 7: it came to nothing",
            said,
        )
        self.assertEqual("m4.m couldn't dial", failed_dials("m4.m", 7, []))

    def test_told(self) -> None:
        """Where somebody was told to dial, if the routers say it."""
        self.assertEqual(
            "m4.m was told to dial 192.0.2.1 and ::1, port 7", told_to_dial("m4.m", ["192.0.2.1", "::1"], 7)
        )
        self.assertEqual("m4.m was told to dial this machine, port 7", told_to_dial("m4.m", [], 7))

    def test_unreached(self) -> None:
        """What both ends dialled is said, and what to do: another remedy where there is no way at all."""
        theirs, ours = [("192.0.2.1", "unreachable")], [("2001:db8::4", "unreachable")]
        said = unreached("m4.m", 7, ["192.0.2.1"], theirs, 8, ours)
        self.assertIn("m4.m was told to dial 192.0.2.1, port 7: there is no way there from m4.m; from here, ", said)
        self.assertIn("2001:db8::4, port 8: there is no way there from here: the two have no IP version", said)
        said = unreached("m4.m", 7, ["192.0.2.1"], theirs, 8, [("2001:db8::4", "refused")])
        self.assertTrue(said.endswith("let a firewall on one of the two let TCP in"), said)
        said = unreached("m4.m", 7, ["192.0.2.1"], [], 8, [])
        self.assertIn("and says nothing; from here it can't be dialled: neither machine", said)
        self.assertNotIn("from here", unreached("m4.m", 7, ["192.0.2.1"], theirs, 0, []))

    def test_foreign(self) -> None:
        """Whether all that was dialled is somebody else."""
        self.assertTrue(is_foreign([("192.0.2.1", "no-link")]))
        self.assertFalse(is_foreign([("192.0.2.1", "no-link"), ("192.0.2.2", "refused")]))
        self.assertFalse(is_foreign([]))

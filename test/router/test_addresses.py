"""Tests of what a peer may be told to dial."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.addresses import Network, NotAllowed, checked_address
from p2p.router.addresses import dialable, granted, seen_through
from test.properties import PROPERTY

LAB = [ip_network("192.0.2.0/24"), ip_network("2001:db8:1::/48")]


class GrantedTests(SynchronousTestCase):
    def test_inside(self) -> None:
        """Only what lies in a granted network is kept."""
        kept = granted(["192.0.2.7", "198.51.100.1", "2001:db8:1::7", "2001:db8:2::7", "::ffff:192.0.2.8"], LAB)
        self.assertEqual(["192.0.2.7", "2001:db8:1::7", "192.0.2.8"], [str(one) for one in kept])

    def test_nothing_granted(self) -> None:
        """Without a grant, no candidate is kept."""
        self.assertEqual([], granted(["192.0.2.7"], []))

    def test_never_loopback(self) -> None:
        """Even who grants everything grants no loopback address."""
        everything = [ip_network("0.0.0.0/0"), ip_network("::/0")]
        self.assertEqual([], granted(["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"], everything))

    def test_directed_broadcast(self) -> None:
        """The broadcast address of a granted network isn't a machine; both addresses of a /31 are (RFC 3021)."""
        self.assertEqual([], granted(["192.0.2.255"], LAB))
        self.assertEqual([], granted(["192.0.2.3"], [ip_network("192.0.2.0/30")]))
        self.assertEqual(2, len(granted(["192.0.2.0", "192.0.2.1"], [ip_network("192.0.2.0/31")])))
        self.assertEqual(1, len(granted(["192.0.2.9"], [ip_network("192.0.2.9/32")])))
        self.assertEqual(1, len(granted(["2001:db8:1:ffff:ffff:ffff:ffff:ffff"], LAB)))

    def test_forbidden(self) -> None:
        """A candidate that nobody can dial is refused, not passed over."""
        self.assertRaises(NotAllowed, granted, ["192.0.2.7", "224.0.0.1"], LAB)


class SeenThroughTests(SynchronousTestCase):
    def test_elsewhere(self) -> None:
        """What isn't a loopback address means the same everywhere."""
        self.assertEqual("192.0.2.7", seen_through("192.0.2.7", "198.51.100.1"))

    def test_on_the_other_router(self) -> None:
        """A loopback address at another machine is that machine."""
        self.assertEqual("198.51.100.1", seen_through("127.0.0.1", "198.51.100.1"))
        self.assertEqual("198.51.100.1", seen_through("::1", "::ffff:198.51.100.1"))

    def test_on_this_machine(self) -> None:
        """A loopback address at this machine stays one: that at which the other router is, whatever it says."""
        self.assertEqual("127.0.0.1", seen_through("127.0.0.1", None))
        self.assertEqual("127.0.0.1", seen_through("127.0.0.1", "127.0.0.1"))
        self.assertEqual("127.0.0.1", seen_through("127.7.7.7", "127.0.0.1"))
        self.assertEqual("::1", seen_through("127.7.7.7", "::1"))


class DialableTests(SynchronousTestCase):
    """``here`` is 203.0.113.1, one router; the other is at 198.51.100.1; the target at 203.0.113.4."""

    def dialled(
        self,
        observed: str,
        *candidates: str,
        via: str | None = "198.51.100.1",
        target: str = "203.0.113.4",
        here: str = "203.0.113.1",
        networks: Sequence[Network] | None = LAB,
    ) -> list[str]:
        return dialable(observed, candidates, networks, via=via, target=target, here=here)

    def test_observed_first(self) -> None:
        """What the initiator's router saw comes first, then what is granted, each once."""
        self.assertEqual(["192.0.2.7", "192.0.2.8"], self.dialled("192.0.2.7", "192.0.2.8", "192.0.2.7", "10.0.0.1"))

    def test_initiator_at_its_router(self) -> None:
        """An initiator on the machine of its router is dialled at that machine's address."""
        self.assertEqual(["198.51.100.1"], self.dialled("127.0.0.1"))
        self.assertEqual(["198.51.100.1"], self.dialled("::ffff:127.0.0.1"))

    def test_initiator_at_this_router(self) -> None:
        """An initiator on this router's machine is dialled at the address at which the target reached the router."""
        self.assertEqual(["203.0.113.1"], self.dialled("127.0.0.1", via=None))
        self.assertEqual(["203.0.113.1"], self.dialled("127.0.0.1", via="127.0.0.1"))

    def test_all_on_one_machine(self) -> None:
        """Where everybody is on one machine, loopback is right."""
        self.assertEqual(["127.0.0.1"], self.dialled("127.0.0.1", via="127.0.0.1", target="127.0.0.1"))
        self.assertEqual(["127.0.0.1"], self.dialled("127.0.0.1", via=None, target="::ffff:127.0.0.1"))

    def test_target_at_this_router(self) -> None:
        """A target on this router's machine dials a remote initiator at its address, never itself."""
        self.assertEqual(["198.51.100.1"], self.dialled("127.0.0.1", target="127.0.0.1"))

    def test_another_loopback_address(self) -> None:
        """Nobody is aimed at what listens on another loopback address by a router that isn't this one."""
        self.assertEqual(["127.0.0.1"], self.dialled("127.7.7.7", via="127.0.0.1", target="127.0.0.1"))
        self.assertEqual(["198.51.100.1"], self.dialled("127.7.7.7", target="127.0.0.1"))

    def test_networks_bind(self) -> None:
        """Where networks are granted to a cluster, what its router saw must lie in them, too, or be its own address."""
        error = self.assertRaises(NotAllowed, self.dialled, "203.0.113.9")
        self.assertIn("203.0.113.9, where its router sees it, is in none of the networks of its cluster", str(error))
        self.assertEqual(["192.0.2.8"], self.dialled("203.0.113.9", "192.0.2.8"))
        self.assertEqual(["198.51.100.1"], self.dialled("198.51.100.1"))
        self.assertRaises(NotAllowed, self.dialled, "192.0.2.255")  # the broadcast address of one of them
        self.assertEqual(["203.0.113.9"], self.dialled("203.0.113.9", networks=None))
        self.assertRaises(NotAllowed, self.dialled, "203.0.113.9", networks=())

    def test_own_sight(self) -> None:
        """What this router sees itself needs no grant."""
        self.assertEqual(["203.0.113.9"], self.dialled("203.0.113.9", via=None))

    def test_clusters_on_one_machine(self) -> None:
        """Peers of different clusters on one machine, whose routers are elsewhere, may dial that machine."""
        self.assertEqual(["203.0.113.4"], self.dialled("203.0.113.4", networks=None))

    def test_nothing_left(self) -> None:
        """Without an address, the reason names every one that was refused."""
        error = self.assertRaises(NotAllowed, self.dialled, "fe80::7%eth0", "10.0.0.1")
        self.assertEqual(
            "no address to dial: 'fe80::7%eth0' has a zone, which means nothing on another machine, "
            "and no candidate lies in a network that is granted to the cluster",
            str(error),
        )

    def test_candidates_alone(self) -> None:
        """An observed address that nobody can dial doesn't spoil the candidates."""
        self.assertEqual(["192.0.2.8"], self.dialled("fe80::7%eth0", "192.0.2.8"))
        self.assertEqual(["192.0.2.8"], self.dialled("", "192.0.2.8"))

    def test_no_way_back(self) -> None:
        """Where even this router's own address is no help, nothing is told."""
        self.assertRaises(NotAllowed, self.dialled, "127.0.0.1", via=None, here="127.0.0.1")

    @PROPERTY
    @given(
        st.ip_addresses().map(str) | st.sampled_from(["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.1.1.1", "", "x"]),
        st.lists(st.ip_addresses().map(str) | st.sampled_from(["127.0.0.1", "::1"]), max_size=4),
        st.sampled_from(["198.51.100.1", "2001:db8:9::1", "fe80::1%eth0"]),
        st.sampled_from(["203.0.113.4", "127.0.0.1", "::1"]),
        st.sampled_from(["203.0.113.1", "127.0.0.1", "::1"]),
    )
    def test_remote_router(self, observed: str, candidates: list[str], via: str, target: str, here: str) -> None:
        """Whatever a router on another machine says, no peer is aimed at a loopback address or at many machines."""
        everything = [ip_network("0.0.0.0/0"), ip_network("::/0")]
        try:
            told = dialable(observed, candidates, everything, via=via, target=target, here=here)
        except NotAllowed:
            return
        for text in told:
            address = checked_address(text)
            self.assertFalse(address.is_loopback, f"{observed} {candidates} {via} {target} {here}")
            self.assertEqual(text, str(address))

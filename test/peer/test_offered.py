"""What a machine names of its addresses, and which it dials since they are near."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from p2p.peer.offered import OwnAddresses, own_addresses_of

INTERFACES = [
    ("docker0", "172.17.0.1", 16),
    ("eth0", "192.168.7.2", 24),
    ("eth0", "2001:db8::2", 64),
    ("wlan0", "10.9.8.7", 32),
    ("eth0:1", "192.168.7.2", 24),
]


class ChoiceTests(SynchronousTestCase):
    def named(self, *offer: str, leave_out: tuple[str, ...] = ()) -> tuple[str, ...]:
        """What is named, given that the internet is reached from 192.168.7.2."""
        return own_addresses_of(INTERFACES, {"192.168.7.2"}, offer, leave_out).named

    def test_all(self) -> None:
        """Without a choice all are, each once, and the one towards the internet first."""
        own = own_addresses_of(INTERFACES, {"192.168.7.2"}, (), ())
        self.assertEqual(("192.168.7.2", "172.17.0.1", "2001:db8::2", "10.9.8.7"), own.named)
        self.assertEqual(set(own.named), own.all)
        expected = ["192.168.7.0/24", "172.17.0.0/16", "2001:db8::/64", "10.9.8.7/32"]
        self.assertEqual(expected, [str(network) for network in own.networks])

    def test_chosen(self) -> None:
        """What is offered is chosen by interfaces, also by patterns, and by networks; what is left out isn't named."""
        self.assertEqual(("2001:db8::2",), self.named("2001:db8::/32"))
        self.assertEqual(("192.168.7.2", "2001:db8::2", "10.9.8.7"), self.named("eth0", "wlan*"))
        self.assertEqual(("192.168.7.2", "2001:db8::2"), self.named(leave_out=("docker*", "10.0.0.0/8")))
        self.assertEqual((), self.named("eth0", leave_out=("eth*",)))

    def test_left_out(self) -> None:
        """A network that is left out isn't dialled into either; its addresses are still this machine's own."""
        own = own_addresses_of(INTERFACES, (), (), ["docker0"])
        self.assertNotIn(ip_network("172.17.0.0/16"), own.networks)
        self.assertIn("172.17.0.1", own.all)


class OwnAddressesTests(SynchronousTestCase):
    own = own_addresses_of(INTERFACES, (), (), ())

    def test_attached(self) -> None:
        """Of another machine's addresses, those are near that are on a network of this one; its own never are."""
        named = ["192.168.7.9", "192.168.8.9", "172.17.0.1", "::ffff:172.17.0.3", "2001:db8::9", "2001:db8:1::9"]
        self.assertEqual(["192.168.7.9", "172.17.0.3", "2001:db8::9"], self.own.attached(named))
        self.assertEqual([], self.own.attached(["127.0.0.1", "no address", "fe80::1", "0.0.0.0"]))
        self.assertEqual([], OwnAddresses((), frozenset(), (ip_network("127.0.0.0/8"),)).attached(["127.0.0.2"]))

    def test_behind_nat(self) -> None:
        """A machine that is seen at an address which isn't its own is behind a NAT."""
        self.assertTrue(self.own.behind_nat("203.0.113.5"))
        for observed in ("192.168.7.2", "127.0.0.1", "::1", "", "nowhere"):
            self.assertFalse(self.own.behind_nat(observed))

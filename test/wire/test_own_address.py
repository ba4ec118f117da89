"""What this machine's addresses are, and from which of them it would reach another."""

from __future__ import annotations

import socket
from typing import NamedTuple

import psutil
from twisted.trial.unittest import SynchronousTestCase

from p2p.wire.own_address import attachment, is_own_address, own_interfaces, source_towards


class Address(NamedTuple):
    """What psutil says of an address."""

    family: int
    address: str
    netmask: str | None = None


class OwnAddressTests(SynchronousTestCase):
    def test_own(self) -> None:
        """The loopback addresses are this machine's; those of documentation (RFC 5737, RFC 3849) are nobody's."""
        self.assertTrue(is_own_address("127.0.0.1"))
        for foreign in ("192.0.2.1", "2001:db8::1", "no address"):
            self.assertFalse(is_own_address(foreign))

    def test_interfaces(self) -> None:
        """The addresses of interfaces are found, without those that mean nothing elsewhere, and hardware addresses."""
        interfaces = {
            "lo": [Address(socket.AF_INET, "127.0.0.1"), Address(socket.AF_INET6, "::1")],
            "eth0": [
                Address(socket.AF_INET, "192.0.2.7", "255.255.255.0"),
                Address(socket.AF_INET6, "2001:db8::7", "ffff:ffff:ffff:ffff::"),
                Address(socket.AF_INET6, "fe80::1%eth0"),
                Address(socket.AF_PACKET, "02:00:00:00:00:01"),
            ],
            "tun0": [Address(socket.AF_INET, "192.0.2.9")],
            "eth1": [Address(socket.AF_INET, "169.254.3.4")],
        }
        self.patch(psutil, "net_if_addrs", lambda: interfaces)
        self.assertEqual(
            frozenset({("eth0", "192.0.2.7", 24), ("eth0", "2001:db8::7", 64), ("tun0", "192.0.2.9", 32)}),
            own_interfaces(),
        )

    def test_real(self) -> None:
        """All of them are this machine's."""
        self.assertTrue(all(is_own_address(address) for _, address, _ in own_interfaces()))

    def test_source(self) -> None:
        """This machine reaches itself from a loopback address, and what is no address from none."""
        self.assertEqual("127.0.0.1", source_towards("127.0.0.1"))
        self.assertIsNone(source_towards("no address"))

    def test_attachment(self) -> None:
        """The address towards the internet, if there is a way, is one of this machine's; two looks agree."""
        now = attachment()
        self.assertTrue(all(map(is_own_address, now.sources)))
        self.assertLessEqual(len(now.sources), 2)
        self.assertEqual(now.interfaces, own_interfaces())
        self.assertEqual(now.addresses, {address for _, address, _ in own_interfaces()})

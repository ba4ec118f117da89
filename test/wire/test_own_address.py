"""What this machine's addresses are, and from which of them it would reach another."""

from __future__ import annotations

import socket
from typing import NamedTuple

import psutil
from twisted.trial.unittest import SynchronousTestCase

from p2p.wire.own_address import attachment, is_own_address, own_addresses, source_towards


class Address(NamedTuple):
    """What psutil says of an address."""

    family: int
    address: str


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
                Address(socket.AF_INET, "192.0.2.7"),
                Address(socket.AF_INET6, "2001:db8::7"),
                Address(socket.AF_INET6, "fe80::1%eth0"),
                Address(socket.AF_PACKET, "02:00:00:00:00:01"),
            ],
            "eth1": [Address(socket.AF_INET, "169.254.3.4")],
        }
        self.patch(psutil, "net_if_addrs", lambda: interfaces)
        self.assertEqual(frozenset({"192.0.2.7", "2001:db8::7"}), own_addresses())

    def test_real(self) -> None:
        """All of them are this machine's."""
        self.assertTrue(all(map(is_own_address, own_addresses())))

    def test_source(self) -> None:
        """This machine reaches itself from a loopback address, and what is no address from none."""
        self.assertEqual("127.0.0.1", source_towards("127.0.0.1"))
        self.assertIsNone(source_towards("no address"))

    def test_attachment(self) -> None:
        """The address towards the internet, if there is a way, is one of this machine's; two looks agree."""
        now = attachment()
        self.assertTrue(all(map(is_own_address, now.sources)))
        self.assertLessEqual(len(now.sources), 2)
        self.assertEqual(now.addresses, own_addresses())

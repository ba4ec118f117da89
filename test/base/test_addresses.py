"""Tests of where a TCP connection may go at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.addresses import NotAllowed, checked_address, is_loopback, normalised, parse_place
from test.properties import PROPERTY


class CheckedAddressTests(SynchronousTestCase):
    def test_allowed(self) -> None:
        """Unicast addresses of both families are taken, private ones and loopback too."""
        for text in ("192.0.2.7", "10.1.2.3", "172.16.0.9", "127.0.0.1", "::1", "2001:db8::7", "fd00::7"):
            self.assertEqual(text, str(checked_address(text)))

    def test_mapped(self) -> None:
        """An IPv4-mapped address is the IPv4 address, with all that follows from it."""
        self.assertEqual("192.0.2.7", str(checked_address("::ffff:192.0.2.7")))
        self.assertTrue(checked_address("::ffff:127.0.0.1").is_loopback)
        self.assertRaises(NotAllowed, checked_address, "::ffff:169.254.1.1")
        self.assertRaises(NotAllowed, checked_address, "::ffff:0.0.0.0")

    def test_forbidden(self) -> None:
        """Whatever isn't one machine's own address is refused with what it is."""
        forbidden = {
            "0.0.0.0": "no machine's address",
            "0.1.2.3": "no machine's address",
            "::": "no machine's address",
            "224.0.0.1": "a multicast address",
            "239.255.255.250": "a multicast address",
            "ff02::1": "a multicast address",
            "169.254.169.254": "a link-local address",
            "fe80::1": "a link-local address",
            "255.255.255.255": "the broadcast address",
            "240.0.0.1": "a reserved address",
            "::127.0.0.1": "a reserved address",
            "64:ff9b::7f00:1": "a reserved address",
            "fe80::1%eth0": "has a zone",
            "2001:db8::1%1": "has a zone",
        }
        for text, why in forbidden.items():
            error = self.assertRaises(NotAllowed, checked_address, text)
            self.assertIn(why, str(error), text)

    def test_no_addresses(self) -> None:
        """Host names and odd spellings are no addresses: they could mean another thing to whoever dials."""
        for text in (
            "",
            "localhost",
            "m4.m",
            "127.1",
            "2130706433",
            "0x7f000001",
            "127.0.0.1:22",
            "010.0.0.1",
            "[::1]",
        ):
            self.assertRaises(NotAllowed, checked_address, text)

    def test_cut(self) -> None:
        """Of a long text the reason has the first 60 characters."""
        for text, why in (("x" * 61, "isn't an IP address"), (f"fe80::1%{'x' * 60}", "has a zone")):
            error = self.assertRaises(NotAllowed, checked_address, text)
            self.assertTrue(str(error).startswith(f"{text[:60]!r} {why}"), str(error))

    @PROPERTY
    @given(st.text(max_size=40) | st.ip_addresses().map(str))
    def test_anything(self, text: str) -> None:
        """Whatever a text is, it is an address to dial or it is refused, with a short reason."""
        try:
            address = checked_address(text)
        except NotAllowed as error:
            self.assertLess(len(str(error)), 200)
        else:
            self.assertFalse(address.is_multicast or address.is_unspecified or address.is_link_local)

    def test_normalised(self) -> None:
        """The address of a connection is written one way, whatever the socket calls it."""
        self.assertEqual("192.0.2.7", normalised("::ffff:192.0.2.7"))
        self.assertEqual("2001:db8::7", normalised("2001:0db8::7"))
        self.assertEqual("/run/p2p.sock", normalised("/run/p2p.sock"))

    def test_loopback(self) -> None:
        """The addresses of the machine itself are known in every spelling; text that is no address is none of them."""
        for host in ("127.0.0.1", "127.7.7.7", "::1", "::ffff:127.0.0.1"):
            self.assertTrue(is_loopback(host), host)
        for host in ("192.0.2.7", "2001:db8::1", "localhost", "", "/run/p2p.sock"):
            self.assertFalse(is_loopback(host), host)


class PlaceTests(SynchronousTestCase):
    """Where a program listens."""

    def test_read(self) -> None:
        """An address and a port are read, and written as they are read."""
        for text in ("127.0.0.1:22", "[::1]:5432", "192.0.2.7:65535"):
            self.assertEqual(text, str(parse_place(text)))
        self.assertEqual(("127.0.0.1", 80), parse_place("localhost:80"))

    def test_none(self) -> None:
        """Whatever is no such place is refused."""
        for text in (
            "22",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:0",
            "127.0.0.1:65536",
            ":22",
            "::1:22",
            "[127.0.0.1]:22",
        ):
            self.assertRaises(NotAllowed, parse_place, text)
        for text in ("0.0.0.0:22", "224.0.0.1:22", "db:22", "127.0.0.1:\u0662", "[::1:22", "127.0.0.1:9999999999"):
            self.assertRaises(NotAllowed, parse_place, text)

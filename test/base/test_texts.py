"""Tests of what is shown of texts from elsewhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.texts import TEXT_CHARACTERS, address_text, few, printable
from test.properties import PROPERTY


class PrintableTests(SynchronousTestCase):
    @PROPERTY
    @given(st.text(max_size=2000) | st.binary(max_size=4000))
    def test_anything(self, text: str | bytes) -> None:
        """Whatever comes in, what comes out is short, on one line, and steers no terminal."""
        shown = printable(text)
        self.assertLessEqual(len(shown), TEXT_CHARACTERS)
        self.assertTrue(shown.isprintable())

    def test_kept(self) -> None:
        """Letters of any script stay as they are."""
        self.assertEqual("m4.m weiß es nicht: 日本", printable("m4.m weiß es nicht: 日本"))
        self.assertEqual("über\ufffd", printable("über".encode() + b"\xff"))

    def test_cut(self) -> None:
        """As many characters are kept of bytes as of text, however many bytes each takes."""
        for character in "aü日𝄞":
            self.assertEqual(character * TEXT_CHARACTERS, printable(character * 600))
            self.assertEqual(character * TEXT_CHARACTERS, printable((character * 600).encode()))


class FewTests(SynchronousTestCase):
    """Names in short."""

    def test_few(self) -> None:
        """Three names are shown, and how many more there are."""
        self.assertEqual("a, b, c", few(list("abc")))
        self.assertEqual("a, b, c and 2 more", few(list("abcde")))
        self.assertEqual("a and 9,999 more", few(["a"], 9_999))


class AddressTextTests(SynchronousTestCase):
    def test_shown(self) -> None:
        """Addresses read as people write them; what has no host and port is shown as it is."""
        self.assertEqual("192.0.2.7:5555", address_text(IPv4Address("TCP", "192.0.2.7", 5555)))
        self.assertEqual("192.0.2.7:5555", address_text(IPv6Address("TCP", "::ffff:192.0.2.7", 5555)))
        self.assertEqual("[2001:db8::7]:5555", address_text(IPv6Address("TCP", "2001:db8::7", 5555)))
        self.assertEqual("None", address_text(None))
        self.assertIn("example", address_text(HostnameAddress(b"example.org", 1)))

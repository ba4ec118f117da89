"""Which ports of fresh ports a router remembers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.router.mappings import EACH, Mappings

ONE, OTHER = bytes(32), bytes(range(32))


class MappingsTests(SynchronousTestCase):
    def test_seen(self) -> None:
        """A port is known for the peer and the ticket for which it was seen, at the address where the peer is seen."""
        seen = Mappings()
        self.assertTrue(seen.add("n1.n", ONE, "203.0.113.5", 61001))
        self.assertEqual(61001, seen.port_of("n1.n", ONE, "203.0.113.5"))
        for name, ticket, address in (
            ("n2.n", ONE, "203.0.113.5"),
            ("n1.n", OTHER, "203.0.113.5"),
            ("n1.n", ONE, "203.0.113.6"),
            ("n1.n", OTHER, ""),
        ):
            self.assertIsNone(seen.port_of(name, ticket, address))
        seen.remove("n1.n", ONE)
        self.assertIsNone(seen.port_of("n1.n", ONE, "203.0.113.5"))
        self.assertEqual(0, len(seen))

    def test_once(self) -> None:
        """What was seen first for a ticket stays; another connection can't change it."""
        seen = Mappings()
        seen.add("n1.n", ONE, "203.0.113.5", 61001)
        self.assertFalse(seen.add("n1.n", ONE, "203.0.113.5", 61002))
        self.assertEqual(61001, seen.port_of("n1.n", ONE, "203.0.113.5"))

    def test_bounded(self) -> None:
        """A peer has so many at once; others don't suffer, and one that is forgotten makes room."""
        seen = Mappings()
        for number in range(EACH):
            self.assertTrue(seen.add("n1.n", number.to_bytes(32), "203.0.113.5", 2000 + number))
        self.assertFalse(seen.add("n1.n", b"x" * 32, "203.0.113.5", 2000))
        self.assertTrue(seen.add("n2.n", b"x" * 32, "203.0.113.5", 2000))
        seen.remove("n1.n", bytes(32))
        self.assertTrue(seen.add("n1.n", b"x" * 32, "203.0.113.5", 2000))

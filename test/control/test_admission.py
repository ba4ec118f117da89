"""How much others may have under way: connections of those who aren't known yet, and whatever else is counted."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.control.admission import Admission, Slots, source_of


class AdmissionTests(SynchronousTestCase):
    def test_total(self) -> None:
        """At the total, nobody else is let in, wherever from; when one has left, one may come."""
        admission = Admission(total=3, per_source=2)
        for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
            self.assertIsNone(admission.enter(host))
        refused = admission.enter("192.0.2.4")
        self.assertEqual("3 connections are not yet authenticated, which is the limit", refused)
        admission.leave("192.0.2.2")
        self.assertIsNone(admission.enter("192.0.2.4"))
        self.assertEqual(3, admission.pending)

    def test_per_source(self) -> None:
        """One source can't take the places of the others."""
        admission = Admission(total=100, per_source=2)
        self.assertEqual([None, None], [admission.enter("192.0.2.1") for _ in range(2)])
        refused = admission.enter("192.0.2.1")
        self.assertEqual("2 connections from 192.0.2.1 are not yet authenticated, which is the limit", refused)
        self.assertIsNone(admission.enter("192.0.2.9"))
        admission.leave("192.0.2.1")
        self.assertIsNone(admission.enter("192.0.2.1"))

    def test_one_site_is_one_source(self) -> None:
        """The addresses of one IPv6 /64 count together, so that its owner isn't 2**64 sources."""
        admission = Admission(total=100, per_source=2)
        self.assertIsNone(admission.enter("2001:db8:0:1::1"))
        self.assertIsNone(admission.enter("2001:db8:0:1:ffff::2"))
        self.assertIn("2001:db8:0:1::/64", admission.enter("2001:db8:0:1::3") or "")
        self.assertIsNone(admission.enter("2001:db8:0:2::1"))

    def test_nothing_stays_behind(self) -> None:
        """When everybody has left, nothing is remembered of them."""
        admission = Admission(total=10, per_source=5)
        for host in ("192.0.2.1", "192.0.2.1", "::1"):
            admission.enter(host)
        for host in ("192.0.2.1", "::1", "192.0.2.1"):
            admission.leave(host)
        self.assertEqual(0, admission.pending)
        self.assertRaises(KeyError, admission.leave, "192.0.2.1")

    def test_sources(self) -> None:
        """An IPv4-mapped address is IPv4, a zone does not count, and what is no address stands for itself."""
        self.assertEqual("192.0.2.1", source_of("::ffff:192.0.2.1"))
        self.assertEqual("fe80::/64", source_of("fe80::1%eth0"))
        self.assertEqual("/run/socket", source_of("/run/socket"))


class SlotsTests(SynchronousTestCase):
    def test_limit(self) -> None:
        """There are as many slots as the limit says, and one that is given back can be taken again."""
        slots = Slots(2)
        self.assertEqual([True, True, False], [slots.enter() for _ in range(3)])
        slots.leave()
        self.assertEqual([True, False], [slots.enter(), slots.enter()])
        self.assertEqual(2, slots.used)

    def test_leaving_too_often(self) -> None:
        """Giving back what wasn't taken is a fault that shows."""
        slots = Slots(1)
        self.assertRaises(ValueError, slots.leave)

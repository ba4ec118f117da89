"""Tests of numbers under way."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.control.quota import Slots


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

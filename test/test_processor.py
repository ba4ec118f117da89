"""Measuring the processor."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from test.processor import TRIES, quickest


class QuickestTests(SynchronousTestCase):
    """``quickest``."""

    def measured(self, *seconds: float) -> tuple[float, int]:
        """What comes of tries that take so long, and how many there are."""
        self.now = 0.0
        done: list[int] = []

        def action(number: int) -> None:
            done.append(number)
            self.now += seconds[number]

        return quickest(action, 1.0, lambda: self.now), len(done)

    def test_quick(self) -> None:
        """One quick try is enough, be it the first or not."""
        self.assertEqual((0.5, 1), self.measured(0.5))
        self.assertEqual((0.5, 3), self.measured(4, 2, 0.5))

    def test_slow(self) -> None:
        """What is never quick comes out as slow as its quickest try."""
        self.assertEqual((2.0, TRIES), self.measured(3, 2, 4, 5, 6))

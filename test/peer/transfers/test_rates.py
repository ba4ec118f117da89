"""How fast something grows."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.peer.transfers.rates import Rate


class RateTests(SynchronousTestCase):
    """Bytes a second over the last three seconds."""

    def test_at_first(self) -> None:
        """Before any time has passed there is no rate."""
        self.assertEqual(0.0, Rate(5.0, 100).a_second(5.0))

    def test_even(self) -> None:
        """What was there before doesn't count."""
        rate = Rate(0.0, 1000)
        for second in range(1, 10):
            rate.add(float(second), 1000 + 50 * second)
        self.assertAlmostEqual(50.0, rate.a_second(9.0))

    def test_forgets(self) -> None:
        """What was faster long ago is forgotten, and what stands still comes to nothing."""
        rate = Rate(0.0, 0)
        rate.add(1.0, 10**9)
        for second in range(2, 6):
            rate.add(float(second), 10**9)
        self.assertEqual(0.0, rate.a_second(5.0))

    def test_bounded(self) -> None:
        """However often it is told, it remembers few moments, and nothing is lost of the sum."""
        rate = Rate(0.0, 0)
        for step in range(100_000):
            rate.add(step / 10_000, step)
        self.assertLess(len(rate._seen), 40)
        self.assertAlmostEqual(10_000, rate.a_second(9.9999))

"""Tests of rates and of numbers under way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.control.quota import Slots, TokenBucket
from test.properties import PROPERTY


class TokenBucketTests(SynchronousTestCase):
    def test_burst(self) -> None:
        """A full bucket lets its burst through at once, and tells the next one how long to wait."""
        bucket = TokenBucket(50, 200, now=7.0)
        self.assertEqual([0.0] * 200, [bucket.take(7.0) for _ in range(200)])
        self.assertAlmostEqual(0.02, bucket.take(7.0))

    def test_wait_is_enough(self) -> None:
        """Whoever waits as long as it was told gets through."""
        bucket = TokenBucket(4, 1, now=0.0)
        bucket.take(0.0)
        self.assertEqual(0.25, bucket.take(0.0))
        self.assertEqual(0.0, bucket.take(0.25))

    def test_refusals_cost_nothing(self) -> None:
        """A request that was turned away takes no token, however often it comes."""
        bucket = TokenBucket(1, 1, now=0.0)
        bucket.take(0.0)
        for _ in range(100):
            bucket.take(0.5)
        self.assertEqual(0.0, bucket.take(1.0))

    def test_never_more_than_full(self) -> None:
        """An idle bucket holds its burst and no more."""
        bucket = TokenBucket(10, 2, now=0.0)
        self.assertEqual([0.0, 0.0], [bucket.take(1000.0), bucket.take(1000.0)])
        self.assertGreater(bucket.take(1000.0), 0)

    def test_clock_that_goes_back(self) -> None:
        """A clock that goes back takes no tokens away."""
        bucket = TokenBucket(1, 2, now=10.0)
        self.assertEqual(0.0, bucket.take(10.0))
        self.assertEqual(0.0, bucket.take(3.0))

    def test_makes_no_sense(self) -> None:
        """A bucket that could never let anything through is refused."""
        self.assertRaises(ValueError, TokenBucket, 0, 5, 0.0)
        self.assertRaises(ValueError, TokenBucket, 1, 0, 0.0)

    @PROPERTY
    @given(st.lists(st.floats(0, 0.5), max_size=200))
    def test_rate(self, gaps: list[float]) -> None:
        """Whatever the rhythm, no more get through than the burst and the rate allow."""
        bucket = TokenBucket(20, 5, now=0.0)
        now, passed = 0.0, 0
        for gap in gaps:
            now += gap
            passed += bucket.take(now) == 0.0
        self.assertLessEqual(passed, 5 + 20 * now + 1e-6)


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

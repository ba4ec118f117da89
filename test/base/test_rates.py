"""Rates that are measured, and limits of bytes and of requests a second."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.rates import BURST_S, Pace, Rate, TokenBucket
from test.properties import PROPERTY


class PaceTests(SynchronousTestCase):
    """When bytes may go."""

    def test_burst(self) -> None:
        """The bytes of a quarter of a second go at once, the next ones wait as long as they take."""
        pace = Pace(1000, 50.0)
        self.assertEqual(pace.burst, 250)
        self.assertEqual(pace.delay(250, 50.0), 0.0)
        self.assertAlmostEqual(pace.delay(100, 50.0), 0.1)
        self.assertAlmostEqual(pace.delay(100, 50.1), 0.1)

    def test_idleness(self) -> None:
        """However long nothing was sent, not more than a burst goes at once after it."""
        pace = Pace(1000, 0.0)
        self.assertEqual(pace.delay(250, 3600.0), 0.0)
        self.assertAlmostEqual(pace.delay(10, 3600.0), 0.01)

    def test_large_piece(self) -> None:
        """A piece that is larger than a burst waits until the limit allows all of it."""
        self.assertAlmostEqual(Pace(1000, 0.0).delay(10_000, 0.0), 10 - BURST_S)

    def test_slowest(self) -> None:
        """Even the lowest limit lets a byte through at a time; none at all would be no transfer."""
        self.assertEqual(Pace(1, 0.0).burst, 1)
        self.assertRaises(ValueError, Pace, 0, 0.0)

    @given(
        st.integers(1, 10**9),
        st.lists(st.tuples(st.integers(0, 10**7), st.floats(0, 100)), min_size=1, max_size=30),
    )
    @PROPERTY
    def test_never_faster(self, limit: int, sends: list[tuple[int, float]]) -> None:
        """In no stretch of time do more bytes go than its seconds allow, and a burst or its first piece."""
        now = 0.0
        pace = Pace(limit, now)
        gone: list[tuple[float, int]] = []
        for size, idle in sends:
            now += idle
            now += pace.delay(size, now)
            gone.append((now, size))
        for first, (start, size) in enumerate(gone):
            at_once = max(limit * BURST_S, size)
            total = 0
            for at, size in gone[first:]:
                total += size
                self.assertLessEqual(total, (limit * (at - start) + at_once) * (1 + 1e-6) + 1)

    @given(st.integers(1024, 10**9), st.integers(1, 200))
    @PROPERTY
    def test_never_slower(self, limit: int, count: int) -> None:
        """A sender that always has something gets what the limit allows."""
        pace = Pace(limit, 0.0)
        now = 0.0
        for _ in range(count):
            now += pace.delay(pace.burst, now)
        self.assertLessEqual(now, count * pace.burst / limit)


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

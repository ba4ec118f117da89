"""A limit in bytes a second."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.transfer.pace import BURST_S, Pace
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

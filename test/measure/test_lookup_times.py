"""The times of look-ups."""

from __future__ import annotations

from itertools import count

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.lookup_times import BATCHES, LOOKUPS, TABLE_SIZES, lookup_times


class LookupTimesTests(SynchronousTestCase):
    def test_rows(self) -> None:
        """Every size of table has its batches, up to what a router takes, and each mean is of one look-up."""
        steps = count()
        # The clock goes on by 1 ms in a loop that does nothing, and by 3 ms in one that looks up.
        times = {0: 0, 1: 1_000_000, 2: 1_000_000, 3: 4_000_000}
        rows = list(lookup_times(lambda: times[next(steps) % 4]))
        self.assertEqual([row.table_size for row in rows], [size for size in TABLE_SIZES for _ in range(BATCHES)])
        self.assertEqual({row.ns for row in rows}, {2_000_000 / LOOKUPS})
        self.assertEqual(TABLE_SIZES[-1], 20_000)

    def test_real(self) -> None:
        """With a real clock none is negative or takes a millisecond."""
        self.assertTrue(all(0 <= row.ns < 1e6 for row in lookup_times()))

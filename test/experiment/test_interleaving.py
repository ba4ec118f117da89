"""The order of messages in an interleaved block."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise

from twisted.trial.unittest import SynchronousTestCase

from p2p.experiment.interleaving import MOST_CELLS, cycle, orders, shuffled


class CycleTests(SynchronousTestCase):
    """The sets of one cycle."""

    def test_balanced(self) -> None:
        """Each cell stands at each place, and behind each other one, equally often."""
        for cells in range(1, MOST_CELLS + 1):
            rows = cycle(cells)
            self.assertEqual(len(rows), 1 if cells == 1 else cells * (1 + cells % 2))
            self.assertEqual({tuple(sorted(row)) for row in rows}, {tuple(range(cells))})
            each = len(rows) // cells
            places = Counter((place, cell) for row in rows for place, cell in enumerate(row))
            behind = Counter(pair for row in rows for pair in pairwise(row))
            self.assertEqual((set(places.values()), len(places)), ({each}, cells * cells))
            self.assertEqual(len(behind), cells * (cells - 1))
            self.assertTrue(set(behind.values()) <= {each})


class OrderTests(SynchronousTestCase):
    """Set after set."""

    def test_cycles(self) -> None:
        """Each cycle is balanced, and no two have the same orders in the same place."""
        for cells in (2, 3, 4):
            length = len(cycle(cells))
            drawn = list(islice(orders(cells, "a"), 4 * length))
            cycles = [drawn[start : start + length] for start in range(0, len(drawn), length)]
            for one in cycles:
                behind = Counter(pair for row in one for pair in pairwise(row))
                self.assertEqual(len(set(behind.values())), 1)
            self.assertGreater(len({tuple(one) for one in cycles}), 1)

    def test_lot(self) -> None:
        """The lot alone decides, today and with the next version of Python."""
        self.assertEqual(list(islice(orders(4, "a"), 9)), list(islice(orders(4, "a"), 9)))
        self.assertNotEqual(list(islice(orders(4, "a"), 9)), list(islice(orders(4, "b"), 9)))
        self.assertEqual(shuffled("abcdef", "7"), list("dbecaf"))

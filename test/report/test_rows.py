"""Tests for ``p2p.report.rows``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.estimates import share
from p2p.report.formats import NOTHING
from p2p.report.rows import CELL, ROWS, WORD, share_interval, table


class TableTests(SynchronousTestCase):
    """Tables as a page bears them."""

    def test_rows(self) -> None:
        """At most so many rows are shown, and the note says how many there are beyond them."""
        made = table("caption", ["a"], [("x",)] * (ROWS + 3), note="Note.")
        self.assertEqual((len(made.rows), made.note), (ROWS, "Note. The raw data have 3 more rows."))
        self.assertEqual(table("caption", ["a"], [("x",)] * ROWS).note, "")

    def test_cells(self) -> None:
        """A cell that is too long, such as a name from a hostile file, is cut."""
        self.assertEqual(len(table("caption", ["a"], [("x " * 5000,)]).rows[0][0]), CELL)
        self.assertEqual(len(table("caption", ["a"], [("x" * 5000,)]).rows[0][0]), WORD)

    def test_shares(self) -> None:
        """The interval of none has one side, that of something two, and that of nothing offered none."""
        self.assertEqual(share_interval(share(0, 300)), "≤ 0.994 %")
        self.assertEqual(share_interval(share(3, 300)), "0.207 % to 2.89 %")
        self.assertEqual(share_interval(share(0, 0)), NOTHING)

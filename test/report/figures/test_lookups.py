"""Tests for ``p2p.report.figures.lookups``."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.report.figures.lookups import lookup
from test.report.figures.cases import analysed, columns, drawn, empty, run, said, small, without


class LookupTests(SynchronousTestCase):
    """Looking a name up."""

    def test_both(self) -> None:
        """The table by its size in ns, and what became of the look-up in the run, all with units."""
        picture, figure = drawn(lookup, *small())
        texts = said(figure)
        for text in ("10", "1,000", "20,000", "entries in the table", "900 ns", "800 µs", "in the routing table"):
            self.assertIn(text, texts)
        self.assertEqual(len(figure.axes), 2)
        self.assertIn("medians of 8 batches", picture.caption)
        self.assertIn("medians of 30 blocks", picture.caption)
        self.assertRegex(picture.alt, r"20,000 entries: \d+ ns")
        self.assertIn("Router to router, there and back: 800 µs.", picture.alt)

    def test_parts(self) -> None:
        """Either part is drawn alone if the other has no data, and nothing if neither has."""
        made, analysis = small()
        picture, figure = drawn(lookup, made, without(analysis, "router_lookup_ns"))
        self.assertEqual(len(figure.axes), 1)
        self.assertTrue(picture.caption.startswith("The time of one look-up"))
        picture, figure = drawn(lookup, made, replace(analysis, lookups=()))
        self.assertEqual(len(figure.axes), 1)
        self.assertTrue(picture.caption.startswith("What became of it"))
        self.assertIsNone(lookup(empty(), analysed(empty())))

    def test_far_batches(self) -> None:
        """Batches that took much longer make the axis logarithmic, so that the others are still told apart."""
        made = columns(run(repetitions=1), lookups={"table_size": [10, 10, 100], "ns": [20.0, 900.0, 25.0]})
        _, figure = drawn(lookup, made, analysed(made))
        self.assertEqual(figure.axes[0].get_yscale(), "log")

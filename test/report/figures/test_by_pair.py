"""Tests for ``p2p.report.figures.by_pair``."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.details import PairFigures
from p2p.report.figures.by_pair import by_pair
from test.report.figures.cases import analysed, drawn, run, said, small


class ByPairTests(SynchronousTestCase):
    """Every pair for itself."""

    def test_points(self) -> None:
        """Each pair is a point in each panel, those that got least first."""
        made, analysis = small()
        pairs = tuple(PairFigures("transport", number, 10, number, 0.1, 1e6 * (9 - number)) for number in range(1, 6))
        picture, figure = drawn(by_pair, made, replace(analysis, pairs=pairs))
        rates, times, lost = ([line for line in axes.get_lines() if len(line.get_xdata()) == 5] for axes in figure.axes)
        self.assertEqual(list(rates[0].get_ydata()), sorted(rates[0].get_ydata()))
        self.assertEqual(list(lost[0].get_ydata()), [5, 4, 3, 2, 1])
        self.assertEqual(len(times), 1)
        self.assertIn("Arm transport, 5 pairs at once", said(figure))
        self.assertIn("5 pairs, from 4 MB/s to 8 MB/s; 15 messages dropped.", picture.alt)

    def test_nothing_arrived(self) -> None:
        """Pairs of which nothing arrived are drawn at 0."""
        made, analysis = small()
        pairs = tuple(PairFigures("transport", number, 10, 10, None, None) for number in (1, 2))
        drawn(by_pair, made, replace(analysis, pairs=pairs))

    def test_one_pair(self) -> None:
        """One pair alone has nothing to be compared with."""
        alone = run(pairs=1)
        self.assertIsNone(by_pair(alone, analysed(alone)))

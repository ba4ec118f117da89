"""Tests for ``p2p.report.figures.spectrum``."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.results import Analysis
from p2p.report.figures.spectrum import spectrum
from test.report.figures.cases import drawn, said, small


def slow(tail: tuple[tuple[float, float], ...]) -> Analysis:
    """An analysis with this tail at every level."""
    analysis = small()[1]
    return replace(analysis, ecdfs=tuple(replace(one, n=2000, tail=tail) for one in analysis.ecdfs))


class SpectrumTests(SynchronousTestCase):
    """The slowest messages."""

    def test_lines(self) -> None:
        """Each type is a line over how few are slower, as far as it is known."""
        picture, figure = drawn(spectrum, small()[0], slow(((0.5, 0.001), (0.1, 0.002), (0.005, 0.02))))
        (line, *_) = figure.axes[0].get_lines()
        self.assertEqual([round(x) for x in line.get_xdata()], [2, 10, 200])
        self.assertIn("99 %", said(figure))
        self.assertIn("0.500 % of 2,000 messages took longer than 20 ms.", picture.alt)

    def test_few(self) -> None:
        """Where there are too few messages for any tail, there is no figure."""
        self.assertIsNone(spectrum(small()[0], slow(())))

"""Tests for ``p2p.report.figures.tcp``."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.report.figures.tcp import tcp
from test.report.figures.cases import drawn, said, small, without
from test.report.subjects import link


class TcpTests(SynchronousTestCase):
    """What TCP saw."""

    def test_lines(self) -> None:
        """Round trip and what was sent again stand against the pairs, each link's share of it."""
        made, analysis = small()
        links = tuple(link(name, pairs, 900.0 * pairs) for name in ("rtt_us", "retransmits") for pairs in (1, 10))
        picture, figure = drawn(tcp, made, replace(analysis, links=links))
        left, right = (axes.get_lines()[0] for axes in figure.axes)
        self.assertEqual(list(left.get_xdata()), [1, 10])
        self.assertEqual(list(right.get_ydata()), [5.0, 0.5])
        self.assertIn("pairs at once", said(figure))
        self.assertIn("10 pairs: round trip 9 ms; 1 pair: 5 sent again", picture.alt)

    def test_unknown(self) -> None:
        """Where the kernel told nothing there is no figure."""
        made, analysis = small()
        for name in ("rtt_us", "retransmits"):
            self.assertIsNone(tcp(made, without(analysis, name)))

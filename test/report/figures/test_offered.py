"""Tests for ``p2p.report.figures.offered``."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.report.figures.offered import offered
from test.report.figures.cases import drawn, said, small
from test.report.subjects import level


class OfferedTests(SynchronousTestCase):
    """An open load."""

    def test_points(self) -> None:
        """Each level is a point at what was asked for, as high as what was answered."""
        made, analysis = small()
        levels = (
            level(load="open:20", messages_per_s=199.0),
            level(condition="video", load="open:900", messages_per_s=2000.0),
            level(condition="audio"),
        )
        picture, figure = drawn(offered, made, replace(analysis, levels=levels))
        points = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 1]
        self.assertEqual([(line.get_xdata()[0], line.get_ydata()[0]) for line in points], [(200, 199), (9000, 2000)])
        self.assertIn("messages per second asked for", said(figure))
        self.assertIn("video of 1 KiB: 2,000 of 9,000 a second.", picture.alt)

    def test_closed(self) -> None:
        """In the closed loop nothing is asked for."""
        self.assertIsNone(offered(*small()))

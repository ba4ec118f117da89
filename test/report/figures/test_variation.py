"""Tests for ``p2p.report.figures.variation``."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.variation import Variation, VariationPart
from p2p.report.figures.variation import SHORTEST, variation
from test.report.figures.cases import drawn, said, small


class VariationTests(SynchronousTestCase):
    """Where the variation comes from."""

    def test_bars(self) -> None:
        """Each part is a bar with its share; one that is next to nothing can still be seen."""
        made, analysis = small()
        parts = (VariationPart("size", 0.97), VariationPart("type", 0.000001), VariationPart("noise", 0.03))
        picture, figure = drawn(variation, made, replace(analysis, variation=(Variation("transport", 84, parts),)))
        self.assertEqual([bar.get_width() for bar in figure.axes[0].patches], [0.97, SHORTEST, 0.03])
        self.assertTrue({"97 %", "< 0.01 %", "3 %", "Arm transport"} <= set(said(figure)))
        self.assertIn("They rest on 84 figures of blocks.", picture.caption)
        self.assertIn("Arm transport: size 97 %, type < 0.01 % and noise 3 %.", picture.alt)

    def test_nothing(self) -> None:
        """Where nothing can be said there is no figure."""
        made, analysis = small()
        self.assertIsNone(variation(made, replace(analysis, variation=())))

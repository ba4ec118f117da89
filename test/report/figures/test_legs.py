"""Tests for ``p2p.report.figures.legs``."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from p2p.report.figures.legs import BARS, legs
from test.report.figures.cases import drawn, said, small, without


class LegsTests(SynchronousTestCase):
    """The set-up of a link."""

    def test_bars(self) -> None:
        """The legs lie end to end in their order, and the whole is marked and written."""
        made, analysis = small()
        picture, figure = drawn(legs, made, analysis)
        (axes,) = figure.axes
        wide = [bar for bar in axes.patches if bar.get_height() > 0.5]
        self.assertEqual(len(wide), 5)
        for before, after in pairwise(wide):
            self.assertAlmostEqual(before.get_x() + before.get_width(), after.get_x())
        names = {"listen", "routers' answer", "dial", "TLS", "ticket", "router to router", "whole set-up", "2 pairs"}
        self.assertTrue(names <= set(said(figure)))
        self.assertRegex(picture.alt, r"listen [\d.]+ ms, routers' answer .* and the whole set-up [\d.]+ ms\.")
        self.assertIn("60 links in all", picture.caption)

    def test_missing_legs(self) -> None:
        """Within one cluster no router asks another; what nobody measured isn't drawn."""
        made, analysis = small()
        picture, figure = drawn(legs, made, without(analysis, "router_lookup_ns", "dial_ns", "setup_ns"))
        self.assertNotIn("thin bar", picture.caption)
        self.assertFalse({"router to router", "dial", "whole set-up"} & set(said(figure)))
        only = without(analysis, "listen_ns", "instruct_ns", "dial_ns", "tls_ns", "ticket_ns")
        self.assertIsNone(legs(made, only))

    def test_many(self) -> None:
        """Of many numbers of pairs some are drawn, and the others told."""
        made, analysis = small()
        links = tuple(replace(one, pairs=pairs) for one in analysis.links for pairs in range(1, 31))
        picture, figure = drawn(legs, made, replace(analysis, links=links))
        self.assertEqual(len(figure.axes[0].get_yticks()), BARS)
        self.assertIn("18 more numbers of pairs are in the table.", picture.caption)
        self.assertIn("30 pairs at once", picture.alt)

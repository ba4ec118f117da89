"""Tests for ``p2p.report.figures.ratios``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.results import Analysis, ArmResult
from p2p.measure.verdicts import Comparison
from p2p.report.figures.output import Picture
from p2p.report.figures.ratios import ROWS, ratios
from test.report.figures.cases import analysed, drawn, empty, run, said, small
from test.report.subjects import arm, comparison, ratio, verdict


def of(*arms: ArmResult, **changes: Any) -> Analysis:
    """Make an analysis with these verdicts alone."""
    return replace(small()[1], arms=arms, **changes)


def made(*found: Comparison) -> tuple[Picture, Any]:
    """Draw the comparisons of one arm."""
    return drawn(ratios, small()[0], of(arm("transport", "inconclusive", *found)))


class RatiosTests(SynchronousTestCase):
    """The ratios behind the verdicts."""

    def test_rows(self) -> None:
        """Each arm has its types, then its controls, which are marked, and what sampling costs with its own margin."""
        one = arm(
            labels=(verdict("equivalent", comparison("text", "text-as-audio"), kind="label"),),
            content=verdict("inconclusive", comparison("text", "zeros", "inconclusive"), kind="content"),
        )
        cost = replace(verdict("equivalent", comparison("off", "on"), kind="sampling"), margin=0.02)
        picture, figure = drawn(ratios, small()[0], of(one, sampling=cost))
        (axes,) = figure.axes
        self.assertEqual(
            [label.get_text() for label in axes.get_yticklabels()],
            [
                "Arm transport",
                "audio / text, 1 KiB",
                "text-as-audio / text, 1 KiB, control",
                "zeros / text, 1 KiB, control",
                "Cost of sampling, ±2 %",
                "with sampling / without",
            ],
        )
        self.assertEqual([label.get_fontstyle() for label in axes.get_yticklabels()][1:3], ["normal", "italic"])
        bands = [band.get_paths()[0].get_extents() for band in axes.collections]
        self.assertEqual([round(band.y1 - band.y0) for band in bands], [3, 1])
        self.assertGreater(bands[0].width, 2 * bands[1].width)
        self.assertIn("1.010 (0.990 to 1.030)", said(figure))
        self.assertIn("text-as-audio / text, 1 KiB, control: 1.010 (0.990 to 1.030), equivalent.", picture.alt)
        self.assertIn("±5 %", picture.caption)
        self.assertIn("Each ratio rests on 18 repetitions.", picture.caption)

    def test_verdicts(self) -> None:
        """The outcomes differ in colour and in shape; the legend and the caption name those that there are."""
        found = [comparison("text", name, name) for name in ("equivalent", "differs", "inconclusive")]
        picture, figure = made(*found)
        points = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 1]
        self.assertEqual(len({(line.get_marker()) for line in points}), 3)
        self.assertEqual(len({line.get_color() for line in points}), 3)
        self.assertTrue({"equivalent", "differs", "inconclusive", "margin"} <= set(said(figure)))
        self.assertIn(
            "A filled circle is equivalent, a diamond differs and an open square is inconclusive.", picture.caption
        )
        self.assertNotIn("diamond", made(found[0])[0].caption)

    def test_far_away(self) -> None:
        """A ratio far away is an arrow at the edge, and its figures are written: the others are still told apart."""
        near = [comparison("text", f"t{number}") for number in range(3)]
        _, figure = made(*near, comparison("text", "slow", "differs", ratio=40.0, low=30.0, high=1e4))
        markers = [line.get_marker() for line in figure.axes[0].get_lines()]
        self.assertIn(">", markers)
        self.assertNotIn("D", markers)
        self.assertLess(figure.axes[0].get_xlim()[1], 1)
        self.assertIn("40 (30 to 10,000)", said(figure))
        _, figure = made(*near, comparison("text", "fast", "differs", ratio=0.01, low=0.001, high=0.1))
        self.assertIn("<", [line.get_marker() for line in figure.axes[0].get_lines()])

    def test_all_far_away(self) -> None:
        """Where most ratios are far away, the axis reaches as far."""
        _, figure = made(*(comparison("text", f"t{n}", "differs", ratio=2.0, low=1.9, high=2.1) for n in range(3)))
        self.assertGreater(figure.axes[0].get_xlim()[1], 0.74)

    def test_no_interval(self) -> None:
        """A ratio without an interval is a point."""
        picture, figure = made(comparison(low=None, high=None, outcome="inconclusive"))
        self.assertIn("1.010", said(figure))
        self.assertIn("audio / text, 1 KiB: 1.010, inconclusive.", picture.alt)

    def test_levels(self) -> None:
        """Each level has a row of its own, named by its pairs too where there are several."""
        levels = tuple(ratio(factors={"size": 1024, "pairs": pairs, "load": "closed"}, count=pairs) for pairs in (1, 6))
        picture, figure = made(Comparison("text", "audio", levels, "equivalent"))
        rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        self.assertEqual(rows[1:], ["audio / text, 1 KiB, 1 pair", "audio / text, 1 KiB, 6 pairs"])
        self.assertIn("Each ratio rests on 1 to 6 repetitions.", picture.caption)

    def test_nothing(self) -> None:
        """A single type has nothing to be compared with."""
        self.assertIsNone(ratios(empty(), analysed(empty())))
        single = run(conditions=("text",), repetitions=1)
        self.assertIsNone(ratios(single, analysed(single)))

    def test_too_many(self) -> None:
        """Where there are too many, the controls of the content go first; what isn't drawn is told."""
        zeros = verdict("equivalent", *(comparison(f"c{n}", "zeros") for n in range(ROWS)), kind="content")
        one = arm("transport", "equivalent", *(comparison("text", f"t{n}") for n in range(3)), content=zeros)
        picture, figure = drawn(ratios, small()[0], of(one))
        self.assertEqual(len(figure.axes[0].get_yticks()), 4)
        self.assertIn(f"{ROWS} more ratios are in the table.", picture.caption)
        many = arm("transport", "equivalent", *(comparison("text", f"t{n}") for n in range(ROWS)))
        picture, figure = drawn(ratios, small()[0], of(many))
        self.assertEqual(len(figure.axes[0].get_yticks()), ROWS)
        self.assertIn("1 more ratio is in the table.", picture.caption)

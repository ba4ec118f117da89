"""Tests for ``p2p.report.figures.drops``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import Outcome
from p2p.report.figures.drops import drops
from test.report.figures.cases import analysed, drawn, empty, said, small
from test.report.subjects import drops as lost

CAUSES = [outcome.value for outcome in Outcome if outcome.is_drop]


def rows(axes: Any) -> dict[str, list[Any]]:
    """Collect what is drawn in each row: the interval, and the mark."""
    found: dict[str, list[Any]] = {}
    for place, label in enumerate(axes.get_yticklabels()):
        lines = [line for line in axes.get_lines() if list(line.get_ydata()) in ([place], [place, place])]
        found[label.get_text()] = [list(line.get_xdata()) for line in lines]
    return found


class DropsTests(SynchronousTestCase):
    """What was lost."""

    def made(self) -> Any:
        """Draw drops of two causes in one arm."""
        causes = {"timeout": 30, "reset": 1}
        found = (
            lost(offered=10_000, causes=causes, refused=3),
            lost("transport", offered=10_000, causes=causes, refused=3),
            lost("transport", "audio", 5000),
            lost("transport", "text", 5000, 3, causes),
        )
        return drawn(drops, small()[0], replace(small()[1], drops=found))

    def test_rows(self) -> None:
        """Every cause has a row, also those that didn't happen, and so has every arm and content."""
        _, figure = self.made()
        left, right = map(rows, figure.axes)
        self.assertEqual(list(left), ["all causes", *CAUSES])
        self.assertEqual(list(right), ["Arm transport", "text", "audio"])

    def test_intervals(self) -> None:
        """The mark lies in its interval; none of n stands at 0, and its line ends where the share may be."""
        _, figure = self.made()
        left = rows(figure.axes[0])
        for (low, high), (at,) in left.values():
            self.assertTrue(low <= at <= high)
        self.assertLess(left["truncated"][1][0], 0)
        self.assertGreater(left["truncated"][0][1], 0)
        self.assertGreater(left["timeout"][1][0], left["reset"][1][0])
        self.assertGreater(left["reset"][0][0], 0)

    def test_words(self) -> None:
        """Counts stand beside the rows, the axis is in percent and has a 0, and the texts have the figures."""
        picture, figure = self.made()
        texts = said(figure)
        for text in ("31 of 10,000", "0 of 5,000", "0", "0.1 %", "share of what was offered"):
            self.assertIn(text, texts)
        self.assertIn("31 of 10,000 messages; refused, which is no drop: 3.", picture.caption)
        self.assertIn("95 % intervals", picture.caption)
        self.assertIn("timeout: 30 of 10,000, with 95 % confidence at most", picture.alt)
        self.assertNotIn("truncated", picture.alt)

    def test_none(self) -> None:
        """Where nothing was lost, the figure says how much may have been."""
        picture, figure = drawn(drops, *small())
        self.assertIn("Dropped in all: 0 of 240 messages.", picture.caption)
        self.assertTrue(all(marks[1][0] < 0 for marks in rows(figure.axes[0]).values()))

    def test_everything(self) -> None:
        """Where everything was lost, the marks are at the end of the axis."""
        found = (lost(offered=5, causes={"timeout": 5}), lost("transport", offered=5, causes={"timeout": 5}))
        _, figure = drawn(drops, small()[0], replace(small()[1], drops=found))
        self.assertEqual(rows(figure.axes[0])["timeout"][1], [1.0])

    def test_nothing(self) -> None:
        """Without a message there is no figure; with the whole run alone it has one panel."""
        self.assertIsNone(drops(empty(), analysed(empty())))
        _, figure = drawn(drops, small()[0], replace(small()[1], drops=(lost(),)))
        self.assertEqual(len(figure.axes), 1)

"""Tests for ``p2p.report.figures.rates``."""

from __future__ import annotations

from functools import cache

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis
from p2p.report.figures.rates import LINES, scaling, throughput
from test.report.figures.cases import analysed, drawn, empty, merged, run, said, small


@cache
def many() -> tuple[RawRun, Analysis]:
    """Make a run with three numbers of pairs."""
    made = merged(
        *(
            run(conditions=("text", "audio"), sizes=(1024,), repetitions=3, pairs=pairs, first_block=100 * pairs)
            for pairs in (1, 4, 16)
        )
    )
    return made, analysed(made)


class ThroughputTests(SynchronousTestCase):
    """Bytes per second by size."""

    def test_marks(self) -> None:
        """Each type has a mark at each size, near its place, and an interval through it."""
        _, figure = drawn(throughput, *small())
        (axes,) = figure.axes
        curves = [line for line in axes.get_lines() if line.get_marker() not in ("", "None", None)]
        intervals = [line for line in axes.get_lines() if line not in curves]
        self.assertEqual([len(line.get_xdata()) for line in curves], [2, 2, 2])
        self.assertEqual(len(intervals), 6)
        for curve in curves:
            for at, size in zip(curve.get_xdata(), (1024, 65536), strict=True):
                self.assertTrue(0.8 < at / size < 1.25, at)

    def test_words(self) -> None:
        """Sizes and rates have units; the caption names intervals, scales and blocks, the text has figures."""
        picture, figure = drawn(throughput, *small())
        texts = said(figure)
        for text in ("1 KiB", "64 KiB", "size of the content", "throughput", "text", "Arm transport, 2 pairs"):
            self.assertIn(text, texts)
        self.assertTrue(any(text.endswith("MB/s") for text in texts), texts)
        self.assertIn("95 % intervals", picture.caption)
        self.assertIn("Both axes are logarithmic. Each mark rests on 5 blocks.", picture.caption)
        self.assertRegex(picture.alt, r"2 pairs, text: [\d.]+ MB/s at 1 KiB and [\d.]+ MB/s at 64 KiB")

    def test_one_size(self) -> None:
        """With one size and one type there is a mark, on an axis that begins at 0."""
        made = run(conditions=("text",), sizes=(1024,), repetitions=1)
        picture, figure = drawn(throughput, made, analysed(made))
        self.assertIn("The axis of throughput begins at 0. Each mark rests on 1 block.", picture.caption)
        self.assertEqual(figure.axes[0].get_ylim()[0], 0)

    def test_panels(self) -> None:
        """Each number of pairs has a panel, two beside each other, and no empty one is seen."""
        made = merged(
            *(
                run(conditions=("text",), sizes=(1024, 4096), repetitions=1, pairs=pairs, first_block=100 * pairs)
                for pairs in (1, 2, 3)
            )
        )
        _, figure = drawn(throughput, made, analysed(made))
        self.assertEqual([axes.get_visible() for axes in figure.axes], [True, True, True, False])

    def test_nothing(self) -> None:
        """Without bytes there is no figure."""
        lost = run(conditions=("text",), sizes=(1024,), repetitions=1, lost={"text": 1.0})
        for made in (empty(), lost):
            self.assertIsNone(throughput(made, analysed(made)))


class ScalingTests(SynchronousTestCase):
    """Many pairs at once."""

    def test_panels(self) -> None:
        """Throughput, median and 99th percentile stand side by side, the times on one scale."""
        _, figure = drawn(scaling, *many())
        self.assertEqual(
            [axes.get_title(loc="left") for axes in figure.axes],
            ["throughput", "median transmission time", "throughput of an initiator"],
        )
        self.assertTrue({"1", "4", "16", "pairs at once", "Arm transport, 1 KiB"} <= set(said(figure)))

    def test_words(self) -> None:
        """The text has figures of the fewest and the most pairs."""
        picture, _ = drawn(scaling, *many())
        self.assertRegex(picture.alt, r"text: [\d.]+ MB/s, [\d.]+ .s a message, at 1 pair and .* at 16 pairs\.")
        self.assertIn("Each mark rests on 3 blocks.", picture.caption)

    def test_only_if_asked(self) -> None:
        """A run with one number of pairs alone says nothing about it."""
        self.assertIsNone(scaling(*small()))
        self.assertIsNone(scaling(empty(), analysed(empty())))

    def test_too_many(self) -> None:
        """Of many sizes some are drawn, and the others told."""
        made = merged(
            *(
                run(
                    conditions=("text",),
                    sizes=tuple(1024 * n for n in range(1, 8)),
                    repetitions=1,
                    pairs=pairs,
                    exchanges=1,
                    first_block=100 * pairs,
                    load="open:5",
                )
                for pairs in (1, 2)
            )
        )
        picture, figure = drawn(scaling, made, analysed(made))
        self.assertEqual(len(figure.axes), 3 * LINES)
        self.assertIn("4 more combinations of arm and factors are in the tables.", picture.caption)
        self.assertIn("Arm transport, 1 KiB, open:5", said(figure))

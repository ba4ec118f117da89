"""Tests for ``p2p.report.figures.types``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.report.figures import sheet
from p2p.report.figures.types import content_types
from test.report.figures.cases import analysed, drawn, empty, merged, run, said, small


class ContentTypesTests(SynchronousTestCase):
    """Content types at equal size."""

    def test_points(self) -> None:
        """Every block is a point in the row of its type, and from five blocks on there is a box."""
        _, figure = drawn(content_types, *small())
        self.assertEqual(len(figure.axes), 2)
        for axes in figure.axes:
            points = [line for line in axes.get_lines() if line.get_marker() not in ("", "None", None)]
            self.assertEqual([len(line.get_xdata()) for line in points], [5, 5, 5])
            for row, line in enumerate(points):
                self.assertTrue(all(abs(y - row) < 0.5 for y in line.get_ydata()))
            self.assertGreater(len(axes.get_lines()), 3)

    def test_words(self) -> None:
        """Types, sizes and times are named; the caption says what box and whiskers are, and counts blocks."""
        picture, figure = drawn(content_types, *small())
        texts = said(figure)
        for text in ("text", "text-as-audio", "audio", "1 KiB", "64 KiB"):
            self.assertIn(text, texts)
        self.assertTrue(any(text.endswith((" ms", " µs")) for text in texts), texts)
        self.assertIn("whiskers", picture.caption)
        self.assertIn("30 points.", picture.caption)
        self.assertRegex(picture.alt, r"1 KiB: text [\d.]+ (ms|µs), text-as-audio [\d.]+ (ms|µs) and audio")

    def test_noise_is_small(self) -> None:
        """Blocks that hardly differ lie close together: an axis always shows a good part of its middle."""
        made = run(conditions=("text",), sizes=(1024,), repetitions=3, block_noise=0, drift=0, message_noise=1e-6)
        _, figure = drawn(content_types, made, analysed(made))
        low, high = figure.axes[0].get_xlim()
        self.assertGreater(high / low, 1.4)

    def test_nothing(self) -> None:
        """A single block is a point; without any there is no figure, and a size without one has an empty panel."""
        self.assertIsNone(content_types(empty(), analysed(empty())))
        single = run(conditions=("text",), sizes=(1024,), repetitions=1)
        drawn(content_types, single, analysed(single))
        lost = run(conditions=("audio",), sizes=(4096,), repetitions=1, first_block=9, lost={"audio": 1.0})
        half = merged(single, lost)
        _, figure = drawn(content_types, half, analysed(half))
        self.assertEqual(list(figure.axes[1].get_xticks()), [])

    def test_fits_on_a_page(self) -> None:
        """Of many arms so many are drawn as fit on a page."""
        made = merged(
            *(
                run(
                    conditions=("text", "audio", "video", "zeros", "random", "text-as-audio", "text-as-video"),
                    sizes=(1024,),
                    repetitions=1,
                    pairs=1,
                    exchanges=1,
                    arm=f"arm{number}",
                    first_block=1 + 10 * number,
                )
                for number in range(4)
            )
        )
        picture, figure = drawn(content_types, made, analysed(made))
        self.assertLessEqual(figure.get_size_inches()[1], sheet.TALLEST)
        self.assertIn("1 more arm is in the tables alone.", picture.caption)

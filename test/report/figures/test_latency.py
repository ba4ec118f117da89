"""Tests for ``p2p.report.figures.latency``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.report.figures.latency import latency
from test.report.figures.cases import analysed, drawn, empty, run, said, small


class LatencyTests(SynchronousTestCase):
    """How long a message takes."""

    def test_curves(self) -> None:
        """Each panel has a curve for each type, from 0 to 100 %, and never falls."""
        _, figure = drawn(latency, *small())
        self.assertEqual(len(figure.axes), 2)
        for axes in figure.axes:
            self.assertEqual(axes.get_xscale(), "log")
            curves = [line for line in axes.get_lines() if len(line.get_xdata()) > 2]
            self.assertEqual(len(curves), 3)
            for curve in curves:
                ys = list(curve.get_ydata())
                self.assertEqual((ys[0], ys[-1]), (0, 1))
                self.assertEqual(ys, sorted(ys))
                self.assertEqual(list(curve.get_xdata()), sorted(curve.get_xdata()))

    def test_words(self) -> None:
        """Types, sizes and units are named; the caption counts, and the alternative text has the medians."""
        picture, figure = drawn(latency, *small())
        texts = said(figure)
        for text in ("text", "audio", "text-as-audio", "1 KiB", "64 KiB", "100 %", "answered within"):
            self.assertIn(text, texts)
        self.assertTrue(any(text.endswith(" ms") for text in texts), texts)
        self.assertIn("240 messages of 30 blocks", picture.caption)
        self.assertRegex(picture.alt, r"1 KiB: medians text [\d.]+ .s, text-as-audio [\d.]+ .s and audio [\d.]+ .s")

    def test_nothing(self) -> None:
        """Without a message that was answered there is no figure; one message is enough for one."""
        lost = run(conditions=("text",), sizes=(1024,), repetitions=2, lost={"text": 1.0})
        for made in (empty(), lost):
            self.assertIsNone(latency(made, analysed(made)))
        single = run(conditions=("text",), sizes=(1024,), repetitions=1, pairs=1, exchanges=1)
        picture, _ = drawn(latency, single, analysed(single))
        self.assertIn("1 message of 1 block.", picture.caption)

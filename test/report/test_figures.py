"""Tests for ``p2p.report.figures`` itself: all figures together."""

from __future__ import annotations

import re
import warnings

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.raw_data import Placement, RunFacts
from p2p.report.figures import pictures, svg
from p2p.report.figures.output import Picture
from test.report.figures.cases import LAB, analysed, columns, empty, run, shown, small

NAMES = [
    *("setup-diagram", "link-sequence", "content-types", "ratios", "variation", "message-sizes", "latency", "spectrum"),
    *("cycle", "throughput", "by-pair", "lookup", "setup-legs", "tcp", "drops", "resources"),
]


class PicturesTests(SynchronousTestCase):
    """All figures of a run."""

    def test_order(self) -> None:
        """The figures come in the order of the report, each with a name of its own; without data there are none."""
        found = pictures(*small())
        self.assertEqual([one.name for one in found], NAMES)
        self.assertEqual(pictures(empty(), analysed(empty())), ())

    def test_words(self) -> None:
        """Each asks a question, says what is shown in whole sentences, and has figures for those who can't see it."""
        for one in pictures(*small()):
            self.assertTrue(one.question.endswith("?"), one.question)
            self.assertTrue(one.caption.endswith("."), one.caption)
            self.assertRegex(one.alt, r"\d", one.name)
            for text in (one.caption, one.alt):
                self.assertNotIn("  ", text)
                self.assertNotRegex(text, r"\b(None|nan|inf)\b")

    def test_the_same_words(self) -> None:
        """The same data give the same words."""
        made = run()
        for one, other in zip(pictures(*small()), pictures(made, analysed(made)), strict=True):
            self.assertEqual((one.caption, one.alt), (other.caption, other.alt))


class RealFiguresTests(SynchronousTestCase):
    """Figures as a page gets them."""

    def drawn(self, picture: Picture) -> str:
        """Draw it; a warning is an error."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return svg(picture)

    def test_hostile_names(self) -> None:
        """Names that hold markup, formulas, other scripts or control characters are shown, and do nothing."""
        made = run(
            arm="<b>$\\frac{&\u202e\x07漢" + "y" * 200,
            conditions=("te<x>t", "$x_", "video-as-"),
            sizes=(1024,),
            repetitions=1,
            facts=RunFacts(placement=(*LAB, Placement(what="n2.n, daemon n2", where="<&>\x00\u200b$漢" * 40))),
        )
        for one in pictures(made, analysed(made)):
            if one.name in ("setup-diagram", "content-types"):
                text = self.drawn(one)
                self.assertNotIn("<b>", text)
                self.assertNotIn("\x07", text)
            else:
                shown(one)

    def test_apart(self) -> None:
        """Two figures of one run share no id, so that both can stand in one page."""
        found = [one for one in pictures(*small()) if one.name in ("throughput", "setup-legs")]
        ids = [re.findall(r'\bid="([^"]+)"', self.drawn(one)) for one in found]
        self.assertEqual(set(ids[0]) & set(ids[1]), set())

    def test_least(self) -> None:
        """One block of one type with one message is drawn."""
        made = run(conditions=("text",), sizes=(1024,), repetitions=1, pairs=1, exchanges=1)
        made = columns(made, daemons={name: column[:1] for name, column in made.daemons.items()})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for one in pictures(made, analysed(made)):
                shown(one)

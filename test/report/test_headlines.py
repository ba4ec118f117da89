"""Tests for ``p2p.report.headlines``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.verdicts import LevelRatio, VerdictOutcome
from p2p.report.headlines import control, farthest, headline, most_different, times_as_long
from test.report.subjects import arm, comparison, verdict


class HeadlineTests(SynchronousTestCase):
    """The answer of an arm, in a sentence that holds for its figures."""

    def test_equivalent(self) -> None:
        """Equivalence names the types, the margin, and the ratio that is farthest from 1."""
        found = headline(
            arm("transport", "equivalent", comparison(), comparison("text", "video", ratio=0.97, low=0.955, high=0.98))
        )
        self.assertEqual(found.outcome, "equivalent")
        self.assertIn("doesn't matter: text, audio and video take the same time, within ±5 %", found.text)
        self.assertIn("that of video to text, 0.970 (90 % interval 0.955 to 0.980)", found.text)

    def test_equivalent_without_figures(self) -> None:
        """Without an interval nothing is said of one."""
        found = headline(arm("transport", "equivalent", comparison(low=None, high=None)))
        self.assertTrue(found.text.endswith("within ±5 %."))

    def test_differs(self) -> None:
        """A difference names the slower one, whichever way the ratio was taken."""
        slower = comparison(outcome="differs", ratio=2.0, low=1.9, high=2.1)
        self.assertIn(
            "The content type matters: audio takes 2 times as long as text (90 % interval 1.90 to 2.10).",
            headline(arm("own", "differs", slower)).text,
        )
        faster = comparison(outcome="differs", ratio=0.1, low=0.08, high=0.125)
        self.assertIn("text takes 10 times as long as audio (90 % interval 8 to 12.5)", times_as_long(faster))
        self.assertEqual(
            times_as_long(comparison(ratio=3.5, low=None, high=None)), "audio takes 3.50 times as long as text"
        )

    def test_differs_at_a_level(self) -> None:
        """Where one size alone is outside the margin, it is named."""
        levels = (
            LevelRatio({"size": 1024, "pairs": 10, "load": "closed"}, 6, 1.0),
            LevelRatio({"size": 1 << 20, "pairs": 10, "load": "closed"}, 6, 1.2, 1.15, 1.25, 0.001),
        )
        text = headline(arm("own", "differs", comparison(outcome="differs", ratio=1.04, levels=levels))).text
        self.assertIn("and with 1 MiB and 10 pairs it is shown to be outside the margin: 1.20", text)
        all_of_them = headline(arm("own", "differs", comparison(outcome="differs", levels=levels[1:]))).text
        self.assertNotIn("outside", all_of_them)

    def test_differs_without_a_ratio(self) -> None:
        """If the analysis can't say which differ, its own sentence is told."""
        self.assertIn("A sentence about types.", headline(arm("own", "differs", comparison(outcome="equivalent"))).text)

    def test_inconclusive(self) -> None:
        """What remains open is said with the ratio that leaves it open, else with the reason."""
        wide = comparison(outcome="inconclusive", ratio=0.9, low=0.7, high=1.1)
        text = headline(arm("transport", "inconclusive", wide)).text
        self.assertIn("remains open whether the content type matters: no difference is shown, but the ratio of", text)
        self.assertIn("audio to text may lie outside ±5 %: 0.900 (90 % interval 0.700 to 1.10)", text)
        bare = comparison(outcome="inconclusive", ratio=None, low=None, high=None)
        self.assertIn(
            "remains open whether the content type matters: too few", headline(arm("a", "inconclusive", bare)).text
        )

    def test_not_asked(self) -> None:
        """An arm with one content type has no verdict to be told."""
        for conditions, text in ((("text",), "sends text alone"), ((), "sends nothing alone")):
            found = headline(arm("scaling", verdict=verdict("inconclusive", conditions=conditions)))
            self.assertEqual(found.outcome, "not asked")
            self.assertIn(text, found.text)


class ControlTests(SynchronousTestCase):
    """The control of the same bytes under another label."""

    def said(self, outcome: VerdictOutcome, **more: float | None) -> str:
        return control(verdict(outcome, comparison("text", "text-as-video", outcome, **more), kind="label"))

    def test_outcomes(self) -> None:
        """Each outcome has its sentence with its figures; passing alone says that the label costs nothing."""
        self.assertIn("within ±5 %: the ratio of text-as-video to text is 1.01", self.said("equivalent"))
        self.assertIn("the label costs nothing", self.said("equivalent"))
        self.assertIn(
            "don't take the same time under another label: text-as-video takes 2 times as long as text",
            self.said("differs", ratio=2.0),
        )
        self.assertIn(
            "may lie outside ±5 %: 0.900 (90 % interval 0.700 to 1.03)", self.said("inconclusive", ratio=0.9, low=0.7)
        )

    def test_no_figures(self) -> None:
        """Without a ratio the reason is told."""
        self.assertIn("remains open whether the same bytes", self.said("inconclusive", low=None, high=None))
        self.assertIn(": too few.", self.said("inconclusive", low=None, high=None))


class ChoiceTests(SynchronousTestCase):
    """Which comparison a sentence is about."""

    def test_farthest(self) -> None:
        """An interval reaches as far below 1 as above it."""
        near, far = comparison(low=0.9, high=1.05), comparison(low=0.99, high=1.2)
        self.assertIs(farthest(verdict("equivalent", near, far)), far)
        lower = comparison(low=0.5, high=1.1)
        self.assertIs(farthest(verdict("equivalent", lower, far)), lower)
        self.assertIsNone(farthest(verdict("inconclusive", comparison(low=None, high=None))))

    def test_most_different(self) -> None:
        """Only those that differ count."""
        one = comparison(outcome="differs", ratio=0.5)
        other = comparison(outcome="equivalent", ratio=3.0)
        self.assertIs(most_different(verdict("differs", one, other)), one)
        self.assertIsNone(most_different(verdict("equivalent", other)))

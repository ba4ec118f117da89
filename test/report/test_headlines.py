"""Tests for ``p2p.report.headlines``."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.verdicts import Comparison
from p2p.report.headlines import compares_services, control, headline, times_as_long, where
from test.report.subjects import arm, comparison, ratio, verdict


def two_sizes(outcome: str, **more: float) -> Comparison:
    """Make a comparison at two sizes, the second as it is said."""
    levels = (ratio(), ratio(outcome, factors={"size": 65536, "pairs": 10, "load": "closed"}, **more))  # type: ignore[arg-type]  # a verdict
    return Comparison("text", "audio", levels, outcome)  # type: ignore[arg-type]  # a verdict


class HeadlineTests(SynchronousTestCase):
    """The answer of an arm, in a sentence that holds for its figures."""

    def test_equivalent(self) -> None:
        """Equivalence names the types, the margin, and the ratio whose interval reaches farthest."""
        video = comparison("text", "video", ratio=0.97, low=0.955, high=0.98)
        found = headline(arm("transport", "equivalent", comparison(), video))
        self.assertEqual(found.outcome, "equivalent")
        self.assertIn("doesn't matter: text, audio and video take the same time, within ±5 %; the ratio", found.text)
        self.assertIn("that of video to text with 1 KiB and 10 pairs, 0.970 (95 % interval 0.955 to 0.980)", found.text)
        self.assertIn("within ±5 %, at every size; ", headline(arm("a", "equivalent", two_sizes("equivalent"))).text)

    def test_equivalent_without_figures(self) -> None:
        """Without an interval nothing is said of one."""
        found = headline(arm("transport", "equivalent", comparison(low=None, high=None)))
        self.assertTrue(found.text.endswith("within ±5 %."))

    def test_differs(self) -> None:
        """A difference is named where it is largest, with its interval and its test."""
        slower = two_sizes("differs", ratio=1.5, low=1.4, high=1.6, p_beyond=0.0001)
        self.assertEqual(
            headline(arm("own", "differs", slower)).text,
            "The content type matters: with 64 KiB and 10 pairs, audio takes 1.500 times as long as text (95 % "
            "interval 1.400 to 1.600), which is beyond ±5 % (p < 0.001 after Holm's correction over 12 tests).",
        )
        faster = ratio("differs", ratio=0.1, low=0.08, high=0.125)
        self.assertIn(
            "text takes 10 times as long as audio (95 % interval 8 to 12.5)", times_as_long("text", "audio", faster)
        )
        bare = ratio(ratio=3.5, low=None, high=None)
        self.assertEqual(times_as_long("text", "audio", bare), "audio takes 3.50 times as long as text")

    def test_services_differ(self) -> None:
        """Where each type goes to a service of its own, what is compared is the services, and the text says which."""
        found = arm("own", "differs", comparison(outcome="differs", ratio=2.5, low=2.4, high=2.6, p_beyond=0.01))
        text = headline(found, {"text": "uppercase", "audio": "inspect"}).text
        self.assertIn("that says nothing about the network", text)
        self.assertIn("decoding audio takes 2.50 times as long as upper-casing text", text)
        self.assertNotIn("content type matters", text)
        self.assertIn("mine of audio", headline(found, {"text": "uppercase", "audio": "mine"}).text)
        self.assertIn("The content type matters", headline(found, {"text": "echo", "audio": "echo"}).text)
        self.assertFalse(compares_services({}))

    def test_inconclusive(self) -> None:
        """What remains open is said with what is ruled out, where, and what it would take."""
        wide = two_sizes("inconclusive", ratio=0.9, low=0.7, high=1.1)
        text = headline(arm("transport", "inconclusive", wide)).text
        self.assertEqual(
            text,
            "It remains open whether the content type matters by more than 5 %. What is ruled out is a difference of "
            "more than 42.9 %, at every size: the interval that reaches farthest is that of audio to text with 64 KiB "
            "and 10 pairs, 0.900 (95 % interval 0.700 to 1.100). If nothing differs, about 40 repetitions would show "
            "it in four of five runs.",
        )
        bare = comparison(outcome="inconclusive", low=None, high=None)
        self.assertIn(
            "remains open whether the content type matters: too few", headline(arm("a", "inconclusive", bare)).text
        )
        unknown = replace(verdict("inconclusive", wide), needed=None)
        self.assertTrue(headline(arm(verdict=unknown)).text.endswith("0.700 to 1.100)."))

    def test_beyond_by_chance(self) -> None:
        """An interval beyond the margin that isn't a difference after the correction is said to be just that."""
        odd = comparison(outcome="inconclusive", ratio=1.25, low=1.11, high=1.459, p_beyond=0.07)
        text = headline(arm("a", "inconclusive", odd)).text
        self.assertIn(
            "which by itself lies beyond the margin, but of 12 tests one such may be chance (p = 0.070 after Holm", text
        )
        self.assertNotIn("no difference", text)

    def test_not_asked(self) -> None:
        """An arm with one content type has no verdict to be told."""
        for conditions, text in ((("text",), "sends text alone"), ((), "sends nothing alone")):
            found = headline(arm("scaling", verdict=verdict("inconclusive", conditions=conditions)))
            self.assertEqual(found.outcome, "not asked")
            self.assertIn(text, found.text)

    def test_where(self) -> None:
        """A level is named by its size and its pairs, and by a load that isn't the closed loop."""
        self.assertEqual(where({"size": 1024, "pairs": 1, "load": "open:5"}), "1 KiB, 1 pair and load open:5")
        self.assertEqual(where({}), "")


class ControlTests(SynchronousTestCase):
    """The control of the same bytes under another label."""

    def said(self, outcome: str, **more: float | None) -> str:
        made = comparison("text", "text-as-video", outcome, **more)  # type: ignore[arg-type]  # a verdict
        return control(verdict(outcome, made, kind="label"))  # type: ignore[arg-type]  # a verdict

    def test_outcomes(self) -> None:
        """Each outcome has its sentence with its figures; passing alone says that the label costs nothing."""
        self.assertIn("within ±5 %; the ratio whose interval reaches farthest is that of", self.said("equivalent"))
        self.assertIn("the label costs nothing", self.said("equivalent"))
        self.assertIn(
            "don't take the same time under another label: with 1 KiB and 10 pairs, text-as-video takes 2 times",
            self.said("differs", ratio=2.0),
        )
        self.assertIn("0.900 (95 % interval 0.700 to 1.030)", self.said("inconclusive", ratio=0.9, low=0.7))

    def test_no_figures(self) -> None:
        """Without a ratio the reason is told."""
        self.assertIn(": too few.", self.said("inconclusive", low=None, high=None))

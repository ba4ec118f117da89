"""Tests for ``p2p.report.verdict_tables``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.verdicts import Friedman, ResearchQuestion
from p2p.report.verdict_tables import comparisons, information, other_measures, sampling
from test.report.subjects import arm, comparison, subject, verdict

NOTHING = "\u2013"


class ComparisonTests(SynchronousTestCase):
    """What was compared."""

    def test_rows(self) -> None:
        """Content types, then the label, then the content; each with its level, its ratio, its test and its verdict."""
        found = comparisons(
            subject(
                arms=(
                    arm(
                        labels=(verdict("equivalent", comparison("text", "text-as-video"), kind="label"),),
                        content=verdict("differs", comparison("text", "zeros", "differs"), kind="content"),
                    ),
                )
            )
        )
        assert found is not None
        level = ("1 KiB and 10 pairs", "1.010 (0.990 to 1.030)", "18", "0.400", "equivalent")
        self.assertEqual(found.rows[0], ("transport", "audio / text", *level))
        self.assertEqual([row[1] for row in found.rows[1:]], ["text-as-video / text *", "zeros / text *"])
        self.assertIn("between 0.952 and 1.050", found.note)

    def test_unknown(self) -> None:
        """A ratio without an interval has none, and without a test there is a dash."""
        bare = comparison(outcome="inconclusive", low=None, high=None, p_beyond=None)
        found = comparisons(subject(arms=(arm("transport", "inconclusive", bare),)))
        assert found is not None
        self.assertEqual((found.rows[0][3], found.rows[0][5]), ("1.010", NOTHING))

    def test_nothing(self) -> None:
        """Where nothing was compared there is no table."""
        self.assertIsNone(comparisons(subject(arms=(arm(verdict=verdict("inconclusive")),))))


class InformationTests(SynchronousTestCase):
    """The tests on which no verdict depends."""

    def test_rows(self) -> None:
        """Each pair has Wilcoxon's test, beside Friedman's over all types, if there is one."""
        two = arm("b", verdict=verdict("equivalent", comparison(), friedman=Friedman(6, 9.0, 0.011, 0.75)))
        found = information(subject(arms=(arm("a"), two)))
        assert found is not None
        self.assertEqual(
            found.rows,
            (("a", "audio / text", "0.300", NOTHING, NOTHING), ("b", "audio / text", "0.300", "0.011", "0.75")),
        )
        self.assertIsNone(information(subject(arms=(arm(verdict=verdict("inconclusive")),))))


class OtherMeasureTests(SynchronousTestCase):
    """What the types do to other measures."""

    def test_rows(self) -> None:
        """Of each measure the ratio is shown that reaches farthest, on either side of 1, and no verdict."""
        question = ResearchQuestion("types", "transport", "cycle_s", "cycle time")
        far = comparison("text", "video", ratio=0.5, low=0.4, high=0.6)
        bare = comparison(low=None, high=None)
        others = (
            verdict("differs", comparison(), far, question=question),
            verdict("inconclusive", bare, question=question),
        )
        found = other_measures(subject(arms=(arm(others=others),)))
        assert found is not None
        row = ("transport", "cycle time", "video / text", "1 KiB and 10 pairs", "0.500 (0.400 to 0.600)")
        self.assertEqual(found.rows, (row,))

    def test_nothing(self) -> None:
        """Without other measures there is no table."""
        self.assertIsNone(other_measures(subject()))


class SamplingTests(SynchronousTestCase):
    """What measuring costs."""

    def test_row(self) -> None:
        """The ratio is of sampling to none, with its own margin."""
        one = verdict("equivalent", comparison("off", "on"), kind="sampling", margin=0.02)
        found = sampling(subject(sampling=one))
        assert found is not None
        self.assertEqual(found.rows[0][0], "sampling on / off")
        self.assertIn("±2 %", found.note)

    def test_nothing(self) -> None:
        """A run that didn't ask has no such table."""
        self.assertIsNone(sampling(subject()))
        self.assertIsNone(sampling(subject(sampling=verdict("inconclusive", kind="sampling"))))

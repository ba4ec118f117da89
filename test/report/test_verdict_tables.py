"""Tests for ``p2p.report.verdict_tables``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.verdicts import ResearchQuestion
from p2p.report.verdict_tables import comparisons, other_measures, sampling
from test.report.subjects import arm, comparison, subject, verdict

NOTHING = "\u2013"


class ComparisonTests(SynchronousTestCase):
    """What was compared."""

    def test_rows(self) -> None:
        """Content types, then the label, then the content; each with its ratio, its tests and its verdict."""
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
        self.assertEqual(
            found.rows[0],
            (
                "transport",
                "audio / text",
                "content types",
                "1.01 (0.990 to 1.03)",
                "18",
                "0.001",
                "0.400",
                "equivalent",
            ),
        )
        self.assertEqual([row[2] for row in found.rows[1:]], ["same bytes, other label", "control of the content"])
        self.assertIn("between 0.952 and 1.05", found.note)

    def test_unknown(self) -> None:
        """A ratio without an interval has none, and no ratio is a dash."""
        bare = comparison(outcome="inconclusive", low=None, high=None, p_holm=None)
        none = comparison(outcome="inconclusive", ratio=None, low=None, high=None)
        found = comparisons(subject(arms=(arm("transport", "inconclusive", bare, none),)))
        assert found is not None
        self.assertEqual([row[3] for row in found.rows], ["1.01", NOTHING])
        self.assertEqual(found.rows[0][6], NOTHING)

    def test_nothing(self) -> None:
        """Where nothing was compared there is no table."""
        self.assertIsNone(comparisons(subject(arms=(arm(verdict=verdict("inconclusive")),))))


class OtherMeasureTests(SynchronousTestCase):
    """What the types do to other measures."""

    def test_rows(self) -> None:
        """Of each measure the ratio that reaches furthest is shown, on either side of 1."""
        question = ResearchQuestion("types", "transport", "cycle_s", "cycle time", "Arm transport")
        far = comparison("text", "video", ratio=0.5, low=0.4, high=0.6)
        bare = comparison(low=None, high=None)
        others = (
            verdict("differs", comparison(), far, question=question),
            verdict("inconclusive", bare, question=question),
        )
        found = other_measures(subject(arms=(arm(others=others),)))
        assert found is not None
        self.assertEqual(
            found.rows, (("transport", "cycle time", "video / text", "0.500 (0.400 to 0.600)", "differs"),)
        )

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

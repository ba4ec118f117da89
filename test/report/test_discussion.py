"""Tests for ``p2p.report.discussion``: each sentence is said where the figures bear it out, and only there."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.results import ArmResult
from p2p.measure.verdicts import Comparison
from p2p.report.discussion import about_content, discussion, overall
from test.report.subjects import arm, block, comparison, level, link, subject, verdict


class OverallTests(SynchronousTestCase):
    """The answer of the whole experiment."""

    def said(self, *arms: ArmResult) -> str:
        return "".join(overall(subject(arms=arms)))

    def test_outcomes(self) -> None:
        """Each arm is named with what came out for it."""
        self.assertEqual(
            self.said(arm("own", "differs", comparison(outcome="differs")), arm("transport"), arm("other")),
            "Does the content type matter? By the transmission time, it doesn't matter in arms transport and other and "
            "in arm own the services that take the types differ.",
        )
        self.assertIn(
            "it remains open in arm transport.",
            self.said(arm("transport", "inconclusive", comparison(outcome="inconclusive"))),
        )

    def test_not_asked(self) -> None:
        """Arms with one content type answer nothing."""
        one = arm("scaling", verdict=verdict("inconclusive", conditions=("text",)))
        self.assertIn("doesn't say whether they matter", self.said(one))


class ControlTests(SynchronousTestCase):
    """What the controls mean."""

    def said(self, **changes: Any) -> str:
        return "".join(about_content(subject(arms=(arm(**changes),))))

    def test_content(self) -> None:
        """Zeros and random against content: nothing compresses, or something depends on the bytes."""
        same = verdict("equivalent", comparison("text", "zeros"), kind="content")
        self.assertIn("within ±5 %: nothing on the way compresses it", self.said(content=same))
        other = verdict("differs", comparison("text", "zeros", "differs", ratio=0.5, low=0.4, high=0.6), kind="content")
        self.assertIn("with 1 KiB and 10 pairs, text takes 2 times as long as zeros", self.said(content=other))
        self.assertEqual(self.said(content=verdict("inconclusive", comparison(outcome="inconclusive"))), "")


class ServiceTests(SynchronousTestCase):
    """The services' part of a difference, and the network's."""

    def said(self, common: ArmResult, own: Comparison) -> str:
        return "\n".join(discussion(subject(arms=(common, arm("own", "differs", own)))))

    def differing(self, ratio: float = 12.0, low: float = 10.0, high: float = 14.0) -> Comparison:
        return comparison(outcome="differs", ratio=ratio, low=low, high=high)

    def test_equivalent(self) -> None:
        """Equivalent with one service and different with their own: it is the services."""
        text = self.said(arm("transport"), self.differing())
        self.assertIn("With one service for all types (arm transport) they are equivalent", text)
        self.assertIn(
            "(arm own) one takes at least 10 times as long as another: the difference is what the services", text
        )
        self.assertIn("at least 10 times", self.said(arm("transport"), self.differing(1 / 12, 1 / 14, 0.1)))

    def test_open(self) -> None:
        """Where the network's part is open, what is ruled out bounds it."""
        narrow = arm("transport", "inconclusive", comparison(outcome="inconclusive", low=0.8, high=1.1))
        self.assertIn("a difference of more than 25 % is ruled out, and", self.said(narrow, self.differing()))
        wide = arm("transport", "inconclusive", comparison(outcome="inconclusive", low=0.8, high=20.0))
        self.assertNotIn("larger part", self.said(wide, self.differing()))
        bare = arm("transport", "inconclusive", comparison(outcome="inconclusive", low=None, high=None))
        self.assertNotIn("larger part", self.said(bare, self.differing()))

    def test_no_difference(self) -> None:
        """Without a difference, or without a plan, nothing is said of services."""
        self.assertNotIn("service", self.said(arm("transport"), comparison()))
        found = subject(arms=(arm("own", "differs", self.differing()),), plan="")
        self.assertEqual(list(discussion(found)), [])


class RelationTests(SynchronousTestCase):
    """What figures say of each other."""

    def test_cycle(self) -> None:
        """The cycle is all transmission only if it nearly is, and only in a closed loop."""

        def said(latency: float | None, load: str = "closed") -> str:
            figures = {"latency_s": latency, "cycle_s": 0.001}
            return "".join(discussion(subject(blocks=(block(figures=figures, load=load),))))

        self.assertIn("is 99.5 % of the cycle time", said(0.000995))
        self.assertEqual([said(0.0005), said(0.002), said(None), said(0.001, "open:5")], [""] * 4)

    def test_set_up(self) -> None:
        """A set-up is compared with messages of the same number of pairs, if it is worth several."""

        def said(pairs: int, latency: float) -> str:
            levels = (level(pairs=1, latency_s=latency), level(pairs=1, size=2048, latency_s=1.0), level(pairs=1))
            found = subject(links=(link("setup_ns", pairs, 7e6),), levels=levels, blocks=(block(figures={}),))
            return "".join(discussion(found))

        self.assertIn("as long as 7 messages over it (text of 1 KiB in arm transport, 1 pair)", said(1, 0.001))
        self.assertEqual([said(1, 0.005), said(2, 0.001)], ["", ""])

"""Tests for ``p2p.report.detail_findings``: each sentence is said where the figures bear it out, and only there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.details import PairFigures, Second
from p2p.measure.variation import Variation, VariationPart
from p2p.report import detail_findings as findings
from p2p.report.subject import Subject
from test.report.subjects import level, subject


class FindingTests(SynchronousTestCase):
    """What details show."""

    def said(self, about: Callable[[Subject], Iterator[str]], **parts: Any) -> str:
        return "\n".join(about(subject(**parts)))

    def test_sizes(self) -> None:
        """The average message and reply; of a run in which nothing was ok there are none."""
        self.assertIn("average message has 2.05 kB, and the average reply 2.05 kB", self.said(findings.about_sizes))
        self.assertEqual(list(findings.about_sizes(replace(subject(), messages={}))), [])

    def test_cycles(self) -> None:
        """The shortest and the longest cycle, if there are several."""
        levels = (level(cycle_s=0.001), level(condition="video", cycle_s=0.2))
        text = self.said(findings.about_cycles, levels=levels)
        self.assertIn("shortest cycle takes 1 ms, with text of 1 KiB", text)
        self.assertIn("longest takes 200 ms, with video", text)
        self.assertNotIn("longest", self.said(findings.about_cycles, levels=levels[:1]))
        self.assertEqual(self.said(findings.about_cycles), "")

    def test_single_pairs(self) -> None:
        """How fair the shares are, at the level where they are least so, and who lost something."""
        pairs = tuple(PairFigures("transport", number, 9, 0, 0.1, 1e6) for number in range(10))
        levels = (level(fairness=0.99), level(condition="video", fairness=0.9))
        text = self.said(findings.about_single_pairs, pairs=pairs, levels=levels)
        self.assertIn("10 pairs at once: Jain's index of fairness is at least 0.900", text)
        self.assertIn("none of them lost a message", text)
        lossy = (replace(pairs[0], dropped=2), *pairs[1:])
        self.assertIn("1 pair of them lost", self.said(findings.about_single_pairs, pairs=lossy, levels=levels))
        self.assertEqual(self.said(findings.about_single_pairs, pairs=pairs[:1], levels=levels), "")

    def test_variation(self) -> None:
        """The largest part, the type's and noise; each once."""
        parts = (VariationPart("size", 0.97), VariationPart("type", 0.0001), VariationPart("noise", 0.0299))
        found = (Variation("transport", 9, parts),)
        self.assertEqual(
            self.said(findings.about_variation, variation=found),
            "Arm transport: 97 % of the variation of the transmission time comes from the size, 0.0100 % from the type "
            "of content and 2.99 % is noise.",
        )
        noisy = (Variation("transport", 9, (VariationPart("type", 0.1), VariationPart("noise", 0.9))),)
        self.assertIn(
            "90 % of the variation of the transmission time comes from noise and 10 % from the type",
            self.said(findings.about_variation, variation=noisy),
        )
        self.assertEqual(self.said(findings.about_variation, variation=(Variation("transport", 9, parts[:1]),)), "")

    def test_open_loads(self) -> None:
        """A load that passes what the system can do is called that, with both rates, and its times a queue's."""
        kept = level(load="open:20", messages_per_s=199.0)
        over = level(load="open:890", messages_per_s=2000.0, latency_s=0.781)
        text = self.said(findings.about_open_loads, levels=(kept, over))
        self.assertIn("passes what the system can do with text of 1 KiB", text)
        self.assertIn("8,900 messages a second were asked for, and 2,000 answered", text)
        self.assertIn("781 ms at the median, say how long the queue had grown", text)
        self.assertIn("Every open load was kept up with", self.said(findings.about_open_loads, levels=(kept,)))
        self.assertEqual(self.said(findings.about_open_loads, levels=(level(),)), "")

    def test_course(self) -> None:
        """How long something was under way, when most went over, and how often something was lost."""
        seconds = (Second(0, 3, 0, 100, 0.1), Second(4, 2, 1, 5000, 0.1))
        text = self.said(findings.about_course, seconds=seconds)
        self.assertIn("under way for 5 seconds; in the one with most bytes, 5 kB were moved", text)
        self.assertIn("dropped in 1 second.", text)
        self.assertNotIn("dropped", self.said(findings.about_course, seconds=seconds[:1]))
        self.assertEqual(self.said(findings.about_course), "")

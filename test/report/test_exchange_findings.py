"""Tests for ``p2p.report.exchange_findings``: each sentence is said where the figures bear it out, and only there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.results import LevelFigures
from p2p.report.exchange_findings import about_latency, about_pairs, about_throughput
from p2p.report.subject import Subject
from test.report.subjects import estimate, level, subject

KIB, MIB = 1024, 1 << 20


class SentenceCase(SynchronousTestCase):
    """Looks for sentences."""

    def said(self, about: Callable[[Subject], Iterator[str]], *levels: LevelFigures) -> str:
        """All that is said of these levels."""
        return "\n".join(about(subject(levels=levels)))


class LatencyTests(SentenceCase):
    """How the transmission time grows."""

    def test_hardly_by_size(self) -> None:
        """Where a thousand times the bytes take nine times as long, it isn't the bytes that cost."""
        text = self.said(about_latency, level(size=KIB, latency_s=0.001), level(size=MIB, latency_s=0.009))
        self.assertIn("A message of 1 MiB takes 9 times as long as one of 1 KiB (text, arm transport)", text)
        self.assertIn("1,024 times the bytes: a small message costs its time for being a message", text)

    def test_by_size(self) -> None:
        """Where time grows with the bytes, nothing is said of small messages."""
        text = self.said(about_latency, level(size=KIB, latency_s=0.001), level(size=MIB, latency_s=0.9))
        self.assertIn("and has 1,024 times the bytes.", text)
        self.assertNotIn("small message", text)

    def test_not_apart(self) -> None:
        """Intervals that touch show no growth; medians without intervals don't either."""
        same = level(size=KIB, latency_s=0.001), level(size=MIB, latency_s=0.00101)
        self.assertNotIn("as long as one of", self.said(about_latency, *same))
        bare = [
            replace(one, estimates=one.estimates | {"latency_s": estimate(size)}) for size, one in enumerate(same, 1)
        ]
        self.assertNotIn("as long as one of", self.said(about_latency, *bare))
        self.assertEqual(self.said(about_latency, level(), level(size=MIB)), "")

    def test_senseless_sizes(self) -> None:
        """Sizes of 0 or less, which a damaged file may have, are no series to grow in."""
        levels = level(size=0, latency_s=0.001), level(size=-5, latency_s=0.002), level(size=KIB, latency_s=0.1)
        self.assertNotIn("as long as one of", self.said(about_latency, *levels))

    def test_tail(self) -> None:
        """The tail is that of the level with most messages, and it takes 299: others can't be compared with it."""
        text = self.said(
            about_latency,
            replace(level(latency_s=0.001), exchanges=300, p99_s=0.009),
            replace(level(condition="video", pairs=1, latency_s=0.001), exchanges=5000, p99_s=0.005),
            level(condition="audio"),
        )
        self.assertIn(
            "With video of 1 KiB in arm transport, 1 pair, 99 of 100 messages were answered within 5 ms", text
        )
        self.assertIn("5 times the median (5,000 messages)", text)


class ThroughputTests(SentenceCase):
    """Where throughput is highest."""

    def test_highest(self) -> None:
        """The highest is named, with its level."""
        text = self.said(
            about_throughput, level(throughput_bytes_per_s=2e6), level(condition="audio", throughput_bytes_per_s=3e6)
        )
        self.assertIn("The highest throughput is 3 MB/s", text)
        self.assertIn("with audio of 1 KiB in arm transport, 10 pairs", text)
        self.assertNotIn("largest messages", text)

    def test_rising(self) -> None:
        """That larger messages move more is said of all series only if it is shown in all."""
        rising = [level(size=size, throughput_bytes_per_s=1e3 * size) for size in (KIB, MIB)]
        flat = [level(condition="audio", size=size, throughput_bytes_per_s=5e6) for size in (KIB, MIB)]
        self.assertIn("than the smallest, with every content of arm transport.", self.said(about_throughput, *rising))
        self.assertIn("in 1 of 2 series of sizes (arm transport)", self.said(about_throughput, *rising, *flat))
        self.assertNotIn("largest messages", self.said(about_throughput, *flat))

    def test_nothing(self) -> None:
        """Where nothing went through, nothing is said."""
        self.assertEqual(self.said(about_throughput, level(), level(size=MIB)), "")


class PairsTests(SentenceCase):
    """What more pairs do."""

    def scaled(self, *figures: tuple[int, float, float], load: str = "closed") -> str:
        """Say what levels show, each with its pairs, throughput and latency."""
        levels = [
            level(pairs=pairs, load=load, throughput_bytes_per_s=rate, latency_s=latency)
            for pairs, rate, latency in figures
        ]
        return self.said(about_pairs, *levels)

    def test_saturated(self) -> None:
        """Where throughput stays and time grows as the pairs do, they wait for each other."""
        text = self.scaled((1, 1e8, 0.0003), (10, 3e8, 0.001), (100, 3e8, 0.0105))
        self.assertIn("10 pairs at once move 3 times the bytes per second of 1.", text)
        self.assertIn("goes from 300 µs with 1 pair to 10.5 ms with 100, 35 times as long.", text)
        self.assertIn("from 10 pairs on, throughput stays about the same and", text)
        self.assertIn("(10 times the pairs, 10.5 times the time): what they share is used up", text)

    def test_more_to_give(self) -> None:
        """Where throughput still rises at the end, nothing is used up."""
        text = self.scaled((1, 1e8, 0.0003), (10, 9e8, 0.0004))
        self.assertIn("10 pairs at once move 9 times", text)
        self.assertNotIn("used up", text)

    def test_not_in_proportion(self) -> None:
        """Where the time grows much less than the pairs do, nobody waits for the others."""
        text = self.scaled((1, 1e8, 0.001), (10, 1e8, 0.0012))
        self.assertIn("more pairs at once aren't shown to move more bytes per second", text)
        self.assertIn("1.20 times as long", text)
        self.assertNotIn("used up", text)

    def test_open_load(self) -> None:
        """An open load sends as planned, so a throughput that stays shows nothing."""
        self.assertNotIn("used up", self.scaled((1, 1e8, 0.001), (10, 1e8, 0.01), load="open:20"))

    def test_same_time(self) -> None:
        """A time that isn't shown to change isn't said to."""
        text = self.scaled((1, 1e8, 0.001), (10, 1e8, 0.001))
        self.assertNotIn("as long", text)
        self.assertNotIn("used up", text)

    def test_no_figures(self) -> None:
        """Levels without any figure show nothing."""
        self.assertIn("aren't shown", self.said(about_pairs, level(pairs=1), level(pairs=2)))

"""Tests for ``p2p.report.exchange_tables``."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.report.exchange_tables import by_type, latency, scaling, throughput
from test.report.subjects import level, subject


class LevelTests(SynchronousTestCase):
    """A row for each level."""

    def test_order(self) -> None:
        """Rows stand as people think: pairs, size, then content, each control behind what it controls."""
        levels = (
            level(condition="video"),
            level(condition="text", size=1 << 20),
            level(condition="zeros"),
            level(condition="text"),
            level(condition="text-as-video"),
            level(condition="text", pairs=1),
        )
        rows = latency(subject(levels=levels)).rows
        self.assertEqual(
            [(row[1], row[2], row[3]) for row in rows],
            [
                ("text", "1 KiB", "1"),
                ("text", "1 KiB", "10"),
                ("text-as-video", "1 KiB", "10"),
                ("video", "1 KiB", "10"),
                ("zeros", "1 KiB", "10"),
                ("text", "1 MiB", "10"),
            ],
        )

    def test_latency(self) -> None:
        """Median with its interval, tail and first byte; what isn't known is a dash."""
        one = replace(level(latency_s=0.001, first_byte_s=0.0005, load="open:20"), exchanges=300, p99_s=0.002)
        self.assertEqual(
            latency(subject(levels=(one,))).rows,
            (("transport, open:20", "text", "1 KiB", "10", "1 ms (0.990 to 1.01)", "2 ms", "300", "500 µs"),),
        )

    def test_throughput(self) -> None:
        """Bytes per second of all, and of one."""
        one = level(throughput_bytes_per_s=2e9, pair_bytes_per_s=1e8)
        found = throughput(subject(levels=(one,)))
        self.assertEqual(found.rows[0][-2:], ("2 GB/s (1.98 to 2.02)", "100 MB/s (99 to 101)"))


class ScalingTests(SynchronousTestCase):
    """What pairs do."""

    def test_series(self) -> None:
        """Only arms with several numbers of pairs are there, in their order."""
        levels = (level(pairs=10, latency_s=0.01), level(pairs=1, latency_s=0.001), level("own"))
        found = scaling(subject(levels=levels))
        assert found is not None
        self.assertEqual(
            [(row[3], row[7]) for row in found.rows], [("1", "1 ms (0.990 to 1.01)"), ("10", "10 ms (9.90 to 10.1)")]
        )

    def test_nothing(self) -> None:
        """With one number of pairs there is no such table."""
        self.assertIsNone(scaling(subject(levels=(level(),))))


class TypeTests(SynchronousTestCase):
    """Contents side by side."""

    def test_columns(self) -> None:
        """A column for each content, a row for each size; what wasn't sent there is a dash."""
        levels = (
            level(condition="audio", latency_s=0.002),
            level(latency_s=0.001),
            level(size=2048, latency_s=0.004),
        )
        found = by_type(subject(levels=levels))
        assert found is not None
        self.assertEqual(found.heads, ("arm", "size", "pairs", "text", "audio"))
        self.assertEqual(found.rows[0], ("transport", "1 KiB", "10", "1 ms", "2 ms"))
        self.assertEqual(found.rows[1], ("transport", "2 KiB", "10", "4 ms", "\u2013"))

    def test_nothing(self) -> None:
        """One content alone, or more than fit beside each other, make no such table."""
        self.assertIsNone(by_type(subject(levels=(level(),))))
        self.assertIsNone(by_type(subject(levels=tuple(level(condition=f"c{one}") for one in range(9)))))

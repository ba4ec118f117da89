"""Tests for ``p2p.report.detail_tables``."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.details import MessageSizes, PairFigures
from p2p.measure.variation import Variation, VariationPart
from p2p.report.detail_tables import cycles, message_sizes, open_loads, pairs, variation
from test.report.subjects import level, subject

NOTHING = "\u2013"


class DetailTableTests(SynchronousTestCase):
    """Tables of details."""

    def test_sizes(self) -> None:
        """Each content and size has a row, and the whole run one at the end, where anything was ok."""
        sizes = (MessageSizes("transport", "text", 1024, 7, 1024.0, 512.0),)
        found = message_sizes(subject(sizes=sizes))
        assert found is not None
        self.assertEqual(found.rows[0], ("transport", "text", "1 KiB", "7", "1.02 kB", "512 B"))
        self.assertEqual(found.rows[1], ("whole run", "all", NOTHING, "1,000", "2.05 kB", "2.05 kB"))
        silent = message_sizes(replace(subject(sizes=sizes), messages={}))
        self.assertEqual(len(silent.rows if silent else ()), 1)

    def test_cycles(self) -> None:
        """Each level of the closed loop has its cycle beside its transmission time."""
        found = cycles(subject(levels=(level(cycle_s=0.002, latency_s=0.001), level(load="open:5"))))
        assert found is not None
        self.assertEqual(found.rows, (("transport", "text", "1 KiB", "10", "2 ms (1.98 to 2.02)", "1 ms"),))

    def test_pairs(self) -> None:
        """Least, median and most of what single pairs got; a pair of which nothing arrived counts where it can."""
        held = tuple(PairFigures("transport", number, 9, number, 0.1 * number, 1e6 * number) for number in (1, 2, 3))
        found = pairs(subject(pairs=held))
        assert found is not None
        self.assertEqual(found.rows[0], ("transport", "least of 3", "1 MB/s", "100 ms", "9", "1"))
        self.assertEqual(found.rows[2][2:], ("3 MB/s", "300 ms", "9", "3"))
        dead = pairs(subject(pairs=tuple(replace(one, latency_s=None, bytes_per_s=None) for one in held)))
        self.assertEqual(dead.rows[1][2:4] if dead else (), (NOTHING, NOTHING))

    def test_variation(self) -> None:
        """Each part of each arm has a row."""
        parts = (VariationPart("size", 0.97), VariationPart("noise", 0.03))
        found = variation(subject(variation=(Variation("transport", 9, parts),)))
        assert found is not None
        self.assertEqual(found.rows, (("transport", "size", "97 %"), ("transport", "noise", "3 %")))

    def test_open_loads(self) -> None:
        """What was asked for stands beside what was answered."""
        levels = (level(load="open:20", messages_per_s=100.0), level(condition="video", load="open:20"), level())
        found = open_loads(subject(levels=levels))
        assert found is not None
        self.assertEqual(
            found.rows[0], ("transport", "text", "1 KiB and 10 pairs", "200/s", "100/s (99 to 101)", "50 %")
        )
        self.assertEqual(found.rows[1][4:], (NOTHING, "0 %"))
        self.assertEqual(len(found.rows), 2)

    def test_nothing(self) -> None:
        """Without data there are no tables."""
        none = replace(subject(), messages={})
        self.assertEqual([make(none) for make in (message_sizes, cycles, pairs, variation, open_loads)], [None] * 5)

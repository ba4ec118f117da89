"""Tests of p2p.measure.details."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.block_figures import timed
from p2p.measure.details import BREAK_S, by_pair, by_second, by_size, second_of, spectrum, target_per_s
from test.measure.synthetic_run import Synthetic

S = 1_000_000_000


def exchanges(*rows: dict[str, Any]) -> Any:
    """Samples with their times in seconds, 100 bytes there and 50 back, ok unless they say otherwise."""
    common = {"arm": "a", "condition": "text", "size": 100, "pairs": 2, "pair": 1, "direction": "n1.n>m1.m"}
    whole = {"block": 1, "bytes": 100, "reply_bytes": 50, "outcome": "ok", **common}
    made = [{**whole, "first_byte_ns": None, **row} for row in rows]
    for row in made:
        row["planned_ns"], row["end_ns"] = int(row["planned_ns"] * S), int(row["end_ns"] * S)
    return timed(pd.DataFrame(made).astype({"first_byte_ns": "Int64"}))


class SizeTests(SynchronousTestCase):
    """How large messages are."""

    def test_means(self) -> None:
        """Means of what was ok, by size and content in the order of people; what was lost isn't in them."""
        rows = exchanges(
            {"planned_ns": 1, "end_ns": 2, "condition": "video"},
            {"planned_ns": 2, "end_ns": 3},
            {"planned_ns": 3, "end_ns": 4, "bytes": 300},
            {"planned_ns": 4, "end_ns": 5, "bytes": 9999, "outcome": "reset"},
        )
        text, video = by_size(rows)
        self.assertEqual((text.condition, text.messages, text.sent, text.replied), ("text", 2, 200.0, 50.0))
        self.assertEqual((video.condition, video.arm, video.size), ("video", "a", 100))


class PairTests(SynchronousTestCase):
    """Single pairs."""

    def test_pairs(self) -> None:
        """Each pair has its rate over the time of both its directions, its median and its drops."""
        other = {"pair": 2, "direction": "n2.n>m2.m"}
        rows = exchanges(
            {"planned_ns": 1, "end_ns": 2},
            {"planned_ns": 1001, "end_ns": 1003, "direction": "m1.m>n1.n"},
            {"planned_ns": 1, "end_ns": 2, "outcome": "timeout", **other},
            {"planned_ns": 1, "end_ns": 9, "pairs": 1, "block": 2},
        )
        one, two = by_pair(rows)
        self.assertEqual((one.offered, one.dropped, one.latency_s, one.bytes_per_s), (2, 0, 1.5, 150.0))
        self.assertEqual((two.pair, two.dropped, two.latency_s, two.bytes_per_s), (2, 1, None, 0.0))

    def test_no_time(self) -> None:
        """Where no time passed there is no rate."""
        (one,) = by_pair(exchanges({"planned_ns": 1, "end_ns": 1}))
        self.assertIsNone(one.bytes_per_s)


class SecondTests(SynchronousTestCase):
    """The course of a run."""

    def blocks(self, *began: float) -> Any:
        return pd.DataFrame({"block": range(1, len(began) + 1), "started_ns": [int(at * S) for at in began]})

    def test_seconds(self) -> None:
        """A message counts where it ended, by the coordinator's clock; a long break doesn't count."""
        rows = exchanges(
            {"planned_ns": 500, "end_ns": 500.1},
            {"planned_ns": 500.1, "end_ns": 500.4, "outcome": "reset"},
            {"planned_ns": 500.4, "end_ns": 502.2},
            {"planned_ns": 900, "end_ns": 900.5, "block": 2},
        )
        found = list(by_second(self.blocks(10, 10 + 100 * BREAK_S), rows))
        self.assertEqual(
            [(one.second, one.messages, one.dropped, one.bytes) for one in found], [(0, 2, 1, 150), (2, 2, 0, 300)]
        )
        self.assertAlmostEqual(found[0].latency_s or 0, 0.1)

    def test_when(self) -> None:
        """What happened at a time is in the second of the last message before it, or in the first."""
        rows = exchanges({"planned_ns": 500, "end_ns": 500.1}, {"planned_ns": 500.1, "end_ns": 502.4})
        self.assertEqual([second_of(self.blocks(10), rows, at * S) for at in (1, 11, 99)], [0, 0, 2])

    def test_all_lost(self) -> None:
        """A second in which everything was lost has no median; without messages there are no seconds."""
        (one,) = by_second(self.blocks(1), exchanges({"planned_ns": 1, "end_ns": 1.5, "outcome": "reset"}))
        self.assertEqual((one.latency_s, one.dropped), (None, 1))
        self.assertEqual(list(by_second(self.blocks(), timed(Synthetic(repetitions=0).frames().samples))), [])


class SpectrumTests(SynchronousTestCase):
    """Percentiles as far as there are values."""

    def test_ends(self) -> None:
        """It begins at the median, never falls, and ends where ten values are left."""
        values = np.arange(10_000.0)
        found = spectrum(values)
        self.assertEqual(found[0], (0.5, 4999.5))
        self.assertEqual([time for _, time in found], sorted(time for _, time in found))
        self.assertGreaterEqual(found[-1][0] * 10_000, 10)
        self.assertLess(found[-1][0] * 10_000, 15)
        self.assertEqual(spectrum(values[:19]), ())


class TargetTests(SynchronousTestCase):
    """What an open load asks for."""

    def test_loads(self) -> None:
        """Of all pairs; the closed loop asks for nothing, and neither does what a damaged file says."""
        self.assertEqual([target_per_s(load, 4) for load in ("open:20", "closed", "open:x")], [80.0, None, None])


class FairnessTests(SynchronousTestCase):
    """What pairs get in a run."""

    def test_synthetic(self) -> None:
        """Every pair of a whole run is there."""
        data = replace(Synthetic(repetitions=1, pairs=7)).frames()
        self.assertEqual([one.pair for one in by_pair(timed(data.samples))], list(range(1, 8)))

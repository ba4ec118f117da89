"""Tests of p2p.measure.questions: what an arm is asked, of blocks and of interleaved blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.analysis import analyse
from p2p.measure.block_figures import Frames
from p2p.measure.questions import Conditions, tested
from p2p.measure.results import ArmResult
from test.measure.synthetic_run import Synthetic

CONDITIONS = ("text", "audio", "video", "text-as-audio")


def interleaved(
    factors: Mapping[str, float] | None = None, *, seed: int = 1, blocks: int = 8, sets: int = 40, drift: float = 0.3
) -> Frames:
    """Make a run of one pair whose types alternate message by message.

    Latencies scatter by 8 % from message to message, the machine drifts from set to set and from block to block, and
    every tenth message is several times as slow.
    """
    rng = np.random.default_rng(seed)
    whole = Synthetic(conditions=("text",), sizes=(1024, 65536), repetitions=blocks, pairs=1, exchanges=sets * 4)
    data = whole.frames()
    samples = []
    for _, group in data.samples.groupby("block"):
        rows = group.sort_values("planned_ns").assign(condition=[CONDITIONS[at % 4] for at in range(len(group))])
        machine = np.exp(rng.normal(0, drift) + np.repeat(np.cumsum(rng.normal(0, 0.05, sets)), 4))
        took = rng.lognormal(np.log(1e6), 0.08, len(rows)) * machine
        took *= np.where(rng.random(len(rows)) < 0.1, rng.uniform(1.5, 6, len(rows)), 1.0)
        took *= [(factors or {}).get(name, 1.0) for name in rows["condition"]]
        ends = int(rows["block"].iloc[0]) * 10**12 + np.cumsum(took.astype(int))
        planned = ends - took.astype(int)
        samples.append(
            rows.assign(
                planned_ns=planned, end_ns=ends, first_byte_ns=planned + 1000, set=np.repeat(np.arange(1, sets + 1), 4)
            )
        )
    return replace(
        data,
        samples=pd.concat(samples).astype({"set": "Int64", "first_byte_ns": "Int64"}),
        blocks=data.blocks.assign(condition="interleaved"),
    )


def arm(data: Frames, margin: float = 0.05) -> ArmResult:
    """Analyse, and return the one arm."""
    (found,) = analyse(data, margin=margin, seed=1, resamples=9).arms
    return found


class InterleavedTests(SynchronousTestCase):
    """Types that alternate within a block."""

    def test_four_percent(self) -> None:
        """A service that takes 4 % longer for video is found, by a margin of 2 %, and the label is equivalent."""
        got = arm(interleaved({"video": 1.04}, sets=400, blocks=12), 0.02)
        self.assertEqual((got.verdict.outcome, got.labels[0].outcome), ("differs", "equivalent"))
        for one in got.verdict.comparisons:
            for level in one.levels:
                self.assertApproximates(level.ratio, 1.04 if one.b == "video" else 1.0, 0.015)

    def test_equal(self) -> None:
        """Types that are equal come out so, though the machine drifts by 30 % from block to block."""
        got = arm(interleaved(sets=100, blocks=10))
        self.assertEqual((got.verdict.outcome, got.labels[0].outcome), ("equivalent", "equivalent"))
        self.assertEqual([level.count for level in got.verdict.comparisons[0].levels], [10, 10])

    def test_figures(self) -> None:
        """Each condition of a block has figures of its own, and what is offered adds up to the block's."""
        data = interleaved()
        got = analyse(data, seed=1, resamples=9)
        self.assertEqual([one.level.condition for one in got.levels], sorted(CONDITIONS * 2))
        self.assertEqual({one.offered for one in got.blocks}, {40})
        self.assertEqual(got.drops[0].offered, int(data.blocks["offered"].sum()))
        rates = [one.figures["throughput_bytes_per_s"] or 0 for one in got.blocks if one.size == 1024]
        self.assertTrue(all(0.3e6 < rate < 6e6 for rate in rates), rates)

    def test_a_lost_message(self) -> None:
        """A set that lost a message counts for the pairs that it has."""
        data = interleaved()
        lost = data.samples.assign(outcome=data.samples["outcome"].where(data.samples["set"] != 3, "reset"))
        self.assertEqual(arm(replace(data, samples=lost)).verdict.comparisons[0].levels[0].count, 8)


class ConditionTests(SynchronousTestCase):
    """Types, labels and controls."""

    def test_sorted(self) -> None:
        """Each kind is known by its name; an arm of controls alone is judged by them."""
        got = Conditions.of(pd.Series(["zeros", "text-as-audio", "video", "text", "text"]))
        self.assertEqual(got, Conditions(("text", "video"), ("text-as-audio",), ("zeros",)))
        self.assertEqual(Conditions.of(pd.Series(["zeros", "random"])).judged, ("zeros", "random"))


class TestedTests(SynchronousTestCase):
    """What decides when a run is precise enough."""

    def test_blocks(self) -> None:
        """Every pair at every level: types each with each, labels, and controls."""
        data = Synthetic(conditions=("text", "audio", "zeros", "text-as-audio"), repetitions=3, pairs=1).frames()
        (found,) = tested(data).values()
        pairs = sorted({(one.a, one.b) for one in found})
        self.assertEqual(pairs, [("audio", "zeros"), ("text", "audio"), ("text", "text-as-audio"), ("text", "zeros")])
        self.assertEqual((len(found), {len(one.logs) for one in found}), (12, {3}))

    def test_interleaved(self) -> None:
        """A block is one repetition."""
        found = tested(interleaved(blocks=3, sets=5))["transport"]
        self.assertEqual((len(found), {len(one.logs) for one in found}), (8, {3}))

    def test_nothing(self) -> None:
        """Before the first block there is nothing."""
        self.assertEqual(tested(Synthetic(repetitions=0).frames()), {})

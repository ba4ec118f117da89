"""Tests of p2p.measure.block_figures."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import pandas as pd
from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.block_figures import Frames, Unaccounted, block_figures, frames, in_order
from p2p.measure.raw_data import BLOCKS, SAMPLES, Columns, CsvTable
from test.measure.synthetic_run import Synthetic

S = 10**9


def table(kind: CsvTable, rows: list[dict[str, Any]], **common: Any) -> Columns:
    """Make a table of rows; what they leave out has its default."""
    usual = {one.name: one.default for one in fields(kind.row)}
    return {name: [{**usual, **common, **row}[name] for row in rows] for name in kind.columns}


def one_block(*samples: dict[str, Any], load: str = "closed") -> Frames:
    """A run of one block with these samples, which are ok and of 100 bytes each way unless they say otherwise."""
    common = {"block": 1, "arm": "a", "condition": "text", "size": 100, "pairs": 2, "load": load}
    way = {"pair": 1, "direction": "n1.n>m1.m", "service": "echo", "name": "x", "bytes": 100, "reply_bytes": 100}
    end = {"outcome": "ok", "reason": ""}
    block = {"order": 1, "repetition": 1, "warm_up": 0, "started_ns": 0, "ended_ns": 1, "offered": len(samples)}
    run = replace(
        Synthetic(repetitions=0).run(),
        samples=table(SAMPLES, list(samples), **common, **way, **end),
        blocks=table(BLOCKS, [block], **common, sampling="on", bytes=None, bytes_per_s=1.0),
    )
    return frames(run)


def at(planned: float, first: float | None, end: float, **more: Any) -> dict[str, Any]:
    """The times of an exchange, in seconds."""
    return {
        "planned_ns": int(planned * S),
        "first_byte_ns": None if first is None else int(first * S),
        "end_ns": int(end * S),
        **more,
    }


class BlockFiguresTests(SynchronousTestCase):
    """From exchanges to figures of a block."""

    def figures(self, data: Frames) -> dict[str, Any]:
        (row,) = block_figures(data.blocks, data.samples).to_dict("records")
        return {str(name): value for name, value in row.items()}

    def test_known_figures(self) -> None:
        """The figures of three exchanges of one initiator are known; cycles end where the next one is asked for."""
        got = self.figures(one_block(at(10, 11, 12), at(13, 13.5, 14), at(14, 16, 18)))
        self.assertEqual((got["latency_s"], got["first_byte_s"], got["cycle_s"]), (2.0, 1.0, 3.0))
        self.assertEqual((got["throughput_bytes_per_s"], got["pair_bytes_per_s"]), (75.0, 75.0))
        self.assertTrue(math.isnan(got["fairness"]))
        self.assertEqual((got["ok"], got["refused"], got["drops"]), (3, 0, 0))

    def test_clocks_that_differ(self) -> None:
        """Each initiator counts by its own clock, so an hour between two of them changes nothing."""
        other = {"pair": 2, "direction": "m2.m>n2.n"}
        got = [
            self.figures(one_block(at(10, 11, 12), at(10 + off, 11 + off, 14 + off, **other))) for off in (0.0, 3600.0)
        ]
        self.assertEqual(got[0], got[1])
        self.assertAlmostEqual(got[0]["fairness"], (100 + 50) ** 2 / (2 * (100**2 + 50**2)))
        self.assertEqual((got[0]["throughput_bytes_per_s"], got[0]["pair_bytes_per_s"]), (150.0, 75.0))

    def test_drops(self) -> None:
        """Times are those of what was ok; a drop costs throughput, since its time is spent."""
        got = self.figures(
            one_block(at(10, 11, 12), at(12, None, 20, outcome="timeout"), at(20, None, 21, outcome="refused"))
        )
        self.assertEqual((got["ok"], got["refused"], got["drops"]), (1, 1, 1))
        self.assertEqual((got["latency_s"], got["throughput_bytes_per_s"]), (2.0, 200 / 11))

    def test_nothing_was_ok(self) -> None:
        """A block in which everything was dropped has no times, and a throughput of 0."""
        got = self.figures(one_block(at(10, None, 12, outcome="reset")))
        self.assertTrue(pd.isna(got["latency_s"]) and pd.isna(got["first_byte_s"]) and pd.isna(got["cycle_s"]))
        self.assertEqual((got["throughput_bytes_per_s"], got["drops"]), (0.0, 1))

    def test_open_load(self) -> None:
        """The open loop has no cycle time: the plan sets when the next one begins."""
        self.assertTrue(pd.isna(self.figures(one_block(at(10, 11, 12), load="open:20"))["cycle_s"]))

    def test_no_time(self) -> None:
        """Exchanges that took no time that the clock can tell have no throughput, and divide nothing by 0."""
        got = self.figures(one_block(at(10, 10, 10)))
        self.assertEqual(got["latency_s"], 0.0)
        self.assertEqual(got["throughput_bytes_per_s"] > 0, False)

    def test_long_uptime(self) -> None:
        """Nanoseconds stay exact on a machine that has been up for a year."""
        year = 365 * 86400
        self.assertEqual(self.figures(one_block(at(year, None, year)))["latency_s"], 0.0)
        late = one_block({**at(year, year, year), "end_ns": year * S + 3})
        self.assertEqual(self.figures(late)["latency_s"], 3e-9)


class AccountTests(SynchronousTestCase):
    """What was offered is the sum of the outcomes."""

    def refused(self, data: Frames, why: str) -> None:
        with self.assertRaisesRegex(Unaccounted, why):
            block_figures(data.blocks, data.samples)

    def test_a_sample_too_few_or_too_many(self) -> None:
        """One sample more or less than was offered is an error that names the block and both figures."""
        data = one_block(at(10, 11, 12), at(12, 13, 14))
        why = "block 1: {} exchanges were offered, but the outcomes sum up to 2"
        for offered in (1, 3):
            self.refused(replace(data, blocks=data.blocks.assign(offered=offered)), why.format(offered))

    def test_an_unknown_outcome(self) -> None:
        """An outcome that doesn't exist isn't counted, and so is noticed."""
        self.refused(one_block(at(10, 11, 12, outcome="lost")), "the outcomes sum up to 0")

    def test_a_block_twice(self) -> None:
        """A block that is marked as finished twice is an error."""
        data = one_block(at(10, 11, 12))
        self.refused(replace(data, blocks=pd.concat([data.blocks] * 2)), "block 1 is finished twice")

    def test_samples_of_no_block(self) -> None:
        """Samples that belong to no finished block are an error here; the reader has left them out."""
        self.refused(one_block(at(10, 11, 12, block=7)), "samples of block 7")


class OrderTests(SynchronousTestCase):
    """The order of conditions."""

    def test_order(self) -> None:
        """Content types come first, each with its control behind it; then zeros, random, and what nobody knows."""
        mixed = ["video", "zeros", "text-as-video", "random", "other", "audio", "text", "text-as-audio", "text"]
        right = ["text", "text-as-audio", "text-as-video", "audio", "video", "zeros", "random", "other"]
        self.assertEqual(in_order(mixed), right)

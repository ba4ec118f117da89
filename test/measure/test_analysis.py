"""Tests of p2p.measure.analysis and p2p.measure.results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from dataclasses import FrozenInstanceError, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import Outcome
from p2p.measure import analysis, questions
from p2p.measure.analysis import analyse, compare
from p2p.measure.block_figures import Frames, Unaccounted
from p2p.measure.raw_data import MissingBlock
from p2p.measure.results import Analysis, ArmResult, Drops, Level, RunComparison, to_json
from test.measure.synthetic_run import Synthetic

ROOT = Path(__file__).resolve().parents[2]
FEW = 60
"""Resamples that are enough for a test."""

QUIET = Synthetic(sizes=(1024, 65536), pairs=2, exchanges=10, message_noise=0.05, block_noise=0.005, repetitions=8)
"""A run that is measured well."""

ONCE_MORE = """
from p2p.measure.analysis import analyse, compare
from p2p.measure.results import to_json
from test.measure.synthetic_run import Synthetic
a, b = Synthetic(seed=5, lost={"audio": 0.05}).frames(), Synthetic(seed=6, sizes=(1024, 2048)).frames()
print(to_json(analyse(a, seed=7, resamples=60)) + to_json(compare(a, b, seed=7, resamples=60)))
"""


def analysed(data: Frames, **how: Any) -> Analysis:
    """Analyse, and let no warning pass; the result is JSON."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = analyse(data, **{"seed": 1, "resamples": FEW, **how})
        json.loads(to_json(got))
    return got


def joined(*runs: Synthetic) -> Frames:
    """Several arms in one run, each with block numbers of its own."""
    parts = [replace(run, first_block=1000 * place + 1).frames() for place, run in enumerate(runs)]
    names = ("samples", "links", "blocks", "lookups", "daemons")
    return Frames(*(pd.concat([getattr(part, name) for part in parts], ignore_index=True) for name in names))


def latency_alone(test: SynchronousTestCase) -> None:
    """Have nothing but the latency worked out, for tests of many runs."""
    test.patch(analysis, "COMPARED", questions.COMPARED[:1])
    test.patch(questions, "COMPARED", questions.COMPARED[:1])
    test.patch(analysis, "METRICS", {"latency_s": "latency"})


class VerdictTests(SynchronousTestCase):
    """The verdict of an arm, from single exchanges."""

    def arm(self, run: Synthetic, **how: Any) -> ArmResult:
        (got,) = analysed(run.frames(), **how).arms
        return got

    def test_no_difference(self) -> None:
        """Where nothing was planted, content types and the control under another label come out as equivalent."""
        got = self.arm(QUIET)
        self.assertEqual((got.verdict.outcome, [one.outcome for one in got.labels]), ("equivalent", ["equivalent"]))
        self.assertEqual(got.labels[0].conditions, ("text", "text-as-audio"))
        self.assertEqual((got.verdict.conditions, got.content, got.caution), (("text", "audio", "video"), None, ""))

    def test_planted(self) -> None:
        """A service made 20 % slower for video is found, by latency and by throughput; the control is as before."""
        got = self.arm(replace(QUIET, factors={"video": 1.2}))
        self.assertEqual((got.verdict.outcome, got.labels[0].outcome), ("differs", "equivalent"))
        worst = {one.question.metric: one.comparisons[1].levels[0].ratio for one in (got.verdict, *got.others)}
        self.assertEqual(list(worst), ["latency_s", "first_byte_s", "cycle_s", "throughput_bytes_per_s"])
        self.assertApproximates(worst["latency_s"], 1.2, 0.05)
        self.assertApproximates(worst["throughput_bytes_per_s"], 1 / 1.2, 0.05)

    def test_margin(self) -> None:
        """The margin of the plan decides: what is equivalent within 30 % isn't within 5 %."""
        run = replace(QUIET, factors={"video": 1.2})
        self.assertEqual(self.arm(run, margin=0.3).verdict.outcome, "equivalent")

    def test_controls_of_the_content(self) -> None:
        """Zeros and random are judged against the content types and each other, apart from the arm's verdict."""
        run = Synthetic(conditions=("text", "audio", "zeros", "random"), factors={"zeros": 0.6}, block_noise=0.02)
        got = self.arm(run)
        self.assertEqual(got.verdict.conditions, ("text", "audio"))
        assert got.content is not None
        self.assertEqual(got.content.outcome, "differs")
        pairs = [(one.a, one.b) for one in got.content.comparisons]
        against = [(a, b) for a in ("text", "audio") for b in ("zeros", "random")]
        self.assertEqual(pairs, [*against, ("zeros", "random")])

    def test_controls_alone(self) -> None:
        """An arm of zeros and random alone is judged by them."""
        got = self.arm(Synthetic(conditions=("zeros", "random")))
        self.assertEqual((got.verdict.conditions, got.content), (("zeros", "random"), None))

    def test_control_that_differs(self) -> None:
        """Where the same bytes under another label differ, or that is open, the arm says what it is worth."""
        got = self.arm(Synthetic(factors={"text-as-audio": 1.3}, block_noise=0.02, pairs=3))
        self.assertIn("(text-as-audio), so what differs here need not be the content", got.caution)
        self.assertIn("too coarse for the margin", self.arm(Synthetic(block_noise=0.3, pairs=3)).caution)

    def test_open_load(self) -> None:
        """The open loop has no cycle time to be judged by."""
        got = self.arm(Synthetic(load="open:20"))
        self.assertEqual([one.question.metric for one in got.others], ["first_byte_s", "throughput_bytes_per_s"])

    def test_arms(self) -> None:
        """Each arm has its own verdict."""
        arms: dict[str, dict[str, float]] = {"transport": {}, "service": {"video": 1.5}}
        got = analysed(joined(*(Synthetic(arm=arm, sizes=(1024,), factors=factors) for arm, factors in arms.items())))
        self.assertEqual([one.arm for one in got.arms], ["service", "transport"])
        self.assertEqual(got.arms[0].verdict.outcome, "differs")


class DegenerateTests(SynchronousTestCase):
    """Runs that can't bear a verdict get none, with the reason, and neither an error nor a warning."""

    def reason(self, run: Synthetic) -> str:
        (arm,) = analysed(run.frames()).arms
        self.assertEqual(arm.verdict.outcome, "inconclusive")
        return arm.verdict.reason

    def test_one_block(self) -> None:
        """A run of one block."""
        run = Synthetic(conditions=("text",), sizes=(1024,), repetitions=1, pairs=1, exchanges=1)
        self.assertIn("text is the only condition", self.reason(run))

    def test_one_repetition(self) -> None:
        """One block of each condition."""
        self.assertIn("1 repetition with both text and audio", self.reason(Synthetic(sizes=(1024,), repetitions=1)))

    def test_all_dropped(self) -> None:
        """A run in which nothing arrived, and one in which nothing of video did."""
        small = Synthetic(conditions=("text", "video"), sizes=(1024,), block_noise=0.02, pairs=2)
        every = dict.fromkeys(("text", "video"), 1.0)
        self.assertEqual(self.reason(replace(small, lost=every)), "no exchange of text gave a figure")
        got = analysed(replace(small, lost={"video": 1.0}).frames())
        self.assertEqual(got.arms[0].verdict.reason, "no exchange of video gave a figure")
        self.assertIn("with video: no exchange was ok", got.notes[0])

    def test_no_variance(self) -> None:
        """A clock that always says the same."""
        run = Synthetic(message_noise=0, block_noise=0, drift=0)
        self.assertIn("is always the same", self.reason(run))

    def test_nothing(self) -> None:
        """A run without a finished block has no arms, and nothing in it."""
        empty = Synthetic(repetitions=0).frames()
        got = analysed(replace(empty, lookups=empty.lookups[:0], daemons=empty.daemons[:0]))
        self.assertEqual((got.arms, got.levels, got.ecdfs, got.links, got.lookups, got.daemons), ((),) * 6)
        self.assertEqual((got.drops[0].offered, got.drops[0].dropped.share), (0, None))

    def test_miscounted(self) -> None:
        """A run whose samples aren't what was offered isn't analysed at all."""
        data = Synthetic().frames()
        with self.assertRaises(Unaccounted):
            analyse(replace(data, samples=data.samples[1:]))


FIGURE_RUN = Synthetic(conditions=("text", "audio"), sizes=(1024,), repetitions=4, lost={"audio": 0.1})


@cache
def figure_run() -> tuple[Frames, Analysis]:
    """One run for all tests that look at figures, analysed once."""
    data = FIGURE_RUN.frames()
    return data, analysed(data)


class FigureTests(SynchronousTestCase):
    """What a report shows besides."""

    def setUp(self) -> None:
        self.data, self.analysis = figure_run()

    def test_levels(self) -> None:
        """Each level has the median of its blocks for each metric, with an interval around it."""
        levels = self.analysis.levels
        self.assertEqual([one.level.condition for one in levels], ["audio", "text"])
        self.assertEqual(levels[1].level, Level("transport", "text", 1024, 10, "closed"))
        latency = levels[1].estimates["latency_s"]
        self.assertEqual((latency.n, latency.method), (4, "bca"))
        assert latency.low is not None and latency.median is not None and latency.high is not None
        self.assertTrue(latency.low < latency.median < latency.high)

    def test_blocks(self) -> None:
        """Each block is there with its place and its figures, to draw it as a point."""
        blocks = self.analysis.blocks
        self.assertEqual([one.block for one in blocks], list(range(1, 9)))
        self.assertEqual({one.offered for one in blocks}, {100})
        self.assertTrue(all(one.ok + one.drops == 100 for one in blocks))
        self.assertTrue(all((one.figures["latency_s"] or 0) > 0 for one in blocks))

    def test_ecdf(self) -> None:
        """The ECDF has the smallest and the largest latency at its ends, and never falls."""
        ecdf = next(one for one in self.analysis.ecdfs if one.level.condition == "text")
        text = self.data.samples[self.data.samples["condition"] == "text"]
        took = (text["end_ns"] - text["planned_ns"]) / 1e9
        self.assertEqual((ecdf.n, len(ecdf.latency_s)), (400, 201))
        self.assertEqual((ecdf.latency_s[0], ecdf.latency_s[-1]), (took.min(), took.max()))
        self.assertEqual(list(ecdf.latency_s), sorted(ecdf.latency_s))

    def test_drops(self) -> None:
        """Drops are counted by cause, for the run, each arm and each condition; the sum is what was offered."""
        whole, arm, text, audio = self.analysis.drops
        self.assertEqual((whole.arm, arm.condition, text.condition, audio.condition), ("", "", "text", "audio"))
        self.assertEqual((text.dropped.count, text.dropped.low, text.offered), (0, 0.0, 400))
        self.assertLessEqual(text.dropped.high or 1, 3 / 400)
        self.assertGreater(audio.dropped.low or 0, 0.03)
        self.assertEqual(audio.causes["timeout"], audio.dropped)
        self.assertEqual(set(audio.causes), {one.value for one in Outcome if one.is_drop})
        self.assertEqual(whole.ok + whole.refused + whole.dropped.count, whole.offered)
        self.assertEqual(replace(whole, arm="transport"), arm)

    def test_links(self) -> None:
        """Each figure of the set-up has its median over blocks and what the slowest took; unknown ones are left out."""
        links = {one.figure: one for one in self.analysis.links}
        self.assertEqual(next(iter(links)), "setup_ns")
        self.assertEqual((links["tls_ns"].links, links["tls_ns"].estimate.n, links["tls_ns"].pairs), (80, 8, 10))
        self.assertIsNone(links["setup_ns"].p99)
        self.assertEqual(links["retransmits"].estimate.median, 0.0)
        unknown = self.data.links.assign(tls_ns=pd.Series([None] * len(self.data.links), dtype="Int64"))
        self.assertNotIn("tls_ns", {one.figure for one in analysed(replace(self.data, links=unknown)).links})

    def test_lookups(self) -> None:
        """The look-up is told for each size of the table."""
        lookups = self.analysis.lookups
        self.assertEqual([(one.table_size, one.estimate.n) for one in lookups], [(10, 8), (1000, 8), (20000, 8)])

    def test_daemons(self) -> None:
        """Each daemon is told with its sockets, its memory and its share of a processor."""
        peer, router = self.analysis.daemons
        self.assertEqual((peer.role, router.daemon), ("peer", "routers"))
        self.assertEqual((router.sockets_first, router.sockets_most, router.sockets_last), (10, 14, 14))
        self.assertEqual((router.cpu_s, router.cpu_share, router.rss_bytes_most, router.readings), (2.0, 0.5, 10**7, 5))
        once = replace(self.data, daemons=self.data.daemons[:1])
        self.assertIsNone(analysed(once).daemons[0].cpu_share)

    def test_sampling(self) -> None:
        """What sampling costs is told where there are blocks without it; they count nowhere else."""
        self.assertIsNone(self.analysis.sampling)
        both = joined(FIGURE_RUN, replace(FIGURE_RUN, sampling="off", seed=2))
        got = analysed(both)
        assert got.sampling is not None
        self.assertEqual((got.sampling.conditions, got.sampling.margin), (("off", "on"), 0.02))
        self.assertEqual(got.sampling.comparisons[0].levels[0].count, 8)
        self.assertEqual((len(got.blocks), got.drops[0].offered), (8, 800))

    def test_what_is_missing(self) -> None:
        """What the run says of itself is passed on."""
        got = analysed(self.data, missing=[MissingBlock(block=9, why="n4.n left")], notes=["links.csv is missing"])
        self.assertEqual((got.missing[0].why, got.notes), ("n4.n left", ("links.csv is missing",)))
        self.assertEqual(json.loads(to_json(got))["missing"], [{"block": 9, "why": "n4.n left"}])

    def test_frozen(self) -> None:
        """A result is what it is."""
        drops: Drops = self.analysis.drops[0]
        with self.assertRaises(FrozenInstanceError):
            drops.ok = 5  # type: ignore[misc]  # that it can't be done is the point


class CompareTests(SynchronousTestCase):
    """Two runs side by side."""

    def compared(self, a: Frames, b: Frames) -> RunComparison:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            got = compare(a, b, seed=1, resamples=FEW)
            json.loads(to_json(got))
        return got

    def test_slower(self) -> None:
        """A run that is half as slow again differs from the first, in every metric; levels have both figures."""
        slower = dict.fromkeys(("text", "audio", "video", "text-as-audio"), 1.5)
        got = self.compared(
            Synthetic(seed=1, drift=0.02).frames(), Synthetic(seed=2, drift=0.02, factors=slower).frames()
        )
        self.assertEqual([one.outcome for one in got.verdicts], ["differs"] * 4)
        level = got.verdicts[0].comparisons[0].levels[0]
        self.assertEqual((level.count, level.factors["condition"]), (6, "audio"))
        self.assertEqual((len(got.levels), got.notes), (12, ()))
        both = got.levels[0]
        self.assertApproximates((both.b["latency_s"].median or 0) / (both.a["latency_s"].median or 1), 1.5, 0.15)

    def test_same(self) -> None:
        """Two runs of the same hardly ever differ, though each repetition drifts by 15 %."""
        latency_alone(self)
        run = Synthetic(conditions=("text",), pairs=1, exchanges=10, block_noise=0.02)
        got = [
            self.compared(replace(run, seed=seed).frames(), replace(run, seed=seed + 999).frames()) for seed in range(4)
        ]
        self.assertLessEqual(sum(one.verdicts[0].outcome == "differs" for one in got), 1)

    def test_other_plans(self) -> None:
        """Only what both runs have is compared, and the rest is told."""
        a = joined(Synthetic(arm="transport", sizes=(1024, 2048)), Synthetic(arm="old", repetitions=1))
        b = joined(Synthetic(arm="transport", sizes=(1024, 4096), seed=2), Synthetic(arm="new", repetitions=1))
        got = self.compared(a, b)
        self.assertEqual({one.question.arm for one in got.verdicts}, {"transport"})
        self.assertEqual({one.level.size for one in got.levels}, {1024})
        self.assertEqual(got.notes[:2], ("arm old is in run A alone", "arm new is in run B alone"))
        self.assertIn("arm transport, text of 4096 bytes, 10 pairs, load closed is in run B alone", got.notes)

    def test_nothing_in_common(self) -> None:
        """An arm of both whose levels are all different gets no verdict, with the reason."""
        got = self.compared(Synthetic(sizes=(1024,)).frames(), Synthetic(sizes=(2048,)).frames())
        self.assertEqual(got.verdicts[0].outcome, "inconclusive")
        self.assertIn("0 repetitions with both A and B", got.verdicts[0].reason)


class SameBytesTests(SynchronousTestCase):
    """Nothing but data and seed decides."""

    def test_two_processes(self) -> None:
        """The same data and seed give the same JSON, to the byte, in processes that hash differently."""
        running = [
            subprocess.Popen(
                [sys.executable, "-c", ONCE_MORE],
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": seed},
                stdout=subprocess.PIPE,
            )
            for seed in ("1", "2")
        ]
        for one in running:
            self.addCleanup(one.wait)
            self.addCleanup(one.kill)
        answers = [one.communicate(timeout=120)[0] for one in running]
        self.assertEqual(answers[0], answers[1])
        self.assertGreater(len(answers[0]), 10_000)

    def test_order_of_rows(self) -> None:
        """The order in which the rows stand in the files changes nothing."""
        data = Synthetic(lost={"audio": 0.05}, sizes=(1024,), pairs=3).frames()
        names = ("samples", "links", "blocks", "lookups", "daemons")
        shuffled = Frames(*(getattr(data, name)[::-1].reset_index(drop=True) for name in names))
        self.assertEqual(*(to_json(replace(analysed(one), lookups=())) for one in (data, shuffled)))

    def test_another_seed(self) -> None:
        """Another seed resamples differently, and no verdict depends on it."""
        data = Synthetic(sizes=(1024, 2048), pairs=3).frames()
        one, other = analysed(data, seed=1), analysed(data, seed=2)
        self.assertNotEqual(one.levels, other.levels)
        self.assertEqual([arm.verdict.outcome for arm in one.arms], [arm.verdict.outcome for arm in other.arms])

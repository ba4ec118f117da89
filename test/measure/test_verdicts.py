"""Tests of p2p.measure.verdicts."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.verdicts import Criteria, EquivalenceVerdict, ResearchQuestion, judge

QUESTION = ResearchQuestion("types", "transport", "latency_s", "latency", "Arm transport")
RULE = Criteria(resamples=2)


VALUES = st.sampled_from([0.0, 1e-9, 1.0, 1.0 + 1e-12, 3.0, math.nan]) | st.floats(1e-9, 1e10)
"""From one nanosecond to three centuries, in seconds; 0 where the clock saw no time pass."""


def cells(
    seed: int,
    factors: Mapping[str, float],
    *,
    noise: float = 0.05,
    sizes: int = 3,
    repetitions: int = 6,
    odd_size: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Block sets with the noise of real blocks, and a drift that all blocks of a repetition share.

    :param odd_size: factors that count at the second size alone.
    """
    rng = np.random.default_rng(seed)
    names = ["size", "pairs", "load", "repetition"]
    sets = [(size, 10, "closed", number) for size in range(1, sizes + 1) for number in range(repetitions)]
    drift = rng.normal(0, 0.15, repetitions)
    rows = [
        [
            1e-3
            * size
            * factor
            * ((odd_size or {}).get(name, 1.0) if size == 2 else 1.0)
            * math.exp(drift[number] + rng.normal(0, noise))
            for name, factor in factors.items()
        ]
        for size, _, _, number in sets
    ]
    return pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(sets, names=names), columns=list(factors))


def verdict(table: pd.DataFrame, rule: Criteria = RULE, question: ResearchQuestion = QUESTION) -> EquivalenceVerdict:
    """Judge all columns, and let no warning pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return judge(table, question, rule, conditions=list(table.columns))


class VerdictTests(SynchronousTestCase):
    """What is planted is found."""

    def test_equivalent(self) -> None:
        """Conditions without a difference, measured well, are equivalent, and the sentence has the figures."""
        got = verdict(cells(1, {"text": 1, "audio": 1, "video": 1}, noise=0.02))
        self.assertEqual((got.outcome, got.reason), ("equivalent", ""))
        self.assertRegex(
            got.sentence,
            r"^Arm transport: text, audio and video are equivalent in latency, within ±5 %: the ratio of \w+ to \w+ is "
            r"[01]\.\d{3} \(90 % interval 0\.9\d\d to 1\.0\d\d, 18 block sets\), and no pair reaches further\.$",
        )

    def test_differs(self) -> None:
        """A difference of 20 % is found, and the sentence names it."""
        got = verdict(cells(1, {"text": 1, "audio": 1, "video": 1.2}))
        self.assertEqual(
            (got.outcome, [one.outcome == "differs" for one in got.comparisons]), ("differs", [False, True, True])
        )
        self.assertRegex(
            got.sentence,
            r"^Arm transport: text, audio and video differ in latency: that of video is 1\.(1|2)\d\d \(90 % interval "
            r"1\.\d+ to 1\.\d+, 18 block sets\) times that of \w+, Holm-corrected p = \S+, .*; 2 of 3 pairs differ; "
            r"Friedman p = \S+, Kendall's W = 0\.\d\d\.$",
        )

    def test_inconclusive(self) -> None:
        """Where the noise hides a difference as well as its absence, nothing is claimed, and the sentence says why."""
        got = verdict(cells(1, {"text": 1, "video": 1}, noise=0.3))
        self.assertEqual(got.outcome, "inconclusive")
        self.assertRegex(
            got.sentence,
            r"^Arm transport: no verdict on the latency of text and video: no difference is shown, but the ratio of "
            r"video to text, .*, may lie outside ±5 %; more repetitions would tell\.$",
        )

    def test_a_real_difference_within_the_margin(self) -> None:
        """A difference that is real but smaller than the margin is equivalence; a smaller margin makes it one."""
        table = cells(1, {"text": 1, "video": 1.02}, noise=0.005)
        got = verdict(table)
        self.assertLess(got.comparisons[0].p_holm or 1, 0.05)
        self.assertEqual(got.outcome, "equivalent")
        self.assertEqual(verdict(table, Criteria(margin=0.01, resamples=20)).outcome, "differs")

    def test_a_difference_at_one_size(self) -> None:
        """A difference that averages out over sizes is found all the same, and its size is named."""
        table = cells(3, {"text": 1, "video": 0.97}, noise=0.01, sizes=8, odd_size={"video": 1.25})
        got = verdict(table)
        self.assertLess(got.comparisons[0].p_equivalence or 1, 0.05)
        self.assertEqual(got.outcome, "differs")
        self.assertIn("outside the margin with size 2, pairs 10, load closed: 1.2", got.sentence)

    def test_which_way(self) -> None:
        """Taking the ratio the other way round changes no verdict."""
        for factors in ({"a": 1.0, "b": 1.05}, {"a": 1.0, "b": 0.97}, {"a": 1.0, "b": 1.2}):
            table = cells(4, factors, noise=0.02)
            there, back = verdict(table), verdict(table[["b", "a"]])
            self.assertEqual(there.outcome, back.outcome)
            self.assertAlmostEqual((there.comparisons[0].ratio or 0) * (back.comparisons[0].ratio or 0), 1.0)

    def test_repetitions(self) -> None:
        """Where the drift isn't shared, a repetition is one observation, not each of its sets."""
        question = ResearchQuestion("runs", "a", "latency_s", "latency", "Arm a", "repetition")
        table = cells(1, {"A": 1, "B": 1}, repetitions=7)
        (one,) = verdict(table, question=question).comparisons
        self.assertEqual((one.observations, len(one.levels), one.levels[0].sets), (7, 3, 7))
        self.assertIn("7 repetitions", verdict(table, question=question).sentence)

    def test_disturbed(self) -> None:
        """Blocks that something else made several times as slow hide no equivalence and make no difference."""
        table = cells(1, {"text": 1, "video": 1}, noise=0.02, repetitions=8)
        slow = [3.0 if place in (1, 7, 20) else 0.5 if place in (4, 12, 13) else 1.0 for place in range(24)]
        self.assertEqual(verdict(table.assign(video=table["video"] * slow)).outcome, "equivalent")

    def test_sampling(self) -> None:
        """What sampling costs is said in a sentence of its own, whatever the verdict."""
        question = ResearchQuestion("sampling", "", "throughput_bytes_per_s", "throughput", "What sampling costs")
        rule = Criteria(margin=0.02, resamples=2)
        for factor, noise, words in (
            (0.995, 0.01, r"less than 2 %: with sampling, throughput is 0\.99\d \(90 % interval .*\) times what"),
            (0.9, 0.01, r"it makes a difference: with sampling, throughput is 0\.\d+ .*, Holm-corrected p = "),
            (1.0, 0.2, r"no verdict: with sampling, throughput is .*, which may be outside ±2 %; more repetitions"),
        ):
            got = verdict(cells(1, {"off": 1, "on": factor}, noise=noise, repetitions=8), rule, question)
            self.assertRegex(got.sentence, "^What sampling costs: " + words)
        few = verdict(cells(1, {"off": 1, "on": 1}, sizes=1, repetitions=2), rule, question)
        self.assertIn("no verdict: 2 block sets with both off and on", few.sentence)

    def test_chosen_pairs(self) -> None:
        """Only the pairs that are asked for are compared, and the correction is for them alone."""
        table = cells(1, {"text": 1, "audio": 1.5, "zeros": 1}, noise=0.02)
        got = judge(table, QUESTION, RULE, conditions=list(table.columns), pairs=[("text", "zeros")])
        self.assertEqual((got.outcome, len(got.comparisons)), ("equivalent", 1))
        self.assertEqual(got.comparisons[0].p_holm, got.comparisons[0].p_difference)


class ErrorRateTests(SynchronousTestCase):
    """False verdicts are rare; each rate is over seeds that are fixed."""

    def outcomes(self, seeds: int, factors: Mapping[str, float], **how: float) -> Counter[str]:
        return Counter(verdict(cells(seed, factors, sizes=2, repetitions=9, **how)).outcome for seed in range(seeds))  # type: ignore[arg-type]  # only noise is passed

    def test_no_difference(self) -> None:
        """Where there is none, a difference is claimed in about one of twenty runs at most, however much noise."""
        for noise in (0.05, 0.3):
            got = self.outcomes(40, {"text": 1, "audio": 1, "video": 1}, noise=noise)
            self.assertLessEqual(got["differs"], 5, got)

    def test_control(self) -> None:
        """The same bytes under another label come out as equivalent in nearly every run of ordinary noise."""
        got = self.outcomes(40, {"text": 1, "text-as-audio": 1}, noise=0.03)
        self.assertGreaterEqual(got["equivalent"], 38, got)
        self.assertLessEqual(got["differs"], 1, got)

    def test_planted(self) -> None:
        """A difference of 20 % is found in nearly every run, and never called equivalent."""
        got = self.outcomes(40, {"text": 1, "audio": 1, "video": 1.2}, noise=0.06)
        self.assertGreaterEqual(got["differs"], 39, got)
        self.assertEqual(got["equivalent"], 0)

    def test_at_the_margin(self) -> None:
        """A difference as large as the margin is called equivalent in about one of twenty runs at most."""
        got = self.outcomes(60, {"text": 1, "video": 1.05}, noise=0.03)
        self.assertLessEqual(got["equivalent"], 7, got)


class DegenerateTests(SynchronousTestCase):
    """Data that can't bear a verdict gets none, with the reason, and neither an error nor a warning."""

    def inconclusive(self, table: pd.DataFrame, reason: str, conditions: list[str] | None = None) -> EquivalenceVerdict:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            got = judge(table, QUESTION, RULE, conditions=list(table.columns) if conditions is None else conditions)
        self.assertEqual((got.outcome, got.reason), ("inconclusive", reason))
        self.assertIn(reason, got.sentence)
        return got

    def test_one_block(self) -> None:
        """One block set is too few."""
        table = cells(1, {"text": 1, "video": 2}, sizes=1, repetitions=1)
        self.inconclusive(table, "1 block set with both text and video, and a verdict takes at least 5")

    def test_one_condition(self) -> None:
        """One condition has nothing to be compared with."""
        self.inconclusive(cells(1, {"text": 1}), "text is the only condition, so there is nothing to compare it with")

    def test_no_condition(self) -> None:
        """Nothing at all gives no verdict either."""
        got = self.inconclusive(cells(1, {"text": 1}), "no block is finished", [])
        self.assertEqual(got.sentence, "Arm transport: no verdict on the latency: no block is finished.")

    def test_all_dropped(self) -> None:
        """A condition of which nothing was ok is named."""
        table = cells(1, {"text": 1, "audio": 1, "video": 1})
        self.inconclusive(table.assign(video=math.nan), "no exchange of video gave a figure")
        self.inconclusive(table.drop(columns="video"), "no exchange of video gave a figure", ["text", "video"])
        self.inconclusive(table.assign(text=0.0), "no exchange of text gave a figure")

    def test_no_variance(self) -> None:
        """Ratios that are all the same tell nothing about how sure they are."""
        table = cells(1, {"text": 1, "video": 1})
        why = "the ratio of video to text is the same in all of 18 block sets, so nothing tells how sure it is"
        self.inconclusive(table.assign(video=table["text"]), why)
        got = self.inconclusive(table.assign(video=table["text"] * 1.2), why)
        self.assertAlmostEqual(got.comparisons[0].ratio or 0, 1.2)

    def test_hardly_any_variance(self) -> None:
        """Ratios of which all that count are the same tell no more."""
        table = cells(1, {"text": 1, "video": 1})
        self.inconclusive(
            table.assign(video=table["text"] * [9.0, *[1.0] * 17]),
            "the ratio of video to text is the same in most of 18 block sets, so nothing tells how sure it is",
        )

    def test_ties_in_all_conditions(self) -> None:
        """Friedman's test is left out where all conditions are always the same."""
        table = cells(1, {"text": 1, "audio": 1, "video": 1})
        same = table.assign(audio=table["text"], video=table["text"])
        self.assertIsNone(verdict(same).friedman)

    def test_sets_with_gaps(self) -> None:
        """Sets that lack a condition count for the pairs that they have, and not for Friedman's test."""
        table = cells(1, {"text": 1, "audio": 1, "video": 1}, noise=0.02)
        table.loc[table.index[:6], "video"] = math.nan
        got = verdict(table)
        self.assertEqual([one.observations for one in got.comparisons], [18, 12, 12])
        self.assertEqual(got.friedman.sets if got.friedman else 0, 12)

    @settings(deadline=None, max_examples=20)
    @given(st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=14), st.integers(1, 7))
    def test_anything(self, rows: list[tuple[float, ...]], repetitions: int) -> None:
        """Whatever was measured, there is a verdict with a sentence, all its figures are finite, and nothing warns."""
        places = range(len(rows))
        columns = [
            [place // repetitions for place in places],
            [10] * len(rows),
            [place % repetitions for place in places],
        ]
        index = pd.MultiIndex.from_arrays(columns, names=["size", "pairs", "repetition"])
        table = pd.DataFrame(rows, index=index, columns=["text", "audio", "video"], dtype=float)
        for question in (QUESTION, ResearchQuestion("runs", "a", "latency_s", "latency", "Arm a", "repetition")):
            got = verdict(table, question=question)
            self.assertTrue(got.sentence.endswith("."))
            for one in got.comparisons:
                for figure in (one.ratio, one.low, one.high, one.p_equivalence, one.p_difference, one.p_holm):
                    self.assertTrue(figure is None or math.isfinite(figure), one)

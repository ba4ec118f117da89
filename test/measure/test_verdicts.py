"""Tests of p2p.measure.verdicts."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.matched import matched_cells
from p2p.measure.verdicts import EquivalenceVerdict, Inquiry, LevelRatio, ResearchQuestion, judge

QUESTION = ResearchQuestion("types", "transport", "latency_s", "latency")


VALUES = st.sampled_from([0.0, 1e-9, 1.0, 1.0 + 1e-12, 3.0, math.nan]) | st.floats(1e-9, 1e10)
"""From one nanosecond to three centuries, in seconds; 0 where the clock saw no time pass."""


def cells(
    seed: int,
    factors: Mapping[str, float],
    *,
    noise: float = 0.05,
    sizes: int = 3,
    repetitions: int = 12,
    odd_size: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Logarithms of block sets with the noise of real blocks, and a drift that all blocks of a repetition share.

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
    return pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(sets, names=names), columns=list(factors)).map(math.log)


def asked(table: pd.DataFrame, pairs: Sequence[tuple[str, str]] | None = None, margin: float = 0.05) -> Inquiry:
    """Ask about all columns, each against each unless it is said otherwise."""
    conditions = list(table.columns)
    chosen = list(combinations(conditions, 2)) if pairs is None else list(pairs)
    return Inquiry(QUESTION, conditions, chosen, list(matched_cells(table, chosen)), table, margin)


def judged(*questions: Inquiry) -> tuple[EquivalenceVerdict, ...]:
    """Judge, and let no warning pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return judge(questions)


def verdict(table: pd.DataFrame, margin: float = 0.05) -> EquivalenceVerdict:
    """Judge all columns of one table."""
    return judged(asked(table, margin=margin))[0]


class VerdictTests(SynchronousTestCase):
    """What is planted is found."""

    def test_equivalent(self) -> None:
        """Conditions without a difference, measured well, are equivalent; each interval lies within the margin."""
        got = verdict(cells(1, {"text": 1, "audio": 1, "video": 1}, noise=0.02))
        self.assertEqual((got.outcome, got.reason, got.tests), ("equivalent", "", 9))
        levels = [level for one in got.comparisons for level in one.levels]
        self.assertEqual(len(levels), 9)
        self.assertTrue(all(level.outcome == "equivalent" and level.count == 12 for level in levels))
        self.assertTrue(all(1 / 1.05 < (level.low or 0) < level.ratio < (level.high or 9) < 1.05 for level in levels))
        self.assertAlmostEqual(got.ruled_out or 0, max(level.reach for level in levels) - 1)
        self.assertLess(got.ruled_out or 1, 0.05)

    def test_differs(self) -> None:
        """A difference of 20 % is found, between those that differ and at levels where it is."""
        got = verdict(cells(1, {"text": 1, "audio": 1, "video": 1.2}))
        self.assertEqual([one.outcome == "differs" for one in got.comparisons], [False, True, True])
        self.assertEqual(got.outcome, "differs")
        assert got.most_different is not None
        one, level = got.most_different
        self.assertEqual((one.b, level.outcome), ("video", "differs"))
        self.assertGreater(level.low or 0, 1.05)
        self.assertLess(level.p_beyond or 1, 0.05)
        self.assertLess(got.friedman.p if got.friedman else 1, 0.01)

    def test_inconclusive(self) -> None:
        """Where the noise hides a difference as well as its absence, nothing is claimed but what is ruled out."""
        got = verdict(cells(1, {"text": 1, "video": 1}, noise=0.3))
        self.assertEqual((got.outcome, got.reason), ("inconclusive", ""))
        self.assertGreater(got.ruled_out or 0, 0.05)
        self.assertGreater(got.needed or 0, 100)

    def test_one_size_off(self) -> None:
        """A size that is 12 % off is a difference, and never equivalence, however many sizes are the same."""
        got = verdict(cells(3, {"text": 1, "video": 1}, noise=0.01, sizes=8, odd_size={"video": 1.12}))
        self.assertEqual(got.outcome, "differs")
        level = got.comparisons[0].most_different
        self.assertEqual(level and level.factors["size"], 2)
        noisy = verdict(cells(3, {"text": 1, "video": 1}, noise=0.04, sizes=8, odd_size={"video": 1.12}))
        self.assertNotEqual(noisy.outcome, "equivalent")

    def test_opposite_sizes(self) -> None:
        """Differences that average out over sizes aren't equivalence."""
        table = cells(1, {"text": 1, "video": 1}, noise=0.01, sizes=2)
        there = table.index.get_level_values("size") == 1
        table["video"] += np.where(there, math.log(1.08), -math.log(1.08))
        self.assertEqual(verdict(table).outcome, "differs")

    def test_a_real_difference_within_the_margin(self) -> None:
        """A difference that is real but smaller than the margin is equivalence; a smaller margin makes it one."""
        table = cells(1, {"text": 1, "video": 1.02}, noise=0.004)
        got = verdict(table)
        self.assertLess(got.comparisons[0].p_difference or 1, 0.05)
        self.assertEqual(got.outcome, "equivalent")
        self.assertEqual(verdict(table, margin=0.01).outcome, "differs")

    def test_which_way(self) -> None:
        """Taking the ratio the other way round changes no verdict."""
        for factors in ({"a": 1.0, "b": 1.05}, {"a": 1.0, "b": 0.97}, {"a": 1.0, "b": 1.2}):
            table = cells(4, factors, noise=0.02)
            there, back = verdict(table), verdict(table[["b", "a"]])
            self.assertEqual((there.outcome, there.needed), (back.outcome, back.needed))
            self.assertAlmostEqual(there.comparisons[0].levels[0].ratio * back.comparisons[0].levels[0].ratio, 1.0)
            self.assertAlmostEqual(there.ruled_out or 0, back.ruled_out or 1)

    def test_disturbed(self) -> None:
        """Blocks that something else made several times as slow hide no equivalence and make no difference."""
        table = cells(1, {"text": 1, "video": 1}, noise=0.01)
        table["video"] += [1.1 if place % 12 in (1, 7) else -0.7 if place % 12 == 4 else 0.0 for place in range(36)]
        self.assertEqual(verdict(table).outcome, "equivalent")

    def test_one_correction_for_all(self) -> None:
        """The correction for many tests is over all questions of a report, so one of twenty alone isn't enough."""
        quiet = cells(1, {"text": 1, "audio": 1}, noise=0.02, sizes=8)
        odd = cells(2, {"text": 1, "audio": 1.075}, noise=0.02, sizes=1, repetitions=8)
        (alone,), (_, among) = judged(asked(odd)), judged(asked(quiet), asked(odd))
        one, other = alone.comparisons[0].levels[0], among.comparisons[0].levels[0]
        self.assertEqual((alone.outcome, among.outcome), ("differs", "inconclusive"))
        self.assertAlmostEqual((other.p_beyond or 0) / (one.p_beyond or 1), 9.0)
        self.assertGreater(other.low or 0, 1.05)

    def test_chosen_pairs(self) -> None:
        """Only the pairs that are asked for are compared."""
        table = cells(1, {"text": 1, "audio": 1.5, "zeros": 1}, noise=0.02)
        (got,) = judged(asked(table, [("text", "zeros")]))
        self.assertEqual((got.outcome, len(got.comparisons)), ("equivalent", 1))


class DegenerateTests(SynchronousTestCase):
    """Data that can't bear a verdict gets none, with the reason, and neither an error nor a warning."""

    def inconclusive(self, table: pd.DataFrame, reason: str) -> EquivalenceVerdict:
        got = verdict(table)
        self.assertEqual((got.outcome, got.reason), ("inconclusive", reason))
        return got

    def test_one_block(self) -> None:
        """One block set is too few, and five are."""
        for count, text in ((1, "1 repetition"), (5, "5 repetitions")):
            table = cells(1, {"text": 1, "video": 2}, sizes=1, repetitions=count)
            got = self.inconclusive(table, f"{text} with both text and video, and a verdict takes at least 6")
            self.assertIsNone(got.ruled_out)
            self.assertIsNone(got.farthest)

    def test_one_condition(self) -> None:
        """One condition has nothing to be compared with, and no condition isn't one."""
        self.inconclusive(cells(1, {"text": 1}), "text is the only condition, so there is nothing to compare it with")
        self.inconclusive(cells(1, {"text": 1})[[]], "no block is finished")

    def test_all_dropped(self) -> None:
        """A condition of which nothing was ok is named."""
        table = cells(1, {"text": 1, "audio": 1, "video": 1})
        self.inconclusive(table.assign(video=math.nan), "no exchange of video gave a figure")
        one = replace(asked(table), cells=table.drop(columns="video"))
        self.assertEqual(judged(one)[0].reason, "no exchange of video gave a figure")

    def test_no_variance(self) -> None:
        """Ratios that are all the same, or of which all that count are, tell nothing about how sure they are."""
        table = cells(1, {"text": 1, "video": 1})
        why = "the ratio of video to text is always the same, so nothing tells how sure it is"
        self.inconclusive(table.assign(video=table["text"]), why)
        got = self.inconclusive(table.assign(video=table["text"] + math.log(1.2)), why)
        self.assertAlmostEqual(got.comparisons[0].levels[0].ratio, 1.2)
        self.inconclusive(table.assign(video=table["text"] + [9.0, *[0.0] * 35]), why)

    def test_ties_in_all_conditions(self) -> None:
        """Friedman's test is left out where all conditions are always the same."""
        table = cells(1, {"text": 1, "audio": 1, "video": 1})
        self.assertIsNone(verdict(table.assign(audio=table["text"], video=table["text"])).friedman)

    def test_sets_with_gaps(self) -> None:
        """Sets that lack a condition count for the pairs that they have, and not for Friedman's test."""
        table = cells(1, {"text": 1, "audio": 1, "video": 1}, noise=0.02, sizes=1)
        table.loc[table.index[:6], "video"] = math.nan
        got = verdict(table)
        self.assertEqual([one.levels[0].count for one in got.comparisons], [12, 6, 6])
        self.assertEqual(got.friedman.sets if got.friedman else 0, 6)

    def test_a_level_without_an_interval(self) -> None:
        """What has no interval reaches to infinity, and nothing is ruled out."""
        level = LevelRatio({}, 2, 1.5)
        self.assertEqual((level.reach, level.distance), (math.inf, 1.5))

    @settings(deadline=None, max_examples=20)
    @given(st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=14), st.integers(1, 7))
    def test_anything(self, rows: list[tuple[float, ...]], repetitions: int) -> None:
        """Whatever was measured, there is a verdict, all its figures are finite, and nothing warns."""
        places = range(len(rows))
        columns = [
            [place // repetitions for place in places],
            [10] * len(rows),
            [place % repetitions for place in places],
        ]
        index = pd.MultiIndex.from_arrays(columns, names=["size", "pairs", "repetition"])
        table = pd.DataFrame(rows, index=index, columns=["text", "audio", "video"], dtype=float)
        logs = table.where(table > 0).map(math.log)
        for level in (level for one in verdict(logs).comparisons for level in one.levels):
            for figure in (level.ratio, level.low, level.high, level.p_beyond):
                self.assertTrue(figure is None or math.isfinite(figure), level)

"""Tests of p2p.measure.precision, and of the whole procedure by simulation."""

from __future__ import annotations

import math
from dataclasses import replace
from unittest import mock

import numpy as np
from twisted.trial.unittest import SynchronousTestCase

from bench.verdicts import PLAIN, TRUTHS, rates, simulate
from p2p.measure.estimates import Middle, Values
from p2p.measure.precision import is_look, is_precise, repetitions_needed, widest


def noise(spread: float, count: int, seed: int = 1) -> Values:
    """Logarithms of ratios."""
    return np.random.default_rng(seed).normal(0.0, spread, count)


class StoppingTests(SynchronousTestCase):
    """When a run is precise enough."""

    def test_looks(self) -> None:
        """A run looks after eight repetitions, and then after every fourth."""
        self.assertEqual([count for count in range(20) if is_look(count)], [8, 12, 16])

    def test_widest(self) -> None:
        """The widest interval counts, as a share, and one that can't be had is infinite."""
        narrow, wide = noise(0.01, 12), noise(0.1, 12)
        self.assertAlmostEqual(widest([narrow, wide]), math.expm1(Middle.of(wide).half_width))
        self.assertEqual((widest([]), widest([narrow, noise(1, 1)])), (math.inf, math.inf))

    def test_precise(self) -> None:
        """Every interval must reach no farther than a third of the margin, or as far as the plan says."""
        narrow, wide = noise(0.01, 12), noise(0.2, 12)
        self.assertTrue(is_precise([narrow], 0.05))
        self.assertFalse(is_precise([narrow, wide], 0.05))
        self.assertTrue(is_precise([narrow, wide], 0.05, half_width=0.2))
        self.assertFalse(is_precise([narrow[:11]], 0.05))
        self.assertFalse(is_precise([], 0.05))

    def test_blind(self) -> None:
        """Where the ratios lie has no effect, so nobody can stop when the verdict pleases."""
        for seed in range(20):
            values = noise(0.03, 12, seed)
            self.assertEqual(is_precise([values], 0.05), is_precise([values + 0.3], 0.05))


class NeededTests(SynchronousTestCase):
    """How many repetitions it would take."""

    def test_power(self) -> None:
        """With so many, four of five runs without a difference come out as equivalent, at several levels at once."""
        needed = repetitions_needed([Middle(0.0, 0.06 / math.sqrt(20), 20)] * 6, 0.05) or 0
        self.assertTrue(20 < needed < 60, needed)
        rng = np.random.default_rng(3)
        bound, good = math.log(1.05), 0
        for _ in range(300):
            middles = [Middle.of(rng.normal(0, 0.06 / 1.07, needed)) for _ in range(6)]
            good += all(abs(one.mean) + one.half_width < bound for one in middles)
        self.assertGreater(good / 300, 0.75)

    def test_unknown(self) -> None:
        """Nothing is said where nothing is known of the noise, or no number of repetitions would do."""
        self.assertIsNone(repetitions_needed([], 0.05))
        self.assertIsNone(repetitions_needed([Middle(0.0, 0.0, 20), Middle(0.0, 1.0, 1)], 0.05))
        self.assertIsNone(repetitions_needed([Middle(0.0, 500.0, 6)], 0.05))


class SimulationTests(SynchronousTestCase):
    """Verdicts by simulation, stopping included; bench/verdicts.py has many more runs."""

    def test_equal(self) -> None:
        """Types that are equal are called so, the control too."""
        got = rates(TRUTHS[0], 25, seed=1)
        self.assertGreaterEqual(got.outcomes["equivalent"], 24)
        self.assertGreaterEqual(got.labels["equivalent"], 24)

    def test_four_percent(self) -> None:
        """4 % are found with a margin of 2 %, and with one of 5 % they are seen."""
        self.assertGreaterEqual(rates(TRUTHS[2], 15, seed=1).outcomes["differs"], 14)
        self.assertGreaterEqual(rates(TRUTHS[1], 15, seed=1).shown, 14)

    def test_one_size(self) -> None:
        """One size that is 12 % off is never called equivalent, and neither are two that balance each other."""
        for truth in TRUTHS[3:5]:
            got = rates(truth, 15, seed=1)
            self.assertEqual(got.outcomes["equivalent"], 0)
            self.assertGreaterEqual(got.outcomes["differs"], 14)

    def test_on_the_margin(self) -> None:
        """Exactly on the margin, false alarms of either kind are no more frequent than one in twenty, about."""
        got = rates(PLAIN, 300, seed=1)
        self.assertLessEqual(got.false, 21)

    def test_time_is_over(self) -> None:
        """Where the time is over first, nothing is claimed of noise."""
        got = rates(replace(PLAIN, spread=0.17, at_most=24), 60, seed=1)
        self.assertLessEqual(got.outcomes["equivalent"] + got.outcomes["differs"], 3)
        self.assertEqual(got.repetitions, 24)

    def test_as_it_runs(self) -> None:
        """A run ends at the first look that is precise."""
        run = simulate(PLAIN, 1)
        self.assertTrue(is_look(run.repetitions))
        with mock.patch("bench.verdicts.is_precise", return_value=False):
            self.assertEqual(simulate(PLAIN, 1).repetitions, PLAIN.at_most)

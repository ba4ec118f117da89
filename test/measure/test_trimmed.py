"""Tests of p2p.measure.trimmed."""

from __future__ import annotations

import numpy as np
from scipy import stats
from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.trimmed import Middle


def normal(count: int, seed: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Values with the spread of ratios."""
    return np.random.default_rng(seed).normal(0.1, 0.05, count)


class MiddleTests(SynchronousTestCase):
    def test_few(self) -> None:
        """Fewer than five values are all kept: it is the mean, with Student's test."""
        values = normal(4)
        middle = Middle.of(values)
        student = stats.ttest_1samp(values, 0.0, alternative="greater")
        self.assertAlmostEqual(middle.mean, float(np.mean(values)))
        self.assertAlmostEqual(middle.p_above(0.0), float(student.pvalue))
        low, high = middle.interval(0.9)
        wanted = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
        self.assertAlmostEqual(low, float(wanted.low))
        self.assertAlmostEqual(high, float(wanted.high))

    def test_outliers(self) -> None:
        """What lies far out at either end decides nothing."""
        values = normal(20)
        wild = np.sort(values)
        wild[:4] -= 5
        wild[-4:] += 50
        self.assertAlmostEqual(Middle.of(values).mean, Middle.of(wild).mean)
        self.assertAlmostEqual(Middle.of(values).error, Middle.of(wild).error)
        self.assertEqual(Middle.of(wild).freedom, 11)

    def test_known(self) -> None:
        """It is what scipy makes of it elsewhere: the trimmed mean, and its interval."""
        values = normal(23)
        low, high = stats.mstats.trimmed_mean_ci(values, limits=(0.2, 0.2), alpha=0.1)
        middle = Middle.of(values)
        self.assertAlmostEqual(middle.mean, float(stats.trim_mean(values, 0.2)))
        self.assertAlmostEqual(middle.interval(0.9)[0], float(low))
        self.assertAlmostEqual(middle.interval(0.9)[1], float(high))

    def test_sides(self) -> None:
        """The two tests are of one distribution, from both sides; a bound at the end of the interval has 5 %."""
        middle = Middle.of(normal(15))
        low, high = middle.interval(0.9)
        self.assertAlmostEqual(middle.p_above(low), 0.05)
        self.assertAlmostEqual(middle.p_below(high), 0.05)
        self.assertAlmostEqual(middle.p_above(0.1) + middle.p_below(0.1), 1.0)

    def test_error_rates(self) -> None:
        """One test in twenty is wrong where there is nothing, whether values are ordinary or scattered."""
        rng = np.random.default_rng(7)
        for draw in (lambda: rng.normal(0, 1, 18), lambda: rng.standard_t(2, 18)):
            wrong = sum(Middle.of(draw()).p_above(0.0) < 0.05 for _ in range(300))
            self.assertTrue(3 <= wrong <= 27, wrong)

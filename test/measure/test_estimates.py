"""Tests of p2p.measure.estimates."""

from __future__ import annotations

import warnings

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.estimates import Estimate, Middle, Share, estimate, p99, share


class EstimateTests(SynchronousTestCase):
    """Medians and their intervals."""

    def test_covers(self) -> None:
        """Intervals of 95 % hold the true median nearly that often; small samples cost a little."""
        rng = np.random.default_rng(1)
        held = 0
        for number in range(200):
            got = estimate(rng.lognormal(0, 0.3, 20), 1, str(number), 400)
            held += (got.low or 0) <= 1 <= (got.high or 0)
        self.assertGreaterEqual(held, 176)

    def test_too_few(self) -> None:
        """No values have no median, and one or two have no interval."""
        self.assertEqual(estimate([], 1, "x"), Estimate(0))
        self.assertEqual(estimate([3.0], 1, "x"), Estimate(1, 3.0))
        self.assertEqual(estimate([3.0, 5.0], 1, "x"), Estimate(2, 4.0))

    def test_no_variance(self) -> None:
        """Values that are all the same have no interval."""
        self.assertEqual(estimate([3.0] * 9, 1, "x"), Estimate(9, 3.0))

    def test_ties(self) -> None:
        """Where ties leave BCa undefined, the percentiles are taken, and the result says so."""
        got = estimate([1, 1, 1, 1, 5], 1, "x", 500)
        self.assertEqual((got.median, got.low, got.method), (1.0, 1.0, "percentile"))

    def test_seed(self) -> None:
        """Seed and key alone decide the resampling."""
        values = np.random.default_rng(1).lognormal(0, 0.3, 12)
        self.assertEqual(estimate(values, 1, "x", 200), estimate(values.tolist(), 1, "x", 200))
        self.assertNotEqual(estimate(values, 1, "x", 200), estimate(values, 2, "x", 200))
        self.assertNotEqual(estimate(values, 1, "x", 200), estimate(values, 1, "y", 200))

    @settings(deadline=None)
    @given(st.lists(st.sampled_from([0.0, 1e-9, 1.0, 2.0, 1e18]) | st.floats(0, 1e18), max_size=12))
    def test_anything(self, values: list[float]) -> None:
        """Whatever the values are, there is neither an error nor a warning, and the interval is in order."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            got = estimate(values, 1, "x", 99)
        if got.low is not None and got.high is not None:
            self.assertLessEqual(min(values), got.low * (1 + 1e-12))
            self.assertLessEqual(got.low, got.high)
            self.assertLessEqual(got.high, max(values) * (1 + 1e-12))


class ShareTests(SynchronousTestCase):
    """Shares and their exact intervals."""

    def test_none_of_many(self) -> None:
        """0 of n tells that the share is at most 3/n, and nearly that."""
        for n in (1, 10, 300, 30_000):
            got = share(0, n)
            self.assertEqual((got.share, got.low), (0.0, 0.0))
            self.assertAlmostEqual(got.high or 0, 1 - 0.05 ** (1 / n))
            self.assertLessEqual(got.high or 1, 3 / n)

    def test_all(self) -> None:
        """All of n is the mirror of none."""
        self.assertAlmostEqual(share(300, 300).low or 0, 0.05 ** (1 / 300))
        self.assertEqual(share(300, 300).high, 1.0)

    def test_known(self) -> None:
        """The interval is that of Clopper and Pearson; 10 of 100 is in every table of it."""
        got = share(10, 100)
        self.assertEqual((round(got.low or 0, 4), got.share, round(got.high or 0, 4)), (0.0490, 0.1, 0.1762))

    def test_nothing_offered(self) -> None:
        """Of nothing there is no share."""
        self.assertEqual(share(0, 0), Share(0, 0))


class PercentileTests(SynchronousTestCase):
    """The 99th percentile."""

    def test_fewest(self) -> None:
        """It takes 299 values: with 298, all of them lie below it more often than one time in twenty."""
        self.assertIsNone(p99(np.arange(298.0)))
        self.assertAlmostEqual(p99(np.arange(301.0)) or 0.0, 297.0)
        self.assertGreater(0.99**298, 0.05)
        self.assertLess(0.99**299, 0.05)


def normal(count: int, seed: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Values with the spread of ratios."""
    return np.random.default_rng(seed).normal(0.1, 0.05, count)


class MiddleTests(SynchronousTestCase):
    """Trimmed means and their tests."""

    def test_few(self) -> None:
        """Fewer than five values are all kept: it is the mean, with Student's test."""
        values = normal(4)
        middle = Middle.of(values)
        student = stats.ttest_1samp(values, 0.0, alternative="greater")
        self.assertAlmostEqual(middle.mean, float(np.mean(values)))
        self.assertAlmostEqual(middle.p_above(0.0), float(student.pvalue))
        wanted = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
        self.assertAlmostEqual(middle.mean - middle.half_width, float(wanted.low))
        self.assertAlmostEqual(middle.mean + middle.half_width, float(wanted.high))

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
        """It is what scipy makes of it elsewhere: the trimmed mean, and its test."""
        values = normal(23)
        middle = Middle.of(values)
        self.assertAlmostEqual(middle.mean, float(stats.trim_mean(values, 0.2)))
        # The error of a difference to a sample that hardly varies is that of the other (Yuen's test, by scipy).
        other = stats.ttest_ind(values, np.linspace(-1e-9, 1e-9, 23), trim=0.2, equal_var=False)
        self.assertAlmostEqual(middle.mean / middle.error, float(other.statistic), places=6)
        self.assertAlmostEqual(2 * middle.p_above(0.0), float(other.pvalue), places=6)

    def test_sides(self) -> None:
        """The two tests are of one distribution, from both sides; a bound at the end of the interval has 2.5 %."""
        middle = Middle.of(normal(15))
        self.assertAlmostEqual(middle.p_above(middle.mean - middle.half_width), 0.025)
        self.assertAlmostEqual(middle.p_below(middle.mean + middle.half_width), 0.025)
        self.assertAlmostEqual(middle.p_above(0.1) + middle.p_below(0.1), 1.0)

    def test_error_rates(self) -> None:
        """One test in twenty is wrong where there is nothing, whether values are ordinary or scattered."""
        rng = np.random.default_rng(7)
        for draw in (lambda: rng.normal(0, 1, 18), lambda: rng.standard_t(2, 18)):
            wrong = sum(Middle.of(draw()).p_above(0.0) < 0.05 for _ in range(300))
            self.assertTrue(3 <= wrong <= 27, wrong)

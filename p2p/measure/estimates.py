"""Medians, trimmed means and shares with their intervals, as scipy and statsmodels work them out.

Needs the extra ``report``.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import stdtr, stdtrit
from statsmodels.stats.proportion import proportion_confint

__all__ = [
    "CONFIDENCE",
    "FEWEST_P99",
    "FEWEST_VALUES",
    "RESAMPLES",
    "TRIMMED",
    "Estimate",
    "Middle",
    "Share",
    "Values",
    "estimate",
    "freedom",
    "p99",
    "reach",
    "share",
]

CONFIDENCE: Final = 0.95
RESAMPLES: Final = 9999
FEWEST_P99: Final = 299
"""With fewer values there is no 99th percentile: with 298, all of them lie below it more often than one time in 20."""

FEWEST_VALUES: Final = 3
"""A median of fewer values has no interval: resampling two values says nothing."""

TRIMMED: Final = 0.2
"""The share of values that a trimmed mean leaves out at each end."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median and its 95 % interval.

    :ivar n: the number of values, which are blocks unless something else is said.
    :ivar median: None if there are no values.
    :ivar low: None, as ``high``, if there are fewer than three values or all are the same.
    :ivar method: ``bca``; ``percentile`` where ties leave BCa undefined; ``none`` without an interval.
    """

    n: int
    median: float | None = None
    low: float | None = None
    high: float | None = None
    method: Literal["bca", "percentile", "none"] = "none"


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many, and the 95 % interval of the share behind it (Clopper and Pearson).

    The interval of none, or of all, has one side: 0 of n gives 0 to 1 - 0.05^(1/n), which is at most 3/n.

    :ivar share: None, as the interval, of 0 of 0.
    """

    count: int
    of: int
    share: float | None = None
    low: float | None = None
    high: float | None = None


def estimate(values: Sequence[float] | Values, seed: int, key: str, resamples: int = RESAMPLES) -> Estimate:
    """Estimate a median with its interval by the bootstrap, bias-corrected and accelerated (Efron 1987).

    :param key: what is estimated. Seed and key alone decide the resampling, so what else is estimated has no effect.
    """
    array = np.asarray(values, dtype=np.float64)
    if not array.size:
        return Estimate(0)
    median = float(np.median(array))
    if array.size < FEWEST_VALUES or np.ptp(array) <= 1e-12 * abs(median):
        return Estimate(array.size, median)
    low, high = _bootstrap(array, seed, key, resamples, "bca")
    if np.isfinite(low) and np.isfinite(high):
        return Estimate(array.size, median, low, high, "bca")
    low, high = _bootstrap(array, seed, key, resamples, "percentile")
    return Estimate(array.size, median, low, high, "percentile")


def p99(values: Values) -> float | None:
    """Return the 99th percentile, interpolated between the sorted values; None of fewer than 299.

    It is comparable with that of as many values alone: the more there are, the more rare ones are among them.
    """
    return float(np.quantile(values, 0.99)) if len(values) >= FEWEST_P99 else None


def _bootstrap(
    values: Values, seed: int, key: str, resamples: int, method: Literal["bca", "percentile"]
) -> tuple[float, float]:
    number = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")
    with warnings.catch_warnings():
        # Ties may leave BCa undefined. It comes out as NaN, which the caller sees and deals with.
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        interval = stats.bootstrap(
            [values],
            np.median,
            n_resamples=resamples,
            confidence_level=CONFIDENCE,
            method=method,
            rng=np.random.default_rng([seed, number]),
        ).confidence_interval
    return float(interval.low), float(interval.high)


def share(count: int, of: int) -> Share:
    """Estimate a share from a count."""
    if not of:
        return Share(count, of)
    one_sided = count in (0, of)
    alpha = (1 - CONFIDENCE) * (2 if one_sided else 1)
    low, high = proportion_confint(count, of, alpha=alpha, method="beta")
    return Share(count, of, count / of, float(low) if count else 0.0, float(high) if count < of else 1.0)


@dataclass(frozen=True, slots=True)
class Middle:
    """The trimmed mean of values, such as ratios that a busy machine scatters; 0 of none.

    What else a machine does for a second makes single blocks several times as slow. Such ratios would decide a mean and
    widen its interval, so a fifth at each end is left out, and the tests allow for that (Yuen 1974). Fewer than five
    values are all kept.

    :ivar error: its standard error, which comes from the winsorised variance; 0 if all that is left is the same, and of
        fewer than two values, which can't be tested.
    :ivar count: of the values, those that are left out included.
    """

    mean: float
    error: float
    count: int

    @classmethod
    def of(cls, values: Values) -> Middle:
        """Work it out."""
        count = len(values)
        if count < 2:
            return cls(float(values.sum()), 0.0, count)
        out = int(TRIMMED * count)
        ordered = np.sort(values)
        kept = ordered[out : count - out]
        winsorised = np.clip(ordered, kept[0], kept[-1])
        error = float(winsorised.std(ddof=1)) * math.sqrt((count - 1) / (len(kept) * (len(kept) - 1)))
        return cls(float(kept.mean()), error, count)

    @property
    def freedom(self) -> int:
        """Degrees of freedom of its *t* distribution."""
        return freedom(self.count)

    @property
    def half_width(self) -> float:
        """How far its interval of 95 % reaches to either side."""
        return self.error * reach(self.freedom)

    def p_above(self, bound: float) -> float:
        """The chance of such values if the middle were no more than a bound."""
        return float(stdtr(self.freedom, (bound - self.mean) / self.error))

    def p_below(self, bound: float) -> float:
        """The chance of such values if the middle were no less than a bound."""
        return float(stdtr(self.freedom, (self.mean - bound) / self.error))


def freedom(count: int) -> int:
    """Degrees of freedom that a trimmed mean of so many values has."""
    return count - 2 * int(TRIMMED * count) - 1


def reach(degrees: int) -> float:
    """How many standard errors an interval of 95 % reaches to either side, by the *t* distribution."""
    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))

"""Medians and shares with their intervals, as scipy and statsmodels work them out. Needs the extra ``report``."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

__all__ = ["CONFIDENCE", "FEWEST_VALUES", "RESAMPLES", "Estimate", "Share", "Values", "estimate", "share"]

CONFIDENCE: Final = 0.95
RESAMPLES: Final = 9999
FEWEST_VALUES: Final = 3
"""A median of fewer values has no interval: resampling two values says nothing."""

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

"""The middle of ratios that a busy machine scatters: the trimmed mean, with its tests. Needs the extra ``report``.

What else a machine does for a second makes single blocks several times as slow. Such ratios would decide a mean and
widen its interval, so a fifth at each end is left out, and the tests allow for that (Tukey and McLaughlin 1963).
Fewer than five values are all kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats
from scipy.stats import mstats

from p2p.measure.estimates import Values

__all__ = ["TRIMMED", "Middle"]

TRIMMED: Final = 0.2
"""The share that is left out at each end."""


@dataclass(frozen=True, slots=True)
class Middle:
    """The trimmed mean of values; 0 of none.

    :ivar error: its standard error, which comes from the winsorised variance; 0 if all that is left is the same, and of
        fewer than two values, which can't be tested.
    :ivar freedom: degrees of freedom of its *t* distribution.
    """

    mean: float
    error: float
    freedom: int

    @classmethod
    def of(cls, values: Values) -> Middle:
        """Work it out."""
        count = len(values)
        if count < 2:
            return cls(float(values.sum()), 0.0, 0)
        left_out = int(TRIMMED * count)
        if not left_out:
            return cls(float(np.mean(values)), float(stats.sem(values)), count - 1)
        limits = (TRIMMED, TRIMMED)
        mean, error = mstats.trimmed_mean(values, limits), mstats.trimmed_stde(values, limits)
        return cls(float(mean), float(error), count - 2 * left_out - 1)

    def interval(self, confidence: float) -> tuple[float, float]:
        """The interval that holds it with this confidence."""
        low, high = stats.t.interval(confidence, self.freedom, self.mean, self.error)
        return float(low), float(high)

    def p_above(self, bound: float) -> float:
        """The chance of such values if the middle were no more than a bound."""
        return float(stats.t.sf(self.mean - bound, self.freedom, 0, self.error))

    def p_below(self, bound: float) -> float:
        """The chance of such values if the middle were no less than a bound."""
        return float(stats.t.cdf(self.mean - bound, self.freedom, 0, self.error))

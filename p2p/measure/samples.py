"""Samples of exchanges: one a row, and the figures that sum many of them up.

A sample holds what the initiator measured with its own clock, so that no two clocks are ever compared. Times are ns
of the monotonic clock; the figures are in seconds and bytes.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from p2p.base.errors import Outcome

__all__ = ["Sample", "drops", "figures", "message_figures", "outcomes"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One exchange.

    :ivar pair: the number of the pair, from 1.
    :ivar direction: ``n1.n>m1.m``, from the initiator of the exchange to its receiver.
    :ivar bytes: of the request's body that were sent.
    :ivar reply_bytes: of the reply's body.
    :ivar planned_ns: when the exchange was asked for.
    :ivar first_byte_ns: when the first byte of the reply came, None if none did.
    """

    pair: int
    direction: str
    content_type: str
    service: str
    name: str
    bytes: int
    reply_bytes: int
    planned_ns: int
    first_byte_ns: int | None
    end_ns: int
    outcome: Outcome

    @property
    def seconds(self) -> float:
        """How long it took, from the plan to the last byte of the reply."""
        return (self.end_ns - self.planned_ns) / 1e9


def figures(values: Sequence[float]) -> dict[str, float]:
    """Sum values up as ``mean``, ``p50``, ``p99`` and ``max``; all 0 where there are none.

    Percentiles are interpolated between the sorted values (``statistics.quantiles``, method inclusive).
    """
    if not values:
        return {"mean": 0.0, "p50": 0.0, "p99": 0.0, "max": 0.0}
    cuts = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else [values[0]] * 99
    return {"mean": statistics.fmean(values), "p50": cuts[49], "p99": cuts[98], "max": max(values)}


def outcomes(samples: Iterable[Sample]) -> dict[str, int]:
    """Count the outcomes, every one of them named; ``offered`` is their sum."""
    counted = Counter(sample.outcome for sample in samples)
    by_outcome = {outcome.value: counted[outcome] for outcome in Outcome}
    return {"offered": counted.total(), **by_outcome}


def drops(samples: Sequence[Sample], pairs: int) -> dict[str, float]:
    """Count the messages that were lost, in total and on average over the pairs."""
    total = sum(sample.outcome.is_drop for sample in samples)
    return {"total": total, "mean_per_pair": total / pairs if pairs else 0.0}


def message_figures(samples: Sequence[Sample], pairs: int) -> dict[str, Any]:
    """Sum up what concerns messages: counts, sizes, times, rates and drops.

    ``throughput_bytes_per_s`` is what went both ways from the first plan to the last end, all pairs together;
    ``exchange_bytes_per_s`` is that of single exchanges, while others share the machine.
    """
    done = [sample for sample in samples if sample.outcome is Outcome.OK]
    both_ways = sum(sample.bytes + sample.reply_bytes for sample in done)
    span = (max(s.end_ns for s in done) - min(s.planned_ns for s in done)) / 1e9 if done else 0.0
    return {
        "exchanges": outcomes(samples),
        "message_size_bytes": figures([sample.bytes for sample in done]),
        "transmission_time_s": figures([sample.seconds for sample in done]),
        "exchange_bytes_per_s": figures([(s.bytes + s.reply_bytes) / s.seconds for s in done if s.seconds > 0]),
        "throughput_bytes_per_s": both_ways / span if span else 0.0,
        "drops": drops(samples, pairs),
    }

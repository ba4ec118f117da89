"""When a run has repetitions enough: it is precise, or its time is over. Needs the extra ``report``.

What decides is how wide the intervals are, never where they lie: a run that stopped as soon as its verdict pleased
would say what pleases far too often. So nothing here is told a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from p2p.measure.block_figures import frames
from p2p.measure.estimates import Values
from p2p.measure.precision import is_precise
from p2p.measure.questions import tested
from p2p.measure.raw_reader import RawRun

__all__ = ["Precision"]


class Precision:
    """The ratios that the verdicts of a run will test, repetition by repetition.

    :param margin: of equivalence, as a share.
    :param half_width: how far intervals may reach to either side, as a share; a third of the margin if None.
    """

    def __init__(self, margin: float, half_width: float | None) -> None:
        self._margin = margin
        self._half_width = half_width
        self._logs: dict[str, dict[tuple[object, ...], list[Values]]] = {}

    def add(self, run: RawRun) -> None:
        """Take finished blocks; those that are compared with each other come at once."""
        for arm, matched in tested(frames(run)).items():
            ratios = self._logs.setdefault(arm, {})
            for one in matched:
                ratios.setdefault((one.a, one.b, *_items(one.factors)), []).append(one.logs)

    def is_enough(self, arm: str) -> bool:
        """Whether every interval of an arm, at each level and of each two types, is narrow enough."""
        ratios: Sequence[Values] = [np.concatenate(logs) for logs in self._logs.get(arm, {}).values()]
        return bool(ratios) and is_precise(ratios, self._margin, self._half_width)


def _items(factors: Mapping[str, str | int]) -> tuple[tuple[str, str | int], ...]:
    return tuple(sorted(factors.items()))

"""Where the variation comes from: the part of each factor, of their interactions, and of noise (Jain 1991, chapter 22).

The sum of squares of the logarithms about their mean is taken apart. Only repetitions that have every combination of
the factors are used: then the parts are orthogonal, so they add up, and their order doesn't matter. Needs the extra
``report``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd

__all__ = ["NOISE", "REPETITION", "Variation", "VariationPart", "variation"]

REPETITION: Final = "repetition"
"""What the blocks of one repetition have in common: what the machine did meanwhile."""

NOISE: Final = "noise"

_NAMES: Final = {"size": "size", "pairs": "pairs", "load": "load", "condition": "type"}


@dataclass(frozen=True, slots=True)
class VariationPart:
    """The share of one factor, or of an interaction: ``size``, ``size and type``, ``repetition``, ``noise``."""

    name: str
    share: float


@dataclass(frozen=True, slots=True)
class Variation:
    """The variation of the latency in one arm; the shares add up to 1.

    :ivar count: figures that it rests on, one of each block and type.
    """

    arm: str
    count: int
    parts: tuple[VariationPart, ...]

    def share(self, name: str) -> float | None:
        """The share of a part; None if the arm doesn't vary it."""
        return next((one.share for one in self.parts if one.name == name), None)


def variation(arm: str, figures: pd.DataFrame) -> Variation | None:
    """Allocate the variation of an arm's latency.

    :param figures: of its blocks and content types, without controls.
    :return: None if there aren't two whole repetitions, nothing is varied, or nothing varies.
    """
    there = figures[figures["latency_s"] > 0]
    factors = [name for name in _NAMES if there[name].nunique() > 1]
    whole = _whole(there, factors)
    if not factors or whole["repetition"].nunique() < 2:
        return None
    logs = pd.Series(np.log(whole["latency_s"].to_numpy(dtype=np.float64)), index=whole.index)
    rest = logs - logs.mean()
    total = float((rest**2).sum())
    if total <= 1e-18:
        return None
    parts = []
    for name, keys in _sources(factors):
        effect = rest.groupby([whole[key] for key in keys]).transform("mean")
        parts.append(VariationPart(name, float((effect**2).sum()) / total))
        rest = rest - effect
    parts.append(VariationPart(NOISE, float((rest**2).sum()) / total))
    return Variation(arm, len(whole), tuple(parts))


def _sources(factors: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Name each factor, each interaction, and the repetition, in the order in which they are taken out.

    With what is below an interaction taken out already, the mean of what is left is the interaction itself.
    """
    for number in range(1, len(factors) + 1):
        for chosen in combinations(factors, number):
            yield " and ".join(_NAMES[name] for name in chosen), list(chosen)
    yield REPETITION, ["repetition"]


def _whole(figures: pd.DataFrame, factors: list[str]) -> pd.DataFrame:
    """Keep one figure of each combination, and the repetitions that have all of them."""
    once = figures.drop_duplicates([*factors, "repetition"])
    combined = int(np.prod([once[name].nunique() for name in factors]))
    return once[once.groupby("repetition")["repetition"].transform("size") == combined]

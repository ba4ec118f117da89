"""What is compared with what: blocks of one set, or messages of one set within a block. Needs the extra ``report``.

This is the one place that knows how the raw data say what belongs together. What comes out is ratios, the logarithms of
them, one of each repetition of a level; the tests see nothing else.

In an ordinary arm each content type has a block of its own, and the blocks of a set follow one another. In an
interleaved arm the types alternate message by message within one block: each type once makes a set. Whatever the
machine does for longer than a few messages then meets all types alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from p2p.measure.estimates import Middle, Values

__all__ = ["FACTORS", "WITHIN_SETS", "Matched", "cells", "matched_cells", "matched_messages", "pooled_cells"]

FACTORS: Final = ["size", "pairs", "load"]
"""What makes a level of an arm, apart from what is compared."""

WITHIN_SETS: Final = frozenset({"latency_s", "first_byte_s"})
"""Figures that a single message has, so that an interleaved arm compares them message by message."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Two conditions at one level.

    :ivar factors: what the level is.
    :ivar logs: the logarithm of the ratio of b to a in each repetition that has both.
    """

    a: str
    b: str
    factors: dict[str, str | int]
    logs: Values


def cells(figures: pd.DataFrame, index: Sequence[str], across: str, metric: str) -> pd.DataFrame:
    """Make a row of each set of blocks and a column of each condition: the logarithm of a figure, NaN where none is."""
    there = figures[figures[metric] > 0]
    table = there.pivot_table(index=list(index), columns=across, values=metric, aggfunc="median", sort=True)
    return pd.DataFrame(np.log(table.to_numpy(dtype=np.float64)), index=table.index, columns=table.columns)


def matched_cells(table: pd.DataFrame, pairs: Iterable[tuple[str, str]]) -> Iterator[Matched]:
    """Match the blocks of a set; whatever is in the index, apart from the repetition, makes a level."""
    names = [str(name) for name in table.index.names if name != "repetition"]
    for a, b in pairs:
        if a in table and b in table:
            both = (table[b] - table[a]).dropna()
            for key, group in both.groupby(level=names, sort=True):
                yield Matched(a, b, _factors(names, key), np.asarray(group, dtype=np.float64))


def pooled_cells(table: pd.DataFrame, pairs: Iterable[tuple[str, str]]) -> Iterator[Matched]:
    """Match the blocks of a set, and take all sets for repetitions of one level."""
    for a, b in pairs:
        if a in table and b in table:
            yield Matched(a, b, {}, (table[b] - table[a]).dropna().to_numpy(dtype=np.float64))


def matched_messages(timed: pd.DataFrame, pairs: Iterable[tuple[str, str]], metric: str) -> Iterator[Matched]:
    """Match the messages of a set within each block; a block is one repetition, by the trimmed mean over its sets.

    :param timed: the exchanges of interleaved blocks that were ok, with the columns ``set`` and the metric.
    """
    there = timed[timed[metric] > 0]
    place = [*FACTORS, "block", "pair", "direction", "set"]
    table = there.pivot_table(index=place, columns="condition", values=metric, aggfunc="first", sort=True)
    logs = pd.DataFrame(np.log(table.to_numpy(dtype=np.float64)), index=table.index, columns=table.columns)
    for a, b in pairs:
        if a in logs and b in logs:
            both = (logs[b] - logs[a]).dropna()
            blocks: dict[Any, list[float]] = {}
            groups: Iterable[tuple[Any, pd.Series[float]]] = both.groupby(level=[*FACTORS, "block"], sort=True)
            for key, group in groups:
                blocks.setdefault(key[:-1], []).append(Middle.of(np.asarray(group, dtype=np.float64)).mean)
            for key, middles in blocks.items():
                yield Matched(a, b, _factors(FACTORS, key), np.array(middles))


def _factors(names: Sequence[str], key: Any) -> dict[str, str | int]:
    values = key if isinstance(key, tuple) else (key,)
    return {name: value if isinstance(value, str) else int(value) for name, value in zip(names, values, strict=True)}

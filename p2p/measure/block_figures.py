"""From single exchanges to figures of blocks, the unit of every analysis. Needs the extra ``report``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, get_type_hints

import numpy as np
import pandas as pd

from p2p.base.errors import Outcome
from p2p.measure.raw_data import BLOCKS, DAEMONS, LINKS, LOOKUPS, SAMPLES, Columns, CsvTable, Unaccounted
from p2p.measure.raw_reader import RawRun

__all__ = [
    "LEVEL",
    "METRICS",
    "Frames",
    "Unaccounted",
    "block_figures",
    "frames",
    "in_order",
    "is_interleaved",
    "timed",
]

LEVEL: Final = ["arm", "condition", "size", "pairs", "load"]
"""Blocks that have these in common repeat one another."""

METRICS: Final = {
    "latency_s": "latency",
    "first_byte_s": "time to the first byte",
    "cycle_s": "cycle time",
    "throughput_bytes_per_s": "throughput",
    "pair_bytes_per_s": "throughput of an initiator",
    "fairness": "Jain's index of fairness",
    "messages_per_s": "messages per second",
}
"""What is worked out for each block, and what people call it."""

_CONTENT_TYPES: Final = ("text", "audio", "video", "zeros", "random")
_DTYPES: Final = {int: "int64", int | None: "Int64", float: "float64", float | None: "float64", str: "object"}


@dataclass(frozen=True)
class Frames:
    """The tables of a run as data frames; the columns are those of docs/raw-data.rst."""

    samples: pd.DataFrame
    links: pd.DataFrame
    blocks: pd.DataFrame
    lookups: pd.DataFrame
    daemons: pd.DataFrame


def frames(run: RawRun) -> Frames:
    """Make data frames of a run."""
    return Frames(
        samples=_frame(SAMPLES, run.samples),
        links=_frame(LINKS, run.links),
        blocks=_frame(BLOCKS, run.blocks),
        lookups=_frame(LOOKUPS, run.lookups),
        daemons=_frame(DAEMONS, run.daemons),
    )


def _frame(table: CsvTable, columns: Columns) -> pd.DataFrame:
    types = get_type_hints(table.row)
    return pd.DataFrame({name: pd.Series(columns[name], dtype=_DTYPES[types[name]]) for name in table.columns})


def in_order(conditions: Iterable[str]) -> list[str]:
    """Put conditions in the order in which people name them, each control behind what it controls."""

    def place(condition: str) -> tuple[int, str]:
        base = condition.partition("-as-")[0]
        return (_CONTENT_TYPES.index(base) if base in _CONTENT_TYPES else len(_CONTENT_TYPES)), condition

    return sorted(set(conditions), key=place)


def is_interleaved(samples: pd.DataFrame) -> pd.Series[bool]:
    """Mark the exchanges of blocks in which content types alternate: they belong to a set within their block."""
    if "set" not in samples:  # raw data of older versions
        return pd.Series(False, index=samples.index)
    return samples["set"].notna()


def block_figures(blocks: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """Work out the figures of each block with sampling on, in the order of their numbers.

    The columns of the blocks, then ``ok``, ``refused``, ``drops``, and those of :data:`METRICS`. An interleaved block
    has a row for each of its conditions. Where no exchange was ok, throughput is 0 and the others are NaN, as is the
    cycle time of an open loop. Only readings of one initiator's clock are ever subtracted, so the clocks of a lab
    needn't agree.

    :raises Unaccounted: if what was offered isn't the sum of the outcomes.
    """
    sampled = blocks[blocks["sampling"] == "on"].sort_values("block", ignore_index=True)
    _check_accounts(sampled, samples)
    sampled = _by_condition(sampled, samples)
    place = pd.MultiIndex.from_frame(sampled[["block", "condition"]])
    counts = pd.crosstab([samples["block"], samples["condition"]], samples["outcome"]).reindex(place, fill_value=0)
    figures = sampled.assign(
        ok=_count(counts, [Outcome.OK]),
        refused=_count(counts, [Outcome.REFUSED]),
        drops=_count(counts, [outcome for outcome in Outcome if outcome.is_drop]),
    )
    times = timed(samples)
    done = times[times["outcome"] == Outcome.OK.value]
    grouped = done.groupby(["block", "condition"], sort=True)
    rates = _rates(times).groupby(["block", "condition"], sort=True)
    measured = pd.DataFrame(
        {
            "latency_s": grouped["latency_s"].median(),
            "first_byte_s": grouped["first_byte_s"].median(),
            "cycle_s": grouped["cycle_s"].median(),
            "throughput_bytes_per_s": rates.sum(min_count=1),
            "pair_bytes_per_s": rates.median(),
            "fairness": _fairness(rates),
            "messages_per_s": _per_second(times).groupby(["block", "condition"], sort=True).sum(min_count=1),
        }
    )
    figures = figures.join(measured, on=["block", "condition"])
    closed = figures["load"] == "closed"
    return figures.assign(cycle_s=figures["cycle_s"].where(closed))


def _by_condition(blocks: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """Make a row of each condition of an interleaved block; the others stay as they are."""
    mixed = samples[is_interleaved(samples)].groupby(["block", "condition"], sort=True).size()
    if mixed.empty:
        return blocks
    found = mixed.rename("found").reset_index()
    whole = blocks[~blocks["block"].isin(found["block"])]
    parts = blocks.drop(columns=["condition"]).merge(found, on="block")
    parts = parts.assign(offered=parts["found"])[blocks.columns]
    return pd.concat([whole, parts], ignore_index=True).sort_values("block", kind="stable", ignore_index=True)


def _check_accounts(blocks: pd.DataFrame, samples: pd.DataFrame) -> None:
    numbers = blocks["block"]
    if twice := sorted(set(numbers[numbers.duplicated()])):
        raise Unaccounted(f"block {twice[0]} is finished twice; one of its rows in blocks.csv must go")
    if strange := sorted(set(samples["block"]) - set(numbers)):
        raise Unaccounted(
            f"there are samples of block {strange[0]}, which isn't among the finished blocks with samples"
        )
    known = samples[samples["outcome"].isin([outcome.value for outcome in Outcome])]
    counted = known.groupby("block").size().reindex(numbers, fill_value=0)
    for block, offered, found in zip(numbers, blocks["offered"], counted, strict=True):
        if offered != found:
            raise Unaccounted(
                f"block {block}: {offered} exchanges were offered, but the outcomes sum up to {found}; "
                "run that block again, or take it out of blocks.csv and samples.csv"
            )


def _count(counts: pd.DataFrame, outcomes: list[Outcome]) -> Any:
    return counts.reindex(columns=[outcome.value for outcome in outcomes], fill_value=0).sum(axis=1).to_numpy()


def timed(samples: pd.DataFrame) -> pd.DataFrame:
    """Add the times of each exchange in seconds: latency, first byte, and cycle."""
    ordered = samples.sort_values(["block", "pair", "direction", "planned_ns"], kind="stable", ignore_index=True)
    following = ordered.groupby(["block", "pair", "direction"])["planned_ns"].shift(-1)
    until = following.astype("Int64").fillna(ordered["end_ns"])
    return ordered.assign(
        latency_s=_seconds(ordered["end_ns"] - ordered["planned_ns"]),
        first_byte_s=_seconds(ordered["first_byte_ns"] - ordered["planned_ns"]),
        cycle_s=_seconds(until - ordered["planned_ns"]),
    )


def _seconds(nanoseconds: pd.Series[Any]) -> Any:
    return nanoseconds.astype("Int64").to_numpy(dtype=np.float64, na_value=np.nan) / 1e9


def _rates(times: pd.DataFrame) -> pd.Series[float]:
    """Work out the rate of each initiator: the bytes of what was ok, over the time for all it was asked for.

    Where content types alternate, that is the time that the exchanges of one of them took.
    """
    return _over_time(times, times["bytes"] + times["reply_bytes"])


def _per_second(times: pd.DataFrame) -> pd.Series[float]:
    """Work out how many exchanges of each initiator were ok, over the time for all it was asked for."""
    return _over_time(times, pd.Series(1, index=times.index))


def _over_time(times: pd.DataFrame, amounts: pd.Series[Any]) -> pd.Series[float]:
    ok = times["outcome"] == Outcome.OK.value
    weighed = times.assign(moved=amounts.where(ok, 0), mixed=is_interleaved(times))
    grouped = weighed.groupby(["block", "condition", "pair", "direction"], sort=True)
    moved = grouped["moved"].sum()
    span = pd.Series(_seconds(grouped["end_ns"].max() - grouped["planned_ns"].min()), index=moved.index)
    span = grouped["latency_s"].sum().where(grouped["mixed"].first(), span)
    rates: pd.Series[float] = (moved / span).where(span > 0)
    return rates


def _fairness(rates: Any) -> pd.Series[float]:
    """Work out Jain's index over the initiators: 1 if all get the same, 1/n if one of n gets everything.

    Of a single initiator there is none.
    """
    many = rates.count()
    index: pd.Series[float] = (rates.sum() ** 2 / (many * rates.agg(_squares))).where(many > 1)
    return index


def _squares(rates: pd.Series[float]) -> float:
    return float((rates**2).sum())

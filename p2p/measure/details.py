"""A closer look at a run: its messages by size, its pairs one by one, and its seconds. Needs the extra ``report``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from p2p.base.errors import Outcome
from p2p.measure.block_figures import in_order
from p2p.measure.estimates import Values

__all__ = [
    "MessageSizes",
    "PairFigures",
    "Second",
    "by_pair",
    "by_second",
    "by_size",
    "second_of",
    "spectrum",
    "target_per_s",
]

BREAK_S: Final = 5.0
"""Where nothing was under way for longer, the time is left out: the run was interrupted, or a lab was made ready."""

_OK: Final = Outcome.OK.value
_LOST: Final = frozenset(outcome.value for outcome in Outcome if outcome.is_drop)


@dataclass(frozen=True, slots=True)
class MessageSizes:
    """How large the messages of one content and size were, those that were ok, in bytes on average.

    :ivar size: as planned.
    """

    arm: str
    condition: str
    size: int
    messages: int
    sent: float
    replied: float


@dataclass(frozen=True, slots=True)
class PairFigures:
    """One pair of an arm, in the blocks with the most pairs.

    :ivar latency_s: the median of what was ok; None where nothing was.
    :ivar bytes_per_s: of its initiators, over all its blocks: bytes of what was ok over the time for all.
    """

    arm: str
    pair: int
    offered: int
    dropped: int
    latency_s: float | None
    bytes_per_s: float | None


@dataclass(frozen=True, slots=True)
class Second:
    """One second of the run, counted from its first message; seconds in which nothing happened are left out.

    :ivar messages: that ended then, ``dropped`` of them.
    :ivar bytes: both ways, of what was ok.
    :ivar latency_s: the median of what was ok; None where nothing was.
    """

    second: int
    messages: int
    dropped: int
    bytes: int
    latency_s: float | None


def by_size(samples: pd.DataFrame) -> Iterator[MessageSizes]:
    """Say how large messages and replies were, by arm, content and planned size."""
    done = samples[samples["outcome"] == _OK]
    means = done.groupby(["arm", "condition", "size"], sort=True).agg(
        messages=("bytes", "size"), sent=("bytes", "mean"), replied=("reply_bytes", "mean")
    )
    for arm, group in means.groupby(level="arm", sort=True):
        order = in_order(group.index.get_level_values("condition"))
        rows = sorted(
            group.reset_index().to_dict("records"), key=lambda row: (row["size"], order.index(row["condition"]))
        )
        for row in rows:
            yield MessageSizes(
                str(arm), row["condition"], int(row["size"]), int(row["messages"]), row["sent"], row["replied"]
            )


def by_pair(times: pd.DataFrame) -> Iterator[PairFigures]:
    """Work out each pair of each arm, in the blocks with the most pairs of that arm.

    :param times: samples with ``latency_s``, as :func:`p2p.measure.block_figures.timed` makes them.
    """
    for arm, group in times.groupby("arm", sort=True):
        most = group[group["pairs"] == group["pairs"].max()]
        for pair, one in most.groupby("pair", sort=True):
            ok = one[one["outcome"] == _OK]
            spans = one.groupby(["block", "direction"]).agg(first=("planned_ns", "min"), last=("end_ns", "max"))
            # Both directions of a pair run at once, so a pair's time is that of its block, by either clock.
            took = float((spans["last"] - spans["first"]).groupby("block").max().sum()) / 1e9
            moved = int(ok["bytes"].sum() + ok["reply_bytes"].sum())
            yield PairFigures(
                arm=str(arm),
                pair=int(str(pair)),
                offered=len(one),
                dropped=int(one["outcome"].isin(_LOST).sum()),
                latency_s=float(ok["latency_s"].median()) if len(ok) else None,
                bytes_per_s=moved / took if took > 0 else None,
            )


def by_second(blocks: pd.DataFrame, times: pd.DataFrame) -> Iterator[Second]:
    """Say what went on in each second of the run, by the coordinator's clock.

    The clocks of a lab needn't agree, so a message is placed by when its block began, and by how much later than the
    first of its initiator it ended. Where nothing was under way for more than 5 s, time doesn't count.
    """
    placed = _placed(blocks, times)
    ok = placed["outcome"] == _OK
    moved = (placed["bytes"] + placed["reply_bytes"]).where(ok, 0)
    whole = placed.assign(moved=moved, done=placed["latency_s"].where(ok), lost=placed["outcome"].isin(_LOST))
    table = whole.groupby("second", sort=True).agg(
        messages=("moved", "size"), lost=("lost", "sum"), moved=("moved", "sum"), done=("done", "median")
    )
    for number, row in table.iterrows():
        median = float(row["done"])
        yield Second(
            int(str(number)),
            int(row["messages"]),
            int(row["lost"]),
            int(row["moved"]),
            None if math.isnan(median) else median,
        )


def second_of(blocks: pd.DataFrame, times: pd.DataFrame, t_ns: int) -> int:
    """Find the second of :func:`by_second` in which something happened, by the coordinator's clock."""
    placed = _placed(blocks, times)
    before = placed.loc[placed["at"] <= t_ns, "second"]
    return int(before.iloc[-1]) if len(before) else 0


def _placed(blocks: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """Put exchanges in the order in which they ended: ``at`` by the coordinator's clock, in ``second`` of the run."""
    began = blocks.drop_duplicates("block").set_index("block")["started_ns"]
    first = times.groupby(["block", "direction"])["planned_ns"].transform("min")
    placed = times.assign(at=times["block"].map(began) + (times["end_ns"] - first)).sort_values("at", kind="stable")
    at = placed["at"].to_numpy(dtype=np.int64)
    gaps = np.diff(at, prepend=at[:1])
    gaps = np.where(gaps > BREAK_S * 1e9, 0, gaps)
    return placed.assign(second=np.cumsum(gaps) // 1_000_000_000)


def spectrum(values: Values) -> tuple[tuple[float, float], ...]:
    """Work out percentiles ever closer to all, as far as there are values: the share that is slower, and the time.

    From half on, each step leaves two thirds of what was left; the last is that of which ten are slower.
    """
    if len(values) < 20:
        return ()
    slower = [0.5]
    while slower[-1] * 2 / 3 * len(values) >= 10:
        slower.append(slower[-1] * 2 / 3)
    times = np.quantile(values, [1 - one for one in slower])
    return tuple((one, float(time)) for one, time in zip(slower, times, strict=True))


def target_per_s(load: str, pairs: int) -> float | None:
    """How many messages a second an open load asks for, of all pairs; None of the closed loop."""
    kind, _, rate = load.partition(":")
    try:
        return float(rate) * pairs if kind == "open" else None
    except ValueError:
        return None

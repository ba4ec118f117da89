"""The tables of exchanges: transmission time, bytes per second, and what size, pairs and content do to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from p2p.measure.block_figures import in_order
from p2p.measure.results import LevelFigures
from p2p.report import formats
from p2p.report.document import INTERVALS, Table, table
from p2p.report.formats import NOTHING
from p2p.report.subject import Subject

__all__ = ["by_type", "latency", "scaling", "throughput"]

SIDE_BY_SIDE: Final = 6
"""More conditions than these have no column each."""


def _place(one: LevelFigures) -> tuple[str, ...]:
    level = one.level
    load = "" if level.load == "closed" else f", {level.load}"
    return f"{level.arm}{load}", level.condition, formats.size(level.size), formats.count(level.pairs)


_PLACE: Final = ("arm", "content", "size", "pairs")


def _levels(subject: Subject) -> Iterator[LevelFigures]:
    """Go through the levels in the order of people: arm, pairs, size, content."""
    for arm in subject.arms:
        there = subject.levels(arm)
        order = in_order(one.level.condition for one in there)
        yield from sorted(
            there, key=lambda one: (one.level.load, one.level.pairs, one.level.size, order.index(one.level.condition))
        )


def latency(subject: Subject) -> Table:
    """Show the transmission time of each level: median, 99th percentile, first byte."""
    return table(
        "Transmission time",
        [*_PLACE, "median (95 % interval)", "99th percentile", "of messages", "first byte"],
        [
            (
                *_place(one),
                formats.spread(one.estimates["latency_s"], "s"),
                formats.seconds(one.p99_s),
                formats.count(one.exchanges),
                formats.seconds(one.estimates["first_byte_s"].median),
            )
            for one in _levels(subject)
        ],
        left=2,
        note=f"{INTERVALS} The 99th percentile is over all messages of a line, from 299 on; with fewer it would be "
        "little more than the slowest one, and those of different numbers can't be compared.",
    )


def throughput(subject: Subject) -> Table:
    """Show the bytes per second of each level."""
    return table(
        "Bytes per second, request and reply together",
        [*_PLACE, "all pairs (95 % interval)", "one initiator (95 % interval)"],
        [
            (
                *_place(one),
                formats.spread(one.estimates["throughput_bytes_per_s"], "B/s"),
                formats.spread(one.estimates["pair_bytes_per_s"], "B/s"),
            )
            for one in _levels(subject)
        ],
        left=2,
        note=INTERVALS,
    )


def scaling(subject: Subject) -> Table | None:
    """Show throughput and latency against pairs, where an arm has several numbers of them; else None."""
    several = [arm for arm in subject.arms if len({one.level.pairs for one in subject.levels(arm)}) > 1]
    levels = [one for one in _levels(subject) if one.level.arm in several]
    levels.sort(key=lambda one: (subject.arms.index(one.level.arm), one.level.condition, one.level.size))
    if not levels:
        return None
    return table(
        "Bytes per second and transmission time against pairs",
        [*_PLACE, "bytes per second, all pairs", "of one initiator", "fairness", "transmission time"],
        [
            (
                *_place(one),
                formats.spread(one.estimates["throughput_bytes_per_s"], "B/s"),
                formats.rate(one.estimates["pair_bytes_per_s"].median),
                formats.spread(one.estimates["fairness"], ""),
                formats.spread(one.estimates["latency_s"], "s"),
            )
            for one in levels
        ],
        left=2,
        note=INTERVALS,
    )


def by_type(subject: Subject) -> Table | None:
    """Show the median transmission time of each content side by side; None if no arm has two of them."""
    several = [arm for arm in subject.arms if len({one.level.condition for one in subject.levels(arm)}) > 1]
    levels = [one for one in _levels(subject) if one.level.arm in several]
    conditions = in_order(one.level.condition for one in levels)
    if not levels or len(conditions) > SIDE_BY_SIDE:
        return None
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for one in levels:
        arm, condition, size, pairs = _place(one)
        rows.setdefault((arm, size, pairs), {})[condition] = formats.seconds(one.estimates["latency_s"].median)
    return table(
        "Median transmission time at equal size",
        ["arm", "size", "pairs", *conditions],
        [(*place, *(cells.get(condition, NOTHING) for condition in conditions)) for place, cells in rows.items()],
    )

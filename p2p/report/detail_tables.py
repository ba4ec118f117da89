"""The tables of message sizes, single pairs, where the variation comes from, and open loads."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

from p2p.measure.details import PairFigures, target_per_s
from p2p.measure.results import LevelFigures
from p2p.report import formats
from p2p.report.document import INTERVALS, Table, table
from p2p.report.formats import NOTHING
from p2p.report.headlines import where
from p2p.report.subject import Subject

__all__ = ["cycles", "message_sizes", "open_loads", "pairs", "variation"]


def message_sizes(subject: Subject) -> Table | None:
    """Show how large messages and replies were; None if nothing was ok."""
    rows = [
        (
            one.arm,
            one.condition,
            formats.size(one.size),
            formats.count(one.messages),
            formats.bytes_(one.sent),
            formats.bytes_(one.replied),
        )
        for arm in subject.arms
        for one in subject.analysis.sizes
        if one.arm == arm
    ]
    if not rows:
        return None
    whole = subject.messages.get("")
    if whole is not None:
        ok = formats.count(subject.total.ok)
        rows.append(("whole run", "all", NOTHING, ok, formats.bytes_(whole.sent), formats.bytes_(whole.replied)))
    return table(
        "Average message size",
        ["arm", "content", "planned", "messages", "average message", "average reply"],
        rows,
        left=2,
        note="Of messages that were answered.",
    )


def cycles(subject: Subject) -> Table | None:
    """Show the cycle time of each level in the closed loop; None if there is none."""
    levels = [one for one in subject.analysis.levels if one.estimates["cycle_s"].median is not None]
    if not levels:
        return None
    return table(
        "Cycle time",
        ["arm", "content", "size", "pairs", "cycle time (95 % interval)", "transmission time"],
        [
            (
                one.level.arm,
                one.level.condition,
                formats.size(one.level.size),
                formats.count(one.level.pairs),
                formats.spread(one.estimates["cycle_s"], "s"),
                formats.seconds(one.estimates["latency_s"].median),
            )
            for arm in subject.arms
            for one in levels
            if one.level.arm == arm
        ],
        left=2,
        note=INTERVALS,
    )


def pairs(subject: Subject) -> Table | None:
    """Show what single pairs got, from the one that got least to the one that got most; None without several pairs."""
    rows = []
    for arm in subject.arms:
        held = [one for one in subject.analysis.pairs if one.arm == arm]
        if len(held) > 1:
            rows += list(_spread(held))
    if not rows:
        return None
    return table(
        "Single pairs, in the blocks with most pairs of each arm",
        ["arm", "of its pairs", "bytes per second", "median transmission time", "messages", "message drops"],
        rows,
        left=2,
        note="Least, median and most are of each column for itself. The raw data have every pair.",
    )


def _spread(held: list[PairFigures]) -> Iterator[tuple[str, ...]]:
    rates = [one.bytes_per_s for one in held if one.bytes_per_s is not None]
    times = [one.latency_s for one in held if one.latency_s is not None]
    offered, lost = [one.offered for one in held], [one.dropped for one in held]
    what: tuple[tuple[str, Callable[[list[float]], float]], ...] = (
        ("least", min),
        ("median", statistics.median),
        ("most", max),
    )
    for name, choose in what:
        yield (
            held[0].arm,
            f"{name} of {formats.count(len(held))}",
            formats.rate(choose(rates)) if rates else NOTHING,
            formats.seconds(choose(times)) if times else NOTHING,
            formats.number(choose([float(one) for one in offered])),
            formats.number(choose([float(one) for one in lost])),
        )


def variation(subject: Subject) -> Table | None:
    """Show where the variation of the transmission time comes from; None if that can't be said of any arm."""
    found = {one.arm: one for one in subject.analysis.variation}
    rows = [
        (arm, part.name, formats.tiny(part.share)) for arm in subject.arms if arm in found for part in found[arm].parts
    ]
    if not rows:
        return None
    return table(
        "Where the variation of the transmission time comes from",
        ["arm", "due to", "share"],
        rows,
        left=2,
        note="Allocation of variation (Jain 1991). Repetition is what all blocks of a repetition have in common, noise "
        "what nothing explains.",
    )


def open_loads(subject: Subject) -> Table | None:
    """Show what was asked for and what came out under an open load; None in the closed loop."""
    found = [(one, target) for one in subject.analysis.levels if (target := _target(one)) is not None]
    if not found:
        return None
    return table(
        "Open load: asked for and answered",
        ["arm", "content", "with", "asked for", "answered (95 % interval)", "share"],
        [
            (
                one.level.arm,
                one.level.condition,
                where({"size": one.level.size, "pairs": one.level.pairs}),
                f"{formats.number(target)}/s",
                _achieved(one),
                formats.percent((one.estimates["messages_per_s"].median or 0.0) / target),
            )
            for one, target in found
        ],
        left=3,
        note="Messages per second of all pairs.",
    )


def _target(one: LevelFigures) -> float | None:
    return target_per_s(one.level.load, one.level.pairs)


def _achieved(one: LevelFigures) -> str:
    found = one.estimates["messages_per_s"]
    if found.median is None:
        return NOTHING
    within = (
        ""
        if found.low is None or found.high is None
        else f" ({formats.number(found.low)} to {formats.number(found.high)})"
    )
    return f"{formats.number(found.median)}/s{within}"

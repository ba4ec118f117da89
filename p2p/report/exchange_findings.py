"""What the figures of exchanges show, in sentences. Each has its condition: what the data don't bear out isn't said.

Two medians are called different only where their intervals don't touch.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final, Literal

from p2p.measure.block_figures import in_order
from p2p.measure.estimates import Estimate
from p2p.measure.results import LevelFigures
from p2p.report import formats
from p2p.report.subject import Subject

__all__ = ["about_latency", "about_pairs", "about_throughput", "figure", "level_name"]

NEAR: Final = 1.25
"""Figures that aren't further apart than by this factor may be called about the same."""

FLAT: Final = 0.1
"""Growth by less than this share of proportion hardly depends on what grew."""


def figure(one: LevelFigures, metric: str) -> float:
    """Return the median of a figure of a level; 0 where there is none."""
    return one.estimates[metric].median or 0.0


def level_name(one: LevelFigures) -> str:
    """Name a level in a sentence: ``text of 16 KiB in arm scaling, 10 pairs``."""
    level = one.level
    return f"{level.condition} of {formats.size(level.size)} in arm {level.arm}, {formats.counted(level.pairs, 'pair')}"


def _apart(a: Estimate, b: Estimate) -> bool:
    """Whether two intervals don't touch; without intervals nothing is shown."""
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return False
    return a.high < b.low or b.high < a.low


def _differ(a: LevelFigures, b: LevelFigures, metric: str) -> bool:
    return _apart(a.estimates[metric], b.estimates[metric])


def _series(subject: Subject, along: Literal["size", "pairs"]) -> Iterator[list[LevelFigures]]:
    """Find levels that differ in one factor alone, at least two of them, in its order; nothing grows from 0."""

    def others(one: LevelFigures) -> tuple[str, str, str, int]:
        level = one.level
        return level.arm, level.condition, level.load, level.pairs if along == "size" else level.size

    def place(one: LevelFigures) -> int:
        return one.level.size if along == "size" else one.level.pairs

    growing = [one for one in subject.analysis.levels if place(one) > 0]
    for _, group in groupby(sorted(growing, key=lambda one: (others(one), place(one))), others):
        series = list(group)
        if len(series) > 1:
            yield series


def about_latency(subject: Subject) -> Iterator[str]:
    """Say how the transmission time grows with the size, and how far its tail reaches."""
    grown = []
    for first, *_, last in _series(subject, "size"):
        if _differ(first, last, "latency_s") and figure(first, "latency_s"):
            by = figure(last, "latency_s") / figure(first, "latency_s")
            larger = last.level.size / first.level.size
            grown.append((by / larger, by, larger, first, last))
    if grown:
        share, by, larger, first, last = min(grown, key=lambda one: one[0])
        text = (
            f"A message of {formats.size(last.level.size)} takes {formats.times(by)} as long as one of "
            f"{formats.size(first.level.size)} ({last.level.condition}, arm {last.level.arm}), and has "
            f"{formats.times(larger)} the bytes"
        )
        yield (
            f"{text}: a small message costs its time for being a message, not for its bytes."
            if share < FLAT
            else (f"{text}.")
        )
    known = [one for one in subject.analysis.levels if one.p99_s is not None and figure(one, "latency_s")]
    if known:
        one = max(known, key=lambda each: (each.exchanges, str(each.level)))
        yield (
            f"With {level_name(one)}, 99 of 100 messages were answered within {formats.seconds(one.p99_s)}, "
            f"{formats.times((one.p99_s or 0.0) / figure(one, 'latency_s'))} the median "
            f"({formats.counted(one.exchanges, 'message')})."
        )


def about_throughput(subject: Subject) -> Iterator[str]:
    """Say where throughput is highest, and what size does to it."""
    levels = [one for one in subject.analysis.levels if figure(one, "throughput_bytes_per_s")]
    if not levels:
        return
    best = max(levels, key=lambda one: figure(one, "throughput_bytes_per_s"))
    which = "highest throughput" if len(levels) > 1 else "throughput"
    yield (
        f"The {which} is {formats.rate(figure(best, 'throughput_bytes_per_s'))}, requests and replies of "
        f"all pairs together, with {level_name(best)}."
    )
    series = list(_series(subject, "size"))
    if not series:
        return
    rising = sum(_rises(first, last) for first, *_, last in series)
    arms = list(dict.fromkeys(one[0].level.arm for one in series))
    where = f"{'arms' if len(arms) > 1 else 'arm'} {formats.listed(arms)}"
    if rising == len(series):
        yield f"The largest messages move more bytes per second than the smallest, with every content of {where}."
    elif rising:
        yield (
            f"The largest messages move more bytes per second than the smallest in {formats.count(rising)} of "
            f"{formats.counted(len(series), 'series', 'series')} of sizes ({where}); in the others that isn't shown."
        )


def _rises(first: LevelFigures, last: LevelFigures) -> bool:
    metric = "throughput_bytes_per_s"
    return _differ(first, last, metric) and figure(first, metric) < figure(last, metric)


def about_pairs(subject: Subject) -> Iterator[str]:
    """Say what more pairs at once do to throughput and to the transmission time; of each arm, one content."""
    found = list(_series(subject, "pairs"))
    contents = in_order(one[0].level.condition for one in found)
    found.sort(key=lambda one: contents.index(one[0].level.condition), reverse=True)
    # The first content of each arm and size comes last and stays.
    for _, series in sorted({(one[0].level.arm, one[0].level.load, one[0].level.size): one for one in found}.items()):
        first, last = series[0], series[-1]
        short, long = figure(first, "latency_s"), figure(last, "latency_s")
        where = f"Arm {first.level.arm}, {first.level.condition} of {formats.size(first.level.size)}: "
        metric = "throughput_bytes_per_s"
        peak = max(series, key=lambda one: figure(one, metric))
        if _rises(first, peak) and figure(first, metric):
            yield (
                f"{where}{formats.counted(peak.level.pairs, 'pair')} at once move "
                f"{formats.times(figure(peak, metric) / figure(first, metric))} the bytes per second of "
                f"{formats.count(first.level.pairs)}."
            )
        else:
            yield f"{where}more pairs at once aren't shown to move more bytes per second."
        if _differ(first, last, "latency_s") and short:
            yield (
                f"{where}the median transmission time goes from {formats.seconds(short)} with "
                f"{formats.counted(first.level.pairs, 'pair')} to {formats.seconds(long)} with "
                f"{formats.count(last.level.pairs)}, {formats.times(long / short)} as long."
            )
        yield from _saturation(where, series)


def _is_steady(a: LevelFigures, b: LevelFigures) -> bool:
    """Whether throughput is about the same at two levels: it isn't shown to differ, and the medians are near."""
    one, other = figure(a, "throughput_bytes_per_s"), figure(b, "throughput_bytes_per_s")
    return not _differ(a, b, "throughput_bytes_per_s") and one <= other * NEAR and other <= one * NEAR


def _saturation(where: str, series: list[LevelFigures]) -> Iterator[str]:
    """Say from where on more pairs only wait for each other: throughput stays, and time grows as they do."""
    last = series[-1]
    for place, one in enumerate(series[:-1]):
        if not all(_is_steady(one, each) for each in series[place + 1 :]):
            continue
        if last.level.load != "closed" or not _differ(one, last, "latency_s") or not figure(one, "latency_s"):
            return
        longer, more = figure(last, "latency_s") / figure(one, "latency_s"), last.level.pairs / one.level.pairs
        if more / NEAR <= longer <= more * NEAR:
            yield (
                f"{where}from {formats.counted(one.level.pairs, 'pair')} on, throughput stays about the same and the "
                f"transmission time grows as the pairs do ({formats.times(more)} the pairs, {formats.times(longer)} "
                "the time): what they share is used up, and further pairs wait for it."
            )
        return

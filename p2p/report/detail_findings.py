"""What message sizes, single pairs, variation and open loads show, in sentences. Each has its condition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from p2p.measure.details import target_per_s
from p2p.measure.results import LevelFigures
from p2p.report import formats
from p2p.report.exchange_findings import figure, level_name
from p2p.report.subject import Subject

__all__ = [
    "about_course",
    "about_cycles",
    "about_open_loads",
    "about_single_pairs",
    "about_sizes",
    "about_variation",
    "is_overloaded",
]

KEPT_UP: Final = 0.95
"""The share of an open load that must be answered: with less, the queue grows for as long as the block lasts."""


def is_overloaded(one: LevelFigures) -> bool:
    """Whether less was answered than an open load asked for, so that times are those of a queue."""
    target = target_per_s(one.level.load, one.level.pairs)
    return target is not None and figure(one, "messages_per_s") < KEPT_UP * target


def about_sizes(subject: Subject) -> Iterator[str]:
    """Say how large messages are on average."""
    whole = subject.messages.get("")
    if whole is None:
        return
    yield (
        f"The average message has {formats.bytes_(whole.sent)}, and the average reply {formats.bytes_(whole.replied)}."
    )


def about_cycles(subject: Subject) -> Iterator[str]:
    """Say how long a cycle is, from the shortest to the longest."""
    levels = [one for one in subject.analysis.levels if figure(one, "cycle_s")]
    if not levels:
        return
    short, long = (choose(levels, key=lambda one: figure(one, "cycle_s")) for choose in (min, max))
    took = formats.seconds(figure(short, "cycle_s"))
    if long is short:
        yield f"A cycle takes {took}, with {level_name(short)}."
    else:
        yield f"The shortest cycle takes {took}, with {level_name(short)}."
        yield f"The longest takes {formats.seconds(figure(long, 'cycle_s'))}, with {level_name(long)}."


def about_single_pairs(subject: Subject) -> Iterator[str]:
    """Say how evenly pairs share what there is, and which lost something."""
    for arm in subject.arms:
        held = [one for one in subject.analysis.pairs if one.arm == arm]
        levels = [one for one in subject.levels(arm) if one.level.pairs == len(held) and figure(one, "fairness")]
        if len(held) < 2 or not levels:
            continue
        worst = min(levels, key=lambda one: figure(one, "fairness"))
        lost = sum(one.dropped > 0 for one in held)
        drops = (
            "none of them lost a message"
            if not lost
            else f"{formats.counted(lost, 'pair')} of them lost at least one message"
        )
        yield (
            f"Arm {arm}, {formats.counted(len(held), 'pair')} at once: Jain's index of fairness is at least "
            f"{figure(worst, 'fairness'):.3f} (1 means that all get the same), and {drops}."
        )


def about_variation(subject: Subject) -> Iterator[str]:
    """Say what part of the variation is the type's, and what is largest."""
    found = {one.arm: one for one in subject.analysis.variation}
    for arm in subject.arms:
        if arm not in found or found[arm].share("type") is None:
            continue
        one = found[arm]
        largest = max(one.parts, key=lambda part: part.share)
        own, noise = one.share("type") or 0.0, one.share("noise") or 0.0
        first = (
            f"{formats.tiny(largest.share)} of the variation of the transmission time comes from "
            f"{'noise' if largest.name == 'noise' else f'the {largest.name}'}"
        )
        rest = [
            text
            for name, text in (
                ("type", f"{formats.tiny(own)} from the type of content"),
                ("noise", f"{formats.tiny(noise)} is noise"),
            )
            if name != largest.name
        ]
        yield f"Arm {arm}: {formats.listed([first, *rest])}."


def about_open_loads(subject: Subject) -> Iterator[str]:
    """Say where an open load passes what the system can do: then times say how long the queue was."""
    asked = [one for one in subject.analysis.levels if target_per_s(one.level.load, one.level.pairs)]
    over = [one for one in asked if is_overloaded(one)]
    for one in over[:4]:
        target = target_per_s(one.level.load, one.level.pairs) or 0.0
        yield (
            f"The load passes what the system can do with {level_name(one)}: {formats.number(target)} messages a "
            f"second were asked for, and {formats.number(figure(one, 'messages_per_s'))} answered. So its times, "
            f"{formats.seconds(figure(one, 'latency_s'))} at the median, say how long the queue had grown by the end "
            "of a block, and nothing about the network."
        )
    if asked and not over:
        yield "Every open load was kept up with, so times under it are those of messages, not of a queue."


def about_course(subject: Subject) -> Iterator[str]:
    """Say which second had most, and in which something was dropped."""
    found = subject.analysis.seconds
    if not found:
        return
    most = max(found, key=lambda one: one.bytes)
    yield (
        f"Something was under way for {formats.counted(found[-1].second + 1, 'second')}; in the one with most bytes, "
        f"{formats.bytes_(most.bytes)} were moved."
    )
    lost = [one for one in found if one.dropped]
    if lost:
        yield f"Messages were dropped in {formats.counted(len(lost), 'second')}."

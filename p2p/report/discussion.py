"""What follows from several figures together, and from the controls. Each sentence has its condition."""

from __future__ import annotations

import math
from collections.abc import Iterator

from p2p.measure.results import ArmResult
from p2p.measure.verdicts import EquivalenceVerdict
from p2p.report import formats
from p2p.report.exchange_findings import figure, level_name
from p2p.report.headlines import farthest, headline, most_different, times_as_long
from p2p.report.subject import Subject

__all__ = ["about_content", "discussion", "overall"]


def overall(subject: Subject) -> Iterator[str]:
    """Answer the question of the whole experiment in one sentence."""
    by_outcome: dict[str, list[str]] = {}
    for result in subject.results:
        by_outcome.setdefault(headline(result).outcome, []).append(result.arm)
    matters, not_, open_ = (_arms(by_outcome.get(name, [])) for name in ("differs", "equivalent", "inconclusive"))
    said = [
        text
        for arms, text in (
            (matters, f"it matters in {matters}"),
            (not_, f"it doesn't matter in {not_}"),
            (open_, f"it remains open in {open_}"),
        )
        if arms
    ]
    if said:
        yield f"Does the content type matter? By the transmission time, {formats.listed(said)}."
    else:
        yield "No arm compares content types, so this run doesn't say whether they matter."


def _arms(arms: list[str]) -> str:
    return f"{'arms' if len(arms) > 1 else 'arm'} {formats.listed(arms)}" if arms else ""


def _about_controls(result: ArmResult) -> Iterator[str]:
    """Say what zeros and random bytes show of an arm."""
    content = result.content
    if content is None:
        return
    most = most_different(content)
    if content.outcome == "equivalent":
        yield (
            f"Arm {result.arm}: zeros and random bytes take as long as real content, within "
            f"±{formats.percent(content.margin)}: nothing on the way compresses it, or looks into it."
        )
    elif most is not None:
        yield f"Arm {result.arm}, control of the content: {times_as_long(most)}, so something depends on the bytes."


def about_content(subject: Subject) -> Iterator[str]:
    """Say what zeros and random bytes show."""
    for result in subject.results:
        yield from _about_controls(result)


def discussion(subject: Subject) -> Iterator[str]:
    """Say what follows from several figures together."""
    yield from _services(subject)
    for result in subject.results:
        yield from _how_many_more(subject, result)
    yield from _cycle(subject)
    yield from _set_up(subject)


def _services(subject: Subject) -> Iterator[str]:
    """Tell the part of the services from that of the network: arms with one service for all against the others."""
    planned = [(result, arm) for result in subject.results if (arm := subject.planned_arm(result.arm)) is not None]
    # What is equivalent says most, then what leaves least open.
    common = sorted((result for result, arm in planned if arm.service), key=lambda one: (_reach(one.verdict), one.arm))
    for result, arm in planned:
        one = most_different(result.verdict)
        if arm.service or one is None or not one.low or not one.high:
            continue
        yield (
            f"In arm {result.arm} each type goes to a service of its own, which does something else with it; so what "
            "differs there includes what the services do."
        )
        for other in common[:1]:
            yield from _part_of_services(result.arm, other, one.low if one.low > 1 else 1 / one.high)


def _reach(verdict: EquivalenceVerdict) -> float:
    """How large a ratio the data leave open; 1 for what is equivalent."""
    reach = farthest(verdict)
    if reach is None or not reach.low or not reach.high:
        return math.inf
    return 1.0 if verdict.outcome == "equivalent" else max(reach.high, 1 / reach.low)


def _part_of_services(arm: str, common: ArmResult, least: float) -> Iterator[str]:
    most = _reach(common.verdict)
    if most == 1:
        yield (
            f"With one service for all types (arm {common.arm}) they are equivalent, and with services of their own "
            f"(arm {arm}) one takes at least {formats.times(least)} as long as another: the difference is what the "
            "services do with the content, not what the network does with bytes."
        )
    elif least > most:
        yield (
            f"With one service for all types (arm {common.arm}) no ratio beyond {formats.number(most)} is left open by "
            f"the data; with services of their own (arm {arm}) one takes at least {formats.times(least)} as long as "
            "another. So the larger part of that difference is what the services do with the content."
        )


def _how_many_more(subject: Subject, result: ArmResult) -> Iterator[str]:
    """Say what it would take to decide what remains open: an interval narrows with the root of the repetitions."""
    verdict = result.verdict
    widest = max((math.log(one.high / one.low) / 2 for one in verdict.comparisons if one.low and one.high), default=0.0)
    bound = math.log1p(verdict.margin)
    if verdict.outcome != "inconclusive" or widest <= bound:
        return
    repetitions = max(block.repetition for block in subject.blocks(result.arm))
    needed = math.ceil(repetitions * (widest / bound) ** 2)
    yield (
        f"Arm {result.arm}: the widest interval reaches {formats.percent(math.expm1(widest))} to either side, and the "
        f"margin is ±{formats.percent(verdict.margin)}. An interval narrows with the root of the number of blocks, so "
        f"with this noise it would take about {formats.counted(needed, 'repetition')} instead of "
        f"{formats.count(repetitions)}, or a machine that does nothing else."
    )


def _cycle(subject: Subject) -> Iterator[str]:
    """Say how much of the cycle time the transmission time is."""
    cycle, latency = subject.typical("cycle_s"), subject.typical("latency_s")
    closed = all(block.load == "closed" for block in subject.analysis.blocks)
    if cycle and latency and closed and 0.9 <= latency / cycle <= 1:
        yield (
            f"The transmission time is {formats.percent(latency / cycle)} of the cycle time: an initiator sends its "
            "next message almost as soon as the last was answered."
        )


def _set_up(subject: Subject) -> Iterator[str]:
    """Compare the set-up of a link with the messages that it then carries."""
    links = [one for one in subject.links("setup_ns") if one.estimate.median]
    for one in links[:1]:
        levels = [
            each for each in subject.analysis.levels if each.level.pairs == one.pairs and figure(each, "latency_s")
        ]
        if not levels:
            continue
        fastest = min(levels, key=lambda each: figure(each, "latency_s"))
        messages = (one.estimate.median or 0.0) / 1e9 / figure(fastest, "latency_s")
        if messages >= 2:
            yield (
                f"The set-up of a link takes as long as {formats.number(messages)} messages over it "
                f"({level_name(fastest)}): a link is worth keeping."
            )

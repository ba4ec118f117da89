"""What follows from several figures together, and from the controls. Each sentence has its condition."""

from __future__ import annotations

from collections.abc import Iterator

from p2p.measure.results import ArmResult
from p2p.measure.verdicts import LevelRatio
from p2p.report import formats
from p2p.report.exchange_findings import figure, level_name
from p2p.report.headlines import compares_services, headline, times_as_long, where
from p2p.report.subject import Subject

__all__ = ["about_content", "discussion", "overall"]


def overall(subject: Subject) -> Iterator[str]:
    """Answer the question of the whole experiment in one sentence."""
    by_outcome: dict[str, list[str]] = {}
    for result in subject.results:
        outcome = headline(result).outcome
        services = outcome == "differs" and compares_services(subject.services(result.arm))
        by_outcome.setdefault("services" if services else outcome, []).append(result.arm)
    names = ("differs", "equivalent", "inconclusive", "services")
    matters, not_, open_, services_ = (_arms(by_outcome.get(name, [])) for name in names)
    said = [
        text
        for arms, text in (
            (matters, f"it matters in {matters}"),
            (not_, f"it doesn't matter in {not_}"),
            (open_, f"it remains open in {open_}"),
            (services_, f"in {services_} the services that take the types differ"),
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
    found = content.most_different
    if content.outcome == "equivalent":
        yield (
            f"Arm {result.arm}: zeros and random bytes take as long as real content, within "
            f"±{formats.percent(content.margin)}: nothing on the way compresses it, or looks into it."
        )
    elif found is not None:
        one, level = found
        yield (
            f"Arm {result.arm}, control of the content: with {where(level.factors)}, "
            f"{times_as_long(one.a, one.b, level)}, so something depends on the bytes."
        )


def about_content(subject: Subject) -> Iterator[str]:
    """Say what zeros and random bytes show."""
    for result in subject.results:
        yield from _about_controls(result)


def discussion(subject: Subject) -> Iterator[str]:
    """Say what follows from several figures together."""
    yield from _services(subject)
    yield from _cycle(subject)
    yield from _set_up(subject)


def _services(subject: Subject) -> Iterator[str]:
    """Tell the part of the services from that of the network: arms with one service for all against the others."""
    planned = [(result, arm) for result in subject.results if (arm := subject.planned_arm(result.arm)) is not None]
    common = [result for result, arm in planned if arm.service and len(result.verdict.conditions) > 1]
    for result, arm in planned:
        found = result.verdict.most_different
        if not arm.service and found is not None and common:
            yield from _part_of_services(result.arm, common, found[1])


def _part_of_services(arm: str, common: list[ArmResult], level: LevelRatio) -> Iterator[str]:
    """Compare with all arms that have one service, so with the one that leaves most open."""
    assert level.low is not None and level.high is not None
    least, names = max(level.low, 1 / level.high), _arms([one.arm for one in common])
    left = [one.verdict.ruled_out for one in common]
    own = f"with services of their own (arm {arm}) one takes at least {formats.ratio(least)} times as long as another"
    if all(one.verdict.outcome == "equivalent" for one in common):
        yield (
            f"With one service for all types ({names}) they are equivalent, and {own}: the difference is what the "
            "services do with the content, not what the network does with bytes."
        )
    elif all(one is not None for one in left) and least > 1 + (most := max(one or 0.0 for one in left)):
        yield (
            f"With one service for all types ({names}) a difference of more than {formats.percent(most)} is ruled out, "
            f"and {own}. So the larger part of that difference is what the services do with the content."
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

"""The answer to the question of each arm, does the content type matter, in plain sentences with their figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from p2p.measure.results import ArmResult
from p2p.measure.verdicts import Comparison, EquivalenceVerdict, LevelRatio
from p2p.report import formats

__all__ = [
    "Headline",
    "compares_services",
    "control",
    "headline",
    "named_ratio",
    "open_question",
    "times_as_long",
    "where",
]

_DOES: Final = {"uppercase": "upper-casing", "inspect": "decoding", "store": "storing", "echo": "sending back"}


@dataclass(frozen=True, slots=True)
class Headline:
    """An arm and its answer.

    :ivar outcome: the verdict's, or ``not asked`` where the arm has a single content type.
    """

    arm: str
    outcome: Literal["equivalent", "differs", "inconclusive", "not asked"]
    text: str


def headline(result: ArmResult, services: Mapping[str, str] | None = None) -> Headline:
    """Answer for one arm.

    :param services: what takes each content type, as far as the plan says.
    """
    verdict, arm = result.verdict, result.arm
    if len(verdict.conditions) < 2:
        only = verdict.conditions[0] if verdict.conditions else "nothing"
        return Headline(arm, "not asked", f"This arm sends {only} alone, so it doesn't ask about content types.")
    taken = {one: (services or {}).get(one, "") for one in verdict.conditions}
    if verdict.outcome == "equivalent":
        names = formats.listed(verdict.conditions)
        text = (
            f"The content type doesn't matter: {names} take the same time, within ±{formats.percent(verdict.margin)}"
            f"{_everywhere(verdict)}{_reach(verdict)}."
        )
    elif verdict.outcome == "differs":
        text = _difference(verdict, taken)
    else:
        text = open_question("whether the content type matters", verdict)
    return Headline(arm, verdict.outcome, text)


def compares_services(services: Mapping[str, str]) -> bool:
    """Whether the types of an arm go to different services, so that it compares these and not the types alone."""
    return len(set(services.values())) > 1 or "inspect" in services.values()


def control(verdict: EquivalenceVerdict) -> str:
    """Say what came out for the same bytes under another label."""
    if verdict.outcome == "equivalent":
        return (
            f"The same bytes take the same time under another label, within ±{formats.percent(verdict.margin)}"
            f"{_everywhere(verdict)}{_reach(verdict)}. So the label costs nothing, and the measurement is fine enough "
            "to tell."
        )
    found = verdict.most_different
    if found is not None:
        return f"The same bytes don't take the same time under another label: {_longest(verdict, *found)}."
    return open_question("whether the same bytes take the same time under another label", verdict)


def open_question(what: str, verdict: EquivalenceVerdict) -> str:
    """Say what remains open, what is ruled out all the same, and what it would take."""
    far, out = verdict.farthest, verdict.ruled_out
    if verdict.reason or far is None or out is None:
        return f"It remains open {what}: {verdict.reason}."
    one, level = far
    margin = formats.percent(verdict.margin)
    beyond = level.low is not None and level.high is not None and _is_beyond(level, verdict.margin)
    text = (
        f"It remains open {what} by more than {margin}. What is ruled out is a difference of more than "
        f"{formats.percent(out)}{_everywhere(verdict)}: the interval that reaches farthest is that of {one.b} to "
        f"{one.a}{_with(level)}, {named_ratio(level)}"
    )
    if beyond:
        text += (
            f", which by itself lies beyond the margin, but of {formats.counted(verdict.tests, 'test')} one such may "
            f"be chance ({_p(level.p_beyond)} after Holm's correction)"
        )
    if verdict.needed:
        text += (
            f". If nothing differs, about {formats.counted(verdict.needed, 'repetition')} would show it in four of "
            "five runs"
        )
    return f"{text}."


def _is_beyond(level: LevelRatio, margin: float) -> bool:
    return (level.low or 0.0) > 1 + margin or (level.high or math.inf) < 1 / (1 + margin)


def _everywhere(verdict: EquivalenceVerdict) -> str:
    """Say at how many levels; nothing of a single one."""
    levels = {tuple(level.factors.items()) for one in verdict.comparisons for level in one.levels}
    sizes = {level.factors.get("size") for one in verdict.comparisons for level in one.levels}
    if len(levels) < 2:
        return ""
    return ", at every size" if len(sizes) == len(levels) else ", at every size and number of pairs"


def _reach(verdict: EquivalenceVerdict) -> str:
    if verdict.farthest is None:
        return ""
    one, level = verdict.farthest
    return (
        f"; the ratio whose interval reaches farthest is that of {one.b} to {one.a}{_with(level)}, {named_ratio(level)}"
    )


def _difference(verdict: EquivalenceVerdict, services: Mapping[str, str]) -> str:
    assert verdict.most_different is not None
    one, level = verdict.most_different
    if not compares_services(services):
        return f"The content type matters: {_longest(verdict, one, level)}."
    a, b = (f"{_DOES.get(services[name], services[name] + ' of')} {name}" for name in (one.a, one.b))
    return (
        "What receivers do with the content takes different times; that says nothing about the network: "
        f"{_longest(verdict, replace(one, a=a, b=b), level)}."
    )


def _longest(verdict: EquivalenceVerdict, one: Comparison, level: LevelRatio) -> str:
    tests = f" over {formats.counted(verdict.tests, 'test')}" if verdict.tests > 1 else ""
    corrected = f" after Holm's correction{tests}" if tests else ""
    where_ = where(level.factors)
    return (
        f"{f'with {where_}, ' if where_ else ''}{times_as_long(one.a, one.b, level)}, which is beyond "
        f"±{formats.percent(verdict.margin)} ({_p(level.p_beyond)}{corrected})"
    )


def _p(value: float | None) -> str:
    text = formats.probability(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def where(factors: Mapping[str, str | int]) -> str:
    """Name a level in a sentence: ``64 KiB and 10 pairs``."""
    named: Mapping[str, Callable[[int], str]] = {
        "size": formats.size,
        "pairs": lambda many: formats.counted(many, "pair"),
    }
    found = [name(value) for key, name in named.items() if isinstance(value := factors.get(key), int)]
    if isinstance(load := factors.get("load"), str) and load != "closed":
        found.append(f"load {load}")
    return formats.listed(found)


def _with(level: LevelRatio) -> str:
    found = where(level.factors)
    return f" with {found}" if found else ""


def times_as_long(a: str, b: str, level: LevelRatio) -> str:
    """Say how much longer the slower of two conditions takes."""
    slow, fast, ratio, low, high = b, a, level.ratio, level.low, level.high
    if ratio < 1:
        slow, fast, ratio = fast, slow, 1 / ratio
        low, high = (1 / high if high else None), (1 / low if low else None)
    within = "" if low is None or high is None else f" (95 % interval {formats.interval(low, high)})"
    return f"{slow} takes {formats.ratio(ratio)} times as long as {fast}{within}"


def named_ratio(level: LevelRatio) -> str:
    """Write a ratio with its interval."""
    return f"{formats.ratio(level.ratio)} (95 % interval {formats.interval(level.low, level.high)})"

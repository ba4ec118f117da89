"""The answer to the question of each arm, does the content type matter, in one plain sentence with its figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from p2p.measure.results import ArmResult
from p2p.measure.verdicts import Comparison, EquivalenceVerdict
from p2p.report import formats

__all__ = ["Headline", "control", "farthest", "headline", "most_different", "named_ratio", "times_as_long"]


@dataclass(frozen=True, slots=True)
class Headline:
    """An arm and its answer.

    :ivar outcome: the verdict's, or ``not asked`` where the arm has a single content type.
    """

    arm: str
    outcome: Literal["equivalent", "differs", "inconclusive", "not asked"]
    text: str


def headline(result: ArmResult) -> Headline:
    """Answer for one arm."""
    verdict, arm = result.verdict, result.arm
    if len(verdict.conditions) < 2:
        only = verdict.conditions[0] if verdict.conditions else "nothing"
        return Headline(arm, "not asked", f"This arm sends {only} alone, so it doesn't ask about content types.")
    names = formats.listed(verdict.conditions)
    if verdict.outcome == "equivalent":
        text = (
            f"The content type doesn't matter: {names} take the same time, within ±{formats.percent(verdict.margin)}"
            f"{_reach(verdict)}."
        )
    elif verdict.outcome == "differs":
        text = f"The content type matters: {_difference(verdict)}."
    else:
        text = f"It remains open whether the content type matters{_open(verdict)}."
    return Headline(arm, verdict.outcome, text)


def control(verdict: EquivalenceVerdict) -> str:
    """Say what came out for the same bytes under another label."""
    one = farthest(verdict)
    if one is None:
        return f"It remains open whether the same bytes take the same time under another label: {verdict.reason}."
    margin = f"±{formats.percent(verdict.margin)}"
    if verdict.outcome == "equivalent":
        return (
            f"The same bytes take the same time under another label, within {margin}: the ratio of {one.b} to "
            f"{one.a} is {named_ratio(one)}. So the label costs nothing, and the measurement is fine enough to tell."
        )
    if verdict.outcome == "differs":
        return f"The same bytes don't take the same time under another label: {times_as_long(one)}."
    return (
        f"It remains open whether the same bytes take the same time under another label: the ratio of {one.b} to "
        f"{one.a} may lie outside {margin}: {named_ratio(one)}."
    )


def _reach(verdict: EquivalenceVerdict) -> str:
    one = farthest(verdict)
    return "" if one is None else f"; the ratio farthest from 1 is that of {one.b} to {one.a}, {named_ratio(one)}"


def _difference(verdict: EquivalenceVerdict) -> str:
    one = most_different(verdict)
    if one is None:
        return verdict.sentence
    beyond = [level for level in one.levels if level.is_beyond]
    text = times_as_long(one)
    if beyond and len(beyond) < len(one.levels):
        level = max(beyond, key=lambda each: abs(math.log(each.ratio)))
        where = _where(level.factors)
        text += f", and with {where} it is shown to be outside the margin: {formats.number(level.ratio)}"
    return text


def _where(factors: Mapping[str, str | int]) -> str:
    """Name the size and the pairs of a level."""
    named: Mapping[str, Callable[[int], str]] = {
        "size": formats.size,
        "pairs": lambda many: formats.counted(many, "pair"),
    }
    return " and ".join(name(value) for key, name in named.items() if isinstance(value := factors.get(key), int))


def times_as_long(one: Comparison) -> str:
    """Say how much longer the slower of two conditions takes."""
    slow, fast, ratio, low, high = one.b, one.a, one.ratio or 1.0, one.low, one.high
    if ratio < 1:
        slow, fast, ratio = fast, slow, 1 / ratio
        low, high = (1 / high if high else None), (1 / low if low else None)
    within = "" if low is None or high is None else f" (90 % interval {formats.interval(low, high)})"
    return f"{slow} takes {formats.times(ratio)} as long as {fast}{within}"


def _open(verdict: EquivalenceVerdict) -> str:
    one = farthest(verdict)
    if one is None:
        return f": {verdict.reason}"
    return (
        f": no difference is shown, but the ratio of {one.b} to {one.a} may lie outside "
        f"±{formats.percent(verdict.margin)}: {named_ratio(one)}"
    )


def named_ratio(one: Comparison) -> str:
    """Write a ratio with its interval."""
    return f"{formats.number(one.ratio or 0.0)} (90 % interval {formats.interval(one.low, one.high)})"


def farthest(verdict: EquivalenceVerdict) -> Comparison | None:
    """Find the comparison whose interval reaches farthest from 1; None if none has an interval."""
    return max((one for one in verdict.comparisons if one.low), key=_distance, default=None)


def _distance(one: Comparison) -> float:
    return max(abs(math.log(end)) for end in (one.low, one.high) if end)


def most_different(verdict: EquivalenceVerdict) -> Comparison | None:
    """Find the comparison that differs most, of those that do."""
    differing = [one for one in verdict.comparisons if one.outcome == "differs" and one.ratio]
    return max(differing, key=lambda one: abs(math.log(one.ratio or 1)), default=None)

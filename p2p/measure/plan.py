"""The plan of an experiment: what its YAML file may say, and loading it.

Every problem is told as ``file:line: key: what is wrong, what was expected``, as for every other configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from p2p.base.config import StrictModel
from p2p.base.config_fields import Size
from p2p.base.yaml_files import LocatedErrors, load
from p2p.measure.blocks import (
    CONDITIONS,
    MAX_EXCHANGES,
    Block,
    Condition,
    Factors,
    Load,
    Problems,
    drawn,
    impossible,
    rounds,
)
from p2p.measure.blocks import parse_condition as _parse_condition

__all__ = ["MAX_BLOCKS", "MAX_CONTENT", "MIN_CONTENT", "Arm", "ExperimentPlan", "Until", "load_plan"]

MIN_CONTENT: Final = 1024
MAX_CONTENT: Final = 67_108_864
"""Bytes of one content."""

MAX_BLOCKS: Final = 100_000
"""Blocks of a plan."""

FEWEST: Final = 6
"""Repetitions at least where a run goes on until it is precise."""

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%")
_SPAN: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*(s|min|h)")
_UNITS: Final = {"s": 1, "min": 60, "h": 3600}
_OPEN: Final = "expected closed, or {open: 20} for 20 exchanges a second of each pair"


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text[:60]!r} can't be a name here, expected lower case letters, digits and hyphens")
    return text


def _margin(value: Any) -> float:
    share = _share(value)
    if share is None or not 0.001 <= share <= 0.5:
        raise ValueError(f"{str(value)[:60]!r} is no margin, expected one from 0.1% to 50%, like 5%")
    return share


def _half_width(value: Any) -> float:
    share = _share(value)
    if share is None or not 0.0001 <= share <= 0.5:
        raise ValueError(f"{str(value)[:60]!r} is no half-width, expected one from 0.01% to 50%, like 1.5%")
    return share


def _share(value: Any) -> float | None:
    found = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    share = float(found[1]) / 100 if found else value
    return share if isinstance(share, float) else None


def _span(value: Any) -> Any:
    found = _SPAN.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(found[1]) * _UNITS[found[2]] if found else value


def _load(value: Any) -> Load:
    if value == "closed":
        return Load()
    rate = value.get("open") if isinstance(value, dict) and len(value) == 1 else None
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        raise ValueError(f"isn't a load, {_OPEN}")
    if not 0.001 <= rate <= 1_000_000:
        raise LocatedErrors([(("open",), f"is {rate:g}, expected from 0.001 to 1000000 exchanges a second of a pair")])
    return Load(float(rate))


def _condition(value: Any) -> Condition:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:60]!r} is no content type, expected {CONDITIONS}")
    return _parse_condition(value)


def _counts(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Name = Annotated[str, AfterValidator(_name)]
ContentSize = Annotated[Size, Field(ge=MIN_CONTENT, le=MAX_CONTENT)]
Pairs = Annotated[int, Field(ge=1, le=10_000)]
Exchanges = Annotated[int, Field(ge=1, le=1_000_000)]
WarmUp = Annotated[int, Field(ge=0, le=1_000_000)]
Repetitions = Annotated[int, Field(ge=1, le=1000)]


class Until(StrictModel):
    """When there are repetitions enough; the verdict has no part in it."""

    half_width: Annotated[float, BeforeValidator(_half_width)] | None = Field(
        default=None,
        description="how far intervals may reach to either side, like 1.5%; a third of the margin if left out",
    )
    at_most: Annotated[float, BeforeValidator(_span), Field(ge=1, le=864_000)] = Field(
        description="a time after which nothing more is repeated, like 10min"
    )


class Arm(StrictModel):
    """Factors that are combined each with each, with a verdict of their own."""

    service: Name | None = Field(default=None, description="a content service; without one, what each type is for")
    types: list[Annotated[Condition, PlainValidator(_condition)]] = Field(
        min_length=1, description=f"a list of content types: {CONDITIONS}"
    )
    sizes: list[ContentSize] = Field(min_length=1, description="a list of sizes from 1KiB to 64MiB")
    pairs: list[Pairs] = Field(min_length=1, description="a list of numbers: how many pairs talk at once")
    load: Annotated[Load, PlainValidator(_load)] | None = Field(default=None, description=f"a load, {_OPEN}")
    interleaved: bool = Field(default=False, description="true, to have the types alternate message by message")
    both_ways: bool = Field(default=False, description="true, to have either peer of each pair ask the other")
    kill_routers: bool = Field(
        default=False, description="true, to have both routers killed in the middle of each block, on this machine"
    )
    sampling_cost: bool = Field(default=False, description="true, to run each block once more without sampling")
    exchanges: Annotated[list[Exchanges], BeforeValidator(_counts), Field(min_length=1)] | None = Field(
        default=None, description="exchanges of a pair and a type in a block, one number or one for each size"
    )
    warm_up: WarmUp | None = Field(default=None, description="exchanges of a pair before a block")
    repetitions: Repetitions | None = Field(default=None, description="how often each block is run")

    def counts(self, usual: int | None) -> list[int]:
        """Exchanges of each pair in a block, for each of the sizes; ``usual`` if the arm has none of its own.

        0 means that a pilot finds out.
        """
        own = self.exchanges or [usual or 0]
        return own if len(own) == len(self.sizes) else own * len(self.sizes)


class ExperimentPlan(StrictModel):
    """What an experiment does."""

    title: Annotated[str, Field(min_length=1, max_length=200)] = Field(description="what the experiment is about")
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = Field(description="a whole number; it draws order and content")
    margin: Annotated[float, BeforeValidator(_margin)] = Field(
        default=0.05, description="how large a difference still counts as none, like 5%"
    )
    arms: dict[Name, Arm] = Field(min_length=1, description="a mapping from names to types, sizes and pairs")
    load: Annotated[Load, PlainValidator(_load)] = Field(default=Load(), description=f"a load, {_OPEN}")
    exchanges: Exchanges | None = Field(
        default=None, description="exchanges of a pair and a type in a block; without it, a pilot counts out 250 ms"
    )
    warm_up: WarmUp = Field(default=2, description="exchanges of a pair before it")
    repetitions: Repetitions = Field(default=6, description="how often each block is run, at least")
    until: Until | None = Field(default=None, description="a mapping that says when there are repetitions enough")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        problems: Problems = [
            (
                ("arms", name, "exchanges"),
                f"has {len(arm.exchanges)} numbers for {len(arm.sizes)} sizes, expected one, or one for each size",
            )
            for name, arm in self.arms.items()
            if arm.exchanges is not None and len(arm.exchanges) not in (1, len(arm.sizes))
        ]
        problems = problems or [
            (("arms", arm.arm, *where) if where != ("load",) or self.arms[arm.arm].load else where, text)
            for arm in self.factors
            for where, text in impossible(arm)
        ]
        if self.until is not None and self.repetitions < FEWEST:
            problems.append((("repetitions",), f"is {self.repetitions}, expected at least {FEWEST} beside until"))
        if problems:
            raise LocatedErrors(problems)
        self._small_enough()
        return self

    @cached_property
    def factors(self) -> list[Factors]:
        """The arms with everything that holds for them, whether they or the plan say it."""
        return [
            Factors(
                arm=name,
                service=arm.service,
                conditions=arm.types,
                sizes=arm.sizes,
                pairs=arm.pairs,
                load=arm.load or self.load,
                exchanges=arm.counts(self.exchanges),
                warm_up=self.warm_up if arm.warm_up is None else arm.warm_up,
                repetitions=arm.repetitions or self.repetitions,
                unsampled=arm.sampling_cost,
                interleaved=arm.interleaved,
                both_ways=arm.both_ways,
                kill_routers=arm.kill_routers,
                # Without a second type there is nothing to be compared, and so no precision to wait for.
                extends=self.until is not None and arm.repetitions is None and len(arm.types) > 1,
            )
            for name, arm in self.arms.items()
        ]

    def _small_enough(self) -> None:
        blocks = exchanges = 0
        for arm in self.factors:
            times = arm.repetitions * len(arm.conditions) * (1 + arm.unsampled)
            blocks += times * len(arm.sizes) * len(arm.pairs) // (len(arm.conditions) if arm.interleaved else 1)
            exchanges += (
                times * (1 + arm.both_ways) * sum(arm.pairs) * sum(number + arm.warm_up for number in arm.exchanges)
            )
        for key, number, most in (("blocks", blocks, MAX_BLOCKS), ("exchanges", exchanges, MAX_EXCHANGES)):
            if number > most:
                where = "repetitions" if key == "blocks" else "exchanges"
                text = f"the arms come to {number} {key}, at most {most} are run; take fewer repetitions or factors"
                raise LocatedErrors([((where,), text)])

    def blocks(self) -> list[Block]:
        """Make all blocks in the order in which they are run; of an arm that goes on until it is precise, the least."""
        return drawn(self.factors, self.seed)

    def rounds(self) -> Iterator[list[list[Block]]]:
        """Make the blocks round by round, set by set; without end if an arm goes on until it is precise."""
        return rounds(self.factors, self.seed)

    @property
    def pairs(self) -> int:
        """The most pairs that a block needs at once."""
        return max(max(arm.pairs) for arm in self.arms.values())

    @property
    def seconds(self) -> float:
        """About how long all blocks take, at least."""
        return sum(block.seconds for block in self.blocks())


def load_plan(path: Path) -> ExperimentPlan:
    """Load the YAML file of a plan.

    :raises ConfigError: with everything that is wrong, a line each.
    """
    return load(path, ExperimentPlan)

"""What a report is about: the raw data of a run, their analysis, and the plan behind them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import cached_property

from p2p.base.errors import ConfigError, Outcome
from p2p.measure.blocks import Block
from p2p.measure.plan import Arm, ExperimentPlan, load_plan
from p2p.measure.raw_data import PLAN, Columns
from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis, ArmResult, BlockFigures, Drops, LevelFigures, LinkFigures

__all__ = ["Messages", "Subject", "subject_of"]


@dataclass(frozen=True, slots=True)
class Messages:
    """How large the messages of exchanges that were ok are, in bytes on average.

    :ivar sent: of the requests.
    :ivar replied: of the replies.
    """

    sent: float
    replied: float


@dataclass(frozen=True)
class Subject:
    """A run and everything that is known of it.

    :ivar plan: None if it is missing or can't be used; ``plan_problem`` says why.
    :ivar messages: by arm; the whole run is under the empty name. Where no exchange was ok there is nothing.
    """

    run: RawRun
    analysis: Analysis
    plan: ExperimentPlan | None
    plan_problem: str
    messages: dict[str, Messages]

    @cached_property
    def arms(self) -> tuple[str, ...]:
        """The arms with finished blocks, in the order of the plan."""
        there = {one.level.arm for one in self.analysis.levels} | {one.arm for one in self.analysis.arms}
        planned = list(self.plan.arms) if self.plan is not None else []
        return tuple(sorted(there, key=lambda arm: (planned.index(arm) if arm in planned else len(planned), arm)))

    @property
    def results(self) -> tuple[ArmResult, ...]:
        """The verdicts of each arm in which something is compared, in the order of the plan."""
        found = {one.arm: one for one in self.analysis.arms}
        return tuple(found[arm] for arm in self.arms if arm in found)

    @cached_property
    def planned(self) -> tuple[Block, ...]:
        """The blocks of the plan."""
        return tuple(self.plan.blocks()) if self.plan is not None else ()

    @property
    def lacking(self) -> int:
        """How many planned blocks aren't there."""
        return len({block.number for block in self.planned} - self.run.finished)

    @property
    def machines(self) -> tuple[str, ...]:
        """Where something ran."""
        return tuple(dict.fromkeys(one.where for one in self.run.facts.placement))

    @property
    def is_one_machine(self) -> bool:
        """Whether everything ran on one machine, as far as the run says."""
        return len(self.machines) == 1

    @property
    def processors(self) -> int:
        """Of the coordinator's machine; 0 if that isn't known."""
        value = self.run.facts.machine.get("processors", 0)
        return value if isinstance(value, int) else 0

    @property
    def measured(self) -> int:
        """How many blocks have figures; one in which types alternate counts once."""
        return len({one.block for one in self.analysis.blocks})

    @property
    def most_pairs(self) -> int:
        """The most pairs that talked at once."""
        return max(block.pairs for block in self.analysis.blocks)

    @property
    def is_interleaved(self) -> bool:
        """Whether content types alternate within some blocks."""
        return any(one is not None for one in self.run.samples.get("set", ()))

    @property
    def total(self) -> Drops:
        """What became of the messages of the whole run."""
        return next(one for one in self.analysis.drops if not one.arm)

    def planned_arm(self, arm: str) -> Arm | None:
        """What the plan says of an arm."""
        return self.plan.arms.get(arm) if self.plan is not None else None

    def services(self, arm: str) -> dict[str, str]:
        """What takes each content type of an arm, as far as the plan says."""
        return {one.condition: one.service for block in self.planned if block.arm == arm for one in block.messages}

    def levels(self, arm: str) -> list[LevelFigures]:
        """The levels of an arm."""
        return [one for one in self.analysis.levels if one.level.arm == arm]

    def blocks(self, arm: str = "") -> list[BlockFigures]:
        """The blocks of an arm, or all."""
        return [one for one in self.analysis.blocks if arm in ("", one.arm)]

    def typical(self, metric: str, arm: str = "") -> float | None:
        """The median of a figure over the blocks of an arm, or of the run."""
        values = [value for one in self.blocks(arm) if (value := one.figures.get(metric)) is not None]
        return statistics.median(values) if values else None

    def links(self, figure: str) -> list[LinkFigures]:
        """One figure of the links, by the number of pairs."""
        return sorted((one for one in self.analysis.links if one.figure == figure), key=lambda one: one.pairs)


def subject_of(run: RawRun, analysis: Analysis) -> Subject:
    """Put together what belongs to a run; its plan is read from its folder."""
    plan, problem = None, ""
    try:
        plan = load_plan(run.folder / PLAN)
    except ConfigError as error:
        problem = str(error).replace(str(run.folder / PLAN), PLAN)
    return Subject(run, analysis, plan, problem, _messages(run.samples))


def _messages(samples: Columns) -> dict[str, Messages]:
    sums: dict[str, list[int]] = {}
    columns = (samples[name] for name in ("arm", "outcome", "bytes", "reply_bytes"))
    for arm, outcome, sent, replied in zip(*columns, strict=True):
        if outcome == Outcome.OK.value:
            for name in ("", arm):
                total = sums.setdefault(name, [0, 0, 0])
                total[0] += 1
                total[1] += sent
                total[2] += replied
    return {name: Messages(sent / number, replied / number) for name, (number, sent, replied) in sums.items()}

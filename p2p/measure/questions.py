"""What a run is asked: which conditions are compared with which, by what, in each arm. Needs the extra ``report``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final

import pandas as pd

from p2p.base.errors import Outcome
from p2p.measure.block_figures import METRICS, Frames, block_figures, in_order, is_interleaved, timed
from p2p.measure.matched import FACTORS, WITHIN_SETS, Matched, cells, matched_cells, matched_messages, pooled_cells
from p2p.measure.verdicts import Inquiry, ResearchQuestion

__all__ = ["COMPARED", "Conditions", "by_latency", "by_other_figures", "of_runs", "of_sampling", "tested"]

COMPARED: Final = ("latency_s", "first_byte_s", "cycle_s", "throughput_bytes_per_s")
"""What conditions are compared by; the first is what the verdict of an arm is about, fixed before any data is seen."""

SAMPLING_MARGIN: Final = 0.02

_CONTROLS: Final = frozenset({"zeros", "random"})
_Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of an arm: content types; the same bytes under another label; zeros and random."""

    types: tuple[str, ...]
    labels: tuple[str, ...]
    controls: tuple[str, ...]

    @classmethod
    def of(cls, conditions: pd.Series[str]) -> Conditions:
        """Sort them."""
        ordered = in_order(conditions)
        labels = tuple(one for one in ordered if "-as-" in one)
        controls = tuple(one for one in ordered if one in _CONTROLS)
        return cls(tuple(one for one in ordered if one not in (*labels, *controls)), labels, controls)

    @property
    def judged(self) -> tuple[str, ...]:
        """What the verdict of the arm is about."""
        return self.types or self.controls


@dataclass(frozen=True)
class _Arm:
    """One arm: its figures by block and condition, and the exchanges of its interleaved blocks that were ok."""

    name: str
    figures: pd.DataFrame
    mixed: pd.DataFrame
    margin: float

    def ask(self, kind: str, metric: str, conditions: Sequence[str], pairs: Sequence[_Pair] | None = None) -> Inquiry:
        """Ask whether conditions are equivalent by a figure; without pairs, each is compared with each."""
        table = cells(self.figures, [*FACTORS, "repetition"], "condition", metric)
        chosen = list(combinations(conditions, 2)) if pairs is None else list(pairs)
        within = metric in WITHIN_SETS and len(self.mixed)
        matched = matched_messages(self.mixed, chosen, metric) if within else matched_cells(table, chosen)
        question = ResearchQuestion(kind, self.name, metric, METRICS[metric])
        return Inquiry(question, conditions, chosen, list(matched), table, self.margin)


def _arms(figures: pd.DataFrame, samples: pd.DataFrame, margin: float) -> Iterator[_Arm]:
    mixed = timed(samples[is_interleaved(samples) & (samples["outcome"] == Outcome.OK.value)])
    for arm, group in figures.groupby("arm", sort=True):
        yield _Arm(str(arm), group, mixed[mixed["arm"] == arm], margin)


def by_latency(figures: pd.DataFrame, samples: pd.DataFrame, margin: float) -> Iterator[Inquiry]:
    """Ask, in each arm, about content types, about each label, and about zeros and random bytes."""
    metric = COMPARED[0]
    for arm in _arms(figures, samples, margin):
        there = Conditions.of(arm.figures["condition"])
        yield arm.ask("types", metric, there.judged)
        for label in there.labels:
            yield arm.ask("label", metric, (label.partition("-as-")[0], label))
        if there.types and there.controls:
            against = [*product(there.types, there.controls), *combinations(there.controls, 2)]
            yield arm.ask("content", metric, (*there.types, *there.controls), against)


def by_other_figures(figures: pd.DataFrame, samples: pd.DataFrame, margin: float) -> Iterator[Inquiry]:
    """Ask about content types by every other figure, for information."""
    for arm in _arms(figures, samples, margin):
        there = Conditions.of(arm.figures["condition"])
        for metric in COMPARED[1:]:
            if arm.figures[metric].notna().any():
                yield arm.ask("types", metric, there.judged)


def tested(data: Frames) -> dict[str, list[Matched]]:
    """Collect, by arm, the ratios of every pair at every level on which a verdict by latency rests.

    This is what decides when a run is precise enough.

    :raises Unaccounted: if the samples of a block aren't what was offered.
    """
    found: dict[str, list[Matched]] = {}
    for one in by_latency(block_figures(data.blocks, data.samples), data.samples, 0.05):
        found.setdefault(one.question.arm, []).extend(one.matched)
    return found


def of_sampling(blocks: pd.DataFrame) -> Inquiry | None:
    """Ask what sampling costs; in both kinds of blocks the initiators have told their rates."""
    if not (blocks["sampling"] == "off").any():
        return None
    table = cells(blocks, ["arm", "condition", *FACTORS, "repetition"], "sampling", "bytes_per_s")
    pairs = [("off", "on")]
    question = ResearchQuestion("sampling", "", "throughput_bytes_per_s", "throughput")
    return Inquiry(question, ("off", "on"), pairs, list(pooled_cells(table, pairs)), table, SAMPLING_MARGIN)


def of_runs(both: pd.DataFrame, arm: str, metric: str, margin: float) -> Inquiry:
    """Ask whether run B is equivalent to run A in one arm, at every level that both have.

    :param both: the figures of both, with a column ``run``.
    """
    table = cells(both, ["condition", *FACTORS, "repetition"], "run", metric)
    pairs = [("A", "B")]
    question = ResearchQuestion("runs", arm, metric, METRICS[metric])
    return Inquiry(question, ("A", "B"), pairs, list(matched_cells(table, pairs)), table, margin)

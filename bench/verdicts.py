"""How often verdicts are right: power and false alarms by simulation, with the project's own analysis.

Each simulated run has the arms of a plan, the noise of a machine that does something else now and then (a share of the
repetitions is disturbed, several times as much as the others scatter), and a difference that is planted. It goes on
until it is precise enough, or its time is over, as a real one does; then it is judged.

A false alarm is *differs* where nothing lies beyond the margin, or *equivalent* where something does. It is most likely
where the truth lies exactly on the margin. The program fails if the upper end of its 95 % interval is above 6 %.

Run it from the project's folder: ``python -m bench.verdicts``.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from statistics import median
from typing import Final

import click
import numpy as np
import pandas as pd

from p2p.measure.estimates import Values, share
from p2p.measure.matched import Matched, matched_cells
from p2p.measure.precision import is_look, is_precise
from p2p.measure.verdicts import EquivalenceVerdict, Inquiry, ResearchQuestion, judge

LIMIT: Final = 0.06
"""Of the upper end of the 95 % interval of the share of false alarms."""

TYPES: Final = ("text", "audio", "video")
LABEL: Final = ("text", "text-as-audio")
SIZES: Final = (1024, 65536, 1048576)


@dataclass(frozen=True)
class Truth:
    """What is simulated.

    :ivar factors: by what a condition is slower, or ``condition/size``.
    :ivar spread: of the ratio of two conditions from one repetition to the next, as a share.
    :ivar disturbed: the share of figures that something else made several times as large.
    :ivar beyond: whether something lies on the margin or beyond it, so that *equivalent* is false.
    :ivar within: whether nothing lies beyond the margin, so that *differs* is false.
    """

    name: str
    factors: Mapping[str, float] = field(default_factory=dict)
    spread: float = 0.03
    disturbed: float = 0.1
    margin: float = 0.05
    at_most: int = 60
    types: Sequence[str] = TYPES
    sizes: Sequence[int] = SIZES
    label: bool = True
    beyond: bool = False
    within: bool = True

    @property
    def conditions(self) -> tuple[str, ...]:
        """All that is sent."""
        return (*self.types, *(LABEL[1:] if self.label else ()))


MARGIN: Final = 1.05
PLAIN: Final = Truth(
    "two types, one size", {"video": MARGIN}, beyond=True, types=TYPES[::2], sizes=SIZES[1:2], label=False
)
TRUTHS: Final = (
    Truth("all types equal"),
    Truth("video 4 % slower", {"video": 1.04}),
    Truth("video 4 % slower, margin 2 %", {"video": 1.04}, spread=0.015, margin=0.02, beyond=True, within=False),
    Truth("video 12 % slower at one size", {"video/65536": 1.12}, beyond=True, within=False),
    Truth(
        "video 8 % slower when small, 8 % faster when large",
        {"video/1024": 1.08, "video/1048576": 1 / 1.08},
        beyond=True,
        within=False,
    ),
    Truth("on the margin: video at one size", {"video/65536": MARGIN}, beyond=True),
    Truth("on the margin: video at every size", {"video": MARGIN}, beyond=True),
    replace(PLAIN, name="on the margin: two types, one size"),
    replace(PLAIN, name="the same, undisturbed", disturbed=0.0),
    replace(PLAIN, name="the same, spread 2 %", spread=0.02),
    replace(PLAIN, name="the same, spread 5 %", spread=0.05),
    replace(PLAIN, name="the same, spread 17 %, time over first", spread=0.17, at_most=24),
    Truth("all types equal, spread 17 %, time over first", spread=0.17, at_most=24),
)


@dataclass(frozen=True)
class Run:
    """A simulated run when it had ended."""

    verdict: EquivalenceVerdict
    label: EquivalenceVerdict | None
    repetitions: int

    @property
    def outcome(self) -> str:
        """What the verdict says."""
        return self.verdict.outcome

    @property
    def shown(self) -> bool:
        """Whether an interval of video to text excludes 1 at every size: a difference is there, however small."""
        levels = next(one for one in self.verdict.comparisons if (one.a, one.b) == ("text", "video")).levels
        return all(one.low is not None and one.low > 1 for one in levels)


def simulate(truth: Truth, seed: int) -> Run:
    """Simulate one run."""
    values = _values(truth, np.random.default_rng(seed))
    repetitions = next(
        (count for count in range(truth.at_most) if is_look(count) and _precise(values[:, :, :count], truth)),
        truth.at_most,
    )
    return _judged(values[:, :, :repetitions], truth, repetitions)


def _values(truth: Truth, rng: np.random.Generator) -> Values:
    """Make logarithms of figures: sizes, conditions, repetitions."""
    shape = (len(truth.sizes), len(truth.conditions), truth.at_most)
    logs = rng.normal(0, truth.spread / math.sqrt(2), shape)
    logs += np.where(rng.random(shape) < truth.disturbed, rng.exponential(1.0, shape), 0.0)
    for at, size in enumerate(truth.sizes):
        for place, name in enumerate(truth.conditions):
            logs[at, place] += math.log(truth.factors.get(name, 1.0) * truth.factors.get(f"{name}/{size}", 1.0))
    return logs


def _pairs(truth: Truth) -> list[tuple[str, str]]:
    return [*combinations(truth.types, 2), *((LABEL,) if truth.label else ())]


def _precise(values: Values, truth: Truth) -> bool:
    place = {name: at for at, name in enumerate(truth.conditions)}
    return is_precise([one[place[b]] - one[place[a]] for a, b in _pairs(truth) for one in values], truth.margin)


def _judged(values: Values, truth: Truth, repetitions: int) -> Run:
    index = pd.MultiIndex.from_product([truth.sizes, range(repetitions)], names=["size", "repetition"])
    cells = pd.DataFrame(
        values.transpose(0, 2, 1).reshape(-1, len(truth.conditions)), index=index, columns=list(truth.conditions)
    )
    matched: list[Matched] = list(matched_cells(cells, _pairs(truth)))
    types = _asked("types", truth.types, list(combinations(truth.types, 2)), matched, cells, truth.margin)
    labels = [_asked("label", LABEL, [LABEL], matched, cells, truth.margin)] if truth.label else []
    verdict, *rest = judge([types, *labels])
    return Run(verdict, rest[0] if rest else None, repetitions)


def _asked(
    kind: str,
    conditions: Sequence[str],
    pairs: list[tuple[str, str]],
    matched: list[Matched],
    cells: pd.DataFrame,
    margin: float,
) -> Inquiry:
    mine = [one for one in matched if (one.a, one.b) in pairs]
    return Inquiry(ResearchQuestion(kind, "simulated", "latency_s", "latency"), conditions, pairs, mine, cells, margin)


@dataclass(frozen=True)
class Rates:
    """What came out of many runs."""

    truth: Truth
    outcomes: Counter[str]
    labels: Counter[str]
    shown: int
    repetitions: float

    @property
    def runs(self) -> int:
        """How many there were."""
        return self.outcomes.total()

    @property
    def false(self) -> int:
        """Runs with a false alarm of either kind: the worse of the two."""
        wrong = [self.outcomes["equivalent"]] if self.truth.beyond else []
        wrong += [self.outcomes["differs"]] if self.truth.within else []
        return max(wrong, default=0)


def rates(truth: Truth, runs: int, seed: int) -> Rates:
    """Simulate many runs."""
    found = [simulate(truth, seed + number) for number in range(runs)]
    return Rates(
        truth,
        Counter(one.outcome for one in found),
        Counter(one.label.outcome for one in found if one.label is not None),
        sum(one.shown for one in found),
        median(one.repetitions for one in found),
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--runs", default=2000, show_default=True, help="Simulated runs of each line.")
@click.option("--seed", default=1, show_default=True, help="Of the first run; the others follow.")
def main(runs: int, seed: int) -> None:
    """Show how often verdicts are right."""
    head = f"{'truth':<52} {'equivalent':>10} {'differs':>8} {'open':>7} {'> 1 shown':>9} {'label ok':>8}"
    click.echo(f"{head} {'false, at most':>14} {'repetitions':>11}")
    worst = 0.0
    for truth in TRUTHS:
        got = rates(truth, runs, seed)
        high = share(got.false, got.runs).high or 0.0
        worst = max(worst, high)
        parts = [f"{got.outcomes[name] / got.runs:.1%}" for name in ("equivalent", "differs", "inconclusive")]
        label = f"{got.labels['equivalent'] / got.runs:.1%}" if truth.label else ""
        click.echo(
            f"{truth.name:<52} {parts[0]:>10} {parts[1]:>8} {parts[2]:>7} {got.shown / got.runs:>9.1%} {label:>8} "
            f"{high:>14.1%} {got.repetitions:>11g}"
        )
    if worst > LIMIT:
        click.echo(f"false alarms may be as frequent as {worst:.1%}, more than {LIMIT:.0%}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

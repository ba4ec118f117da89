"""What reports are about, made up: analyses part by part, and whole runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from p2p.base.errors import Outcome
from p2p.measure.analysis import analyse
from p2p.measure.block_figures import METRICS, frames
from p2p.measure.estimates import Estimate, Share, share
from p2p.measure.plan import ExperimentPlan
from p2p.measure.raw_data import BLOCKS, DAEMONS, FACTS, LINKS, LOOKUPS, PLAN, SAMPLES, Placement, RunFacts
from p2p.measure.raw_reader import RawRun
from p2p.measure.results import (
    Analysis,
    ArmResult,
    BlockFigures,
    DaemonFigures,
    Drops,
    Level,
    LevelFigures,
    LinkFigures,
)
from p2p.measure.verdicts import Comparison, EquivalenceVerdict, LevelRatio, ResearchQuestion, VerdictOutcome
from p2p.report.subject import Messages, Subject
from test.measure.synthetic_run import Synthetic

__all__ = [
    "FACTS_OF_RUN",
    "PLAN_TEXT",
    "arm",
    "block",
    "comparison",
    "daemon",
    "drops",
    "estimate",
    "level",
    "link",
    "measured",
    "ratio",
    "subject",
    "verdict",
    "write_run",
]

PLAN_TEXT: Final = """\
title: Does it matter?
seed: 1
arms:
  transport:
    service: echo
    types: [text, audio, video, text-as-audio]
    sizes: [1KiB, 64KiB, 1MiB]
    pairs: [10]
    exchanges: [40, 30, 12]
  own: {types: [text, audio], sizes: [64KiB], pairs: [10]}
"""

FACTS_OF_RUN: Final = RunFacts(
    title="Does it matter?",
    seed=1,
    started="2026-11-23T04:47:39+00:00",
    finished="2026-11-23T04:48:34+00:00",
    machine={
        "name": "lab1",
        "system": "Linux 6",
        "processor": "a fast one",
        "processors": 2,
        "memory_bytes": 8 * 10**9,
    },
    versions={"p2p": "0.1.0", "python": "3.12.1"},
    clock={"name": "CLOCK_MONOTONIC", "resolution_ns": 1.0},
    placement=(Placement(what="router-n", where="lab1"), Placement(what="peers-n", where="lab1")),
)


def estimate(median: float | None, spread: float = 0.0, n: int = 6) -> Estimate:
    """Make an estimate whose interval reaches so far to either side; without a spread it has none."""
    if median is None or not spread:
        return Estimate(n, median)
    return Estimate(n, median, median * (1 - spread), median * (1 + spread), "bca")


def level(
    arm: str = "transport",
    condition: str = "text",
    size: int = 1024,
    pairs: int = 10,
    load: str = "closed",
    **figures: float,
) -> LevelFigures:
    """Make a level; every figure that is named has an interval of ±1 %, the others aren't there."""
    found = {name: estimate(figures.get(name), 0.01) for name in METRICS}
    return LevelFigures(Level(arm, condition, size, pairs, load), found)


def block(arm: str = "transport", **changes: Any) -> BlockFigures:
    """Make a block."""
    figures: dict[str, float | None] = dict.fromkeys(METRICS)
    made = BlockFigures(1, 1, arm, "text", 1024, 10, "closed", 6, 100, 100, 0, 0, figures)
    return replace(made, **changes)


def ratio(outcome: VerdictOutcome = "equivalent", **more: Any) -> LevelRatio:
    """Make a ratio of 1.01 (0.99 to 1.03) at 1 KiB and 10 pairs, unless it is said otherwise."""
    given: dict[str, Any] = {
        "factors": {"size": 1024, "pairs": 10, "load": "closed"},
        "count": 18,
        "ratio": 1.01,
        "low": 0.99,
        "high": 1.03,
        "p_beyond": 0.4,
    }
    return LevelRatio(outcome=outcome, **(given | more))


def comparison(a: str = "text", b: str = "audio", outcome: VerdictOutcome = "equivalent", **more: Any) -> Comparison:
    """Make a comparison at one level; what is said otherwise is of its ratio."""
    return Comparison(a, b, (ratio(outcome, **more),), outcome, p_difference=0.3)


def verdict(
    outcome: VerdictOutcome, *comparisons: Comparison, kind: str = "types", **changes: Any
) -> EquivalenceVerdict:
    """Make a verdict on the conditions of its comparisons."""
    conditions = tuple(dict.fromkeys(name for one in comparisons for name in (one.a, one.b)))
    question = ResearchQuestion(kind, "transport", "latency_s", "latency")
    reason = "" if any(one.farthest and one.farthest.low for one in comparisons) else "too few"
    made = EquivalenceVerdict(question, outcome, reason, 0.05, conditions, None, comparisons, tests=12, needed=40)
    return replace(made, **changes)


def arm(
    name: str = "transport", outcome: VerdictOutcome = "equivalent", *found: Comparison, **changes: Any
) -> ArmResult:
    """Make the result of an arm."""
    made = ArmResult(name, verdict(outcome, *(found or (comparison(outcome=outcome),))), (), None, (), "")
    return replace(made, **changes)


def drops(
    arm: str = "", condition: str = "", offered: int = 1000, refused: int = 0, causes: Mapping[str, int] | None = None
) -> Drops:
    """Make what was lost, by outcome."""
    counted = {one: (causes or {}).get(one.value, 0) for one in Outcome if one.is_drop}
    lost = sum(counted.values())
    shares: Mapping[str, Share] = {one.value: share(number, offered) for one, number in counted.items()}
    return Drops(arm, condition, offered, offered - lost - refused, refused, share(lost, offered), dict(shares))


def link(figure: str, pairs: int, median: float | None, spread: float = 0.1) -> LinkFigures:
    """Make a figure of links."""
    top = 2 * (median or 0.0)
    return LinkFigures(
        figure=figure, pairs=pairs, links=6 * pairs, p99=top, most=top, total=30.0, estimate=estimate(median, spread)
    )


def daemon(name: str, role: str, sockets: tuple[int, int, int] = (10, 10, 10), **changes: Any) -> DaemonFigures:
    """Make what a daemon held."""
    return replace(DaemonFigures(name, role, 5, *sockets, 1.5, 0.25, 50_000_000), **changes)


def subject(
    *, facts: RunFacts = FACTS_OF_RUN, plan: str = PLAN_TEXT, notes: tuple[str, ...] = (), **parts: Any
) -> Subject:
    """Make a subject with these parts of an analysis, and the least that an analysis has."""
    given: dict[str, Any] = {
        "arms": (arm(),),
        "levels": (),
        "blocks": (block(),),
        "ecdfs": (),
        "drops": (drops(), drops("transport")),
        "links": (),
        "lookups": (),
        "daemons": (),
        "sampling": None,
        "missing": (),
        "notes": notes,
    }
    empty = {table: table.empty() for table in (SAMPLES, LINKS, BLOCKS, LOOKUPS, DAEMONS)}
    run = RawRun(
        Path("nowhere"),
        plan,
        facts,
        empty[SAMPLES],
        empty[LINKS],
        empty[BLOCKS] | {"block": [1]},
        empty[LOOKUPS],
        empty[DAEMONS],
        notes,
    )
    analysis = Analysis(1, 0.05, 0.05, 99, **(given | parts))
    return Subject(run, analysis, _plan(plan), "" if plan else "no plan", {"": Messages(2048.0, 2048.0)})


@cache
def _plan(text: str) -> ExperimentPlan | None:
    return ExperimentPlan.model_validate(yaml.safe_load(text)) if text else None


@cache
def measured(seed: int = 1) -> tuple[RawRun, Analysis]:
    """Make a small synthetic run with its analysis, once."""
    made = Synthetic(
        seed=seed, conditions=("text", "audio", "text-as-audio"), sizes=(1024,), repetitions=6, pairs=2, exchanges=4
    )
    run = replace(made.run(), facts=FACTS_OF_RUN, plan=PLAN_TEXT)
    return run, analyse(frames(run), seed=seed, resamples=20)


def write_run(folder: Path, facts: RunFacts = FACTS_OF_RUN, run: RawRun | None = None) -> Path:
    """Write a small synthetic run into a folder."""
    made = measured()[0] if run is None else run
    folder.mkdir(parents=True, exist_ok=True)
    for table, columns in (
        (SAMPLES, made.samples),
        (BLOCKS, made.blocks),
        (LINKS, made.links),
        (LOOKUPS, made.lookups),
        (DAEMONS, made.daemons),
    ):
        (folder / table.file).write_text(table.dump(columns))
    (folder / PLAN).write_text(PLAN_TEXT)
    (folder / FACTS).write_text(facts.to_json())
    return folder

"""The analysis of a run: every figure that a report shows, from data frames alone. Needs the extra ``report``.

The unit is the block. docs/raw-data.rst says how each figure comes about. The same data and the same seed give the same
result, to the byte of its JSON.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from p2p.base.errors import Outcome
from p2p.measure.block_figures import LEVEL, METRICS, Frames, block_figures, in_order, timed
from p2p.measure.details import by_pair, by_second, by_size, spectrum
from p2p.measure.estimates import RESAMPLES, Estimate, Values, estimate, p99, share
from p2p.measure.questions import COMPARED, Conditions, by_latency, by_other_figures, of_runs, of_sampling
from p2p.measure.raw_data import LINKS, MissingBlock
from p2p.measure.results import (
    Analysis,
    ArmResult,
    BlockFigures,
    DaemonFigures,
    Drops,
    Ecdf,
    Level,
    LevelFigures,
    LevelPair,
    LinkFigures,
    LookupFigures,
    RunComparison,
)
from p2p.measure.variation import Variation, variation
from p2p.measure.verdicts import ALPHA, Criteria, EquivalenceVerdict, Inquiry, judge

__all__ = ["analyse", "compare"]

POINTS: Final = 201
"""Of an ECDF: every half percent from 0 to 1."""

_Verdicts = tuple[tuple[ArmResult, ...], EquivalenceVerdict | None]
_LINK_FIGURES: Final = [name for name in LINKS.columns if name.endswith(("_ns", "_us")) or name == "retransmits"]


def analyse(
    data: Frames,
    *,
    margin: float = 0.05,
    seed: int = 0,
    resamples: int = RESAMPLES,
    missing: Sequence[MissingBlock] = (),
    notes: Sequence[str] = (),
) -> Analysis:
    """Analyse a run.

    :param margin: of equivalence, as a share, from the plan.
    :param missing: what the run itself says is missing; it is passed on, as ``notes`` are.
    :raises Unaccounted: if the samples of a block aren't what was offered.
    """
    rule = Criteria(margin, seed, resamples)
    blocks = block_figures(data.blocks, data.samples)
    arms, sampling = _arms(blocks, data.samples, of_sampling(data.blocks), rule)
    times = timed(data.samples)
    answered = _answered(blocks, data.samples)
    ecdfs = tuple(_ecdf(level, values) for level, values in answered.items())
    tails = {level: (len(values), p99(values)) for level, values in answered.items()}
    silent = blocks.loc[blocks["ok"] == 0, ["block", "arm", "condition"]].itertuples(index=False)
    return Analysis(
        seed=seed,
        margin=margin,
        alpha=ALPHA,
        resamples=resamples,
        arms=arms,
        levels=tuple(
            LevelFigures(level, _estimates(level, group, rule), *tails.get(level, (0, None)))
            for level, group in _levels(blocks)
        ),
        blocks=tuple(_block(row) for row in blocks.to_dict("records")),
        ecdfs=ecdfs,
        drops=tuple(_drops(blocks, data.samples)),
        links=tuple(_links(data.links, blocks, rule)),
        lookups=tuple(_lookups(data.lookups, rule)),
        daemons=tuple(_daemons(data.daemons)),
        sampling=sampling,
        missing=tuple(missing),
        variation=tuple(_variation(blocks)),
        sizes=tuple(by_size(data.samples)),
        pairs=tuple(by_pair(times)),
        seconds=tuple(by_second(data.blocks, times)),
        notes=(*notes, *(f"block {number}, {arm} with {one}: no exchange was ok" for number, arm, one in silent)),
    )


def compare(a: Frames, b: Frames, *, margin: float = 0.05, seed: int = 0, resamples: int = RESAMPLES) -> RunComparison:
    """Compare two runs, block sets that both have; what else differs between the runs, nobody can tell apart.

    :raises Unaccounted: if the samples of a block aren't what was offered.
    """
    rule = Criteria(margin, seed, resamples)
    blocks = {"A": block_figures(a.blocks, a.samples), "B": block_figures(b.blocks, b.samples)}
    arms = [set(one["arm"]) for one in blocks.values()]
    both = pd.concat([one.assign(run=name) for name, one in blocks.items()], ignore_index=True)
    levels = {name: dict(_levels(one)) for name, one in blocks.items()}
    return RunComparison(
        seed=seed,
        margin=margin,
        verdicts=judge(
            [
                of_runs(both[both["arm"] == arm], arm, metric, rule.margin)
                for metric in COMPARED
                for arm in sorted(arms[0] & arms[1])
                if both.loc[both["arm"] == arm, metric].notna().any() or metric == COMPARED[0]
            ]
        ),
        levels=tuple(
            LevelPair(one, _estimates(one, group, rule, "A"), _estimates(one, levels["B"][one], rule, "B"))
            for one, group in levels["A"].items()
            if one in levels["B"]
        ),
        drops_a=tuple(_drops(blocks["A"], a.samples)),
        drops_b=tuple(_drops(blocks["B"], b.samples)),
        notes=(
            *(f"arm {arm} is in run A alone" for arm in sorted(arms[0] - arms[1])),
            *(f"arm {arm} is in run B alone" for arm in sorted(arms[1] - arms[0])),
            *(f"{one} is in run A alone" for one in levels["A"] if one not in levels["B"]),
            *(f"{one} is in run B alone" for one in levels["B"] if one not in levels["A"]),
        ),
    )


# -- verdicts -------------------------------------------------------------------------------------------------------


def _arms(figures: pd.DataFrame, samples: pd.DataFrame, sampling: Inquiry | None, rule: Criteria) -> _Verdicts:
    """Reach all verdicts of a run: those by the latency, and on sampling, are corrected together."""
    judged = judge([*by_latency(figures, samples, rule.margin), *([sampling] if sampling else [])])
    informed = judge(list(by_other_figures(figures, samples, rule.margin)))
    cost = judged[-1] if sampling else None
    arms = []
    for arm in sorted({one.question.arm for one in judged if one is not cost}):
        mine = [one for one in judged if one.question.arm == arm and one is not cost]
        by_kind = {one.question.kind: one for one in mine}
        labels = tuple(one for one in mine if one.question.kind == "label")
        others = tuple(one for one in informed if one.question.arm == arm)
        result = ArmResult(arm, by_kind["types"], others, by_kind.get("content"), labels, _caution(arm, labels))
        arms.append(result)
    return tuple(arms), cost


def _variation(figures: pd.DataFrame) -> Iterable[Variation]:
    """Take the variation of each arm apart; controls aren't in it."""
    for arm, group in _grouped(figures, "arm"):
        types = group["condition"].isin(Conditions.of(group["condition"]).types)
        if (found := variation(str(arm), group[types])) is not None:
            yield found


def _caution(arm: str, same_bytes: Sequence[EquivalenceVerdict]) -> str:
    """Say how far the controls bear the verdict out."""
    wrong = [verdict.conditions[1] for verdict in same_bytes if verdict.outcome == "differs"]
    if wrong:
        return (
            f"Arm {arm}: the same bytes under another label differ ({', '.join(wrong)}), so what differs here need not "
            "be the content; don't rely on this arm before that is explained."
        )
    open_ones = [verdict.conditions[1] for verdict in same_bytes if verdict.outcome == "inconclusive"]
    if open_ones:
        return (
            f"Arm {arm}: it is open whether the same bytes under another label are equivalent "
            f"({', '.join(open_ones)}); the measurement may be too coarse for the margin."
        )
    return ""


# -- figures --------------------------------------------------------------------------------------------------------


def _grouped(frame: pd.DataFrame, by: str | list[str]) -> Iterable[tuple[Any, pd.DataFrame]]:
    return frame.groupby(by, sort=True)


def _levels(blocks: pd.DataFrame) -> Iterable[tuple[Level, pd.DataFrame]]:
    for (arm, condition, size, pairs, load), group in _grouped(blocks, LEVEL):
        yield Level(arm, condition, int(size), int(pairs), load), group


def _estimates(level: Level, blocks: pd.DataFrame, rule: Criteria, run: str = "") -> dict[str, Estimate]:
    return {
        metric: estimate(
            blocks[metric].dropna().to_numpy(dtype=np.float64), rule.seed, f"{run}|{level}|{metric}", rule.resamples
        )
        for metric in METRICS
    }


def _block(row: Mapping[Hashable, Any]) -> BlockFigures:
    numbers = ("block", "order", "size", "pairs", "repetition", "offered", "ok", "refused", "drops")
    return BlockFigures(
        arm=row["arm"],
        condition=row["condition"],
        load=row["load"],
        figures={metric: float(row[metric]) if np.isfinite(row[metric]) else None for metric in METRICS},
        **{name: int(row[name]) for name in numbers},
    )


def _answered(blocks: pd.DataFrame, samples: pd.DataFrame) -> dict[Level, Values]:
    """Collect the latencies of the exchanges that were ok, of each level."""
    done = samples[samples["outcome"] == Outcome.OK.value]
    latency = done[["block", "condition"]].assign(latency_s=(done["end_ns"] - done["planned_ns"]) / 1e9)
    placed = blocks[["block", *LEVEL]].merge(latency, on=["block", "condition"])
    return {level: group["latency_s"].to_numpy(dtype=np.float64) for level, group in _levels(placed)}


def _ecdf(level: Level, values: Values) -> Ecdf:
    points = np.quantile(values, np.linspace(0, 1, POINTS))
    return Ecdf(level, len(values), tuple(float(point) for point in points), spectrum(values))


def _drops(blocks: pd.DataFrame, samples: pd.DataFrame) -> Iterable[Drops]:
    placed = samples[["block", "condition", "outcome"]].merge(
        blocks[["block", "arm", "condition"]], on=["block", "condition"]
    )
    yield _drops_of("", "", placed["outcome"])
    for arm, group in _grouped(placed, "arm"):
        yield _drops_of(str(arm), "", group["outcome"])
        for condition in in_order(group["condition"]):
            yield _drops_of(str(arm), condition, group.loc[group["condition"] == condition, "outcome"])


def _drops_of(arm: str, condition: str, outcomes: pd.Series[str]) -> Drops:
    counted = {outcome: int((outcomes == outcome.value).sum()) for outcome in Outcome}
    offered = sum(counted.values())
    lost = {outcome: count for outcome, count in counted.items() if outcome.is_drop}
    return Drops(
        arm=arm,
        condition=condition,
        offered=offered,
        ok=counted[Outcome.OK],
        refused=counted[Outcome.REFUSED],
        dropped=share(sum(lost.values()), offered),
        causes={outcome.value: share(count, offered) for outcome, count in lost.items()},
    )


def _links(links: pd.DataFrame, blocks: pd.DataFrame, rule: Criteria) -> Iterable[LinkFigures]:
    placed = links.drop(columns="pair").merge(blocks[["block", "pairs"]].drop_duplicates(), on="block")
    for pairs, group in _grouped(placed, "pairs"):
        for figure in _LINK_FIGURES:
            there = group[["block", figure]].dropna().astype({figure: "float64"})
            if there.empty:
                continue
            by_block = there.groupby("block", sort=True)[figure].median()
            yield LinkFigures(
                figure=figure,
                pairs=int(pairs),
                links=len(there),
                p99=p99(there[figure].to_numpy()),
                most=float(there[figure].max()),
                total=float(there[figure].sum()),
                estimate=estimate(by_block.to_numpy(), rule.seed, f"link|{pairs}|{figure}", rule.resamples),
            )


def _lookups(lookups: pd.DataFrame, rule: Criteria) -> Iterable[LookupFigures]:
    for size, group in _grouped(lookups, "table_size"):
        values = group["ns"].to_numpy(dtype=np.float64)
        yield LookupFigures(int(size), estimate(values, rule.seed, f"lookup|{size}", rule.resamples))


def _daemons(daemons: pd.DataFrame) -> Iterable[DaemonFigures]:
    for (role, daemon), group in _grouped(daemons, ["role", "daemon"]):
        ordered = group.sort_values("t_ns", kind="stable")
        first, last = ordered.iloc[0], ordered.iloc[-1]
        cpu_s, took = float(last["cpu_s"] - first["cpu_s"]), float(last["t_ns"] - first["t_ns"]) / 1e9
        yield DaemonFigures(
            daemon=str(daemon),
            role=str(role),
            readings=len(ordered),
            sockets_first=int(first["sockets"]),
            sockets_most=int(ordered["sockets"].max()),
            sockets_last=int(last["sockets"]),
            cpu_s=cpu_s,
            cpu_share=cpu_s / took if took else None,
            rss_bytes_most=int(ordered["rss_bytes"].max()),
        )

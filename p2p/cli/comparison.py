"""How ``p2p experiment compare`` shows two runs beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from p2p.cli.output import columns, duration, printable, size
from p2p.measure.raw_reader import RawRun

if TYPE_CHECKING:  # it needs the extra "report"
    from p2p.measure.estimates import Estimate
    from p2p.measure.results import LevelPair, RunComparison
    from p2p.measure.verdicts import Verdict

__all__ = ["show_comparison"]

NOTES: Final = 6
"""Notes of what one run has alone that are shown; ``--json`` has them all."""

_ALONE: Final = ("is in run A alone", "is in run B alone")


def show_comparison(found: RunComparison, a: RawRun, b: RawRun) -> None:
    """Print it for a person: what each arm says, every level of both, drops, and what else to know."""
    for name, run in (("A", a), ("B", b)):
        facts = run.facts
        what = f"{facts.title or 'untitled'}, {facts.started or 'nobody knows when'}, {len(run.finished)} blocks"
        click.echo(printable(f"run {name}: {run.folder}: {what}"))
    if found.verdicts:
        click.echo("\nB against A, by arm:\n")
        rows = [_verdict_row(one) for one in found.verdicts]
        click.echo(columns(("arm", "what", "B / A", "90 % interval", "of", "verdict"), rows))
        for one in found.verdicts:
            if one.reason:
                click.echo(printable(f"{one.question.arm}, {one.question.quantity}: {one.reason}"))
    if found.levels:
        click.echo("\nMedians of what both have:\n")
        heads = ("arm", "content", "size", "pairs", "load", "latency A", "B", "bytes per second A", "B")
        click.echo(columns(heads, [_level_row(one) for one in found.levels]))
    click.echo("")
    for name, drops in (("A", found.drops_a), ("B", found.drops_b)):
        if drops:
            lost = drops[0].dropped
            click.echo(f"Run {name} dropped {lost.count} of {lost.of} exchanges.")
    for note in (*_notes_on(found, a, b), *_notes_of("A", a), *_notes_of("B", b)):
        click.echo(f"note: {printable(note)}")


def _verdict_row(verdict: Verdict) -> tuple[str, ...]:
    question, (one,) = verdict.question, verdict.comparisons
    ratio = "" if one.ratio is None else f"{one.ratio:.3f}"
    interval = "" if one.low is None else f"{one.low:.3f} to {one.high:.3f}"
    count = f"{one.observations} {one.unit}{'' if one.observations == 1 else 's'}"
    return question.arm, question.quantity, ratio, interval, count, verdict.outcome


def _level_row(pair: LevelPair) -> tuple[str, ...]:
    level = pair.level
    place = (level.arm, level.condition, str(level.size), str(level.pairs), level.load)
    latencies = [_shown(run["latency_s"], is_rate=False) for run in (pair.a, pair.b)]
    rates = [_shown(run["throughput_bytes_per_s"], is_rate=True) for run in (pair.a, pair.b)]
    return (*place, *latencies, *rates)


def _shown(estimate: Estimate, *, is_rate: bool) -> str:
    if estimate.median is None:
        return "none"
    return f"{size(estimate.median)}/s" if is_rate else duration(estimate.median)


def _notes_on(found: RunComparison, a: RawRun, b: RawRun) -> Iterator[str]:
    if a.facts.margin != b.facts.margin:
        yield (
            f"the margin is that of run A, ±{a.facts.margin * 100:g} %; the plan of run B has "
            f"±{b.facts.margin * 100:g} %"
        )
    alone = [note for note in found.notes if note.endswith(_ALONE)]
    yield from alone[:NOTES]
    if len(alone) > NOTES:
        yield f"{len(alone) - NOTES} more levels are in one run alone; --json has them all"
    yield from (note for note in found.notes if note not in alone)


def _notes_of(name: str, run: RawRun) -> Iterator[str]:
    for note in run.notes:
        yield f"run {name}: {note}"
    for one in run.facts.missing:
        yield f"run {name}: block {one.block}: {one.why}"

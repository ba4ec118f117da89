"""What the measurement can't tell, and what of it is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from p2p.measure.verdicts import FEWEST
from p2p.report import formats
from p2p.report.document import Items, Part, Section, Text, table
from p2p.report.subject import Subject

__all__ = ["LISTED", "section"]

LISTED: Final = 20
"""Missing blocks and notes that are named; of the others, the number."""

REASON: Final = 200
"""Characters of a reason."""


def section(subject: Subject) -> Section:
    """Say what to keep in mind."""
    parts: list[Part] = [Items(tuple(_limits(subject)))]
    missing = subject.analysis.missing
    if missing:
        rows = [(formats.count(one.block), formats.cut(one.why, REASON)) for one in missing[:LISTED]]
        parts.append(table("Blocks that something is missing of", ["block", "why"], rows, left=2, note=_more(missing)))
    notes = subject.analysis.notes
    if notes:
        parts.append(Text("What else to know of the raw data:"))
        more = [_more(notes)] if len(notes) > LISTED else []
        parts.append(Items((*(formats.cut(note, REASON) for note in notes[:LISTED]), *more)))
    return Section("limits", "Limits of the measurement", tuple(parts))


def _more(found: Sequence[object]) -> str:
    return f"And {formats.count(len(found) - LISTED)} more." if len(found) > LISTED else ""


def _limits(subject: Subject) -> Iterator[str]:
    if subject.total.offered == 1:
        yield "The run has a single message: every figure is that of this one, and none has an interval."
    if subject.is_one_machine:
        yield (
            "Everything ran on one machine: this is overhead, not the network. No cable, switch or radio was in the "
            "way, so no figure here says what a network between machines would do."
        )
        if 0 < subject.processors < 2 * subject.most_pairs:
            yield (
                f"Both ends of up to {formats.counted(subject.most_pairs, 'pair')} shared "
                f"{formats.counted(subject.processors, 'processor')}, so times with many pairs include waiting for "
                "a processor."
            )
    elif not subject.machines:
        yield "The run doesn't say what ran where, so what part of the times is the network's is unknown."
    yield (
        "Each time is between two readings of one clock, the initiator's. So no clocks need to agree, and no one-way "
        "time is known."
    )
    if any(one.load == "closed" for one in subject.analysis.blocks):
        yield (
            "In the closed loop a pair sends its next message only after the last was answered: when something stalls, "
            "fewer messages are sent and fewer see it, so long times are counted too rarely. An open load shows them."
        )
    repetitions = max(one.repetition for one in subject.analysis.blocks)
    yield (
        "The unit is the block, not the message: a figure rests on at most "
        f"{formats.counted(repetitions, 'repetition')}, however many messages a block has. A verdict takes at least "
        f"{FEWEST} repetitions."
    )
    yield (
        "Medians and intervals are of this run alone; another day, machine or version may give others. p2p experiment "
        "compare sets two runs side by side."
    )
    if subject.lacking:
        yield (
            f"{formats.count(subject.lacking)} of {formats.counted(len(subject.planned), 'planned block')} are "
            "missing; their figures rest on fewer repetitions, or aren't there."
        )
    if not subject.run.facts.finished:
        yield "The run isn't finished, or doesn't say so."
    if subject.plan_problem and subject.run.plan:
        yield f"The plan can't be read: {formats.cut(subject.plan_problem, REASON)}."

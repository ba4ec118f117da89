"""What was done, with what, and how to do it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from blake3 import blake3

from p2p.measure.blocks import Block
from p2p.measure.plan import ExperimentPlan
from p2p.measure.raw_data import BLOCKS, DAEMONS, FACTS, LINKS, LOOKUPS, PLAN, SAMPLES, RunFacts
from p2p.report import formats
from p2p.report.document import Code, Facts, Items, Part, Section, Table, Text, table
from p2p.report.subject import Subject

__all__ = ["again", "byline", "raw_data", "section"]

PLAN_CHARACTERS: Final = 20_000
"""How much of the plan's text is shown."""

VALUE: Final = 200
"""Characters of what the run says of a machine or a version."""


def byline(subject: Subject) -> str:
    """Say when it was measured, and where."""
    facts = subject.run.facts
    machine = formats.cut(str(facts.machine.get("name", "")), 80)
    version = formats.cut(facts.versions.get("p2p", ""), 40)
    parts = [
        f"measured {formats.day(facts.started)}" if formats.day(facts.started) else "",
        f"on {machine}" if machine else "",
        f"with p2p {version}" if version else "",
    ]
    said = " ".join(part for part in parts if part)
    return said[:1].upper() + said[1:]


def section(subject: Subject) -> Section:
    """Tell what ran where, on which machine, with which versions, and by which plan."""
    parts: list[Part] = []
    if placed := _placement(subject):
        parts.append(placed)
    parts.append(Facts(tuple(_facts(subject))))
    if subject.plan is not None:
        parts.append(_planned_arms(subject, subject.plan))
    return Section("set-up-of-the-experiment", "What ran where, and by which plan", tuple(parts))


def _facts(subject: Subject) -> Iterator[tuple[str, str]]:
    facts = subject.run.facts
    if when := _when(facts):
        yield "measured", when
    yield "machine", formats.listed(tuple(_machine(facts))) or "unknown"
    yield (
        "versions",
        ", ".join(formats.cut(f"{name} {value}", 80) for name, value in list(facts.versions.items())[:20]) or "unknown",
    )
    if facts.clock:
        name = formats.cut(str(facts.clock.get("name", "unknown")), VALUE)
        resolution = facts.clock.get("resolution_ns")
        finest = f", resolution {resolution:g} ns" if isinstance(resolution, int | float) else ""
        yield "clock", f"{name}{finest}"
    yield "seed", str(subject.analysis.seed)
    yield "margin of equivalence", f"±{formats.percent(subject.analysis.margin)}, fixed in the plan"
    yield "blocks", _blocks(subject)
    yield "messages", formats.count(subject.total.offered)


def _blocks(subject: Subject) -> str:
    done = len(subject.run.finished)
    text = (
        f"{formats.count(done)} of {formats.count(len(subject.planned))} planned"
        if subject.planned
        else formats.count(done)
    )
    silent = done - subject.measured
    return f"{text}; {formats.count(silent)} of them without sampling, to see what it costs" if silent else text


def _when(facts: RunFacts) -> str:
    began, ended = formats.day(facts.started), formats.day(facts.finished)
    return f"{began} to {ended}" if began and ended else began


def _machine(facts: RunFacts) -> Iterator[str]:
    machine = facts.machine
    for key in ("name", "system", "processor"):
        if value := str(machine.get(key, "")):
            yield formats.cut(value, VALUE)
    processors, memory = machine.get("processors"), machine.get("memory_bytes")
    if isinstance(processors, int) and processors:
        yield formats.counted(processors, "processor")
    if isinstance(memory, int | float) and memory:
        yield f"{formats.bytes_(memory)} of memory"


def _planned_arms(subject: Subject, plan: ExperimentPlan) -> Table:
    """Show the factors of each arm of the plan."""
    return table(
        "The arms of the plan",
        [
            "arm",
            "service",
            "content types",
            "sizes",
            "pairs at once",
            "load",
            "messages of a pair",
            "warm-up",
            "times run",
        ],
        [
            (
                name,
                arm.service or "what each type is for",
                ", ".join(one.name for one in arm.types),
                ", ".join(formats.size(size) for size in arm.sizes),
                ", ".join(map(formats.count, arm.pairs)),
                str(arm.load or plan.load),
                *_counts([block for block in subject.planned if block.arm == name], arm.sizes),
            )
            for name, arm in plan.arms.items()
        ],
        left=6,
        note="Every factor of an arm is combined with every other one. Messages and warm-up are of each pair in a "
        "block; several numbers are those of the sizes.",
    )


def _counts(blocks: Sequence[Block], sizes: Sequence[int]) -> tuple[str, str, str]:
    """Say how many messages, warm-up and repetitions the blocks of an arm have."""
    by_size = {one.size: one.exchanges for one in blocks}
    differ = len(set(by_size.values())) > 1
    counts = (by_size[size] for size in sizes) if differ else (blocks[0].exchanges,)
    return (
        ", ".join(formats.count(number) if number else "as in 250 ms" for number in counts),
        formats.count(blocks[0].warm_up),
        formats.count(max(one.repetition for one in blocks)),
    )


def _placement(subject: Subject) -> Table | None:
    """Show what ran where; None if the run doesn't say."""
    placed = subject.run.facts.placement
    if not placed:
        return None
    return table("What ran where", ["what", "where"], [(one.what, one.where) for one in placed], left=2)


# -- again ----------------------------------------------------------------------------------------------------------


def again(subject: Subject) -> Section:
    """Say how to run it again, with exact commands that hold on any machine."""
    version = subject.run.facts.versions.get("p2p", "")
    lab = "" if subject.is_one_machine else " --lab hosts.yaml"
    lines = [
        f"p2p experiment run {PLAN} --out ../again{lab}",
        "p2p report ../again",
        "p2p experiment compare . ../again",
    ]
    parts: list[Part] = [
        Text(
            f"In the folder of the raw data, with p2p{f' {formats.cut(version, 40)}' if version else ''} and its "
            "extras report and media installed:"
        ),
        Code("\n".join(lines)),
    ]
    said = ["The first runs the same plan: the same seed gives the same content and the same order of blocks."]
    if lab:
        said.append(
            "hosts.yaml names the peers of the lab and their pairs; the documents of p2p experiment explain it."
        )
    said.append("p2p report alone gives this report again from the same raw data, to the byte.")
    parts.append(Items(tuple(said)))
    if subject.run.plan:
        parts.append(Code(formats.cut(subject.run.plan.rstrip(), PLAN_CHARACTERS), f"The plan, {PLAN}"))
    return Section("commands", "Commands and plan", tuple(parts))


def raw_data(subject: Subject) -> Section:
    """Say which files the report was made from."""
    run = subject.run
    rows = [
        (SAMPLES.file, "a row for each message", run.samples["block"]),
        (BLOCKS.file, "a row for each block", run.blocks["block"]),
        (LINKS.file, "a row for each direct link", run.links["block"]),
        (LOOKUPS.file, "a row for each batch of look-ups", run.lookups["table_size"]),
        (DAEMONS.file, "a row for each reading of a daemon", run.daemons["daemon"]),
    ]
    cells = [(file, what, formats.count(len(column)), _digest(subject, file)) for file, what, column in rows]
    cells += [
        (file, what, "", _digest(subject, file))
        for file, what in ((PLAN, "the plan"), (FACTS, "machine, versions, clock, seed"))
    ]
    return Section(
        "raw-data",
        "Raw data",
        (
            Text(
                "Everything here comes from the files below, in the folder of the run. The document raw-data.rst of "
                "p2p says what each column holds, in which unit, and how each figure comes about; R or a spreadsheet "
                "can redo it."
            ),
            table("Files of the run", ["file", "holds", "rows used", "BLAKE3"], cells, left=2),
        ),
    )


def _digest(subject: Subject, file: str) -> str:
    """Return the beginning of a file's digest, by which it is known whether the report is of these data."""
    path = subject.run.folder / file
    try:
        return blake3(path.read_bytes()).hexdigest()[:16]
    except OSError:
        return formats.NOTHING

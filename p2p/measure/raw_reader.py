"""Reading the raw data of a run: whatever was cut off is left out and told, and the rest is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from p2p.measure.raw_data import (
    BLOCKS,
    BROKEN,
    DAEMONS,
    FACTS,
    LINKS,
    LOOKUPS,
    PILOTS,
    PLAN,
    SAMPLES,
    Columns,
    CsvTable,
    RunFacts,
    Unaccounted,
    read_text,
)

__all__ = ["RawRun", "read_run"]


@dataclass(frozen=True)
class RawRun:
    """A run as it was read: its finished blocks, and what belongs to them.

    :ivar plan: the text of the plan, empty if it is missing.
    :ivar notes: what is missing, cut off or left out, a sentence each.
    """

    folder: Path
    plan: str
    facts: RunFacts
    samples: Columns
    links: Columns
    blocks: Columns
    lookups: Columns
    daemons: Columns
    notes: tuple[str, ...]
    pilots: Columns = field(default_factory=PILOTS.empty)
    broken: Columns = field(default_factory=BROKEN.empty)

    @property
    def finished(self) -> frozenset[int]:
        """The numbers of the finished blocks."""
        return frozenset(self.blocks["block"])


def read_run(folder: Path) -> RawRun:
    """Read a run's folder; whatever was cut off or isn't finished is left out and told in the notes.

    :raises LocalFileError: if ``samples.csv`` or ``blocks.csv`` is missing or isn't one.
    :raises Unaccounted: if a message of a whole file is one too many, or is nowhere.
    """
    notes: list[str] = []
    blocks, found = BLOCKS.load(folder / BLOCKS.file)
    notes += found
    samples, damage = SAMPLES.load(folder / SAMPLES.file)
    notes += damage
    blocks = _without(blocks, set(_short_blocks(blocks, samples, bool(damage))), notes)
    finished = set(blocks["block"])
    samples = _of_blocks(samples, finished, SAMPLES.file, notes)
    _check_accounts(blocks, samples)
    links = _of_blocks(_optional(LINKS, folder, notes), finished, LINKS.file, notes)
    broken = _since_then(BROKEN, folder, notes)
    _check_broken(broken, notes)
    return RawRun(
        folder=folder,
        samples=samples,
        links=links,
        blocks=blocks,
        lookups=_optional(LOOKUPS, folder, notes),
        daemons=_optional(DAEMONS, folder, notes),
        facts=_read_facts(folder, notes),
        plan=_read_plan(folder, notes),
        pilots=_since_then(PILOTS, folder, notes),
        broken=broken,
        notes=tuple(notes),
    )


def _short_blocks(blocks: Columns, samples: Columns, damaged: bool) -> Iterator[int]:
    """Find the blocks whose samples the damage of the file took.

    A file may be cut off between two lines too; then the last blocks are short, and only they. A short block in the
    middle of a whole file is something else, a fault in the counting.
    """
    counted = Counter(samples["block"])
    marked = zip(blocks["block"], blocks["offered"], blocks["sampling"], strict=True)
    for block, offered, sampling in reversed(list(marked)):
        if sampling == "on" and counted[block] < offered:
            yield block
        elif sampling == "on" and not damaged:
            return


def _without(blocks: Columns, short: set[int], notes: list[str]) -> Columns:
    notes += [f"block {block} lost samples and is left out" for block in sorted(short)]
    return _select(blocks, [block not in short for block in blocks["block"]])


def _of_blocks(columns: Columns, finished: set[int], file: str, notes: list[str]) -> Columns:
    """Keep the rows of finished blocks, and tell of the others."""
    for block, count in sorted(Counter(columns["block"]).items()):
        if block not in finished:
            notes.append(f"{file}: block {block} isn't finished; its rows, {count}, are left out")
    return _select(columns, [block in finished for block in columns["block"]])


def _select(columns: Columns, kept: list[bool]) -> Columns:
    return {name: [value for value, keep in zip(column, kept, strict=True) if keep] for name, column in columns.items()}


def _check_accounts(blocks: Columns, samples: Columns) -> None:
    """See that the samples of each block are what was offered."""
    counted = Counter(samples["block"])
    for block, offered, sampling in zip(blocks["block"], blocks["offered"], blocks["sampling"], strict=True):
        expected = offered if sampling == "on" else 0
        if counted[block] != expected:
            raise Unaccounted(
                f"block {block}: {expected} messages were planned, and {counted[block]} are in {SAMPLES.file}; run "
                f"that block again, or take it out of {BLOCKS.file} and {SAMPLES.file}"
            )


def _check_broken(broken: Columns, notes: list[str]) -> None:
    """See that the rows of each try come to what was planned, unless damage took some."""
    tries: dict[tuple[int, int], list[int]] = {}
    for block, attempt, planned, count in zip(
        *(broken[name] for name in ("block", "attempt", "planned", "count")), strict=True
    ):
        tries.setdefault((block, attempt), [planned])[0] -= count
    for (block, attempt), (rest,) in tries.items():
        if rest and not any(note.startswith(BROKEN.file) for note in notes):
            raise Unaccounted(
                f"block {block}, try {attempt}: its rows in {BROKEN.file} are {abs(rest)} messages "
                f"{'short of' if rest > 0 else 'above'} what was planned; take them out"
            )


def _since_then(table: CsvTable, folder: Path, notes: list[str]) -> Columns:
    """Read a table that runs of earlier versions don't have."""
    return _optional(table, folder, notes) if (folder / table.file).exists() else table.empty()


def _optional(table: CsvTable, folder: Path, notes: list[str]) -> Columns:
    if not (folder / table.file).exists():
        notes.append(f"{table.file} is missing")
        return table.empty()
    columns, found = table.load(folder / table.file)
    notes += found
    return columns


def _read_facts(folder: Path, notes: list[str]) -> RunFacts:
    if not (folder / FACTS).exists():
        notes.append(f"{FACTS} is missing, so nobody knows the machine, the seed and the margin of the plan")
        return RunFacts()
    try:
        return RunFacts.model_validate_json(read_text(folder / FACTS))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        notes.append(f"{FACTS} can't be used{f' at {where}' if where else ''}: {first['msg']}; nothing of it is used")
        return RunFacts()


def _read_plan(folder: Path, notes: list[str]) -> str:
    if not (folder / PLAN).exists():
        notes.append(f"{PLAN} is missing, so nobody knows which blocks were planned")
        return ""
    return read_text(folder / PLAN)

"""Reading the raw data of a run: whatever was cut off is left out and told, and the rest is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from p2p.measure.raw_data import (
    BLOCKS,
    DAEMONS,
    FACTS,
    LINKS,
    LOOKUPS,
    PLAN,
    SAMPLES,
    Columns,
    CsvTable,
    RunFacts,
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

    @property
    def finished(self) -> frozenset[int]:
        """The numbers of the finished blocks."""
        return frozenset(self.blocks["block"])


def read_run(folder: Path) -> RawRun:
    """Read a run's folder; whatever was cut off or isn't finished is left out and told in the notes.

    :raises LocalFileError: if ``samples.csv`` or ``blocks.csv`` is missing or isn't one.
    """
    notes: list[str] = []
    blocks, found = BLOCKS.load(folder / BLOCKS.file)
    notes += found
    samples, damage = SAMPLES.load(folder / SAMPLES.file)
    notes += damage
    blocks = _without(blocks, set(_short_blocks(blocks, samples, bool(damage))), notes)
    finished = set(blocks["block"])
    samples = _of_blocks(samples, finished, SAMPLES.file, notes)
    links = _of_blocks(_optional(LINKS, folder, notes), finished, LINKS.file, notes)
    return RawRun(
        folder=folder,
        samples=samples,
        links=links,
        blocks=blocks,
        lookups=_optional(LOOKUPS, folder, notes),
        daemons=_optional(DAEMONS, folder, notes),
        facts=_read_facts(folder, notes),
        plan=_read_plan(folder, notes),
        notes=tuple(notes),
    )


def _short_blocks(blocks: Columns, samples: Columns, damaged: bool) -> Iterator[int]:
    """Find the blocks whose samples the damage of the file took.

    A file may be cut off between two lines too; then the last blocks are short, and only they. A short block in the
    middle of a whole file is something else, a fault in the counting, and stays for the analysis to complain about.
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

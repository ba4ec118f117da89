"""Writing the raw data of a run: a finished block is on disk whole, and an unfinished one isn't there."""

from __future__ import annotations

import fcntl
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from p2p.base.errors import LocalFileError
from p2p.base.saving import save_file
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
    BlockRow,
    BrokenRow,
    CsvTable,
    DaemonRow,
    LinkRow,
    LookupRow,
    PilotRow,
    Row,
    RunFacts,
    SampleRow,
    Unaccounted,
)
from p2p.measure.raw_reader import read_run

__all__ = ["RunWriter", "remove_run"]

LOCK: Final = ".lock"

_BLOCK_TABLES: Final = (SAMPLES, LINKS, LOOKUPS, DAEMONS, BLOCKS)
"""The table of blocks is the last to be written: a row in it says that all the others are there."""

_TABLES: Final = (PILOTS, BROKEN, *_BLOCK_TABLES)


def remove_run(folder: Path) -> None:
    """Remove the files of a run, and nothing else that its folder holds.

    :raises LocalFileError: if they can't be removed.
    """
    for name in (*(table.file for table in reversed(_TABLES)), FACTS, PLAN, LOCK):
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise LocalFileError(f"{folder / name}: {error.strerror}; remove it, or name another folder") from error


class RunWriter:
    """Writes one run's folder, as the only one who does; rows stay in memory until their block is finished.

    A disk that fills leaves no half row behind: what was written of the block is taken back.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._finished: set[int] = set()
        self._lines: dict[CsvTable, list[str]] = {table: [] for table in _TABLES}
        self._tables = {table.row: table for table in _TABLES}
        self._files: dict[CsvTable, io.FileIO] = {}
        self._lock: IO[bytes] | None = None

    @classmethod
    def create(cls, folder: Path, plan: str, facts: RunFacts) -> RunWriter:
        """Begin a run.

        :param plan: the text of the plan, which is kept as it is.
        :raises LocalFileError: if the folder holds a run already, or can't be written.
        """
        writer = cls(folder)
        with writer._telling(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with writer._preparing():
            if (folder / BLOCKS.file).exists():
                raise LocalFileError(f"{folder} holds a run already; go on with that one, or name another folder")
            writer._replace(PLAN, plan)
            writer.facts(facts)
            for table in _TABLES:
                writer._replace(table.file, table.header())
        return writer

    @classmethod
    def resume(cls, folder: Path) -> RunWriter:
        """Go on with a run; what was cut off or not finished is removed first, so that it can be done again.

        :raises LocalFileError: if there is none, it can't be read or written, or somebody else writes it.
        """
        writer = cls(folder)
        with writer._preparing():
            run = read_run(folder)
            kept = {BLOCKS: run.blocks, SAMPLES: run.samples, LINKS: run.links}
            others = {PILOTS: run.pilots, BROKEN: run.broken, LOOKUPS: run.lookups, DAEMONS: run.daemons}
            # Blocks first: if this is broken off, what is left of the others is not of a finished block.
            for table, columns in {**kept, **others}.items():
                writer._replace(table.file, table.dump(columns))
        writer._finished.update(run.finished)
        return writer

    @property
    def finished(self) -> frozenset[int]:
        """The numbers of the finished blocks, which needn't be done again."""
        return frozenset(self._finished)

    def add(self, row: SampleRow | LinkRow | LookupRow | DaemonRow) -> None:
        """Take a row; it is written when the block under way is finished."""
        self._add(row)

    def finish_block(self, block: BlockRow) -> None:
        """Write everything that was added, then mark the block as finished; it is on the disk when this returns.

        :raises LocalFileError: if the disk is full, say; the block isn't finished then, and the others are kept.
        :raises Unaccounted: if the samples that were added aren't what was offered.
        """
        samples, expected = len(self._lines[SAMPLES]), block.offered if block.sampling == "on" else 0
        if samples != expected:
            raise Unaccounted(f"block {block.block}: {expected} messages were planned, and {samples} are known")
        self._add(block)
        self._flush(_BLOCK_TABLES)
        self._finished.add(block.block)

    def break_block(self, rows: Sequence[BrokenRow]) -> None:
        """Write where the messages of a try went that came to nothing, and forget its samples and links.

        :raises LocalFileError: if it can't be written.
        :raises Unaccounted: if that isn't what was planned.
        """
        self.abandon_block()
        counted = sum(row.count for row in rows)
        for row in rows:
            if row.planned != counted:
                raise Unaccounted(f"block {row.block}: {row.planned} messages were planned, and {counted} are known")
            self._add(row)
        self._flush((BROKEN,))

    def pilot(self, row: PilotRow) -> None:
        """Write how many exchanges the blocks of a level have, before the first of them.

        :raises LocalFileError: if it can't be written.
        """
        self._add(row)
        self._flush((PILOTS,))

    def abandon_block(self) -> None:
        """Forget the samples and links of the block under way; it can be done again."""
        for table in (SAMPLES, LINKS):
            self._lines[table].clear()

    def finish(self) -> None:
        """Write what belongs to no block, look-ups and daemons, when all blocks are done.

        :raises LocalFileError: if it can't be written.
        """
        self.abandon_block()
        self._flush(_BLOCK_TABLES)

    def facts(self, facts: RunFacts) -> None:
        """Replace ``run.json``, whole and at once.

        :raises LocalFileError: if it can't be written.
        """
        self._replace(FACTS, facts.to_json())

    def close(self) -> None:
        """Close the files; what isn't of a finished block is forgotten."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # -- files ------------------------------------------------------------------------------------------------

    @contextmanager
    def _preparing(self) -> Iterator[None]:
        """Lock the folder, let it be put in order, and open its files; or leave nothing open."""
        try:
            with self._telling(self.folder):
                self._lock = (self.folder / LOCK).open("wb")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LocalFileError(f"{self.folder}: another run writes there now; wait for it, or stop it") from None
            yield
            for table in _TABLES:
                path = self.folder / table.file
                with self._telling(path):
                    # Without a buffer: what a full disk refused must not be written again on closing.
                    self._files[table] = path.open("ab", buffering=0)
        except BaseException:
            self.close()
            raise

    def _add(self, row: Row) -> None:
        table = self._tables[type(row)]
        self._lines[table].append(table.line(getattr(row, column) for column in table.columns))

    def _flush(self, tables: Sequence[CsvTable]) -> None:
        before = {table: os.fstat(self._files[table].fileno()).st_size for table in tables}
        try:
            for table in tables:
                self._append(table)
        except LocalFileError:
            for table in tables:
                self._files[table].truncate(before[table])
            for table in (BLOCKS, PILOTS, BROKEN):
                self._lines[table].clear()
            raise
        for table in tables:
            self._lines[table].clear()

    def _append(self, table: CsvTable) -> None:
        data, file = memoryview("".join(self._lines[table]).encode()), self._files[table]
        if not data:
            return
        with self._telling(self.folder / table.file):
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())

    def _replace(self, name: str, text: str) -> None:
        path = self.folder / name
        with self._telling(path):
            save_file(path, text.encode())

    @contextmanager
    def _telling(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kept = f"; the finished blocks, {len(self._finished)}, are kept" if self._finished else ""
            raise LocalFileError(f"{path}: {error.strerror}{kept}; make it writable, or make room") from error

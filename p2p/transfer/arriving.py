"""The file of a transfer that is under way: each chunk is verified, and then written where it waits for its name.

All functions here block; they run in threads.
"""

from __future__ import annotations

import os
from typing import Final

from p2p.base.errors import ExchangeFailed, Outcome, ProtocolViolation
from p2p.exchange.paths import shown
from p2p.transfer.final_names import ONE_ENTRY, Folder
from p2p.transfer.partial import PartialFile, write_all
from p2p.transfer.records import Chunk, EndOfFile, Entry
from p2p.transfer.tree import CHUNK, Tree, leaf_digest
from p2p.transfer.work_folder import PartialEntry

__all__ = ["ArrivingFile", "is_small"]

_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def is_small(entry: Entry) -> bool:
    """Whether a file comes in one chunk or none, so that it needn't go on where a crash has left it."""
    return entry.size is not None and entry.size <= CHUNK and not entry.offset


class ArrivingFile:
    """A file whose chunks come now.

    :param folder: the folder that it goes to; None for the receiver's own.
    :param reason: why it isn't taken; its chunks have to make sense all the same. Empty if it is taken: then one of
        the ``begin`` methods comes first.
    :ivar temp: its name in the work folder; empty if there is none.
    :ivar part: of a large file, what goes on after a crash.
    """

    def __init__(self, entry: Entry, folder: Folder | None, reason: str) -> None:
        self.entry = entry
        self.folder = folder
        self.reason = reason
        self.temp = ""
        self.part: PartialFile | None = None
        self._file = -1
        self._small = Tree()

    @property
    def tree(self) -> Tree:
        """The tree over what has come."""
        return self._small if self.part is None else self.part.tree

    def begin_small(self, work: int, temp: str) -> None:
        """Begin a file of at most one chunk in the work folder."""
        self._file = os.open(temp, _NEW_FILE, 0o600, dir_fd=work)
        self.temp = temp

    def begin_large(self, work: int, known: PartialEntry) -> None:
        """Begin a large file in the work folder, or go on with it at the offset of its entry.

        :raises ExchangeFailed: with ``reset``, if there was more of it when that was told.
        :raises ProtocolViolation: if there is less of it, or no chunk ends there.
        """
        offset = self.entry.offset
        self.temp = known.temp
        self.part = PartialFile(work, known.temp, self.entry.size)
        untouched = self.part.recover(known.marks)
        there = self.part.tree.size
        if offset > there and known.marks is not None and not untouched:
            reason = f"what had come of {shown(self.entry.path)} was changed by another program; it goes on before that"
            raise ExchangeFailed(Outcome.RESET, reason)
        if offset > there or (offset % CHUNK and offset != there):
            raise ProtocolViolation(f"{shown(self.entry.path)} goes on at {offset}, where it can't")
        if offset < there:
            self.part.cut(offset)

    def check(self, chunk: Chunk) -> None:
        """Verify the next chunk.

        :raises ExchangeFailed: with ``corrupt``, if it isn't what was sent, or is more than was announced.
        :raises ProtocolViolation: if there can't be another one.
        """
        entry, tree = self.entry, self.tree
        if leaf_digest(chunk.pieces) != chunk.leaf:
            reason = f"chunk {tree.size // CHUNK} of {shown(entry.path)} isn't what was sent"
            raise ExchangeFailed(Outcome.CORRUPT, reason)
        if entry.size is not None and tree.size + chunk.size > entry.size:
            reason = f"{shown(entry.path)} is longer than the {entry.size} bytes announced"
            raise ExchangeFailed(Outcome.CORRUPT, reason)
        if tree.size % CHUNK:
            raise ProtocolViolation(f"a chunk of {shown(entry.path)} after its last one")

    def take(self, chunk: Chunk) -> bool:
        """Write a chunk that was verified, unless the file isn't taken.

        :returns: whether this is the place for a sync of :attr:`part`.
        """
        if self.part is not None:
            return self.part.append(chunk.leaf, chunk.pieces, chunk.size)
        if not self.reason:
            write_all(self._file, chunk.pieces)
        self._small.add(chunk.leaf, chunk.size)
        return False

    def is_whole(self, end: EndOfFile) -> bool:
        """Whether what has come is what was sent."""
        tree = self.tree
        return (end.root, end.size) == (tree.root(), tree.size) and self.entry.size in (None, tree.size)

    def detach(self) -> tuple[int, str]:
        """Set time and mode, and let go of all but the descriptor of the file, which is the caller's from now on.

        :returns: the descriptor, and why the file system doesn't take that time or mode; empty if it does.
        """
        file = self._file if self.part is None else self.part.file
        note = ""
        try:
            os.utime(file, ns=(self.entry.mtime, self.entry.mtime))
            os.fchmod(file, self.entry.mode & 0o777)
        except OSError as error:
            if error.errno not in ONE_ENTRY:
                raise
            note = f"its time and mode can't be set there: {error.strerror}"
        if self.part is None:
            self._file = -1
        else:
            self.part.detach()
        return file, note

    def refuse(self, reason: str) -> None:
        """Take no more of it, and close what is open; its chunks have to make sense all the same."""
        self._small = self.tree
        self.reason = reason
        self.temp = ""
        self.let_go()

    def let_go(self) -> None:
        """Close what is open; it stays on disk."""
        part, self.part = self.part, None
        file, self._file = self._file, -1
        if part is not None:
            part.close()
        if file >= 0:
            os.close(file)

"""A large file on its way into a receiver's folder: its data, its leaves, and how far both can be trusted.

The leaf of a chunk is appended after its data, so there are never more leaves than chunks while the machine runs on.
After a power cut it may be otherwise: what was written after the last sync is hashed once more.
All functions here block; they run in threads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from p2p.transfer.tree import CHUNK, LEAF, Tree, leaf_digest

__all__ = ["SYNC_EVERY", "PartialFile", "write_all"]

SYNC_EVERY: Final = 256
"""Chunks after which a part is synced; so many are hashed again after a power cut at most."""

_PART_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def write_all(file: int, pieces: Sequence[memoryview | bytes]) -> None:
    """Write pieces, however many bytes the system takes at a time."""
    total = sum(map(len, pieces))
    written = os.writev(file, pieces)
    if written == total:
        return
    rest = memoryview(b"".join(pieces))[written:]  # it happens when a disk is nearly full, and hardly ever else
    while rest:
        rest = rest[os.write(file, rest) :]


class PartialFile:
    """The part of a file that has arrived.

    :param work: descriptor of the folder that it is in.
    :param temp: its name there; that of its leaves is the same with ``.leaves`` after it.
    :param size: bytes of the whole file, None if nobody knows.
    :ivar tree: the tree over what is there.
    """

    def __init__(self, work: int, temp: str, size: int | None) -> None:
        self._work = work
        self._temp = temp
        self._size = size
        self.tree = Tree()
        self.file = os.open(temp, _PART_FLAGS, 0o600, dir_fd=work)
        try:
            self._leaves = os.open(f"{temp}.leaves", _PART_FLAGS, 0o600, dir_fd=work)
        except OSError:
            os.close(self.file)
            raise

    def recover(self, trusted: int | None) -> None:
        """Find out how many of the chunks that are there are good, and cut off the rest.

        :param trusted: chunks that are known to be on disk; None if all are, because the machine ran on: then only the
            last one is hashed again, and those before it while it isn't good.
        """
        count = os.fstat(self._leaves).st_size // LEAF
        leaves = os.pread(self._leaves, count * LEAF, 0)
        if trusted is None:
            while count and not self._is_good(count - 1, leaves):
                count -= 1
        else:
            good = min(trusted, count)
            while good < count and self._is_good(good, leaves):
                good += 1
            count = good
        size = min(count * CHUNK, os.fstat(self.file).st_size)
        leaves = leaves[: -(-size // CHUNK) * LEAF]
        self.tree = Tree.from_leaves(leaves, size)
        self._cut(size, len(leaves))

    def cut(self, offset: int) -> None:
        """Forget what comes after an offset, which is a multiple of 1 MiB."""
        leaves = os.pread(self._leaves, offset // CHUNK * LEAF, 0)
        self.tree = Tree.from_leaves(leaves, offset)
        self._cut(offset, len(leaves))

    def append(self, leaf: bytes, pieces: Sequence[memoryview], size: int) -> bool:
        """Write a chunk that was verified.

        :returns: whether this is the place for a sync.
        :raises ValueError: if the chunk before it was the last.
        """
        before = self.tree.size
        self.tree.add(leaf, size)
        try:
            write_all(self.file, pieces)
            os.write(self._leaves, leaf)
        except OSError:
            self._cut(before, -(-before // CHUNK) * LEAF)
            raise
        return self.tree.size // CHUNK % SYNC_EVERY == 0

    def sync(self) -> int:
        """Bring all to the disk, and return how many chunks that is."""
        os.fdatasync(self.file)
        os.fdatasync(self._leaves)
        return self.tree.size // CHUNK

    def close(self) -> None:
        """Let go of it; it stays where it is."""
        os.close(self.file)
        os.close(self._leaves)

    def _is_good(self, index: int, leaves: bytes) -> bool:
        start = index * CHUNK
        length = CHUNK if self._size is None else min(CHUNK, self._size - start)
        data = os.pread(self.file, length, start) if length > 0 else b""
        return bool(data) and leaf_digest([data]) == leaves[index * LEAF : (index + 1) * LEAF]

    def _cut(self, size: int, leaves: int) -> None:
        os.ftruncate(self.file, size)
        os.ftruncate(self._leaves, leaves)
        os.lseek(self.file, size, os.SEEK_SET)
        os.lseek(self._leaves, leaves, os.SEEK_SET)

"""A large file on its way into a receiver's folder: its data, its leaves, and how far both can be trusted.

At the end of a session all is synced, and it is noted what the file is like then. If it isn't like that later, because
the daemon was killed, the power was cut, or another program has written to it, all of it is hashed once more.
All functions here block; they run in threads.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from p2p.transfer.tree import CHUNK, LEAF, Tree, chunks_of, leaf_digest

__all__ = ["SYNC_EVERY", "PartialFile", "begin_sync", "leaves_of", "write_all"]

SYNC_EVERY: Final = 256
"""Chunks after which a part is synced; so many come again after a power cut at most."""

BEGIN_EVERY: Final = 8
"""Chunks after which the disk is given what has come: else it is idle until a sync, and then all wait for it."""

_WRITE_OUT: Final = 2
"""``SYNC_FILE_RANGE_WRITE`` of sync_file_range(2): an offset and a length of 0 mean the whole file."""

_BEGIN: Final[Any] = getattr(ctypes.CDLL(None), "sync_file_range", None)

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


def begin_sync(file: int) -> None:
    """Have the system begin to bring a file to its disk, without waiting: whoever is to be sure syncs it later.

    Of files that are synced one after the other, a disk then gets all at once, and writes its journal once instead of
    for each of them. What goes wrong is told by that sync. Where the C library hasn't got the call, nothing is begun.
    """
    if _BEGIN is not None:
        _BEGIN(ctypes.c_int(file), ctypes.c_int64(0), ctypes.c_int64(0), ctypes.c_uint(_WRITE_OUT))


def leaves_of(temp: str) -> str:
    """The name of the leaves that belong to a part."""
    return f"{temp}.leaves"


def _opened(work: int, temp: str) -> int:
    try:
        return os.open(temp, _PART_FLAGS, 0o600, dir_fd=work)
    except PermissionError:
        os.chmod(temp, 0o600, dir_fd=work)  # a crash came when it had just got the mode that it is to have at its place
        return os.open(temp, _PART_FLAGS, 0o600, dir_fd=work)


class PartialFile:
    """The part of a file that has arrived.

    :param work: descriptor of the folder that it is in.
    :param temp: its name there; that of its leaves is the same with ``.leaves`` after it.
    :param size: bytes of the whole file, None if nobody knows.
    :ivar synced: chunks of it that are known to be on disk.
    :ivar tree: the tree over what is there.
    """

    def __init__(self, work: int, temp: str, size: int | None) -> None:
        self._size = size
        self.synced = 0
        self.tree = Tree()
        self.file = _opened(work, temp)
        try:
            self._leaves = os.open(leaves_of(temp), _PART_FLAGS, 0o600, dir_fd=work)
        except BaseException:
            os.close(self.file)
            raise

    @property
    def safe(self) -> int:
        """Bytes of it that are known to be on disk."""
        return self.synced * CHUNK

    @property
    def marks(self) -> tuple[int, int, int]:
        """What the file is known by to be unchanged: its size, mtime and ctime (ns); nobody can set the last."""
        status = os.fstat(self.file)
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def recover(self, noted: tuple[int, int, int] | None, going_on: Callable[[], None] = lambda: None) -> bool:
        """Find out how many of the chunks that are there are good, and cut off the rest.

        :param noted: its marks when it was synced last. If they are the same, all is on disk, and only the last chunk
            is hashed again, and those before it while it isn't good. Else all are, up to the first that isn't good.
        :param going_on: called before each chunk that is hashed; what it raises ends this, and nothing is cut off.
        :returns: whether they are the same.
        """
        untouched = noted == self.marks
        length = os.fstat(self.file).st_size
        count = min(os.fstat(self._leaves).st_size // LEAF, chunks_of(length))
        if self._size is not None:
            count = min(count, chunks_of(self._size))
        leaves = os.pread(self._leaves, count * LEAF, 0)
        if untouched:
            while count and not self._is_good(count - 1, leaves):
                count -= 1
            self.synced = count
        else:
            good = 0
            while good < count:
                going_on()
                if not self._is_good(good, leaves):
                    break
                good += 1
            count = good
        size = min(count * CHUNK, length)
        if self._size is not None:
            size = min(size, self._size)
        self._cut(Tree.from_leaves(leaves[: count * LEAF], size))
        return untouched

    def cut(self, offset: int) -> None:
        """Forget what comes after an offset, which is a multiple of 1 MiB."""
        self._cut(Tree.from_leaves(os.pread(self._leaves, offset // CHUNK * LEAF, 0), offset))

    def append(self, leaf: bytes, pieces: Sequence[memoryview], size: int) -> bool:
        """Write a chunk that was verified; the one before it must have been whole.

        :returns: whether this is the place for a sync.
        """
        try:
            write_all(self.file, pieces)
            write_all(self._leaves, [leaf])
        except OSError:
            self._cut(self.tree)
            raise
        self.tree.add(leaf, size)
        if self.tree.size % (BEGIN_EVERY * CHUNK) == 0:
            begin_sync(self.file)
        return self.tree.size % (SYNC_EVERY * CHUNK) == 0

    def sync(self) -> tuple[int, int, int]:
        """Bring all to the disk, and return the marks that it has then."""
        try:
            os.fdatasync(self.file)
            os.fdatasync(self._leaves)
        except OSError:
            # The system forgets what it couldn't write, and says the next time that all is well.
            self.cut(self.safe)
            raise
        self.synced = self.tree.size // CHUNK
        return self.marks

    def detach(self) -> int:
        """Let go of it but for its descriptor, which is the caller's from now on."""
        file, self.file = self.file, -1
        self.close()
        return file

    def close(self) -> None:
        """Let go of it; it stays where it is."""
        file, self.file = self.file, -1
        leaves, self._leaves = self._leaves, -1
        try:
            if file >= 0:
                os.close(file)
        finally:
            if leaves >= 0:
                os.close(leaves)

    def _is_good(self, index: int, leaves: bytes) -> bool:
        start = index * CHUNK
        length = CHUNK if self._size is None else min(CHUNK, self._size - start)
        data = os.pread(self.file, length, start) if length > 0 else b""
        return bool(data) and leaf_digest([data]) == leaves[index * LEAF : (index + 1) * LEAF]

    def _cut(self, tree: Tree) -> None:
        """Keep what belongs to a tree."""
        count = chunks_of(tree.size)
        self.tree = tree
        self.synced = min(self.synced, count)
        for file, end in ((self.file, tree.size), (self._leaves, count * LEAF)):
            if os.fstat(file).st_size != end:  # else its marks would be new ones
                os.ftruncate(file, end)
            os.lseek(file, end, os.SEEK_SET)

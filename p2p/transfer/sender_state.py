"""What a sender keeps on disk of the large files that it sends, so that it goes on without hashing them again.

For each of them there is one file: a line of JSON that says which file it was and what it was like (path, size, mtime,
inode, ctime), then its leaves, 32 bytes each, appended as the chunks are read. An mtime can be set back and a ctime
can't, so leaves are taken at their word only where both are what they were. All transfers of the same sources share a
folder of such files, also at the same time: each writes files of its own, and any may read them all. Those of the last
64 files of a transfer are kept: a receiver may be behind by as much as a link holds, and a file that has leaves here is
longer than 1 MiB.
All functions here block; they run in threads.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from p2p.base.errors import LocalFileError
from p2p.base.saving import sync_folder
from p2p.transfer.partial import write_all
from p2p.transfer.tree import CHUNK, LEAF, leaf_digest

__all__ = ["Kept", "SenderState", "leaf_at"]

_KEPT: Final = 64
_KEPT_OF_ALL: Final = 4 * _KEPT  # of those that earlier transfers left behind
_SYNC_EVERY: Final = 256  # leaves: as often as the receiver does it
_READ: Final = 256 * 1024
_HEAD_BYTES: Final = 32 * 1024  # more than any path and its numbers are in JSON
_NEW_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
_VANISHED: Final = (FileNotFoundError, NotADirectoryError)


class Kept(NamedTuple):
    """What is known of a file that was sent in part.

    :ivar sound: its leaves, as far as they were kept while the file was exactly what it is.
    :ivar doubtful: leaves from when its ctime was another one, or wasn't noted: a link or a chmod changes it, as does
        whoever changes the file and sets its mtime back. They hold if the file, hashed again, has them.
    """

    sound: bytes = b""
    doubtful: bytes = b""


class SenderState:
    """The state of one transfer, in a folder that is made when it is needed.

    :param folder: where to keep it, ``<state>/out/<key of the sources>``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None
        self._written = 0
        self._own: deque[int] = deque()

    def begin(self, path: str, status: os.stat_result, leaves: bytes) -> None:
        """Keep the leaves of a file from now on, beginning with those that it has already.

        :raises LocalFileError: if the disk doesn't take it, as all that writes here.
        """
        with self._on_disk():
            self.close()
            number = self._create()
            assert self._file is not None
            if not self._own:
                self._prune()
            # It is locked while it grows: the others remove files that are old, but not this one.
            fcntl.flock(self._file, fcntl.LOCK_EX)
            write_all(self._file, [_head(path, status), leaves])
            self._written = 0
            self._own.append(number)
            if len(self._own) > _KEPT:
                (self._folder / str(self._own.popleft())).unlink(missing_ok=True)

    def add(self, leaf: bytes) -> None:
        """Keep the leaf of the next chunk of the file that was begun."""
        assert self._file is not None
        with self._on_disk():
            write_all(self._file, [leaf])
            self._written += 1
            if self._written % _SYNC_EVERY == 0:
                os.fdatasync(self._file)
                if self._written == _SYNC_EVERY:
                    self._sync_names()

    def kept(self, path: str, status: os.stat_result) -> Kept:
        """The leaves that were kept of a file, the most that there are; none if it isn't what it was, or new."""
        own = _head(path, status)
        alike = own[: own.rindex(b", ")]  # what differs in the ctime alone; earlier versions' files have none
        best = {True: b"", False: b""}
        with self._on_disk():
            for number in self._numbers():
                # One may vanish meanwhile: another transfer of the same sources has no more use for it.
                with suppress(*_VANISHED), (self._folder / str(number)).open("rb") as file:
                    head = file.readline(_HEAD_BYTES)
                    if not head.startswith((alike + b", ", alike + b"]")):
                        continue
                    if os.fstat(file.fileno()).st_size - len(head) > len(best[head == own]):
                        best[head == own] = _sound(file.read())
        return Kept(best[True], best[False])

    def close(self) -> None:
        """Let go of the file; what was kept stays."""
        descriptor, self._file = self._file, None
        if descriptor is not None:
            os.close(descriptor)

    def remove(self) -> None:
        """Forget all: no transfer of these sources is left; one that begins meanwhile loses no more than its leaves."""
        self.close()
        self._own.clear()
        with self._on_disk():
            for number in self._numbers():
                with suppress(*_VANISHED):
                    (self._folder / str(number)).unlink()
            try:
                self._folder.rmdir()
            except OSError as error:
                # Another transfer has just begun a file in it, or removed it.
                if error.errno not in (errno.ENOTEMPTY, errno.ENOENT, errno.ENOTDIR):
                    raise

    def _create(self) -> int:
        """Make a file with the next number, whoever else is doing the same."""
        while True:
            try:
                self._folder.mkdir(mode=0o700, parents=True)
            except FileExistsError:
                with suppress(*_VANISHED):
                    if not stat.S_ISDIR(self._folder.stat().st_mode):
                        raise
            number = max(self._numbers(), default=-1) + 1
            with suppress(FileExistsError, *_VANISHED):  # others were faster, or have removed the folder
                self._file = os.open(self._folder / str(number), _NEW_FLAGS, 0o600)
                return number

    def _prune(self) -> None:
        for number in sorted(self._numbers())[:-_KEPT_OF_ALL]:
            name = self._folder / str(number)
            with suppress(BlockingIOError, *_VANISHED), name.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                name.unlink()

    def _sync_names(self) -> None:
        with suppress(*_VANISHED):
            sync_folder(self._folder)

    def _numbers(self) -> list[int]:
        with suppress(*_VANISHED):
            return [int(each.name) for each in self._folder.iterdir() if each.name.isdecimal()]
        return []

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LocalFileError(
                f"{self._folder}: what a transfer needs to go on after an interruption can't be kept "
                f"({error.strerror or error}); see to its owner and the space on its disk"
            ) from error


def leaf_at(file: int, size: int, index: int) -> bytes:
    """The leaf of a chunk of a file, as it is now.

    :raises OSError: if the file can't be read.
    """
    start = index * CHUNK
    end = min(start + CHUNK, size)
    return leaf_digest(os.pread(file, min(_READ, end - at), at) for at in range(start, end, _READ))


def _head(path: str, status: os.stat_result) -> bytes:
    """The line that says which file it was, and by what it is known to be unchanged."""
    marks = [path, status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns]
    return json.dumps(marks).encode("ascii") + b"\n"


def _sound(leaves: bytes) -> bytes:
    """The leaves up to the first that a file system lost in a power cut: such a place reads as zeros."""
    whole = len(leaves) // LEAF * LEAF
    for at in range(0, whole, LEAF):
        if leaves[at : at + LEAF] == bytes(LEAF):
            return leaves[:at]
    return leaves[:whole]

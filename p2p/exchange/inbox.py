"""Names and files of an inbox: what another machine sends lands inside it, whole, and nowhere else.

All functions here block; they run in threads.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

from blake3 import blake3

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange.naming import free_name, move_new
from p2p.exchange.paths import steering

__all__ = ["Arrival", "checked_name", "clear_leftovers", "refusal"]

_PREFIX: Final = ".p2p-"
_SUFFIX: Final = ".part"
_MAX_NAME: Final = 240
"""Bytes of a name that is taken; file systems end at 255, and a number in brackets may follow."""

SYNC_BYTES: Final = 32 * 1024 * 1024
"""Bytes after which a file is brought to the disk while it comes: else the system's memory takes gigabytes at once, the
sender waits at the very end for a disk that was never asked to hurry, and takes that for silence."""


def checked_name(name: str) -> str:
    """Return a name under which content may be kept.

    :raises ExchangeFailed: with ``refused``, for anything but the plain name of a file.
    """
    shown = repr(name if len(name) <= 80 else name[:77] + "...")
    if not name or name in (".", ".."):
        reason = "isn't the name of a file"
    elif "/" in name or "\\" in name:
        reason = "has a path in it; only a plain file name is taken"
    elif what := steering(name):
        reason = f"has {what} in it"
    elif len(name.encode("utf-8", "surrogatepass")) > _MAX_NAME:
        reason = f"is longer than {_MAX_NAME} bytes"
    elif name.startswith(_PREFIX):
        reason = f"starts with {_PREFIX}, which marks unfinished content"
    else:
        return name
    raise ExchangeFailed(Outcome.REFUSED, f"the name {shown} {reason}; send it under another name")


def clear_leftovers(inbox: Path) -> int:
    """Remove what a killed daemon left unfinished, and count it; one that still runs would lose what it receives."""
    count = 0
    with os.scandir(inbox) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX):
                Path(entry.path).unlink()
                count += 1
    return count


class Arrival:
    """Content on its way into an inbox: a temporary file, hashed as it is written, renamed when verified.

    :param length: bytes that were announced, None if unknown.
    :param exists: what to do if the name is taken.
    :param room: is called before so many more bytes are written, and before the file is made; raises
        ``ExchangeFailed`` if there is none.
    :raises ExchangeFailed: with ``refused``, from any method, when the disk doesn't take it.
    """

    def __init__(
        self,
        inbox: Path,
        name: str,
        token: str,
        length: int | None,
        *,
        exists: Literal["rename", "replace", "refuse"] = "rename",
        room: Callable[[int, int], None] = lambda size, entries: None,
    ) -> None:
        self._inbox = inbox
        self._name = name
        self._part = inbox / f"{_PREFIX}{token}{_SUFFIX}"
        self._length = length
        self._exists = exists
        self._room = room
        self._descriptor: int | None = None
        self._hasher = blake3()
        self._synced = 0
        self.size = 0

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Append bytes, opening the file at the first call."""
        coming = self.size + sum(map(len, pieces))
        if self._length is not None and coming > self._length:
            raise ExchangeFailed(Outcome.CORRUPT, f"{coming} bytes came, {self._length} were announced")
        if coming > self.size or self._descriptor is None:
            self._room(coming - self.size, 0 if self._descriptor is not None else 1)
        try:
            if self._descriptor is None:
                self._descriptor = self._open()
            for piece in pieces:
                self._hasher.update(piece)
                view = memoryview(piece)
                while view:
                    view = view[os.write(self._descriptor, view) :]
                self.size += len(piece)
            if self.size - self._synced >= SYNC_BYTES:
                os.fdatasync(self._descriptor)
                self._synced = self.size
        except OSError as error:
            raise refusal(error) from error

    def finish(self, digest: bytes | None) -> tuple[str, str]:
        """Check size and digest, sync, and give the file its name; unless told otherwise, one that is taken gets a
        number.

        :returns: the final name and the BLAKE3 digest in hex.
        :raises ExchangeFailed: with ``truncated`` or ``corrupt``, if it isn't what was sent; with ``refused``, if the
            name is taken and that isn't wanted.
        """
        if self._length is not None and self.size < self._length:
            raise ExchangeFailed(Outcome.TRUNCATED, f"{self.size} bytes came, {self._length} were announced")
        if digest is None or digest != self._hasher.digest():
            raise ExchangeFailed(Outcome.CORRUPT, "what came doesn't have the BLAKE3 digest of what was sent")
        self.write(())  # an empty file is a file too
        assert self._descriptor is not None
        try:
            os.fsync(self._descriptor)
            self._close()
            return self._settle(), self._hasher.hexdigest()
        except OSError as error:
            raise refusal(error) from error

    def discard(self) -> None:
        """Remove what is there, if anything."""
        try:
            self._close()
        finally:
            self._part.unlink(missing_ok=True)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)  # it is closed whatever this raises: never twice, the number may be somebody else's

    def _open(self) -> int:
        free = os.statvfs(self._inbox)
        if self._length is not None and self._length > free.f_bavail * free.f_frsize:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def _settle(self) -> str:
        """Give the file its name, or one that is free; only what is to be replaced ever is."""
        folder = os.open(self._inbox, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            name = self._name
            if self._exists == "replace":
                os.rename(self._part.name, name, src_dir_fd=folder, dst_dir_fd=folder)
                return name
            while True:
                try:
                    move_new(self._part.name, folder, name, folder, is_folder=False)
                except FileExistsError as error:
                    if self._exists == "refuse":
                        reason = f"the receiver has {name!r} already; send it under another name"
                        raise ExchangeFailed(Outcome.REFUSED, reason) from error
                    name = free_name(folder, self._name)
                else:
                    return name
        finally:
            os.close(folder)


def refusal(error: OSError) -> ExchangeFailed:
    """How an exchange ends when the disk here doesn't take what comes."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason = "the receiver's disk is full; free some space there and send again"
    else:
        reason = f"the receiver can't write to its inbox: {error.strerror}"
    return ExchangeFailed(Outcome.REFUSED, reason)

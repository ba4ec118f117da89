"""What a peer shares, as others see it: names that stand for folders and files, and what is below them.

Nothing outside of what is shared can be reached: no link is followed below a share, and no path leads out of it.
All functions here block; they run in threads.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange.paths import RESERVED, InvalidPath, checked_path, shown
from p2p.transfer.records import Kind
from p2p.transfer.walking import SourceRoot

__all__ = ["MAX_LISTED", "SharedEntry", "listed", "shared_source"]

MAX_LISTED: Final = 100_000
"""Entries of a folder that are listed."""


@dataclass(frozen=True, slots=True)
class SharedEntry:
    """One thing that is shared.

    :ivar size: bytes of a file.
    :ivar mtime: ns since 1970.
    """

    name: str
    kind: Kind
    size: int
    mtime: int


def shared_source(shares: Mapping[str, Path], path: str) -> SourceRoot:
    """What to send to somebody who asks for a path.

    :raises ExchangeFailed: with ``refused``, if nothing is shared there.
    """
    root, parts = _split(shares, path)
    os.close(_opened(root, parts, path))
    if len(parts) == 1:
        return SourceRoot(root, name=parts[0])
    return SourceRoot(Path(*parts[1:]), inside=root)


def listed(shares: Mapping[str, Path], path: str) -> list[SharedEntry]:
    """What is shared at a path, in the order of names: the shares themselves if it is empty, a file by itself.

    What is no file, folder or link isn't shared, nor what p2p has under way.

    :raises ExchangeFailed: with ``refused``, if nothing is shared there, or too much to list.
    """
    if not path.strip("/"):
        found = [(name, _status(_resolved(root))) for name, root in sorted(shares.items())]
        return _entries(found)
    root, parts = _split(shares, path.rstrip("/"))
    place = _opened(root, parts, path)
    try:
        status = os.fstat(place)
        if not stat.S_ISDIR(status.st_mode):
            return _entries([(parts[-1], status)])
        folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place)
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(place)
    try:
        names = os.listdir(folder)  # noqa: PTH208 (a Path has no descriptor)
        if len(names) > MAX_LISTED:
            reason = f"{shown(path)} has {len(names)} entries, and at most {MAX_LISTED} are listed; get it as a whole"
            raise ExchangeFailed(Outcome.REFUSED, reason)
        names = sorted(name for name in names if not name.startswith(RESERVED))
        if names:
            os.stat(".", dir_fd=folder)  # of a folder that may not be entered, nothing can be looked at
        return _entries([(name, _status(name, folder)) for name in names])
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(folder)


def _split(shares: Mapping[str, Path], path: str) -> tuple[Path, Sequence[str]]:
    try:
        parts = checked_path(path)
    except InvalidPath as error:
        raise ExchangeFailed(Outcome.REFUSED, str(error)) from error
    if parts[0] not in shares:
        raise ExchangeFailed(
            Outcome.REFUSED, f"nothing called {shown(parts[0])} is shared; to see what is: p2p ls PEER"
        )
    return _resolved(shares[parts[0]]), parts


def _resolved(root: Path) -> Path:
    return Path(os.path.realpath(root))  # a loop of links leads to itself, where Path.resolve fails


def _opened(root: Path, parts: Sequence[str], path: str) -> int:
    """A descriptor of what is at a path, good to look at it and for nothing else."""
    try:
        place = os.open(root, os.O_PATH | os.O_CLOEXEC)
        for part in parts[1:]:
            try:
                deeper = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
            finally:
                os.close(place)
            place = deeper
    except OSError as error:
        raise _unreadable(path, error) from error
    return place


def _status(name: str | Path, folder: int | None = None) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None  # it was removed at this moment, or can't be looked at; the others can


def _entries(found: Sequence[tuple[str, os.stat_result | None]]) -> list[SharedEntry]:
    entries: list[SharedEntry] = []
    for name, status in found:
        if status is None:
            continue
        if stat.S_ISREG(status.st_mode):
            entries.append(SharedEntry(name, Kind.FILE, status.st_size, status.st_mtime_ns))
        elif stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode):
            kind = Kind.FOLDER if stat.S_ISDIR(status.st_mode) else Kind.LINK
            entries.append(SharedEntry(name, kind, 0, status.st_mtime_ns))
    return entries


def _unreadable(path: str, error: OSError) -> ExchangeFailed:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        reason = f"nothing is shared at {shown(path)}; to see what is: p2p ls PEER"
    else:
        reason = f"what is shared at {shown(path)} can't be read there: {error.strerror}"
    return ExchangeFailed(Outcome.REFUSED, reason)

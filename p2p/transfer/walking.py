"""What a transfer is made of on the sender's disk: its sources, and the walk through them.

A folder comes before what is in it, and names are in the order of their text, so that the path of one entry tells what
all entries before it were. Links are never followed, so a walk ends. Every open is relative to the folder that is open
already: whoever swaps a folder for a link meanwhile gains nothing.
All functions here block; they run in threads.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from p2p.base.errors import InvalidRequest, LocalFileError
from p2p.base.values import type_of
from p2p.exchange.paths import InvalidPath, checked_path, shown
from p2p.transfer.records import Kind

__all__ = ["Found", "Refusal", "SourceRoot", "Totals", "entry_names", "measure", "walk", "why_not"]

_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_LISTED: Final = 50_000  # names of one folder that are kept at least, and twice as many at most: 14 MB

_MOST: Final = 2**63 - 1  # bytes that can be told

_REASONS: Final = {
    errno.ENOENT: "it isn't there any more",
    errno.EACCES: "the sender may not read it",
    errno.EPERM: "the sender may not read it",
    errno.ELOOP: "it is a link now",
    errno.ENOTDIR: "it, or something on the way to it, is no folder",
}


@dataclass(frozen=True, slots=True)
class SourceRoot:
    """One thing to send: a file, a folder with all that is in it, a link, or a stream such as standard input.

    :ivar path: where it is; None for a stream. A link here is sent as a link: resolve it if its target is meant.
    :ivar name: what to call it at the receiver's; the last part of the path, unless it is given.
    :ivar stream: a file descriptor to read to its end; it needs a name, and stays open.
    :ivar inside: a folder that ``path`` is relative to, and which no ``..`` and no link on the way may leave.
    """

    path: Path | None = None
    name: str | None = None
    stream: int | None = None
    inside: Path | None = None

    @property
    def entry_name(self) -> str:
        """The first part of the paths of its entries."""
        if self.name is not None:
            return self.name
        return "" if self.path is None else self.path.absolute().name


@dataclass(frozen=True, slots=True)
class Totals:
    """How much a transfer is.

    :ivar entries: files, folders and links.
    :ivar bytes: bytes of the files; None if a stream is among them, whose end nobody knows, or if holes make them more
        than any disk has.
    :ivar refused: how many of the entries didn't get through.
    :ivar by_type: bytes of the files of each content type that there is, as their names tell; None if nobody knows.
    """

    entries: int
    bytes: int | None
    refused: int = 0
    by_type: Mapping[str, int] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Found:
    """An entry that a walk came to.

    :ivar folder: a descriptor of the folder that it is in, good until the walk goes on.
    :ivar status: of a folder only: what it was like when it was opened.
    :ivar stream: the descriptor of a stream.
    """

    path: str
    kind: Kind
    name: str
    folder: int
    status: os.stat_result | None = None
    stream: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that a walk came to and that can't be sent; the path of a folder ends with ``/``."""

    path: str
    reason: str


def why_not(error: OSError) -> str:
    """Why a source can't be read, in words for a person."""
    return _REASONS.get(error.errno or 0) or f"the sender can't read it: {error.strerror}"


def entry_names(sources: Sequence[SourceRoot]) -> list[str]:
    """The names under which sources are sent.

    :raises LocalFileError: if one has none, or one that can't be sent.
    :raises InvalidRequest: if two have the same.
    """
    names: list[str] = []
    for source in sources:
        name = source.entry_name
        try:
            if len(checked_path(name)) != 1:
                raise LocalFileError(f"{shown(name)} has a / in it; name it without one")
        except InvalidPath as error:
            raise LocalFileError(f"{error}; give it another name") from error
        if name in names:
            raise InvalidRequest(f"two things to send are called {shown(name)}; send them one after the other")
        names.append(name)
    return names


def measure(sources: Sequence[SourceRoot]) -> Totals:
    """Count what there is to send, without reading it: about 3 microseconds an entry.

    :raises LocalFileError: if one of the sources isn't there or can't be read.
    """
    names = entry_names(sources)
    counted, endless = _Counted(), False
    for source, name in zip(sources, names, strict=True):
        counted.entries += 1
        if source.stream is not None:
            endless = True
            continue
        try:
            _measure(source, name, counted)
        except (OSError, InvalidPath) as error:
            reason = why_not(error) if isinstance(error, OSError) else str(error)
            raise LocalFileError(f"{source.path}: {reason}; name something that the daemon can read") from error
    size = sum(counted.by_type.values())
    if endless or size > _MOST:
        return Totals(counted.entries, None)
    return Totals(counted.entries, size, by_type=counted.by_type)


@dataclass(slots=True)
class _Counted:
    """What was counted so far: entries, and bytes by content type."""

    entries: int = 0
    by_type: dict[str, int] = field(default_factory=dict)

    def file(self, name: str, size: int) -> None:
        kind = type_of(name)
        self.by_type[kind] = self.by_type.get(kind, 0) + size


def _measure(source: SourceRoot, name: str, counted: _Counted) -> None:
    """Count the bytes of a source, and what is below it."""
    parent, base = _open_parent(source)
    try:
        status = os.stat(base, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            os.close(os.open(base, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent))
            counted.file(name, status.st_size)
            return
        if not stat.S_ISDIR(status.st_mode):
            return
        folder = os.open(base, _FOLDER_FLAGS, dir_fd=parent)
    finally:
        os.close(parent)
    _measure_folder(folder, name, counted)


def _measure_folder(folder: int, path: str, counted: _Counted) -> None:
    """Count what is in an open folder, which this closes; what a walk refuses to enter counts as the folder alone."""
    folders: list[str] = []
    try:
        with suppress(OSError), os.scandir(folder) as found:  # what it is, the walk will say
            for entry in found:
                counted.entries += 1
                kind = _kind(entry)
                if kind == stat.S_IFDIR:
                    folders.append(entry.name)
                elif kind == stat.S_IFREG:
                    with suppress(OSError):  # it is gone already, or can't be looked at
                        counted.file(entry.name, entry.stat(follow_symlinks=False).st_size)
        for name in folders:
            opened = _opened(f"{path}/{name}", name, folder)
            if not isinstance(opened, Refusal):
                _measure_folder(opened, f"{path}/{name}", counted)
    finally:
        os.close(folder)


def walk(sources: Sequence[SourceRoot], last: str | None = None) -> Generator[Found | Refusal]:
    """Go through sources in their order.

    :param last: the path of an entry; begin after it. If it ends with ``/``, all below it is left out as well.
    """
    names = entry_names(sources)
    after: tuple[str, ...] = tuple(last.split("/")) if last else ()
    first = names.index(after[0]) if after and after[0] in names else 0
    for index in range(first, len(sources)):
        yield from _walk_root(sources[index], names[index], after if after and names[index] == after[0] else ())


@dataclass(slots=True)
class _Level:
    """A folder that a walk is in.

    :ivar prefix: what the paths of its entries begin with; empty for the folder that a source is in.
    :ivar after: what is left of the path after which the walk begins, if that is in this folder.
    :ivar left: names and kinds of what comes next, the first one last.
    :ivar start: from which name on it is to be listed then; None if there is nothing more.
    """

    folder: int
    prefix: str
    after: tuple[str, ...]
    left: list[tuple[str, int]] = field(default_factory=list)
    start: str | None = None

    def list_more(self) -> None:
        """Find what comes next: all, unless that is so much that it is better listed again later than kept."""
        start, self.start = self.start, None
        assert start is not None
        end = ""
        with os.scandir(self.folder) as entries:
            for entry in entries:
                name = entry.name
                if name < start or (end and name > end):
                    continue
                self.left.append((name, _kind(entry)))
                if len(self.left) == 2 * _LISTED:
                    self.left.sort()
                    del self.left[_LISTED:]
                    end = self.left[-1][0]
        self.left.sort(reverse=True)
        if end:
            self.start = end + "\0"  # no name lies between


def _walk_root(source: SourceRoot, name: str, after: tuple[str, ...]) -> Iterator[Found | Refusal]:
    if source.stream is not None:
        if not after:
            yield Found(name, Kind.FILE, name, -1, stream=source.stream)
        return
    levels: list[_Level] = []
    try:
        try:
            parent, base = _open_parent(source)
            levels.append(_Level(parent, "", after))
            kind = stat.S_IFMT(os.stat(base, dir_fd=parent, follow_symlinks=False).st_mode)
            levels[0].left.append((base, kind))
        except (OSError, InvalidPath) as error:
            if not after:
                yield Refusal(name, why_not(error) if isinstance(error, OSError) else str(error))
        while levels:
            yield from _step(levels, name)
    finally:
        for level in levels:
            os.close(level.folder)


def _step(levels: list[_Level], root_name: str) -> Iterator[Found | Refusal]:
    """Go one entry further, or leave a folder."""
    level = levels[-1]
    if level.start is not None and not level.left:
        try:
            level.list_more()
        except OSError as error:
            level.left.clear()
            yield Refusal(level.prefix, why_not(error))
    if not level.left:
        levels.pop()
        os.close(level.folder)
        return
    base, kind = level.left.pop()
    label = base if level.prefix else root_name
    path = level.prefix + label
    done = bool(level.after) and label == level.after[0]
    rest = level.after[1:] if done else ()
    if kind != stat.S_IFDIR:
        if not done:
            yield _found(path, base, level.folder, kind)
        return
    if rest == ("",):
        return
    opened = _opened(path, base, level.folder)
    if isinstance(opened, Refusal):
        if not done:
            yield opened
        return
    levels.append(_Level(opened, path + "/", rest, start=rest[0] if rest else ""))
    if not done:
        yield Found(path, Kind.FOLDER, base, level.folder, os.fstat(opened))


def _open_parent(source: SourceRoot) -> tuple[int, str]:
    """A descriptor of the folder that a source is in, and its name there; that folder needn't be readable."""
    assert source.path is not None
    if source.inside is None:
        path = source.path.absolute()
        return os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), path.name
    *way, name = checked_path(str(source.path))
    folder = os.open(source.inside, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in way:
            deeper = os.open(part, os.O_PATH | _FOLDER_FLAGS, dir_fd=folder)
            os.close(folder)
            folder = deeper
    except OSError:
        os.close(folder)
        raise
    return folder, name


def _opened(path: str, name: str, folder: int) -> int | Refusal:
    try:
        checked_path(path)
        return os.open(name, _FOLDER_FLAGS, dir_fd=folder)
    except InvalidPath as error:
        return Refusal(path + "/", str(error))
    except OSError as error:
        return Refusal(path + "/", why_not(error))


def _kind(entry: os.DirEntry[str]) -> int:
    try:
        if entry.is_symlink():
            return stat.S_IFLNK
        if entry.is_dir(follow_symlinks=False):
            return stat.S_IFDIR
        return stat.S_IFREG if entry.is_file(follow_symlinks=False) else 0
    except OSError:
        return stat.S_IFREG  # whoever opens it is told why it can't be looked at


def _found(path: str, name: str, folder: int, kind: int) -> Found | Refusal:
    try:
        checked_path(path)
    except InvalidPath as error:
        return Refusal(path, str(error))
    if kind == stat.S_IFREG:
        return Found(path, Kind.FILE, name, folder)
    if kind == stat.S_IFLNK:
        return Found(path, Kind.LINK, name, folder)
    return Refusal(path, "it is neither a file nor a folder nor a link")

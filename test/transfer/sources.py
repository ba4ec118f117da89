"""What the tests of the sending side share: trees on disk, and what an engine makes of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, Union

from twisted.trial.unittest import SynchronousTestCase

from p2p.transfer.records import Buffer, Chunk, EndOfFile, EndOfTransfer, Entry, GaveUp, Record, RecordDecoder
from p2p.transfer.sender_state import SenderState
from p2p.transfer.sending import SendingEngine
from p2p.transfer.tree import CHUNK, Tree, leaf_digest
from p2p.transfer.walking import SourceRoot

__all__ = ["Link", "SendingTestCase", "Spec", "contents", "make", "new_ctime", "pattern", "records_of", "set_time"]
__all__ += ["taken"]


class Link(str):
    """In a tree to be made: a link, and where it leads."""

    __slots__ = ()


Spec = Mapping[str, Union[bytes, Link, "Spec"]]
"""A tree to be made: names of files with their content, of links, and of folders with what is in them."""


class _Next(Protocol):
    def next(self, max_bytes: int) -> list[Buffer]: ...


def make(folder: Path, spec: Spec) -> Path:
    """Make a folder with what is specified in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, what in spec.items():
        path = folder / name
        if isinstance(what, Link):
            path.symlink_to(what)
        elif isinstance(what, bytes):
            path.write_bytes(what)
        else:
            make(path, what)
    return folder


def pattern(size: int, seed: int = 0) -> bytes:
    """So many bytes, no two chunks alike."""
    chunks = range(-(-size // CHUNK))
    return b"".join((b"%d/%d " % (seed, number)).ljust(64, b".") * (CHUNK // 64) for number in chunks)[:size]


def taken(sender: _Next, max_bytes: int = 1 << 20) -> Iterator[bytes]:
    """All that a sender gives, call by call."""
    while buffers := sender.next(max_bytes):
        yield b"".join(buffers)


def records_of(sender: _Next, max_bytes: int = 1 << 20) -> list[Record]:
    """All records that a sender gives."""
    decoder = RecordDecoder()
    records = [record for data in taken(sender, max_bytes) for record in decoder.feed(data)]
    assert decoder.between
    return records


def contents(records: list[Record]) -> dict[str, bytes | str | None]:
    """What records say, every leaf and root checked: contents of files, targets of links, None for folders.

    Files that were sent in part stand there with what came; what was given up with its reason after a ``!``.
    """
    found: dict[str, bytes | str | None] = {}
    path, data, tree, size = "", b"", Tree(), 0
    for record in records:
        match record:
            case Entry():
                path, data, tree = record.path, b"", Tree()
                if record.kind != "file":
                    found[path] = record.target
                elif record.offset:
                    found[path] = b""
            case Chunk(leaf, pieces):
                assert leaf == leaf_digest(pieces), path
                data += b"".join(pieces)
                tree.add(leaf, record.size)
            case EndOfFile(root):
                assert path in found or (root, record.size) == (tree.root(), tree.size), path
                found[path] = data
            case GaveUp():
                found[record.path] = "!" + record.reason
            case EndOfTransfer():
                size += 1
    assert size == 1 and isinstance(records[-1], EndOfTransfer)
    return found


def set_time(path: Path, ns: int) -> None:
    """Give a file a time of its own."""
    os.utime(path, ns=(ns, ns), follow_symlinks=False)


def new_ctime(path: Path) -> os.stat_result:
    """Change a file's ctime and nothing else, however coarse its file system's clock is."""
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.chmod(before.st_mode)
    return path.stat()


class SendingTestCase(SynchronousTestCase):
    """Has a folder with sources, and a state."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.out = self.folder / "state"

    def engine(self, *sources: SourceRoot | Path, state: bool = False, **options: Any) -> SendingEngine:
        roots = [each if isinstance(each, SourceRoot) else SourceRoot(each) for each in sources]
        engine = SendingEngine(roots, state=SenderState(self.out) if state else None, **options)
        self.addCleanup(engine.close)
        return engine

    def file(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def meanwhile(self, function: str, what: Callable[[], object], calls: int = 1) -> None:
        """Let something happen just before a function of os is called for the nth time."""
        original = getattr(os, function)
        left = [calls]

        def called(*arguments: Any, **keywords: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                what()
            return original(*arguments, **keywords)

        self.patch(os, function, called)

"""What the tests of the receiving side share: an inbox, records as a sender would send them, and disks that fail."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange import naming
from p2p.transfer import arriving, partial, receiver_memory, records, tree
from p2p.transfer.final_names import Receipt
from p2p.transfer.receiving import ReceivingEngine
from p2p.transfer.records import (
    Buffer,
    Entry,
    Kind,
    encode_chunk,
    encode_end,
    encode_end_of_file,
    encode_entry,
    encode_gave_up,
)
from p2p.transfer.tree import Tree, leaf_digest
from test.descriptors import open_files

__all__ = ["ID", "MTIME", "ReceivingTestCase", "begun", "chunk", "end", "ended", "file", "folder", "gave_up", "link"]
__all__ += ["contents", "fail", "quick_folder", "watched", "without"]

ID = "0123456789abcdef"
MTIME = 1_700_000_000_123_456_789


def begun(path: str, size: int | None, *, mode: int = 0o640, mtime: int = MTIME, offset: int = 0) -> list[Buffer]:
    """A file begins."""
    return encode_entry(Entry(path, Kind.FILE, mode, mtime, size, offset=offset))


def chunk(data: bytes) -> list[Buffer]:
    """A chunk of it."""
    return encode_chunk(leaf_digest([data]), [data])


def ended(data: bytes) -> list[Buffer]:
    """It ends, and this is all that was in it."""
    whole = Tree()
    for at in range(0, len(data), tree.CHUNK):
        piece = data[at : at + tree.CHUNK]
        whole.add(leaf_digest([piece]), len(piece))
    return encode_end_of_file(whole.root(), len(data))


def file(path: str, data: bytes = b"", *, offset: int = 0, streamed: bool = False, **more: Any) -> list[Buffer]:
    """A whole file, from an offset on."""
    records = begun(path, None if streamed else len(data), offset=offset, **more)
    for at in range(offset, len(data), tree.CHUNK):
        records += chunk(data[at : at + tree.CHUNK])
    return records + ended(data)


def folder(path: str, *, mode: int = 0o755, mtime: int = MTIME) -> list[Buffer]:
    """A folder."""
    return encode_entry(Entry(path, Kind.FOLDER, mode, mtime))


def link(path: str, target: str) -> list[Buffer]:
    """A link."""
    return encode_entry(Entry(path, Kind.LINK, 0o777, MTIME, target=target))


def gave_up(path: str, reason: str = "it went away") -> list[Buffer]:
    """The sender can't send it."""
    return encode_gave_up(path, reason)


def end(entries: int, size: int = 0) -> list[Buffer]:
    """All was sent."""
    return encode_end(entries, size)


def contents(path: Path) -> Any:
    """What is at a path: bytes of files, targets of links, dictionaries of folders."""
    if path.is_symlink():
        return f"-> {path.readlink()}"
    if path.is_dir():
        return {each.name: contents(each) for each in path.iterdir()}
    return path.read_bytes()


def quick_folder(case: SynchronousTestCase) -> Path:
    """A folder for the time of a test, in memory if possible: disks take their time to replace a file by another."""
    memory = "/dev/shm"
    made = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK | os.X_OK) else None)).resolve()

    def remove() -> None:
        for path, folders, _ in os.walk(made):
            for each in (Path(path, name) for name in folders):
                if not each.is_symlink():
                    each.chmod(0o700)  # so that it can be emptied
        shutil.rmtree(made)

    case.addCleanup(remove)
    return made


def fail(
    case: SynchronousTestCase,
    function: str,
    error: int = errno.EIO,
    *,
    when: Callable[..., bool] = lambda *arguments, **more: True,
    calls: int = 1,
    of: Any = os,
) -> Callable[[], None]:
    """Have a function fail at its nth call that matters, and from then on; returns what repairs it."""
    original = getattr(of, function)
    left = [calls]

    def called(*arguments: Any, **more: Any) -> Any:
        if left[0] and when(*arguments, **more):
            left[0] -= 1
        if not left[0] and when(*arguments, **more):
            raise OSError(error, os.strerror(error))
        return original(*arguments, **more)

    patch = case.patch(of, function, called)

    def repair() -> None:
        patch.restore()

    return repair


def without(case: SynchronousTestCase, *calls: Literal["rename", "link"]) -> None:
    """Have the disk be one that can't do that: no rename that replaces nothing, no hard links."""
    if "rename" in calls:
        fail(case, "_rename_new", errno.EINVAL, of=naming)
    if "link" in calls:
        fail(case, "link", errno.EPERM)


def watched(case: SynchronousTestCase, *functions: str) -> list[tuple[Any, ...]]:
    """Have functions of ``os`` write down, in one list, what they are called and with what; they do what they do."""
    calls: list[tuple[Any, ...]] = []

    def watch(name: str) -> None:
        original = getattr(os, name)

        def called(*arguments: Any, **more: Any) -> Any:
            calls.append((name, *arguments))
            return original(*arguments, **more)

        case.patch(os, name, called)

    for each in functions:
        watch(each)
    return calls


class ReceivingTestCase(SynchronousTestCase):
    """Has an inbox. Whatever a test does, no descriptor is left open in the end."""

    def setUp(self) -> None:
        self.top = quick_folder(self)
        self.inbox = self.top / "inbox"
        self.inbox.mkdir()
        self.work = self.inbox / f".p2p-{ID}"
        self.engines: list[ReceivingEngine] = []
        self.addCleanup(self.assert_closed)

    def assert_closed(self) -> None:
        """Every engine can be let go of, twice, and then nothing is open."""
        for engine in self.engines:
            engine.suspend()
            engine.suspend()
            engine.abandon()
        self.assertEqual([], open_files(self.top))

    def chunks_of(self, size: int) -> None:
        """Make chunks that small."""
        for module in (arriving, partial, receiver_memory, tree):
            self.patch(module, "CHUNK", size)
        self.patch(receiver_memory, "GROUP_BYTES", size)
        self.patch(records, "_LENGTHS", {**records._LENGTHS, b"C": (tree.LEAF + 1, tree.LEAF + size)})

    def engine(self, *, fresh: bool = True, **options: Any) -> ReceivingEngine:
        """An engine that has said what it has."""
        engine = ReceivingEngine(self.inbox, ID, **options)
        self.engines.append(engine)
        if fresh:
            engine.have()
        return engine

    def fed(self, engine: ReceivingEngine, *records: Sequence[Buffer]) -> list[Receipt]:
        """Feed it records."""
        return engine.feed([b"".join(bytes(buffer) for record in records for buffer in record)])

    def received(self, *records: Sequence[Buffer], **options: Any) -> dict[str, Receipt]:
        """A whole transfer: its receipts by the sender's paths."""
        engine = self.engine(**options)
        receipts = self.fed(engine, *records)
        last, _ = engine.finish()
        return {receipt.path: receipt for receipt in (*receipts, *last)}

    def refused(self, outcome: Outcome, function: Callable[..., Any], *arguments: Any, **named: Any) -> str:
        """The reason of a failure that is expected."""
        failure = self.assertRaises(ExchangeFailed, function, *arguments, **named)
        self.assertIs(outcome, failure.outcome, str(failure))
        return str(failure)

    def there(self) -> Any:
        """What is in the inbox, but for work folders."""
        found: dict[str, Any] = contents(self.inbox)
        return {name: what for name, what in found.items() if not name.startswith(".p2p-")}

"""The file of a transfer that is under way."""

from __future__ import annotations

import errno
import os

from p2p.base.errors import Outcome, ProtocolViolation
from p2p.transfer.arriving import ArrivingFile, is_small
from p2p.transfer.records import Chunk, EndOfFile, Entry, Kind
from p2p.transfer.tree import Tree, leaf_digest
from p2p.transfer.work_folder import PartialEntry
from test.transfer.arrivals import MTIME, ReceivingTestCase, fail


def a_chunk(data: bytes, leaf: bytes | None = None) -> Chunk:
    return Chunk(leaf_digest([data]) if leaf is None else leaf, [memoryview(data)], len(data))


class ArrivingTests(ReceivingTestCase):
    """Chunks of 8 bytes."""

    def setUp(self) -> None:
        super().setUp()
        self.chunks_of(8)
        self.folder = os.open(self.inbox, os.O_RDONLY)
        self.all: list[ArrivingFile] = []
        self.addCleanup(self.let_go)

    def let_go(self) -> None:
        for each in self.all:
            each.let_go()
        os.close(self.folder)

    def arriving(self, size: int | None, *, offset: int = 0, reason: str = "", mode: int = 0o640) -> ArrivingFile:
        entry = Entry("a", Kind.FILE, mode, MTIME, size, offset=offset)
        made = ArrivingFile(entry, None, reason)
        self.all.append(made)
        if not reason and is_small(entry):
            made.begin_small(self.folder, "1")
        elif not reason:
            made.begin_large(self.folder, PartialEntry("1", "a", MTIME, size))
        return made

    def took(self, arriving: ArrivingFile, *pieces: bytes) -> ArrivingFile:
        for piece in pieces:
            arriving.check(a_chunk(piece))
            arriving.take(a_chunk(piece))
        return arriving

    def whole(self, *pieces: bytes) -> EndOfFile:
        tree = Tree()
        for piece in pieces:
            tree.add(leaf_digest([piece]), len(piece))
        return EndOfFile(tree.root(), tree.size)

    def test_small(self) -> None:
        """Only what comes in one chunk and from its beginning is small; of all else there is a part."""
        for size, offset, small in ((0, 0, True), (8, 0, True), (8, 8, False), (9, 0, False), (None, 0, False)):
            self.assertEqual(small, is_small(Entry("a", Kind.FILE, 0, 0, size, offset=offset)))

    def test_detach(self) -> None:
        """A file gets its time, and of its mode what concerns its owner, its group and others; it stays open."""
        for pieces in ((b"abc",), (b"12345678", b"9")):
            arriving = self.took(self.arriving(sum(map(len, pieces)), mode=0o6755), *pieces)
            self.assertTrue(arriving.is_whole(self.whole(*pieces)))
            file, note = arriving.detach()
            arriving.let_go()
            status = os.fstat(file)
            os.close(file)
            self.assertEqual((0o100755, MTIME, ""), (status.st_mode, status.st_mtime_ns, note))
            self.assertEqual(b"".join(pieces), (self.inbox / "1").read_bytes())
            (self.inbox / "1").unlink()

    def test_detach_fails(self) -> None:
        """If the disk fails at that, it still has the descriptor, and closes it in the end."""
        for size in (3, 9):
            for function in ("utime", "fchmod"):
                arriving = self.arriving(size)
                repair = fail(self, function)
                self.assertRaises(OSError, arriving.detach)
                repair()
                (self.inbox / "1").unlink()

    def test_no_times(self) -> None:
        """A file system that doesn't take its time or its mode keeps the file all the same, and that is told."""
        for size in (3, 9):
            for function in ("utime", "fchmod"):
                arriving = self.arriving(size)
                repair = fail(self, function, errno.EPERM)
                file, note = arriving.detach()
                repair()
                os.close(file)
                self.assertEqual("its time and mode can't be set there: Operation not permitted", note)
                (self.inbox / "1").unlink()

    def test_not_taken(self) -> None:
        """What isn't taken isn't written, but has to make sense."""
        arriving = self.took(self.arriving(9, reason="no"), b"12345678", b"9")
        self.assertTrue(arriving.is_whole(self.whole(b"12345678", b"9")))
        self.assertEqual([], list(self.inbox.iterdir()))
        arriving = self.took(self.arriving(None, reason="no"), b"1")
        self.assertRaises(ProtocolViolation, arriving.check, a_chunk(b"2"))

    def test_checked(self) -> None:
        """A chunk that isn't what its leaf says, is too much, or comes after the last one isn't taken."""
        arriving = self.arriving(3)
        reason = self.refused(Outcome.CORRUPT, arriving.check, a_chunk(b"abc", bytes(32)))
        self.assertIn("chunk 0 of 'a' isn't what was sent", reason)
        self.assertIn("longer than the 3 bytes", self.refused(Outcome.CORRUPT, arriving.check, a_chunk(b"abcd")))
        self.took(arriving, b"ab")
        self.assertRaises(ProtocolViolation, arriving.check, a_chunk(b"c"))

    def test_is_whole(self) -> None:
        """The root, the size and what was announced have to agree."""
        arriving = self.took(self.arriving(3), b"abc")
        self.assertTrue(arriving.is_whole(self.whole(b"abc")))
        self.assertFalse(arriving.is_whole(self.whole(b"abx")))
        self.assertFalse(arriving.is_whole(EndOfFile(self.whole(b"abc").root, 2)))
        (self.inbox / "1").unlink()
        arriving = self.took(self.arriving(4), b"abc")
        self.assertFalse(arriving.is_whole(self.whole(b"abc")))
        self.assertTrue(self.took(self.arriving(None), b"abc").is_whole(self.whole(b"abc")))

    def test_goes_on(self) -> None:
        """A file goes on where its sender says, if there is as much of it, and a chunk ends there."""
        self.took(self.arriving(20), b"12345678", b"12345678").let_go()
        for offset in (24, 4, 20):
            self.assertRaises(ProtocolViolation, self.arriving, 20, offset=offset)
        self.assertEqual(16, self.arriving(20, offset=16).tree.size)
        self.assertEqual(8, self.arriving(20, offset=8).tree.size)
        self.took(self.arriving(20, offset=8), b"12345678", b"1234").let_go()
        self.assertEqual(20, self.arriving(20, offset=20).tree.size)

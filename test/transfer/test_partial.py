"""A large file on its way into a receiver's folder."""

from __future__ import annotations

import errno
import os
from typing import Any

from p2p.transfer import partial, receiver_memory
from p2p.transfer.partial import PartialFile, begin_sync, write_all
from p2p.transfer.tree import LEAF, leaf_digest
from test.transfer.arrivals import ReceivingTestCase, end, fail, file, watched
from test.transfer.sources import new_ctime

SIZE = 22  # bytes of a file of three chunks, the last of which is short
DATA = bytes(range(SIZE))
NO_FILE = 1 << 20  # a descriptor that nobody has


class WriteAllTests(ReceivingTestCase):
    """Nothing is left out, however little a disk takes at a time."""

    def test_short(self) -> None:
        """What the system didn't take at once follows."""
        original = os.writev
        self.patch(os, "writev", lambda file, pieces: original(file, [b"".join(pieces)[:2]]))
        with (self.top / "x").open("wb", buffering=0) as file:
            write_all(file.fileno(), [memoryview(b"abc"), memoryview(b"def")])
        self.assertEqual(b"abcdef", (self.top / "x").read_bytes())


class BeginSyncTests(ReceivingTestCase):
    """The disk begins before it is waited for."""

    def test_begun(self) -> None:
        """What was written stays as it is, whether the C library has the call or not; failures are told by a sync."""
        for call in (partial._BEGIN, None):
            self.patch(partial, "_BEGIN", call)
            with (self.top / "x").open("wb", buffering=0) as file:
                file.write(b"abc")
                begin_sync(file.fileno())
            begin_sync(NO_FILE)
            self.assertRaises(OSError, os.fsync, NO_FILE)
            self.assertEqual(b"abc", (self.top / "x").read_bytes())

    def test_large(self) -> None:
        """Of a large file the disk gets some now and then, so that a sync is no long wait."""
        begun: list[int] = []
        self.patch(partial, "begin_sync", begun.append)
        self.patch(partial, "BEGIN_EVERY", 2)
        self.chunks_of(8)
        self.received(file("a", bytes(40)), end(1), sync=False)
        self.assertEqual(2, len(begun))

    def test_group(self) -> None:
        """Of small files the disk gets a whole group, before the first of them is waited for."""
        calls = watched(self, "fsync")
        self.patch(receiver_memory, "begin_sync", lambda file: calls.append(("begin", file)))
        self.received(file("a", b"1"), file("b", b"2"), end(2))
        self.assertEqual(["begin", "begin", "fsync", "fsync"], [name for name, *_ in calls[:4]])
        self.assertEqual(calls[0][1:], calls[2][1:])


class PartialFileTests(ReceivingTestCase):
    """Chunks of 8 bytes."""

    def setUp(self) -> None:
        super().setUp()
        self.chunks_of(8)
        self.folder = os.open(self.inbox, os.O_RDONLY)
        self.parts: list[PartialFile] = []
        self.addCleanup(self.let_go)

    def let_go(self) -> None:
        for part in self.parts:
            part.close()
        os.close(self.folder)

    def part(self, size: int | None = SIZE) -> PartialFile:
        part = PartialFile(self.folder, "1", size)
        self.parts.append(part)
        return part

    def filled(self, size: int | None = SIZE, data: bytes = DATA) -> PartialFile:
        """A part in which there is something."""
        part = self.part(size)
        for at in range(0, len(data), 8):
            self.add(part, data[at : at + 8])
        return part

    def add(self, part: PartialFile, data: bytes) -> bool:
        return part.append(leaf_digest([data]), [memoryview(data)], len(data))

    def data(self) -> bytes:
        return (self.inbox / "1").read_bytes()

    def leaves(self) -> int:
        return (self.inbox / "1.leaves").stat().st_size // LEAF

    def damage(self, at: int) -> None:
        with (self.inbox / "1").open("r+b") as file:
            file.seek(at)
            file.write(b"?")

    def noted(self) -> tuple[int, int, int]:
        """What is noted of the part when its session ends."""
        return self.parts[-1].sync()

    def recovered(self, noted: tuple[int, int, int] | None = None, size: int | None = SIZE) -> int:
        """How much another engine finds."""
        part = self.part(size)
        self.assertEqual(noted is not None, part.recover(noted))
        found = part.tree.size
        self.assertEqual(self.data(), DATA[:found])
        self.assertEqual(-(-found // 8), self.leaves())
        return found

    def reads(self) -> list[int]:
        """From now on, the chunks that are read."""
        read: list[int] = []
        original = os.pread

        def pread(file: int, length: int, at: int) -> bytes:
            if length <= 8:
                read.append(at // 8)
            return original(file, length, at)

        self.patch(os, "pread", pread)
        return read

    def test_whole(self) -> None:
        """What has come is there again, the short chunk at the end as well."""
        whole = self.filled()
        for noted in (None, self.noted()):
            self.assertEqual(SIZE, self.recovered(noted))
            self.assertEqual(whole.tree.root(), self.parts[-1].tree.root())

    def test_untouched(self) -> None:
        """If nobody touched it since it was noted, only its last chunk is read, and looking touches nothing."""
        self.filled()
        noted = self.noted()
        read = self.reads()
        for _ in range(2):
            self.assertEqual(SIZE, self.recovered(noted))
            self.assertEqual(3, self.parts[-1].synced)
        self.assertEqual([2, 2], read)

    def test_touched(self) -> None:
        """Whoever has written to it, and set its mtime back, is found out, wherever that was."""
        for at in range(SIZE):
            self.filled()
            noted = self.noted()
            status = (self.inbox / "1").stat()
            self.damage(at)
            os.utime(self.inbox / "1", ns=(status.st_atime_ns, status.st_mtime_ns))
            new_ctime(self.inbox / "1")
            part = self.part()
            self.assertFalse(part.recover(noted))
            self.assertEqual(at // 8 * 8, part.tree.size)
            for path in self.inbox.iterdir():
                path.unlink()

    def test_touched_and_good(self) -> None:
        """One that got a link or another mode is hashed again, and nothing of it comes again."""
        self.filled()
        noted = self.noted()
        new_ctime(self.inbox / "1")
        read = self.reads()
        part = self.part()
        self.assertFalse(part.recover(noted))
        self.assertEqual(([0, 1, 2], SIZE, 0), (read, part.tree.size, part.synced))

    def test_killed(self) -> None:
        """After an end that wasn't noted all is read again, up to the first bad chunk, and what is good stays."""
        self.filled()
        self.damage(10)
        self.assertEqual(8, self.recovered())

    def test_stopped(self) -> None:
        """Hashing again can be ended before each chunk; nothing is cut off then."""
        self.filled()
        self.damage(10)

        def stop() -> None:
            raise InterruptedError

        self.assertRaises(InterruptedError, self.part().recover, None, stop)
        self.assertEqual((SIZE, 3), (len(self.data()), self.leaves()))

    def test_asked_before_each(self) -> None:
        """It may go on as often as there are chunks to be hashed."""
        self.filled()
        asked: list[None] = []
        self.part().recover(None, lambda: asked.append(None))
        self.assertEqual(-(-SIZE // 8), len(asked))

    def test_last_byte(self) -> None:
        """A last chunk of a single byte counts like any other."""
        self.filled(17, DATA[:17])
        self.assertEqual(17, self.recovered(size=17))

    def test_new(self) -> None:
        """While it comes, only its owner can read it."""
        self.filled()
        self.assertEqual(0o600, self.mode())

    def test_stream(self) -> None:
        """The size needn't be known."""
        self.filled(None)
        for noted in (None, self.noted()):
            self.assertEqual(SIZE, self.recovered(noted, size=None))

    def test_goes_on(self) -> None:
        """After what was found the next chunk follows."""
        self.filled(data=DATA[:8])
        self.recovered(self.noted())
        self.add(self.parts[-1], DATA[8:16])
        self.assertEqual(16, self.recovered())

    def test_last_chunk_damaged(self) -> None:
        """If the last chunk isn't what its leaf says, it comes again, and no more than that."""
        self.filled()
        self.damage(20)
        for noted in (self.noted(), None):
            self.assertEqual(16, self.recovered(noted))

    def test_data_without_leaf(self) -> None:
        """Data whose leaf wasn't written any more doesn't count."""
        self.filled(data=DATA[:8])
        with (self.inbox / "1").open("ab") as file:
            file.write(DATA[8:12])
        self.assertEqual(8, self.recovered())

    def test_leaf_cut(self) -> None:
        """A leaf that was written in part doesn't count."""
        self.filled()
        os.truncate(self.inbox / "1.leaves", 2 * LEAF + 5)
        self.assertEqual(16, self.recovered())

    def test_leaves_without_data(self) -> None:
        """Leaves whose data is gone don't count."""
        self.filled()
        os.truncate(self.inbox / "1", 12)
        self.assertEqual(8, self.recovered())

    def test_longer_than_the_file(self) -> None:
        """What is longer than the file that it is a part of begins anew where that ends."""
        self.filled()
        self.assertEqual(8, self.recovered(size=8))
        self.assertEqual(0, self.recovered(size=0))

    def test_cut(self) -> None:
        """A sender may go on before the end of what is there."""
        part = self.filled()
        part.cut(8)
        self.add(part, DATA[8:16])
        self.assertEqual(16, self.recovered())

    def test_sync_every(self) -> None:
        """It is time for a sync after so many chunks."""
        self.patch(partial, "SYNC_EVERY", 2)
        part = self.part()
        self.assertEqual([False, True, False], [self.add(part, DATA[at : at + 8]) for at in (0, 8, 16)])
        part.sync()
        self.assertEqual(2, part.synced)

    def test_disk_full(self) -> None:
        """A chunk that was written in part is cut off, and doesn't count."""
        part = self.filled(data=DATA[:8])
        original = os.writev

        def full(file: int, pieces: Any) -> int:
            original(file, [b"".join(pieces)[:3]])
            raise OSError(errno.ENOSPC, "full")

        self.patch(os, "writev", full)
        self.assertRaises(OSError, self.add, part, DATA[8:16])
        self.assertEqual(8, part.tree.size)
        self.assertEqual(DATA[:8], self.data())

    def test_sync_fails(self) -> None:
        """When the disk has lost something, nothing counts that came after the last sync that went well."""
        part = self.filled(data=DATA[:8])
        part.sync()
        self.add(part, DATA[8:16])
        fail(self, "fdatasync")
        self.assertRaises(OSError, part.sync)
        self.assertEqual(8, part.tree.size)
        self.assertEqual((DATA[:8], 1), (self.data(), self.leaves()))

    def test_detach(self) -> None:
        """Its descriptor can go on without it."""
        part = self.filled()
        file = part.detach()
        self.addCleanup(os.close, file)
        part.close()
        self.assertEqual(SIZE, os.fstat(file).st_size)

    def test_mode_was_set(self) -> None:
        """A part that a crash has left with the mode that it is to have at its place can be opened again."""
        self.filled()
        (self.inbox / "1").chmod(0o400)
        fail(self, "open", errno.EACCES, when=lambda name, *more, **named: name == "1" and not self.mode() & 0o200)
        self.assertEqual(SIZE, self.recovered())
        self.assertEqual(0o600, self.mode())

    def mode(self) -> int:
        """The permissions of the part."""
        return (self.inbox / "1").stat().st_mode & 0o777

    def test_not_opened(self) -> None:
        """If one of its two files can't be opened, the other one isn't left open."""
        fail(self, "open", calls=2)
        self.assertRaises(OSError, self.part)

    def test_close_fails(self) -> None:
        """If one of them can't be closed without an error, the other one is closed all the same."""
        part = self.filled()
        closed: list[int] = []
        original = os.close

        def close(file: int) -> None:
            original(file)
            closed.append(file)
            if len(closed) == 1:
                raise OSError(errno.EIO, "lost")

        self.patch(os, "close", close)
        self.assertRaises(OSError, part.close)
        self.assertEqual(2, len(closed))

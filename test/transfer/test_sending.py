"""From files, folders and streams to records."""

from __future__ import annotations

import errno
import os
from functools import partial
from pathlib import Path
from typing import Any

from p2p.base.errors import LocalFileError
from p2p.transfer.interfaces import Sender
from p2p.transfer.records import FAR_TIME, Chunk, EndOfFile, EndOfTransfer, Entry, Kind, Record, RecordDecoder
from p2p.transfer.sending import SendingEngine
from p2p.transfer.tree import CHUNK, LEAF
from p2p.transfer.walking import SourceRoot, Totals
from test.transfer.sources import (
    Link,
    SendingTestCase,
    Spec,
    contents,
    make,
    new_ctime,
    pattern,
    records_of,
    set_time,
    taken,
)


class RecordsTests(SendingTestCase):
    """What is on disk is what the records say."""

    def test_everything(self) -> None:
        """Files, folders, empty ones too, and links are sent with their names, modes and times."""
        spec: Spec = {"b": {"x.txt": b"hello", "empty": {}}, "a": b"", "l": Link("b/x.txt"), "\udcff-": b"\xff"}
        top = make(self.folder / "top", spec)
        (top / "a").chmod(0o640)
        set_time(top / "a", 1_234_567_890_123_456_789)
        set_time(top / "l", 7_000_000_001)
        (top / "b").chmod(0o750)
        set_time(top / "b", -5)
        engine = self.engine(top)
        records = records_of(engine)
        expected = {"top": None, "top/a": b"", "top/b": None, "top/b/empty": None, "top/b/x.txt": b"hello"}
        self.assertEqual(contents(records), {**expected, "top/l": "b/x.txt", "top/\udcff-": b"\xff"})
        entries = {record.path: record for record in records if isinstance(record, Entry)}
        self.assertEqual(entries["top/a"], Entry("top/a", Kind.FILE, 0o640, 1_234_567_890_123_456_789, size=0))
        self.assertEqual(entries["top/b"], Entry("top/b", Kind.FOLDER, 0o750, -5))
        self.assertEqual(entries["top/l"], Entry("top/l", Kind.LINK, 0o777, 7_000_000_001, target="b/x.txt"))
        self.assertEqual(records[-1], EndOfTransfer(7, 6))
        self.assertEqual((engine.done_entries, engine.done_bytes, engine.ended), (7, 6, True))

    def test_sizes(self) -> None:
        """Files are cut into chunks of 1 MiB, only the last is shorter; their tree is right at every size."""
        for size in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5):
            data = pattern(size)
            records = records_of(self.engine(self.file("film", data)))
            self.assertEqual(contents(records), {"film": data})
            sizes = [record.size for record in records if isinstance(record, Chunk)]
            self.assertEqual(sizes, [CHUNK] * (size // CHUNK) + [size % CHUNK] * bool(size % CHUNK))

    def test_interface(self) -> None:
        """An engine is a sender."""
        sender: Sender = self.engine(self.file("a", b""))
        self.assertIsNone(sender.current)
        sender.next(1)
        self.assertEqual(sender.current, "a")

    def test_nothing_twice(self) -> None:
        """When all was given out, that is said at once, and nothing more comes."""
        engine = self.engine(self.file("a", b"x"))
        self.assertTrue(engine.next(1 << 20))
        self.assertTrue(engine.ended)
        self.assertEqual([engine.next(1), engine.next(1 << 20), engine.read(1)], [[], [], []])

    def test_links_refused(self) -> None:
        """Links that aren't to be sent are given up by name; what they lead to was never meant."""
        top = make(self.folder / "top", {"a": Link("/etc/passwd"), "b": b"x"})
        engine = self.engine(top, links="refuse")
        found = contents(records_of(engine))
        self.assertEqual(found, {"top": None, "top/a": "!it is a link, and links aren't sent", "top/b": b"x"})
        self.assertEqual((engine.given_up_count, engine.given_up[0][0]), (1, "top/a"))

    def test_names(self) -> None:
        """Sources whose names can't be sent are told of when the engine is made."""
        self.assertRaises(LocalFileError, SendingEngine, [SourceRoot(stream=0)])

    def test_totals(self) -> None:
        """How much there is to send can be measured, but for the bytes of a stream."""
        top = make(self.folder / "top", {"a": b"xyz"})
        engine = self.engine(top)
        self.assertEqual(engine.measure(), Totals(2, 3))
        endless = self.engine(top, SourceRoot(name="-", stream=0))
        self.assertEqual(endless.measure(), Totals(3, None))


class BatchTests(SendingTestCase):
    """How much a call gives."""

    def test_small_files(self) -> None:
        """Many small files come in one call, and in few large buffers."""
        top = make(self.folder / "top", {f"{number:03}": b"x" * 4096 for number in range(600)})
        engine = self.engine(top, clock=lambda: 0.0)
        calls = []
        while buffers := engine.next(1 << 20):
            calls.append(buffers)
        self.assertEqual(len(calls), 3)
        self.assertLess(max(map(len, calls)), 6)

    def test_large_file(self) -> None:
        """A call gives a chunk more than was asked for at most; the data is in buffers of its own, never joined."""
        engine = self.engine(self.file("film", pattern(9 * CHUNK)))
        while buffers := engine.next(2 * CHUNK):
            self.assertLess(sum(map(len, buffers)), 3 * CHUNK + 1000)
            self.assertLess(len(buffers), 8)

    def test_middle_sizes(self) -> None:
        """Small buffers between large ones are joined in their order."""
        sizes = [10, 300_000, 20, 30, 70_000, 60_000, 60_000, 60_000, 60_000, 60_000, 5]
        spec = {f"{number:02}": pattern(size, number) for number, size in enumerate(sizes)}
        top = make(self.folder / "top", spec)
        found = contents(records_of(self.engine(top), 8 * CHUNK))
        self.assertEqual(found, {"top": None, **{f"top/{name}": data for name, data in spec.items()}})

    def test_slow_disk(self) -> None:
        """If small files come slowly, what there is goes out after a tenth of a second."""
        now = [0.0]

        def slowly() -> float:
            now[0] += 0.03
            return now[0]

        top = make(self.folder / "top", {f"{number:03}": b"x" for number in range(20)})
        engine = self.engine(top, clock=slowly)
        engine.next(1 << 20)
        self.assertEqual(engine.done_entries, 3)
        self.assertEqual(len(contents(records_of(self.engine(top)))), 21)

    def test_first_byte(self) -> None:
        """The first chunk of a large file comes without anything after it having been read."""
        path = self.file("film", b"")
        os.truncate(path, 10 << 30)
        engine = self.engine(path)
        self.assertEqual(engine.done_bytes, 0)
        self.assertGreater(sum(map(len, engine.next(1))), 0)
        self.assertLessEqual(engine.done_bytes, CHUNK)


class GivenUpTests(SendingTestCase):
    """What can't be read is told of by name, and all else is sent."""

    def check(self, path: str, reason: str, records: list[Record]) -> None:
        found = contents(records)
        self.assertIn(reason, str(found.pop(path)))
        self.assertEqual(found.pop("z"), b"rest")

    def sent(self, path: Path, **options: Any) -> list[Record]:
        engine = self.engine(path, self.file("z", b"rest"), **options)
        records = records_of(engine)
        self.assertEqual((engine.given_up_count, engine.done_entries), (1, 2))
        self.assertEqual(records[-1], EndOfTransfer(2, 4))
        return records

    def test_gone(self) -> None:
        """A file that is removed before its turn."""
        path = self.file("a", b"x")
        self.meanwhile("open", path.unlink, calls=2)
        self.check("a", "it isn't there any more", self.sent(path))

    def test_other_kinds(self) -> None:
        """What is no file, folder or link."""
        path = self.folder / "a"
        os.mkfifo(path)
        self.check("a", "neither a file nor a folder nor a link", self.sent(path))

    def test_link_gone(self) -> None:
        """A link that is removed before its turn."""
        path = self.folder / "a"
        path.symlink_to("b")
        self.meanwhile("readlink", path.unlink)
        self.check("a", "it isn't there any more", self.sent(path))

    def test_became_a_link(self) -> None:
        """A file that is swapped for a link isn't followed to somewhere else."""
        path = self.file("a", b"x")

        def swap() -> None:
            path.unlink()
            path.symlink_to("/etc/passwd")

        self.meanwhile("open", swap, calls=2)
        self.check("a", "it is a link now", self.sent(path))

    def test_became_a_pipe(self) -> None:
        """A file that is swapped for a pipe doesn't hold the transfer up."""
        path = self.file("a", b"x")

        def swap() -> None:
            path.unlink()
            os.mkfifo(path)

        self.meanwhile("open", swap, calls=2)
        self.check("a", "it became something else", self.sent(path))

    def test_shorter(self) -> None:
        """A file that is cut while it is sent: nothing is made up for what isn't there."""
        for size, calls in ((5, 1), (3 * CHUNK, 2)):
            path = self.file("a", pattern(size))
            self.meanwhile("read", partial(os.truncate, path, size // 2), calls)
            self.check("a", "it became shorter while it was sent", self.sent(path))

    def test_longer_and_changed(self) -> None:
        """A large file that grows while it is sent, and isn't what it was before that either."""
        path = self.file("a", pattern(3 * CHUNK))

        def change() -> None:
            with path.open("r+b") as file:
                file.write(b"!")
                file.truncate(5 * CHUNK)

        self.meanwhile("read", change, calls=3)
        self.check("a", "it changed while it was sent", self.sent(path))

    def test_cut_at_its_end(self) -> None:
        """A file that is cut when all of it was read, be it while it is read again."""
        for function, calls in (("fstat", 1), ("pread", 2)):
            path = self.file("a", pattern(3 * CHUNK))
            original = os.read

            def read(file: int, length: int, path: Path = path, original: Any = original) -> bytes:
                data: bytes = original(file, length)
                if data and os.lseek(file, 0, os.SEEK_CUR) == 3 * CHUNK:
                    os.truncate(path, 3 * CHUNK + 1)
                    self.meanwhile(function, partial(os.truncate, path, CHUNK), calls)  # noqa: B023 - called at once
                return data

            patch = self.patch(os, "read", read)
            self.check("a", "while it was sent", self.sent(path))
            patch.restore()

    def test_rewritten(self) -> None:
        """A large file that is written to while it is sent, its size as before."""
        path = self.file("a", pattern(2 * CHUNK))
        self.meanwhile("read", lambda: set_time(path, 5), calls=2)
        self.check("a", "it changed while it was sent", self.sent(path))

    def test_rewritten_and_set_back(self) -> None:
        """A chunk that is changed behind the one under way is noticed, though size and mtime are as before."""
        path = self.file("a", pattern(3 * CHUNK))
        status = path.stat()

        def change() -> None:
            with path.open("r+b") as file:
                file.write(b"!")
            set_time(path, status.st_mtime_ns)
            new_ctime(path)

        self.meanwhile("read", change, calls=3)
        self.check("a", "it changed while it was sent", self.sent(path))

    def test_linked(self) -> None:
        """A large file that gets a link or another mode while it is sent is sent: it is what it was."""
        data = pattern(3 * CHUNK + 5)
        path = self.file("a", data)
        self.meanwhile("read", partial(new_ctime, path), calls=2)
        self.assertEqual(contents(records_of(self.engine(path))), {"a": data})

    def test_broken_disk(self) -> None:
        """A file of which the disk gives only a part, or none."""

        def broken() -> None:
            raise OSError(errno.EIO, "Input/output error")

        for size, calls in ((5, 1), (3 * CHUNK, 3)):
            path = self.file("a", pattern(size))
            self.meanwhile("read", broken, calls)
            self.check("a", "the sender can't read it: Input/output error", self.sent(path))

    def test_bounded(self) -> None:
        """Of very many entries that are given up the last thousand are kept, and all are counted."""
        top = make(self.folder / "top", {f"{number:04}": Link("x") for number in range(1100)})
        engine = self.engine(top, links="refuse")
        records_of(engine)
        self.assertEqual((engine.given_up_count, len(engine.given_up)), (1100, 1000))
        self.assertEqual(engine.given_up[-1][0], "top/1099")


class GrewTests(SendingTestCase):
    """A file that grows while it is sent arrives as it was when it was opened, and that is told."""

    def growing(self, size: int, *, after: str, **options: Any) -> list[Record]:
        """A file that has grown when its last byte is read, and what is sent behind it."""
        path = self.file("a", pattern(size))
        other = self.folder / "b"
        if after == "file":
            other.write_bytes(b"x")
        elif after == "folder":
            other.mkdir()
        elif after == "link":
            other.symlink_to("a")
        elif after == "nothing":
            os.mkfifo(other)
        sources = [path, other] if after else [path]

        def grow() -> None:
            with path.open("ab") as file:
                file.write(b"more" * CHUNK)

        self.meanwhile("read", grow, calls=max(size // CHUNK, 1))
        engine = self.engine(*sources, **options)
        records = records_of(engine)
        if after:
            other.rmdir() if other.is_dir() and not other.is_symlink() else other.unlink()
        found = contents(records)
        self.assertEqual(found["a"], pattern(size))
        self.assertEqual((len(found), engine.done_entries, engine.ended), (len(sources), len(sources), True))
        return records

    def test_arrives(self) -> None:
        """Whatever its size, and whatever comes after it: the next record says that it grew, and no other does."""
        for size in (0, 5, CHUNK, CHUNK + 1, 3 * CHUNK):
            for after in ("", "file", "folder", "link", "nothing"):
                records = self.growing(size, after=after)
                told = [record for record in records if not isinstance(record, Chunk | EndOfFile)]
                self.assertEqual([record.grew for record in told], [False, True, False][: len(told)], (size, after))

    def test_others(self) -> None:
        """Of a file that doesn't grow nothing is said."""
        records = records_of(self.engine(self.file("a", pattern(2 * CHUNK)), self.file("b", b"")))
        self.assertFalse(any(record.grew for record in records if not isinstance(record, Chunk | EndOfFile)))

    def test_slow_disk(self) -> None:
        """While a large file is read again, a byte comes every few seconds; none comes twice, and none is missing."""
        data = pattern(40 * CHUNK + 1)
        most = 5 + LEAF + 1  # bytes of the last chunk's record
        for seconds, least, at_most in ((0.0, 0, 0), (0.6, 3, most - 1), (6.0, most, most)):
            now = [0.0]

            def slowly(seconds: float = seconds, now: list[float] = now) -> float:
                now[0] += seconds
                return now[0]

            path = self.file("a", data)
            self.meanwhile("read", partial(os.truncate, path, 50 * CHUNK), calls=3)
            calls = list(taken(self.engine(path, clock=slowly), 1))
            singles = sum(len(each) == 1 for each in calls)
            self.assertTrue(least <= singles <= at_most, singles)
            decoder = RecordDecoder()
            self.assertEqual(contents([record for each in calls for record in decoder.feed(each)]), {"a": data})


class OddTests(SendingTestCase):
    """Whatever a file system holds, nothing of it keeps other entries from being sent."""

    def test_far_times(self) -> None:
        """Times that no record can have go as the nearest that it can."""
        top = make(self.folder / "top", {"a": b"x", "b": {}, "c": Link("a"), "d": pattern(CHUNK + 1)})
        original = os.fstat
        far = 9_223_372_037 * 10**9

        def status(call: Any) -> Any:
            def called(*arguments: Any, **keywords: Any) -> Any:
                real = call(*arguments, **keywords)
                return os.stat_result(tuple(real), {"st_mtime_ns": far, "st_ctime_ns": 5, "st_ino": real.st_ino})

            return called

        self.patch(os, "fstat", status(original))
        self.patch(os, "stat", status(os.stat))
        records = records_of(self.engine(top))
        times = {record.path: record.mtime for record in records if isinstance(record, Entry)}
        self.assertEqual(times, dict.fromkeys(("top", "top/a", "top/b", "top/c", "top/d"), FAR_TIME))


class CloseTests(SendingTestCase):
    """Letting go."""

    def test_halfway(self) -> None:
        """Whenever it is closed, nothing stays open, nothing more comes, and what was kept stays."""
        top = make(self.folder / "top", {"a": b"", "b": pattern(4 * CHUNK), "c": {"d": b""}})
        before = set(Path("/proc/self/fd").iterdir())
        for calls in range(9):
            engine = self.engine(top, state=True)
            for _ in range(calls):
                engine.next(1)
            engine.close()
            engine.close()
            self.assertEqual(engine.next(1), [])
            self.assertEqual(set(), set(Path("/proc/self/fd").iterdir()) - before)
        self.assertTrue(list(self.out.iterdir()))

    def test_stop(self) -> None:
        """After a stop nothing more is given out, also of files."""
        engine = self.engine(self.file("film", pattern(4 * CHUNK)))
        engine.next(1)
        engine.stop()
        self.assertEqual((engine.next(1), engine.ended), ([], False))

"""Sending goes on where the receiver is."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from p2p.base.errors import LocalFileError
from p2p.transfer.records import Chunk, EndOfFile, EndOfTransfer, Entry, GaveUp, Have, Kind, Record, RecordDecoder
from p2p.transfer.sending import SendingEngine
from p2p.transfer.tree import CHUNK, LEAF
from p2p.transfer.walking import SourceRoot
from test.properties import PROPERTY
from test.transfer.sources import Link, SendingTestCase, contents, make, new_ctime, pattern, records_of, set_time

NAMES = st.sampled_from(["a", "b", "c", "\udcff", "é", "-x"])
TREES = st.recursive(
    st.binary(max_size=4) | st.just(Link("a")), lambda below: st.dictionaries(NAMES, below, max_size=3), max_leaves=8
)


def position(records: list[Record], offset: int = 0) -> Have:
    """How far a receiver is that took these records, and verified so much of the file that is under way."""
    last, partial, entries, size = None, None, 0, 0
    under_way = ""
    for record in records:
        match record:
            case Entry():
                under_way = partial = record.path
                if record.kind is Kind.FILE:
                    continue
                last = under_way
            case EndOfFile():
                last = under_way
                size += record.size
            case GaveUp():
                last = record.path
            case _:
                continue
        partial = None
        entries += 1
    return Have(last, partial if offset else None, offset, entries, size)


class ResumeTests(SendingTestCase):
    """Nothing is sent twice, and no file is hashed again that is what it was."""

    @given(st.dictionaries(NAMES, TREES, max_size=3), st.integers(0, 60))
    @PROPERTY
    def test_from_anywhere(self, spec: Any, cut: int) -> None:
        """Wherever a session ended, the next one sends the rest: both together are the whole."""
        top = SourceRoot(make(Path(self.mktemp()), spec), name="top")
        whole = records_of(self.engine(top))
        before = whole[: min(cut, len(whole) - 1)]
        have = position(before)
        engine = self.engine(top)
        engine.resume(have)
        after = records_of(engine)
        self.assertEqual(contents([*before, *after]), contents(whole))
        self.assertEqual(after[-1], whole[-1])
        self.assertEqual(EndOfTransfer(engine.done_entries, engine.done_bytes), whole[-1])
        self.assertLessEqual(len(before) + len(after), len(whole) + 2)  # a small file begins anew

    def begun(self, data: bytes, chunks: int) -> Path:
        """A film of which so many chunks were sent at least, by an engine that is gone."""
        path = self.file("film", data)
        engine = self.engine(path, state=True)
        while engine.done_bytes < min(chunks * CHUNK, len(data)):
            engine.next(1)
        return path

    def resumed(self, path: Path, offset: int, *, state: bool = True) -> tuple[SendingEngine, list[Record]]:
        engine = self.engine(path, state=state)
        engine.resume(Have(None, path.name, offset, 0, 0))
        return engine, records_of(engine)

    def test_large_file(self) -> None:
        """A large file goes on at the receiver's offset, with the root of the whole; only one chunk is read again."""
        data = pattern(5 * CHUNK + 7)
        whole = records_of(self.engine(self.file("film", data)))
        original = os.pread
        read: list[int] = []

        def counted(file: int, length: int, at: int) -> bytes:
            read.append(length)
            return original(file, length, at)

        self.patch(os, "pread", counted)
        for offset in (CHUNK, 3 * CHUNK, 5 * CHUNK, len(data)):
            path = self.begun(data, 6)
            read.clear()
            engine, records = self.resumed(path, offset)
            self.assertLessEqual(sum(read), CHUNK)
            self.assertEqual(engine.restarted, [])
            entry, *chunks, end, _ = records
            assert isinstance(entry, Entry)
            self.assertEqual((entry.offset, entry.size), (offset, len(data)))
            pieces = [piece for chunk in chunks if isinstance(chunk, Chunk) for piece in chunk.pieces]
            self.assertEqual(b"".join(pieces), data[offset:])
            self.assertEqual(end, whole[-2])
            self.assertEqual(engine.done_bytes, len(data))

    def test_again_and_again(self) -> None:
        """However often it is interrupted, with a chunk lost each time, it goes on where the receiver is."""
        data = pattern(6 * CHUNK)
        path = self.file("film", data)
        got = b""
        while len(got) < len(data):
            engine = self.engine(path, state=True)
            engine.resume(Have(None, "film", len(got)) if got else Have())
            decoder = RecordDecoder()
            first, *_ = decoder.feed(b"".join(engine.next(1)))
            self.assertEqual(
                first, Entry("film", Kind.FILE, 0o644, path.stat().st_mtime_ns, len(data), offset=len(got))
            )
            chunk, *_ = decoder.feed(b"".join(engine.next(1)))
            assert isinstance(chunk, Chunk)
            got += b"".join(chunk.pieces)
            engine.next(1)
            engine.close()
        engine, records = self.resumed(path, len(data))
        whole = records_of(self.engine(path))
        self.assertEqual((got, engine.restarted, records[1:]), (data, [], whole[-2:]))

    def test_changed(self) -> None:
        """A file that changed meanwhile begins anew, and that is told."""
        data = pattern(4 * CHUNK)
        path = self.begun(data, 3)
        path.write_bytes(data[::-1])
        engine, records = self.resumed(path, 2 * CHUNK)
        self.assertEqual(engine.restarted, ["film"])
        self.assertEqual(contents(records), {"film": data[::-1]})

    def test_changed_behind_its_back(self) -> None:
        """A file that looks unchanged begins anew all the same if the chunk before the offset isn't what it was."""
        data = pattern(4 * CHUNK)
        path = self.begun(data, 3)
        status = path.stat()
        with path.open("r+b") as file:
            file.seek(CHUNK + 5)
            file.write(b"!")
        set_time(path, status.st_mtime_ns)
        new_ctime(path)
        engine, records = self.resumed(path, 2 * CHUNK)
        self.assertEqual(engine.restarted, ["film"])
        assert isinstance(records[0], Entry)
        self.assertEqual(records[0].offset, 0)

    def test_changed_anywhere(self) -> None:
        """No byte before the offset may have changed, whatever the file's mtime says: two versions aren't mixed."""
        data = pattern(4 * CHUNK)
        for at in (0, CHUNK - 1, CHUNK, 3 * CHUNK - 1):
            path = self.begun(data, 4)
            status = path.stat()
            changed = data[:at] + b"!" + data[at + 1 :]
            path.write_bytes(changed)
            set_time(path, status.st_mtime_ns)
            new_ctime(path)
            engine, records = self.resumed(path, 3 * CHUNK)
            self.assertEqual((engine.restarted, contents(records)), (["film"], {"film": changed}))

    def test_other_ctime(self) -> None:
        """A file that got a link or another mode goes on: it is hashed again, and no chunk is sent twice."""
        data = pattern(4 * CHUNK + 7)
        for offset in (CHUNK, 3 * CHUNK, len(data)):
            path = self.begun(data, 5)
            new_ctime(path)
            engine, records = self.resumed(path, offset)
            self.assertEqual((engine.restarted, contents(records)), ([], {"film": data[offset:]}))
            self.assertEqual(records[-2], records_of(self.engine(path))[-2])

    def test_hashing_interrupted(self) -> None:
        """Hashing again that is interrupted goes on where it was: in the end a large file comes through."""
        data = pattern(5 * CHUNK)
        path = self.begun(data, 5)
        new_ctime(path)
        original = os.pread
        read: list[int] = []

        def counted(file: int, length: int, at: int) -> bytes:
            read.append(at // CHUNK)
            return original(file, length, at)

        self.patch(os, "pread", counted)
        for hashed in (range(1), range(2)):  # the last that was kept, and one more
            engine = self.engine(path, state=True)
            engine.resume(Have(None, "film", 4 * CHUNK))
            read.clear()
            self.assertEqual(engine.read(1), [])
            self.assertEqual(set(read), set(hashed))
            engine.close()
        read.clear()
        engine, records = self.resumed(path, 4 * CHUNK)
        self.assertEqual((engine.restarted, contents(records)), ([], {"film": data[4 * CHUNK :]}))
        self.assertEqual(set(read), {1, 2, 3})

    def test_missing_leaves(self) -> None:
        """Leaves that a power cut took are hashed again from where they end, so that no chunk is sent twice."""
        data = pattern(4 * CHUNK)
        path = self.begun(data, 4)
        (kept,) = self.out.iterdir()
        os.truncate(kept, kept.stat().st_size - 3 * LEAF)
        engine, records = self.resumed(path, 3 * CHUNK)
        self.assertEqual((engine.restarted, contents(records)), ([], {"film": data[3 * CHUNK :]}))

    def test_stopped_while_hashing(self) -> None:
        """An engine that hashes again ends soon when it is stopped."""
        path = self.begun(pattern(4 * CHUNK), 4)
        new_ctime(path)
        engine = self.engine(path, state=True)
        engine.resume(Have(None, "film", 3 * CHUNK))
        self.meanwhile("pread", engine.stop)
        self.assertEqual((engine.next(1), engine.ended), ([], False))

    def test_nothing_kept(self) -> None:
        """Without leaves a file begins anew, and that is told: what wasn't kept, or is shorter than the offset."""
        path = self.begun(pattern(4 * CHUNK), 3)
        for offset, state in ((2 * CHUNK, False), (5 * CHUNK, True), (CHUNK + 1, True)):
            engine, records = self.resumed(path, offset, state=state)
            self.assertEqual(engine.restarted, ["film"])
            self.assertEqual(contents(records), {"film": pattern(4 * CHUNK)})

    def test_unreadable(self) -> None:
        """A file that can't be read when it should go on is given up."""
        path = self.begun(pattern(4 * CHUNK), 3)

        def broken() -> None:
            raise OSError(errno.EIO, "Input/output error")

        self.meanwhile("pread", broken)
        _, records = self.resumed(path, 2 * CHUNK)
        self.assertIn("Input/output error", str(contents(records)["film"]))

    def test_small_file(self) -> None:
        """A file of one chunk is sent again if its end is missing; if it has another size now, that is told."""
        path = self.file("a", b"12345")
        engine, records = self.resumed(path, 5)
        self.assertEqual((engine.restarted, contents(records)), ([], {"a": b"12345"}))
        engine, records = self.resumed(path, 4)
        self.assertEqual((engine.restarted, contents(records)), (["a"], {"a": b"12345"}))

    def test_after_it_has_begun(self) -> None:
        """Resuming an engine that has given records out is a mistake of ours."""
        engine = self.engine(self.file("a", b""))
        engine.next(1)
        self.assertRaises(AssertionError, engine.resume, Have())

    def test_state_fails(self) -> None:
        """If the leaves can't be kept, the transfer ends with the reason, and nothing more is given out."""
        self.out.write_text("in the way")
        engine = self.engine(self.file("film", pattern(2 * CHUNK)), state=True)
        error = self.assertRaises(LocalFileError, engine.next, 1)
        self.assertIn(str(self.out), str(error))
        self.assertEqual((engine.next(1), engine.ended), ([], False))

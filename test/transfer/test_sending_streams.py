"""Sending what comes from a file descriptor."""

from __future__ import annotations

import errno
import os
import stat
from functools import partial
from threading import Thread
from typing import Any

from p2p.transfer import sending
from p2p.transfer.records import Chunk, EndOfFile, EndOfTransfer, Entry, GaveUp, Have, Kind, RecordDecoder
from p2p.transfer.sending import SendingEngine
from p2p.transfer.tree import CHUNK, Tree
from p2p.transfer.walking import SourceRoot
from test.transfer.sources import SendingTestCase, contents, pattern, records_of


class StreamTests(SendingTestCase):
    """What comes from a file descriptor."""

    def setUp(self) -> None:
        super().setUp()
        self.outlet, self.inlet = os.pipe()
        self.addCleanup(self.shut)
        self.addCleanup(os.close, self.outlet)

    def shut(self) -> None:
        inlet, self.inlet = self.inlet, -1
        if inlet >= 0:
            os.close(inlet)

    def stream(self, **options: Any) -> SendingEngine:
        self.patch(sending, "_POLL_MS", 5)
        return self.engine(SourceRoot(name="x.tar", stream=self.outlet), **options)

    def written(self, data: bytes) -> Thread:
        """Write to the pipe beside the test, and close it."""

        def write() -> None:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self.inlet, rest[:50_000]) :]
            self.shut()

        thread = Thread(target=write)
        thread.start()
        self.addCleanup(thread.join, 10)
        return thread

    def test_sizes(self) -> None:
        """A stream is sent in chunks of 1 MiB until its end, which alone tells its size."""
        for size in (0, 1, CHUNK, 2 * CHUNK + 5):
            data = pattern(size)
            engine = self.stream(wall_ns=lambda: 77)
            thread = self.written(data)
            records = records_of(engine)
            thread.join(10)
            self.assertEqual(records[0], Entry("x.tar", Kind.FILE, 0o644, 77))
            self.assertEqual(contents(records), {"x.tar": data})
            self.assertEqual(records[-1], EndOfTransfer(1, size))
            self.assertEqual(engine.done_bytes, size)
            os.close(self.outlet)
            self.outlet, self.inlet = os.pipe()

    def test_single_bytes(self) -> None:
        """A stream that comes byte by byte is cut into chunks like any other."""
        engine = self.stream()
        engine.next(1)
        original = os.read
        calls: list[int] = []

        def read(file: int, length: int) -> bytes:
            calls.append(length)
            return original(file, 1)

        self.patch(os, "read", read)
        os.write(self.inlet, b"abcdefgh" * 1000)
        self.shut()
        (record,) = RecordDecoder().feed(b"".join(engine.next(1)))
        assert isinstance(record, Chunk)
        self.assertEqual((record.size, len(calls)), (8000, 8001))

    def test_regular_file(self) -> None:
        """Standard input may be a file."""
        file = os.open(self.file("in", pattern(CHUNK + 3)), os.O_RDONLY)
        self.addCleanup(os.close, file)
        engine = self.engine(SourceRoot(name="x", stream=file))
        self.assertEqual(contents(records_of(engine)), {"x": pattern(CHUNK + 3)})

    def test_stays_open(self) -> None:
        """The descriptor belongs to whoever gave it."""
        engine = self.stream()
        engine.next(1)
        engine.close()
        self.assertTrue(stat.S_ISFIFO(os.fstat(self.outlet).st_mode))

    def test_stop(self) -> None:
        """A call that waits for a stream ends soon after it was stopped, and no further one gives anything."""
        engine = self.stream()
        engine.next(1)
        os.write(self.inlet, b"not a whole chunk")
        given: list[object] = []
        waiting = Thread(target=lambda: given.append(engine.next(1)))
        waiting.start()
        engine.stop()
        waiting.join(10)
        self.assertEqual(given, [[]])
        self.assertFalse(engine.ended)
        self.shut()
        self.assertEqual(engine.next(1), [])

    def test_read(self) -> None:
        """A stream that has nothing for a moment is told apart from its end, and nothing gets lost."""
        engine = self.stream()
        self.assertTrue(engine.read(1 << 20))
        self.assertEqual((engine.read(1), engine.ended), ([], False))
        os.write(self.inlet, b"some ")
        self.assertEqual((engine.read(1), engine.ended), ([], False))
        os.write(self.inlet, b"data")
        self.shut()
        decoder = RecordDecoder()
        chunk, end, last = [each for buffer in engine.next(1 << 20) for each in decoder.feed(buffer)]
        assert isinstance(chunk, Chunk)
        tree = Tree()
        tree.add(chunk.leaf, chunk.size)
        self.assertEqual((end, last), (EndOfFile(tree.root(), 9), EndOfTransfer(1, 9)))

    def test_others_read_too(self) -> None:
        """If somebody else takes what was there, the stream is waited for again."""
        os.set_blocking(self.outlet, False)
        engine = self.stream()
        os.write(self.inlet, b"x")
        self.meanwhile("read", partial(os.read, self.outlet, 1))
        self.assertTrue(engine.read(1))
        self.assertEqual(engine.read(1), [])
        self.shut()
        self.assertTrue(engine.next(1))

    def test_broken(self) -> None:
        """A stream that breaks is given up with its reason."""
        engine = self.stream()
        engine.next(1)
        self.shut()

        def broken() -> None:
            raise OSError(errno.EIO, "Input/output error")

        self.meanwhile("read", broken)
        (record, _) = records_of(engine)
        assert isinstance(record, GaveUp)
        self.assertIn("Input/output error", record.reason)

    def test_gone(self) -> None:
        """What was read from a stream can't be sent again: it is given up, by another engine, with that reason."""
        engine = self.stream()
        engine.resume(Have(None, "x.tar", CHUNK))
        self.assertIn("can't be read again", str(contents(records_of(engine))["x.tar"]))
        again = self.stream()
        again.resume(Have("x.tar", None, 0, 1, 5))
        self.assertEqual(records_of(again), [EndOfTransfer(1, 5)])

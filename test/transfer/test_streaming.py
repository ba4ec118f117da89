"""One file of a transfer to a pipe."""

from __future__ import annotations

import errno
import os
import select
import threading
from itertools import count
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, LocalFileError, Outcome
from p2p.transfer import streaming, tree
from p2p.transfer.answers import Asked
from p2p.transfer.final_names import GREW
from p2p.transfer.records import Have, Receipt, encode_chunk, encode_end, encode_end_of_file
from p2p.transfer.streaming import PipeReceiver
from p2p.transfer.tree import CHUNK
from p2p.transfer.walking import Totals
from test.transfer.arrivals import begun, chunk, end, ended, fail, file, folder, gave_up


class StreamReceiverTests(SynchronousTestCase):
    """A pipe with a reader that holds still until the end."""

    def setUp(self) -> None:
        self.reader, self.writer = os.pipe()
        self.addCleanup(self.let_go)
        self.receiver = PipeReceiver(Asked(["b/a"]), self.writer)

    def let_go(self) -> None:
        for each in (self.reader, self.writer):
            if each >= 0:
                os.close(each)

    def feed(self, *records: Any) -> list[Receipt]:
        return self.receiver.feed([piece for record in records for piece in record])

    def came(self) -> bytes:
        os.close(self.writer)
        self.writer = -1
        with os.fdopen(self.reader, "rb") as reader:
            self.reader = -1
            return reader.read()

    def failed(self, outcome: Outcome, *records: Any) -> str:
        failure = self.assertRaises(ExchangeFailed, self.feed, *records)
        self.assertIs(outcome, failure.outcome)
        return str(failure)

    def test_file(self) -> None:
        """A file comes out as it is, chunk by chunk."""
        self.patch(tree, "CHUNK", 4)
        self.patch(streaming, "CHUNK", 4)
        self.assertEqual(Have(), self.receiver.have())
        self.assertEqual([], self.feed(begun("a", 6), chunk(b"abcd")))
        self.assertEqual((0, 4), (self.receiver.done_entries, self.receiver.done_bytes))
        self.assertEqual("a", self.receiver.current)
        self.assertEqual((0, 1), self.receiver.held)
        self.assertEqual([], self.feed(chunk(b"ef"), ended(b"abcdef")))
        (receipt,) = self.feed(end(1, 6))
        self.assertEqual(("a", 6, Outcome.OK), (receipt.path, receipt.size, receipt.outcome))
        told: list[Totals] = []
        self.assertEqual(([], Totals(1, 6, 0)), self.receiver.finish(told.append))
        self.assertEqual(([Totals(1, 6, 0)], 1), (told, self.receiver.done_entries))
        self.assertEqual(b"abcdef", self.came())
        self.assertEqual(6, self.receiver.written)

    def test_grew(self) -> None:
        """If it grew while it was sent, that is told; of what was given up it isn't."""
        (receipt,) = self.feed(file("a", b"abc"), encode_end(1, 3, grew=True))
        self.assertEqual((GREW, Outcome.OK), (receipt.note, receipt.outcome))
        self.assertEqual(([], Totals(1, 3, 0)), self.receiver.finish())
        self.receiver = PipeReceiver(Asked(["b/a"]), self.writer)
        (receipt,) = self.feed(begun("a", 3), gave_up("a", "gone"), encode_end(1, 0, grew=True))
        self.assertEqual(("gone", Outcome.TRUNCATED), (receipt.reason, receipt.outcome))

    def test_stream(self) -> None:
        """Nobody needs to know how long it is; nothing is something, too."""
        self.feed(file("a", streamed=True), end(1))
        self.receiver.finish()
        self.receiver.suspend()
        self.receiver.abandon()
        self.assertEqual(b"", self.came())

    def test_cut_off(self) -> None:
        """What ends within a record isn't the whole, even behind the end."""
        self.feed(file("a", b"abc"), end(1, 3), [b"Z"])
        failure = self.assertRaises(ExchangeFailed, self.receiver.finish)
        self.assertIs(Outcome.TRUNCATED, failure.outcome)

    def test_damaged(self) -> None:
        """What isn't what was sent isn't written."""
        self.failed(Outcome.CORRUPT, begun("a", 3), encode_chunk(bytes(32), [b"abc"]))
        self.assertEqual(b"", self.came())

    def test_lying_sizes(self) -> None:
        """More than was announced isn't written, and less isn't taken for the whole."""
        self.assertIn("longer", self.failed(Outcome.CORRUPT, begun("a", 2), chunk(b"abc")))
        self.receiver = PipeReceiver(Asked(["b/a"]), self.writer)
        self.assertIn("longer", self.failed(Outcome.CORRUPT, begun("a", None), chunk(b"ab"), chunk(b"c")))
        for size, tail in ((4, ended(b"abc")), (3, ended(b"abx")), (3, encode_end_of_file(bytes(32), 3))):
            self.receiver = PipeReceiver(Asked(["b/a"]), self.writer)
            self.assertIn("as a whole", self.failed(Outcome.CORRUPT, begun("a", size), chunk(b"abc"), tail))

    def test_one_file(self) -> None:
        """Only one file goes to a pipe."""
        self.assertIn("a folder", self.failed(Outcome.REFUSED, folder("a")))
        for first in (file("a"), begun("a", 3), gave_up("a")):
            for second in (file("b"), folder("b")):
                self.receiver = PipeReceiver(Asked(["b/a"]), self.writer)
                self.assertIn("more than one", self.failed(Outcome.CORRUPT, first, second))
        self.receiver = PipeReceiver(Asked(["b/a"]), self.writer)
        self.failed(Outcome.CORRUPT, file("a"), gave_up("b"))

    def test_wrong_file(self) -> None:
        """Not a byte of anything but the file that was asked for is passed on."""
        for other in (begun("x", 3), begun("b", 3), begun("b/a", 3), begun("./a", 3)):
            self.receiver = PipeReceiver(Asked(["b/a"]), self.writer)
            self.assertIn("wasn't asked for", self.failed(Outcome.CORRUPT, other, chunk(b"abc")))
        for records in ([gave_up("x")], [begun("a", 3), gave_up("x")]):
            self.receiver = PipeReceiver(Asked(["b/a"]), self.writer)
            self.failed(Outcome.CORRUPT, *records)
        self.receiver = PipeReceiver(Asked(["b/a"]), self.writer)
        self.failed(Outcome.CORRUPT, end(0))
        self.receiver = PipeReceiver(Asked(["b/a"], ["b/a"]), self.writer)
        self.assertIn("a folder was asked for", self.failed(Outcome.REFUSED, begun("a", 3), chunk(b"abc")))
        self.assertEqual(b"", self.came())

    def test_nonsense(self) -> None:
        """Records that belong to nothing end it."""
        for records in (
            [chunk(b"a")],
            [ended(b"")],
            [begun("a", 2 * CHUNK, offset=CHUNK)],
            [file("a"), chunk(b"a")],
            [file("a"), ended(b"")],
            [file("a"), end(1), file("b")],
            [file("a"), end(1), end(1)],
            [file("a"), end(2)],
            [begun("a", 0), end(1)],
            [b"?????"],
        ):
            self.receiver = PipeReceiver(Asked(["b/a"]), self.writer)
            self.failed(Outcome.CORRUPT, *([record] if isinstance(record, bytes) else record for record in records))

    def test_truncated(self) -> None:
        """Without its end it isn't complete."""
        self.feed(file("a"))
        failure = self.assertRaises(ExchangeFailed, self.receiver.finish)
        self.assertIs(Outcome.TRUNCATED, failure.outcome)
        self.feed([b"".join(map(bytes, end(1)))[:-1]])
        self.assertRaises(ExchangeFailed, self.receiver.finish)
        self.assertRaises(ExchangeFailed, PipeReceiver(Asked(["b/a"]), self.writer).finish)

    def test_given_up(self) -> None:
        """If the sender gives the file up, it is told how much of it came, and why."""
        (receipt,) = self.feed(begun("a", 5), chunk(b"abc"), gave_up("a", ""), end(1))
        self.assertEqual((3, Outcome.TRUNCATED), (receipt.size, receipt.outcome))
        self.assertIn("gave it up", receipt.reason)
        self.assertEqual(([], Totals(1, 3, 1)), self.receiver.finish())

    def test_nobody_reads(self) -> None:
        """If the reader is gone, that is this machine's affair."""
        os.close(self.reader)
        self.reader = -1
        error = self.assertRaises(LocalFileError, self.feed, begun("a", 3), chunk(b"abc"))
        self.assertIn("Broken pipe", str(error))

    def test_stopped(self) -> None:
        """A write that waits for a slow reader ends soon when it is told to."""
        looks = count()
        receiver = self.receiver

        class Full:
            """Says three times that nothing can be written."""

            def register(self, file: int, events: int) -> None:
                """It would look at that."""

            def poll(self, wait_ms: int) -> list[tuple[int, int]]:
                if next(looks) == 2:
                    receiver.stop()
                return []

        self.patch(select, "poll", Full)
        self.assertIn("stopped", self.failed(Outcome.RESET, begun("a", 3), chunk(b"abc")))
        self.assertEqual(3, next(looks))
        self.assertEqual(b"", self.came())

    def test_slow_reader(self) -> None:
        """However little room there is in the pipe, everything comes out, in order."""
        self.patch(streaming, "LOOK_MS", 1)
        data = bytes(range(256)) * (CHUNK // 256)
        came = bytearray()

        def read() -> None:
            while len(came) < len(data):
                came.extend(os.read(self.reader, 5000))

        reader = threading.Thread(target=read)
        reader.start()
        self.addCleanup(reader.join)
        self.feed(file("a", data), end(1, CHUNK))
        reader.join()
        self.assertEqual(data, came)

    def test_output_full(self) -> None:
        """A file that it goes to may be on a disk that is full: that is told as this machine's affair, too."""
        fail(self, "write", errno.ENOSPC)
        self.assertIn("No space left", str(self.assertRaises(LocalFileError, self.feed, begun("a", 3), chunk(b"abc"))))

    def test_shared_pipe(self) -> None:
        """Where somebody else writes into the same pipe, it waits for its turn."""
        original = os.write
        times = iter([True])

        def write(descriptor: int, data: Any) -> int:
            if next(times, False):
                raise BlockingIOError
            return original(descriptor, data)

        self.patch(os, "write", write)
        self.feed(file("a", b"abc"), end(1, 3))
        self.assertEqual(b"abc", self.came())

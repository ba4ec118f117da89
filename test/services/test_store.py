"""Content from disk and to disk: threads do the work, cancelling leaves nothing open, failing leaves nothing behind."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from blake3 import blake3
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2p.base.errors import ExchangeFailed, LocalFileError, Outcome
from p2p.exchange import inbox
from p2p.exchange.exchange import Request
from p2p.exchange.message import Body, MessageDecoder
from p2p.exchange.threaded import BATCH, HIGH_WATER
from p2p.services.store import READ_SIZE, READS, BytesSource, FileSource, StoreSink, store
from test.descriptors import open_files
from test.exchange.doubles import HeldThreads, OpenHost, Written, make_context, make_reply

STEP = READ_SIZE * READS
"""Bytes that are read in one go."""


class FilesCase(SynchronousTestCase):
    """A folder, threads on a leash, and a look at what stays open."""

    def setUp(self) -> None:
        """Make a folder and a file."""
        self.threads = HeldThreads()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "file"
        self.content = os.urandom(2 * STEP + 17)
        self.path.write_bytes(self.content)
        self.stream = Written()
        self.writer = make_reply(self.stream)

    def body(self) -> bytes:
        """The body that was written so far."""
        events = MessageDecoder(100).feed(memoryview(b"".join(self.stream.pieces)))
        return b"".join(bytes(event.data) for event in events if isinstance(event, Body))

    def assert_closed(self) -> None:
        """No descriptor stays open."""
        self.assertEqual([], open_files(self.folder))


class BytesTests(FilesCase):
    """Content in memory."""

    def test_bytes(self) -> None:
        """They are sent at once, with their digest; and again, if need be."""
        source = BytesSource(b"hello")
        for _ in range(2):
            self.assertEqual(5, self.successResultOf(Deferred.fromCoroutine(source.open())))
            tail = self.successResultOf(Deferred.fromCoroutine(source.send(self.writer)))
            source.close()
            self.assertEqual({"digest": blake3(b"hello").digest()}, tail)
        self.assertEqual(b"hello" * 2, self.body())
        self.assertEqual((5, blake3(b"hello").hexdigest()), (source.length, source.digest))


class FileSourceTests(FilesCase):
    """A file as the body of a request."""

    def opened(self, path: Path | None = None) -> FileSource:
        """A source that is open."""
        source = FileSource(path or self.path, self.threads)
        opening = Deferred.fromCoroutine(source.open())
        self.threads.work()
        self.successResultOf(opening)
        return source

    def send(self, source: FileSource) -> Deferred[Mapping[str, str | bytes]]:
        """Begin to send."""
        return Deferred.fromCoroutine(source.send(self.writer))

    def pull(self, times: int = 1) -> None:
        """Have the stream ask its producer for more, and the threads do their work."""
        for _ in range(times):
            producer = self.stream.producers[-1]
            assert producer is not None
            producer[0].resumeProducing()
            self.threads.work()

    def refused(self, path: Path) -> str:
        """Why a file can't be opened."""
        opening = Deferred.fromCoroutine(FileSource(path, self.threads).open())
        self.threads.work()
        reason = str(self.failureResultOf(opening, LocalFileError).value)
        self.assertIn(str(path), reason)
        self.assert_closed()
        return reason

    def test_whole(self) -> None:
        """A file is sent in pieces, a few each time it is asked, with the digest of what was read at its end."""
        source = self.opened()
        self.assertEqual(len(self.content), source.length)
        sending = self.send(source)
        self.assertEqual(b"", self.body())
        self.pull()
        self.assertEqual(self.content[:STEP], self.body())
        self.threads.work()
        self.assertEqual(self.content[:STEP], self.body())
        self.pull(2)
        self.assertEqual({"digest": blake3(self.content).digest()}, self.successResultOf(sending))
        self.assertEqual(self.content, self.body())
        self.assertEqual(blake3(self.content).hexdigest(), source.digest)
        self.assertIsNone(self.stream.producers[-1])
        source.close()
        source.close()
        self.assert_closed()

    def test_one_read_at_a_time(self) -> None:
        """However often it is asked, a source reads once, and then once ahead."""
        source = self.opened()
        sending = self.send(source)
        producer = self.stream.producers[-1]
        assert producer is not None
        for _ in range(10):
            producer[0].resumeProducing()
        self.assertEqual(1, len(self.threads.waiting))
        self.threads.work()
        self.assertLessEqual(len(self.body()), 2 * STEP)
        sending.cancel()
        self.failureResultOf(sending, CancelledError)
        source.close()
        self.assert_closed()

    def test_empty(self) -> None:
        """An empty file is sent without waiting to be asked."""
        self.path.write_bytes(b"")
        source = self.opened()
        self.assertEqual({"digest": blake3(b"").digest()}, self.successResultOf(self.send(source)))
        self.assertEqual((0, b""), (source.length, self.body()))
        source.close()

    def test_grows(self) -> None:
        """What is appended while a file is sent isn't sent."""
        source = self.opened()
        with self.path.open("ab") as file:
            file.write(b"more")
        sending = self.send(source)
        self.pull(3)
        self.successResultOf(sending)
        self.assertEqual(self.content, self.body())
        source.close()

    def test_shrinks(self) -> None:
        """A file that becomes shorter while it is sent fails, with what to do."""
        source = self.opened()
        sending = self.send(source)
        self.pull()
        os.truncate(self.path, STEP)
        self.pull()
        reason = str(self.failureResultOf(sending, LocalFileError).value)
        self.assertEqual(f"{self.path} became shorter while it was sent; send it again", reason)
        source.close()
        self.assert_closed()

    def test_vanishes(self) -> None:
        """A file whose name vanishes while it is sent is sent all the same."""
        source = self.opened()
        self.path.unlink()
        sending = self.send(source)
        self.pull(3)
        self.successResultOf(sending)
        source.close()

    def test_unreadable(self) -> None:
        """What isn't there or isn't a regular file can't be opened; a named pipe doesn't hold a thread up."""
        self.assertIn("No such file or directory", self.refused(self.folder / "nothing"))
        self.assertIn("isn't a regular file", self.refused(self.folder))
        os.mkfifo(self.folder / "pipe")
        self.assertIn("isn't a regular file", self.refused(self.folder / "pipe"))
        self.assertIn("isn't a regular file", self.refused(Path("/dev/null")))
        self.patch(os, "open", _raiser(PermissionError(errno.EACCES, "Permission denied")))
        self.assertIn("Permission denied; name a file that the daemon can read", self.refused(self.path))

    def test_read_error(self) -> None:
        """A disk that fails while a file is read ends the sending with the system's reason."""
        source = self.opened()
        sending = self.send(source)
        self.patch(os, "read", _raiser(OSError(errno.EIO, "Input/output error")))
        self.pull()
        reason = str(self.failureResultOf(sending, LocalFileError).value)
        self.assertEqual(f"{self.path}: Input/output error while it was read", reason)
        source.close()
        self.assert_closed()

    def test_close_within_a_read(self) -> None:
        """A file that is closed while a thread reads from it is closed when the thread is done, and sends no more."""
        source = self.opened()
        sending = self.send(source)
        producer = self.stream.producers[-1]
        assert producer is not None
        producer[0].resumeProducing()
        sending.cancel()
        self.failureResultOf(sending, CancelledError)
        source.close()
        self.assertEqual(1, len(open_files(self.folder)))
        self.threads.work()
        self.assert_closed()
        self.assertEqual(b"", self.body())

    def test_opened_again(self) -> None:
        """A source that is opened again while a thread still reads for it sends the file from its beginning."""
        source = self.opened()
        first = self.send(source)
        producer = self.stream.producers[-1]
        assert producer is not None
        producer[0].resumeProducing()
        stale = self.threads.waiting.pop()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        source.close()
        again = Deferred.fromCoroutine(source.open())
        self.threads.work()
        self.threads.waiting.append(stale)
        self.threads.work()
        self.assertEqual(len(self.content), self.successResultOf(again))
        sending = self.send(source)
        self.pull(3)
        self.assertEqual({"digest": blake3(self.content).digest()}, self.successResultOf(sending))
        self.assertEqual(self.content, self.body())
        source.close()
        self.assert_closed()

    def test_cancelled_opening(self) -> None:
        """A source that is given up while a thread opens its file leaves nothing open."""
        source = FileSource(self.path, self.threads)
        opening = Deferred.fromCoroutine(source.open())
        opening.cancel()
        self.failureResultOf(opening, CancelledError)
        source.close()
        self.threads.work()
        self.assert_closed()

    def test_stream_gone(self) -> None:
        """A stream that is gone already asks for nothing; whoever cancels the sending ends it."""
        source = self.opened()
        self.patch(self.stream, "registerProducer", lambda producer, streaming: producer.stopProducing())
        sending = self.send(source)
        self.assertNoResult(sending)
        sending.cancel()
        self.failureResultOf(sending, CancelledError)
        source.close()
        self.assert_closed()


class StoreTests(FilesCase):
    """The service ``store``."""

    def setUp(self) -> None:
        """Make an inbox and begin to receive."""
        super().setUp()
        self.inbox = self.folder / "inbox"
        self.inbox.mkdir()
        self.told: list[str] = []
        self.now = 5.0
        self.sink = self.receive(Request("store", name="film", length=None))

    def receive(self, request: Request) -> StoreSink:
        """Begin to receive."""
        self.host = OpenHost(self.inbox)
        context = make_context(self.inbox, threads=self.threads, now=lambda: self.now, host=self.host)
        sink = store.receive(request, self.writer, context)
        sink.registerProducer(self, True)
        return sink

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def complete(self, data: bytes) -> Deferred[Mapping[str, str | bytes]]:
        """End the body."""
        self.sink.unregisterProducer()
        return Deferred.fromCoroutine(self.sink.complete({"digest": blake3(data).digest()}))

    def test_terms(self) -> None:
        """The host says where content goes, what to do when a name is taken, and whether there is room."""
        self.host.terms["exists"] = "replace"
        asked: list[int] = []
        self.host.room = lambda size, here=None: asked.append(size)
        (self.inbox / "film").write_bytes(b"old")
        sink = self.sink = store.receive(
            Request("store", name="film"), self.writer, make_context(self.inbox, threads=self.threads, host=self.host)
        )
        sink.write(b"new")
        done = self.complete(b"new")
        self.threads.work()
        self.assertEqual("film", self.successResultOf(done)["name"])
        self.assertEqual((b"new", [3]), ((self.inbox / "film").read_bytes(), asked))

    def names(self) -> list[str]:
        """What is in the inbox."""
        return sorted(path.name for path in self.inbox.iterdir())

    def refusal(self, *data: bytes) -> ExchangeFailed:
        """How it ends when this comes and the threads do their work; the sink is abandoned then."""
        try:
            for piece in data:
                self.sink.write(piece)
                self.threads.work()
            completing = self.complete(b"".join(data))
            self.threads.work()
            failure = self.failureResultOf(completing, ExchangeFailed).value
        except ExchangeFailed as error:
            failure = error
        self.sink.abandon()
        self.threads.work()
        self.assertEqual([], self.names())
        self.assert_closed()
        assert isinstance(failure, ExchangeFailed)
        return failure

    def test_receipt(self) -> None:
        """A file is stored under its name; its receipt tells name, size, digest and how long it took."""
        self.assertTrue(verifyObject(IConsumer, self.sink))
        self.sink.write(b"one")
        self.sink.write(memoryview(b"two"))
        self.threads.work()
        self.now = 7.5
        completing = self.complete(b"onetwo")
        self.threads.work()
        digest = blake3(b"onetwo").hexdigest()
        self.assertEqual(
            {"name": "film", "size": "6", "digest": digest, "received_s": "2.500000"}, self.successResultOf(completing)
        )
        self.assertEqual((b"onetwo", ["film"]), ((self.inbox / "film").read_bytes(), self.names()))
        self.assert_closed()

    def test_end_before_the_disk(self) -> None:
        """A body that ends before the disk has taken it is complete when it has, in order."""
        for piece in range(50):
            self.sink.write(bytes([piece]) * 5000)
        whole = b"".join(bytes([piece]) * 5000 for piece in range(50))
        completing = self.complete(whole)
        self.assertNoResult(completing)
        self.threads.work()
        self.successResultOf(completing)
        self.assertEqual(whole, (self.inbox / "film").read_bytes())

    def test_pace(self) -> None:
        """When 2 MiB wait for the disk the stream is paused, once, and it goes on when the disk has taken them."""
        piece = b"x" * 65536
        for _ in range((BATCH + HIGH_WATER) // len(piece) + 2):
            self.sink.write(piece)
        self.assertEqual(["pause"], self.told)
        self.assertEqual(1, len(self.threads.waiting))
        self.threads.work(1)  # the first batch, which was all there was when the thread began
        self.assertEqual(["pause"], self.told)
        self.threads.work(1)
        self.assertEqual((["pause", "resume"], []), (self.told, self.threads.waiting))
        self.sink.write(piece)
        self.assertEqual(["pause", "resume"], self.told)
        self.sink.abandon()
        self.threads.work()

    def test_gathered(self) -> None:
        """A thread is given 512 KiB to write at least, but for the end, which waits for nothing."""
        self.sink.write(b"x" * (BATCH - 1))
        self.assertEqual([], self.threads.waiting)
        self.sink.write(b"x")
        self.assertEqual(1, len(self.threads.waiting))
        self.sink.write(b"end")
        completing = self.complete(b"x" * BATCH + b"end")
        self.threads.work()
        self.assertEqual(str(BATCH + 3), self.successResultOf(completing)["size"])

    def test_small_pieces(self) -> None:
        """Single bytes aren't kept as an object each."""
        for _ in range(100_000):
            self.sink.write(memoryview(b"x"))
        self.assertLess(len(self.sink._queue._pieces), 50)
        completing = self.complete(b"x" * 100_000)
        self.threads.work()
        self.successResultOf(completing)

    def test_paused_at_the_end(self) -> None:
        """A body that ends while the stream is paused is completed; nobody is resumed who isn't there any more."""
        self.sink.write(b"x" * HIGH_WATER)
        completing = self.complete(b"x" * HIGH_WATER)
        self.threads.work()
        self.successResultOf(completing)
        self.assertEqual(["pause"], self.told)

    def test_bad_name(self) -> None:
        """A name that would leave the inbox is refused before a byte is taken."""
        with self.assertRaises(ExchangeFailed) as raised:
            self.receive(Request("store", name="../../etc/passwd"))
        self.assertEqual(Outcome.REFUSED, raised.exception.outcome)

    def test_lying_length(self) -> None:
        """Fewer bytes than announced are truncated, more are corrupt, and neither leaves anything behind."""
        self.sink = self.receive(Request("store", name="film", length=10))
        self.assertEqual(Outcome.TRUNCATED, self.refusal(b"12345").outcome)
        self.sink = self.receive(Request("store", name="film", length=10))
        self.assertEqual(Outcome.CORRUPT, self.refusal(b"12345", b"1234567").outcome)

    def test_wrong_digest(self) -> None:
        """Content that doesn't have the digest of what was sent is corrupt."""
        self.sink.write(b"data")
        completing = self.complete(b"other")
        self.threads.work()
        failure = self.failureResultOf(completing, ExchangeFailed).value
        self.assertEqual(Outcome.CORRUPT, failure.outcome)
        self.sink.abandon()
        self.threads.work()
        self.assertEqual([], self.names())

    def test_disk_full(self) -> None:
        """A disk that fills up is told at the next piece, or at the end, and nothing is left."""
        for pieces in ((b"one",), (b"one", b"two")):
            self.sink = self.receive(Request("store", name="film"))
            self.patch(os, "write", _raiser(OSError(errno.ENOSPC, "No space left on device")))
            failure = self.refusal(*pieces)
            self.assertEqual(Outcome.REFUSED, failure.outcome)
            self.assertIn("disk is full", str(failure))

    def test_failing_thread(self) -> None:
        """A fault in the thread ends the exchange as well: the stream goes on, and the next piece or the end tells."""
        self.patch(inbox.Arrival, "write", _raiser(ZeroDivisionError()))
        self.sink.write(b"x" * HIGH_WATER)
        self.threads.work()
        self.assertEqual(["pause", "resume"], self.told)
        with self.assertRaises(ZeroDivisionError):
            self.sink.write(b"more")
        self.failureResultOf(self.complete(b""), ZeroDivisionError)

    def test_abandoned(self) -> None:
        """What was begun is removed when the exchange fails, once the thread that writes is done."""
        self.sink.write(b"1" * BATCH)
        self.threads.work()
        self.sink.write(b"2" * BATCH)
        self.sink.write(b"three")
        self.sink.abandon()
        self.assertEqual([".p2p-token.part"], self.names())
        self.threads.work()
        self.assertEqual([], self.names())
        self.assert_closed()

    def test_abandoned_at_once(self) -> None:
        """A request that ends before a thread has written anything of it costs no thread's work."""
        self.sink.write(b"x")
        self.sink.abandon()
        self.assertEqual([], self.threads.waiting)

    def test_abandoned_twice(self) -> None:
        """To abandon what was abandoned, or never begun, is harmless."""
        self.sink.abandon()
        self.sink.abandon()
        self.threads.work()
        self.assertEqual([], self.names())

    def test_abandoned_before_the_first_write(self) -> None:
        """A file that no thread has begun to write isn't made to be removed."""
        made: list[str] = []
        self.patch(inbox.Arrival, "_open", lambda arrival: made.append("made"))
        self.sink.write(b"one")
        waiting, self.threads.waiting = self.threads.waiting, []
        self.sink.write(b"two")
        self.sink.abandon()
        self.threads.waiting = waiting
        self.patch(inbox.Arrival, "write", lambda arrival, pieces: made.append(f"{len(pieces)} pieces"))
        self.threads.work()
        self.assertNotIn("0 pieces", made)

    def test_failing_removal(self) -> None:
        """What can't be removed is logged, and hurts nobody."""
        self.patch(inbox.Arrival, "discard", _raiser(OSError(errno.EIO, "Input/output error")))
        self.sink.write(b"x" * BATCH)
        self.sink.abandon()
        self.threads.work()
        self.assertEqual(1, len(self.flushLoggedErrors(OSError)))


def _raiser(error: Exception) -> Callable[..., Any]:
    def fail(*arguments: Any, **more: Any) -> Any:
        raise error

    return fail

"""The service ``inspect``: audio and video are played to their end, and what can't be is refused by name."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable
from pathlib import Path
from sys import modules
from typing import Any, BinaryIO

from blake3 import blake3
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange.exchange import Request
from p2p.exchange.message import Body, MessageDecoder
from p2p.exchange.service import IContentService, Services
from p2p.exchange.threaded import BATCH
from p2p.experiment.making import audio
from p2p.services.inspect import (
    LEAST_RATE,
    MAX_BYTES,
    MOST_WORKERS,
    RATE_S,
    WAIT_S,
    WAITING_BYTES,
    Inspect,
    InspectSink,
    PlayTurns,
    inspect,
)
from p2p.services.inspect_workers import Played, Workers, undecodable
from test.exchange.doubles import HeldThreads, Written, make_context, make_reply

inspect_module = modules[Inspect.__module__]


class FakeWorkers(Workers):
    """Workers that keep what they are to play.

    :ivar answer: what they see, or raise.
    """

    def __init__(self) -> None:
        super().__init__()
        self.played: list[bytes] = []
        self.files: list[BinaryIO] = []
        self.answer: Played | Exception = Played({"container": "wav", "frames": "3"}, b"a picture")

    def play(self, file: BinaryIO) -> Played:
        file.seek(0)
        self.played.append(file.read())
        self.files.append(file)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class InspectCase(SynchronousTestCase):
    """A peer that inspects two files at once."""

    def setUp(self) -> None:
        """Make the service."""
        self.clock = Clock()
        self.threads = HeldThreads(held=False)
        self.workers = FakeWorkers()
        self.turns = PlayTurns(2)
        self.service = Inspect(self.workers, self.turns, lambda: True)
        self.context = make_context(Path("/nowhere"), threads=self.threads, clock=self.clock)
        self.stream = Written()
        self.failures: list[BaseException] = []

    def begin(self, length: int | None = None, sender: str = "n1.n") -> InspectSink:
        """Begin a request."""
        request = Request("inspect", length=length, sender=sender)
        return self.service.receive(request, make_reply(self.stream, self.failures), self.context)

    def complete(self, sink: InspectSink, data: bytes = b"", tail: dict[str, bytes] | None = None) -> Deferred[Any]:
        """Send all of a body."""
        if data:
            sink.write(data)
        return Deferred.fromCoroutine(sink.complete(tail or {}))

    def failure(self, ended: Deferred[Any], outcome: Outcome = Outcome.REFUSED) -> str:
        """The exchange failed so; why."""
        error = self.failureResultOf(ended, ExchangeFailed).value
        assert isinstance(error, ExchangeFailed)
        self.assertIs(outcome, error.outcome)
        return str(error)

    def room(self) -> int:
        """Bytes that may still come."""
        return WAITING_BYTES - self.turns._bytes.total()


class InspectTests(InspectCase):
    """One file."""

    def test_reply(self) -> None:
        """The file is played whole; its reply has what was seen in the tail and the picture in the body."""
        sink = self.begin(6)
        self.assertTrue(verifyObject(IConsumer, sink))
        sink.write(b"one")
        fields = self.successResultOf(self.complete(sink, b"two", {"digest": blake3(b"onetwo").digest()}))
        self.assertEqual({"container": "wav", "frames": "3"}, fields)
        self.assertEqual([b"onetwo"], self.workers.played)
        events = MessageDecoder(100).feed(memoryview(b"".join(self.stream.pieces)))
        self.assertEqual(b"a picture", b"".join(bytes(one.data) for one in events if isinstance(one, Body)))
        self.assertTrue(self.workers.files[0].closed)
        self.assertEqual(WAITING_BYTES, self.room())

    def test_undecodable(self) -> None:
        """A file that can't be played is refused by name, which is no drop, and nothing of it stays."""
        self.workers.answer = undecodable("it has no sound")
        sink = self.begin(4)
        ended = self.complete(sink, b"text")
        self.assertEqual("undecodable: it has no sound", self.failure(ended))
        sink.abandon()
        self.assertTrue(self.workers.files[0].closed)
        self.assertEqual(WAITING_BYTES, self.room())

    def test_empty(self) -> None:
        """Nothing at all can't be played."""
        self.assertEqual("undecodable: it is empty", self.failure(self.complete(self.begin(0))))

    def test_not_what_was_sent(self) -> None:
        """A file that isn't what was sent isn't played."""
        self.assertIn("digest", self.failure(self.complete(self.begin(3), b"one", {"digest": b"x"}), Outcome.CORRUPT))
        self.assertIn("2 bytes came, 3 were", self.failure(self.complete(self.begin(3), b"on"), Outcome.TRUNCATED))
        self.assertIn("4 bytes came, 3 were", self.failure(self.complete(self.begin(3), b"four"), Outcome.CORRUPT))
        self.assertEqual([], self.workers.played)

    def test_full_disk(self) -> None:
        """A disk that takes no more is told."""

        def full(**arguments: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        self.patch(tempfile, "TemporaryFile", full)
        found = self.failure(self.complete(self.begin(3), b"one"))
        self.assertEqual("m4.m can't keep a file to inspect: No space left on device", found)

    def test_given_up(self) -> None:
        """A file of which the exchange ended while it played isn't replied to, and is forgotten after that."""
        sink = self.begin(3)
        self.threads.held = True
        ended = self.complete(sink, b"one")
        self.threads.work(1)  # it is on the disk now
        sink.abandon()
        self.assertLess(self.room(), WAITING_BYTES)
        self.threads.work()
        self.failure(ended, Outcome.RESET)
        self.assertEqual([], self.stream.pieces)
        self.assertTrue(self.workers.files[0].closed)
        self.assertEqual(WAITING_BYTES, self.room())

    def test_given_up_while_waiting(self) -> None:
        """A file of which the exchange ended before its turn isn't played, and gives its turn to the next."""
        self.turns = PlayTurns(1)
        self.service = Inspect(self.workers, self.turns, lambda: True)
        self.threads.held = True
        sinks = [self.begin(3) for _ in range(3)]
        ended = [self.complete(sink, b"one") for sink in sinks]
        self.threads.work(3)
        sinks[1].abandon()
        self.threads.work()
        self.failure(ended[1], Outcome.RESET)
        for one in (ended[0], ended[2]):
            self.successResultOf(one)
        self.assertEqual(2, len(self.workers.played))

    def test_without_media(self) -> None:
        """Without PyAV every file is refused, with what to install; once it is there, it isn't looked for again."""
        there: list[bool] = [False, True]
        service = Inspect(self.workers, self.turns, lambda: there.pop(0))
        take: Callable[[], Any] = lambda: service.receive(Request("inspect"), make_reply(self.stream), self.context)  # noqa: E731
        error = self.assertRaises(ExchangeFailed, take)
        self.assertIs(Outcome.REFUSED, error.outcome)
        self.assertIn("m4.m can't inspect: PyAV isn't installed; install it with: pip install 'p2p[media]'", str(error))
        take()
        take()
        self.assertEqual([], there)


class LimitTests(InspectCase):
    """More than a daemon takes."""

    def test_too_large(self) -> None:
        """A file that is too large is refused: at once if that is known, else as soon as it shows."""
        self.begin(MAX_BYTES).abandon()
        error = self.assertRaises(ExchangeFailed, self.begin, MAX_BYTES + 1)
        self.assertIs(Outcome.REFUSED, error.outcome)
        self.assertIn("send it with the service store", str(error))
        sink = self.begin()
        for _ in range(MAX_BYTES // 2**22):
            sink.write(bytes(2**22))
        self.assertIsNone(sink.failure)
        found = self.failure(self.complete(sink, b"x"))
        self.assertIn("are more than m4.m inspects", found)
        sink.abandon()
        self.assertEqual(WAITING_BYTES, self.room())

    def test_waiting_bytes(self) -> None:
        """Files that would take too much room together are refused until others are gone."""
        self.patch(inspect_module, "WAITING_BYTES", 10)
        sinks = [self.begin(5, sender) for sender in ("n1.n", "n2.n")]
        for sink in sinks:
            sink.write(b"x" * 5)
        late = self.begin(1, "n3.n")
        error = self.assertRaises(ExchangeFailed, late.write, b"x")
        self.assertIs(Outcome.REFUSED, error.outcome)
        self.assertIn("busy", str(error))
        sinks[0].abandon()
        late.write(b"x")

    def test_bytes_of_one_sender(self) -> None:
        """What one sender's files take of that isn't all of it: there is room for another's."""
        self.patch(inspect_module, "SENDER_BYTES", 4)
        sink = self.begin()
        sink.write(b"x" * 4)
        error = self.assertRaises(ExchangeFailed, self.begin().write, b"x")
        self.assertIn("busy: the service inspect has too much to do, other files of n1.n take all", str(error))
        self.begin(sender="n2.n").write(b"x")
        sink.abandon()
        self.begin().write(b"x")
        self.assertEqual(4, inspect_module.WAITING_BYTES - self.room() + 2)

    def test_nothing_is_held_for_what_has_not_come(self) -> None:
        """However many files are announced, only what has come takes room."""
        for _ in range(100):
            self.begin()
            self.begin(MAX_BYTES)
        self.assertEqual(WAITING_BYTES, self.room())

    def test_rate(self) -> None:
        """A file that comes too slowly is refused, unless it is this side that doesn't take it."""
        slow, quick, whole = self.begin(), self.begin(), self.begin()
        self.complete(whole, b"x")
        slow.write(b"x" * (int(LEAST_RATE * RATE_S) - 1))
        quick.write(b"x" * int(LEAST_RATE * RATE_S))
        self.clock.advance(RATE_S)
        self.assertEqual(1, len(self.failures))
        self.assertIn("too slow: a file to inspect has to come with 8192 bytes a second", str(self.failures[0]))
        slow.abandon()
        quick.abandon()
        self.threads.held = True
        held = self.begin()
        held.write(bytes(BATCH))
        self.clock.pump([RATE_S] * 3)
        self.assertEqual(1, len(self.failures))
        held.abandon()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_turns(self) -> None:
        """Senders have turns one after the other: many files of one keep another's waiting for one of them only."""
        self.turns = PlayTurns(1)
        self.service = Inspect(self.workers, self.turns, lambda: True)
        self.threads.held = True
        files = [(b"aaa", "n1.n"), (b"bbb", "n1.n"), (b"ccc", "n1.n"), (b"ddd", "n2.n")]
        for data, sender in files:
            self.complete(self.begin(3, sender), data)
        self.threads.work()
        self.assertEqual([b"aaa", b"bbb", b"ddd", b"ccc"], self.workers.played)

    def test_at_once(self) -> None:
        """Only so many files are played at once; the others have their turn after them."""
        self.assertEqual(4, MOST_WORKERS)
        self.threads.held = True
        ended = [self.complete(self.begin(3), b"one") for _ in range(5)]
        self.threads.work(5)  # all are on the disk
        self.assertEqual(2, len(self.threads.waiting))
        self.threads.work()
        for one in ended:
            self.successResultOf(one)
        self.assertEqual(5, len(self.workers.played))

    def test_wait(self) -> None:
        """A file that waits too long for its turn is refused, and takes no turn."""
        self.threads.held = True
        ended = [self.complete(self.begin(3), b"one") for _ in range(3)]
        self.threads.work(3)
        self.clock.advance(WAIT_S - 0.1)
        self.assertNoResult(ended[2])
        self.clock.advance(0.2)
        self.assertIn("waited 15 s in vain", self.failure(ended[2]))
        self.threads.work()
        for one in ended[:2]:
            self.successResultOf(one)
        self.successResultOf(self.complete_now())
        self.assertEqual([], self.clock.getDelayedCalls())

    def complete_now(self) -> Deferred[Any]:
        """One more file."""
        ended = self.complete(self.begin(3), b"one")
        self.threads.work()
        return ended


class InstalledTests(SynchronousTestCase):
    """The service as every peer has it."""

    def test_installed(self) -> None:
        """It is found as a plugin, and really plays a file."""
        self.assertTrue(verifyObject(IContentService, inspect))
        self.assertIn("inspect", Services.installed().names)
        self.addCleanup(inspect._workers.close)
        data = audio(5000, 1)
        reply = make_reply(Written())
        sink = inspect.receive(Request("inspect", "audio", length=5000), reply, make_context(Path("/nowhere")))
        sink.write(data)
        fields = self.successResultOf(Deferred.fromCoroutine(sink.complete({})))
        self.assertEqual("pcm_s16le", fields["codecs"])
        self.assertGreater(reply.body_bytes, 100)

"""One source for several receivers."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import LocalFileError
from p2p.transfer import sending
from p2p.transfer.answers import Dealt
from p2p.transfer.interfaces import Sender
from p2p.transfer.records import Buffer, Have, Kind
from p2p.transfer.sending import SendingEngine
from p2p.transfer.sharing import DEALT, LeftBehind, Shared, SharedSender
from p2p.transfer.tree import CHUNK
from p2p.transfer.walking import SourceRoot
from test.properties import PROPERTY
from test.transfer.sources import contents, make, pattern, records_of, taken

LONG_S = 20.0
"""Seconds after which a test of threads gives up waiting."""


class Source:
    """Gives batches of 10 bytes: ``b"0000000000"``, ``b"0000000001"``, ..."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.reads = 0
        self.ended = False
        self.done_entries = 0
        self.done_bytes = 0
        self.names = ["file"]
        self.current: str | None = None
        self.ends: list[Dealt] = []
        self.closed = 0
        self.before: Callable[[], object] = lambda: None
        self.empty = False

    def read(self, max_bytes: int) -> list[Buffer]:
        self.before()
        if self.empty:
            return []
        data = b"%010d" % self.reads
        self.reads += 1
        self.done_entries, self.done_bytes, self.current = self.reads, 10 * self.reads, f"file {self.reads}"
        self.ended = self.reads == self.count
        return [data]

    def dealt(self) -> list[Dealt]:
        return self.ends

    def close(self) -> None:
        self.closed += 1


class SharingTestCase(SynchronousTestCase):
    """Helps with threads."""

    def thread(self, work: Callable[[], object]) -> Thread:
        thread = Thread(target=work, daemon=True)
        thread.start()
        self.addCleanup(self.joined, thread)
        return thread

    def joined(self, thread: Thread) -> None:
        thread.join(LONG_S)
        self.assertFalse(thread.is_alive())

    def held(self, source: Source) -> tuple[Event, Event]:
        """Let a source say when it is read, and go on when it may."""
        reading, go = Event(), Event()

        def before() -> None:
            reading.set()
            go.wait(LONG_S)

        source.before = before
        return reading, go

    def ahead(self, member: SharedSender, count: int) -> None:
        """Have a member take so many batches."""
        for _ in range(count):
            self.assertTrue(member.next(1))


class SharedTests(SharingTestCase):
    """What the members get."""

    def test_interface(self) -> None:
        """A member is a sender."""
        sender: Sender = Shared(Source(1), 1).members[0]
        self.assertIsNone(sender.current)

    def test_ends_of_entries(self) -> None:
        """Each member is told which entries have their ends in what it was given, and their names."""
        source = Source(2)
        one, other = Shared(source, 2).members
        source.ends = [Dealt("file", Kind.FILE)]
        one.next(1)
        source.ends = [Dealt("file/x", None)]
        one.next(1)
        self.assertEqual(["file", "file/x"], [end.path for end in one.dealt()])
        self.assertEqual(([], ["file"]), (list(one.dealt()), one.names))
        other.next(1)
        self.assertEqual(["file"], [end.path for end in other.dealt()])

    def test_room_for_entries(self) -> None:
        """What is kept of entries has its part of the ring."""
        source = Source(100)
        source.ends = [Dealt("file", Kind.FILE)] * 10
        clock = iter(range(100))
        fast, slow = Shared(source, 2, clock=lambda: next(clock), ring=3 * 10 * DEALT, patience_s=1.0).members
        self.ahead(fast, 6)
        self.assertRaises(LeftBehind, slow.next, 1)

    @given(st.lists(st.integers(0, 2), max_size=60))
    @PROPERTY
    def test_any_order(self, turns: list[int]) -> None:
        """In whatever order they are called, all get the same, and it is read once."""
        source = Source(8)
        members = Shared(source, 3).members
        got: list[list[Buffer]] = [[], [], []]
        for turn in turns + [0, 1, 2] * 9:
            buffers = members[turn].next(1)
            got[turn] += buffers
            self.assertEqual(members[turn].done_entries, len(got[turn]))
            self.assertEqual(members[turn].done_bytes, 10 * len(got[turn]))
            self.assertEqual(members[turn].ended, len(got[turn]) == 8)
            if buffers:
                self.assertEqual(members[turn].current, f"file {len(got[turn])}")
        self.assertEqual(got, [[b"%010d" % number for number in range(8)]] * 3)
        self.assertEqual(source.reads, 8)

    def test_forgotten(self) -> None:
        """What all have is kept no longer."""
        shared = Shared(Source(10), 2)
        one, two = shared.members
        self.ahead(one, 5)
        self.assertEqual(shared._held, 50)
        self.ahead(two, 3)
        self.assertEqual((shared._held, len(shared._batches)), (20, 2))

    def test_closed_by_the_last(self) -> None:
        """The source is closed with the last member, whatever became of it, and once."""
        source = Source(3)
        one, two, three = Shared(source, 3).members
        two.stop()
        for member in one, three:
            member.close()
        self.assertEqual(source.closed, 0)
        two.close()
        self.assertEqual(source.closed, 1)

    def test_gone_members(self) -> None:
        """A member that was stopped or closed gets nothing more, and nobody waits for it."""
        for leave in (SharedSender.stop, SharedSender.close):
            shared = Shared(Source(100), 2, ring=30, patience_s=LONG_S)
            one, two = shared.members
            self.ahead(two, 1)
            leave(two)
            self.ahead(one, 100)
            self.assertEqual((two.next(1), two.ended, two.done_entries), ([], False, 1))
            self.assertEqual(one.next(1), [])
            self.assertTrue(one.ended)

    def test_fresh(self) -> None:
        """A receiver that begins takes part; one that has something already goes on alone, and nobody waits for it."""
        one, two = Shared(Source(100), 2, ring=30, patience_s=LONG_S).members
        one.resume(Have())
        self.assertRaises(LeftBehind, two.resume, Have("a", None, 0, 1, 1))
        self.ahead(one, 100)
        self.assertEqual(two.next(1), [])

    def test_failure(self) -> None:
        """If the source fails, all get what was read before, and then the reason."""
        source = Source(10)
        one, two = Shared(source, 2).members
        self.ahead(one, 3)

        def fail() -> None:
            raise LocalFileError("the disk is full")

        source.before = fail
        for member in one, one, two, two, two, two:
            if member is two and member.done_entries < 3:
                self.ahead(two, 1)
                continue
            error = self.assertRaises(LocalFileError, member.next, 1)
            self.assertEqual(str(error), "the disk is full")


class LaggardTests(SharingTestCase):
    """Fast and slow receivers."""

    def setUp(self) -> None:
        self.now = 0.0
        self.source = Source(1000)

    def shared(self, count: int) -> tuple[Shared, tuple[SharedSender, ...]]:
        """A ring of 10 batches, and members whose patience is spent by setting the time."""
        shared = Shared(self.source, count, clock=lambda: self.now, ring=100, patience_s=5.0)
        waited = shared._changed.wait

        def wait(timeout: float | None = None) -> bool:
            assert timeout is not None and timeout <= 5.0
            self.now += timeout
            return waited(0)

        self.patch(shared._changed, "wait", wait)
        return shared, shared.members

    def test_left_behind(self) -> None:
        """A receiver that takes nothing while the ring is full is left behind after 5 s; the others go on."""
        shared, (fast, slow, other) = self.shared(3)
        self.ahead(fast, 10)
        self.ahead(other, 8)
        self.assertEqual(self.now, 0.0)
        self.ahead(fast, 1)
        self.assertEqual(self.now, 5.0)
        error = self.assertRaises(LeftBehind, slow.next, 1)
        self.assertIn("goes on alone", str(error))
        self.assertRaises(LeftBehind, slow.next, 1)
        self.assertEqual(self.source.closed, 0)
        self.assertEqual(shared._held, 30)
        self.ahead(other, 3)
        self.ahead(fast, 5)
        self.assertEqual(self.now, 5.0)

    def test_never_began(self) -> None:
        """Those who haven't even begun, because their peers aren't there, are left behind together."""
        _, (fast, *slow) = self.shared(5)
        self.ahead(fast, 50)
        self.assertEqual(self.now, 5.0)
        for member in slow:
            self.assertRaises(LeftBehind, member.next, 1)

    def test_half_as_far(self) -> None:
        """Of the slow ones, those stay who are less than half of the ring behind."""
        _, (fast, slow, slower) = self.shared(3)
        self.ahead(fast, 10)
        self.ahead(slow, 6)
        self.ahead(fast, 1)
        self.ahead(slow, 1)
        self.assertRaises(LeftBehind, slower.next, 1)

    def test_catches_up(self) -> None:
        """Waiting is forgiven once the slowest has caught up to within half of the ring."""
        shared, (fast, slow) = self.shared(2)
        for _ in range(20):
            self.ahead(fast, 10 - shared._held // 10)
            self.full(shared, 4.0)
            self.ahead(slow, 6)
        self.ahead(slow, 4)
        self.assertTrue(slow.next(1))

    def test_only_just_moves(self) -> None:
        """A receiver that only just moves is left behind when the others have waited 5 s for it in all."""
        shared, (fast, slow) = self.shared(2)
        self.ahead(fast, 10)
        for _ in range(4):
            self.full(shared, 1.0)
            self.ahead(slow, 1)
            self.ahead(fast, 1)
        self.assertTrue(slow.active)
        self.ahead(fast, 1)
        self.assertEqual(self.now, 5.0)
        self.assertFalse(slow.active)

    def full(self, shared: Shared, seconds: float) -> None:
        """Somebody waits so long for room, as :meth:`Shared.next` would in a thread."""
        with shared._changed:
            shared._full_since = self.now
        self.now += seconds


class ThreadTests(SharingTestCase):
    """All at once."""

    def test_once(self) -> None:
        """Many threads get all the same from one engine, whole; each chunk is read once."""
        folder = make(Path(self.mktemp()).absolute() / "top", {"a": pattern(6 * CHUNK + 3), "b": b"x", "c": {}})
        read: list[int] = []
        original = os.read

        def counted(file: int, length: int) -> bytes:
            read.append(length)
            return original(file, length)

        self.patch(os, "read", counted)
        members = Shared(SendingEngine([SourceRoot(folder)]), 5, ring=2 * CHUNK, patience_s=LONG_S).members
        found: list[Any] = []

        def receive(member: SharedSender) -> None:
            found.append(contents(records_of(member, CHUNK)))

        threads = [self.thread(partial(receive, member)) for member in members]
        for thread in threads:
            self.joined(thread)
        for member in members:
            member.close()
        expected = {"top": None, "top/a": pattern(6 * CHUNK + 3), "top/b": b"x", "top/c": None}
        self.assertEqual(found, [expected] * 5)
        self.assertEqual(len(read), 8)

    def test_waits_for_room(self) -> None:
        """A fast receiver waits while the ring is full, and goes on as soon as the slow one takes something."""
        source = Source(20)
        fast, slow = Shared(source, 2, ring=50, patience_s=LONG_S).members
        got: list[bytes] = []
        thread = self.thread(lambda: got.extend(taken(fast)))
        for _ in range(20):
            self.ahead(slow, 1)
        self.joined(thread)
        self.assertEqual(len(got), 20)

    def test_patience(self) -> None:
        """Nobody has to do anything for a slow receiver to be left behind."""
        fast, slow = Shared(Source(20), 2, ring=50, patience_s=0.01).members
        self.assertEqual(len(list(taken(fast))), 20)
        self.assertRaises(LeftBehind, slow.next, 1)

    def test_waits_for_whoever_reads(self) -> None:
        """While one reads, the others wait for what it gets."""
        source = Source(1)
        reading, go = self.held(source)
        one, two = Shared(source, 2).members
        got: list[list[Buffer]] = []
        threads = [self.thread(lambda: got.append(one.next(1)))]
        self.assertTrue(reading.wait(LONG_S))
        threads.append(self.thread(lambda: got.append(two.next(1))))
        go.set()
        for thread in threads:
            self.joined(thread)
        self.assertEqual(got, [[b"0000000000"]] * 2)
        self.assertEqual(source.reads, 1)

    def test_stopped_while_it_reads(self) -> None:
        """One that is stopped while it reads for all gets nothing more; what it read is for the others."""
        source = Source(3)
        reading, go = self.held(source)
        one, two = Shared(source, 2).members
        got: list[list[Buffer]] = []
        thread = self.thread(lambda: got.append(one.next(1)))
        self.assertTrue(reading.wait(LONG_S))
        one.stop()
        go.set()
        self.joined(thread)
        self.assertEqual(got, [[]])
        self.assertEqual(two.next(1), [b"0000000000"])
        self.assertEqual(source.reads, 1)

    def test_stream(self) -> None:
        """One that waits for a stream is stopped soon, and another reads on where it was."""
        self.patch(sending, "_POLL_MS", 5)
        outlet, inlet = os.pipe()
        self.addCleanup(os.close, outlet)
        one, two = Shared(SendingEngine([SourceRoot(name="-", stream=outlet)]), 2).members
        self.assertEqual(one.next(1), two.next(1))
        os.write(inlet, b"first ")
        got: list[list[Buffer]] = []
        thread = self.thread(lambda: got.append(one.next(1)))
        one.stop()
        self.joined(thread)
        self.assertEqual(got, [[]])
        os.write(inlet, b"second")
        os.close(inlet)
        rest = b"".join(taken(two))
        self.assertIn(b"first second", rest)
        self.assertTrue(two.ended)

    def test_stopped_while_it_waits(self) -> None:
        """One that waits for room, or for whoever reads, is stopped at once."""
        source = Source(20)
        shared = Shared(source, 2, ring=30, patience_s=LONG_S)
        fast, slow = shared.members
        self.ahead(fast, 3)
        got: list[list[Buffer]] = []
        thread = self.thread(lambda: got.append(fast.next(1)))
        fast.stop()
        self.joined(thread)
        self.assertEqual(got, [[]])
        self.ahead(slow, 20)

"""An inbox: what arrives lands in it whole, under a name that can't leave it, or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blake3 import blake3
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange import inbox
from p2p.exchange.inbox import Arrival, checked_name, clear_leftovers
from p2p.exchange.naming import move_new
from test.properties import PROPERTY


def digest(data: bytes) -> bytes:
    """The BLAKE3 digest of some bytes."""
    return blake3(data).digest()


def failing(number: int) -> Callable[..., Any]:
    """Stands in for a system call that fails."""

    def fail(*arguments: Any, **more: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


class NameTests(SynchronousTestCase):
    """Names from the other side."""

    def refused(self, name: str) -> str:
        """The reason for which a name is refused."""
        with self.assertRaises(ExchangeFailed) as raised:
            checked_name(name)
        self.assertEqual(Outcome.REFUSED, raised.exception.outcome)
        return str(raised.exception)

    def test_good(self) -> None:
        """The plain name of a file is taken as it is."""
        for name in ("a", "film 1.mp4", "naïve.txt", ".hidden", "...", "-rf", "x" * 240, "日本.wav", "a..b"):
            self.assertEqual(name, checked_name(name))

    def test_bad(self) -> None:
        """Everything else is refused, with what is wrong with it."""
        for name, reason in (
            ("", "isn't the name of a file"),
            (".", "isn't the name of a file"),
            ("..", "isn't the name of a file"),
            ("../../etc/passwd", "has a path in it"),
            ("/etc/passwd", "has a path in it"),
            ("a/b", "has a path in it"),
            ("..\\..\\boot.ini", "has a path in it"),
            ("a\0b", "has a control character"),
            ("a\nb", "has a control character"),
            ("evil\x1b[2J", "has a control character"),
            ("evil\u202egpj.exe", "turns the direction of writing"),
            ("a\u2028b", "has a separator of lines"),
            ("x" * 241, "is longer than 240 bytes"),
            ("ä" * 121, "is longer than 240 bytes"),
            (".p2p-1.part", "marks unfinished content"),
        ):
            refusal = self.refused(name)
            self.assertIn(reason, refusal)
            self.assertTrue(refusal.isprintable())
            self.assertLess(len(refusal), 300)

    @given(st.one_of(st.text(), st.text(alphabet="./\\ab\0"), st.binary().map(os.fsdecode)))
    @example("..")
    @PROPERTY
    def test_never_outside(self, name: str) -> None:
        """A name that is taken is one component of a path, so that it can't leave the inbox."""
        try:
            taken = checked_name(name)
        except ExchangeFailed:
            return
        path = Path("/inbox") / taken
        self.assertEqual((Path("/inbox"), taken), (path.parent, path.name))
        self.assertEqual(str(path), os.path.normpath(path))
        self.assertLessEqual(len(os.fsencode(taken)), 240)


class InboxCase(SynchronousTestCase):
    """An inbox of its own for each test."""

    def setUp(self) -> None:
        """Make the inbox."""
        self.inbox = Path(self.mktemp())
        self.inbox.mkdir()

    def arrive(self, name: str, data: bytes, *, length: int | None = None, token: str = "t") -> str:
        """Receive a whole file; return its final name."""
        arrival = Arrival(self.inbox, name, token, length)
        arrival.write([data])
        final, shown = arrival.finish(digest(data))
        self.assertEqual((digest(data).hex(), data), (shown, (self.inbox / final).read_bytes()))
        return final

    def names(self) -> list[str]:
        """What is in the inbox."""
        return sorted(path.name for path in self.inbox.iterdir())

    def failed(self, outcome: Outcome, step: Callable[..., Any], *arguments: Any) -> str:
        """The reason for which a step fails with this outcome."""
        with self.assertRaises(ExchangeFailed) as raised:
            step(*arguments)
        self.assertEqual(outcome, raised.exception.outcome)
        return str(raised.exception)


class ArrivalTests(InboxCase):
    """Files on their way in."""

    def test_whole(self) -> None:
        """A file gets its name when it is complete, not before, and is its owner's alone."""
        arrival = Arrival(self.inbox, "a.txt", "1234", 6)
        self.assertEqual([], self.names())
        arrival.write([b"one"])
        self.assertEqual([".p2p-1234.part"], self.names())
        arrival.write([memoryview(b"two"), b""])
        self.assertEqual(("a.txt", digest(b"onetwo").hex()), arrival.finish(digest(b"onetwo")))
        self.assertEqual(["a.txt"], self.names())
        self.assertEqual(0o600, stat.S_IMODE((self.inbox / "a.txt").stat().st_mode))
        self.assertEqual(6, arrival.size)
        arrival.discard()
        self.assertEqual(["a.txt"], self.names())

    def test_empty(self) -> None:
        """An empty file is a file."""
        arrival = Arrival(self.inbox, "empty", "1", 0)
        self.assertEqual("empty", arrival.finish(digest(b""))[0])
        self.assertEqual(b"", (self.inbox / "empty").read_bytes())

    def test_partial_writes(self) -> None:
        """What the system takes in parts is written whole."""
        write = os.write
        self.patch(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
        self.arrive("a", b"0123456789" * 10)

    def test_collision(self) -> None:
        """A name that is taken gets a number; what is there is never replaced, whatever it is."""
        (self.inbox / "film (2).mp4").mkdir()
        (self.inbox / "film (3).mp4").symlink_to("/nowhere")
        names = [self.arrive("film.mp4", bytes([number])) for number in range(4)]
        self.assertEqual(["film.mp4", "film (1).mp4", "film (4).mp4", "film (5).mp4"], names)
        self.assertEqual([".hidden", ".hidden (1)"], [self.arrive(".hidden", b"x") for _ in range(2)])

    def test_many_collisions(self) -> None:
        """To find a free number takes a few looks, however many are taken."""
        for number in range(1, 300):
            (self.inbox / f"a ({number})").touch()
        (self.inbox / "a").touch()
        move, calls = move_new, [0]

        def counted(*arguments: Any, **more: Any) -> None:
            calls[0] += 1
            move(*arguments, **more)

        self.patch(inbox, "move_new", counted)
        self.assertEqual("a (300)", self.arrive("a", b"x"))
        self.assertLess(calls[0], 5)

    def test_race_for_a_name(self) -> None:
        """A name that somebody takes at the very last moment isn't replaced either."""
        move, before = move_new, ["a", "a (1)"]

        def raced(*arguments: Any, **more: Any) -> None:
            if before:
                (self.inbox / before.pop(0)).touch()
            move(*arguments, **more)

        self.patch(inbox, "move_new", raced)
        self.assertEqual("a (2)", self.arrive("a", b"x"))

    def test_replaced(self) -> None:
        """If that is wanted, content takes the place of what had its name."""
        (self.inbox / "film").write_bytes(b"old")
        arrival = Arrival(self.inbox, "film", "token", None, exists="replace")
        arrival.write([b"new"])
        self.assertEqual("film", arrival.finish(digest(b"new"))[0])
        self.assertEqual(["film"], [path.name for path in self.inbox.iterdir()])
        self.assertEqual(b"new", (self.inbox / "film").read_bytes())

    def test_not_replaced(self) -> None:
        """If that is wanted, content isn't taken under a name that is taken."""
        (self.inbox / "film").write_bytes(b"old")
        arrival = Arrival(self.inbox, "film", "token", None, exists="refuse")
        arrival.write([b"new"])
        with self.assertRaises(ExchangeFailed) as raised:
            arrival.finish(digest(b"new"))
        self.assertEqual(Outcome.REFUSED, raised.exception.outcome)
        self.assertIn("'film' already", str(raised.exception))
        arrival.discard()
        self.assertEqual(b"old", (self.inbox / "film").read_bytes())

    def test_no_room(self) -> None:
        """Before the file is made, and before each piece is written, there must be room for it."""
        asked: list[tuple[int, int]] = []

        def room(size: int, entries: int) -> None:
            asked.append((size, entries))
            if len(asked) == 2:
                raise ExchangeFailed(Outcome.REFUSED, "the inbox is full")

        arrival = Arrival(self.inbox, "film", "token", None, room=room)
        arrival.write([b"abc", b"de"])
        with self.assertRaisesRegex(ExchangeFailed, "the inbox is full"):
            arrival.write([b"f"])
        self.assertEqual(([(5, 1), (1, 0)], 5), (asked, arrival.size))
        arrival.discard()

    def test_longest_name(self) -> None:
        """The longest name that is taken leaves room for its number."""
        name = "x" * 236 + ".wav"
        self.arrive(name, b"1")
        self.assertEqual("x" * 236 + " (1).wav", self.arrive(name, b"2"))

    def test_truncated(self) -> None:
        """Fewer bytes than were announced are no file."""
        arrival = Arrival(self.inbox, "a", "1", 10)
        arrival.write([b"12345"])
        reason = self.failed(Outcome.TRUNCATED, arrival.finish, digest(b"12345"))
        self.assertEqual("5 bytes came, 10 were announced", reason)
        arrival.discard()
        self.assertEqual([], self.names())

    def test_more_than_announced(self) -> None:
        """More bytes than were announced are refused as they come, not when the disk is full."""
        arrival = Arrival(self.inbox, "a", "1", 10)
        arrival.write([b"12345"])
        reason = self.failed(Outcome.CORRUPT, arrival.write, [b"67890", b"!"])
        self.assertIn("10 were announced", reason)
        arrival.discard()
        self.assertEqual([], self.names())

    def test_corrupt(self) -> None:
        """Another digest than that of what was sent, or none, is no file."""
        for wrong in (None, b"", digest(b"other")):
            arrival = Arrival(self.inbox, "a", "1", None)
            arrival.write([b"data"])
            self.failed(Outcome.CORRUPT, arrival.finish, wrong)
            arrival.discard()
            self.assertEqual([], self.names())

    def test_disk_full(self) -> None:
        """A full disk is a refusal that says so, at every step, and leaves nothing behind."""
        for call in ("write", "fsync"):
            for number in (errno.ENOSPC, errno.EDQUOT):
                patched = self.patch(os, call, failing(number))
                arrival = Arrival(self.inbox, "a", "1", None)
                if call == "write":
                    reason = self.failed(Outcome.REFUSED, arrival.write, [b"data"])
                else:
                    arrival.write([b"data"])
                    reason = self.failed(Outcome.REFUSED, arrival.finish, digest(b"data"))
                patched.restore()
                self.assertIn("disk is full; free some space", reason)
                arrival.discard()
                self.assertEqual([], self.names())

    def test_too_large(self) -> None:
        """What is announced as larger than the disk has room for is refused at its first bytes."""
        arrival = Arrival(self.inbox, "a", "1", 1 << 60)
        self.assertIn("disk is full", self.failed(Outcome.REFUSED, arrival.write, [b"x"]))
        self.assertEqual([], self.names())

    def test_not_writable(self) -> None:
        """An inbox that can't be written is a refusal with the system's reason."""
        self.patch(os, "open", failing(errno.EACCES))
        arrival = Arrival(self.inbox, "a", "1", None)
        self.assertIn(
            "can't write to its inbox: Permission denied", self.failed(Outcome.REFUSED, arrival.write, [b"x"])
        )
        arrival.discard()

    def test_no_inbox(self) -> None:
        """An inbox that was removed meanwhile is a refusal as well."""
        self.inbox.rmdir()
        arrival = Arrival(self.inbox, "a", "1", 1)
        self.assertIn("No such file or directory", self.failed(Outcome.REFUSED, arrival.write, [b"x"]))
        arrival.discard()

    def test_error_at_close(self) -> None:
        """A disk that fails at the last moment costs the file, not the descriptor of somebody else."""
        close, closed = os.close, []

        def fail(descriptor: int) -> None:
            close(descriptor)
            closed.append(descriptor)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        self.patch(os, "close", fail)
        arrival = Arrival(self.inbox, "a", "1", None)
        arrival.write([b"data"])
        self.failed(Outcome.REFUSED, arrival.finish, digest(b"data"))
        arrival.discard()
        self.assertEqual((1, []), (len(closed), self.names()))
        arrival = Arrival(self.inbox, "a", "2", None)
        arrival.write([b"data"])
        with self.assertRaises(OSError):
            arrival.discard()
        arrival.discard()
        self.assertEqual((2, []), (len(closed), self.names()))

    def test_no_link_followed(self) -> None:
        """A symbolic link at the temporary name is neither followed nor replaced."""
        target = self.inbox / "target"
        (self.inbox / ".p2p-1.part").symlink_to(target)
        arrival = Arrival(self.inbox, "a", "1", None)
        self.failed(Outcome.REFUSED, arrival.write, [b"x"])
        self.assertFalse(target.exists())

    def test_synced_on_the_way(self) -> None:
        """A large file is brought to the disk as it comes: its end doesn't take as long as all of it."""
        synced: list[int] = []
        self.patch(inbox, "SYNC_BYTES", 1000)
        arrival = Arrival(self.inbox, "a", "1", None)
        self.patch(os, "fdatasync", lambda descriptor: synced.append(arrival.size))
        for _ in range(10):
            arrival.write([b"x" * 400])
        self.assertEqual([1200, 2400, 3600], synced)
        arrival.discard()


class LeftoverTests(InboxCase):
    """What a killed daemon left."""

    def test_cleared(self) -> None:
        """Unfinished files go, everything else stays."""
        for name in (".p2p-1.part", ".p2p-2.part", "a", ".p2p-notes", "b.part"):
            (self.inbox / name).touch()
        self.assertEqual(2, clear_leftovers(self.inbox))
        self.assertEqual([".p2p-notes", "a", "b.part"], self.names())

"""Names in folders: which one is free, and moves that take no name away from anybody."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any

from p2p.exchange import naming
from p2p.exchange.naming import free_name, is_there, move_new
from test.transfer.arrivals import ReceivingTestCase, contents, fail, watched, without


class NamingTestCase(ReceivingTestCase):
    """Has a folder that things are moved out of."""

    def setUp(self) -> None:
        super().setUp()
        self.work.mkdir()
        self.source = os.open(self.work, os.O_RDONLY)
        self.target = os.open(self.inbox, os.O_RDONLY)
        for each in (self.source, self.target):
            self.addCleanup(os.close, each)

    def disks(self) -> Iterator[str]:
        """On each kind of disk in turn: one that can do everything, NFS, and FAT under an old system."""
        yield "all"
        without(self, "rename")
        yield "no rename"
        without(self, "link")
        yield "neither"

    def move(self, name: str, *, is_folder: bool = False) -> None:
        move_new("1", self.source, name, self.target, is_folder=is_folder)


class FreeNameTests(NamingTestCase):
    def test_free(self) -> None:
        """A free name is taken as it is, one that is taken gets a number before its ending."""
        self.assertEqual("a.txt", free_name(self.target, "a.txt"))
        (self.inbox / "a.txt").symlink_to("nowhere")
        self.assertIsNotNone(is_there(self.target, "a.txt"))
        self.assertEqual("a (1).txt", free_name(self.target, "a.txt"))

    def test_many(self) -> None:
        """However many are taken, the next one is found in a few steps."""
        for number in range(100):
            (self.inbox / (f"a ({number})" if number else "a")).write_bytes(b"")
        looks = watched(self, "stat")
        self.assertEqual("a (100)", free_name(self.target, "a"))
        self.assertLess(len(looks), 20)


class MoveNewTests(NamingTestCase):
    def test_moved(self) -> None:
        """Files, links and folders go to a name that nothing has, whatever the disk can do."""
        for disk in self.disks():
            (self.work / "1").write_bytes(b"new")
            self.move(f"file, {disk}")
            (self.work / "1").symlink_to("caf\udce9")
            self.move(f"link, {disk} \udce9")
            (self.work / "1").mkdir()
            self.move(f"folder, {disk}", is_folder=True)
            self.assertEqual(b"new", (self.inbox / f"file, {disk}").read_bytes())
            self.assertEqual("-> caf\udce9", contents(self.inbox / f"link, {disk} \udce9"))
            self.assertEqual({}, contents(self.inbox / f"folder, {disk}"))
            self.assertEqual([], list(self.work.iterdir()))

    def test_taken(self) -> None:
        """What has the name keeps it, even an empty folder, which a rename would replace; what was to come stays."""
        (self.inbox / "file").write_bytes(b"old")
        (self.inbox / "folder").mkdir()
        (self.inbox / "link").symlink_to("nowhere")
        before = contents(self.inbox)
        for _ in self.disks():
            for name in ("file", "folder", "link"):
                (self.work / "1").write_bytes(b"new")
                self.assertRaises(FileExistsError, self.move, name)
                (self.work / "1").unlink()
                (self.work / "1").mkdir()
                self.assertRaises(FileExistsError, self.move, name, is_folder=True)
                (self.work / "1").rmdir()
        self.assertEqual(before, contents(self.inbox))

    def test_fails(self) -> None:
        """Any other failure is told as what it is, by each of the ways."""
        for _ in self.disks():
            self.assertRaises(FileNotFoundError, self.move, "a")
            (self.work / "1").write_bytes(b"new")
            self.assertEqual(errno.ENAMETOOLONG, self.assertRaises(OSError, self.move, "a" * 256).errno)
            (self.work / "1").unlink()
        self.assertEqual([], [path for path in self.inbox.iterdir() if path != self.work])

    def test_old_library(self) -> None:
        """Where the C library hasn't got the call, it goes the other ways."""
        self.patch(naming, "_RENAME", None)
        (self.work / "1").write_bytes(b"new")
        self.move("a")
        self.assertRaises(FileNotFoundError, self.move, "a")

    def test_half_done(self) -> None:
        """A crash between the two steps of a move leaves one file with two names, and nothing lost."""
        without(self, "rename")
        fail(self, "unlink")
        (self.work / "1").write_bytes(b"new")
        self.assertRaises(OSError, self.move, "a")
        self.assertTrue((self.work / "1").samefile(self.inbox / "a"))

    def test_one_at_a_time(self) -> None:
        """Where the disk can't keep two transfers apart, they wait for each other between look and rename."""
        without(self, "rename", "link")
        locked: list[bool] = []
        for name in ("stat", "rename"):
            original = getattr(os, name)

            def called(*arguments: Any, original: Any = original, **more: Any) -> Any:
                locked.append(naming._LOCK.locked())
                return original(*arguments, **more)

            self.patch(os, name, called)
        (self.work / "1").write_bytes(b"new")
        self.move("a")
        self.assertEqual([True, True], locked)
        self.assertFalse(naming._LOCK.locked())

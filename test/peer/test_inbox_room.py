"""Tests for :mod:`p2p.peer.inbox_room`."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rich.filesize import decimal
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.peer.inbox_room import BLOCK, FULL_MEASURE_S, MEASURE_S, InboxRoom


def no_room(needs: str, free: str, why: str) -> str:
    """The reason of a refusal."""
    return f"m4.m has no room for this: it needs {needs}, {free} are free ({why}); free some there, and send it again"


KIB = 1024
QUOTA = "its inbox has a quota of 102.4 kB"
FREE = "40.0 kB of its disk stay free"
FULL = "its disk is full"


class InboxRoomTests(SynchronousTestCase):
    """An inbox on a disk with as much free space as a test says.

    :ivar free: bytes.
    :ivar inodes: free ones; None on a file system that makes them as they are needed.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.inbox = Path(self.mktemp())
        self.inbox.mkdir()
        self.free = 10_000_000
        self.inodes: int | None = 10_000
        self.patch(os, "statvfs", self.disk)

    def disk(self, folder: Path) -> Any:
        self.assertEqual(self.inbox, folder)
        files, left = (0, 0) if self.inodes is None else (10**6, self.inodes)
        return SimpleNamespace(f_bavail=self.free // 10, f_frsize=10, f_bfree=10**12, f_files=files, f_favail=left)

    def room(self, quota: int | None = None, keep_free: int = 0) -> InboxRoom:
        return InboxRoom("m4.m", self.inbox, quota, keep_free, self.clock.seconds)

    def file(self, name: str, size: int) -> Path:
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
        return path

    def refused(self, reason: str, check: Any, size: int, entries: int = 0) -> None:
        failure = self.assertRaises(ExchangeFailed, check, size, entries)
        self.assertEqual((Outcome.REFUSED, reason), (failure.outcome, str(failure)))

    def test_no_limits(self) -> None:
        """Without a quota and without space to be kept free, nothing is looked at while content comes."""
        self.patch(os, "statvfs", None)
        self.room().take(10**15)

    def test_announced(self) -> None:
        """What doesn't fit on the disk is refused before a byte of it is written, whatever else is configured."""
        self.free = 50_000
        self.room().check(50_000 - BLOCK, 1)
        self.refused(no_room("50001 bytes", "50000 bytes", FULL), self.room().check, 50_001 - BLOCK, 1)
        self.refused(no_room("20.0 kB", "10.0 kB", FREE), self.room(keep_free=40_000).check, 20_000)
        self.free = 200_000
        self.refused(no_room("110.0 kB", "102.4 kB", QUOTA), self.room(quota=100 * KIB).check, 110_000)

    def test_keep_free(self) -> None:
        """So much of the disk stays free, looked at before each piece: others fill the disk as well."""
        room = self.room(keep_free=40_000)
        self.free = 48_200
        room.take(BLOCK + 1)
        self.refused(no_room("12.3 kB", "8.2 kB", FREE), room.take, 2 * BLOCK + 1)
        self.refused(no_room("12.3 kB", "8.2 kB", FREE), room.take, 0, 3)
        self.free = 30_000
        self.refused(no_room("4.1 kB", "0 bytes", FREE), room.take, 1)

    def test_inodes(self) -> None:
        """Free inodes are kept as well, each as a block, where a file system has a number of them."""
        room = self.room(keep_free=40_000)
        self.inodes = 11
        room.take(0, 1)
        self.refused(no_room("8.2 kB", "5.1 kB", FREE), room.take, 0, 2)
        self.inodes = None
        room.take(0, 2)

    def test_quota(self) -> None:
        """What is in the inbox costs its bytes in whole blocks, and a block for each file, folder and link."""
        self.file("a", 30)
        self.file("b/c/d", BLOCK + 1)
        (self.inbox / "link").symlink_to("x" * 200)
        (self.inbox / "empty").touch()
        used = (2 + 1 + 1 + 3 + 2 + 1) * BLOCK
        room = self.room(quota=used + 4 * BLOCK)
        room.take(BLOCK + 1, 1)
        free = f"its inbox has a quota of {decimal(used + 4 * BLOCK)}"
        self.refused(no_room("8.2 kB", "4.1 kB", free), room.take, 1, 1)
        room.take(0, 1)
        self.refused(no_room("4.1 kB", "0 bytes", free), room.take, 1)

    def test_parts_count(self) -> None:
        """What has come of a transfer that isn't complete counts as well."""
        self.file(".p2p-0123456789abcdef/1", 90 * KIB)
        self.refused(no_room("4.1 kB", "0 bytes", QUOTA), self.room(quota=100 * KIB).take, 1)

    def test_check_takes_nothing(self) -> None:
        """Looking whether something fits doesn't use the room up."""
        room = self.room(quota=100 * KIB)
        room.check(100 * KIB, 0)
        room.take(100 * KIB)

    def test_measured_seldom(self) -> None:
        """The inbox is measured at most once a minute while there is room, however much comes."""
        measured = self.count_measures()
        room = self.room(quota=1000 * KIB)
        for _ in range(100):
            room.take(1)
        self.clock.advance(MEASURE_S - 1)
        room.take(1)
        self.assertEqual(1, len(measured))
        self.clock.advance(1)
        room.take(1)
        self.assertEqual(2, len(measured))

    def test_measured_before_refusing(self) -> None:
        """Before something is refused the inbox is measured again, if that was 5 s ago: somebody may have made room."""
        path = self.file("film", 95 * KIB)
        room = self.room(quota=100 * KIB)
        reason = no_room("4.1 kB", "0 bytes", QUOTA)
        self.refused(reason, room.take, 1)
        path.unlink()
        self.clock.advance(FULL_MEASURE_S - 1)
        self.refused(reason, room.take, 1)
        self.clock.advance(1)
        room.take(1)

    def test_vanishing(self) -> None:
        """A file or a folder that somebody takes out while the inbox is measured counts no more."""
        self.file("film", 100)
        self.file("folder/film", 100)
        scan = os.scandir

        def vanish(place: str) -> Any:
            if place == os.fspath(self.inbox):
                entries: list[Any] = list(scan(place))
                shutil.rmtree(self.inbox / "folder")
                (self.inbox / "film").unlink()
                return closing(Entries(entries))
            return scan(place)

        self.patch(os, "scandir", vanish)
        self.room(quota=100 * KIB).take(96 * KIB)

    def test_unreadable(self) -> None:
        """A folder that can't be read, or whose files can't be looked at, is told once, counts, and stops nobody."""
        self.file("sealed/film", 50 * KIB)
        self.file("listed/film", 50 * KIB)
        self.file("film", 7 * BLOCK)
        scan = os.scandir

        def sealed(place: str) -> Any:
            if place.endswith("sealed"):
                raise PermissionError(errno.EACCES, "Permission denied", place)
            entries: list[Any] = list(scan(place))
            if place.endswith("listed"):
                entries = [SealedEntry(one) for one in entries]
            return closing(Entries(entries))

        self.patch(os, "scandir", sealed)
        room = self.room(quota=100 * KIB)
        with capturedLogs() as logs:
            room.take((25 - 11) * BLOCK)
            self.clock.advance(MEASURE_S)
            room.take(1)
        told = [(one["count"], one["path"]) for one in logs if "can't be measured" in one["log_format"]]
        self.assertEqual([(2, os.fspath(self.inbox / "listed"))], told)
        self.clock.advance(MEASURE_S)
        self.refused(no_room("61.4 kB", "57.3 kB", QUOTA), room.take, 15 * BLOCK)

    def test_no_inbox(self) -> None:
        """An inbox that has gone is an error of the disk."""
        room = self.room(quota=100)
        self.inbox.rmdir()
        self.assertRaises(OSError, room.take, 1)

    def count_measures(self) -> list[None]:
        measured: list[None] = []
        scan = os.scandir

        def counted(folder: Any) -> Any:
            measured.append(None)
            return scan(folder)

        self.patch(os, "scandir", counted)
        return measured


class Entries(list[Any]):
    """What a folder had in it at one moment."""

    def close(self) -> None:
        """Nothing is open."""


class SealedEntry:
    """A file in a folder that can be listed and not entered."""

    def __init__(self, entry: os.DirEntry[str]) -> None:
        self._entry = entry

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        return self._entry.is_dir(follow_symlinks=follow_symlinks)

    def stat(self, *, follow_symlinks: bool) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", self._entry.path)

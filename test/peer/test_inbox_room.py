"""Tests for :mod:`p2p.peer.inbox_room`."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.peer.inbox_room import FULL_MEASURE_S, MEASURE_S, InboxRoom

QUOTA = "m4.m has a quota of 100 bytes for its inbox, and there is no room for more; free some there"
FREE = "m4.m keeps 1.0 kB of its disk free, and there is no room for more; free some there"
FULL = "the receiver's disk is full; free some space there and send again"


class InboxRoomTests(SynchronousTestCase):
    """An inbox on a disk with as much free space as a test says.

    :ivar free: bytes.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.inbox = Path(self.mktemp())
        self.inbox.mkdir()
        self.free = 10_000_000
        self.patch(os, "statvfs", self.disk)

    def disk(self, folder: Path) -> Any:
        self.assertEqual(self.inbox, folder)
        return SimpleNamespace(f_bavail=self.free // 10, f_frsize=10, f_bfree=10**12)

    def room(self, quota: int | None = None, keep_free: int = 0) -> InboxRoom:
        return InboxRoom("m4.m", self.inbox, quota, keep_free, self.clock.seconds)

    def file(self, name: str, size: int) -> Path:
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
        return path

    def refused(self, reason: str, check: Any, size: int) -> None:
        failure = self.assertRaises(ExchangeFailed, check, size)
        self.assertEqual((Outcome.REFUSED, reason), (failure.outcome, str(failure)))

    def test_no_limits(self) -> None:
        """Without a quota and without space to be kept free, nothing is looked at while content comes."""
        self.patch(os, "statvfs", None)
        self.room().take(10**15)

    def test_announced(self) -> None:
        """What doesn't fit on the disk is refused before a byte of it is written, whatever else is configured."""
        self.free = 1000
        self.room().check(1000)
        self.refused(FULL, self.room().check, 1001)
        self.refused(FULL, self.room(keep_free=1000).check, 1001)
        self.refused(QUOTA, self.room(quota=100).check, 101)

    def test_keep_free(self) -> None:
        """So much of the disk stays free, looked at before each piece: others fill the disk as well."""
        room = self.room(keep_free=1000)
        self.free = 1100
        room.take(100)
        self.refused(FREE, room.take, 101)
        self.refused(FREE, room.check, 101)
        self.free = 900
        self.refused(FREE, room.take, 1)

    def test_quota(self) -> None:
        """What is in the inbox, in all its folders, and what came since makes no more than the quota."""
        self.file("a", 30)
        self.file("b/c/d", 20)
        (self.inbox / "link").symlink_to(__file__)
        link = (self.inbox / "link").lstat().st_size
        room = self.room(quota=100 + link)
        room.take(40)
        reason = QUOTA.replace("100", str(100 + link))
        self.refused(reason, room.take, 11)
        room.take(10)
        self.refused(reason, room.take, 1)

    def test_parts_count(self) -> None:
        """What has come of a transfer that isn't complete counts as well."""
        self.file(".p2p-0123456789abcdef/1", 90)
        self.refused(QUOTA, self.room(quota=100).take, 11)

    def test_check_takes_nothing(self) -> None:
        """Looking whether something fits doesn't use the room up."""
        room = self.room(quota=100)
        room.check(100)
        room.take(100)

    def test_measured_seldom(self) -> None:
        """The inbox is measured at most once a minute while there is room, however much comes."""
        measured = self.count_measures()
        room = self.room(quota=1000)
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
        path = self.file("film", 100)
        room = self.room(quota=100)
        self.refused(QUOTA, room.take, 1)
        path.unlink()
        self.clock.advance(FULL_MEASURE_S - 1)
        self.refused(QUOTA, room.take, 1)
        self.clock.advance(1)
        room.take(1)

    def test_vanishing_file(self) -> None:
        """A file that somebody takes out while the inbox is measured counts no more."""
        self.file("film", 100)
        look = os.stat

        def vanish(name: Any, **more: Any) -> os.stat_result:
            if name == "film" and (self.inbox / "film").exists():
                (self.inbox / "film").unlink()
            return look(name, **more)

        self.patch(os, "stat", vanish)
        self.room(quota=100).take(100)

    def test_no_inbox(self) -> None:
        """An inbox that has gone is an error of the disk."""
        room = self.room(quota=100)
        self.inbox.rmdir()
        self.assertRaises(OSError, room.take, 1)

    def count_measures(self) -> list[None]:
        measured: list[None] = []
        walk = os.fwalk

        def counted(folder: Any) -> Any:
            measured.append(None)
            return walk(folder)

        self.patch(os, "fwalk", counted)
        return measured

"""Tests for :mod:`p2p.transfer.leftovers`."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.transfer import leftovers
from p2p.transfer.leftovers import remove_expired
from p2p.transfer.work_folder import State, WorkFolder

ID = "0123456789abcdef"


class RemoveExpiredTests(SynchronousTestCase):
    """An inbox in which something was received in part."""

    def setUp(self) -> None:
        self.inbox = Path(self.mktemp()).absolute()
        self.inbox.mkdir()
        self.work = self.inbox / f".p2p-{ID}"
        self.root = os.open(self.inbox, os.O_RDONLY)
        self.addCleanup(os.close, self.root)
        self.later = time.time() + 10

    def part(self) -> None:
        """Part of a transfer has come, and its session has ended."""
        work = WorkFolder(self.root, ID, sync=False)
        work.save(State(entries=1))
        work.close()
        (self.work / "1").write_bytes(b"part")
        (self.work / "1.leaves").write_bytes(bytes(32))
        (self.work / "2").mkdir()

    def test_removed(self) -> None:
        """A part in which nothing has changed since then goes, with all that is in it; what is complete stays."""
        self.part()
        (self.inbox / "film.mp4").write_bytes(b"film")
        (self.inbox / "project").mkdir()
        self.assertEqual(1, remove_expired(self.inbox, self.later))
        self.assertEqual(["film.mp4", "project"], sorted(path.name for path in self.inbox.iterdir()))

    def test_empty(self) -> None:
        """A folder in which nothing had come yet goes as well."""
        self.work.mkdir()
        self.assertEqual(1, remove_expired(self.inbox, self.later))

    def test_younger(self) -> None:
        """A part in which something has changed since then stays, whatever times the sender gave to the files."""
        self.part()
        for path in self.work.iterdir():
            os.utime(path, (0, 0))
        self.assertEqual(0, remove_expired(self.inbox, time.time() - 10))
        self.assertTrue((self.work / "state.json").exists())

    def test_times_of_the_sender(self) -> None:
        """A file that its sender dated far ahead keeps nothing here."""
        self.part()
        os.utime(self.work / "1", (4e9, 4e9))
        self.assertEqual(1, remove_expired(self.inbox, self.later))

    def test_under_way(self) -> None:
        """What a session works on stays."""
        self.part()
        work = WorkFolder(self.root, ID, sync=False)
        self.addCleanup(work.close)
        self.assertEqual(0, remove_expired(self.inbox, self.later))
        self.assertTrue((self.work / "1").exists())

    def test_came_and_went(self) -> None:
        """What a session went on with between the first look and the removal stays."""
        self.part()

        def made(*arguments: Any, **more: Any) -> WorkFolder:
            times.append(self.later + 1)
            return WorkFolder(*arguments, **more)

        times = [0.0]
        self.patch(leftovers, "WorkFolder", made)
        self.patch(leftovers, "_changed", lambda root, name: times[-1])
        self.assertEqual(0, remove_expired(self.inbox, self.later))
        self.assertTrue((self.work / "1").exists())

    def test_comes_to_its_end(self) -> None:
        """A transfer that comes to its end while its folder is looked at is none of ours."""
        self.part()
        opening = os.open

        def ends(path: Any, *arguments: Any, **more: Any) -> int:
            if path == self.work.name:
                shutil.rmtree(self.work)
            return opening(path, *arguments, **more)

        self.patch(os, "open", ends)
        self.assertEqual(0, remove_expired(self.inbox, self.later))

    def test_strangers(self) -> None:
        """What only looks like ours is left alone: links, files, other names."""
        elsewhere = self.inbox / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "1").touch()
        self.work.symlink_to(elsewhere)
        (self.inbox / ".p2p-fedcba9876543210").touch()
        (self.inbox / ".p2p-0123").mkdir()
        before = sorted(self.inbox.rglob("*"))
        self.assertEqual(0, remove_expired(self.inbox, self.later))
        self.assertEqual(before, sorted(self.inbox.rglob("*")))

    def test_no_folder(self) -> None:
        """An inbox that can't be read is an error of the disk."""
        self.assertRaises(FileNotFoundError, remove_expired, self.inbox / "gone", self.later)

"""Small files that survive a power cut."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.saving import save_file, sync_folder, sync_names


class SavingTestCase(SynchronousTestCase):
    """Has a folder, and sees what reaches the disk.

    :ivar steps: what was brought to the disk, in order: ``file`` with its content by then, ``rename``, ``folder``.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "note"
        self.steps: list[Any] = []
        fsync, replace = os.fsync, os.replace

        def synced(file: int) -> None:
            fsync(file)
            is_folder = stat.S_ISDIR(os.fstat(file).st_mode)
            self.steps.append("folder" if is_folder else Path(f"/proc/self/fd/{file}").read_bytes())

        def renamed(*names: Any, **more: Any) -> None:
            replace(*names, **more)
            self.steps.append("rename")

        self.patch(os, "fsync", synced)
        self.patch(os, "replace", renamed)

    def broken(self, number: int) -> Callable[..., None]:
        """A call that fails."""

        def fail(*arguments: Any, **more: Any) -> None:
            raise OSError(number, os.strerror(number))

        return fail


class SaveFileTests(SavingTestCase):
    def test_order(self) -> None:
        """The content is on disk before it gets its name, and the name before anybody is told that it is saved."""
        save_file(self.path, b"one")
        self.assertEqual([b"one", "rename", "folder"], self.steps)
        self.assertEqual(b"one", self.path.read_bytes())

    def test_again(self) -> None:
        """A file takes the place of the one before, whatever a crash has left beside it; nothing else stays."""
        self.path.write_bytes(b"a long one")
        self.path.with_name(".note.new").write_bytes(b"half of a very long one")
        save_file(self.path, b"two")
        self.assertEqual({"note": b"two"}, {path.name: path.read_bytes() for path in self.folder.iterdir()})

    def test_full_disk(self) -> None:
        """If the disk doesn't take it, what was there before is there still."""
        save_file(self.path, b"one")
        self.patch(os, "fsync", self.broken(errno.ENOSPC))
        self.assertRaises(OSError, save_file, self.path, b"two")
        self.assertEqual(b"one", self.path.read_bytes())


class SyncTests(SavingTestCase):
    def test_folder(self) -> None:
        """A folder is synced by its path; one that isn't there, or is none, is an error."""
        sync_folder(self.folder)
        self.assertEqual(["folder"], self.steps)
        self.assertRaises(FileNotFoundError, sync_folder, self.folder / "none")
        self.path.touch()
        self.assertRaises(NotADirectoryError, sync_folder, self.path)

    def test_file_systems(self) -> None:
        """A file system that can't sync names isn't an error; a disk that fails at it is told."""
        folder = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, folder)
        sync_names(folder)
        self.assertEqual(["folder"], self.steps)
        self.patch(os, "fsync", self.broken(errno.EINVAL))
        sync_names(folder)
        self.patch(os, "fsync", self.broken(errno.EIO))
        self.assertRaises(OSError, sync_names, folder)

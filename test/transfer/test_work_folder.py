"""The folder in which a receiver keeps what a transfer has brought so far."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from typing import Any

from p2p.base.errors import Outcome
from p2p.exchange.rules import Arrived
from p2p.transfer.final_names import Close, Folder, PlaceStep, Receipt
from p2p.transfer.records import Kind
from p2p.transfer.work_folder import PartialEntry, WorkFolder, WorkState
from test.transfer.arrivals import ID, ReceivingTestCase, fail, watched


class WorkFolderTests(ReceivingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.root = os.open(self.inbox, os.O_RDONLY)
        self.made: list[WorkFolder] = []
        self.addCleanup(self.let_go)

    def let_go(self) -> None:
        for made in self.made:
            made.close()
        os.close(self.root)

    def folder(self, sync: bool = False, transfer_id: str = ID) -> WorkFolder:
        made = WorkFolder(self.root, transfer_id, sync)
        self.made.append(made)
        return made

    # -- its life ---------------------------------------------------------------------------------------------

    def test_made(self) -> None:
        """Nobody else may look into it."""
        self.folder()
        self.assertEqual(0o700, stat.S_IMODE(self.work.stat().st_mode))

    def test_bad_id(self) -> None:
        """An id that is no id never becomes a path."""
        for bad in ("", "../x", "0" * 15, "0" * 17, "0" * 15 + "A", "0" * 16 + "\n"):
            self.refused(Outcome.REFUSED, self.folder, transfer_id=bad)
        self.assertEqual([], list(self.inbox.iterdir()))

    def test_second(self) -> None:
        """While one engine works on a transfer, a second one is told to come again, and takes nothing from it."""
        self.folder()
        self.assertIn("hasn't ended", self.refused(Outcome.RESET, self.folder))
        self.made.pop().close()
        self.folder()

    def test_somebody_else(self) -> None:
        """A folder of somebody else isn't used."""
        self.work.mkdir()
        self.patch(os, "geteuid", lambda: self.work.stat().st_uid + 1)
        self.assertIn("somebody else", self.refused(Outcome.REFUSED, self.folder))

    def test_link(self) -> None:
        """A link in its place isn't followed, and neither is a file one."""
        other = self.top / "other"
        other.mkdir()
        self.work.symlink_to(other)
        self.assertRaises(OSError, self.folder)
        self.work.unlink()
        self.work.write_bytes(b"")
        self.assertRaises(OSError, self.folder)

    def test_no_locks(self) -> None:
        """On a file system without locks nothing is left open."""
        self.patch(fcntl, "flock", lambda file, how: os.open("/nonexistent", os.O_RDONLY))
        self.assertRaises(OSError, self.folder)

    def test_removed_before_it_is_opened(self) -> None:
        """If the engine before comes to its end at this moment, the folder is made again."""
        self.work.mkdir()
        original = os.open
        times = iter([True])

        def opened(*arguments: Any, **more: Any) -> int:
            if next(times, False):
                self.work.rmdir()
            return original(*arguments, **more)

        self.patch(os, "open", opened)
        self.folder()
        self.assertTrue(self.work.is_dir())

    def test_removed_all_the_time(self) -> None:
        """It isn't tried for ever."""
        fail(self, "open", errno.ENOENT)
        self.assertIn("come and go", self.refused(Outcome.RESET, self.folder))

    def test_removed_before_it_is_locked(self) -> None:
        """A folder that isn't there any more when its lock is got is of no use: everything in it would be lost."""
        for again in (False, True):
            original = fcntl.flock
            times = iter([True])

            def lock(file: int, how: int, times: Any = times, original: Any = original, again: bool = again) -> None:
                original(file, how)
                if next(times, False):
                    self.work.rmdir()
                    if again:
                        self.work.mkdir()  # by somebody who is even faster

            patch = self.patch(fcntl, "flock", lock)
            made = self.folder()
            patch.restore()
            self.assertTrue(os.path.samestat(os.fstat(made.file), self.work.stat()))
            made.remove()
            self.made.remove(made)
            made.close()

    def test_clear(self) -> None:
        """What an earlier session left goes, but for the state and what is wanted."""
        made = self.folder()
        made.save(WorkState())
        for name in ("1", "2", "state.new"):
            (self.work / name).write_bytes(b"x")
        (self.work / "3").mkdir()
        (self.work / "3" / "of somebody else").write_bytes(b"x")
        (self.work / "4").symlink_to("nowhere")
        made.clear(("2",))
        self.assertEqual(["2", "state.json"], sorted(each.name for each in self.work.iterdir()))

    def test_remove(self) -> None:
        """It goes with all that is in it, whether something had been written down or not."""
        for states in ([], [WorkState()]):
            made = self.folder()
            for state in states:
                made.save(state)
            (self.work / "1").write_bytes(b"x")
            made.remove()
            self.assertFalse(self.work.exists())

    # -- what is remembered -----------------------------------------------------------------------------------

    def remembered(self, state: WorkState) -> WorkState:
        """What another engine reads."""
        self.folder().save(state)
        self.made.pop().close()
        return self.folder().load()

    def test_nothing(self) -> None:
        """Where nothing was written down, nothing has come yet."""
        self.assertEqual(WorkState(), self.folder().load())

    def test_numbers(self) -> None:
        """All that was written down comes back, names that aren't UTF-8 as well."""
        part = PartialEntry("7", "caf\udce9/x", 5, None, (3, -1, 2**62))
        owed = [Receipt("a", "", 3, "", Outcome.REFUSED, "why"), Receipt("b", "b", 3, "00")]
        state = WorkState(8, 2, 30, 1, "caf\udce9", partial=part, owed=owed)
        self.assertEqual(state, self.remembered(state))
        self.assertEqual(("7", "7.leaves"), part.names)

    def test_steps(self) -> None:
        """Folders that steps and the stack share are shared again."""
        top = Folder(None, "a", "a (1)", 0o755, 1)
        inner = Folder(top, "b", "b", 0o500, 2, "full")
        state = WorkState(
            stack=[top],
            steps=[
                PlaceStep("a/b", Kind.FOLDER, "1", top, "b", outcome=Outcome.REFUSED, reason="full", made=inner),
                PlaceStep("a/b/c", Kind.FILE, "2", inner, "c (2)", 5, "00", notes=["odd"]),
                PlaceStep("x", Kind.LINK, "3", None, "x"),
                Close(inner),
            ],
        )
        found = self.remembered(state)
        made, placed, linked, closed = found.steps
        assert isinstance(made, PlaceStep)
        assert isinstance(placed, PlaceStep)
        assert isinstance(linked, PlaceStep)
        assert isinstance(closed, Close)
        self.assertIs(found.stack[0], made.folder)
        self.assertIs(made.made, placed.folder)
        self.assertIs(closed.folder, made.made)
        self.assertIs(closed.folder.up, found.stack[0])
        self.assertEqual("a (1)/b", closed.folder.path())
        self.assertEqual((0o500, 2, "full", -1), (inner.mode, inner.mtime, inner.refused, closed.folder.file))
        self.assertEqual((Kind.FOLDER, Outcome.REFUSED, "full"), (made.kind, made.outcome, made.reason))
        self.assertEqual(("c (2)", 5, "00", Outcome.OK), (placed.final, placed.size, placed.root, placed.outcome))
        self.assertEqual((None, None), (linked.folder, linked.made))
        self.assertEqual((["odd"], []), (placed.notes, linked.notes))

    def test_earlier_version(self) -> None:
        """What an earlier version has written down is read."""
        made = self.folder()
        made.save(WorkState(steps=[PlaceStep("x", Kind.FILE, "3", None, "x")], partial=PartialEntry("7", "a", 5, 9)))
        raw = json.loads((self.work / "state.json").read_bytes())
        del raw["steps"][0]["notes"], raw["partial"]["marks"]
        raw["partial"]["synced"] = 2
        (self.work / "state.json").write_text(json.dumps({**raw, "boot": "b"}))
        found = made.load()
        self.assertEqual(PartialEntry("7", "a", 5, 9), found.partial)
        (step,) = found.steps
        assert isinstance(step, PlaceStep)
        self.assertEqual([], step.notes)

    def test_synced(self) -> None:
        """It is on the disk before it takes the place of what was there."""
        made = self.folder(sync=True)
        calls = watched(self, "fsync", "rename")
        made.save(WorkState())
        made.sync()
        self.assertEqual(["fsync", "rename", "fsync"], [name for name, *_ in calls])
        self.assertEqual(made.file, calls[-1][1])

    def test_save_fails(self) -> None:
        """If it can't be written down, what was there stays, and nothing is left open."""
        made = self.folder()
        made.save(WorkState(entries=1))
        fail(self, "writev")
        self.assertRaises(OSError, made.save, WorkState(entries=2))
        self.assertEqual(1, made.load().entries)

    def test_damaged(self) -> None:
        """What makes no sense is refused with what to do about it, and is neither believed nor removed."""
        made = self.folder()
        made.save(WorkState(stack=[Folder(None, "a", "a", 0, 0)]))
        good = json.loads((self.work / "state.json").read_bytes())
        for bad in (
            b"",
            b"\xff",
            b"[]",
            b"{}",
            b"[" * 10**5,
            json.dumps({**good, "stack": [1]}).encode(),
            b'{"version":2}',
        ):
            (self.work / "state.json").write_bytes(bad)
            self.assertIn(f"remove its folder .p2p-{ID}", self.refused(Outcome.REFUSED, made.load))
        for field, bad_value in (("more", 1), ("steps", [{"close": "a"}]), ("owed", [{"outcome": "no such"}])):
            (self.work / "state.json").write_text(json.dumps({**good, field: bad_value}))
            self.refused(Outcome.REFUSED, made.load)

    def test_no_file(self) -> None:
        """A folder or a link where its memory should be isn't read, and nothing is left open."""
        made = self.folder()
        (self.work / "state.json").mkdir()
        self.assertRaises(IsADirectoryError, made.load)
        (self.work / "state.json").rmdir()
        (self.top / "other").write_bytes(b"{}")
        (self.work / "state.json").symlink_to(self.top / "other")
        self.assertEqual(errno.ELOOP, self.assertRaises(OSError, made.load).errno)

    def test_older_version(self) -> None:
        """What version 0.1.0 has written down counts as taken, and as data."""
        made = self.folder()
        made.save(WorkState(entries=5, refused=2, bytes=7))
        known = json.loads((self.work / "state.json").read_text())
        del known["arrived"]
        (self.work / "state.json").write_text(json.dumps(known))
        self.assertEqual(Arrived(3, {"data": 7}), made.load().arrived)

    def test_other_version(self) -> None:
        """What another version has written down isn't guessed at."""
        made = self.folder()
        made.save(WorkState())
        (self.work / "state.json").write_text('{"version": 1}')
        self.assertIn("another version", self.refused(Outcome.REFUSED, made.load))

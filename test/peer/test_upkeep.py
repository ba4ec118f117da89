"""Where a daemon keeps what must outlive it, and how it tidies up."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import PeerConfig, PeerEntry
from p2p.peer import upkeep
from p2p.peer.ages import DAY_S, Ages
from p2p.peer.upkeep import EVERY_S, Leftovers, find_state, make_private, remove_expired
from p2p.transfer.notes import KEEP_S
from p2p.transfer.work_folder import WorkFolder, WorkState
from test.exchange.doubles import HeldThreads


class StateFolderTests(SynchronousTestCase):
    """A daemon with the peers n1.n and n2.n."""

    def setUp(self) -> None:
        """Have a folder for the inboxes."""
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()

    def config(self, *names: str, state: Path | None = None) -> PeerConfig:
        """A configuration with the peers in this order; nothing of it but the inboxes matters."""
        none = Path("/none")
        entries = [
            PeerEntry.model_construct(name=name, certificate=none, key=none, inbox=self.folder / name) for name in names
        ]
        return PeerConfig.model_construct(peers=entries, state=state)

    def journal(self, name: str) -> Path:
        """Have a journal beside the inbox of a peer."""
        folder = self.folder / f"{name}.state"
        folder.mkdir()
        (folder / "journal.sqlite").touch()
        return folder

    def test_said(self) -> None:
        """It is where the file says, whatever lies elsewhere."""
        self.journal("n1.n")
        self.assertEqual(Path("/var/state"), find_state(self.config("n1.n", state=Path("/var/state"))))

    def test_private(self) -> None:
        """The folder is its owner's alone; one that was there with a wide mode, and the journal in it, is made so."""
        state = self.folder / "a" / "state"
        make_private(state)
        self.assertEqual(0o700, stat.S_IMODE(state.stat().st_mode))
        files = [state / f"journal.sqlite{ending}" for ending in ("", "-wal", "-shm")]
        for path, mode in ((state, 0o755), (files[0], 0o644), (files[1], 0o660)):
            if path != state:
                path.touch()
            path.chmod(mode)
        with capturedLogs() as logs:
            make_private(state)
        self.assertEqual([0o700, 0o600, 0o600], [stat.S_IMODE(path.stat().st_mode) for path in (state, *files[:2])])
        self.assertEqual(["0755", "0644", "0660"], [one["before"] for one in logs])
        with capturedLogs() as logs:
            make_private(state)
        self.assertEqual([], logs)

    def test_not_ours(self) -> None:
        """A folder whose mode can't be changed isn't used."""
        state = self.folder / "state"
        state.mkdir()
        state.chmod(0o777)

        def refuse(path: Path, mode: int) -> None:
            raise PermissionError(1, "Operation not permitted", str(path))

        self.patch(Path, "chmod", refuse)
        self.assertRaises(PermissionError, make_private, state)

    def test_first(self) -> None:
        """At first it is beside the first inbox."""
        self.assertEqual(self.folder / "n2.n.state", find_state(self.config("n2.n", "n1.n")))

    def test_order(self) -> None:
        """It stays where it is when another peer comes first."""
        known = self.journal("n1.n")
        for names in (("n1.n", "n2.n"), ("n2.n", "n1.n")):
            self.assertEqual(known, find_state(self.config(*names)))

    def test_several(self) -> None:
        """Of several the first is taken, and that is told, with what to do."""
        first, other = self.journal("n1.n"), self.journal("n2.n")
        with capturedLogs() as logs:
            self.assertEqual(first, find_state(self.config("n1.n", "n2.n")))
        (event,) = logs
        self.assertEqual((str(first), str(other)), (event["folder"], event["others"]))
        self.assertIn("'state: FOLDER'", event["log_format"])

    def test_unreadable(self) -> None:
        """What can't be looked into isn't taken for a journal."""
        (self.folder / "n2.n.state").symlink_to("n2.n.state")  # a loop
        (self.folder / "n1.n.state").write_text("a file")
        self.assertEqual(self.folder / "n2.n.state", find_state(self.config("n2.n", "n1.n")))


class LeftoversTests(SynchronousTestCase):
    """A daemon with two inboxes, in both of which a part was received now."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.threads = HeldThreads(held=False)
        self.base = Path(self.mktemp()).absolute()
        self.inboxes = {name: self.base / name for name in ("n1.n", "n2.n")}
        for inbox in self.inboxes.values():
            (inbox / ".p2p-0123456789abcdef").mkdir(parents=True)
        self.notes = self.base / "state" / "ended"
        self.wall_ahead_s = 0.0
        self.forgotten: list[float] = []
        self.leftovers = self.make(self.threads)

    def make(self, threads: Any) -> Leftovers:
        """The leftovers of a daemon."""

        async def forget(ages: Ages, limit_s: float) -> None:
            self.forgotten.append(limit_s)

        def wall() -> float:
            return time.time() + self.wall_ahead_s + self.clock.seconds()

        ages = Ages(self.base / "ages.json", "boot", self.clock.seconds, wall)
        leftovers = Leftovers(self.clock, self.inboxes, [self.notes], threads, ages, 7, forget)
        self.addCleanup(leftovers.stop)
        return leftovers

    def left(self) -> list[str]:
        return [name for name, inbox in self.inboxes.items() if any(inbox.iterdir())]

    def test_unfinished_days(self) -> None:
        """Once a day they are looked for, and go when nobody has gone on with them for so many days."""
        with capturedLogs() as logs:
            self.leftovers.start()
            self.clock.pump([EVERY_S] * 6)
            self.clock.advance(EVERY_S - 60)
            self.assertEqual((["n1.n", "n2.n"], []), (self.left(), logs))
            self.assertEqual(7, 7 * EVERY_S / DAY_S)
            self.clock.advance(60)
        self.assertEqual([], self.left())
        told = [(one["name"], one["count"], one["days"]) for one in logs]
        self.assertEqual([("n1.n", 1, 7), ("n2.n", 1, 7)], told)

    def test_clock_is_set(self) -> None:
        """A clock that is set a year ahead removes nothing, whether the daemon runs or is started after it; and one
        that is set back keeps nothing for longer."""
        self.leftovers.start()
        for step_s in (365 * DAY_S, -800 * DAY_S):
            self.wall_ahead_s += step_s
            self.clock.advance(3 * EVERY_S)
            self.leftovers.stop()
            self.leftovers = self.make(self.threads)
            self.leftovers.start()
            self.assertEqual(["n1.n", "n2.n"], self.left())
        self.clock.advance(EVERY_S)
        self.assertEqual([], self.left())

    def test_at_the_start(self) -> None:
        """They are looked for when the daemon starts, which may not run for a day at a time."""
        for _ in range(8):
            self.assertEqual(["n1.n", "n2.n"], self.left())
            self.leftovers = self.make(self.threads)
            self.leftovers.start()
            self.leftovers.stop()
            self.clock.advance(DAY_S)
        self.assertEqual([], self.left())

    def test_grows(self) -> None:
        """What somebody goes on with stays, and its days begin anew."""
        self.leftovers.start()
        for number in range(10):
            self.patch(upkeep, "_changed", partial(_changed_at, number))
            self.clock.advance(EVERY_S)
        self.clock.pump([EVERY_S] * 6)
        self.assertEqual(["n1.n", "n2.n"], self.left())
        self.clock.advance(EVERY_S)
        self.assertEqual([], self.left())

    def test_notes(self) -> None:
        """Notes of transfers, files or folders, go after a week; newer ones stay."""
        (self.notes / "folder").mkdir(parents=True)
        (self.notes / "folder" / "leaves").write_bytes(b"leaves")
        (self.notes / "file").write_bytes(b"note")
        self.leftovers.start()
        self.clock.pump([EVERY_S] * 6)
        (self.notes / "newer").write_bytes(b"note")
        self.assertEqual(3, len(list(self.notes.iterdir())))
        self.clock.advance(EVERY_S)
        self.assertEqual(["newer"], [path.name for path in self.notes.iterdir()])
        self.assertEqual(KEEP_S, 7 * EVERY_S)

    def test_got(self) -> None:
        """What was got into other folders is given up after as many days."""
        self.leftovers.start()
        self.clock.advance(EVERY_S)
        self.assertEqual([7 * DAY_S, 7 * DAY_S], self.forgotten)

    def test_broken_inbox(self) -> None:
        """An inbox that can't be read is told, and the others are tidied all the same."""
        inbox = self.inboxes["n1.n"]
        (inbox / ".p2p-0123456789abcdef").rmdir()
        inbox.rmdir()
        with capturedLogs() as logs:
            self.leftovers.start()
            self.clock.pump([EVERY_S] * 7)
        self.assertFalse(any(self.inboxes["n2.n"].iterdir()))
        reasons = [one["reason"] for one in logs if "can't" in one["log_format"]]
        self.assertEqual(["No such file or directory"] * 8, reasons)

    def test_one_at_a_time(self) -> None:
        """A disk that takes more than a day isn't asked a second time meanwhile, and the daemon may stop."""
        self.threads.held = True
        self.leftovers.start()
        self.clock.pump([EVERY_S] * 3)
        self.assertEqual(1, len(self.threads.waiting))
        self.leftovers.stop()
        while self.threads.waiting:
            self.threads.work()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_never_started(self) -> None:
        """It may be stopped before it was started."""
        self.leftovers.stop()

    def test_fault(self) -> None:
        """A fault of ours is logged."""

        def broken(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
            raise RuntimeError("no thread")

        self.make(broken).start()
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))


ID = "0123456789abcdef"


class RemoveExpiredTests(SynchronousTestCase):
    """An inbox in which something was received in part."""

    def setUp(self) -> None:
        self.inbox = Path(self.mktemp()).absolute()
        self.inbox.mkdir()
        self.work = self.inbox / f".p2p-{ID}"
        self.root = os.open(self.inbox, os.O_RDONLY)
        self.addCleanup(os.close, self.root)

    def part(self) -> None:
        """Part of a transfer has come, and its session has ended."""
        work = WorkFolder(self.root, ID, sync=False)
        work.save(WorkState(entries=1))
        work.close()
        (self.work / "1").write_bytes(b"part")
        (self.work / "1.leaves").write_bytes(bytes(32))
        (self.work / "2").mkdir()

    def test_removed(self) -> None:
        """A part that is old goes, with all that is in it; what is complete stays."""
        self.part()
        (self.inbox / "film.mp4").write_bytes(b"film")
        (self.inbox / "project").mkdir()
        self.assertEqual(1, remove_expired(self.inbox, set))
        self.assertEqual(["film.mp4", "project"], sorted(path.name for path in self.inbox.iterdir()))

    def test_empty(self) -> None:
        """A folder in which nothing had come yet goes as well."""
        self.work.mkdir()
        self.assertEqual(1, remove_expired(self.inbox, set))

    def test_younger(self) -> None:
        """What isn't old stays."""
        self.part()
        self.assertEqual(0, remove_expired(self.inbox, lambda marks: set()))
        self.assertTrue((self.work / "state.json").exists())

    def test_marks(self) -> None:
        """The mark of a part changes when something in it does, whatever times the sender gives to its files."""
        self.part()
        marks: list[Mapping[str, float]] = []

        def nothing(found: Mapping[str, float]) -> set[str]:
            marks.append(found)
            return set()

        remove_expired(self.inbox, nothing)
        remove_expired(self.inbox, nothing)
        os.utime(self.work / "1", (0, 0))
        remove_expired(self.inbox, nothing)
        self.assertEqual([[ID]] * 3, [list(one) for one in marks])
        self.assertEqual(marks[0], marks[1])
        self.assertLess(abs(marks[0][ID] - time.time()), 60)
        self.assertGreaterEqual(marks[2][ID], marks[1][ID])

    def test_under_way(self) -> None:
        """What a session works on stays."""
        self.part()
        work = WorkFolder(self.root, ID, sync=False)
        self.addCleanup(work.close)
        self.assertEqual(0, remove_expired(self.inbox, set))
        self.assertTrue((self.work / "1").exists())

    def test_came_and_went(self) -> None:
        """What a session went on with between the first look and the removal stays."""
        self.part()

        def made(*arguments: Any, **more: Any) -> WorkFolder:
            times.append(8.0)
            return WorkFolder(*arguments, **more)

        times = [7.0]
        self.patch(upkeep, "WorkFolder", made)
        self.patch(upkeep, "_changed", lambda root, name: times[-1])
        self.assertEqual(0, remove_expired(self.inbox, set))
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
        self.assertEqual(0, remove_expired(self.inbox, set))

    def test_strangers(self) -> None:
        """What only looks like ours is left alone: links, files, other names."""
        elsewhere = self.inbox / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "1").touch()
        self.work.symlink_to(elsewhere)
        (self.inbox / ".p2p-fedcba9876543210").touch()
        (self.inbox / ".p2p-0123").mkdir()
        before = sorted(self.inbox.rglob("*"))
        self.assertEqual(0, remove_expired(self.inbox, set))
        self.assertEqual(before, sorted(self.inbox.rglob("*")))

    def test_no_folder(self) -> None:
        """An inbox that can't be read is an error of the disk."""
        self.assertRaises(FileNotFoundError, remove_expired, self.inbox / "gone", set)


def _changed_at(when: float, root: int, name: str) -> float:
    """When everything has changed last."""
    return when

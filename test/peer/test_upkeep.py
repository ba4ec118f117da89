"""Where a daemon keeps what must outlive it, and how it tidies up."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import PeerConfig, PeerEntry
from p2p.peer import upkeep
from p2p.peer.upkeep import DAY_S, EVERY_S, Leftovers, find_state, remove_expired
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
        base = Path(self.mktemp()).absolute()
        self.inboxes = {name: base / name for name in ("n1.n", "n2.n")}
        for inbox in self.inboxes.values():
            (inbox / ".p2p-0123456789abcdef").mkdir(parents=True)
        now = time.time()  # the times of files are those of the system
        self.forgotten: list[float] = []
        self.leftovers = Leftovers(
            self.clock,
            self.inboxes,
            self.threads,
            lambda: now + self.clock.seconds(),
            7,
            lambda before: self.forgotten.append(round(before - now)),
        )
        self.addCleanup(self.leftovers.stop)

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
            self.clock.pump([EVERY_S] * 2)
        self.assertEqual([], self.left())
        told = [(one["name"], one["count"], one["days"]) for one in logs]
        self.assertEqual([("n1.n", 1, 7), ("n2.n", 1, 7)], told)

    def test_at_the_start(self) -> None:
        """They are looked for when the daemon starts, which may not run for a day at a time."""
        self.clock.advance(8 * DAY_S)
        self.leftovers.start()
        self.assertEqual([], self.left())

    def test_got(self) -> None:
        """What was got into other folders is given up after as many days."""
        self.leftovers.start()
        self.clock.advance(EVERY_S)
        self.assertEqual([-7 * DAY_S, -6 * DAY_S], self.forgotten)

    def test_broken_inbox(self) -> None:
        """An inbox that can't be read is told, and the others are tidied all the same."""
        inbox = self.inboxes["n1.n"]
        (inbox / ".p2p-0123456789abcdef").rmdir()
        inbox.rmdir()
        self.clock.advance(8 * DAY_S)
        with capturedLogs() as logs:
            self.leftovers.start()
        self.assertFalse(any(self.inboxes["n2.n"].iterdir()))
        self.assertEqual(["No such file or directory"], [one["reason"] for one in logs if "can't" in one["log_format"]])

    def test_one_at_a_time(self) -> None:
        """A disk that takes more than a day isn't asked a second time meanwhile, and the daemon may stop."""
        self.threads.held = True
        self.leftovers.start()
        self.clock.pump([EVERY_S] * 3)
        self.assertEqual(1, len(self.threads.waiting))
        self.leftovers.stop()
        self.threads.work()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_never_started(self) -> None:
        """It may be stopped before it was started."""
        self.leftovers.stop()

    def test_fault(self) -> None:
        """A fault of ours is logged."""

        def broken(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
            raise RuntimeError("no thread")

        leftovers = Leftovers(self.clock, self.inboxes, broken, lambda: 0.0, 7, self.forgotten.append)
        leftovers.start()
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
        self.later = time.time() + 10

    def part(self) -> None:
        """Part of a transfer has come, and its session has ended."""
        work = WorkFolder(self.root, ID, sync=False)
        work.save(WorkState(entries=1))
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
        self.patch(upkeep, "WorkFolder", made)
        self.patch(upkeep, "_changed", lambda root, name: times[-1])
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

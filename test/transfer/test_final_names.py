"""How what has arrived gets its final name."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from p2p.base.errors import Outcome
from p2p.base.values import Exists
from p2p.exchange import naming
from p2p.transfer import final_names
from p2p.transfer.final_names import Close, Folder, Placer, PlaceStep, Receipt, Step
from p2p.transfer.records import Kind
from test.transfer.arrivals import MTIME, ReceivingTestCase, contents, fail, watched, without


class PlacerTestCase(ReceivingTestCase):
    """Has a work folder with things that wait for their places."""

    def setUp(self) -> None:
        super().setUp()
        self.work.mkdir()
        self.root = os.open(self.inbox, os.O_RDONLY)
        self.temps = os.open(self.work, os.O_RDONLY)
        self.folders: list[Folder] = []
        self.changes = 0
        self.on_change: Callable[[], object] = lambda: None
        self.addCleanup(self.let_go)

    def let_go(self) -> None:
        for each in self.folders:
            if each.file >= 0:
                os.close(each.file)
        os.close(self.root)
        os.close(self.temps)

    def changed(self) -> None:
        self.changes += 1
        self.on_change()

    def placer(self, exists: Exists = "rename", sync: bool = False) -> Placer:
        return Placer(self.root, self.temps, exists, sync, self.changed)

    def run_steps(self, *steps: Step, exists: Exists = "rename", again: bool = False) -> list[Receipt]:
        return self.placer(exists).run(steps, again=again)

    def temp(self) -> str:
        return str(len(list(self.work.iterdir())) + 1)

    def file(self, path: str, data: bytes = b"new", folder: Folder | None = None) -> PlaceStep:
        temp = self.temp()
        (self.work / temp).write_bytes(data)
        return PlaceStep(path, Kind.FILE, temp, folder, path.rpartition("/")[2], len(data), "00")

    def link(self, path: str) -> PlaceStep:
        temp = self.temp()
        (self.work / temp).symlink_to("somewhere")
        return PlaceStep(path, Kind.LINK, temp, None, path)

    def folder(self, path: str, up: Folder | None = None, mode: int = 0o755) -> PlaceStep:
        temp = self.temp()
        (self.work / temp).mkdir(0o700)
        name = path.rpartition("/")[2]
        made = Folder(up, name, name, mode, MTIME)
        self.folders.append(made)
        return PlaceStep(path, Kind.FOLDER, temp, up, name, made=made)

    def made(self, step: PlaceStep) -> Folder:
        assert step.made is not None
        return step.made

    def waiting(self) -> list[str]:
        return sorted(each.name for each in self.work.iterdir())


class FileTests(PlacerTestCase):
    """Files and links."""

    def test_synced_once(self) -> None:
        """Each run syncs the folders that it has changed itself, once, and none of an earlier run."""
        synced: list[int] = []
        self.patch(final_names, "sync_names", synced.append)
        placer = self.placer(sync=True)
        placer.run([self.file("a"), self.file("b")])
        self.assertEqual([self.root], synced)
        placer.run([])
        self.assertEqual([self.root], synced)

    def test_new(self) -> None:
        """A name that is free is taken; nothing stays in the work folder."""
        receipts = self.run_steps(self.file("a"), self.link("b"))
        self.assertEqual([Receipt("a", "a", 3, "00"), Receipt("b", "b")], receipts)
        self.assertEqual({"a": b"new", "b": "-> somewhere"}, self.there())
        self.assertEqual([], self.waiting())

    def test_rename(self) -> None:
        """Where that is wanted, a name that is taken gets a number; that is written down before it is done."""
        (self.inbox / "a").write_bytes(b"old")
        (self.inbox / "b").symlink_to("nowhere")
        receipts = self.run_steps(self.file("a"), self.link("b"))
        self.assertEqual(["a (1)", "b (1)"], [receipt.name for receipt in receipts])
        self.assertEqual(b"old", (self.inbox / "a").read_bytes())
        self.assertEqual(2, self.changes)

    def test_rename_while_others_do(self) -> None:
        """A name that somebody takes at the last moment isn't taken from them."""
        (self.inbox / "a").write_bytes(b"old")
        placer = self.placer()
        self.on_change = lambda: (self.inbox / "a (1)").write_bytes(b"theirs")
        (receipt,) = placer.run([self.file("a")])
        self.assertEqual("a (2)", receipt.name)
        self.assertEqual(b"theirs", (self.inbox / "a (1)").read_bytes())

    def test_replace(self) -> None:
        """Where that is wanted, what has the name goes; a link goes itself, not what it leads to."""
        (self.top / "outside").write_bytes(b"outside")
        (self.inbox / "a").symlink_to(self.top / "outside")
        (self.inbox / "b").write_bytes(b"old")
        self.run_steps(self.file("a"), self.link("b"), exists="replace")
        self.assertEqual({"a": b"new", "b": "-> somewhere"}, self.there())
        self.assertEqual(b"outside", (self.top / "outside").read_bytes())

    def test_replace_folder(self) -> None:
        """A folder isn't replaced by a file."""
        (self.inbox / "a").mkdir()
        (receipt,) = self.run_steps(self.file("a"), exists="replace")
        self.assertIs(Outcome.REFUSED, receipt.outcome)
        self.assertEqual({"a": {}}, self.there())
        self.assertEqual([], self.waiting())

    def test_refuse(self) -> None:
        """Where that is wanted, what has the name stays, and what came is removed."""
        (self.inbox / "a").write_bytes(b"old")
        (receipt,) = self.run_steps(self.file("a"), exists="refuse")
        self.assertEqual((Outcome.REFUSED, ""), (receipt.outcome, receipt.name))
        self.assertIn("has something of this name already", receipt.reason)
        self.assertEqual({"a": b"old"}, self.there())
        self.assertEqual([], self.waiting())
        self.assertEqual(1, self.changes)

    def test_no_hard_links(self) -> None:
        """On a file system without hard links nothing is replaced either."""
        (self.inbox / "b").write_bytes(b"old")
        (self.inbox / "d").mkdir()
        without(self, "rename", "link")
        receipts = self.run_steps(self.file("a"), self.file("b"), self.folder("d"))
        self.assertEqual(["a", "b (1)", "d (1)"], [receipt.name for receipt in receipts])
        self.assertEqual({"a": b"new", "b": b"old", "b (1)": b"new", "d": {}, "d (1)": {}}, self.there())
        self.assertEqual([], self.waiting())

    def test_other_disk(self) -> None:
        """What would have to go to another disk, or in the place where one begins, is refused, and all else goes on."""
        for error in (errno.EXDEV, errno.EBUSY):
            repair = fail(self, "replace", error, when=lambda temp, final, **more: final == "a")
            receipts = self.run_steps(self.file("a"), self.file("b"), exists="replace")
            self.assertEqual([Outcome.REFUSED, Outcome.OK], [receipt.outcome for receipt in receipts])
            self.assertIn(os.strerror(error), receipts[0].reason)
            self.assertEqual([], self.waiting())
            repair()

    def test_lost(self) -> None:
        """What isn't in the work folder at the first time is lost, and that is told under each policy."""
        policies: list[Exists] = ["rename", "replace", "refuse"]
        for exists in policies:
            for step in (self.file("a"), self.folder("b")):
                path = self.work / step.temp
                path.rmdir() if path.is_dir() else path.unlink()
                (receipt,) = self.run_steps(step, exists=exists)
                self.assertIs(Outcome.REFUSED, receipt.outcome)
                self.assertIn("No such file", receipt.reason)
        self.assertEqual({}, self.there())

    def test_again(self) -> None:
        """What a crash came in the middle of is done again, and nothing is there twice."""
        (self.inbox / "c").write_bytes(b"old")
        policies: list[Exists] = ["rename", "replace", "refuse"]
        for exists in policies:
            half, done = self.file("b"), self.file("a")
            (self.work / done.temp).rename(self.inbox / "a")
            (self.inbox / "b").unlink(missing_ok=True)
            (self.inbox / "b").hardlink_to(self.work / half.temp)
            receipts = self.run_steps(done, half, exists=exists, again=True)
            self.assertEqual(["a", "b"], [receipt.name for receipt in receipts])
            self.assertEqual({"a": b"new", "b": b"new", "c": b"old"}, self.there())

    def test_refused_already(self) -> None:
        """A step that only records why there is nothing removes what there is of it."""
        step = self.file("a")
        step.outcome, step.reason = Outcome.TRUNCATED, "it changed"
        self.assertEqual([Receipt("a", "", 3, "00", Outcome.TRUNCATED, "it changed")], self.run_steps(step))
        self.assertEqual([], self.waiting())
        self.assertEqual([""], [each.name for each in self.run_steps(step, again=True)])

    def test_one_of_many(self) -> None:
        """A name that the file system doesn't take is refused, and the others go on."""
        receipts = self.run_steps(self.file("a" * 256), self.file("b"))
        self.assertEqual(["", "b"], [receipt.name for receipt in receipts])

    def test_broken(self) -> None:
        """A disk that is full or broken ends it; the same can be done again, whatever the disk can do."""
        for function, lacks, of in (
            ("_rename_new", (), naming),
            ("link", ("rename",), os),
            ("unlink", ("rename",), os),
            ("rename", ("rename", "link"), os),
        ):
            without(self, *lacks)
            steps: list[Step] = [self.file("a"), self.file("b")]
            repair = fail(self, function, errno.ENOSPC, calls=2, of=of)
            self.assertRaises(OSError, self.run_steps, *steps)
            repair()
            self.assertEqual(["a", "b"], [receipt.name for receipt in self.run_steps(*steps, again=True)])
            for name in ("a", "b"):
                (self.inbox / name).unlink()

    def test_sync(self) -> None:
        """Each folder that was changed is synced once."""
        synced: list[str] = []
        self.patch(os, "fsync", lambda file: synced.append(str(Path(f"/proc/self/fd/{file}").readlink())))
        top = self.folder("d")
        steps: list[Step] = [
            self.file("a"),
            self.file("b"),
            top,
            self.file("d/c", folder=top.made),
            Close(self.made(top)),
        ]
        self.placer(sync=True).run(steps)
        self.assertEqual([str(self.inbox / "d"), str(self.inbox)], synced)

    def test_sync_again(self) -> None:
        """After a crash, folders are synced even if all is in its place: it may have come just before that."""
        top = self.folder("d")
        steps = [self.file("a"), top, self.file("d/b", folder=top.made)]
        self.run_steps(*steps)
        calls = watched(self, "fsync")
        self.placer(sync=True).run(steps, again=True)
        self.assertEqual({("fsync", self.root), ("fsync", self.made(top).file)}, {*calls})

    def test_taken_while_moved(self) -> None:
        """A name that is taken and given back at the same moment is no reason to lose anything."""
        policies: list[tuple[Exists, str]] = [("rename", "a"), ("refuse", "")]
        for exists, name in policies:
            repair = fail(self, "_rename_new", errno.EEXIST, of=naming, when=lambda *rest: not self.changes)
            (receipt,) = self.placer(exists).run([self.file("a")])
            self.assertEqual(name, receipt.name)
            self.assertEqual([], self.waiting())
            repair()
            self.changes = 0


class FolderTests(PlacerTestCase):
    def test_new(self) -> None:
        """A folder gets what is in it, and in the end its time and its mode, but is never closed to its owner."""
        top = self.folder("d", mode=0)
        inner = self.folder("d/e", top.made, mode=0o750)
        inside = self.file("d/e/a", folder=inner.made)
        receipts = self.run_steps(top, inner, inside, Close(self.made(inner)), Close(self.made(top)))
        self.assertEqual(["d", "d/e", "d/e/a"], [receipt.name for receipt in receipts])
        self.assertEqual({"d": {"e": {"a": b"new"}}}, self.there())
        for path, mode in ((self.inbox / "d", 0o700), (self.inbox / "d" / "e", 0o750)):
            status = path.stat()
            self.assertEqual((mode, MTIME), (stat.S_IMODE(status.st_mode), status.st_mtime_ns))

    def test_rename(self) -> None:
        """A folder whose name is taken gets a number, and what is in it goes along."""
        (self.inbox / "d").mkdir()
        top = self.folder("d")
        receipts = self.run_steps(top, self.file("d/a", folder=top.made))
        self.assertEqual(["d (1)", "d (1)/a"], [receipt.name for receipt in receipts])
        self.assertEqual({"d": {}, "d (1)": {"a": b"new"}}, self.there())

    def test_replace(self) -> None:
        """A folder that is to replace one goes into it: what is in both is replaced, all else stays."""
        (self.inbox / "d").mkdir()
        (self.inbox / "d" / "a").write_bytes(b"old")
        (self.inbox / "d" / "b").write_bytes(b"old")
        top = self.folder("d")
        self.run_steps(top, self.file("d/a", folder=top.made), exists="replace")
        self.assertEqual({"d": {"a": b"new", "b": b"old"}}, self.there())

    def test_replace_link(self) -> None:
        """A link to a folder is no folder: nothing goes through it."""
        outside = self.top / "outside"
        outside.mkdir()
        (self.inbox / "d").symlink_to(outside)
        top = self.folder("d")
        receipts = self.run_steps(top, self.file("d/a", folder=top.made), Close(self.made(top)), exists="replace")
        self.assertEqual([Outcome.REFUSED] * 2, [receipt.outcome for receipt in receipts])
        self.assertEqual({}, contents(outside))

    def test_refused(self) -> None:
        """What is in a folder that isn't taken isn't taken either, at any depth."""
        (self.inbox / "d").mkdir()
        top = self.folder("d")
        inner = self.folder("d/e", top.made)
        steps: list[Step] = [
            top,
            inner,
            self.file("d/e/a", folder=inner.made),
            Close(self.made(inner)),
            Close(self.made(top)),
        ]
        receipts = self.run_steps(*steps, exists="refuse")
        self.assertEqual([Outcome.REFUSED] * 3, [receipt.outcome for receipt in receipts])
        self.assertIn("its folder 'd/e' wasn't taken", receipts[2].reason)
        self.assertEqual({"d": {}}, self.there())
        self.assertEqual([], self.waiting())

    def test_swapped(self) -> None:
        """A folder that was swapped for a link meanwhile isn't followed."""
        outside = self.top / "outside"
        outside.mkdir()
        top = self.folder("d")
        self.run_steps(top)
        os.close(self.made(top).file)
        self.made(top).file = -1
        (self.inbox / "d").rmdir()
        (self.inbox / "d").symlink_to(outside)
        inside, closed = self.run_steps(self.file("d/a", folder=top.made), Close(self.made(top)))
        self.assertEqual([Outcome.REFUSED] * 2, [inside.outcome, closed.outcome])
        self.assertEqual({}, contents(outside))

    def test_removed(self) -> None:
        """If a folder is gone when its mode is to be set, that is told by the name that the sender knows."""
        (self.inbox / "d").mkdir()
        top = self.folder("d")
        inner = self.folder("d/e", top.made)
        self.run_steps(top, inner)
        os.close(self.made(inner).file)
        self.made(inner).file = -1
        (self.inbox / "d (1)" / "e").rmdir()
        (receipt,) = self.run_steps(Close(self.made(inner)))
        self.assertEqual(("d/e", "d (1)/e", Outcome.REFUSED), (receipt.path, receipt.name, receipt.outcome))
        self.assertIn("can't be set", receipt.reason)

    def test_again(self) -> None:
        """Folders that a crash came in the middle of are done again."""
        (self.inbox / "d").mkdir()
        top = self.folder("d")
        inside, waits = self.file("d/a", folder=top.made), self.file("d/b", folder=top.made)
        self.run_steps(top, inside)
        os.close(self.made(top).file)
        self.made(top).file = -1
        receipts = self.run_steps(top, inside, waits, Close(self.made(top)), again=True)
        self.assertEqual(["d (1)", "d (1)/a", "d (1)/b"], [receipt.name for receipt in receipts])
        self.assertEqual({"d": {}, "d (1)": {"a": b"new", "b": b"new"}}, self.there())

    def test_again_keeps_owner_out(self) -> None:
        """A folder whose mode keeps its owner out can't be opened a second time, and needn't be."""
        top = self.folder("d", mode=0o300)
        inside = self.file("d/a", folder=top.made)
        self.run_steps(top, inside, Close(self.made(top)))
        fail(self, "open", errno.EACCES, when=lambda name, *rest, **more: name == "d")
        receipts = self.run_steps(top, inside, Close(self.made(top)), again=True)
        self.assertEqual(["d", "d/a"], [receipt.name for receipt in receipts])
        (receipt,) = self.run_steps(Close(self.made(top)))
        self.assertIn("Permission denied", receipt.reason)

    def test_close_fails(self) -> None:
        """If the disk fails when a folder's mode is set, its descriptor isn't left open."""
        for function in ("utime", "fchmod", "fsync"):
            top = self.folder(function)
            placer = self.placer(sync=True)
            placer.run([top])
            repair = fail(self, function)
            self.assertRaises(OSError, placer.run, [Close(self.made(top))])
            repair()
            self.assertEqual(-1, self.made(top).file)
        fail(self, "open")
        self.assertRaises(OSError, placer.run, [Close(self.made(top))])

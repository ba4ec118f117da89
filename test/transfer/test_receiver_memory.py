"""What a transfer has brought and what still waits for its place, when disks fail and machines go off."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange import naming
from p2p.transfer import partial, receiver_memory
from p2p.transfer.receiving import ReceivingEngine
from p2p.transfer.records import Buffer, Have
from p2p.transfer.walking import Totals
from test.descriptors import open_files
from test.transfer.arrivals import (
    ID,
    ReceivingTestCase,
    begun,
    chunk,
    end,
    fail,
    file,
    folder,
    gave_up,
    link,
    without,
)
from test.transfer.sources import new_ctime

OTHER = "fedcba9876543210"
LARGE = bytes(range(20))
WHOLE: Any = {"d": {"a": b"1", "l": "-> a", "z": LARGE}, "e": b"2"}

CALLS: tuple[str, ...] = ("open", "mkdir", "symlink", "link", "rename", "unlink", "write", "writev", "utime", "fchmod")
CALLS += ("fsync", "fdatasync", "fstat", "rmdir", "scandir", "pread", "ftruncate", "lseek", "stat")
"""What is asked of a disk: each may fail, and at each the machine may go off. ``_rename_new`` is one more."""


def sent(have: Have) -> list[list[Buffer]]:
    """The records of a transfer from where a receiver is."""
    offset = have.offset if have.partial == "d/z" else 0
    records = [folder("d"), file("d/a", b"1"), link("d/l", "a"), file("d/z", LARGE, offset=offset), file("e", b"2")]
    return [*records[have.entries :], end(5)]


STATUS = os.stat  # never one that fails


class Off(Exception):
    """The machine goes off."""


def off(*arguments: Any) -> None:
    raise Off


def broken(*arguments: Any) -> None:
    raise OSError(errno.EIO, "broken")


class SettlingTestCase(ReceivingTestCase):
    """Chunks of 8 bytes."""

    def setUp(self) -> None:
        super().setUp()
        self.chunks_of(8)
        self.patch(partial, "SYNC_EVERY", 2)
        self.noted: set[str] = set()
        self.synced: dict[int, int] = {}

    def session(self, transfer_id: str = ID) -> None:
        """One session of the transfer, to its end if nothing comes between."""

        def note(totals: Totals) -> None:
            self.assertEqual(Totals(5, 22, 0), totals)
            self.noted.add(transfer_id)

        engine = ReceivingEngine(self.inbox, transfer_id)
        try:
            have = engine.have()
            if have == Have() and transfer_id in self.noted:
                engine.abandon()
                return
            self.fed(engine, *sent(have))
            engine.finish(note)
        except Off:
            engine._close()
            raise
        finally:
            engine.suspend()

    @contextmanager
    def before_calls(self, do: Callable[..., object] = lambda *call: None) -> Iterator[None]:
        """Have something done before each call of the system. Nothing is really synced, but remembered as such."""
        patches: list[Any] = []

        def watch(of: Any, name: str) -> None:
            original = getattr(of, name)

            def called(*arguments: Any, **more: Any) -> Any:
                do(name, *arguments)
                if name not in ("fsync", "fdatasync"):
                    return original(*arguments, **more)
                status = STATUS(arguments[0])
                self.synced[status.st_ino] = status.st_size
                return None

            patches.append(self.patch(of, name, called))

        for each in CALLS:
            watch(os, each)
        watch(naming, "_rename_new")

        try:
            yield
        finally:
            for patch in patches:
                patch.restore()

    def forget(self, file: int | Path) -> None:
        """What was never synced of a file turns out to be zeros."""
        status = STATUS(file)
        synced = self.synced.get(status.st_ino, 0)
        if stat.S_ISREG(status.st_mode) and synced < status.st_size:
            copy = os.open(file if isinstance(file, Path) else f"/proc/self/fd/{file}", os.O_WRONLY)
            os.pwrite(copy, bytes(status.st_size - synced), synced)
            os.close(copy)

    def assert_nothing_partial(self) -> None:
        """Whatever has its final name is complete."""
        there = self.there()
        for name, expected in {**WHOLE["d"], "e": WHOLE["e"]}.items():
            where = there if name == "e" else there.get("d", {})
            self.assertEqual(expected, where.get(name, expected))

    def clean(self) -> None:
        for path in list(self.inbox.iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.noted.clear()


class EveryCallTests(SettlingTestCase):
    """Each call of the system in turn is the one at which something happens."""

    def each_call(
        self,
        fail: Callable[..., object],
        *,
        at: Sequence[str] = (),
        once: bool = False,
        after: Callable[[], object] = lambda: None,
        least: int = 50,
    ) -> None:
        """One of its calls, or each from that one on, fails a session; the next brings the whole to its end."""
        told = 0
        for number in range(1000):
            left = number

            def call(name: str, *arguments: Any) -> None:
                nonlocal left
                left -= not at or name in at
                if left == -1 or (left < 0 and not once):
                    left -= 1
                    fail(*arguments)

            try:
                with self.before_calls(call):
                    self.session()
            except ExchangeFailed as error:
                self.assertIs(Outcome.REFUSED, error.outcome)
                told += 1
            except Off:
                told += 1
            self.assertEqual([], open_files(self.top), number)
            if told == number:
                self.assertGreater(number, least)
                self.assertEqual(WHOLE, self.there())
                return
            after()
            self.assert_nothing_partial()
            with self.before_calls():
                self.session()
            self.assertEqual(WHOLE, self.there(), number)
            self.assertFalse(self.work.exists())
            self.clean()
        self.fail("it never comes to its end")

    def test_off(self) -> None:
        """The machine goes off: nothing is lost, and nothing is there twice."""
        self.each_call(off)

    def test_off_old_disk(self) -> None:
        """So it is where files get their names by way of hard links, in two steps."""
        without(self, "rename")
        self.each_call(off)

    def test_power_cut(self) -> None:
        """The power goes off: what wasn't synced is lost, and comes again."""

        def forget_all() -> None:
            for path in self.inbox.rglob("*"):
                if not path.is_symlink():
                    self.forget(path)

        self.each_call(off, after=forget_all)

    def test_broken(self) -> None:
        """The disk fails: that is told, nothing is left open, and when it has been seen to, the transfer goes on."""
        self.each_call(broken)

    def test_broken_once(self) -> None:
        """So it is if the disk fails at one call, and takes the next as if nothing had happened."""
        self.each_call(broken, once=True)

    def test_forgets(self) -> None:
        """A disk that can't sync a file may have lost what it was given since the last time, and says so only once."""

        def forget(file: int) -> None:
            self.forget(file)
            broken()

        self.each_call(forget, at=("fsync", "fdatasync"), once=True, least=10)

    def other_transfer(self, *calls: str) -> None:
        """At each call in turn, another transfer of things with the same names comes and goes."""
        for number in range(1000):
            left = number
            busy = False

            def call(name: str, *arguments: Any) -> None:
                nonlocal left, busy
                if busy or name not in calls or naming._LOCK.locked():
                    return
                left -= 1
                if left < 0:
                    busy = True
                    self.session(OTHER)

            with self.before_calls(call):
                self.session()
            if not busy:
                self.assertGreater(number, 3)
                return
            there = self.there()
            self.assertEqual([WHOLE["d"]] * 2, [there.pop("d"), there.pop("d (1)")], number)
            self.assertEqual({"e": b"2", "e (1)": b"2"}, there, number)
            self.clean()
        self.fail("it never comes to its end")

    def test_other_transfer(self) -> None:
        """Two transfers may bring the same names at the same moment: neither loses anything."""
        self.other_transfer("_rename_new", "fsync")

    def test_other_transfer_old_disk(self) -> None:
        """So it is where a rename can't be told to replace nothing, and where there are no hard links either."""
        without(self, "rename")
        self.other_transfer("link", "stat", "rename")
        without(self, "link")
        self.other_transfer("link", "stat", "rename")


class UncleanEndTests(SettlingTestCase):
    """What wasn't brought to its end in order, or was touched since, is read again before anything follows it."""

    def part(self) -> None:
        """Four chunks of a file have come."""
        self.fed(self.engine(), begun("a", 40), *(chunk(LARGE[8:16]) for _ in range(4)))

    def damage(self, at: int) -> None:
        """Another program, or a power cut, changes a byte of the part."""
        path = self.work / "1"
        status = path.stat()
        with path.open("r+b") as part:
            part.seek(at)
            part.write(b"?")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        new_ctime(path)

    def found(self) -> int:
        """How much the next session has; what follows then is verified."""
        engine = self.engine(fresh=False)
        offset = engine.have().offset
        data = LARGE[8:16] * 5
        self.fed(engine, file("a", data, offset=offset), end(1))
        engine.finish()
        self.assertEqual({"a": data}, self.there())
        (self.inbox / "a").unlink()
        return offset

    def test_altered(self) -> None:
        """A part that another program changed while the transfer was paused ends up as what was sent."""
        for at in (0, 8, 20, 31):
            self.part()
            self.engines[-1].suspend()
            self.damage(at)
            self.assertEqual(at // 8 * 8, self.found())

    def test_power_cut(self) -> None:
        """What wasn't written when the power went off comes again, wherever it is missing."""
        for at in (0, 8, 20, 31):
            self.part()
            self.engines[-1]._close()
            self.damage(at)
            self.assertEqual(at // 8 * 8, self.found())

    def test_altered_between(self) -> None:
        """What is changed after a receiver has said what it has isn't built upon either."""
        self.part()
        self.engines[-1].suspend()
        engine = self.engine(fresh=False)
        self.assertEqual(32, engine.have().offset)
        self.damage(8)
        self.assertIn("another program", self.refused(Outcome.RESET, self.fed, engine, begun("a", 40, offset=32)))
        engine.suspend()
        self.assertEqual(8, self.found())

    def test_read_once(self) -> None:
        """After a clean end only the last chunk is read, after an unclean one all, and only once."""
        read: list[int] = []
        original = os.pread

        def pread(file: int, length: int, at: int) -> bytes:
            if length == 8:
                read.append(at // 8)
            return original(file, length, at)

        self.part()
        self.engines[-1].suspend()
        self.patch(os, "pread", pread)
        for expected in ([3], [0, 1, 2, 3], [3]):
            engine = self.engine(fresh=False)
            read.clear()
            self.assertEqual(32, engine.have().offset)
            self.assertEqual(expected, read)
            if expected == [3]:
                new_ctime(self.work / "1")
            engine._close()

    def test_earlier_version(self) -> None:
        """What an earlier version left is taken up: since it noted nothing of the part, all of it is read."""
        self.part()
        self.engines[-1].suspend()
        state = json.loads((self.work / "state.json").read_bytes())
        del state["partial"]["marks"]
        state["partial"]["synced"] = 4
        state["boot"] = "1"
        (self.work / "state.json").write_text(json.dumps(state))
        self.damage(20)
        self.assertEqual(16, self.found())

    def test_stopped(self) -> None:
        """Reading it again ends when the session is given up, and the next session does it."""
        self.part()
        self.engines[-1]._close()
        engine = self.engine(fresh=False)
        engine.stop()
        self.refused(Outcome.RESET, engine.have)
        engine.suspend()
        self.assertEqual(32, self.found())


class SettlingTests(SettlingTestCase):
    """Groups, and what is left of them."""

    def test_end_not_synced(self) -> None:
        """If a large file can't be brought to the disk at its very end, what was synced of it stays."""
        engine = self.engine()
        repair = fail(self, "fsync", errno.ENOSPC, when=lambda file: os.fstat(file).st_size == len(LARGE))
        reason = self.refused(Outcome.REFUSED, self.fed, engine, file("a", LARGE), file("b", LARGE))
        self.assertIn("full", reason)
        engine.suspend()
        repair()
        self.assertEqual(Have(None, "a", 16, 0, 0), self.engine(fresh=False).have())

    def test_removed_halfway(self) -> None:
        """What was to be moved and was removed instead never counts as moved, if the machine goes off meanwhile."""
        engine = self.engine()
        repair = fail(self, "_rename_new", errno.EIO, of=naming)
        self.refused(Outcome.REFUSED, self.fed, engine, file("a", b"12345678"), file("b", b"12345678"))
        repair()
        repair = fail(self, "unlink", errno.EIO, calls=2)
        self.refused(Outcome.REFUSED, engine.abandon)
        repair()
        self.assertEqual(Have(), self.engine(fresh=False).have())
        self.assertEqual({}, self.there())

    def test_group(self) -> None:
        """However many small files come, only so many wait for their places, each with a descriptor."""
        self.patch(receiver_memory, "GROUP_ENTRIES", 3)
        engine = self.engine()
        most = 0
        for number in range(10):
            self.fed(engine, file(f"{number}"))
            most = max(most, len(open_files(self.work)))
        self.assertEqual(4, most)  # one is the work folder itself
        self.fed(engine, end(10))
        self.assertEqual(Totals(10, 0, 0), engine.finish()[1])

    def test_written_down_first(self) -> None:
        """What is about to be done is on the disk, with the name of its file, before the first of it is done."""
        engine = self.engine()
        done: list[str] = []
        fsync, rename, place = os.fsync, os.rename, naming._rename_new

        def synced(file: int) -> None:
            fsync(file)
            if os.path.samestat(os.fstat(file), self.work.stat()):
                done.append("names synced")

        def renamed(name: Any, new: Any, **more: Any) -> None:
            rename(name, new, **more)
            done.append(f"{new} written")

        def placed(*arguments: Any) -> None:
            place(*arguments)
            done.append("placed")

        self.patch(os, "fsync", synced)
        self.patch(os, "rename", renamed)
        self.patch(naming, "_rename_new", placed)
        self.fed(engine, file("a", b"12345678"), file("b", b"12345678"))
        (first,) = [index for index, one in enumerate(done) if one == "placed"][:1]
        self.assertEqual(["names synced", "state.json written", "names synced", "placed"], done[first - 3 : first + 1])

    def test_nothing(self) -> None:
        """A session in which nothing came leaves nothing; one in which something came leaves what it brought."""
        self.engine().suspend()
        self.assertFalse(self.work.exists())
        engine = self.engine()
        self.fed(engine, folder("d"), begun("d/a", 3))
        engine.suspend()
        self.assertEqual({"d": {}}, self.there())
        self.assertEqual(Have("d", None, 0, 1, 0), self.engine(fresh=False).have())

    def test_owed(self) -> None:
        """What became of entries is told to the next session, if this one can't tell it any more."""
        engine = self.engine()
        self.fed(engine, file("a"), gave_up("b", "no"))
        engine.suspend()
        engine = self.engine()
        self.assertEqual(["a", "b", "c"], [receipt.path for receipt in self.fed(engine, file("c"), begun("d", 20))])

    def test_not_opened(self) -> None:
        """A work folder that can't be opened leaves the folder that it is in closed."""
        self.work.symlink_to(self.top)
        self.refused(Outcome.REFUSED, self.engine)
        self.assertEqual([], open_files(self.top))

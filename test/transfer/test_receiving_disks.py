"""The receiving side of a transfer: files that go on, names that are taken, disks that are full or broken."""

from __future__ import annotations

import errno
import os
import shutil
from typing import Any

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange import naming
from p2p.transfer.final_names import FAR_AWAY, GREW
from p2p.transfer.receiving import ReceivingEngine
from p2p.transfer.records import FAR_TIME, Entry, Have, Kind, encode_end, encode_entry, encode_gave_up
from p2p.transfer.tree import CHUNK
from p2p.transfer.walking import Totals
from test.descriptors import open_files
from test.transfer.arrivals import (
    ID,
    MTIME,
    ReceivingTestCase,
    begun,
    chunk,
    contents,
    end,
    ended,
    fail,
    file,
    folder,
    link,
    without,
)


class GoesOnTests(ReceivingTestCase):
    """Files that go on where an earlier session has left them."""

    def setUp(self) -> None:
        super().setUp()
        self.chunks_of(8)
        self.fed(self.engine(), begun("a", 20), chunk(b"12345678"))
        self.engines[-1].suspend()

    def test_changed(self) -> None:
        """A file whose size or time is another than before begins anew, at once."""
        for size, mtime in ((21, MTIME), (20, MTIME + 1)):
            engine = self.engine(fresh=False)
            self.assertEqual(Have(None, "a", 8, 0, 0), engine.have())
            self.assertIn(
                "begins anew", self.refused(Outcome.RESET, self.fed, engine, begun("a", size, mtime=mtime, offset=8))
            )
            engine.suspend()
            self.assertEqual(Have(), self.engine().have())
            self.fed(self.engines[-1], begun("a", 20), chunk(b"12345678"))
            self.engines[-1].suspend()

    def test_not_the_same(self) -> None:
        """If both parts are no whole, it begins anew: which of them isn't what was sent can't be told."""
        engine = self.engine()
        records = [*begun("a", 20, offset=8), *chunk(b"abcdefgh"), *chunk(b"ijkl"), *ended(b"x" * 8 + b"abcdefghijkl")]
        self.assertIn("begins anew", self.refused(Outcome.RESET, self.fed, engine, records))
        engine.suspend()
        self.assertEqual({}, self.there())
        self.assertEqual(Have(), self.engine(fresh=False).have())

    def test_restarted(self) -> None:
        """A file that the sender begins anew is known; one that goes on, or of which there was nothing, isn't it."""
        engine = self.engine(fresh=False)
        self.assertEqual(8, engine.have().offset)
        self.fed(engine, file("a", b"12345678abcdefgh1234", offset=8), file("b", bytes(20)), end(2))
        engine.finish()
        self.assertEqual([], engine.restarted)
        self.fed(self.engine(), begun("c", 20), chunk(b"12345678"))
        self.engines[-1].suspend()
        engine = self.engine()
        self.fed(engine, file("c", bytes(20)), end(1))
        self.assertEqual(["c"], engine.restarted)

    def test_passed_over(self) -> None:
        """A sender that has nothing of it any more goes on with what comes after it."""
        engine = self.engine()
        self.fed(engine, file("b", b"1"), end(1))
        engine.finish()
        self.assertEqual({"b": b"1"}, self.there())


class OddTests(ReceivingTestCase):
    """What this file system can't hold is told, and everything else arrives."""

    def test_too_large(self) -> None:
        """A file larger than any can be there is left out, small or large, also when it comes again."""
        self.chunks_of(8)

        def too_large(at: int, what: Any) -> bool:
            return bool(what[0]) and bytes(what[0][:1]) == b"!"

        fail(self, "writev", errno.EFBIG, when=too_large)
        small, large = b"!234", b"1234567812345678!2345678123"
        for first in ([], [begun("b", len(large)), chunk(large[:8]), chunk(large[8:16])]):
            self.fed(self.engine(), *first)
            self.engines[-1].suspend()
            engine = self.engine(fresh=False)
            engine.have()
            offset = 8 if first else 0
            receipts = self.fed(engine, file("b", large, offset=offset), file("a", small), file("c", b"1"), end(3))
            last, totals = engine.finish()
            told = {receipt.path: (receipt.outcome, receipt.reason) for receipt in (*receipts, *last)}
            refused = (Outcome.REFUSED, "the receiver's file system has no files that large")
            self.assertEqual({"a": refused, "b": refused, "c": (Outcome.OK, "")}, told)
            self.assertEqual((Totals(3, 1, 2), {"c": b"1"}), (totals, self.there()))
            (self.inbox / "c").unlink()

    def test_times_and_modes(self) -> None:
        """Where neither times nor modes can be set, files are there all the same."""
        fail(self, "utime", errno.EPERM, when=lambda name, **more: isinstance(name, int))
        receipts = self.received(folder("d"), file("d/a", b"1"), file("b", b"2"), end(3))
        self.assertEqual({"d": {"a": b"1"}, "b": b"2"}, self.there())
        self.assertEqual(Outcome.OK, receipts["b"].outcome)
        self.assertIn("its time and mode can't be set there", receipts["b"].note)

    def test_far_time(self) -> None:
        """An entry whose time was too far away to be sent has the nearest one, and that is told."""
        receipts = self.received(
            folder("d", mtime=FAR_TIME), file("d/a", b"1", mtime=-FAR_TIME - 9), file("b", b"2", mtime=-5), end(3)
        )
        self.assertEqual({"d": {"a": b"1"}, "b": b"2"}, self.there())
        self.assertEqual([FAR_AWAY, FAR_AWAY, ""], [receipts[name].note for name in ("d", "d/a", "b")])
        self.assertEqual({Outcome.OK}, {receipt.outcome for receipt in receipts.values()})

    def test_links(self) -> None:
        """Where there are no links, they are left out."""
        fail(self, "symlink", errno.EOPNOTSUPP)
        receipts = self.received(link("l", "x"), file("b", b"2"), end(2))
        self.assertEqual((Outcome.REFUSED, {"b": b"2"}), (receipts["l"].outcome, self.there()))


class GrewTests(ReceivingTestCase):
    """Of a file that grew while it was sent the receipt says so."""

    def test_told(self) -> None:
        """Whichever record says it, it is of the file before; nothing of it is said of others."""
        grown = encode_entry(Entry("b", Kind.FILE, 0o644, MTIME, 1, grew=True))
        for size in (3, 20):
            for after, count in (
                ([*grown, *chunk(b"1"), *ended(b"1"), *end(2)], 2),
                ([*encode_entry(Entry("b", Kind.FOLDER, 0o755, MTIME, grew=True)), *end(2)], 2),
                ([*encode_gave_up("b", "no", grew=True), *end(2)], 2),
                (encode_end(1, size, grew=True), 1),
            ):
                self.chunks_of(8)
                receipts = self.received(file("a", bytes(size)), after)
                self.assertEqual((GREW, Outcome.OK, count), (receipts["a"].note, receipts["a"].outcome, len(receipts)))
                if count == 2:
                    self.assertEqual("", receipts["b"].note)
                shutil.rmtree(self.inbox)
                self.inbox.mkdir()

    def test_kept(self) -> None:
        """It is told also if a crash comes between."""
        engine = self.engine()
        repair = fail(self, "_rename_new", errno.EIO, of=naming)
        self.fed(engine, file("a", b"123"), encode_end(1, 3, grew=True))
        self.refused(Outcome.REFUSED, engine.finish)
        engine.suspend()
        repair()
        engine = self.engine()
        (receipt,) = self.fed(engine, end(1))
        self.assertEqual(GREW, receipt.note)

    def test_of_nothing(self) -> None:
        """Said of no file, it means nothing."""
        self.assertEqual({}, self.received(encode_end(0, 0, grew=True)))


class ExistsTests(ReceivingTestCase):
    """Names that are taken."""

    def test_policies(self) -> None:
        """What is there stays, goes, or keeps what comes out, as was wanted."""
        new = (folder("d"), file("d/a", b"new"), file("f", b"new"), link("l", "d"), end(4))
        old: dict[str, Any] = {"d": {"a": b"old"}, "f": b"old", "l": "-> f"}
        for exists, expected in {
            "refuse": old,
            "rename": {**old, "d (1)": {"a": b"new"}, "f (1)": b"new", "l (1)": "-> d"},
            "replace": {"d": {"a": b"new"}, "f": b"new", "l": "-> d"},
        }.items():
            for each in list(self.inbox.iterdir()):
                shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
            (self.inbox / "d").mkdir()
            (self.inbox / "d" / "a").write_bytes(b"old")
            (self.inbox / "f").write_bytes(b"old")
            (self.inbox / "l").symlink_to("f")
            receipts = self.received(*new, exists=exists)
            self.assertEqual(expected, self.there())
            refused = [Outcome.REFUSED if exists == "refuse" else Outcome.OK] * 4
            self.assertEqual(refused, [receipt.outcome for receipt in receipts.values()])

    def test_folder_refused(self) -> None:
        """What is in a folder that wasn't taken isn't taken either, small or large, and all else is."""
        self.chunks_of(8)
        (self.inbox / "d").mkdir()
        engine = self.engine(exists="refuse")
        receipts = self.fed(
            engine, folder("d"), file("d/a", bytes(20)), folder("d/e"), file("d/e/b", b"1"), file("d/e/c", bytes(9)),
            file("g", b"2"), end(6),
        )  # fmt: skip
        last, totals = engine.finish()
        self.assertEqual(Totals(6, 1, 5), totals)
        reasons = [receipt.reason for receipt in (*receipts, *last)]
        self.assertIn("has something of this name already", reasons[0])
        self.assertEqual(["its folder 'd' wasn't taken"] * 2, reasons[1:3])
        self.assertEqual(["its folder 'd/e' wasn't taken"] * 2, reasons[3:5])
        self.assertEqual({"d": {}, "g": b"2"}, self.there())

    def test_old_disk(self) -> None:
        """On a file system that can neither make hard links nor rename without replacing, all goes as elsewhere."""
        without(self, "rename", "link")
        (self.inbox / "a").write_bytes(b"old")
        self.received(folder("d"), file("d/b", b"1"), file("a", b"new"), link("l", "a"), end(4))
        self.assertEqual({"a": b"old", "a (1)": b"new", "d": {"b": b"1"}, "l": "-> a"}, self.there())


class DiskTests(ReceivingTestCase):
    """Disks that are full or broken, inboxes that aren't there."""

    def test_no_folder(self) -> None:
        """Without its folder there is no engine."""
        self.inbox.rmdir()
        self.refused(Outcome.REFUSED, self.engine)

    def test_bad_id(self) -> None:
        """An id that is none is refused."""
        self.refused(Outcome.REFUSED, ReceivingEngine, self.inbox, "../x")

    def test_work_folder_taken(self) -> None:
        """Something else with the name of the work folder stays what it is."""
        self.work.write_bytes(b"x")
        self.refused(Outcome.REFUSED, self.engine)
        self.assertEqual(b"x", self.work.read_bytes())

    def test_second_engine(self) -> None:
        """A second engine for the same transfer is told to come again, and the first one isn't disturbed."""
        first = self.engine()
        self.fed(first, file("a", b"1"))
        self.assertIn("hasn't ended yet", self.refused(Outcome.RESET, self.engine))
        self.fed(first, end(1))
        first.finish()
        self.assertEqual({"a": b"1"}, self.there())

    def test_read_only(self) -> None:
        """An inbox that can't be written to, from the start or from some moment on, is told as such."""
        for error in (errno.EROFS, errno.EACCES):
            repair = fail(self, "mkdir", error)
            self.assertIn(f"inbox: {os.strerror(error)}", self.refused(Outcome.REFUSED, self.engine))
            repair()
        engine = self.engine()
        self.fed(engine, file("a", b"1"), end(1))
        repair = fail(self, "_rename_new", errno.EROFS, of=naming)
        self.assertIn("Read-only", self.refused(Outcome.REFUSED, engine.finish))
        engine.suspend()
        repair()
        engine = self.engine(fresh=False)
        self.assertEqual(Have("a", None, 0, 1, 1), engine.have())
        self.assertEqual({"a": b"1"}, self.there())

    def test_memory_damaged(self) -> None:
        """What can't be made sense of is told with what to do about it, and isn't written over."""
        self.fed(self.engine(), file("a", b"1"))
        self.engines[-1].suspend()
        (self.work / "state.json").write_bytes(b"{")
        engine = self.engine(fresh=False)
        self.assertIn(f"remove its folder .p2p-{ID}", self.refused(Outcome.REFUSED, engine.have))
        engine.suspend()
        self.assertEqual(b"{", (self.work / "state.json").read_bytes())

    def test_linked_inbox(self) -> None:
        """The inbox itself may be a link; its owner has made it."""
        other = self.top / "other"
        other.symlink_to(self.inbox)
        engine = ReceivingEngine(other, ID)
        self.engines.append(engine)
        engine.have()
        self.fed(engine, file("a", b"1"), end(1))
        engine.finish()
        self.assertEqual({"a": b"1"}, self.there())

    def test_full(self) -> None:
        """A full disk is told as such; what came before goes on from there, and nothing else has a name."""
        for size in (5, 30):
            for calls in (1, 2):
                self.chunks_of(8)
                engine = self.engine()
                self.fed(engine, file("a", b"1"))
                repair = fail(self, "writev", errno.ENOSPC, when=lambda at, what: len(what[0]) < 9, calls=calls)
                coming = (file("b", bytes(size)), file("c", b"123456"))
                self.assertIn("full", self.refused(Outcome.REFUSED, self.fed, engine, *coming))
                engine.suspend()
                repair()
                engine = self.engine(fresh=False)
                have = engine.have()
                data = bytes(size)
                offset = have.offset if have.partial == "b" else 0
                later = [file("a", b"1"), file("b", data, offset=offset), file("c", b"123456"), end(3)]
                self.fed(engine, *later[have.entries :])
                engine.finish()
                self.assertEqual({"a": b"1", "b": data, "c": b"123456"}, self.there())
                for each in self.inbox.iterdir():
                    each.unlink()

    def test_room(self) -> None:
        """Before anything is written it is asked for its room; where there is none, what came stays for later."""
        self.chunks_of(8)
        asked: list[tuple[int, int]] = []

        def room(size: int, entries: int) -> None:
            asked.append((size, entries))
            if len(asked) > 6:
                raise ExchangeFailed(Outcome.REFUSED, "the quota is used up")

        engine = self.engine(room=room)
        records = (folder("a", mode=0), link("a/l", "é" * 4), file("a/e"), file("b", bytes(20)))
        self.assertIn("quota", self.refused(Outcome.REFUSED, self.fed, engine, *records))
        self.assertEqual([(0, 1), (8, 1), (0, 1), (0, 1), (8, 0), (8, 0), (4, 0)], asked)
        engine.suspend()
        asked.clear()
        engine = self.engine(room=room, fresh=False)
        self.assertEqual(16, engine.have().offset)
        self.fed(engine, begun("b", 20, offset=16))
        self.assertEqual([], asked)

    def test_crash_without_a_word(self) -> None:
        """A fault of our own leaves nothing open either."""
        engine = self.engine()
        self.patch(os, "fsync", lambda each: 1 // 0)
        self.assertRaises(ZeroDivisionError, self.fed, engine, file("a", bytes(CHUNK)), file("b", bytes(CHUNK)))
        self.assertRaises(ZeroDivisionError, engine.suspend)
        self.assertEqual([], open_files(self.top))

    def test_abandon_fails(self) -> None:
        """If what isn't finished can't be removed, that is told, and nothing is left open."""
        engine = self.engine()
        self.fed(engine, begun("a", 3))
        repair = fail(self, "unlink")
        self.refused(Outcome.REFUSED, engine.abandon)
        repair()
        self.assertEqual([], open_files(self.top))

    def test_abandon(self) -> None:
        """What is given up leaves nothing, whatever was under way."""
        self.chunks_of(8)
        for records in ([], [folder("d"), begun("d/a", 3)], [begun("a", 20), chunk(b"12345678")], [link("l", "x")]):
            engine = self.engine()
            self.fed(engine, *records)
            engine.abandon()
            self.assertFalse(self.work.exists())
            self.assertEqual({}, self.there())

    def test_after_its_end(self) -> None:
        """Once it has ended, nothing touches a descriptor that may be somebody else's by now."""
        engine = self.engine()
        self.fed(engine, end(0))
        engine.finish()
        (self.top / "other").mkdir()
        (self.top / "other" / "1").write_bytes(b"x")
        others = [os.open(self.top / "other", os.O_RDONLY) for _ in range(4)]
        engine.suspend()
        engine.abandon()
        for each in others:
            os.close(each)
        self.assertEqual({"1": b"x"}, contents(self.top / "other"))

    def test_truncated(self) -> None:
        """Without its end it isn't complete, and neither if that came in part."""
        engine = self.engine()
        self.refused(Outcome.TRUNCATED, engine.finish)
        self.fed(engine, file("a", b"1"))
        self.refused(Outcome.TRUNCATED, engine.finish)
        self.fed(engine, end(1))
        self.fed(engine, [b"E"])
        self.refused(Outcome.TRUNCATED, engine.finish)

"""The receiving side of a transfer: what it makes of the records of senders, honest ones and others."""

from __future__ import annotations

import errno
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.base.values import Exists
from p2p.transfer import partial
from p2p.transfer.receiving import ReceivingEngine
from p2p.transfer.records import Buffer, Have, encode_chunk, encode_end_of_file
from p2p.transfer.walking import Totals
from test.descriptors import open_files
from test.properties import PROPERTY
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
    gave_up,
    link,
    watched,
)

NONSENSE: list[Buffer] = [b"?????"]


class WholeTests(ReceivingTestCase):
    """Transfers that come in one go."""

    def test_tree(self) -> None:
        """Folders, files and links arrive as they were sent, folders open to their owner; nothing else stays."""
        receipts = self.received(
            folder("d", mode=0o500),
            folder("d/empty", mode=0o500),
            file("d/f", b"content", mode=0o4750),
            link("d/l", "f"),
            file("e", b"", mode=0o666),
            end(5, 7),
        )
        self.assertEqual({"d": {"empty": {}, "f": b"content", "l": "-> f"}, "e": b""}, self.there())
        self.assertEqual({Outcome.OK}, {receipt.outcome for receipt in receipts.values()})
        self.assertEqual(["d", "d/empty", "d/f", "d/l", "e"], [receipt.name for receipt in receipts.values()])
        for name, mode in (("d", 0o700), ("d/empty", 0o700), ("d/f", 0o750), ("e", 0o666)):
            status = (self.inbox / name).stat()
            self.assertEqual((mode, MTIME), (stat.S_IMODE(status.st_mode), status.st_mtime_ns), name)
        self.assertEqual(MTIME, (self.inbox / "d" / "l").lstat().st_mtime_ns)
        self.assertFalse(self.work.exists())

    def test_before_1970(self) -> None:
        """Times before 1970 and far ahead are times like others."""
        self.received(file("a", mtime=-1_500_000_000), file("b", mtime=4_000_000_000 * 10**9), end(2))
        self.assertEqual(-1_500_000_000, (self.inbox / "a").stat().st_mtime_ns)

    def test_large(self) -> None:
        """Files of many chunks and streams arrive whole."""
        self.chunks_of(8)
        self.received(file("a", bytes(range(100))), file("b", b"12345678" * 2, streamed=True), end(2))
        self.assertEqual({"a": bytes(range(100)), "b": b"12345678" * 2}, self.there())

    def test_cut_small(self) -> None:
        """A chunk may come in more pieces than the system takes at a time."""
        data = bytes(range(256)) * 4096
        stream = memoryview(b"".join(map(bytes, [*file("a", data), *end(1)])))
        engine = self.engine()
        at = 0
        while at < len(stream):
            engine.feed([stream[at : at + 500], stream[at + 500 : at + 501]])
            at += 501
        engine.finish()
        self.assertEqual(data, (self.inbox / "a").read_bytes())

    def test_counts(self) -> None:
        """It is known at each moment how much has come, of the file under way as well; it never goes back."""
        self.chunks_of(8)
        engine = self.engine()
        seen = []
        data = bytes(range(20))
        records = [folder("d"), file("d/f", data), file("g", b"12345"), file("h", b"1234"), end(4)]
        for piece in (piece for record in records for piece in record):
            self.fed(engine, [piece])
            seen.append((engine.done_entries, engine.done_bytes))
        self.assertEqual(sorted(seen), seen)
        self.assertEqual((4, 29), seen[-1])
        self.assertEqual("h", engine.current)
        told: list[Totals] = []
        _, totals = engine.finish(told.append)
        self.assertEqual(([totals], Totals(4, 29, 0)), (told, totals))
        self.assertEqual((4, 29), (engine.done_entries, engine.done_bytes))

    def test_noted_first(self) -> None:
        """Whoever remembers that it is complete does so before the receiver forgets it; else nothing is lost."""
        engine = self.engine()
        self.fed(engine, file("a", b"1"), end(1, 1))

        def note(totals: Totals) -> None:
            self.assertEqual({"a": b"1"}, self.there())
            self.assertTrue(self.work.exists())
            raise OSError(errno.ENOSPC, "full")

        self.refused(Outcome.REFUSED, engine.finish, note)
        engine.suspend()
        engine = self.engine(fresh=False)
        self.assertEqual(Have("a", None, 0, 1, 1), engine.have())
        self.fed(engine, end(1, 1))
        self.assertEqual(Totals(1, 1, 0), engine.finish()[1])
        self.assertFalse(self.work.exists())

    def test_stop(self) -> None:
        """There is nothing that waits, and so nothing to end."""
        engine = self.engine()
        engine.stop()
        self.fed(engine, end(0))
        self.assertEqual(([], Totals(0, 0, 0)), engine.finish())

    def test_synced_parts(self) -> None:
        """A large file is synced now and then while it comes, and that is written down."""
        self.chunks_of(8)
        self.patch(partial, "SYNC_EVERY", 2)
        synced = watched(self, "fdatasync")
        for sync, count in ((False, 0), (True, 4)):
            self.received(file("a", bytes(40)), end(1), sync=sync)
            self.assertEqual(count, len(synced))


class GivenUpTests(ReceivingTestCase):
    """What the sender can't send."""

    def test_alone(self) -> None:
        """What couldn't be begun is counted and told, whatever its path looks like."""
        engine = self.engine()
        receipts = self.fed(engine, gave_up("../x\n\0", "no"), gave_up("d/", ""), end(2))
        last, totals = engine.finish()
        self.assertEqual(Totals(2, 0, 2), totals)
        told = [(each.path, each.name, each.reason, each.outcome) for each in (*receipts, *last)]
        self.assertEqual(("../x\n\0", "", "no", Outcome.REFUSED), told[0])
        self.assertEqual("the sender gave it up", told[1][2])

    def test_halfway(self) -> None:
        """A file that is taken back leaves nothing, small or large."""
        self.chunks_of(8)
        halves = [[*begun(name, size), *chunk(data)] for name, size, data in (("a", 5, b"123"), ("b", 20, b"12345678"))]
        receipts = self.received(halves[0], gave_up("a"), halves[1], gave_up("b"), file("c", b"1"), end(3))
        self.assertEqual([3, 8, 1], [receipt.size for receipt in receipts.values()])
        outcomes = [receipt.outcome for receipt in receipts.values()]
        self.assertEqual([Outcome.TRUNCATED, Outcome.TRUNCATED, Outcome.OK], outcomes)
        self.assertEqual({"c": b"1"}, self.there())

    def test_of_one_not_taken(self) -> None:
        """A file that wasn't taken may be given up as well."""
        receipts = self.received(begun("../a", 100), gave_up("../a"), end(1))
        self.assertIs(Outcome.TRUNCATED, receipts["../a"].outcome)


class HostileTests(ReceivingTestCase):
    """Nothing that is sent does harm."""

    def corrupt(self, *records: Any, **options: Any) -> str:
        engine = self.engine(**options)
        reason = self.refused(Outcome.CORRUPT, self.fed, engine, *records)
        engine.suspend()
        engine = self.engine()
        engine.abandon()
        return reason

    def test_paths(self) -> None:
        """A path that leads out, is too long or can't be shown isn't taken, with its reason; all else goes on."""
        bad = ["../a", "/etc/a", "a/../../b", "", ".", "a//b", "x\ny", "x\0y", "x\x1b[2J", "n" * 256, f".p2p-{ID}"]
        bad += ["d/" * 64 + "x", "d/" * 2000 + "x"]
        for path in bad:
            receipts = self.received(folder(path), file(path, b"1"), link(path, "x"), file("good", b"2"), end(4))
            self.assertEqual({"good": b"2"}, self.there(), path)
            self.assertIs(Outcome.REFUSED, receipts[path].outcome)
            self.assertTrue(receipts[path].reason.isprintable())
            (self.inbox / "good").unlink()

    def test_large_bad_path(self) -> None:
        """A large file that isn't taken is verified and not written."""
        self.chunks_of(8)
        used: list[int] = []
        receipts = self.received(file("../a", bytes(20)), end(1), room=lambda size, entries: used.append(size))
        self.assertEqual((Outcome.REFUSED, 20), (receipts["../a"].outcome, receipts["../a"].size))
        self.assertEqual([], used)

    def test_order(self) -> None:
        """Records that belong to nothing end the transfer."""
        for text, records in {
            "a chunk that belongs": [chunk(b"1")],
            "the end of a file": [ended(b"")],
            "without its folder": [file("d/a")],
            "'d/a' comes without": [folder("d"), folder("e"), file("d/a")],
            "'l/a' comes without": [link("l", "x"), file("l/a")],
            "has no end": [begun("a", 1), file("b")],
            "'a' has no end": [begun("a", 1), end(1)],
            "file 'a' has no end": [begun("a", 1), gave_up("b")],
            "record after the end": [end(0), end(0)],
            "after the end": [end(0), file("a")],
            "1 entries came, 2": [file("a"), end(2)],
            "no record": [NONSENSE],
            "a chunk of 'a' after its last": [begun("a", None), chunk(b"1"), chunk(b"2")],
        }.items():
            self.assertIn(text, self.corrupt(*records))

    def test_lying_sizes(self) -> None:
        """A file that is longer or shorter than announced isn't taken, and nothing has its name."""
        self.chunks_of(8)
        for size in (0, 2, 4, 9, 2**62):
            for tail in (ended(b"abc"), encode_end_of_file(bytes(32), 3), encode_end_of_file(bytes(32), size)):
                self.corrupt(begun("a", size), chunk(b"abc"), tail)
        self.corrupt(begun("a", 0), encode_end_of_file(bytes(32), 0))
        self.assertEqual({}, self.there())

    def test_damaged_chunk(self) -> None:
        """A chunk that isn't what was sent is never written."""
        self.assertIn("chunk 0 of 'a'", self.corrupt(begun("a", 3), encode_chunk(bytes(32), [b"abc"])))

    def test_begins_in_the_middle(self) -> None:
        """Nobody goes on with what isn't here."""
        self.chunks_of(8)
        for first in ([], [folder("d"), begun("d/b", 20), chunk(b"12345678"), gave_up("d/b")]):
            self.assertIn("nothing of it is here", self.corrupt(*first, begun("d/b" if first else "b", 20, offset=8)))
        self.assertIn("nothing of it is here", self.corrupt(begun("../b", 20, offset=8)))

    def test_links_out(self) -> None:
        """A link that leads out, or to a name that can't be, isn't made, and neither is one that the system refuses."""
        for target in ("/etc/passwd", "..", "../x", "d/../..", "", "a\0b", "n" * 4096):
            receipts = self.received(link("l", target), end(1))
            self.assertIs(Outcome.REFUSED, receipts["l"].outcome)
            self.assertEqual({}, self.there())

    def test_links_in(self) -> None:
        """A link may lead to what comes with it."""
        self.received(folder("d"), link("d/l", "e/x"), folder("d/e"), link("d/e/m", "../x"), link("e", "d"), end(5))
        self.assertEqual({"d": {"l": "-> e/x", "e": {"m": "-> ../x"}}, "e": "-> d"}, self.there())

    def test_links_refused(self) -> None:
        """Where links aren't wanted, none is made."""
        receipts = self.received(link("l", "x"), end(1), links="refuse")
        self.assertIn("links aren't taken", receipts["l"].reason)
        self.assertEqual({}, self.there())

    def test_links_fail(self) -> None:
        """A file system without links takes all else; one that is full takes nothing."""
        repair = fail(self, "symlink", errno.EPERM)
        receipts = self.received(link("l", "x"), file("a"), end(2))
        self.assertIn("can't make the link", receipts["l"].reason)
        repair()
        repair = fail(self, "utime", errno.EINVAL, when=lambda name, **more: isinstance(name, str))
        self.received(link("l", "x"), end(1))
        repair()
        self.assertEqual({"a": b""}, self.there())
        fail(self, "symlink", errno.ENOSPC)
        self.assertIn("full", self.refused(Outcome.REFUSED, self.fed, self.engine(), link("l", "x")))

    def test_through_a_link(self) -> None:
        """A link that is there already leads nowhere: what would go through it is refused, under each policy."""
        outside = self.top / "outside"
        outside.mkdir()
        (self.inbox / "d").symlink_to(outside)
        for exists in ("rename", "replace", "refuse"):
            self.received(folder("d"), file("d/a", b"1"), file("e", b"2"), end(3), exists=exists)
            self.assertEqual({}, contents(outside))

    def test_folder_replaced_by_link(self) -> None:
        """Nobody gets out by sending a link with the name of a folder."""
        receipts = self.received(
            folder("d"), folder("d/e"), link("d/e", "."), folder("d/e"), file("d/e/a", b"1"), end(5), exists="replace"
        )
        self.assertIs(Outcome.OK, receipts["d/e/a"].outcome)
        self.assertEqual({"d": {"e": {"a": b"1"}}}, self.there())


PATHS = st.sampled_from(
    ["a", "a/b", "a/b/c", "l", "l/x", "d", "d/x", "..", "../x", "/x", "a/../../x", ".p2p-1", "n\n", ""]
)  # fmt: skip
TARGETS = st.sampled_from(["a", "..", "../x", "/etc", ".", "a/b", "a/../..", "\0", ""])
DATA = st.sampled_from([b"", b"1", b"12345678", b"123456789", bytes(20)])
SIZES = st.sampled_from([0, 1, 8, 9, 20, None, 2**62])
OFFSETS = st.sampled_from([0, 0, 0, 1, 8, 16, 20, 2**62])
RECORDS = st.one_of(
    st.builds(folder, PATHS, mode=st.integers(0, 0o7777)),
    st.builds(link, PATHS, TARGETS),
    st.builds(file, PATHS, DATA, streamed=st.booleans()),
    st.builds(lambda path, size, offset: begun(path, size, offset=offset), PATHS, SIZES, OFFSETS),
    st.builds(chunk, DATA.filter(bool)),
    st.builds(ended, DATA),
    st.builds(gave_up, PATHS),
    st.builds(end, st.integers(0, 3)),
    st.just([b"crash"]),
    st.just([b"suspend"]),
)
EXISTS: Any = st.sampled_from(["rename", "replace", "refuse"])


class AnyRecordsTests(ReceivingTestCase):
    @PROPERTY
    @given(st.lists(RECORDS, max_size=14), EXISTS)
    def test_any(self, records: list[Any], exists: Exists) -> None:
        """Whatever is sent in whatever order, nothing leaves the inbox, and all that goes wrong is told as such."""
        self.chunks_of(8)
        top = Path(tempfile.mkdtemp(dir=self.top))
        inbox, outside = top / "inbox", top / "outside"
        inbox.mkdir()
        outside.mkdir()
        (inbox / "l").symlink_to(outside)
        (inbox / "d").mkdir()
        engine = ReceivingEngine(inbox, ID, exists=exists, sync=False)
        try:
            engine.have()
            for record in records:
                if record in ([b"crash"], [b"suspend"]):
                    if record == [b"crash"]:
                        engine._close()
                    engine.suspend()
                    engine = ReceivingEngine(inbox, ID, exists=exists, sync=False)
                    engine.have()
                    continue
                try:
                    self.fed(engine, record)
                except ExchangeFailed as error:
                    self.assertNotIn("can't write", str(error))
                    engine.suspend()
                    engine = ReceivingEngine(inbox, ID, exists=exists, sync=False)
                    engine.have()
        finally:
            engine.suspend()
        self.assertEqual([], open_files(top))
        self.assertEqual({}, contents(outside))
        self.assertEqual({"inbox", "outside"}, {each.name for each in top.iterdir()})
        shutil.rmtree(top)

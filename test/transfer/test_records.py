"""Records of a transfer, cut anywhere."""

from __future__ import annotations

import struct
from dataclasses import replace
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import Outcome, ProtocolViolation
from p2p.exchange.paths import MAX_NAME, MAX_PATH, from_bytes, to_bytes
from p2p.link.boxes import encode_box
from p2p.transfer.records import (
    FAR_TIME,
    Buffer,
    Chunk,
    EndOfFile,
    EndOfTransfer,
    Entry,
    GaveUp,
    Have,
    Kind,
    Receipt,
    Record,
    RecordDecoder,
    clamped,
    encode_chunk,
    encode_end,
    encode_end_of_file,
    encode_entry,
    encode_gave_up,
)
from p2p.transfer.tree import CHUNK, LEAF, leaf_digest
from test.properties import PROPERTY, cut_up

NUMBERS = st.integers(0, 2**63 - 1)
PATHS = st.binary(max_size=60).map(from_bytes)
FILES = st.builds(
    Entry,
    PATHS,
    st.sampled_from([Kind.FILE, Kind.FOLDER]),
    st.integers(0, 0o7777),
    st.integers(1 - 2**63, 2**63 - 1),
    size=st.none() | NUMBERS,
    offset=NUMBERS,
    grew=st.booleans(),
)
LINKS = st.builds(Entry, PATHS, st.just(Kind.LINK), st.just(0o777), NUMBERS, target=PATHS)
CHUNKS = st.lists(st.binary(min_size=1, max_size=80), min_size=1, max_size=4).map(
    lambda pieces: Chunk(leaf_digest(pieces), [memoryview(b"".join(pieces))], sum(map(len, pieces)))
)
ENDS = st.builds(EndOfFile, st.binary(min_size=LEAF, max_size=LEAF), NUMBERS)
REASONS = st.text(st.characters(codec="utf-8"), max_size=60).filter(str.isprintable)
RECORDS = FILES | LINKS | CHUNKS | ENDS | st.builds(GaveUp, PATHS, REASONS) | st.builds(EndOfTransfer, NUMBERS, NUMBERS)


def encoded(record: Record) -> bytes:
    """The bytes of a record."""
    match record:
        case Entry():
            buffers = encode_entry(record)
        case Chunk(leaf, pieces):
            buffers = encode_chunk(leaf, list(pieces))
        case EndOfFile(root, size):
            buffers = encode_end_of_file(root, size)
        case GaveUp(path, reason):
            buffers = encode_gave_up(path, reason, grew=record.grew)
        case EndOfTransfer(entries, size):
            buffers = encode_end(entries, size, grew=record.grew)
    return b"".join(buffers)


def plain(record: Record) -> Record:
    """A record that can be compared: the data of a chunk in one piece, whatever pieces it came in."""
    if isinstance(record, Chunk):
        return replace(record, pieces=[memoryview(b"".join(record.pieces))])
    return record


def decoded(pieces: list[bytes]) -> list[Record]:
    """What some bytes are, which must end with a record."""
    decoder = RecordDecoder()
    records = [plain(record) for piece in pieces for record in decoder.feed(piece)]
    assert decoder.between
    return records


def raw(kind: bytes, payload: bytes) -> bytes:
    """Anything in the form of a record."""
    return struct.pack(">cI", kind, len(payload)) + payload


class RecordTests(SynchronousTestCase):
    """What goes in comes out."""

    @given(st.lists(RECORDS, max_size=6), st.lists(st.integers(0, 2000), max_size=8))
    @PROPERTY
    def test_cut_anywhere(self, records: list[Record], places: list[int]) -> None:
        """Records are found in their bytes, wherever these are cut."""
        expected = [plain(record) for record in records]
        for pieces in cut_up(b"".join(map(encoded, records)), places):
            self.assertEqual(decoded(pieces), expected)

    @given(st.lists(st.integers(0, CHUNK + 100), max_size=6))
    @example([15])  # within the leaf
    @example([5 + LEAF])
    @example([5 + LEAF - 1, 5 + LEAF + 1])
    @PROPERTY
    def test_large_chunk(self, places: list[int]) -> None:
        """A whole chunk is found, however it is cut; its size is that of its data, and its leaf is passed on."""
        data = bytes(range(256)) * (CHUNK // 256)
        wire = encoded(Chunk(b"L" * LEAF, [memoryview(data)], CHUNK))
        edges = [0, *sorted(places), len(wire)]
        (record,) = decoded([wire[start:end] for start, end in pairwise(edges)])
        assert isinstance(record, Chunk)
        self.assertEqual((record.leaf, record.size, record.pieces), (b"L" * LEAF, CHUNK, [data]))

    def test_bytes(self) -> None:
        """Each record has a byte of kind, four of length, and its payload as it is documented."""
        entry = Entry("a\udcff", Kind.FILE, 0o644, 7, size=5, offset=1)
        fields: dict[str, str | bytes] = {
            "path": b"a\xff",
            "kind": "file",
            "mode": "644",
            "mtime": "7",
            "size": "5",
            "offset": "1",
        }
        for record, kind, payload in (
            (entry, b"E", encode_box(fields)),
            (Chunk(b"L" * LEAF, [memoryview(b"data")], 4), b"C", b"L" * LEAF + b"data"),
            (EndOfFile(b"R" * LEAF, 5), b"F", b"R" * LEAF + (5).to_bytes(8)),
            (GaveUp("a\nb/", "why"), b"X", encode_box({"path": "a\nb/", "reason": "why"})),
            (EndOfTransfer(3, 5), b"Z", encode_box({"entries": "3", "bytes": "5"})),
            (replace(entry, grew=True), b"E", encode_box({**fields, "grew": "1"})),
            (GaveUp("a", "why", grew=True), b"X", encode_box({"path": "a", "reason": "why", "grew": "1"})),
            (EndOfTransfer(3, 5, grew=True), b"Z", encode_box({"entries": "3", "bytes": "5", "grew": "1"})),
        ):
            self.assertEqual(encoded(record), raw(kind, payload))

    def test_no_copies(self) -> None:
        """The data of a chunk passes through as it is, in and out."""
        data = memoryview(bytes(5000))
        _, *pieces = encode_chunk(bytes(LEAF), [data, b"x"])
        self.assertIs(pieces[0], data)
        fed = encoded(Chunk(bytes(LEAF), [data], 5000))
        (record,) = RecordDecoder().feed(fed)
        assert isinstance(record, Chunk)
        self.assertIs(record.pieces[0].obj, fed)

    def test_between(self) -> None:
        """A decoder tells whether its bytes end with a record, so that a cut transfer is known to be cut."""
        decoder = RecordDecoder()
        self.assertTrue(decoder.between)
        for byte in encoded(EndOfTransfer(1, 1))[:-1]:
            self.assertEqual(decoder.feed(bytes([byte])), [])
            self.assertFalse(decoder.between)

    def test_reason(self) -> None:
        """A reason that comes from the other side steers no terminal and is never long."""
        (record,) = RecordDecoder().feed(raw(b"X", encode_box({"path": "a", "reason": "\x1b[2Jgone\n" + "x" * 5000})))
        assert isinstance(record, GaveUp)
        self.assertTrue(record.reason.isprintable())
        self.assertLessEqual(len(record.reason), 500)
        self.assertIn("gone", record.reason)

    def test_long_gave_up(self) -> None:
        """Whatever a walk may meet can be given up by its own path, and whatever a system says is a reason."""
        path = "x" * MAX_PATH + "/" + "\udcff" * MAX_NAME + "/"
        self.assertEqual(decoded([encoded(GaveUp(path, "why \ud800"))]), [GaveUp(path, "why \\ud800")])
        self.assertEqual(decoded([encoded(GaveUp(path + "more", "é" * 600))]), [GaveUp(path, "é" * 500)])

    def test_unencodable_entry(self) -> None:
        """An entry whose path or target is too long is the caller's error."""
        for entry in (
            Entry("x" * (MAX_PATH + 1), Kind.FOLDER, 0o755, 0),
            Entry("x", Kind.LINK, 0o777, 0, target="x" * (MAX_PATH + 1)),
        ):
            self.assertRaises(ValueError, encode_entry, entry)
        longest = Entry("x" * MAX_PATH, Kind.LINK, 0o777, 0, target="x" * MAX_PATH)
        wire = encoded(longest)
        for place in (len(wire), 4200, 5000):
            self.assertEqual(decoded([wire[:place], wire[place:]]), [longest])


class RubbishTests(SynchronousTestCase):
    """What isn't a record is told apart at once."""

    @given(st.binary(max_size=400))
    @PROPERTY
    def test_anything(self, data: bytes) -> None:
        """Whatever comes, there are records or a ProtocolViolation, never another error."""
        for start in (b"", *(bytes([kind]) + len(data).to_bytes(4) for kind in b"ECFXZ")):
            decoder = RecordDecoder()
            try:
                decoder.feed(start + data)
            except ProtocolViolation:
                continue

    def refused(self, *wires: bytes) -> None:
        for wire in wires:
            self.assertRaises(ProtocolViolation, RecordDecoder().feed, wire)

    def test_unknown_kind(self) -> None:
        """A kind that there isn't is refused when its head is here, before its payload."""
        self.refused(b"Q\0\0\0\5", b"\0\0\0\0\5")

    def test_lengths(self) -> None:
        """A length that a kind can't have is refused before its payload comes: no memory is spent on it."""
        for kind, lengths in (
            (b"E", (0, 1, 16385)),
            (b"C", (0, LEAF, LEAF + CHUNK + 1, 2**32 - 1)),
            (b"F", (0, 39, 41)),
            (b"X", (0, 1, 16385)),
            (b"Z", (0, 1, 257)),
        ):
            self.refused(*(struct.pack(">cI", kind, length) for length in lengths))
        for kind, longest in ((b"E", 16384), (b"C", LEAF + CHUNK), (b"F", 40), (b"X", 16384), (b"Z", 256)):
            self.assertEqual([], RecordDecoder().feed(struct.pack(">cI", kind, longest)))

    def test_boxes(self) -> None:
        """The box of a record ends where the record does."""
        box = encode_box({"entries": "1", "bytes": "1"})
        self.refused(raw(b"Z", box + b"\0"), raw(b"Z", box[:-1]), raw(b"Z", box[:-2]), raw(b"X", b"\0\0\0"))

    def test_entries(self) -> None:
        """An entry has a known kind, numbers that are some, and a target exactly if it is a link."""
        good = {"path": "a", "kind": "file", "mode": "644", "mtime": "1", "size": "1"}
        self.assertEqual(len(RecordDecoder().feed(raw(b"E", encode_box(good)))), 1)
        for change in (
            {"kind": "fifo"},
            {"kind": ""},
            {"kind": b"\xff"},
            {"kind": "link"},
            {"target": "b"},
            {"mode": "8"},
            {"mode": "-1"},
            {"mode": ""},
            {"mtime": "1.5"},
            {"mtime": "--1"},
            {"mtime": "-"},
            {"mtime": "1" * 31},
            {"mtime": "²"},
            {"size": "-1"},
            {"size": str(2**63)},
            {"size": "1" * 23},
            {"offset": "0x1"},
        ):
            self.refused(raw(b"E", encode_box({**good, **change})))
        for missing in ("kind", "mode", "mtime"):
            self.refused(raw(b"E", encode_box({key: value for key, value in good.items() if key != missing})))

    def test_far_times(self) -> None:
        """A time further from 1970 than a record can have is the nearest one that it can, on either side."""
        far = 9_223_372_037 * 10**9
        for ns, expected in ((far, FAR_TIME), (-(2**63) * 10**9, -FAR_TIME), (-5, -5), (FAR_TIME, FAR_TIME)):
            self.assertEqual(clamped(ns), expected)
            wire = encoded(Entry("a", Kind.FOLDER, 0o755, ns))
            self.assertIn(b"\0\5mtime" + len(b"%d" % expected).to_bytes(2) + b"%d" % expected, wire)
            (sent,) = decoded([wire])
            self.assertEqual(sent, Entry("a", Kind.FOLDER, 0o755, expected))
            fields = {"path": "a", "kind": "folder", "mode": "755", "mtime": str(ns)}
            self.assertEqual(RecordDecoder().feed(raw(b"E", encode_box(fields))), [sent])
        (latest,) = RecordDecoder().feed(raw(b"E", encode_box({**fields, "mtime": "-" + "9" * 30})))
        self.assertEqual(latest, Entry("a", Kind.FOLDER, 0o755, -FAR_TIME))

    def test_mode_bits(self) -> None:
        """Bits of a mode beyond the permissions don't matter."""
        fields = {"path": "a", "kind": "folder", "mode": "40755", "mtime": "1"}
        (record,) = RecordDecoder().feed(raw(b"E", encode_box(fields)))
        self.assertEqual(record, Entry("a", Kind.FOLDER, 0o755, 1))

    def test_reason(self) -> None:
        """A reason that isn't UTF-8 is refused."""
        self.refused(raw(b"X", encode_box({"path": "a", "reason": b"\xff"})))

    def test_end(self) -> None:
        """The end of a transfer says how much it was."""
        self.refused(raw(b"Z", encode_box({"entries": "1"})), raw(b"Z", encode_box({"entries": "1", "bytes": "x"})))

    def test_bounded(self) -> None:
        """However small the pieces in which an unfinished chunk comes, they cost hardly more than their bytes."""
        decoder = RecordDecoder()
        decoder.feed(struct.pack(">cI", b"C", LEAF + CHUNK))
        held: list[Buffer] = [bytes([1]) for _ in range(20_000)]
        for piece in held:
            self.assertEqual(decoder.feed(piece), [])
        self.assertLess(len(decoder._held.take()), 10)


class ReceiptTests(SynchronousTestCase):
    """What became of an entry."""

    def test_without_size(self) -> None:
        """What has no bytes, as a folder, is told with a size of 0, which the other end reads as a number."""
        self.assertEqual(Receipt("d", "d", 0, "", Outcome.OK, "", ""), Receipt("d", "d"))


class HaveTests(SynchronousTestCase):
    """How far a receiver is, as a box."""

    @given(st.builds(Have, st.none() | PATHS, st.none() | PATHS, NUMBERS, NUMBERS, NUMBERS))
    @PROPERTY
    def test_round(self, have: Have) -> None:
        """What a receiver says is what the sender understands, whatever the names."""
        self.assertEqual(Have.from_box(have.to_box()), have)

    def test_bytes(self) -> None:
        """Paths are raw bytes, numbers digits; what there isn't is left out."""
        box = {"last": b"\xff", "partial": b"b", "offset": b"1", "entries": b"2", "bytes": b"3"}
        self.assertEqual(Have("\udcff", "b", 1, 2, 3).to_box(), box)
        self.assertEqual(Have().to_box(), {"offset": b"0", "entries": b"0", "bytes": b"0"})
        self.assertEqual(to_bytes("\udcff"), box["last"])

    def test_lenient(self) -> None:
        """A field that is missing is that of a fresh transfer, one that is unknown is passed over."""
        self.assertEqual(Have.from_box({"have": b"1"}), Have())

    def test_rubbish(self) -> None:
        """A number that is none is refused."""
        for key in ("offset", "entries", "bytes"):
            for value in (b"", b"-1", b"x", b"9" * 30):
                self.assertRaises(ProtocolViolation, Have.from_box, {key: value})

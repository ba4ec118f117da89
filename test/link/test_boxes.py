"""AMP boxes read from bytes cut anywhere."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols import amp
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ProtocolViolation
from p2p.link.boxes import Box, BoxParser, BoxReader, encode_box, text_of
from test.properties import PROPERTY, cut_up

KEYS = st.text(st.characters(codec="ascii"), min_size=1, max_size=255)
BOXES = st.dictionaries(KEYS, st.binary(max_size=400), max_size=8)
SMALL_BOXES = st.dictionaries(
    st.text(st.characters(codec="ascii"), min_size=1, max_size=20), st.binary(max_size=300), max_size=5
)
ROWS = st.lists(SMALL_BOXES, max_size=6)

LIMIT = 16384


def parsed(pieces: list[bytes], limit: int = LIMIT) -> tuple[Box | None, bytes]:
    """The box in some pieces and the bytes that come after it."""
    parser = BoxParser(limit)
    for number, piece in enumerate(pieces):
        box, rest = parser.feed(memoryview(piece))
        if box is not None:
            return box, bytes(rest) + b"".join(pieces[number + 1 :])
        assert not len(rest)
    return None, b""


class EncodeTests(SynchronousTestCase):
    """Mappings become boxes as Twisted's AMP has them."""

    def test_bytes(self) -> None:
        """Each key and value has two bytes of length before it; an empty key ends the box; texts are UTF-8."""
        self.assertEqual(
            encode_box({"type": "text", "name": "é", "raw": b"\0"}),
            b"\0\4type\0\4text" + b"\0\4name\0\2\xc3\xa9" + b"\0\3raw\0\1\0" + b"\0\0",
        )

    def test_empty(self) -> None:
        """A mapping without fields is just the end of a box."""
        self.assertEqual(encode_box({}), b"\0\0")

    def test_longest(self) -> None:
        """A key may have 255 bytes, a value 65,535."""
        fields = {"k" * 255: b"v" * 65535}
        self.assertEqual(parsed([encode_box(fields)], 1 << 17), (fields, b""))

    def test_unencodable(self) -> None:
        """What a box can't hold is the caller's error: empty, long or foreign keys, long values, too many fields."""
        for fields in (
            {"": "x"},
            {"k" * 256: "x"},
            {"ключ": "x"},
            {"k": b"x" * 65536},
            {"k": "\udc80"},
            {str(number): "" for number in range(65)},
        ):
            with self.assertRaises(ValueError):
                encode_box(fields)
        told = self.assertRaises(ValueError, encode_box, {"k" * 256: "xyz"})
        self.assertEqual(f"box field '{'k' * 40}' is too long: 256 and 3 bytes", str(told))

    @PROPERTY
    @given(BOXES)
    def test_twisted_reads_them(self, fields: Box) -> None:
        """AMP's own parser reads our boxes, and we read what it writes."""
        [box] = amp.parseString(encode_box(fields))
        self.assertEqual(dict(box), {key.encode(): value for key, value in fields.items()})
        theirs = amp.AmpBox({key.encode(): value for key, value in fields.items()})
        self.assertEqual(parsed([theirs.serialize()]), (fields, b""))


class ParserTests(SynchronousTestCase):
    """A parser gathers one box and touches nothing after it."""

    @PROPERTY
    @given(BOXES, st.binary(max_size=50), st.lists(st.integers(0, 3000), max_size=20))
    def test_any_cut_gives_the_same_box(self, fields: Box, after: bytes, cuts: list[int]) -> None:
        """Box and rest don't depend on how the bytes were cut, a byte at a time included."""
        data = encode_box(fields) + after
        for pieces in cut_up(data, cuts):
            self.assertEqual(parsed(pieces), (fields, after))

    @PROPERTY
    @given(st.binary(max_size=600), st.integers(1, 200))
    def test_noise_raises_the_declared_error_only(self, data: bytes, size: int) -> None:
        """Any bytes are a box, the beginning of one, or a ProtocolViolation, and cuts make no difference."""
        outcomes = []
        for step in (len(data) + 1, size, 1):
            pieces = [data[start : start + step] for start in range(0, len(data), step)]
            try:
                outcomes.append(parsed(pieces, 100))
            except ProtocolViolation:
                outcomes.append((None, b"violation"))
        self.assertEqual(outcomes, outcomes[:1] * 3)

    def test_unfinished(self) -> None:
        """A box that isn't whole is no box yet."""
        data = encode_box({"service": "store", "length": "12"})
        for end in range(len(data)):
            self.assertEqual(parsed([data[:end]]), (None, b""))

    def test_limit(self) -> None:
        """A box may take as many bytes as the limit says; one more is refused, whole or in pieces."""
        data = encode_box({"key": b"v" * 100})
        self.assertEqual(parsed([data], len(data)), ({"key": b"v" * 100}, b""))
        for limit in range(1, len(data)):
            for pieces in ([data], [bytes([byte]) for byte in data]):
                with self.assertRaises(ProtocolViolation):
                    parsed(pieces, limit)

    def test_long_value_is_refused_early(self) -> None:
        """Of a value beyond the limit no more than the limit is gathered, however long the other side goes on."""
        parser = BoxParser(1000)
        parser.feed(memoryview(b"\0\1k\xff\xff"))
        taken = 5
        with self.assertRaises(ProtocolViolation):
            while taken < 70_000:
                parser.feed(memoryview(bytes(500)))
                taken += 500
        self.assertLessEqual(taken, 1000)

    def test_long_key(self) -> None:
        """A key over 255 bytes is refused as soon as its length is known."""
        with self.assertRaises(ProtocolViolation):
            parsed([b"\x01\x00"])

    def test_foreign_key(self) -> None:
        """A key that isn't ASCII is refused."""
        with self.assertRaises(ProtocolViolation):
            parsed([b"\0\1\xff"])

    def test_repeated_key(self) -> None:
        """A key that stands twice is refused, before its value, rather than read in one of two ways."""
        for raw in (b"\0\1k\0\1a\0\1k\0\1b\0\0", b"\0\1k\0\1a\0\1k"):
            with self.assertRaises(ProtocolViolation):
                parsed([raw])

    def test_many_fields(self) -> None:
        """A box has at most 64 fields: thousands of tiny ones would take many times their bytes in memory."""
        fields = {f"{number:02}": b"" for number in range(64)}
        self.assertEqual(parsed([encode_box(fields)]), (fields, b""))
        with self.assertRaises(ProtocolViolation):
            parsed([encode_box(fields)[:-2] + b"\0\3one\0\0\0\0"])


class BoxReaderTests(SynchronousTestCase):
    """What comes, comes out; what is none is refused before it takes memory."""

    @given(ROWS, st.integers(min_value=1, max_value=50))
    @PROPERTY
    def test_cuts(self, boxes: list[dict[str, bytes]], size: int) -> None:
        """However the bytes are cut, the same boxes come out, each as soon as it is whole."""
        raw = b"".join(map(encode_box, boxes))
        reader = BoxReader(LIMIT)
        found = [box for at in range(0, len(raw), size) for box in reader.feed(memoryview(raw)[at : at + size])]
        self.assertEqual(boxes, found)
        self.assertTrue(reader.between)

    def test_between(self) -> None:
        """It knows whether it is within a box."""
        reader = BoxReader(100)
        self.assertEqual([], reader.feed(b"\0\1a\0\5he"))
        self.assertFalse(reader.between)
        self.assertEqual([{"a": b"hello"}], reader.feed(b"llo\0\0"))
        self.assertTrue(reader.between)

    def test_limit(self) -> None:
        """A box over the limit is refused, whole or as soon as its lengths tell."""
        box = encode_box({"a": b"x" * 100})
        self.assertEqual([{"a": b"x" * 100}], BoxReader(len(box)).feed(box))
        for raw in (box, box[:5]):
            with self.assertRaisesRegex(ProtocolViolation, "more than 50 bytes"):
                BoxReader(50).feed(raw)

    def test_limit_of_each(self) -> None:
        """The limit is that of one box, however many come at once."""
        box = encode_box({"a": b"x" * 100})
        self.assertEqual([{"a": b"x" * 100}] * 50, BoxReader(len(box)).feed(box * 50))

    def test_longest_key(self) -> None:
        """A key may have 255 bytes; a longer one is refused by its length."""
        self.assertEqual([{"k" * 255: b""}], BoxReader(4096).feed(encode_box({"k" * 255: b""})))
        with self.assertRaisesRegex(ProtocolViolation, "a key of 256 bytes, after 0 others"):
            BoxReader(4096).feed(b"\1\0")

    def test_no_box(self) -> None:
        """Keys that are too long, too many, twice or not ASCII are refused."""
        many = b"".join(b"\0\3%03d\0\0" % number for number in range(65))
        for raw in (b"\1\0", many, b"\0\1a\0\0\0\1a\0\0\0\0", b"\0\1a\0\0\0\1a\xff\xff", b"\0\1\xff\0\0\0\0"):
            with self.assertRaisesRegex(ProtocolViolation, "no AMP box"):
                BoxReader(4096).feed(raw)

    def test_single_bytes(self) -> None:
        """A box that comes byte by byte costs a pass at its first byte, and one for each length, value and the end."""
        reader = BoxReader(70000)
        passes: list[int] = []
        read = reader._box

        def counted(raw: bytes, start: int) -> Any:
            passes.append(start)
            return read(raw, start)

        reader._box = counted  # type: ignore[method-assign]  # it counts
        for byte in encode_box({"a": b"x" * 60000}):
            reader.feed(bytes([byte]))
        self.assertTrue(reader.between)
        self.assertEqual(5, len(passes))


class TextTests(SynchronousTestCase):
    """Values are read as text."""

    def test_text(self) -> None:
        """A value is UTF-8; one that isn't there is the default."""
        self.assertEqual(text_of({"name": b"\xc3\xa9"}, "name", "x"), "é")
        self.assertEqual(text_of({}, "name"), "")
        self.assertEqual(text_of({}, "name", "x"), "x")

    def test_no_text(self) -> None:
        """A value that isn't UTF-8 is the other side's fault, and the field is named."""
        error = self.assertRaises(ProtocolViolation, text_of, {"name": b"\xff"}, "name")
        self.assertIn("'name'", str(error))

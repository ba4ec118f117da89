"""Boxes in a row: cut anywhere, bounded, and refused when they are none."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ProtocolViolation
from p2p.link.box_reader import BoxReader
from p2p.link.boxes import encode_box

KEYS = st.text(st.characters(codec="ascii"), min_size=1, max_size=20)
BOXES = st.lists(st.dictionaries(KEYS, st.binary(max_size=300), max_size=5), max_size=6)


class BoxReaderTests(SynchronousTestCase):
    """What comes, comes out; what is none is refused before it takes memory."""

    @given(BOXES, st.integers(min_value=1, max_value=50))
    def test_cuts(self, boxes: list[dict[str, bytes]], size: int) -> None:
        """However the bytes are cut, the same boxes come out, each as soon as it is whole."""
        raw = b"".join(map(encode_box, boxes))
        reader = BoxReader(4096)
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

    def test_no_box(self) -> None:
        """Keys that are too long, too many, twice or not ASCII are refused."""
        many = b"".join(b"\0\3%03d\0\0" % number for number in range(65))
        for raw in (b"\1\0", many, b"\0\1a\0\0\0\1a\0\0\0\0", b"\0\1\xff\0\0\0\0"):
            with self.assertRaisesRegex(ProtocolViolation, "no AMP box"):
                BoxReader(4096).feed(raw)

    def test_single_bytes(self) -> None:
        """A box that comes byte by byte costs no more than one pass for each of its parts."""
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
        self.assertLess(len(passes), 10)

"""Messages on a stream: head, chunks, tail."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ProtocolViolation
from p2p.exchange.message import (
    MAX_CHUNK,
    Body,
    Head,
    MessageDecoder,
    MessageEvent,
    Tail,
    encode_chunk,
    encode_head,
    encode_pieces,
    encode_tail,
)
from p2p.link.boxes import Box
from test.properties import PROPERTY, cut_up

LIMIT = 2000
HEAD = {"service": b"store", "name": b"film.mkv"}
TAIL = {"digest": b"abc"}
BOXES = st.dictionaries(
    st.text(st.characters(codec="ascii"), min_size=1, max_size=20), st.binary(max_size=40), max_size=5
)


def encoded(head: Box, chunks: list[bytes], tail: Box) -> bytes:
    """A whole message."""
    parts = [encode_head(head)]
    for chunk in chunks:
        parts += map(bytes, encode_chunk(chunk))
    return b"".join([*parts, encode_tail(tail)])


def cut(data: bytes, size: int) -> list[memoryview]:
    """Bytes in pieces of one size."""
    return [memoryview(data)[start : start + size] for start in range(0, len(data), size)]


def gathered(events: list[MessageEvent]) -> tuple[list[Box], bytes]:
    """The boxes and the body that some events tell of."""
    boxes = [event.box for event in events if not isinstance(event, Body)]
    return boxes, b"".join(event.data for event in events if isinstance(event, Body))


class EncodeTests(SynchronousTestCase):
    """What goes over the wire."""

    def test_bytes(self) -> None:
        """Head and tail are boxes, a chunk has four bytes of length before it, four zero bytes end the body."""
        self.assertEqual(
            encoded({"a": b"b"}, [b"hello"], {}), b"\0\1a\0\1b\0\0" + b"\0\0\0\5hello" + b"\0\0\0\0" + b"\0\0"
        )

    def test_nothing_is_no_chunk(self) -> None:
        """Empty data would end the body, so it is left out."""
        self.assertEqual(encode_chunk(b""), [])
        self.assertEqual(encode_chunk(memoryview(b"")), [])

    def test_not_copied(self) -> None:
        """A chunk is passed on as it is."""
        data = b"x" * 100
        self.assertIs(encode_chunk(data)[1], data)

    def test_long_data_is_split(self) -> None:
        """Data beyond the largest chunk becomes several, still without being copied."""
        data = bytes(MAX_CHUNK)
        self.assertEqual(len(encode_chunk(data)), 2)
        data += b"end"
        first_size, first, second_size, second = encode_chunk(data)
        self.assertEqual((first_size, len(first)), (b"\0\x40\0\0", MAX_CHUNK))
        self.assertEqual((second_size, bytes(second)), (b"\0\0\0\3", b"end"))
        self.assertIs(memoryview(second).obj, data)


class DecodeTests(SynchronousTestCase):
    """What is read from it."""

    @PROPERTY
    @given(BOXES, st.lists(st.binary(max_size=60), max_size=6), BOXES, st.lists(st.integers(0, 900), max_size=20))
    def test_any_cut_gives_the_same_message(self, head: Box, chunks: list[bytes], tail: Box, cuts: list[int]) -> None:
        """Head, body and tail don't depend on how the bytes were cut, a byte at a time included."""
        data = encoded(head, chunks, tail)
        for pieces in cut_up(data, cuts):
            decoder = MessageDecoder(LIMIT)
            events: list[MessageEvent] = []
            for piece in pieces:
                self.assertFalse(decoder.complete)
                events += decoder.feed(memoryview(piece))
            self.assertTrue(decoder.complete)
            self.assertEqual(gathered(events), ([head, tail], b"".join(chunks)))
            self.assertIsInstance(events[0], Head)
            self.assertIsInstance(events[-1], Tail)
            self.assertTrue(all(isinstance(event, Body) and event.data for event in events[1:-1]))

    @PROPERTY
    @given(st.binary(max_size=300), st.booleans(), st.integers(1, 50))
    def test_noise_raises_the_declared_error_only(self, noise: bytes, after_head: bool, size: int) -> None:
        """Any bytes are a message, the beginning of one, or a ProtocolViolation, however they are cut."""
        data = encode_head(HEAD) + noise if after_head else noise
        outcomes = []
        for step in (len(data) + 1, size, 1):
            decoder = MessageDecoder(100)
            events: list[MessageEvent] = []
            try:
                for piece in cut(data, step):
                    events += decoder.feed(piece)
                outcomes.append((True, gathered(events)))
            except ProtocolViolation:
                outcomes.append((False, ([], b"")))
            self.assertLessEqual(len(gathered(events)[1]), len(data))
        self.assertEqual(outcomes, outcomes[:1] * 3)

    def test_truncated(self) -> None:
        """A message without its last byte isn't complete; one without its whole head has no head."""
        data = encoded(HEAD, [b"body"], TAIL)
        head_size = len(encode_head(HEAD))
        for end in range(len(data)):
            decoder = MessageDecoder(LIMIT)
            events = decoder.feed(memoryview(data)[:end])
            self.assertFalse(decoder.complete)
            self.assertEqual(Head(HEAD) in events, end >= head_size)

    def test_empty_input(self) -> None:
        """No bytes say nothing, before, within and after a message."""
        decoder = MessageDecoder(LIMIT)
        self.assertEqual(decoder.feed(memoryview(b"")), [])
        decoder.feed(memoryview(encoded(HEAD, [], TAIL)))
        self.assertEqual(decoder.feed(memoryview(b"")), [])

    def test_body_is_not_gathered(self) -> None:
        """Bytes of a chunk are handed on as they come, as views of what came."""
        decoder = MessageDecoder(LIMIT)
        decoder.feed(memoryview(encode_head(HEAD) + b"\0\x10\0\0"))
        piece = bytes(1000)
        [event] = decoder.feed(memoryview(piece))
        assert isinstance(event, Body)
        self.assertIs(event.data.obj, piece)

    def test_pieces(self) -> None:
        """Many pieces go as they are, in as few chunks as can be."""
        pieces = [b"a" * 3, b"", b"b" * (MAX_CHUNK - 3), b"c", b"d" * (MAX_CHUNK + 1), b"e"]
        parts = encode_pieces(pieces)
        decoder = MessageDecoder(LIMIT)
        decoder.feed(memoryview(encode_head(HEAD)))
        body = b"".join(
            bytes(event.data) for part in parts for event in decoder.feed(memoryview(part)) if isinstance(event, Body)
        )
        self.assertEqual(b"".join(pieces), body)
        sizes = [int.from_bytes(part) for part in parts if len(part) == 4]
        self.assertEqual([MAX_CHUNK, 1, MAX_CHUNK, 1, 1], sizes)
        self.assertIs(pieces[2], parts[2])
        self.assertEqual([], encode_pieces([b""]))

    def test_bytes_after_the_end(self) -> None:
        """Nothing follows the tail."""
        decoder = MessageDecoder(LIMIT)
        decoder.feed(memoryview(encoded(HEAD, [b"x"], TAIL)))
        self.assertRaises(ProtocolViolation, decoder.feed, memoryview(b"x"))
        self.assertRaises(ProtocolViolation, MessageDecoder(LIMIT).feed, memoryview(encoded(HEAD, [], TAIL) + b"x"))

    def test_huge_chunk(self) -> None:
        """A chunk of 4 MiB is read, a longer one is nonsense."""
        head = encode_head(HEAD)
        self.assertEqual(len(MessageDecoder(LIMIT).feed(memoryview(head + MAX_CHUNK.to_bytes(4)))), 1)
        self.assertRaises(ProtocolViolation, MessageDecoder(LIMIT).feed, memoryview(head + (MAX_CHUNK + 1).to_bytes(4)))

    def test_limit(self) -> None:
        """Head and tail each may take as many bytes as the limit says, and no more."""
        box = {"key": b"v" * 50}
        size = len(encode_head(box))
        self.assertEqual(gathered(MessageDecoder(size).feed(memoryview(encoded(box, [], box))))[0], [box, box])
        for head, tail in ((box, {}), ({}, box)):
            self.assertRaises(
                ProtocolViolation, MessageDecoder(size - 1).feed, memoryview(encoded(head, [b"body"], tail))
            )

"""Bytes that wait: in order, and never at a multiple of their size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.link.events import DataReceived, StreamEnded
from p2p.link.pieces import LARGE, SMALL, Pieces, owned, parted
from test.properties import PROPERTY


class PiecesTests(SynchronousTestCase):
    @given(st.lists(st.integers(0, 3 * SMALL), max_size=30), st.data())
    @PROPERTY
    def test_order(self, sizes: list[int], data: st.DataObject) -> None:
        """Whatever the sizes of the pieces and whenever they are taken out, the bytes come out in their order."""
        pieces, put, got = Pieces(), bytearray(), bytearray()
        for number, size in enumerate(sizes):
            piece = bytes([number]) * size
            pieces.append(memoryview(piece))
            put += piece
            if pieces and data.draw(st.booleans()):
                got += pieces.popleft()
            self.assertEqual(len(put) - len(got), pieces.size)
        for left in pieces.take():
            got += left
        self.assertEqual(put, got)
        self.assertEqual((0, False), (pieces.size, bool(pieces)))

    def test_small_pieces(self) -> None:
        """Single bytes are kept together, not each as an object that keeps its whole buffer alive."""
        pieces = Pieces()
        for _ in range(10 * SMALL):
            pieces.append(memoryview(b"x" * 16384)[:1])
        taken = pieces.take()
        self.assertEqual(10, len(taken))
        self.assertTrue(all(isinstance(piece.obj, bytearray) for piece in taken))

    def test_full(self) -> None:
        """What is copied together grows to the size of a piece that isn't copied: a quarter of a TLS record."""
        self.assertEqual(16384 // 4, SMALL)
        pieces = Pieces()
        for _ in range(SMALL + 1):
            pieces.append(b"x")
        self.assertEqual([SMALL, 1], [len(piece) for piece in pieces.take()])

    def test_large_pieces(self) -> None:
        """A large piece isn't copied."""
        data = b"x" * SMALL
        pieces = Pieces()
        pieces.append(data)
        self.assertIs(data, pieces.popleft().obj)

    def test_parts(self) -> None:
        """A piece that is a small part of its buffer is copied, so that it doesn't keep all of that in memory."""
        data = memoryview(b"x" * 16 * SMALL)
        pieces = Pieces()
        for size in (2 * SMALL - 1, 2 * SMALL):
            pieces.append(data[:size])
        small, large = pieces.take()
        kept = [memoryview(one.obj).nbytes for one in (small, large)]
        self.assertEqual([2 * SMALL - 1, 16 * SMALL], kept)
        whole = b"x" * SMALL
        self.assertIs(whole, owned(whole))

    def test_parted(self) -> None:
        """Data of streams that have little of what came at once are copied, those of others aren't."""
        came = memoryview(bytes(2 * LARGE))
        much, little = DataReceived(1, came[: LARGE + 10]), DataReceived(3, came[LARGE + 10 :])
        ended = StreamEnded(3)
        events = parted([much, ended, little], len(came))
        self.assertIs(much, events[0])
        self.assertEqual([ended, little], events[1:])
        assert isinstance(events[2], DataReceived)
        self.assertEqual(LARGE - 10, len(events[2].data.obj))
        for same in ([much, DataReceived(1, came[LARGE:])], [ended]):
            self.assertIs(same, parted(same, len(came)))
        self.assertEqual([little], parted([little], LARGE))

    def test_taken_pieces_stay(self) -> None:
        """What was taken out doesn't change any more."""
        pieces = Pieces()
        pieces.append(b"one")
        taken = pieces.popleft()
        pieces.append(b"two")
        self.assertEqual((b"one", b"two"), (bytes(taken), bytes(pieces.popleft())))

    def test_clear(self) -> None:
        """What is forgotten doesn't come out."""
        pieces = Pieces()
        pieces.append(b"x" * 5000)
        pieces.clear()
        self.assertEqual((0, []), (pieces.size, pieces.take()))

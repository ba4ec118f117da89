"""Tests for :mod:`p2p.wire.buffers`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.wire.buffers import COPIED, Buffers


class BuffersTests(SynchronousTestCase):
    """Two buffers that hold twice as much as is copied."""

    def setUp(self) -> None:
        self.buffers = Buffers(2 * COPIED, 2)

    def received(self, content: bytes) -> bytes | memoryview:
        """Receive something."""
        buffer = self.buffers.take()
        self.buffers.writable(buffer)[: len(content)] = content
        return self.buffers.lend(buffer, len(content))

    def test_views(self) -> None:
        """What was received stays as it is while a part of it is in use, whatever is received after it."""
        first = memoryview(self.received(b"1" * COPIED))[-10:]
        second = self.received(b"2" * 2 * COPIED)
        third = self.received(b"3" * 2 * COPIED)
        self.assertEqual((b"1" * 10, b"2" * 2 * COPIED, b"3" * 2 * COPIED), (first, second, third))

    def test_used_again(self) -> None:
        """A buffer comes back with the end of its last view, and no third one is made."""
        kept = [self.received(b"x" * COPIED), self.received(b"y" * COPIED)]
        part = memoryview(kept[0])[5:10]
        kept[0] = b""
        self.assertIsInstance(self.received(b"z" * COPIED), bytes)
        del part
        for _ in range(5):
            self.assertIsInstance(self.received(b"z" * COPIED), memoryview)
        self.assertEqual(b"y" * COPIED, kept[1])

    def test_all_lent(self) -> None:
        """When views of all are kept, what comes is copied: nobody makes more memory be held than there was to be."""
        kept = [self.received(b"k" * COPIED) for _ in range(2)]
        copies = [self.received(bytes([number]) * 2 * COPIED) for number in range(3)]
        self.assertEqual([bytes([number]) * 2 * COPIED for number in range(3)], copies)
        self.assertEqual([b"k" * COPIED] * 2, kept)

    def test_little(self) -> None:
        """Little keeps no buffer, and neither does nothing."""
        kept = [self.received(b"s" * (COPIED - 1)) for _ in range(10)]
        self.assertEqual([bytes] * 10, [type(one) for one in kept])
        self.assertEqual(b"", self.received(b""))
        self.assertIsInstance(self.received(b"l" * COPIED), memoryview)

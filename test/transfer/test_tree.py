"""The hash tree of a file."""

from __future__ import annotations

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.transfer.tree import CHUNK, LEAF, Tree, chunks_of, leaf_digest
from test.properties import PROPERTY, cut_up


class LeafTests(SynchronousTestCase):
    """The digest of one chunk."""

    def test_definition(self) -> None:
        """A leaf is the BLAKE3 digest of the chunk in a context of its own: it is never that of something else."""
        expected = blake3(b"abc", derive_key_context="p2p 2026 transfer chunk v1").digest()
        self.assertEqual(leaf_digest([b"abc"]), expected)
        self.assertNotEqual(leaf_digest([b"abc"]), blake3(b"abc").digest())
        self.assertEqual(len(expected), LEAF)

    @given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
    @PROPERTY
    def test_pieces(self, data: bytes, places: list[int]) -> None:
        """It doesn't matter in which pieces a chunk comes."""
        for pieces in cut_up(data, places):
            self.assertEqual(leaf_digest(map(memoryview, pieces)), leaf_digest([data]))


class TreeTests(SynchronousTestCase):
    """Leaves become a root."""

    def test_definition(self) -> None:
        """A root is the BLAKE3 digest of all leaves and of the size, in a context of its own."""
        leaves = [leaf_digest([b"x" * CHUNK]), leaf_digest([b"y"])]
        tree = Tree()
        tree.add(leaves[0], CHUNK)
        tree.add(leaves[1], 1)
        content = b"".join(leaves) + (CHUNK + 1).to_bytes(8, "big")
        self.assertEqual(tree.root(), blake3(content, derive_key_context="p2p 2026 transfer root v1").digest())
        self.assertEqual(tree.size, CHUNK + 1)

    def test_empty(self) -> None:
        """An empty file has no leaf, and a root all the same."""
        expected = blake3(bytes(8), derive_key_context="p2p 2026 transfer root v1").digest()
        self.assertEqual(Tree().root(), expected)

    @given(st.integers(0, 6), st.integers(1, CHUNK), st.integers(0, 6))
    @PROPERTY
    def test_goes_on(self, whole: int, last: int, kept: int) -> None:
        """A tree made from kept leaves goes on as if it had never been interrupted."""
        lengths = [CHUNK] * whole + [last]
        leaves = [leaf_digest([b"%d" % number]) for number in range(len(lengths))]
        straight = Tree()
        for leaf, length in zip(leaves, lengths, strict=True):
            straight.add(leaf, length)
        kept = min(kept, len(lengths))
        resumed = Tree.from_leaves(b"".join(leaves[:kept]), sum(lengths[:kept]))
        for leaf, length in zip(leaves[kept:], lengths[kept:], strict=True):
            resumed.add(leaf, length)
        self.assertEqual(resumed.root(), straight.root())
        self.assertEqual(resumed.size, straight.size)

    def test_root_halfway(self) -> None:
        """Asking for the root changes nothing, and every prefix has a root of its own."""
        tree, roots = Tree(), []
        for _ in range(3):
            roots += [tree.root(), tree.root()]
            tree.add(leaf_digest([b"same"]), CHUNK)
        self.assertEqual(len(set(roots)), 3)
        self.assertEqual(roots[0::2], roots[1::2])

    def test_impossible_chunks(self) -> None:
        """A chunk is never empty, nor longer than 1 MiB, and nothing follows a short one."""
        tree = Tree()
        for length in (0, -1, CHUNK + 1):
            self.assertRaises(ValueError, tree.add, bytes(LEAF), length)
        tree.add(bytes(LEAF), CHUNK - 1)
        self.assertRaises(ValueError, tree.add, bytes(LEAF), 1)

    def test_impossible_leaves(self) -> None:
        """Leaves that don't belong to a size are refused."""
        for size in (0, CHUNK + 1):
            self.assertRaises(ValueError, Tree.from_leaves, bytes(LEAF), size)

    def test_chunks_of(self) -> None:
        """A file has a chunk for each MiB that it has begun."""
        self.assertEqual([chunks_of(size) for size in (0, 1, CHUNK, CHUNK + 1, 3 * CHUNK)], [0, 1, 1, 2, 3])

"""The hash tree of a file: a digest for each chunk as it flows, and a root over them all at the end.

The leaf of a chunk is its BLAKE3 digest in the context ``p2p 2026 transfer chunk v1``; the root of a file is that of
all its leaves, one after the other, and of its size as 8 bytes (big-endian), in the context ``p2p 2026 transfer root
v1``. Chunks are 1 MiB long, only the last of a file is shorter; an empty file has none. A tree costs the same memory
whatever the size of the file, and goes on from the leaves of an earlier day without the file being read again.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from blake3 import blake3

__all__ = ["CHUNK", "LEAF", "Tree", "chunks_of", "leaf_digest"]

CHUNK: Final = 1024 * 1024
"""Bytes of a chunk, but for the last of a file."""

LEAF: Final = 32
"""Bytes of a leaf, and of a root."""

# Copying a hasher that knows its context is twice as fast as deriving the key again for every small file.
_CHUNK_HASHER: Final = blake3(derive_key_context="p2p 2026 transfer chunk v1")
_ROOT_HASHER: Final = blake3(derive_key_context="p2p 2026 transfer root v1")


def leaf_digest(pieces: Iterable[bytes | bytearray | memoryview]) -> bytes:
    """The digest of one chunk, given in pieces that are never joined."""
    hasher = _CHUNK_HASHER.copy()
    for piece in pieces:
        hasher.update(piece)
    return hasher.digest()


def chunks_of(size: int) -> int:
    """How many chunks a file of this size has."""
    return -(-size // CHUNK)


class Tree:
    """Gathers the leaves of one file, first to last.

    :ivar size: bytes of the chunks so far.
    """

    __slots__ = ("_hasher", "size")

    def __init__(self) -> None:
        self._hasher = _ROOT_HASHER.copy()
        self.size = 0

    @classmethod
    def from_leaves(cls, leaves: bytes, size: int) -> Tree:
        """The tree of a file whose first ``size`` bytes have these leaves, 32 bytes each.

        :raises ValueError: if there are more or fewer leaves than so many bytes have chunks.
        """
        if len(leaves) != LEAF * chunks_of(size):
            raise ValueError(f"{len(leaves)} bytes of leaves don't belong to {size} bytes")
        tree = cls()
        tree._hasher.update(leaves)
        tree.size = size
        return tree

    def add(self, leaf: bytes, length: int) -> None:
        """Add the leaf of the next chunk, which is ``length`` bytes long.

        :raises ValueError: if the chunk has no possible length, or comes after one shorter than the rest.
        """
        if not 0 < length <= CHUNK or self.size % CHUNK:
            raise ValueError(f"no chunk of {length} bytes can follow {self.size} bytes")
        self._hasher.update(leaf)
        self.size += length

    def root(self) -> bytes:
        """The root over what was added so far."""
        hasher = self._hasher.copy()
        hasher.update(self.size.to_bytes(8))
        return hasher.digest()

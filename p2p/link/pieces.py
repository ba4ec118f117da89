"""Bytes that wait, in pieces, at a cost in memory that is bounded by how many they are.

What arrives comes as views of larger buffers, and a view keeps its whole buffer alive. Somebody who sends single
bytes could so make every one of them cost kilobytes: small pieces are copied together, those that are a small part of
their buffer are copied, and others are kept as they are. So what waits costs at most eight times its bytes.
Pure.
"""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["SMALL", "Pieces", "owned"]

SMALL: Final = 4096
"""Bytes below which a piece is copied: a quarter of what one TLS record holds."""

_PART: Final = 8  # a view of less than an eighth of its buffer is copied


def owned(data: bytes | memoryview) -> bytes | memoryview:
    """The same bytes, copied if they would keep alive more than eight times as many."""
    if isinstance(data, memoryview) and memoryview(data.obj).nbytes > _PART * len(data):
        return bytes(data)
    return data


class Pieces:
    """A queue of bytes.

    :ivar size: how many bytes wait.
    """

    __slots__ = ("_pieces", "size")

    def __init__(self) -> None:
        self._pieces: deque[bytes | memoryview | bytearray] = deque()
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def append(self, data: bytes | memoryview) -> None:
        """Add bytes at the end."""
        self.size += len(data)
        if len(data) >= SMALL:
            self._pieces.append(owned(data))
            return
        last = self._pieces[-1] if self._pieces else None
        if isinstance(last, bytearray) and len(last) < SMALL:
            last += data
        else:
            self._pieces.append(bytearray(data))

    def popleft(self) -> memoryview:
        """Take the first piece out."""
        piece = memoryview(self._pieces.popleft())
        self.size -= len(piece)
        return piece

    def take(self) -> list[memoryview]:
        """Take all pieces out."""
        pieces = [memoryview(piece) for piece in self._pieces]
        self.clear()
        return pieces

    def clear(self) -> None:
        """Forget everything."""
        self._pieces.clear()
        self.size = 0

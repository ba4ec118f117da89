"""Bytes that wait, in pieces, at a cost in memory that is bounded by how many they are.

What arrives comes as views of larger buffers, and a view keeps its whole buffer alive. Somebody who sends single
bytes could so make every one of them cost kilobytes: small pieces are copied together, those that are a small part of
their buffer are copied, and others are kept as they are. So what waits costs at most eight times its bytes.
Pure.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

from p2p.link.events import DataReceived, Event

__all__ = ["SMALL", "Pieces", "owned", "parted"]

SMALL: Final = 4096
"""Bytes below which a piece is copied: a quarter of what one TLS record holds."""

LARGE: Final = 65_536
"""Bytes that arrive at once up to which it doesn't matter whose they are."""

_PART: Final = 8  # a view of less than an eighth of its buffer is copied


def owned(data: bytes | memoryview) -> bytes | memoryview:
    """The same bytes, copied if they would keep alive more than eight times as many."""
    if isinstance(data, memoryview) and memoryview(data.obj).nbytes > _PART * len(data):
        return bytes(data)
    return data


def parted(events: list[Event], size: int) -> list[Event]:
    """The same events, with copies of the data of streams that have less than half of what arrived.

    Many streams that keep a little of it each would keep all of it in memory, and it would count for none of them.

    :param size: bytes that arrived at once.
    """
    if size <= LARGE:
        return events
    sizes: Counter[int] = Counter()
    for event in events:
        if isinstance(event, DataReceived):
            sizes[event.stream_id] += len(event.data)
    if all(2 * own >= size for own in sizes.values()):
        return events
    return [
        DataReceived(event.stream_id, memoryview(bytes(event.data)))
        if isinstance(event, DataReceived) and 2 * sizes[event.stream_id] < size
        else event
        for event in events
    ]


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

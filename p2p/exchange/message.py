"""A message on a stream: head, body in chunks, tail.

One exchange is a request and its reply, and each of them is a message::

    head   an AMP box: service, type, name, length, ...
    body   chunks: 4 bytes of length (big-endian, 1 to 4 MiB), then so many bytes
    end    4 zero bytes
    tail   an AMP box: what is known only after the body, such as its digest or the outcome

The tail is why the body is cut into chunks: a sender needs no pass over a file before its first byte leaves, a
service that streams can still say how it ended, and a message without its tail is known to be truncated.
Pure: bytes in, events out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from p2p.base.errors import ProtocolViolation
from p2p.link.boxes import Box, BoxParser, encode_box

__all__ = ["Body", "Head", "MessageDecoder", "MessageEvent", "Tail", "encode_chunk", "encode_head", "encode_tail"]
__all__ += ["encode_pieces"]

MAX_CHUNK: Final = 4 * 1024 * 1024
"""The largest chunk that is read; nothing is stored a chunk at a time, so it bounds nonsense, not memory."""


@dataclass(frozen=True, slots=True)
class Head:
    """The message begins."""

    box: Box


@dataclass(frozen=True, slots=True)
class Body:
    """Some bytes of the body, cut anywhere."""

    data: memoryview


@dataclass(frozen=True, slots=True)
class Tail:
    """The message is complete."""

    box: Box


MessageEvent = Head | Body | Tail


def encode_head(fields: Mapping[str, str | bytes]) -> bytes:
    """Encode what opens a message."""
    return encode_box(fields)


def encode_chunk(data: bytes | memoryview) -> list[bytes | memoryview]:
    """Frame some bytes of the body, without copying them; empty data gives nothing."""
    size = len(data)
    if size <= MAX_CHUNK:
        return [size.to_bytes(4), data] if size else []
    view = memoryview(data)
    parts: list[bytes | memoryview] = []
    for start in range(0, size, MAX_CHUNK):
        part = view[start : start + MAX_CHUNK]
        parts += (len(part).to_bytes(4), part)
    return parts


def encode_pieces(pieces: Iterable[bytes | memoryview]) -> list[bytes | memoryview]:
    """Frame the body's bytes in pieces, as few chunks as can be, without copying them."""
    parts: list[bytes | memoryview] = []
    chunk: list[bytes | memoryview] = []
    size = 0

    def end_chunk() -> None:
        if size:
            parts.append(size.to_bytes(4))
            parts.extend(chunk)
            chunk.clear()

    for piece in pieces:
        if size + len(piece) > MAX_CHUNK:
            end_chunk()
            size = 0
        if len(piece) > MAX_CHUNK:
            parts += encode_chunk(piece)
        elif len(piece):
            chunk.append(piece)
            size += len(piece)
    end_chunk()
    return parts


def encode_tail(fields: Mapping[str, str | bytes]) -> bytes:
    """Encode the end of the body and what closes the message."""
    return b"\0\0\0\0" + encode_box(fields)


class MessageDecoder:
    """Reads one message from bytes cut anywhere.

    :param limit: the most bytes that its head, and its tail, may take.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._boxes: BoxParser | None = BoxParser(limit)
        self._head_seen = False
        self._head_bytes = 0
        self._size = bytearray()
        self._left = 0
        self.complete = False

    @property
    def held(self) -> int:
        """Bytes that are kept of the head, or of head and tail."""
        return self._head_bytes + (0 if self._boxes is None else self._boxes.held)

    def feed(self, data: memoryview) -> list[MessageEvent]:
        """Take bytes in and say what they are.

        :raises ProtocolViolation: if they aren't a message, or go on after its tail.
        """
        events: list[MessageEvent] = []
        while len(data):
            if self.complete:
                raise ProtocolViolation("bytes after the end of a message")
            if self._boxes is not None:
                data = self._feed_box(self._boxes, data, events)
            elif self._left:
                part = data[: self._left]
                self._left -= len(part)
                events.append(Body(part))
                data = data[len(part) :]
            else:
                data = self._feed_size(data)
        return events

    def _feed_box(self, parser: BoxParser, data: memoryview, events: list[MessageEvent]) -> memoryview:
        box, rest = parser.feed(data)
        if box is not None:
            self._boxes = None
            self._head_bytes += parser.held
            self.complete = self._head_seen
            events.append(Tail(box) if self._head_seen else Head(box))
            self._head_seen = True
        return rest

    def _feed_size(self, data: memoryview) -> memoryview:
        missing = 4 - len(self._size)
        self._size += data[:missing]
        if len(self._size) == 4:
            self._left = int.from_bytes(self._size)
            self._size.clear()
            if self._left > MAX_CHUNK:
                raise ProtocolViolation(f"a chunk of {self._left} bytes; at most {MAX_CHUNK} are allowed")
            if self._left == 0:
                self._boxes = BoxParser(self._limit)
        return data[missing:]

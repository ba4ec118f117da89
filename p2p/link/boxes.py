"""AMP boxes on a byte stream: the hello of a link, the head and tail of a message, and the records of a body.

A box is a sequence of pairs, each a key and a value with 2 bytes of length before them (big-endian), ended by an
empty key (``twisted.protocols.amp``, "Protocol"). Keys have 1 to 255 bytes of ASCII, values up to 65,535; a box has
at most 64 pairs.
Pure: bytes in, mappings out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from p2p.base.errors import ProtocolViolation

__all__ = ["Box", "BoxParser", "BoxReader", "encode_box", "text_of"]

Box = dict[str, bytes]
"""A parsed box: key to value."""

_MAX_KEY: Final = 255
_MAX_VALUE: Final = 65535
_MAX_PAIRS: Final = 64  # more than any box of ours has; thousands of tiny ones would take 20 times their bytes


def encode_box(fields: Mapping[str, str | bytes]) -> bytes:
    """Encode a mapping as a box; texts become UTF-8.

    :raises ValueError: if a key or a value is longer than a box can hold, or there are too many of them.
    """
    if len(fields) > _MAX_PAIRS:
        raise ValueError(f"a box of {len(fields)} fields; at most {_MAX_PAIRS} are allowed")
    parts: list[bytes] = []
    for key, value in fields.items():
        name = key.encode("ascii")
        content = value.encode() if isinstance(value, str) else value
        if not 0 < len(name) <= _MAX_KEY or len(content) > _MAX_VALUE:
            raise ValueError(f"box field {key[:40]!r} is too long: {len(name)} and {len(content)} bytes")
        parts += (len(name).to_bytes(2), name, len(content).to_bytes(2), content)
    parts.append(b"\0\0")
    return b"".join(parts)


def text_of(box: Box, key: str, default: str = "") -> str:
    """Return a value as text.

    :raises ProtocolViolation: if it isn't UTF-8.
    """
    value = box.get(key)
    if value is None:
        return default
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise ProtocolViolation(f"the value of {key!r} in a box isn't UTF-8") from error


class BoxParser:
    """Gathers one box from bytes cut anywhere, and leaves what follows it; use a new one for the next box.

    :param limit: the most bytes that the whole box may take.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._at = 0
        self._key: str | None = None
        self._box: Box = {}

    @property
    def held(self) -> int:
        """Bytes that have come."""
        return len(self._buffer)

    def feed(self, data: memoryview) -> tuple[Box | None, memoryview]:
        """Take bytes in.

        :returns: the box once it is whole, else None; and the bytes that come after it.
        :raises ProtocolViolation: if the bytes are no box, repeat a key, or pass the limit of bytes or of pairs.
        """
        before = len(self._buffer)
        self._buffer += data[: self._limit + 1 - before]
        while (piece := self._piece()) is not None:
            if self._key is None:
                if not piece:
                    return self._box, data[self._at - before :]
                self._key = self._checked_key(piece)
            else:
                self._box[self._key] = piece
                self._key = None
        if len(self._buffer) > self._limit:
            raise ProtocolViolation(f"a box of more than {self._limit} bytes")
        return None, data[len(data) :]

    def _piece(self) -> bytes | None:
        """The next length-prefixed piece, if all of it is here and within the limit."""
        start = self._at + 2
        if len(self._buffer) < start:
            return None
        length = int.from_bytes(self._buffer[self._at : start])
        if self._key is None and length > _MAX_KEY:
            raise ProtocolViolation(f"no AMP box: a key of {length} bytes")
        if len(self._buffer) < start + length or start + length > self._limit:
            return None
        self._at = start + length
        return bytes(self._buffer[start : self._at])

    def _checked_key(self, piece: bytes) -> str:
        if not piece.isascii() or piece.decode("ascii") in self._box:
            raise ProtocolViolation("no AMP box: a key that isn't ASCII or stands twice")
        if len(self._box) == _MAX_PAIRS:
            raise ProtocolViolation(f"a box of more than {_MAX_PAIRS} fields")
        return piece.decode("ascii")


class BoxReader:
    """Reads one box after another from bytes cut anywhere: thousands come in a row, and most of them whole.

    :param limit: the most bytes that one box may take; so much is held at most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()
        self._need = 0  # bytes with which it can be read a step further, so that few bytes at a time cost no more

    @property
    def between(self) -> bool:
        """Whether the bytes so far end with a box."""
        return not self._held

    def feed(self, data: bytes | memoryview) -> list[Box]:
        """Take bytes in and return the boxes that they complete.

        :raises ProtocolViolation: if they are none, or one is too large.
        """
        if self._held:
            self._held += data
            if len(self._held) < self._need:
                return []
            raw = bytes(self._held)
        else:
            raw = bytes(data)
        boxes: list[Box] = []
        at = 0
        while at < len(raw):
            box, end = self._box(raw, at)
            if end - at > self._limit:
                raise ProtocolViolation(f"a box of more than {self._limit} bytes")
            if box is None:
                self._need = end - at
                break
            boxes.append(box)
            at = end
        self._held = bytearray(raw[at:])
        return boxes

    def _box(self, raw: bytes, start: int) -> tuple[Box | None, int]:
        """The box that begins at a place and where it ends; None if it isn't whole, and what must be here first."""
        box: Box = {}
        at = start
        while len(raw) >= at + 2:
            length = raw[at] << 8 | raw[at + 1]
            at += 2
            if not length:
                return box, at
            if length > _MAX_KEY or len(box) == _MAX_PAIRS:
                raise ProtocolViolation(f"no AMP box: a key of {length} bytes, after {len(box)} others")
            end = at + length + 2
            if len(raw) < end:
                return None, end
            key = raw[at : end - 2]
            if not key.isascii() or (name := key.decode("ascii")) in box:
                raise ProtocolViolation("no AMP box: a key that isn't ASCII or stands twice")
            at = end + (raw[end - 2] << 8 | raw[end - 1])
            if len(raw) < at:
                return None, at
            box[name] = raw[end:at]
        return None, at + 2

"""One AMP box after another, in a body that is cut anywhere. Pure.

:mod:`p2p.link.boxes` says what a box is, and reads a single one. Here thousands come in a row, and most of them whole.
"""

from __future__ import annotations

from typing import Final

from p2p.base.errors import ProtocolViolation
from p2p.link.boxes import Box

__all__ = ["BoxReader"]

_MAX_KEY: Final = 255
_MAX_PAIRS: Final = 64


class BoxReader:
    """Reads boxes.

    :param limit: the most bytes that one may take; so much is held at most.
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
            at = end + (raw[end - 2] << 8 | raw[end - 1])
            if len(raw) < at:
                return None, at
            if not key.isascii() or (name := key.decode("ascii")) in box:
                raise ProtocolViolation("no AMP box: a key that isn't ASCII or stands twice")
            box[name] = raw[end:at]
        return None, at + 2

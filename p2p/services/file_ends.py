"""Whether a file of sound or pictures breaks off, as far as its container says how long it is."""

from __future__ import annotations

import os
from typing import BinaryIO, Final

__all__ = ["breaks_off"]

_PAGE: Final = 65_307
"""Bytes of the longest page of Ogg (RFC 3533)."""

_UNKNOWN: Final = frozenset({0, 0xFFFFFFFF})
"""Lengths in RIFF of who wrote a stream, and didn't know."""

_BOXES: Final = 10_000
"""Boxes of a file that are looked at: one with more is no film."""


def breaks_off(file: BinaryIO) -> bool:
    """Tell whether the end of a file is missing.

    RIFF (WAV, AVI) says how long it is, ISO media (MP4) how long each of its boxes is, and the last page of Ogg that it
    is the last. Of other containers nothing is known here. The file is left wherever it was read last.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] == b"RIFF" and len(head) == 12:
        said = int.from_bytes(head[4:8], "little")
        return said not in _UNKNOWN and said + 8 > size
    if head[4:8] == b"ftyp":
        return _box_breaks_off(file, size)
    return head[:4] == b"OggS" and _ogg_breaks_off(file, size)


def _box_breaks_off(file: BinaryIO, size: int) -> bool:
    """Go from box to box (ISO/IEC 14496-12): the last one must end where the file does, and tell what is in it."""
    at, kinds = 0, set()
    for _ in range(_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            break
        length = int.from_bytes(head[:4])
        if length == 1:
            length = int.from_bytes(head[8:16])
        kinds.add(head[4:8])
        if length < 8:  # 0: to the end of the file; all else makes no sense
            at = size
            break
        at += length
    return at != size or b"moov" not in kinds


def _ogg_breaks_off(file: BinaryIO, size: int) -> bool:
    """See that the last page is there whole and says that it is the last."""
    file.seek(max(size - _PAGE, 0))
    end = file.read()
    at = end.rfind(b"OggS")
    page = end[at:] if at >= 0 else b""
    if len(page) < 27 or len(page) < 27 + page[26]:
        return True
    whole = 27 + page[26] + sum(page[27 : 27 + page[26]])
    return len(page) < whole or not page[5] & 4

"""Pictures of sound and of films, drawn without any library: PNG, a waveform, a contact sheet."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

__all__ = ["CELL", "CELLS", "Thumbnails", "contact_sheet", "png", "waveform"]

CELL: Final = (80, 48)
"""Width and height of a picture on a contact sheet, in pixels."""

CELLS: Final = 8
"""Pictures on a sheet, in rows of four."""

_ROW: Final = 4
_WAVE: Final = (384, 96)
_PAPER: Final = b"\xf4\xf4\xf1"
_INK: Final = b"\x2a\x5d\x84"


def png(width: int, height: int, pixels: bytes) -> bytes:
    """Encode rows of red, green and blue (ISO/IEC 15948)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    stride = 3 * width
    rows = b"".join(b"\0" + pixels[stride * row : stride * (row + 1)] for row in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b"")


def waveform(peaks: Sequence[tuple[int, int]]) -> bytes:
    """Draw how loud a sound is over its time, as PNG.

    :param peaks: the least and the greatest sample of each moment, of 16 bits, in order.
    """
    width, height = _WAVE
    pixels = bytearray(_PAPER * (width * height))
    for column in range(width if peaks else 0):
        first = column * len(peaks) // width
        part = peaks[first : max(first + 1, (column + 1) * len(peaks) // width)]
        top = _level(max(high for _, high in part), height)
        bottom = _level(min(low for low, _ in part), height)
        for row in range(top, bottom + 1):
            at = 3 * (row * width + column)
            pixels[at : at + 3] = _INK
    return png(width, height, bytes(pixels))


def _level(sample: int, height: int) -> int:
    return min(height - 1, max(0, (32768 - sample) * height // 65536))


class Thumbnails:
    """Gathers a few small pictures from however many come, evenly, without knowing how many that will be."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._every = 1
        self._seen = 0

    def wants_next(self) -> bool:
        """Whether the next picture is to be given to :meth:`add`; ask once for each picture."""
        wanted = self._seen % self._every == 0
        self._seen += 1
        return wanted

    def add(self, pixels: bytes) -> None:
        """Take a picture of the size of a cell."""
        self._kept.append(pixels)
        if len(self._kept) == 2 * CELLS:
            self._kept = self._kept[::2]
            self._every *= 2

    def chosen(self) -> list[bytes]:
        """The pictures for a sheet, from first to last."""
        count = min(CELLS, len(self._kept))
        return [self._kept[number * len(self._kept) // count] for number in range(count)]


def contact_sheet(pictures: Sequence[bytes]) -> bytes:
    """Lay pictures out in rows, as PNG."""
    width, height = CELL
    across = min(_ROW, max(1, len(pictures)))
    down = max(1, -(-len(pictures) // across))
    empty = _PAPER * (width * height)
    rows = []
    for line in range(down):
        cells = [*pictures[line * across : (line + 1) * across]]
        cells += [empty] * (across - len(cells))
        for row in range(height):
            rows += [cell[3 * width * row : 3 * width * (row + 1)] for cell in cells]
    return png(across * width, down * height, b"".join(rows))

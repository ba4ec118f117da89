"""Moving pictures of an exact size to measure with: MP4 that can be played to its end. Needs the extra ``media``."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from p2p.experiment.making import SMALLEST, noise

__all__ = ["video"]

FPS: Final = 24
"""Pictures a second, and how many are drawn: one second, over and over. The first of each second stands by itself."""

_EMPTY: Final = 1100
"""More than the bytes of an MP4 file around its pictures (ISO/IEC 14496-12), measured at 810."""

_EACH: Final = 20
"""More than the bytes that its tables have for one picture."""

_FILLER: Final = 8
"""Bytes of the smallest box."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """How pictures are encoded; ``bit_rate`` in bit/s, ``grain`` in levels of brightness."""

    width: int
    height: int
    bit_rate: int
    grain: int


def _shape(size: int) -> _Shape:
    """Choose larger pictures for larger files, so that none takes longer to play than it takes a person to wait."""
    if size < 64 * 1024:
        return _Shape(160, 96, 100_000, 2)
    return _Shape(320, 192, 1_000_000, 8) if size < 1024 * 1024 else _Shape(640, 384, 8_000_000, 16)


def video(size: int, seed: int) -> bytes:
    """Draw an MP4 file of exactly ``size`` bytes; what is left over goes into a ``free`` box at its end.

    :raises ValueError: if the size is below the smallest.
    """
    if size < SMALLEST["video"]:
        raise ValueError(f"an MP4 file has at least {SMALLEST['video']} bytes here, not {size}")
    made = _film(_shape(size), seed, size - _EMPTY - _FILLER)
    rest = size - len(made)
    return made + rest.to_bytes(4) + b"free" + noise(rest - _FILLER, seed)


def _film(shape: _Shape, seed: int, room: int) -> bytes:
    """Put the second into a file again and again, as many of its pictures as there is room for."""
    file = io.BytesIO()
    # bitexact leaves out what would differ from one run to the next.
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = _add(container, shape)
        second = _encode(stream, shape, seed)
        number = 0
        while (room := room - len(second[number % FPS]) - _EACH) >= 0:
            packet = Packet(second[number % FPS])
            packet.stream, packet.time_base = stream, Fraction(1, FPS)
            packet.pts = packet.dts = number
            packet.duration = 1
            packet.is_keyframe = number % FPS == 0
            container.mux(packet)
            number += 1
    return file.getvalue()


def _add(container: OutputContainer, shape: _Shape) -> VideoStream:
    stream = container.add_stream("mpeg4", rate=FPS)
    stream.width, stream.height, stream.pix_fmt = shape.width, shape.height, "yuv420p"
    context = stream.codec_context
    context.thread_count = 1  # Several would cut the work by the processors, and what comes out with it.
    context.flags |= Flags.bitexact
    context.bit_rate, context.gop_size = shape.bit_rate, FPS
    return stream


def _encode(stream: VideoStream, shape: _Shape, seed: int) -> list[bytes]:
    """Draw and encode one second."""
    packets: list[Packet[Any]] = []
    for number in range(FPS):
        frame = av.VideoFrame(shape.width, shape.height, "yuv420p")
        for plane, name in zip(frame.planes, "yuv", strict=True):
            plane.update(_draw(plane.line_size, plane.height, number, shape.grain, f"{name} {seed}"))
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        packets += stream.encode(frame)
    return [bytes(packet) for packet in [*packets, *stream.encode(None)]]


def _draw(width: int, height: int, number: int, most: int, key: str) -> bytes:
    """Draw one plane of a picture: a slope that drifts, under grain."""
    slope = bytes(56 + abs(place % 256 - 128) for place in range(width + 256))
    grains = bytes(level % most for level in range(256))
    rows = []
    for variant in range(8):
        grain = hashlib.shake_128(f"{key} {number} {variant}".encode()).digest(len(slope)).translate(grains)
        # All levels at once: no sum of two is above 255, so that none is carried to the next.
        rows.append((int.from_bytes(slope) + int.from_bytes(grain)).to_bytes(len(slope)))
    return b"".join(rows[row % 8][(row + 4 * number) % 256 :][:width] for row in range(height))

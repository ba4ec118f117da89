"""Content to measure with: text, sound, zeros and noise of an exact size, the same from the same seed. Pure.

Pictures need an encoder and are made in :mod:`p2p.experiment.making_video`.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal

__all__ = ["SMALLEST", "Content", "audio", "noise", "text", "zeros"]

Content = Literal["text", "audio", "video", "zeros", "random"]

SMALLEST: Final[Mapping[Content, int]] = {"text": 1, "audio": 46, "video": 4096, "zeros": 1, "random": 1}
"""Bytes below which there is no valid content of a kind: a header of WAV with one sample, MP4 with one picture."""

RATE: Final = 16_000
"""Samples a second of the sound, 16 bits each: 31 KiB/s."""

PARAGRAPHS: Final = 64
"""After so many the text begins again."""

_HEADER: Final = 44
_TONES: Final = (220.0, 246.94, 277.18, 293.66, 329.63, 369.99, 415.3, 440.0)
_SENTENCES: Final = (
    "Every pair in the lab has a link of its own, and nobody else is on it.",
    "Die größte Straße führt über den Fluß, die kürzeste über die Brücke.",
    "A measurement that can't be repeated is a story, and stories are told elsewhere.",
    "Le câble est plus vieux que l'étudiant qui s'en sert, et il tient encore.",
    "Count what was sent, count what came back, and ask for the rest by name.",
    "Zwölf Rechner stehen am Fenster; dreizehn Kabel führen zur Tür.",
    "THE CLOCK OF THE ONE WHO ASKS IS THE ONLY CLOCK THAT COUNTS.",
    "El pequeño router sabe quién está despierto, y no pregunta por los demás.",
    "What takes ten times as long for ten times as much is a fair price.",
    "Smørrebrød is served at noon, and the network is quiet until one.",
    "One number is an anecdote; six of them have an interval.",
    "Příliš žluťoučký kůň úpěl ďábelské ódy, read the test page on the wall.",
    "If two things look the same, say how different they could still be.",
    "Häufig ist das, was langsam scheint, nur weit weg.",
    "A film, a song and a letter weigh the same when they have the same size.",
    "The last byte of a message is the first one that anybody waits for.",
)


def text(size: int, seed: int) -> bytes:
    """Write prose in UTF-8 of exactly ``size`` bytes."""
    paragraphs = "".join(_paragraph(f"{seed} {number}") for number in range(PARAGRAPHS)).encode()
    return _whole(_repeat(paragraphs, size))


def audio(size: int, seed: int) -> bytes:
    """Play a tune as WAV of exactly ``size`` bytes: one channel of 16 bits.

    RIFF has even sizes only; an odd size has one more byte after its end, which readers pass over.

    :raises ValueError: if the size is below the smallest.
    """
    if size < SMALLEST["audio"]:
        raise ValueError(f"a WAV file has at least {SMALLEST['audio']} bytes, not {size}")
    length = (size - _HEADER) // 2 * 2
    head = b"RIFF" + struct.pack("<I", length + 36) + b"WAVEfmt "
    head += struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16) + b"data" + struct.pack("<I", length)
    return head + _repeat(_tune(seed), length) + b"\0" * (size % 2)


def zeros(size: int) -> bytes:
    """Nothing but zeros."""
    return bytes(size)


def noise(size: int, seed: int) -> bytes:
    """Bytes without any order: SHAKE128 of the seed (FIPS 202)."""
    return hashlib.shake_128(f"noise {seed}".encode()).digest(size)


def _paragraph(key: str) -> str:
    shuffled = sorted(_SENTENCES, key=lambda sentence: hashlib.sha256(f"{key} {sentence}".encode()).digest())
    return "\n".join(shuffled[:7]) + "\n\n"


def _repeat(data: bytes, size: int) -> bytes:
    return (data * (size // len(data) + 1))[:size]


def _whole(data: bytes) -> bytes:
    """Put full stops for a character that is cut at the end; the size stays."""
    cut = data.decode(errors="ignore").encode()
    return cut + b"." * (len(data) - len(cut))


@lru_cache(maxsize=16)
def _tune(seed: int) -> bytes:
    """Four seconds: eight tones in an order drawn with the seed, with a little noise under them."""
    tones = sorted(_TONES, key=lambda tone: hashlib.sha256(f"tone {seed} {tone}".encode()).digest())
    length = RATE // 2
    hiss = hashlib.shake_128(f"hiss {seed}".encode()).digest(length * len(tones))
    samples = []
    for position, grain in enumerate(hiss):
        tone, within = tones[position // length], position % length
        loudness = 12000 * min(1.0, within / 200) * (1 - within / length)
        angle = 2 * math.pi * tone * within / RATE
        samples.append(round(loudness * (math.sin(angle) + 0.3 * math.sin(3 * angle))) + grain - 128)
    return struct.pack(f"<{len(samples)}h", *samples)

"""Make the sample files of this folder again: text, audio and video, each in several sizes.

``python data/make_samples.py [FOLDER]`` needs PyAV, which the extra ``dev`` of p2p installs. Text and WAV come out
the same everywhere; what FFmpeg encodes comes out the same with the same FFmpeg on the same kind of processor.
"""

from __future__ import annotations

import hashlib
import math
import struct
import sys
import textwrap
import wave
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, cast

import av
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.stream import VideoStream

SENTENCES: Final = (
    "A machine in the lab has a name, and whoever knows the name can talk to it.",
    "Die Straße zum Labor führt über den Fluß, und im Frühjahr steht das Wasser bis an die Brücke.",
    "THE ROUTER KNOWS WHO IS AWAKE; IT KEEPS NO LIST OF THOSE WHO SLEEP.",
    "Le réseau d'été relie la forêt à l'île, et chaque câble a été posé à la main.",
    "Ο δρόμος είναι μακρύς, αλλά το μήνυμα φτάνει πριν από τον αγγελιοφόρο.",
    "Two peers that have found each other need nobody else until one of them says goodbye.",
    "Zażółć gęślą jaźń, wrote the student from Łódź, and all of it came back in capitals.",
    "Fünf Großrechner stehen im Keller; draußen heißt der Weg noch immer Gießereistraße.",
    "Ask by name, listen first, and close the door when the guest has come in.",
    "ÅNGSTRÖM MEASURED LIGHT, we measure milliseconds, and both of us write the number down.",
    "Η Σοφία έστειλε τρεις ταινίες και κανένα καρέ δεν χάθηκε στον δρόμο.",
    "A short note must not wait for a long film, said the porter, and let the note pass.",
    "Měření začalo v šest hodin ráno, když v budově nebyl ještě nikdo.",
    "El pingüino preguntó por su cigüeña en la otra red, y la respuesta llegó enseguida.",
    "Whatever is lost is counted, and whatever is counted can be found.",
    "Съобщението тръгна от първия възел и стигна до четвъртия без заобикаляне.",
    "If the router falls silent, the talk goes on; a bridge needs its builder no longer once it stands.",
    "Smørrebrød, café crème, naïve façade: ordinary words with a few more dots and strokes.",
    "Ein Maß für alles gibt es nicht, aber für jede Größe gibt es eins.",
    "The clock on the wall ticks ½ a second late, which is ∞ more than the one in the machine.",
    "ΜΙΚΡΑ ΚΑΙ ΜΕΓΑΛΑ ΓΡΑΜΜΑΤΑ stand side by side, ὅπως σὲ παλιὰ βιβλία.",
    "Paint the sky 🌅 first, then the mountains 🏔, and send the picture before the colours dry.",
)
"""What the text files are put together from; in capitals some letters become longer, such as ß."""

TONES: Final = (220.0, 277.18, 329.63, 440.0, 329.63, 277.18, 246.94, 293.66)
"""The tune of every sound, in Hz; two tones a second."""

FADE: Final = 24
"""Samples at both ends of a tone over which it fades, so that it doesn't click."""

FPS: Final = 24
"""Pictures a second."""


@dataclass(frozen=True)
class Sound:
    """How a sound is encoded.

    :ivar rate: samples a second.
    :ivar bit_rate: bit/s; 0 for a codec without loss.
    :ivar sample_format: FFmpeg's name of what the codec takes, ``s16`` or ``fltp``.
    :ivar noise: the largest amplitude of the noise under the tune; what has no loss needs it to become large.
    """

    codec: str
    rate: int
    bit_rate: int
    sample_format: str = "s16"
    noise: int = 0


@dataclass(frozen=True)
class Picture:
    """How moving pictures are encoded; width and height are multiples of 2, ``bit_rate`` is in bit/s."""

    codec: str
    width: int
    height: int
    bit_rate: int
    options: tuple[tuple[str, str], ...] = ()


def text(size: int) -> bytes:
    """Put paragraphs together until they fill nearly ``size`` bytes of UTF-8; the last line is whole."""
    made = bytearray()
    number = 0
    while len(made) <= size:
        shuffled = sorted(SENTENCES, key=lambda sentence: hashlib.sha256(f"{number} {sentence}".encode()).digest())
        paragraph = " ".join(shuffled[:7])
        made += textwrap.fill(paragraph, 78).encode() + b"\n\n"
        number += 1
    return bytes(made[: made.rindex(b"\n", 0, size) + 1])


def tune(rate: int, seconds: float, noise: int = 0) -> list[int]:
    """Play the tones as samples of 16 bits, with ``noise`` (largest amplitude) under them."""
    total = round(rate * seconds)
    hiss = hashlib.shake_128(b"hiss").digest(total)
    length = rate // 2
    made = []
    for position in range(total):
        tone, within = TONES[position // length % len(TONES)], position % length
        loudness = 9000 * min(1.0, within / FADE, (length - within) / FADE)
        angle = 2 * math.pi * tone * within / rate
        sample = loudness * (math.sin(angle) + 0.3 * math.sin(3 * angle)) + noise * (hiss[position] - 128) / 128
        made.append(round(sample))
    return made


class Scene:
    """Moving pictures: a gradient that drifts under film grain, and a ball that bounces before it."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        length = width + 256
        self._plain = bytes(56 + abs(position % 256 - 128) for position in range(length))
        self._grainy = [
            bytes(level + grain % 32 - 16 for level, grain in zip(self._plain, self._grain(variant), strict=True))
            for variant in range(61)
        ]

    def planes(self, number: int) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Draw picture ``number`` as the rows of its planes Y, U and V, the last two at half size."""
        radius = self.height // 6
        x = self._bounce(5 * number, self.width, radius)
        y = self._bounce(3 * number, self.height, radius)
        luma = []
        for row in range(self.height):
            grainy = self._grainy[(row * 31 + number * 17) % len(self._grainy)]
            start = (row + 2 * number) % 256
            luma.append(_disc(grainy[start : start + self.width], x, row - y, radius, 225))
        return (
            luma,
            self._colour(number, 70, x // 2, y // 2, radius // 2),
            self._colour(128 - number, 190, x // 2, y // 2, radius // 2),
        )

    def _colour(self, shift: int, ball: int, x: int, y: int, radius: int) -> list[bytes]:
        starts = [(shift + 2 * row) % 256 for row in range(self.height // 2)]
        rows = [self._plain[start : start + self.width // 2] for start in starts]
        return [_disc(row, x, number - y, radius, ball) for number, row in enumerate(rows)]

    def _grain(self, variant: int) -> bytes:
        return hashlib.shake_128(f"grain {variant}".encode()).digest(len(self._plain))

    @staticmethod
    def _bounce(way: int, length: int, radius: int) -> int:
        room = length - 2 * radius
        return radius + abs(way % (2 * room) - room)


def _disc(row: bytes, x: int, dy: int, radius: int, level: int) -> bytes:
    if abs(dy) >= radius:
        return row
    half = math.isqrt(radius * radius - dy * dy)
    return row[: x - half] + bytes([level]) * (2 * half) + row[x + half :]


def write_wav(path: Path, rate: int, seconds: float) -> None:
    """Write the tune as WAV: one channel of 16 bits."""
    made = tune(rate, seconds)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(struct.pack(f"<{len(made)}h", *made))


def write_media(path: Path, seconds: float, sound: Sound, picture: Picture | None = None) -> None:
    """Encode the tune, and pictures if asked for, into the container that the suffix of ``path`` names."""
    # bitexact leaves out what would differ from one run to the next: dates, random ids, versions.
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        moving = None if picture is None else _add_pictures(container, picture)
        added = container.add_stream(sound.codec, rate=sound.rate, layout="mono", format=sound.sample_format)
        heard = cast(AudioStream, added)
        _settle(heard, sound.bit_rate)
        if picture is not None and moving is not None:
            _encode_pictures(container, moving, Scene(picture.width, picture.height), round(seconds * FPS))
        _encode_sound(container, heard, sound, seconds)


def _add_pictures(container: OutputContainer, picture: Picture) -> VideoStream:
    stream = cast(VideoStream, container.add_stream(picture.codec, rate=FPS, options=dict(picture.options)))
    stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, "yuv420p"
    _settle(stream, picture.bit_rate)
    return stream


def _settle(stream: VideoStream | AudioStream, bit_rate: int) -> None:
    context = stream.codec_context
    context.thread_count = 1  # Encoders with several threads cut the work, and so their output, by the processors.
    context.flags |= Flags.bitexact
    if bit_rate:
        context.bit_rate = bit_rate


def _encode_pictures(container: OutputContainer, stream: VideoStream, scene: Scene, frames: int) -> None:
    for number in range(frames):
        frame = av.VideoFrame(scene.width, scene.height, "yuv420p")
        for plane, rows in zip(frame.planes, scene.planes(number), strict=True):
            plane.update(b"".join(row.ljust(plane.line_size, b"\0") for row in rows))
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _encode_sound(container: OutputContainer, stream: AudioStream, sound: Sound, seconds: float) -> None:
    made = tune(sound.rate, seconds, noise=sound.noise)
    scale, code = (1, "h") if sound.sample_format == "s16" else (32768, "f")
    size = stream.codec_context.frame_size or 1024
    for start in range(0, len(made), size):
        part = made[start : start + size]
        frame = av.AudioFrame(sound.sample_format, "mono", len(part))
        values = part if code == "h" else [value / scale for value in part]
        frame.planes[0].update(struct.pack(f"={len(part)}{code}", *values))
        frame.rate, frame.pts, frame.time_base = sound.rate, start, Fraction(1, sound.rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def make(folder: Path) -> None:
    """Write every sample into a folder."""
    for kib in (1, 16, 256):
        (folder / f"text-{kib}k.txt").write_bytes(text(kib * 1024))
    write_wav(folder / "audio-32k.wav", 8000, 2.04)
    write_media(folder / "audio-256k.opus", 21, Sound("libopus", 48000, 80_000))
    write_media(folder / "audio-512k.flac", 8, Sound("flac", 44100, 0, noise=800))
    # The look-ahead of x264 along motion (macroblock tree) differs from run to run, so it is off.
    h264 = Picture("libx264", 320, 192, 138_000, options=(("mbtree", "0"),))
    write_media(folder / "video-96k.mp4", 4, Sound("aac", 44100, 48_000, "fltp"), h264)
    vp9 = Picture("libvpx-vp9", 320, 192, 300_000)
    write_media(folder / "video-256k.webm", 7, Sound("libopus", 48000, 48_000), vp9)
    mpeg4 = Picture("mpeg4", 448, 256, 650_000)
    write_media(folder / "video-896k.mkv", 10, Sound("libopus", 48000, 64_000), mpeg4)


def main() -> None:
    """Make the samples in the folder named as an argument, or in the script's own, and list them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    make(folder)
    for path in sorted(folder.glob("*-*k.*")):
        print(f"{path.stat().st_size:>8}  {path}")


if __name__ == "__main__":
    main()

"""The process that plays files for the service ``inspect``: decodes every frame and draws what it saw.

It gets open files over its socket, one after another, and answers each with a report. Decoders are large and content is
anybody's word, so they run here, with limits that the kernel keeps, and never in a daemon.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import socket
import struct
import sys
from array import array
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, cast

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame

from p2p.services.drawing import CELL, Thumbnails, contact_sheet, waveform
from p2p.services.file_ends import breaks_off

__all__ = ["MEMORY_BYTES", "Report", "Undecodable", "inspect", "main"]

MEMORY_BYTES: Final = 1_073_741_824
"""Address space of a worker: a picture that needs more doesn't decode."""

_FORMATS: Final = "aac,aiff,asf,au,avi,flac,flv,matroska,mov,mp3,mpeg,mpegts,ogg,wav,webm"
"""Containers that are tried. Playlists aren't among them: they would have other files opened."""

_GUESSED: Final = frozenset({"aac", "mp3", "mpeg", "mpegts", "flv"})
"""Containers that don't say how long they are."""

_MOMENT: Final = 256
"""Samples that are summed up as one moment of a waveform."""


class Undecodable(Exception):
    """A file can't be played; the text says why."""


@dataclass
class Report:
    """What a file holds, in the words of a reply's tail, and its picture as PNG."""

    fields: dict[str, str] = field(default_factory=dict)
    picture: bytes = b""


@dataclass
class _Sound:
    """The sound of a file, as it is played."""

    frames: int = 0
    samples: int = 0
    rate: int = 0
    channels: int = 0
    peaks: list[tuple[int, int]] = field(default_factory=list)
    _resampler: AudioResampler = field(default_factory=lambda: AudioResampler("s16", "mono", 16_000))

    def play(self, frame: AudioFrame) -> None:
        self.frames += 1
        self.samples += frame.samples
        self.rate, self.channels = frame.sample_rate, frame.layout.nb_channels
        for plain in self._resampler.resample(frame):
            samples = array("h", bytes(plain.planes[0])[: 2 * plain.samples])
            for start in range(0, len(samples), _MOMENT):
                moment = samples[start : start + _MOMENT]
                self.peaks.append((min(moment), max(moment)))

    @property
    def seconds(self) -> float:
        return self.samples / self.rate if self.rate else 0.0


@dataclass
class _Pictures:
    """The pictures of a file, as they are played."""

    frames: int = 0
    width: int = 0
    height: int = 0
    begin: float = 0.0
    end: float = 0.0
    thumbnails: Thumbnails = field(default_factory=Thumbnails)

    def play(self, frame: VideoFrame, each: float) -> None:
        at = self.end if frame.pts is None else frame.time
        self.begin = min(self.begin, at) if self.frames else at
        self.end = max(self.end, at + each)
        self.frames += 1
        self.width, self.height = frame.width, frame.height
        if self.thumbnails.wants_next():
            small = frame.reformat(*CELL, format="rgb24").planes[0]
            data, stride, row = bytes(small), small.line_size, 3 * CELL[0]
            self.thumbnails.add(b"".join(data[stride * line :][:row] for line in range(CELL[1])))

    @property
    def seconds(self) -> float:
        return self.end - self.begin


def inspect(file: BinaryIO) -> Report:
    """Play a file to its end.

    :raises Undecodable: if that isn't possible.
    """
    try:
        with av.open(file, "r", options={"format_whitelist": _FORMATS, "protocol_whitelist": "none"}) as container:
            report = _play(container)
    except MemoryError as error:
        raise Undecodable("it needs too much memory") from error
    except av.error.FFmpegError as error:
        raise Undecodable(_why(file, error)) from error
    if breaks_off(file):
        raise Undecodable(f"it breaks off after {float(report.fields['duration_s']):.1f} s")
    return report


def _why(file: BinaryIO, error: av.error.FFmpegError) -> str:
    if breaks_off(file):
        return "it breaks off before its end"
    if error.errno == errno.EINVAL:  # what FFmpeg says of a container that it may not open
        return f"it isn't in any container that is played here: {_FORMATS.replace(',', ', ')}"
    if isinstance(error, av.error.InvalidDataError):
        return "it is damaged, or no sound or film"
    return error.strerror or "it is damaged"


def _play(container: InputContainer) -> Report:
    pictures, sound = _Pictures(), _Sound()
    # A song's cover is a picture too, but nothing that is played.
    moving = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    streams = [*moving[:1], *container.streams.audio[:1]]
    if not streams:
        raise Undecodable("it has neither sound nor moving pictures")
    each = float(1 / moving[0].average_rate) if moving and moving[0].average_rate else 0.0
    for stream in streams:
        stream.codec_context.thread_count = 1  # the other processors have their own files to play
        stream.codec_context.options = {"err_detect": "explode"}
    said = (container.duration or 0) / av.time_base
    try:
        for packet in container.demux(streams):
            for frame in packet.decode():
                if isinstance(frame, VideoFrame):
                    pictures.play(frame, each)
                else:
                    sound.play(cast(AudioFrame, frame))
    except av.error.InvalidDataError as error:
        seconds = max(pictures.seconds, sound.seconds)
        if not seconds:
            raise
        raise Undecodable(f"it breaks off or is damaged after {seconds:.1f} of {said:.1f} s") from error
    if (moving and not pictures.frames) or (container.streams.audio and not sound.frames):
        raise Undecodable("nothing in it can be played")
    seconds = max(pictures.seconds, sound.seconds)
    if container.format.name not in _GUESSED and seconds < 0.9 * said - 1:
        raise Undecodable(f"it breaks off after {seconds:.1f} of {said:.1f} s")
    return _report(container, [stream.codec_context.name for stream in streams], pictures, sound, seconds)


def _report(container: InputContainer, codecs: list[str], pictures: _Pictures, sound: _Sound, seconds: float) -> Report:
    fields = {
        "container": container.format.name,
        "codecs": ",".join(codecs),
        "duration_s": f"{seconds:.6f}",
        "frames": str(pictures.frames or sound.frames),
    }
    if pictures.frames:
        fields |= {"width": str(pictures.width), "height": str(pictures.height)}
    if sound.frames:
        fields |= {"rate": str(sound.rate), "channels": str(sound.channels)}
    return Report(fields, contact_sheet(pictures.thumbnails.chosen()) if pictures.frames else waveform(sound.peaks))


def main(arguments: list[str]) -> None:
    """Play what comes over the socket, until its other end closes.

    :param arguments: the descriptor of the socket, and the seconds after which a file that still plays ends the
        process, should nobody be left to do it.
    """
    descriptor, seconds = int(arguments[0]), float(arguments[1])
    _confine()
    with socket.socket(fileno=descriptor) as link:
        while True:
            data, files, _, _ = socket.recv_fds(link, 1, 1)
            if not data:
                return
            signal.setitimer(signal.ITIMER_REAL, seconds)
            _answer(link, files[0])
            signal.setitimer(signal.ITIMER_REAL, 0)


def _confine() -> None:
    """Let the kernel keep a decoder from memory, files and dumps that it doesn't need."""
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, hard))
    av.logging.set_level(None)


def _answer(link: socket.socket, descriptor: int) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    answer: dict[str, Any]
    picture = b""
    with os.fdopen(descriptor, "rb") as file:
        try:
            report = inspect(cast(BinaryIO, file))
        except Undecodable as error:
            answer = {"undecodable": str(error)}
        else:
            answer, picture = {"fields": report.fields}, report.picture
    text = json.dumps(answer).encode()
    link.sendall(struct.pack(">II", len(text), len(picture)) + text + picture)


if __name__ == "__main__":
    main(sys.argv[1:])

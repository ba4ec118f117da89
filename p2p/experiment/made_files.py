"""Files with content to measure with, each made once into a folder. Pictures need the extra ``media``."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

from p2p.base.errors import LocalFileError, P2PError
from p2p.experiment import making
from p2p.experiment.making import SMALLEST, Content
from p2p.services.inspect_workers import MEDIA_MISSING, has_media

__all__ = ["MadeFiles", "MediaMissing", "make_content"]

_SUFFIXES: Final = {"text": "txt", "audio": "wav", "video": "mp4", "zeros": "zeros", "random": "random"}


class MediaMissing(P2PError):
    """What encodes and decodes pictures isn't installed."""


def make_content(content: Content, size: int, seed: int) -> bytes:
    """Make content of exactly so many bytes, the same from the same seed.

    What is smaller than the smallest valid content of its kind is the beginning of that: good enough for a service that
    doesn't look inside. Pictures are the same where FFmpeg is the same.

    :raises MediaMissing: for pictures, without PyAV.
    """
    whole = max(size, SMALLEST[content])
    match content:
        case "text":
            made = making.text(whole, seed)
        case "audio":
            made = making.audio(whole, seed)
        case "video":
            made = _video(whole, seed)
        case "zeros":
            made = making.zeros(whole)
        case _:
            made = making.noise(whole, seed)
    return made[:size]


def _video(size: int, seed: int) -> bytes:
    if not has_media():
        raise MediaMissing(f"no video can be made: {MEDIA_MISSING}")
    from p2p.experiment.making_video import video

    return video(size, seed)


class MadeFiles:
    """A folder of such files; several processes may use it at once.

    :param folder: is made if it isn't there; whatever has the right name and size in it is taken for what it says.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed

    def path(self, content: Content, size: int) -> Path:
        """Where the file of that content is, or will be."""
        return self._folder / f"{content}-{size}-{self._seed}.{_SUFFIXES[content]}"

    def get(self, content: Content, size: int) -> Path:
        """Make a file, unless it is there; it appears whole or not at all. This blocks: call it in a thread.

        :raises LocalFileError: if the disk doesn't take it.
        :raises MediaMissing: for pictures, without PyAV.
        """
        path = self.path(content, size)
        try:
            if path.is_file() and path.stat().st_size == size:
                return path
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write(path, make_content(content, size, self._seed))
        except OSError as error:
            raise LocalFileError(
                f"{path}: {error.strerror}; content to measure with goes there; make room or name another folder"
            ) from error
        return path

    def _write(self, path: Path, data: bytes) -> None:
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".making-", delete=False) as file:
            try:
                file.write(data)
                file.flush()
                os.replace(file.name, path)  # noqa: PTH105 - the name of an open file is text
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise

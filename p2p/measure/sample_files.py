"""Files that come with p2p beside its code: in a checkout, or where an installed wheel puts them.

Among them are the samples: text, audio and video of several sizes, to send about.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from p2p.base.errors import P2PError

__all__ = ["ContentType", "SampleFile", "installed_folders", "samples"]

ContentType = Literal["text", "audio", "video"]

_CONTENT_TYPES: Final[tuple[ContentType, ...]] = get_args(ContentType)


@dataclass(frozen=True, slots=True)
class SampleFile:
    """One sample file.

    :ivar name: its file name, ``audio-32k.wav``; what stands before the first hyphen is its content type.
    :ivar size: in bytes.
    """

    name: str
    path: Path
    content_type: ContentType
    size: int


def installed_folders(name: str) -> list[Path]:
    """Where a folder that comes with p2p may be: beside the package (a checkout), then below ``share/p2p``."""
    installed = (sysconfig.get_path("data"), sysconfig.get_path("data", sysconfig.get_preferred_scheme("user")))
    return [Path(__file__).resolve().parents[2] / name, *(Path(base) / "share/p2p" / name for base in installed)]


def samples(folders: Iterable[Path] | None = None) -> list[SampleFile]:
    """List the sample files, by content type (text, audio, video) and then by size.

    :param folders: where to look; the first that holds every content type counts. Without it: ``data`` beside the
        package (a checkout), then ``share/p2p/data`` where an installed wheel puts it.
    :raises P2PError: if none of the folders holds them.
    """
    searched = installed_folders("data") if folders is None else list(folders)
    for folder in searched:
        found = [sample for content_type in _CONTENT_TYPES for sample in _of_type(folder, content_type)]
        if {sample.content_type for sample in found} == set(_CONTENT_TYPES):
            return found
    raise P2PError(
        f"no text, audio and video samples in {' or '.join(str(folder) for folder in searched)}; "
        "run 'make samples' in a checkout of p2p, or install p2p again"
    )


def _of_type(folder: Path, content_type: ContentType) -> list[SampleFile]:
    found = [
        SampleFile(path.name, path, content_type, path.stat().st_size)
        for path in folder.glob(f"{content_type}-*.*")
        if path.is_file()
    ]
    return sorted(found, key=lambda sample: (sample.size, sample.name))

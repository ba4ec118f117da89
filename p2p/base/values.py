"""Values as people write them, in YAML files, on consoles and on the command line: choices, sizes and times. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Final, Literal, get_args

__all__ = [
    "DATA",
    "TYPES",
    "ContentType",
    "Exists",
    "Links",
    "duration_text",
    "parse_duration",
    "parse_rate",
    "parse_size",
    "type_of",
]

ContentType = Literal["text", "audio", "video", "data"]
"""What content is; rules go by it."""

DATA: Final = "data"
"""The type of what has no other."""

TYPES: Final[tuple[ContentType, ...]] = get_args(ContentType)
"""All of them."""

Exists = Literal["rename", "replace", "refuse"]
"""What to do where a name is taken."""

Links = Literal["keep", "refuse"]
"""Whether symbolic links are kept as links or left out."""

_ENDINGS: Final[Mapping[ContentType, str]] = {
    "text": "adoc asc asm bat c cc cfg conf cpp cs css csv diff eml go h hh hpp htm html ics ini java js json jsonl jsx"
    " kt less log lua m3u md mjs org patch php pl po ps1 py r rb rs rst rtf scala scss sgml sh sql srt svg tex toml"
    " tsv tsx txt vcf vtt xhtml xml yaml yml",
    "audio": "3ga aac ac3 aif aifc aiff amr ape au caf dsf flac m4a m4b mid midi mka mp2 mp3 mpc oga ogg opus ra snd"
    " spx tta wav weba wma wv",
    "video": "3g2 3gp asf avi divx f4v flv h264 h265 hevc m1v m2ts m2v m4v mk3d mkv mov mp4 mpe mpeg mpg mts mxf ogm"
    " ogv qt rm rmvb vob webm wmv y4m",
}

_TYPES: Final = {ending: kind for kind, endings in _ENDINGS.items() for ending in endings.split()}

_SIZE: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)")

_UNITS: Final = {"": 1, "b": 1} | {
    unit.format(letter): base ** (power + 1)
    for power, letter in enumerate("kmgt")
    for unit, base in (("{}", 1000), ("{}b", 1000), ("{}ib", 1024))
}
"""Bytes in each unit, lower case: 1000 for ``kB`` and 1024 for ``KiB`` (IEC 80000-13)."""

_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*")

_SECONDS: Final = {"d": 86400, "h": 3600, "min": 60, "m": 60, "s": 1, "": 1}


def type_of(path: str) -> ContentType:
    """The content type that the name at the end of a path says, the same on every machine; capitals don't matter.

    An ending that stands for several things, such as ``.ts``, is that of data.
    """
    _, dot, ending = path.rpartition("/")[2].rpartition(".")
    return _TYPES.get(ending.lower(), DATA) if dot else DATA


def parse_size(text: str) -> int:
    """Read a size in bytes.

    :raises ValueError: if it is none.
    """
    found = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(found[2].lower()) if found is not None else None
    if found is None or unit is None:
        raise ValueError(f"{text!r} is no size; write it like 500kB, 10MB, 2GiB or 4096")
    return int(Fraction(found[1]) * unit)


def parse_duration(text: str, most: float | None = None) -> float:
    """Read ``90``, ``90s``, ``1h 30min`` or ``2d`` as seconds.

    :raises ValueError: if it is none, or more than there may be.
    """
    seconds, end = 0.0, 0
    for part in _PART.finditer(text.strip()):
        if part.start() != end or part[2] not in _SECONDS:
            break
        seconds += float(part[1]) * _SECONDS[part[2]]
        end = part.end()
    if not end or end != len(text.strip()):
        raise ValueError(f"{text!r} is no time; write it like 90s, 10min, 1h or 2d")
    if most is not None and seconds > most:
        raise ValueError(f"{text!r} is more than {duration_text(most)}")
    return seconds


def parse_rate(text: str, least: int | None = None) -> int:
    """Read ``500kB/s`` or ``2MiB`` as bytes a second.

    :raises ValueError: if it is none, or less than there may be.
    """
    try:
        rate = parse_size(text.removesuffix("/s"))
    except ValueError as error:
        raise ValueError(f"{text!r} is no rate; write it like 500kB/s, 10MB/s or 2MiB/s") from error
    if least is not None and rate < least:
        raise ValueError(f"{text!r} is less than {least} bytes a second")
    return rate


def duration_text(seconds: float) -> str:
    """The shortest way to write a time that :func:`parse_duration` reads."""
    unit = next((unit for unit, size in _SECONDS.items() if seconds % size == 0), "s")
    return f"{seconds / _SECONDS[unit]:g}{unit}"

"""The content types, and which one a file has by the ending of its name: the same on every machine.

An ending that stands for several things, such as ``.ts``, is that of data. Pure.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DATA", "TYPES", "type_of"]

DATA: Final = "data"
"""The type of what has no other."""

_ENDINGS: Final = {
    "text": "adoc asc asm bat c cc cfg conf cpp cs css csv diff eml go h hh hpp htm html ics ini java js json jsonl jsx"
    " kt less log lua m3u md mjs org patch php pl po ps1 py r rb rs rst rtf scala scss sgml sh sql srt svg tex toml"
    " tsv tsx txt vcf vtt xhtml xml yaml yml",
    "audio": "3ga aac ac3 aif aifc aiff amr ape au caf dsf flac m4a m4b mid midi mka mp2 mp3 mpc oga ogg opus ra snd"
    " spx tta wav weba wma wv",
    "video": "3g2 3gp asf avi divx f4v flv h264 h265 hevc m1v m2ts m2v m4v mk3d mkv mov mp4 mpe mpeg mpg mts mxf ogm"
    " ogv qt rm rmvb vob webm wmv y4m",
}

_TYPES: Final = {ending: kind for kind, endings in _ENDINGS.items() for ending in endings.split()}

TYPES: Final = (*_ENDINGS, DATA)
"""All of them."""


def type_of(path: str) -> str:
    """The content type that the name at the end of a path says; capitals don't matter."""
    _, dot, ending = path.rpartition("/")[2].rpartition(".")
    return _TYPES.get(ending.lower(), DATA) if dot else DATA

"""Paths of the entries of a transfer, which come from another machine and must never leave the folder they go to.

A path is relative, its parts joined by ``/``. Linux allows any byte but ``/`` and NUL in a name: what isn't UTF-8 is
kept by way of Python's ``surrogateescape``, so that text and bytes can be turned into each other without loss.
Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from p2p.base.errors import P2PError

__all__ = ["MAX_DEPTH", "MAX_NAME", "MAX_PATH", "RESERVED", "InvalidPath", "checked_path", "numbered", "shown"]
__all__ += ["from_bytes", "stays_inside", "steering", "to_bytes"]

MAX_PATH: Final = 4096
"""Bytes of a whole path, as of Linux itself."""

MAX_NAME: Final = 255
"""Bytes of one part of a path, as of nearly every file system."""

MAX_DEPTH: Final = 64
"""Parts of a path: the receiver holds a descriptor for each folder on the way."""

RESERVED: Final = ".p2p-"
"""How the names of what p2p itself keeps in an inbox begin."""

_SHOWN: Final = 200  # characters of a path in a message to a person


_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Bidi_Control of Unicode (UAX #9): what comes after them is shown in another order, the ending of a name before it."""


class InvalidPath(P2PError, ValueError):
    """A path can't be that of an entry; the text names it and says why."""


def to_bytes(text: str) -> bytes:
    """The bytes that a path has on disk and on the wire.

    :raises InvalidPath: if the text stands for no bytes at all.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise InvalidPath(f"the path {shown(text)} can't be written as bytes; rename it") from error


def from_bytes(raw: bytes) -> str:
    """The text for the bytes of a path."""
    return raw.decode("utf-8", "surrogateescape")


def shown(text: str) -> str:
    """A path in quotes as a person may see it: short, and without anything that steers a terminal."""
    text = text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
    return repr(text)


def steering(text: str) -> str:
    """What in a name would steer a terminal, forge a line, or show the name as another one; empty if nothing does."""
    for character in text:
        if character < " " or "\x7f" <= character < "\xa0":
            return "a control character, such as a newline,"
        if character in "\u2028\u2029":
            return "a separator of lines or paragraphs"
        if character in _BIDI:
            return "a character that turns the direction of writing"
    return ""


def checked_path(text: str) -> tuple[str, ...]:
    """The parts of a path, which never lead out of the folder that they are taken in.

    A leading dash is a name like any other. What steers a terminal, breaks a line or turns the direction of writing
    isn't taken: lists of names and lines of a log couldn't be told apart, and a program could be shown as a picture.

    :raises InvalidPath: if it is empty, absolute, has parts such as ``..``, is too long or too deep, or is reserved.
    """
    raw = to_bytes(text)
    if not raw:
        raise _invalid(text, "is empty")
    if len(raw) > MAX_PATH:
        raise _invalid(text, f"is longer than {MAX_PATH} bytes")
    if raw[0] == 0x2F:
        raise _invalid(text, "is absolute; only relative ones are taken")
    if not text.isprintable():
        text = from_bytes(raw)  # escaped bytes that together are a character become that character
        if what := steering(text):
            raise _invalid(text, f"has {what} in it; rename it")
    parts = tuple(text.split("/"))
    if len(parts) > MAX_DEPTH:
        raise _invalid(text, f"is more than {MAX_DEPTH} folders deep")
    for part in parts:
        if part in ("", ".", ".."):
            raise _invalid(text, f"has a part {part!r}, which is the name of nothing")
        if part.startswith(RESERVED):
            raise _invalid(text, f"has a part that begins with {RESERVED}, which marks what is under way; rename it")
        if len(part) > MAX_NAME // 4 and len(to_bytes(part)) > MAX_NAME:
            raise _invalid(text, f"has a part of more than {MAX_NAME} bytes; rename it")
    return parts


def stays_inside(parts: Sequence[str], target: str) -> bool:
    """Whether a link at a path leads to something in the folder of the transfer that it is in, if its links do so, too.

    A link that is in no folder may lead to what is beside it. ``..`` counts only at the start of a target: after a name
    it could go back from wherever a link of that name leads.
    """
    if target.startswith("/") or not target:
        return False
    steps = [step for step in target.split("/") if step not in ("", ".")]
    ups = 0
    while ups < len(steps) and steps[ups] == "..":
        ups += 1
    return ups <= max(len(parts) - 2, 0) and ".." not in steps[ups:]


def numbered(name: str, number: int) -> str:
    """The name with a number before its ending, ``film (2).mp4``, cut so that it isn't too long.

    A number of 0 leaves it as it is.
    """
    if not number:
        return name
    stem, dot, ending = name.rpartition(".")
    if not stem or not ending:
        stem, dot, ending = name, "", ""
    tail = f" ({number}){dot}{ending}"
    if len(to_bytes(tail)) > MAX_NAME // 2:  # an ending that long is none
        stem, tail = name, f" ({number})"
    room = MAX_NAME - len(to_bytes(tail))
    while len(to_bytes(stem)) > room:  # a character at a time, so that none of them is cut
        stem = stem[:-1]
    return stem + tail


def _invalid(text: str, reason: str) -> InvalidPath:
    return InvalidPath(f"the path {shown(text)} {reason}")

"""The types of a command's arguments and answers, as strict as docs/protocol.rst has them.

Twisted's own take what Python takes (``1_0``, a list that breaks off, a number of any length), and fail in Python's
words. These fail with a :class:`~p2p.base.errors.ProtocolViolation` that says in plain words which value doesn't fit.
"""

from __future__ import annotations

import re
from typing import Any, Final

from twisted.protocols import amp

from p2p.base.errors import ProtocolViolation

__all__ = ["Boolean", "Float", "Integer", "ListOf", "String", "Unicode"]

_INTEGER: Final = re.compile(rb"-?[0-9]{1,18}")
_FLOAT: Final = re.compile(rb"-?[0-9]{1,18}(\.[0-9]{1,20})?([eE][-+]?[0-9]{1,2})?")


class _Unfit(ValueError):
    """A value isn't what its type asks for; the text goes on after the value's name."""


class _Named(amp.Argument):
    """What all have in common: a fault is told with the name of the value."""

    def __init__(self, optional: bool = False) -> None:
        super().__init__(optional)  # type: ignore[no-untyped-call]  # Twisted's, untyped

    def fromBox(self, name: bytes, strings: dict[bytes, bytes], objects: dict[str, Any], proto: Any) -> None:
        """Take the value out of a box.

        :raises ProtocolViolation: if it isn't there, or isn't of this type.
        """
        if name not in strings and not self.optional:
            raise ProtocolViolation(f"{name.decode()} is missing")
        try:
            super().fromBox(name, strings, objects, proto)  # type: ignore[no-untyped-call]  # Twisted's, untyped
        except _Unfit as error:
            raise ProtocolViolation(f"{name.decode()} {error}") from error


class String(_Named, amp.String):
    """Bytes as they are."""


class Unicode(_Named, amp.Unicode):
    """Text, in UTF-8."""

    def fromString(self, inString: bytes) -> str:
        """Read a text."""
        try:
            return inString.decode()
        except UnicodeDecodeError as error:
            raise _Unfit("isn't UTF-8") from error


class Integer(_Named):
    """A whole number: at most 18 decimal digits, and ``-`` before one below zero."""

    def fromString(self, inString: bytes) -> int:
        """Read a whole number."""
        if not _INTEGER.fullmatch(inString):
            raise _Unfit("isn't a whole number of at most 18 digits")
        return int(inString)

    def toString(self, inObject: int) -> bytes:
        """Write a whole number."""
        return b"%d" % inObject


class Float(_Named):
    """A finite number, as Python prints one: ``30.0``, ``5e-05``."""

    def fromString(self, inString: bytes) -> float:
        """Read a number."""
        if not _FLOAT.fullmatch(inString):
            raise _Unfit("isn't a number")
        return float(inString)

    def toString(self, inObject: float) -> bytes:
        """Write a number."""
        return str(float(inObject)).encode()


class Boolean(_Named, amp.Boolean):
    """``True`` or ``False``."""

    def fromString(self, inString: bytes) -> bool:
        """Read yes or no."""
        if inString not in (b"True", b"False"):
            raise _Unfit("is neither True nor False")
        return inString == b"True"


class ListOf(_Named, amp.ListOf):
    """Values of one type, each with its length in 2 bytes before it."""

    def __init__(self, elementType: _Named, optional: bool = False) -> None:
        amp.ListOf.__init__(self, elementType, optional)

    def fromString(self, inString: bytes) -> list[Any]:
        """Read a list, which must end with its last element."""
        elements: list[Any] = []
        at = 0
        while at < len(inString):
            start = at + 2
            at = start + int.from_bytes(inString[at:start])
            if start > len(inString) or at > len(inString):
                raise _Unfit("breaks off within an element")
            try:
                elements.append(self.elementType.fromString(inString[start:at]))
            except _Unfit as error:
                raise _Unfit(f"has an element that {error}") from error
        return elements

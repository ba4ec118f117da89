"""Keys that are no longer believed: each revocation is a numbered statement of the authority. Pure.

Whoever has the first so many statements needs only those behind them, so they travel as they come, in any number, over
whoever has them: each is signed, so nobody can make one, and none is ever taken back. It is forgotten when the last
certificate of its key has ended. Numbers grow and have gaps; they are times (ms), so that they go on growing where an
authority has lost count.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from struct import Struct
from typing import Final, NamedTuple

from p2p.base.errors import P2PError

__all__ = ["PAGE_STATEMENTS", "STATEMENT_BYTES", "BadStatement", "Revocation", "RevocationList", "encode_statements"]
__all__ += ["hash_of", "make_revocation", "parse_statement", "split_statements"]

STATEMENT_BYTES: Final = 600
"""The longest statement, one that a key of RSA with 4,096 bits has signed; with P-256 it has about 125."""

PAGE_STATEMENTS: Final = 100
"""Statements that are told at once: as many of the longest fit into a value of AMP."""

_FIELDS: Final = Struct(">QQ32s")
_LENGTH: Final = Struct(">H")
_PURPOSE: Final = b"p2p revocation 1"


class BadStatement(P2PError):
    """What was told as a revocation isn't one, or the authority hasn't made it."""


class Revocation(NamedTuple):
    """One key that isn't believed any more.

    :ivar number: later ones have larger ones.
    :ivar until: when its last certificate ends, Unix seconds.
    :ivar key: see :func:`hash_of`.
    :ivar statement: all of that, and the signature.
    """

    number: int
    until: int
    key: bytes
    statement: bytes


def hash_of(public_key: bytes) -> bytes:
    """Return what stands for a key: the SHA-256 of its SubjectPublicKeyInfo, DER."""
    return sha256(public_key).digest()


def make_revocation(number: int, until: int, key: bytes, sign: Callable[[bytes], bytes]) -> Revocation:
    """Make a statement.

    :param sign: signs as the authority.
    """
    fields = _FIELDS.pack(number, until, key)
    return Revocation(number, until, key, fields + sign(_PURPOSE + fields))


def parse_statement(statement: bytes, verify: Callable[[bytes, bytes], bool]) -> Revocation:
    """Read a statement.

    :param verify: says whether a signature of the authority is right, given the signature and what is signed.
    :raises BadStatement: if it is none.
    """
    if not _FIELDS.size < len(statement) <= STATEMENT_BYTES:
        raise BadStatement(f"a revocation of {len(statement)} bytes")
    fields, signature = statement[: _FIELDS.size], statement[_FIELDS.size :]
    number, until, key = _FIELDS.unpack(fields)
    if number >= 1 << 59 or until >= 1 << 40:
        raise BadStatement("a revocation whose numbers can't be")
    if not verify(signature, _PURPOSE + fields):
        raise BadStatement("a revocation that the lab's authority hasn't signed")
    return Revocation(number, until, key, statement)


def encode_statements(statements: Iterable[bytes]) -> bytes:
    """Return the contents of a file with these statements."""
    return b"".join(_LENGTH.pack(len(one)) + one for one in statements)


def split_statements(data: bytes) -> list[bytes]:
    """Take the contents of a file apart; what is cut off at its end is left out."""
    found, at = [], 0
    while at + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size + length
        if at <= len(data):
            found.append(data[at - length : at])
    return found


class RevocationList:
    """The revocations that somebody knows.

    :ivar latest: the largest number that was ever in it, 0 if none was.
    """

    __slots__ = ("_keys", "_ordered", "latest")

    def __init__(self) -> None:
        self.latest = 0
        self._ordered: list[Revocation] = []
        self._keys: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._ordered)

    def __contains__(self, key: bytes) -> bool:
        """Whether a key is revoked, see :func:`hash_of`."""
        return key in self._keys

    @property
    def statements(self) -> list[bytes]:
        """All of them, in order."""
        return [one.statement for one in self._ordered]

    def add(self, revocations: Sequence[Revocation], now: float) -> list[Revocation]:
        """Take in what isn't known yet, and forget what has ended; returns what is new.

        What is older than what is known, and is known, changes nothing.
        """
        known = {one.number for one in self._ordered}
        new = [one for one in revocations if one.number not in known and one.until > now]
        self.latest = max([self.latest, *(one.number for one in revocations)])
        self._ordered = sorted((one for one in (*self._ordered, *new) if one.until > now), key=_number)
        self._keys = {one.key for one in self._ordered}
        return new

    def after(self, number: int) -> list[Revocation]:
        """Return the first ones behind a number, as many as are told at once."""
        start = bisect_right(self._ordered, number, key=_number)
        return self._ordered[start : start + PAGE_STATEMENTS]


def _number(revocation: Revocation) -> int:
    return revocation.number

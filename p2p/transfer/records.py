"""The records of which the body of a transfer is made, and how far a receiver has come.

A record is 1 byte of kind, 4 bytes of length (big-endian) and so many bytes of payload:

==== ================= ===========================================================================================
kind what              payload
==== ================= ===========================================================================================
E    entry             AMP box: ``path`` (raw bytes), ``kind`` (file, folder, link), ``mode`` (octal digits), ``mtime``
                       (ns since 1970), ``size`` (digits; left out if it isn't known), ``target`` (of a link, raw
                       bytes), ``offset`` (digits; bytes that the receiver has already), ``grew``
C    chunk             32 bytes of leaf, then 1 byte to 1 MiB of data
F    end of a file     32 bytes of root, then 8 bytes of size
X    given up          AMP box: ``path`` (raw bytes, maybe no valid path; ``/`` at its end if it is a folder and what is
                       in it doesn't come either), ``reason``, ``grew``
Z    end of transfer   AMP box: ``entries`` and ``bytes`` (digits), counted over all sessions of the transfer; ``grew``
==== ================= ===========================================================================================

An entry that is a file is followed by its chunks and its F, or by an X that takes it back; an X may also stand alone,
for what can't even be announced. With ``grew`` (``1``) a record says of the file whose F came before it that it had
become longer by then. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from p2p.base.errors import Outcome, ProtocolViolation
from p2p.base.texts import TEXT_CHARACTERS, printable
from p2p.exchange.paths import MAX_NAME, MAX_PATH, from_bytes, to_bytes
from p2p.link.boxes import Box, BoxParser, encode_box, text_of
from p2p.link.pieces import Pieces
from p2p.transfer.tree import CHUNK, LEAF

__all__ = ["FAR_TIME", "Buffer", "Chunk", "EndOfFile", "EndOfTransfer", "Entry", "GaveUp", "Have", "Kind", "Receipt"]
__all__ += ["Record", "RecordDecoder", "clamped", "encode_chunk", "encode_end", "encode_end_of_file", "encode_entry"]
__all__ += ["encode_gave_up"]

Buffer = bytes | memoryview
"""A piece of what goes over a stream."""

_HEAD: Final = struct.Struct(">cI")
_END_OF_FILE: Final = struct.Struct(f">{LEAF}sQ")
_MAX_ENTRY: Final = 16384  # two paths of 4096 bytes and the rest of the box
_MAX_GIVEN_UP: Final = MAX_PATH + MAX_NAME + 2  # bytes: an entry too deep is named by its folder, itself, and maybe a /
_MAX_NUMBER: Final = 2**63
_TIME_DIGITS: Final = 30  # of a time in ns; file systems with 64 bits of seconds have 28 of them

FAR_TIME: Final = _MAX_NUMBER - 1
"""ns before or after 1970: whatever is further away (1677, 2262) goes as that."""

_LENGTHS: Final[Mapping[bytes, tuple[int, int]]] = {
    b"E": (2, _MAX_ENTRY),
    b"C": (LEAF + 1, LEAF + CHUNK),
    b"F": (_END_OF_FILE.size, _END_OF_FILE.size),
    b"X": (2, _MAX_ENTRY),
    b"Z": (2, 256),
}
"""The shortest and the longest payload of each kind."""


class Kind(StrEnum):
    """What an entry is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, a folder or a link begins.

    :ivar path: relative, ``/`` between its parts; **not** checked yet, see :func:`p2p.exchange.paths.checked_path`.
    :ivar mode: permission bits, at most 0o7777.
    :ivar mtime: ns since 1970.
    :ivar size: bytes of a file; None if only its end will tell.
    :ivar target: where a link leads.
    :ivar offset: bytes of the file that the receiver has, and that don't follow.
    :ivar grew: whether the file before it had become longer when its end was sent, as with the other records below.
    """

    path: str
    kind: Kind
    mode: int
    mtime: int
    size: int | None = None
    target: str | None = None
    offset: int = 0
    grew: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of the file that is under way; the decoder doesn't compare it with its leaf.

    :ivar pieces: the data, in at most some 500 pieces.
    :ivar size: their bytes together.
    """

    leaf: bytes
    pieces: Sequence[memoryview]
    size: int


@dataclass(frozen=True, slots=True)
class EndOfFile:
    """The file that is under way is complete: the root of its tree and its size."""

    root: bytes
    size: int


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The sender can't send an entry: the one under way, or one it couldn't begin.

    :ivar path: maybe no valid one; it ends with ``/`` for a folder of which nothing more comes.
    :ivar reason: fit for a screen.
    """

    path: str
    reason: str
    grew: bool = False


@dataclass(frozen=True, slots=True)
class EndOfTransfer:
    """All has been sent: how many entries (those given up among them), and bytes of complete files."""

    entries: int
    bytes: int
    grew: bool = False


Record = Entry | Chunk | EndOfFile | GaveUp | EndOfTransfer
"""Whatever a decoder finds."""


@dataclass(frozen=True, slots=True)
class Have:
    """How far a receiver has come with a transfer: where the sender goes on.

    :ivar last: path of the last entry that is done with, in the sender's order; None if there is none.
    :ivar partial: path of the file after it of which there is a part.
    :ivar offset: verified bytes of that file: a multiple of 1 MiB or the whole.
    :ivar entries: how many entries are done with.
    :ivar bytes: bytes of the complete files among them.
    """

    last: str | None = None
    partial: str | None = None
    offset: int = 0
    entries: int = 0
    bytes: int = 0

    def to_box(self) -> Box:
        """The fields of a box that says the same: ``last`` and ``partial`` are left out if they are None."""
        box = {"entries": b"%d" % self.entries, "bytes": b"%d" % self.bytes, "offset": b"%d" % self.offset}
        if self.last is not None:
            box["last"] = to_bytes(self.last)
        if self.partial is not None:
            box["partial"] = to_bytes(self.partial)
        return box

    @classmethod
    def from_box(cls, box: Box) -> Have:
        """What a box says; fields that it lacks are those of a fresh transfer, others than these are passed over.

        :raises ProtocolViolation: if a number in it is none.
        """
        last, partial = box.get("last"), box.get("partial")
        return cls(
            None if last is None else from_bytes(last),
            None if partial is None else from_bytes(partial),
            _number(box, "offset", 0),
            _number(box, "entries", 0),
            _number(box, "bytes", 0),
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an entry.

    :ivar path: its path as the sender calls it.
    :ivar name: its path below the receiver's folder; empty if it isn't there.
    :ivar root: the root of its tree in hex; empty for what isn't a file.
    :ivar outcome: ``ok``; ``refused``, if it wasn't taken or couldn't be sent; ``truncated``, if given up halfway.
    :ivar reason: why it isn't ``ok``.
    :ivar note: in what it isn't quite what is at the sender's, though it is ``ok``.
    """

    path: str
    name: str
    size: int = 0
    root: str = ""
    outcome: Outcome = Outcome.OK
    reason: str = ""
    note: str = ""


def clamped(ns: int) -> int:
    """The time of an entry, or the nearest one that a record can have."""
    return max(-FAR_TIME, min(ns, FAR_TIME))


def encode_entry(entry: Entry) -> list[Buffer]:
    """The record that begins an entry; its time is clamped.

    :raises ValueError: if its path or target is too long for a record.
    """
    fields: dict[str, str | bytes] = {
        "path": to_bytes(entry.path),
        "kind": entry.kind.value,
        "mode": b"%o" % entry.mode,
        "mtime": b"%d" % clamped(entry.mtime),
    }
    if entry.size is not None:
        fields["size"] = b"%d" % entry.size
    if entry.target is not None:
        fields["target"] = to_bytes(entry.target)
    if entry.offset:
        fields["offset"] = b"%d" % entry.offset
    if entry.grew:
        fields["grew"] = b"1"
    if len(fields["path"]) > MAX_PATH or len(fields.get("target", b"")) > MAX_PATH:
        raise ValueError(f"an entry with a path of more than {MAX_PATH} bytes")
    return [_boxed(b"E", fields)]


def encode_chunk(leaf: bytes, pieces: Sequence[Buffer]) -> list[Buffer]:
    """The record of a chunk: its pieces pass through as they are."""
    return [_HEAD.pack(b"C", LEAF + sum(map(len, pieces))) + leaf, *pieces]


def encode_end_of_file(root: bytes, size: int) -> list[Buffer]:
    """The record that ends a file."""
    return [_HEAD.pack(b"F", _END_OF_FILE.size) + _END_OF_FILE.pack(root, size)]


def encode_gave_up(path: str, reason: str, *, grew: bool = False) -> list[Buffer]:
    """The record that gives an entry up; a path or a reason that is too long is cut."""
    why = reason[:TEXT_CHARACTERS].encode("utf-8", "backslashreplace")
    more = {"grew": b"1"} if grew else {}
    return [_boxed(b"X", {"path": to_bytes(path)[:_MAX_GIVEN_UP], "reason": why, **more})]


def encode_end(entries: int, size: int, *, grew: bool = False) -> list[Buffer]:
    """The record that ends a transfer of so many entries and bytes."""
    more = {"grew": b"1"} if grew else {}
    return [_boxed(b"Z", {"entries": b"%d" % entries, "bytes": b"%d" % size, **more})]


class RecordDecoder:
    """Finds records in bytes cut anywhere; holds at most one unfinished record."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._kind = b""
        self._left = 0
        self._held = Pieces()

    @property
    def between(self) -> bool:
        """Whether the bytes so far end with a record."""
        return not self._head and not self._kind

    @property
    def held(self) -> int:
        """Bytes of the unfinished record."""
        return self._held.size

    def feed(self, data: Buffer) -> list[Record]:
        """Take bytes in and return the records that they complete.

        The data of chunks is views of what was fed.

        :raises ProtocolViolation: if the bytes are no records.
        """
        view = memoryview(data)
        end = len(view)
        at = 0
        records: list[Record] = []
        while at < end:
            if not self._kind:
                at = self._begin(view, at)
                continue
            here = view[at : at + self._left]
            at += len(here)
            self._left -= len(here)
            if self._left:
                self._held.append(here)
                continue
            if self._held:
                self._held.append(here)
                records.append(_parsed(self._kind, self._held.take()))
            else:
                records.append(_parsed(self._kind, [here]))
            self._kind = b""
        return records

    def _begin(self, view: memoryview, at: int) -> int:
        """Read the head of a record, as far as it is here."""
        if not self._head and len(view) - at >= _HEAD.size:
            kind, length = _HEAD.unpack_from(view, at)
            at += _HEAD.size
        else:
            missing = _HEAD.size - len(self._head)
            self._head += view[at : at + missing]
            at += missing
            if len(self._head) < _HEAD.size:
                return at
            kind, length = _HEAD.unpack(self._head)
            self._head.clear()
        shortest, longest = _LENGTHS.get(kind, (0, -1))
        if not shortest <= length <= longest:
            raise ProtocolViolation(f"no record of a transfer: kind {kind!r}, {length} bytes")
        self._kind, self._left = kind, length
        return at


def _boxed(kind: bytes, fields: Mapping[str, str | bytes]) -> bytes:
    payload = encode_box(fields)
    return _HEAD.pack(kind, len(payload)) + payload


def _parsed(kind: bytes, pieces: list[memoryview]) -> Record:
    if kind == b"C":
        return _chunk(pieces)
    payload = pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))
    if kind == b"F":
        return EndOfFile(*_END_OF_FILE.unpack(payload))
    box, rest = BoxParser(len(payload)).feed(payload)
    if box is None or rest:
        raise ProtocolViolation(f"no record of a transfer: its box doesn't end where the record {kind!r} does")
    if kind == b"E":
        return _entry(box)
    if kind == b"X":
        return GaveUp(from_bytes(box.get("path", b"")), printable(text_of(box, "reason")), "grew" in box)
    return EndOfTransfer(_number(box, "entries"), _number(box, "bytes"), "grew" in box)


def _chunk(pieces: list[memoryview]) -> Chunk:
    first = pieces[0]
    if len(first) >= LEAF:
        leaf = bytes(first[:LEAF])
        pieces[0] = first[LEAF:]
    else:
        leaf = b""
        while len(leaf) < LEAF:
            missing = LEAF - len(leaf)
            leaf += bytes(pieces[0][:missing])
            pieces[0] = pieces[0][missing:]
            if not pieces[0]:
                del pieces[0]
    return Chunk(leaf, pieces, sum(map(len, pieces)))


def _entry(box: Box) -> Entry:
    try:
        kind = Kind(text_of(box, "kind"))
    except ValueError as error:
        raise ProtocolViolation("an entry of a transfer that is neither a file nor a folder nor a link") from error
    target = box.get("target")
    if (target is None) == (kind is Kind.LINK):
        raise ProtocolViolation("an entry with a target that is no link, or a link without one")
    return Entry(
        from_bytes(box.get("path", b"")),
        kind,
        _number(box, "mode", base=8) & 0o7777,
        _time(box),
        _number(box, "size") if "size" in box else None,
        None if target is None else from_bytes(target),
        _number(box, "offset", 0),
        "grew" in box,
    )


def _time(box: Box) -> int:
    raw = box.get("mtime", b"")
    digits = raw.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > _TIME_DIGITS:
        raise ProtocolViolation("the field 'mtime' of a transfer's record is no time")
    return clamped(int(raw))


def _number(box: Box, key: str, default: int | None = None, *, base: int = 10) -> int:
    raw = box.get(key)
    if raw is None and default is not None:
        return default
    digits = raw or b""
    if not digits.isdigit() or len(digits) > 22 or (base == 8 and digits.strip(b"01234567")):
        raise ProtocolViolation(f"the field {key!r} of a transfer's record is no number")
    number = int(digits, base)
    if number >= _MAX_NUMBER:
        raise ProtocolViolation(f"the field {key!r} of a transfer's record is too large")
    return number

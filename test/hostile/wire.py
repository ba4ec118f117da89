"""The bytes of p2p's wires, written from docs/protocol.rst: whatever is asked for is encoded, right or wrong.

Nothing here checks what it is told to say, and nothing comes from p2p's own codecs, so that a mistake of theirs isn't
repeated here. What the other end says is read just well enough to know how an attack went.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from blake3 import blake3

__all__ = ["ACK", "CHUNK", "DATA", "FIN", "GO_AWAY", "PING", "RST", "SYN", "WINDOW", "Box", "Frame", "answer", "body"]
__all__ += ["boxes", "chunk_record", "end_of_file", "end_record", "entry", "file_records", "frame", "given_up", "head"]
__all__ += ["hello", "list_of", "message", "pair", "pairs", "proof", "question", "read_list", "read_message", "record"]
__all__ += ["leaf_of", "root_of", "tail", "take_boxes", "take_frames"]

Box = dict[str, bytes]
"""A box as it was read: text of the key to value."""

Value = str | bytes | int
"""What a value of a box is made of: text goes as UTF-8, a number as decimal digits."""

Fields = Mapping[str, Any] | Iterable[tuple[Any, Any]]
"""What a box is made of: each a :data:`Value`; a sequence may repeat keys."""

DATA, WINDOW, PING, GO_AWAY = range(4)
"""Types of Yamux frames."""

SYN, ACK, FIN, RST = 1, 2, 4, 8
"""Flags of Yamux frames."""

CHUNK: Final = 1_048_576
"""Bytes of a chunk of a transferred file."""

_HEADER: Final = struct.Struct(">BBHII")


# Boxes


def raw(value: Value) -> bytes:
    """The bytes of a value."""
    if isinstance(value, bytes):
        return value
    return str(value).encode("utf-8", "surrogateescape")


def pair(key: Value, value: Value) -> bytes:
    """One key and its value, each with its length before it; the lengths are cut to two bytes, whatever they are."""
    name, content = raw(key), raw(value)
    return struct.pack(">H", len(name) & 0xFFFF) + name + struct.pack(">H", len(content) & 0xFFFF) + content


def pairs(fields: Fields) -> bytes:
    """Keys and values without the end of the box."""
    items = fields.items() if isinstance(fields, Mapping) else fields
    return b"".join(pair(key, value) for key, value in items)


def boxes(*each: Fields) -> bytes:
    """Whole boxes in a row."""
    return b"".join(pairs(fields) + b"\0\0" for fields in each)


def take_boxes(data: bytearray) -> Iterator[Box]:
    """Take the whole boxes off the front of a buffer."""
    while True:
        box, end = _box_at(data, 0)
        if box is None:
            return
        del data[:end]
        yield box


def _box_at(data: bytes | bytearray, at: int) -> tuple[Box | None, int]:
    """The box that begins at a place and where it ends; None if it isn't whole."""
    box = Box()
    while True:
        key, at = _piece(data, at)
        if not key:
            return (None if key is None else box), at
        value, at = _piece(data, at)
        if value is None:
            return None, at
        box[key.decode("ascii", "replace")] = value


def _piece(data: bytes | bytearray, at: int) -> tuple[bytes | None, int]:
    if len(data) < at + 2:
        return None, at
    end = at + 2 + int.from_bytes(data[at : at + 2])
    return (bytes(data[at + 2 : end]), end) if len(data) >= end else (None, at)


def list_of(names: Iterable[Value]) -> bytes:
    """The value of a ListOf: each element with its length before it."""
    return b"".join(struct.pack(">H", len(raw(name))) + raw(name) for name in names)


def read_list(value: bytes) -> list[str]:
    """The elements of a ListOf."""
    found, at = [], 0
    while at < len(value):
        element, at = _piece(value, at)
        if element is None:
            break
        found.append(element.decode("utf-8", "replace"))
    return found


def question(command: str, tag: Value = "1", **arguments: Value) -> bytes:
    """A question of a control channel."""
    return boxes({"_command": command, "_ask": tag, **arguments})


def answer(tag: Value, **fields: Value) -> bytes:
    """An answer to one."""
    return boxes({"_answer": tag, **fields})


# Direct links


class Frame(NamedTuple):
    """A frame of Yamux as it came."""

    kind: int
    flags: int
    stream: int
    length: int
    data: bytes = b""


def frame(kind: int, flags: int, stream: int, length: int | None = None, data: bytes = b"", version: int = 0) -> bytes:
    """A frame with whatever it is to say; its length is that of the data unless another is named."""
    said = len(data) if length is None else length
    return _HEADER.pack(version, kind, flags, stream, said) + data


def take_frames(buffer: bytearray) -> Iterator[Frame]:
    """Take the whole frames off the front of a buffer."""
    while len(buffer) >= _HEADER.size:
        _, kind, flags, stream, length = _HEADER.unpack_from(buffer)
        end = _HEADER.size + (length if kind == DATA else 0)
        if len(buffer) < end:
            return
        data = bytes(buffer[_HEADER.size : end])
        del buffer[:end]
        yield Frame(kind, flags, stream, length, data)


def proof(nonce: bytes, role: str, initiator: str, target: str) -> bytes:
    """What the ``dialler`` or the ``listener`` shows of a ticket."""
    return blake3(f"p2p/1 {role} {initiator} {target}".encode(), key=nonce).digest()


def hello(streams: Value = 256, version: Value = "1", **more: Value) -> bytes:
    """The hello of one side; ``ticket`` or ``proof`` comes with the others."""
    return boxes({"version": version, "streams": streams, **more})


# Exchanges


def head(service: str, **fields: Value) -> bytes:
    """The head of a request."""
    return boxes({"service": service, **fields})


def body(*chunks: bytes) -> bytes:
    """Chunks of a body, without its end."""
    return b"".join(struct.pack(">I", len(chunk)) + chunk for chunk in chunks)


def tail(**fields: Value) -> bytes:
    """The end of the body, and the tail."""
    return b"\0\0\0\0" + boxes(fields)


def message(service: str, *chunks: bytes, closing: Mapping[str, Value] | None = None, **fields: Value) -> bytes:
    """A whole request."""
    return head(service, **fields) + body(*chunks) + tail(**(closing or {}))


def read_message(data: bytes) -> tuple[Box | None, bytes, Box | None]:
    """What came of a message: its head, its body, and its tail, None where it isn't there."""
    opening, at = _box_at(data, 0)
    parts: list[bytes] = []
    while opening is not None and len(data) >= at + 4:
        start, size = at + 4, int.from_bytes(data[at : at + 4])
        if not size:
            return opening, b"".join(parts), _box_at(data, start)[0]
        parts.append(data[start : start + size])
        at = start + size
    return opening, b"".join(parts), None


# Transfers


def record(kind: str, payload: bytes, length: int | None = None) -> bytes:
    """A record of a transfer."""
    return kind.encode("ascii") + struct.pack(">I", len(payload) if length is None else length) + payload


def entry(
    path: Value, kind: str = "file", *, mode: Value = "644", mtime: Value = 1_700_000_000 * 10**9, **more: Value
) -> bytes:
    """The record E of a file, a ``folder`` or a ``link``; ``size``, ``target`` and ``offset`` come with the others."""
    return record("E", boxes({"path": path, "kind": kind, "mode": mode, "mtime": mtime, **more}))


def leaf_of(data: bytes) -> bytes:
    """The leaf of a chunk."""
    return blake3(data, derive_key_context="p2p 2026 transfer chunk v1").digest()


def root_of(leaves: Sequence[bytes], size: int) -> bytes:
    """The root of a file."""
    return blake3(b"".join(leaves) + struct.pack(">Q", size), derive_key_context="p2p 2026 transfer root v1").digest()


def chunk_record(data: bytes, leaf: bytes | None = None) -> bytes:
    """The record C of a chunk."""
    return record("C", (leaf_of(data) if leaf is None else leaf) + data)


def end_of_file(root: bytes, size: int) -> bytes:
    """The record F."""
    return record("F", root + struct.pack(">Q", size))


def given_up(path: Value, reason: str = "") -> bytes:
    """The record X."""
    return record("X", boxes({"path": path, "reason": reason}))


def end_record(entries: Value, size: Value) -> bytes:
    """The record Z."""
    return record("Z", boxes({"entries": entries, "bytes": size}))


def file_records(path: Value, data: bytes = b"", **more: Value) -> bytes:
    """All records of a file that is as it says."""
    chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    root = root_of([leaf_of(chunk) for chunk in chunks], len(data))
    fields: dict[str, Value] = {"size": len(data), **more}
    opening = record(
        "E", boxes({"path": path, "kind": "file", "mode": "644", "mtime": 1_700_000_000 * 10**9, **fields})
    )
    return opening + b"".join(map(chunk_record, chunks)) + end_of_file(root, len(data))

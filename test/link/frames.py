"""Yamux frames by hand: written from the specification alone, to compare a session with."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from p2p.link.events import DataReceived, Event
from p2p.link.mux import Session

__all__ = ["ACK", "DATA", "FIN", "GO_AWAY", "KIB", "PING", "RST", "SYN", "WINDOW", "Frame", "FrameReader"]
__all__ += ["hexed", "joined", "opened", "raw", "shuttle", "taken", "told"]

DATA, WINDOW, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
KIB: Final = 1024


class Frame(NamedTuple):
    """One frame; ``length`` is what its header says, ``body`` what follows a data frame."""

    kind: int
    flags: int
    stream_id: int
    length: int
    body: bytes = b""


class FrameReader:
    """Reads whole frames from bytes cut anywhere, as simply as can be."""

    def __init__(self) -> None:
        self._bytes = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are whole now."""
        self._bytes += data
        frames = []
        while len(self._bytes) >= 12:
            version, kind, flags, stream_id, length = struct.unpack(">BBHII", self._bytes[:12])
            assert version == 0
            end = 12 + length if kind == DATA else 12
            if len(self._bytes) < end:
                break
            frames.append(Frame(kind, flags, stream_id, length, self._bytes[12:end]))
            self._bytes = self._bytes[end:]
        return frames


def raw(kind: int, flags: int, stream_id: int, length: int = 0, body: bytes = b"") -> bytes:
    """Encode a frame; a body sets its length."""
    return struct.pack(">BBHII", 0, kind, flags, stream_id, len(body) or length) + body


def taken(session: Session, budget: int = 1 << 30) -> bytes:
    """What a session sends, as one piece."""
    return b"".join(session.take(budget)[0])


def shuttle(one: Session, other: Session, now: float = 0.0) -> tuple[list[Event], list[Event]]:
    """Carry bytes both ways until neither session has more; return what each of them said."""
    said_one: list[Event] = []
    said_other: list[Event] = []
    while one.has_output or other.has_output:
        said_other += other.receive(taken(one), now)
        said_one += one.receive(taken(other), now)
    return said_one, said_other


def joined(events: Iterable[Event]) -> list[Event | tuple[int, bytes]]:
    """Events with neighbouring pieces of one stream's data put together, so that cuts don't show."""
    whole: list[Event | tuple[int, bytes]] = []
    for event in events:
        if not isinstance(event, DataReceived):
            whole.append(event)
        elif whole and isinstance(before := whole[-1], tuple) and before[0] == event.stream_id:
            whole[-1] = before[0], before[1] + bytes(event.data)
        else:
            whole.append((event.stream_id, bytes(event.data)))
    return whole


def hexed(text: str) -> bytes:
    """Bytes from hexadecimal digits, columns as in the specification."""
    return bytes.fromhex(text)


def told(session: Session, data: bytes, now: float = 0.0) -> list[Event | tuple[int, bytes]]:
    """What a session says of some bytes, as comparable values."""
    return joined(session.receive(data, now))


def opened(*stream_ids: int, **limits: Any) -> Session:
    """A server on which a client has opened streams; its answers are out."""
    server = Session(client=False, **limits)
    for stream_id in stream_ids:
        server.receive(raw(WINDOW, SYN, stream_id), 0.0)
    taken(server)
    return server

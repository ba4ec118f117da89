"""What a Yamux session says of the bytes that arrive. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "DataReceived",
    "Event",
    "Ponged",
    "StreamEnded",
    "StreamOpened",
    "StreamRefused",
    "StreamReset",
    "WentAway",
]


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The other side opened a stream."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class StreamRefused:
    """The other side opened one stream more than the limit; it was reset."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Bytes arrived on a stream; once they are used up, :meth:`~p2p.link.mux.Session.consumed` gives credit back.

    ``data`` is a view of what the session was given: whoever keeps it keeps all of that in memory.
    """

    stream_id: int
    data: memoryview


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The other side sends nothing more on this stream (FIN)."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The other side gave the stream up (RST)."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class Ponged:
    """A ping came back after so many seconds."""

    token: int
    round_trip: float


@dataclass(frozen=True, slots=True)
class WentAway:
    """The other side opens and takes no more streams: 0 is a normal end, 1 a protocol error, 2 an internal one."""

    code: int


Event = StreamOpened | StreamRefused | DataReceived | StreamEnded | StreamReset | Ponged | WentAway

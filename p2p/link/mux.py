"""Yamux: many streams on one link, as frames in and events out.

Pure protocol code after the Yamux specification (HashiCorp, ``yamux/spec.md``), so that any implementation of Yamux
can be at the other end. A :class:`Session` is fed what arrives (:meth:`Session.receive`) and asked what to send
(:meth:`Session.take`); it knows no socket and no clock, times are seconds given by the caller.

A header is 12 bytes, big-endian: version 0, type, flags (16 bits), stream id (32), length (32).

Streams are scheduled by deficit round robin with a head start for those that had nothing to send before (the
scheduler of RFC 8290 without its queue management): a short message waits for one frame of a film, not for the film,
and a film waits for at most two frames' worth of messages before its next frame, however many streams begin.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from typing import Final

from p2p.base.errors import P2PError, ProtocolViolation
from p2p.link.events import (
    DataReceived,
    Event,
    Ponged,
    StreamEnded,
    StreamOpened,
    StreamRefused,
    StreamReset,
    WentAway,
)

__all__ = ["INITIAL_WINDOW", "Session", "TooManyStreams"]

INITIAL_WINDOW: Final = 256 * 1024
"""The window that every stream has at first, both ways, without a word (specification, "Window Update")."""

MAX_FRAME: Final = 256 * 1024
"""The largest data frame we send, in bytes: large enough that headers cost nothing, small enough to be fair."""

UNREAD_WINDOW: Final = 2 * 1024 * 1024
"""What the window of a stream grows to, in bytes, whose reader is behind, or whose ends are busy rather than far apart:
enough for the reader never to wait, and what arrives has to be kept."""

MAX_CONTROL_BACKLOG: Final = 4096
"""Frames without data (pongs, resets, credit) that may wait while frames still arrive; a peer that provokes more of
them and reads none is hostile."""

_HEADER = struct.Struct(">BBHII")
_DATA, _WINDOW, _PING, _GO_AWAY = range(4)
_SYN, _ACK, _FIN, _RST = 1, 2, 4, 8
_MAX_WINDOW: Final = 0xFFFFFFFF
_MAX_ID: Final = 0xFFFFFFFF


class TooManyStreams(P2PError):
    """This link carries as many streams as its limit allows; try when one has ended."""


class _Stream:
    """One stream's windows and what waits to be sent on it."""

    __slots__ = (
        "acknowledged",
        "credit",
        "deficit",
        "ended_by_peer",
        "epoch",
        "finished",
        "flags",
        "listed",
        "outbox",
        "queued",
        "send_window",
        "stream_id",
        "unreturned",
        "window",
    )

    def __init__(self, stream_id: int, flags: int, window: int) -> None:
        self.stream_id = stream_id
        self.flags = flags  # SYN or ACK that the next frame carries
        self.acknowledged = not flags & _SYN
        self.outbox: deque[memoryview] = deque()
        self.queued = 0
        self.send_window = INITIAL_WINDOW
        self.credit = INITIAL_WINDOW  # what the other side may still send
        self.window = window  # what it may send without hearing from us
        self.unreturned = 0
        self.epoch: float | None = None
        self.finished = False  # we send nothing more after the outbox
        self.ended_by_peer = False
        self.listed = False  # in one of the scheduler's queues
        self.deficit = 0


class Session:
    """One end of a Yamux session.

    :param client: whether this end dialled; clients open odd stream ids, servers even ones.
    :param streams: streams open at once, of both sides together.
    :param window: receive window of a stream at first, at least 256 KiB.
    :param window_max: what a stream's window grows to at most.
    :param link_window: what all windows of this session add up to at most, beyond their first sizes.
    :param may_grow: is asked before the window of a stream grows by so many bytes; it isn't told when a stream ends.
    :ivar round_trip: seconds of the fastest ping; None before the first.
    :ivar way: seconds of a round trip without what its ends do, where somebody knows them.
    """

    def __init__(
        self,
        *,
        client: bool,
        streams: int = 256,
        window: int = INITIAL_WINDOW,
        window_max: int = 16 * 1024 * 1024,
        link_window: int = 32 * 1024 * 1024,
        may_grow: Callable[[int, int], bool] = lambda stream_id, growth: True,
    ) -> None:
        self._next_id = 1 if client else 2
        self._peer_parity = 0 if client else 1
        self._limit = streams
        self._window = max(window, INITIAL_WINDOW)
        self._window_max = max(window_max, self._window)
        self._growth_left = link_window
        self._may_grow = may_grow
        self._streams: dict[int, _Stream] = {}
        self._control: deque[bytes] = deque()
        self._fresh: deque[_Stream] = deque()
        self._waiting: deque[_Stream] = deque()
        self._lead = 0  # bytes that fresh streams sent since a waiting one had its turn
        self._pings: dict[int, float] = {}
        self._next_ping = 0
        self._head = bytearray()
        self._body: tuple[_Stream | None, int, int] | None = None  # the stream that takes it, bytes to come, flags
        self._refusing = False
        self.round_trip: float | None = None
        self.way: float | None = None
        self.going_away = False

    # -- what we do ------------------------------------------------------------------------------------------

    @property
    def stream_count(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    @property
    def has_output(self) -> bool:
        """Whether :meth:`take` has something to give."""
        return bool(self._control or self._fresh or self._waiting)

    def is_open(self, stream_id: int) -> bool:
        """Whether a stream lives, in at least one direction."""
        return stream_id in self._streams

    def queued(self, stream_id: int) -> int:
        """Bytes written to a stream that :meth:`take` hasn't given out yet."""
        stream = self._streams.get(stream_id)
        return stream.queued if stream else 0

    def untaken(self) -> list[int]:
        """The streams opened here that the other side hasn't acknowledged; once it has gone away, it never will."""
        return [stream.stream_id for stream in self._streams.values() if not stream.acknowledged]

    def open(self) -> int:
        """Open a stream and return its id; the SYN travels with the first bytes.

        :raises TooManyStreams: at the limit, or when either side has gone away.
        """
        if len(self._streams) >= self._limit:
            raise TooManyStreams(f"the link carries {self._limit} streams already")
        if self.going_away:
            raise TooManyStreams("the link is closing and takes no new streams")
        stream_id = self._next_id
        if stream_id > _MAX_ID:
            raise TooManyStreams("the link has used up its stream ids; a new link has them all")
        self._next_id += 2
        stream = self._streams[stream_id] = _Stream(stream_id, _SYN, self._window)
        if self._window > INITIAL_WINDOW:
            self._grant(stream, self._window - INITIAL_WINDOW)
        return stream_id

    def write(self, stream_id: int, data: bytes | memoryview) -> None:
        """Queue bytes on a stream; they must not change afterwards."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.finished or not data:
            return
        view = data if isinstance(data, memoryview) else memoryview(data)
        stream.outbox.append(view)
        stream.queued += len(view)
        self._schedule(stream, self._fresh)

    def finish(self, stream_id: int) -> None:
        """Send nothing more on a stream after what is queued (FIN)."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.finished:
            stream.finished = True
            self._schedule(stream, self._fresh)

    def reset(self, stream_id: int) -> None:
        """Give a stream up in both directions, dropping what is queued (RST)."""
        stream = self._streams.pop(stream_id, None)
        if stream is None:
            return
        self._forget(stream)
        if not stream.flags & _SYN:  # else the other side has never heard of it
            self._answer(_WINDOW, _RST, stream_id, 0)

    def consumed(self, stream_id: int, count: int, now: float) -> None:
        """Give credit back for ``count`` received bytes that are used up.

        The window doubles when half of it was used within four round trips: then it, and not the reader, held the
        sender up (as libp2p's go-yamux measures it). A ping under load takes as long as both ends take to come to it.
        So beyond ``UNREAD_WINDOW`` the round trips are those of the way alone, if they are known, and it grows only
        while the reader has come to most of what arrived.
        """
        stream = self._streams.get(stream_id)
        if stream is None or stream.ended_by_peer:
            return
        stream.unreturned += count
        if stream.unreturned < stream.window // 2:
            return
        delta = stream.unreturned
        round_trip = self.round_trip
        if stream.window >= UNREAD_WINDOW:
            unread = stream.window - stream.credit - delta
            round_trip = 0.0 if unread >= stream.window // 4 else self.way or round_trip
        if round_trip and stream.epoch is not None and now - stream.epoch < 4 * round_trip:
            growth = min(stream.window, self._window_max - stream.window, self._growth_left)
            if growth and self._may_grow(stream_id, growth):
                self._growth_left -= growth
                stream.window += growth
                delta += growth
        stream.epoch = now
        stream.unreturned = 0
        self._grant(stream, delta)

    def ping(self, now: float) -> int:
        """Ask for a sign of life; :class:`Ponged` brings the returned token back."""
        token = self._next_ping
        self._next_ping = (token + 1) & 0xFFFFFFFF
        self._pings[token] = now
        self._answer(_PING, _SYN, 0, token)
        return token

    def go_away(self, code: int = 0) -> None:
        """Open and take no more streams; those under way go on."""
        for stream in self._streams.values():
            if stream.flags & _SYN:
                self._grant(stream, 0)  # the other side must hear of it before it hears that we go
        self.going_away = self._refusing = True
        self._answer(_GO_AWAY, 0, 0, code)

    def take(self, budget: int) -> tuple[list[bytes | memoryview], list[int]]:
        """Give out buffers to send, in order, until about ``budget`` bytes of data.

        :returns: the buffers, and the ids of the streams they came from (whose queues are shorter now).
        """
        buffers: list[bytes | memoryview] = []
        served: list[int] = []
        while self._control:
            buffers.append(self._control.popleft())
        while budget > 0 and (self._fresh or self._waiting):
            ahead = bool(self._fresh) and (self._lead <= MAX_FRAME or not self._waiting)
            queue = self._fresh if ahead else self._waiting
            stream = queue.popleft()
            if stream.deficit <= 0:
                stream.deficit += MAX_FRAME
                self._waiting.append(stream)
                continue
            size = self._frame(stream, buffers)
            budget -= size
            stream.deficit -= size
            served.append(stream.stream_id)
            if ahead:
                self._lead += size if self._waiting else 0
            elif size:
                self._lead = 0
            if self._sendable(stream):
                queue.appendleft(stream)
            elif ahead and self._waiting and not stream.finished:
                self._waiting.append(stream)  # it keeps its place, so that a stream can't stay fresh by pausing
            else:
                stream.listed = False
                self._close_if_done(stream)
        return buffers, served

    # -- what arrives ----------------------------------------------------------------------------------------

    def receive(self, data: bytes | memoryview, now: float) -> list[Event]:
        """Take in bytes, cut anywhere, and say what they mean.

        :raises ProtocolViolation: if they break the protocol; the session is of no use then.
        """
        events: list[Event] = []
        view = memoryview(data)
        position, end = 0, len(view)
        while position < end:
            if self._body is not None:
                position += self._receive_body(self._body, view[position:], events)
            elif not self._head and end - position >= _HEADER.size:
                self._receive_header(_HEADER.unpack_from(view, position), now, events)
                position += _HEADER.size
            else:
                missing = _HEADER.size - len(self._head)
                self._head += view[position : position + missing]
                position += missing
                if len(self._head) == _HEADER.size:
                    self._receive_header(_HEADER.unpack(self._head), now, events)
                    self._head.clear()
        return events

    def _receive_header(self, header: tuple[int, ...], now: float, events: list[Event]) -> None:
        version, kind, flags, stream_id, length = header
        if len(self._control) >= MAX_CONTROL_BACKLOG:
            raise ProtocolViolation(f"the other side makes us answer and reads nothing: {len(self._control)} wait")
        if version != 0 or kind > _GO_AWAY or flags > 15:
            raise ProtocolViolation(f"no Yamux frame: version {version}, type {kind}, flags {flags}")
        if (stream_id == 0) != (kind in (_PING, _GO_AWAY)):
            raise ProtocolViolation(f"a Yamux frame of type {kind} with stream id {stream_id}")
        if kind == _PING:
            self._receive_ping(flags, length, now, events)
        elif kind == _GO_AWAY:
            self.going_away = True
            events.append(WentAway(length))
        else:
            if flags & _SYN:
                self._receive_syn(stream_id, events)
            stream = self._streams.get(stream_id)
            if stream is not None and flags & _ACK:
                stream.acknowledged = True
            if kind == _DATA:
                allowed = stream.credit if stream is not None else self._window_max
                if length > allowed:
                    raise ProtocolViolation(f"{length} bytes on stream {stream_id}, whose window is {allowed}")
                if length:
                    if stream is not None:
                        if stream.ended_by_peer:
                            raise ProtocolViolation(f"data on stream {stream_id} after its end")
                        stream.credit -= length
                    self._body = stream, length, flags
                    return
            elif stream is not None:
                self._receive_window(stream, length)
            self._receive_end(stream, flags, events)

    def _receive_body(self, body: tuple[_Stream | None, int, int], view: memoryview, events: list[Event]) -> int:
        stream, left, flags = body
        part = view[:left]
        size = len(part)
        if stream is not None and stream.stream_id in self._streams:  # else it is unknown, or was reset meanwhile
            events.append(DataReceived(stream.stream_id, part))
        left -= size
        self._body = (stream, left, flags) if left else None
        if not left:
            self._receive_end(stream, flags, events)
        return size

    def _receive_syn(self, stream_id: int, events: list[Event]) -> None:
        if stream_id % 2 != self._peer_parity or stream_id in self._streams:
            raise ProtocolViolation(f"stream {stream_id} opened by the wrong side or twice")
        if len(self._streams) >= self._limit or self._refusing:
            self._answer(_WINDOW, _RST, stream_id, 0)
            events.append(StreamRefused(stream_id))
            return
        stream = self._streams[stream_id] = _Stream(stream_id, _ACK, self._window)
        self._grant(stream, self._window - INITIAL_WINDOW)
        events.append(StreamOpened(stream_id))

    def _receive_end(self, stream: _Stream | None, flags: int, events: list[Event]) -> None:
        if stream is None or stream.stream_id not in self._streams:
            return
        if flags & _RST:
            del self._streams[stream.stream_id]
            self._forget(stream)
            events.append(StreamReset(stream.stream_id))
        elif flags & _FIN and not stream.ended_by_peer:
            stream.ended_by_peer = True
            events.append(StreamEnded(stream.stream_id))
            self._close_if_done(stream)

    def _receive_window(self, stream: _Stream, delta: int) -> None:
        blocked = stream.send_window == 0
        stream.send_window += delta
        if stream.send_window > _MAX_WINDOW:
            raise ProtocolViolation(f"the window of stream {stream.stream_id} grew past 32 bits")
        if blocked and delta and stream.queued:
            self._schedule(stream, self._waiting)

    def _receive_ping(self, flags: int, token: int, now: float, events: list[Event]) -> None:
        if flags & _SYN:
            self._answer(_PING, _ACK, 0, token)
            return
        sent = self._pings.pop(token, None)
        if sent is not None:
            took = max(now - sent, 0.0)
            self.round_trip = took if self.round_trip is None else min(self.round_trip, took)
            events.append(Ponged(token, took))

    # -- within ----------------------------------------------------------------------------------------------

    def _sendable(self, stream: _Stream) -> bool:
        return stream.send_window > 0 if stream.queued else stream.finished and stream.listed

    def _schedule(self, stream: _Stream, queue: deque[_Stream]) -> None:
        if not stream.listed and (stream.send_window > 0 or not stream.queued):
            stream.listed = True
            stream.deficit = MAX_FRAME
            queue.append(stream)

    def _frame(self, stream: _Stream, buffers: list[bytes | memoryview]) -> int:
        """Append one data frame of a stream to ``buffers``, and its end, and return the size of its body.

        FIN goes in a frame of its own and never with SYN: HashiCorp's implementation of 2019 loses the data of a frame
        that carries FIN, and yamux-js a stream whose first frame ends it.
        """
        size = min(stream.queued, stream.send_window, MAX_FRAME)
        flags = stream.flags
        stream.flags = 0
        left = size
        header_at = len(buffers)
        buffers.append(b"")
        while left:
            view = stream.outbox.popleft()
            if len(view) > left:
                stream.outbox.appendleft(view[left:])
                view = view[:left]
            buffers.append(view)
            left -= len(view)
        stream.queued -= size
        stream.send_window -= size
        if size or flags:
            buffers[header_at] = _HEADER.pack(0, _DATA, flags, stream.stream_id, size)
        else:
            del buffers[header_at]
        if stream.finished and not stream.queued:
            buffers.append(_HEADER.pack(0, _DATA, _FIN, stream.stream_id, 0))
            stream.listed = False
        return size

    def _close_if_done(self, stream: _Stream) -> None:
        if stream.ended_by_peer and stream.finished and not stream.queued and not stream.listed:
            del self._streams[stream.stream_id]
            self._growth_left += stream.window - self._window

    def _forget(self, stream: _Stream) -> None:
        self._growth_left += stream.window - self._window
        stream.outbox.clear()
        stream.queued = 0
        if stream.listed:
            for queue in (self._fresh, self._waiting):
                if stream in queue:
                    queue.remove(stream)

    def _grant(self, stream: _Stream, delta: int) -> None:
        stream.credit += delta
        self._answer(_WINDOW, stream.flags, stream.stream_id, delta)
        stream.flags = 0

    def _answer(self, kind: int, flags: int, stream_id: int, length: int) -> None:
        self._control.append(_HEADER.pack(0, kind, flags, stream_id, length))

"""Direct links over which anything can be said, from either end: tickets, hello, Yamux, exchanges."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Final, NamedTuple, Self

from test.hostile import wire
from test.hostile.speaker import LINK, Control, CutOff, Identity, Late, Speaker, connect, fresh_port, secured, take_one
from test.hostile.wire import Box, Frame, Value

__all__ = ["Link", "Reply", "answer_call", "call"]

_FRAME: Final = 1 << 16
_UNASKED: Final = 262_144
_WIDE: Final = 16 << 20


class Reply(NamedTuple):
    """What came on a stream.

    :ivar ended: ``fin``, ``rst``, or empty if it hadn't ended when nobody waited any more.
    """

    raw: bytes
    ended: str

    @property
    def body(self) -> bytes:
        """The body, as far as it came."""
        return wire.read_message(self.raw)[1]

    @property
    def tail(self) -> Box:
        """The tail; empty if there is none."""
        return wire.read_message(self.raw)[2] or {}

    def __str__(self) -> str:
        """The outcome and the reason, or how it ended without."""
        said = self.tail
        if not said:
            return self.ended or "no answer"
        outcome, reason = (said.get(key, b"").decode("utf-8", "replace") for key in ("outcome", "reason"))
        return f"{outcome}: {reason}" if reason else outcome


class Link:
    """A direct link.

    :param dialler: whether this end dialled; it opens the odd streams then.
    :ivar speaker: what it goes over.
    :ivar credit: what the other end lets each stream send.
    """

    def __init__(self, speaker: Speaker, *, dialler: bool) -> None:
        self.speaker = speaker
        self.credit: dict[int, int] = {}
        self._next = 1 if dialler else 2
        self._kept: list[Frame] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.speaker.close()

    def stream(self) -> int:
        """The number of a new stream, of which the other end doesn't know yet."""
        number = self._next
        self._next += 2
        self.credit[number] = _UNASKED
        return number

    def send(self, stream: int, data: bytes, flags: int = 0, *, seconds: float = 10.0, deaf: bool = False) -> None:
        """Send data of a stream in frames, the flags on the first and FIN on the last, whatever its window is."""
        if stream in self.credit:
            self.credit[stream] -= len(data)
        for at in range(0, max(len(data), 1), _FRAME):
            part = data[at : at + _FRAME]
            self.speaker.say(wire.frame(wire.DATA, flags & ~wire.FIN, stream, data=part), seconds=seconds, deaf=deaf)
            flags &= wire.FIN
        if flags:
            self.speaker.say(wire.frame(wire.DATA, wire.FIN, stream), seconds=seconds, deaf=deaf)

    def open(self, data: bytes, flags: int = 0) -> int:
        """Open a stream with its first data, and return its number."""
        stream = self.stream()
        self.send(stream, data, wire.SYN | flags)
        return stream

    def reset(self, stream: int) -> None:
        """Give a stream up."""
        self.speaker.say(wire.frame(wire.WINDOW, wire.RST, stream))

    def grant(self, stream: int, size: int = _WIDE) -> None:
        """Let the other end send so much more on a stream."""
        self.speaker.say(wire.frame(wire.WINDOW, 0, stream, size))

    def frames(self, seconds: float) -> Iterator[Frame]:
        """The frames that come, pings answered, until none comes for so long.

        :raises CutOff: if the link has ended.
        """
        while True:
            for one in wire.take_frames(self.speaker.arrived):
                if one.kind == wire.PING and one.flags & wire.SYN:
                    self.speaker.say(wire.frame(wire.PING, wire.ACK, 0, one.length))
                elif one.kind == wire.WINDOW and one.stream in self.credit:
                    self.credit[one.stream] += one.length
                yield one
            try:
                self.speaker.hear(seconds)
            except Late:
                return

    def push(self, stream: int, data: bytes, seconds: float = 10.0) -> int:
        """Send data as its window allows, waiting for credit; returns how many bytes went before the reply was over.

        :raises CutOff: if the link has ended.
        """
        sent, end = 0, time.monotonic() + seconds
        while sent < len(data) and time.monotonic() < end:
            room = min(self.credit[stream], len(data) - sent)
            if room > 0:
                self.send(stream, data[sent : sent + room])
                sent += room
                continue
            before = self.credit[stream]
            for one in self.frames(min(1.0, seconds)):
                self._kept.append(one)
                if one.stream == stream and one.flags & (wire.RST | wire.FIN):
                    return sent  # its reply is over: nothing more is wanted
                if self.credit[stream] > before:
                    break
        return sent

    def replies(self, streams: list[int], seconds: float = 10.0) -> dict[int, Reply]:
        """What comes on some streams until all have ended, or nothing came for so long; credit is given for it.

        :raises CutOff: if the link has ended.
        """
        found = {stream: bytearray() for stream in streams}
        ended = dict.fromkeys(streams, "")
        kept, self._kept = self._kept, []

        def frames() -> Iterator[Frame]:
            yield from kept
            yield from self.frames(seconds)

        for one in frames():
            if one.stream not in found:
                continue
            found[one.stream] += one.data
            if one.data:
                self.grant(one.stream, len(one.data))
            if one.flags & (wire.RST | wire.FIN):
                ended[one.stream] = "rst" if one.flags & wire.RST else "fin"
            if all(ended.values()):
                break
        return {stream: Reply(bytes(data), ended[stream]) for stream, data in found.items()}

    def request(self, data: bytes, seconds: float = 10.0) -> Reply:
        """Do an exchange with everything that is said in it, as fast as its window allows."""
        first = data[:_FRAME]
        stream = self.open(first)
        if self.push(stream, data[len(first) :], seconds) == len(data) - len(first):
            self.send(stream, b"", wire.FIN)
        return self.replies([stream], seconds)[stream]

    def works(self) -> bool:
        """Whether an honest exchange still goes over it."""
        try:
            return self.request(wire.message("echo", b"still there?"), 5.0).body == b"still there?"
        except (CutOff, Late):
            return False

    def opened(self, seconds: float = 10.0) -> tuple[int, bytes]:
        """The next stream that the other end opens, with everything that comes on it until its FIN.

        :raises Late: if none comes.
        """
        stream, data = 0, bytearray()
        for one in self.frames(seconds):
            if one.flags & wire.SYN and one.stream and not stream:
                stream = one.stream
                self.credit[stream] = _UNASKED
                self.speaker.say(wire.frame(wire.WINDOW, wire.ACK, stream, _WIDE))
            if stream and one.stream == stream:
                data += one.data
                if one.flags & (wire.FIN | wire.RST):
                    return stream, bytes(data)
        if stream:
            return stream, bytes(data)
        raise Late("no stream was opened")


def call(control: Control, who: Identity, me: str, target: str, *, streams: Value = 256, seconds: float = 20.0) -> Link:
    """Ask for a link as a registered peer, and take it when the target dials.

    :raises CutOff: if the router says no, or the target ends it.
    """
    nonce = os.urandom(32)
    with fresh_port() as listening:
        said = control.ask(
            "RequestConnect",
            target=target,
            port=listening.getsockname()[1],
            ticket=nonce,
            lifetime="30.0",
            plain="False",
            candidates=b"",
            seconds=seconds,
        )
        if "_error" in said:
            raise CutOff(f"{said.get('_error_code', b'').decode()}: {said.get('_error_description', b'').decode()}")
        speaker = secured(take_one(listening, seconds), who, server=True, alpn=LINK)
    speaker.box(seconds)
    speaker.say(wire.hello(streams, proof=wire.proof(nonce, "listener", me, target)))
    return Link(speaker, dialler=False)


def answer_call(control: Control, who: Identity, me: str, *, seconds: float = 20.0) -> Link:
    """Wait until somebody wants a link, and dial.

    :raises Late: if nobody does.
    """
    asked = control.instructed(seconds)
    control.speaker.say(wire.answer(asked["_ask"], dialling="True", plain="False"))
    initiator = asked["initiator"].decode()
    nonce = asked["ticket"].ljust(32, b"\0")[:32]
    speaker = secured(connect(int(asked["port"])), who, server=False, alpn=LINK)
    speaker.say(wire.hello(ticket=wire.proof(nonce, "dialler", initiator, me)))
    speaker.box(seconds)
    return Link(speaker, dialler=True)

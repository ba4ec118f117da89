"""Writes a message to a stream as it comes to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from p2p.base.errors import ExchangeFailed
from p2p.exchange.message import encode_chunk, encode_head, encode_pieces, encode_tail
from p2p.link.flow import Stream
from p2p.link.pieces import SMALL

__all__ = ["MessageWriter", "ReplyWriter"]


@implementer(IConsumer)
class MessageWriter:
    """Writes one message to a stream: the head with the first bytes, chunks, the tail.

    :ivar body_bytes: bytes of the body written so far.
    """

    def __init__(self, stream: Stream, head: Mapping[str, str | bytes]) -> None:
        self.stream = stream
        self._head: Mapping[str, str | bytes] | None = head
        self.body_bytes = 0
        self.ended = False

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have the stream pace the producer."""
        self.stream.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """The producer is done."""
        self.stream.unregisterProducer()

    def begin(self) -> None:
        """Send the head now."""
        if self._head is not None:
            self.stream.write(encode_head(self._head))
            self._head = None

    def write(self, data: bytes | memoryview) -> None:
        """Send some bytes of the body."""
        self.begin()
        self.body_bytes += len(data)
        pieces = encode_chunk(data)
        for piece in [b"".join(pieces)] if 0 < len(data) < SMALL else pieces:
            self.stream.write(piece)

    def write_pieces(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Send many buffers as they are, under one length."""
        self.begin()
        self.body_bytes += sum(map(len, pieces))
        for piece in encode_pieces(pieces):
            self.stream.write(piece)

    def end(self, tail: Mapping[str, str | bytes]) -> None:
        """Send the tail and end our direction of the stream."""
        if not self.ended:
            self.begin()
            self.ended = True
            self.stream.write(encode_tail(tail))
            self.stream.finish()


class ReplyWriter(MessageWriter):
    """Writes a reply; through it, whoever serves the request may end the exchange at any time.

    :param fail: ends the exchange.
    :ivar failure: how the exchange was broken off, by whichever side; None as long as it wasn't.
    """

    def __init__(self, stream: Stream, head: Mapping[str, str | bytes], fail: Callable[[BaseException], None]) -> None:
        super().__init__(stream, head)
        self._fail = fail
        self.failure: ExchangeFailed | None = None

    def fail(self, error: BaseException) -> None:
        """End the exchange now, although its request may not have come whole; nothing if it has ended.

        What isn't an ``ExchangeFailed`` is logged as a fault of the service.
        """
        self._fail(error)

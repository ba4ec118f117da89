"""A message on its stream: written as it comes to be, and read while something sees to it that it moves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.interfaces import IConsumer, IDelayedCall, IReactorTime
from zope.interface import implementer

from p2p.base.errors import ExchangeFailed, Outcome, ProtocolViolation
from p2p.exchange.message import Body, Head, MessageDecoder, encode_chunk, encode_head, encode_pieces, encode_tail
from p2p.link.boxes import Box
from p2p.link.flow import Stream, account_of
from p2p.link.pieces import SMALL

__all__ = ["MessageReceiver", "MessageWriter", "ReplyWriter", "Watch"]


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

    def begin(self, more: Mapping[str, str | bytes] | None = None) -> None:
        """Send the head now, with some more fields, unless it is out already."""
        if self._head is not None:
            self.stream.write(encode_head({**self._head, **(more or {})}))
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
    :param keep_open: lets the exchange stand still for any time.
    :ivar failure: how the exchange was broken off, by whichever side; None as long as it wasn't.
    """

    def __init__(
        self,
        stream: Stream,
        head: Mapping[str, str | bytes],
        fail: Callable[[BaseException], None],
        keep_open: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(stream, head)
        self._fail = fail
        self._keep_open = keep_open
        self.failure: ExchangeFailed | None = None

    def fail(self, error: BaseException) -> None:
        """End the exchange now, although its request may not have come whole; nothing if it has ended.

        What isn't an ``ExchangeFailed`` is logged as a fault of the service.
        """
        self._fail(error)

    def keep_open(self) -> None:
        """From now on nothing need move: somebody else sees to it that the exchange has an end."""
        self._keep_open()


class Watch:
    """Tells when nothing has moved for too long, to within a quarter of the time."""

    def __init__(self, clock: IReactorTime, silence_s: float, progress: Callable[[], int], expired: Callable[[], None]):
        self._clock = clock
        self._silence_s = silence_s
        self._progress = progress
        self._expired = expired
        self._seen = progress()
        self._moved = clock.seconds()
        self._call: IDelayedCall | None = clock.callLater(silence_s / 4, self._look)

    def stop(self) -> None:
        """Watch no more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._call = None
        now, seen = self._clock.seconds(), self._progress()
        if seen != self._seen:
            self._seen, self._moved = seen, now
        elif now - self._moved >= self._silence_s:
            self._expired()
            return
        self._call = self._clock.callLater(self._silence_s / 4, self._look)


class MessageReceiver(ABC):
    """Decodes one message from a stream; what breaks it ends this stream only.

    It watches the stream until both directions have ended, because a side that never ends its own would keep it open.
    """

    def __init__(self, stream: Stream, limit: int, clock: IReactorTime, silence_s: float) -> None:
        self.stream = stream
        self._decoder = MessageDecoder(limit)
        self._held = account_of(stream).bytes_held()
        self._clock = clock
        self._silence_s = silence_s
        self._watch = Watch(clock, silence_s, lambda: stream.sent + stream.received, self._silent)

    def data_received(self, data: memoryview) -> None:
        try:
            for event in self._decoder.feed(data):
                if isinstance(event, Body):
                    self.on_body(event.data)
                elif isinstance(event, Head):
                    self.on_head(event.box)
                else:
                    self.on_tail(event.box)
                    self.stream.resumeProducing()  # whoever paused it is done; its end is still to come
        except ProtocolViolation as error:
            self.give_up(ExchangeFailed(Outcome.CORRUPT, f"what the other side sends makes no sense: {error}"))
        else:
            self._held.set(self._decoder.held if self.stream.alive else 0)

    def ended(self) -> None:
        if not self._decoder.complete:
            self.give_up(ExchangeFailed(Outcome.TRUNCATED, "the message ended before its tail"))

    def settled(self) -> None:
        self._watch.stop()
        self._held.set(0)

    def lost(self, failure: ExchangeFailed) -> None:
        self._watch.stop()
        self._held.set(0)
        self.broken(failure)

    def give_up(self, failure: ExchangeFailed) -> None:
        """Reset the stream."""
        self._watch.stop()
        self._held.set(0)
        self.stream.reset()
        self.broken(failure)

    def keep_open(self) -> None:
        """From now on nothing need move on this stream, as long as its link answers."""
        self._watch.stop()

    def _silent(self) -> None:
        self.give_up(ExchangeFailed(Outcome.TIMEOUT, f"nothing moved for {self._silence_s:g} s"))

    @abstractmethod
    def on_head(self, box: Box) -> None:
        """The message begins."""

    @abstractmethod
    def on_body(self, data: memoryview) -> None:
        """Some bytes of the body came."""

    @abstractmethod
    def on_tail(self, box: Box) -> None:
        """The message is complete."""

    @abstractmethod
    def broken(self, failure: ExchangeFailed) -> None:
        """The message won't be completed."""

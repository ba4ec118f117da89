"""Streams of a direct link as Twisted producers and consumers.

Backpressure runs from disk to disk: whoever writes to a :class:`Stream` registers as its producer and is paused while
too much is queued; whoever receives pauses the stream, its bytes stay within the stream's window, no credit goes
back, and the other side's producer is paused in turn.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Protocol, cast

from twisted.internet.interfaces import IConsumer, IPullProducer, IPushProducer
from zope.interface import implementer

from p2p.errors import ExchangeFailed

__all__ = ["Stream", "StreamCarrier", "StreamReceiver"]

HIGH_WATER: Final = 1024 * 1024
"""Bytes queued on a stream at which its push producer is paused."""

LOW_WATER: Final = 512 * 1024
"""Bytes queued on a stream below which its producer is asked for more."""


class StreamReceiver(Protocol):
    """Takes what arrives on a stream."""

    def data_received(self, data: memoryview) -> None:
        """Some bytes came."""

    def ended(self) -> None:
        """No more bytes come."""

    def lost(self, failure: ExchangeFailed) -> None:
        """The stream or its link is gone."""


class StreamCarrier(Protocol):
    """What a stream asks of the link that carries it."""

    def stream_write(self, stream_id: int, data: bytes | memoryview) -> int:
        """Queue bytes and return how many are queued now."""

    def stream_finish(self, stream_id: int) -> None:
        """End our direction after what is queued."""

    def stream_reset(self, stream_id: int) -> None:
        """Give the stream up."""

    def stream_consumed(self, stream_id: int, count: int) -> None:
        """Say that received bytes are used up."""

    def stream_settled(self, stream_id: int) -> None:
        """Both directions have ended, as far as the stream's user is concerned."""


@implementer(IConsumer, IPushProducer)
class Stream:
    """One stream of a link: an ``IConsumer`` of what we send, an ``IPushProducer`` of what arrives.

    :ivar sent: bytes written to the link so far.
    :ivar received: bytes that arrived so far.
    :ivar alive: False once both directions ended, or either side reset it.
    """

    def __init__(self, carrier: StreamCarrier, stream_id: int) -> None:
        self._carrier = carrier
        self.stream_id = stream_id
        self.sent = 0
        self.received = 0
        self.alive = True
        self._receiver: StreamReceiver | None = None
        self._inbox: deque[memoryview] = deque()
        self._paused = False
        self._peer_ended = False
        self._end_told = False
        self._finished = False
        self._queued = 0
        self._producer: IPushProducer | IPullProducer | None = None
        self._pulled = False
        self._producer_paused = False

    # -- sending: IConsumer -----------------------------------------------------------------------------------

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take data from a producer: told to pause when it pushes, asked each time when it is pulled."""
        if self._producer is not None:
            raise RuntimeError(f"stream {self.stream_id} has a producer already")
        if not self.alive:
            producer.stopProducing()
            return
        self._producer = producer
        self._pulled = not streaming
        self._producer_paused = False
        if self._pulled:
            cast(IPullProducer, producer).resumeProducing()
        elif self._queued >= HIGH_WATER:
            self._pause_producer()

    def unregisterProducer(self) -> None:
        """Take no more from the producer."""
        self._producer = None

    def write(self, data: bytes | memoryview) -> None:
        """Queue bytes to send; they must not change afterwards."""
        if not self.alive or self._finished:
            return
        self._queued = self._carrier.stream_write(self.stream_id, data)
        if self._queued >= HIGH_WATER and self._producer is not None and not self._pulled:
            self._pause_producer()

    def finish(self) -> None:
        """Send nothing more after what is queued (half-close)."""
        if self.alive and not self._finished:
            self._finished = True
            self._carrier.stream_finish(self.stream_id)
            self._settle()

    def reset(self) -> None:
        """Give the stream up in both directions, at once."""
        if self.alive:
            self.alive = False
            self._inbox.clear()
            self._carrier.stream_reset(self.stream_id)
            self._stop_producer()

    # -- receiving: IPushProducer -----------------------------------------------------------------------------

    def receive_with(self, receiver: StreamReceiver) -> None:
        """Hand what arrives, and what has arrived, to a receiver."""
        self._receiver = receiver
        self._deliver_inbox()

    def pauseProducing(self) -> None:
        """Deliver nothing until :meth:`resumeProducing`; at most a window of bytes gathers."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Deliver again, first what has gathered."""
        self._paused = False
        self._deliver_inbox()

    def stopProducing(self) -> None:
        """Give the stream up: nobody wants what arrives."""
        self.reset()

    # -- called by the link -----------------------------------------------------------------------------------

    def link_data(self, data: memoryview) -> None:
        """Bytes arrived."""
        self.received += len(data)
        self._inbox.append(data)
        self._deliver_inbox()

    def link_end(self) -> None:
        """The other side's FIN arrived."""
        self._peer_ended = True
        self._deliver_inbox()

    def link_drained(self, taken_to: int) -> None:
        """The link took bytes off the queue; ``taken_to`` are left."""
        self.sent += max(self._queued - taken_to, 0)
        self._queued = taken_to
        if self._queued >= LOW_WATER or self._producer is None:
            return
        if self._pulled:
            cast(IPullProducer, self._producer).resumeProducing()
        elif self._producer_paused:
            self._producer_paused = False
            cast(IPushProducer, self._producer).resumeProducing()

    def link_lost(self, failure: ExchangeFailed) -> None:
        """The stream was reset by the other side, or its link is gone; what gathered is dropped."""
        if not self.alive:
            return
        self.alive = False
        self._inbox.clear()
        self._stop_producer()
        if self._receiver is not None:
            self._receiver.lost(failure)

    # -- within -----------------------------------------------------------------------------------------------

    def _deliver_inbox(self) -> None:
        receiver: StreamReceiver | None = self._receiver
        if receiver is None:
            return
        while self._inbox and not self._paused and self.alive:
            data = self._inbox.popleft()
            receiver.data_received(data)
            self._carrier.stream_consumed(self.stream_id, len(data))
        if self._peer_ended and not self._inbox and not self._paused and not self._end_told and self.alive:
            self._end_told = True
            self._settle()
            receiver.ended()

    def _settle(self) -> None:
        if self._finished and self._end_told:
            self.alive = False
            self._carrier.stream_settled(self.stream_id)

    def _pause_producer(self) -> None:
        if not self._producer_paused:
            self._producer_paused = True
            cast(IPushProducer, self._producer).pauseProducing()

    def _stop_producer(self) -> None:
        producer: Any = self._producer
        self._producer = None
        if producer is not None:
            producer.stopProducing()

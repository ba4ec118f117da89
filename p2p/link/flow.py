"""Streams of a direct link as Twisted producers and consumers.

Backpressure runs from disk to disk: whoever writes to a :class:`Stream` registers as its producer and is paused while
too much is queued; whoever receives pauses the stream, its bytes stay within the stream's window, no credit goes
back, and the other side's producer is paused in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IConsumer, IPullProducer, IPushProducer
from zope.interface import implementer

from p2p.base.errors import ExchangeFailed
from p2p.base.scopes import UNCOUNTED, StreamScope
from p2p.link.mux import INITIAL_WINDOW
from p2p.link.pieces import Pieces

__all__ = ["NotTaken", "Stream", "StreamCarrier", "StreamReceiver", "StreamTurns", "account_of"]

HIGH_WATER: Final = 1024 * 1024
"""Bytes queued on a stream at which its push producer is paused."""

LOW_WATER: Final = 512 * 1024
"""Bytes queued on a stream below which its producer is asked for more."""

PRESSED_WATER: Final = 64 * 1024
"""Bytes queued on a stream at which its producer is paused, and below which it goes on, while its peer, or all peers
together, hold more than half of the memory that they may have."""

PIECE_COST: Final = 256
"""Bytes that each write counts besides its own: what it costs to keep it, however small it is."""


class NotTaken(ExchangeFailed):
    """The other side went away before it took this stream, so the exchange can safely be begun again."""


class StreamReceiver(Protocol):
    """Takes what arrives on a stream."""

    def data_received(self, data: memoryview) -> None:
        """Some bytes came."""

    def ended(self) -> None:
        """No more bytes come."""

    def settled(self) -> None:
        """Both directions have ended, and everything that was written is on its way."""

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

    :param scope: accounts for what is held on behalf of this stream.
    :param window: bytes that the other side was granted at its beginning, beyond those that every stream has.
    :ivar carrier: the link that it is one of.
    :ivar sent: bytes written to the link so far.
    :ivar received: bytes that arrived so far.
    :ivar alive: False once both directions ended, or either side reset it; what was written before may still wait.
    :ivar over: is called when it is gone, whatever it was that ended it.
    """

    def __init__(self, carrier: StreamCarrier, stream_id: int, scope: StreamScope, window: int = 0) -> None:
        self._carrier = carrier
        self.carrier = carrier
        self.stream_id = stream_id
        self.scope = scope
        self._held_in = scope.bytes_held()
        self._held_out = scope.bytes_held()
        self._held_window = scope.bytes_held()
        self._held_window.set(window)
        self.sent = 0
        self.received = 0
        self.alive = True
        self.over: Callable[[], object] = lambda: None
        self._gone = False
        self._receiver: StreamReceiver | None = None
        self._inbox = Pieces()
        self._paused = False
        self._delivering = False
        self._discarding = False
        self._peer_ended = False
        self._end_told = False
        self._finished = False
        self._queued = 0
        self._pieces = 0  # written since the queue was last empty
        self._producer: IPushProducer | IPullProducer | None = None
        self._pulled = False
        self._producer_paused = False

    @property
    def unsent(self) -> int:
        """Bytes written that the link hasn't taken yet."""
        return self._queued

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
        elif self._is_full():
            self._pause_producer()

    def unregisterProducer(self) -> None:
        """Take no more from the producer."""
        self._producer = None

    def write(self, data: bytes | memoryview) -> None:
        """Queue bytes to send; they must not change afterwards."""
        if not self.alive or self._finished:
            return
        self._queued = self._carrier.stream_write(self.stream_id, data)
        self._pieces += 1
        self._held_out.set(self._load)
        if self._producer is not None and not self._pulled and self._is_full():
            self._pause_producer()

    def finish(self) -> None:
        """Send nothing more after what is queued (half-close)."""
        if self.alive and not self._finished:
            self._finished = True
            self._carrier.stream_finish(self.stream_id)
            self._settle()

    def reset(self) -> None:
        """Give the stream up in both directions, at once, with what is queued."""
        if not self._gone:
            self._gone = True
            self.alive = False
            self._let_go()
            self._carrier.stream_reset(self.stream_id)
            self._stop_producer()
            self.over()

    # -- receiving: IPushProducer -----------------------------------------------------------------------------

    def receive_with(self, receiver: StreamReceiver) -> None:
        """Hand what arrives, and what has arrived, to a receiver."""
        self._receiver = receiver
        self._deliver_inbox()
        self._count_inbox()

    def pauseProducing(self) -> None:
        """Deliver nothing until :meth:`resumeProducing`; at most a window of bytes gathers."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Deliver again, first what has gathered."""
        self._paused = False
        self._deliver_inbox()
        self._count_inbox()

    def stopProducing(self) -> None:
        """Give the stream up: nobody wants what arrives."""
        self.reset()

    def discard(self) -> None:
        """Drop what arrives from now on, without credit for more; its end is still told."""
        self._discarding = True
        self._inbox.clear()
        self.resumeProducing()

    # -- called by the link -----------------------------------------------------------------------------------

    def may_grow(self, growth: int) -> bool:
        """Whether the other side may have so many more bytes on their way, which are counted from now on."""
        return self._held_window.try_to_add(growth)

    def link_data(self, data: memoryview) -> None:
        """Bytes arrived."""
        self.received += len(data)
        if not self._discarding:
            self._inbox.append(data)
            self._deliver_inbox()
            self._count_inbox()

    def link_end(self) -> None:
        """The other side's FIN arrived."""
        self._peer_ended = True
        self._deliver_inbox()

    def link_drained(self, taken_to: int) -> None:
        """The link took bytes off the queue; ``taken_to`` are left."""
        self.sent += max(self._queued - taken_to, 0)
        self._queued = taken_to
        if not taken_to:
            self._pieces = 0
        load = self._load
        self._held_out.set(load)
        if self._producer is None or load >= LOW_WATER or (load >= PRESSED_WATER and self.scope.pressed):
            return
        if self._pulled:
            cast(IPullProducer, self._producer).resumeProducing()
        elif self._producer_paused:
            self._producer_paused = False
            cast(IPushProducer, self._producer).resumeProducing()

    def link_settled(self) -> None:
        """The last frame of this stream is out."""
        self._gone = True
        self._let_go()
        if self._receiver is not None:
            self._receiver.settled()
        self.over()

    def link_lost(self, failure: ExchangeFailed) -> None:
        """The stream was reset by the other side, or its link is gone; what gathered is dropped."""
        if self._gone:
            return
        self._gone = True
        self.alive = False
        self._let_go()
        self._stop_producer()
        if self._receiver is not None:
            self._receiver.lost(failure)
        self.over()

    # -- within -----------------------------------------------------------------------------------------------

    def _deliver_inbox(self) -> None:
        receiver: StreamReceiver | None = self._receiver
        if receiver is None or self._delivering:
            return
        self._delivering = True  # a receiver that pauses and resumes in one go must not get the next piece within this
        try:
            while self._inbox and not self._paused and self.alive:
                data = self._inbox.popleft()
                receiver.data_received(data)
                if not self._discarding:
                    self._carrier.stream_consumed(self.stream_id, len(data))
            if self._peer_ended and not self._inbox and not self._paused and not self._end_told and self.alive:
                self._end_told = True
                receiver.ended()
                self._settle()
        finally:
            self._delivering = False

    def _settle(self) -> None:
        if self.alive and self._finished and self._end_told:
            self.alive = False
            self._carrier.stream_settled(self.stream_id)

    def _count_inbox(self) -> None:
        """Count what gathered; what the window has grown by counts anyway."""
        self._held_in.set(min(self._inbox.size, INITIAL_WINDOW))

    def _let_go(self) -> None:
        """Nothing is held any more; services let go of theirs."""
        self._inbox.clear()
        self._held_in.set(0)
        self._held_out.set(0)
        self._held_window.set(0)
        self.scope.end()

    @property
    def _load(self) -> int:
        return self._queued + self._pieces * PIECE_COST

    def _is_full(self) -> bool:
        load = self._load
        return load >= HIGH_WATER or (load >= PRESSED_WATER and self.scope.pressed)

    def _pause_producer(self) -> None:
        if not self._producer_paused:
            self._producer_paused = True
            cast(IPushProducer, self._producer).pauseProducing()

    def _stop_producer(self) -> None:
        producer: Any = self._producer
        self._producer = None
        if producer is not None:
            producer.stopProducing()


def account_of(peer: object) -> StreamScope:
    """Where to count what is held of what a producer gives, or for a consumer: with its stream, if it is one."""
    return peer.scope if isinstance(peer, Stream) else UNCOUNTED


class StreamTurns(DeferredSemaphore):
    """The exchanges that one end of a link may have begun at a time: half of the streams that it carries.

    A turn lasts until the stream is gone, not only until its exchange has an outcome: the other side's FIN comes behind
    the reply, and until then the stream counts.

    :param streams: what the stricter end allows, both sides' together.
    """

    def __init__(self, streams: int) -> None:
        super().__init__(max(streams // 2, 1))

    async def next(self, open_stream: Callable[[], Stream]) -> Stream:
        """Wait for a turn and open a stream; what that raises gives the turn back."""
        await self.acquire()
        try:
            stream = open_stream()
        except BaseException:
            self.release()
            raise
        stream.over = self.release
        return stream

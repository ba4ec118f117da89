"""Bodies that go to what blocks, such as a disk: taken in threads, while the stream is paused if need be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.base.errors import ExchangeFailed, Outcome, P2PError
from p2p.exchange.service import Threads
from p2p.link.flow import account_of
from p2p.link.pieces import Pieces

__all__ = ["ThreadedSink", "Worker"]

BATCH: Final = 2 * 1024 * 1024
"""Bytes that are gathered before a thread takes them, unless they are the last: the way there and back costs as much as
hashing half of them."""

HIGH_WATER: Final = 4 * 1024 * 1024
"""Bytes that wait for a thread, or that it has in hand, at which the stream is paused."""

PRESSED_WATER: Final = 256 * 1024
"""Bytes at which the stream is paused, and for which a thread is asked, while its peer, or all peers together, hold
more than half of the memory that they may have."""

TRICKLE_S: Final = 10.0
"""Seconds between two pieces that are let in while the queue is full: well below the silence that ends an exchange."""

TRICKLE_BYTES: Final = 16 * 1024 * 1024
"""Bytes in the queue at which nothing more is let in: then the reader has stood still for an hour or so."""

GATHER_S: Final = 0.05
"""Seconds for which fewer bytes than a batch wait for others, where somebody wants to see that they move."""

_log = Logger()


class Worker:
    """Calls what blocks in threads, one call after another.

    Whoever waits for a call may be cancelled. A call that has begun goes on to its end all the same, and the next one
    begins after it.
    """

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._calls: deque[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = deque()
        self.busy = False

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Call a function when all calls before it have ended."""
        waiting: Deferred[Any] = Deferred()
        self._calls.append((waiting, function, arguments))
        self._next()
        return waiting

    def _next(self) -> None:
        while self._calls and not self.busy:
            waiting, function, arguments = self._calls.popleft()
            if not waiting.called:  # else it was cancelled
                self.busy = True
                self._threads(function, *arguments).addBoth(self._ended, waiting)

    def _ended(self, result: Any, waiting: Deferred[Any]) -> None:
        self.busy = False
        if not waiting.called:
            waiting.callback(result)
        elif isinstance(result, Failure) and not result.check(P2PError):
            _log.failure("a call that nobody waits for any more failed", result)
        self._next()


@implementer(IConsumer)
class ThreadedSink(ABC):
    """A sink whose bytes are taken in threads.

    :param worker: calls :meth:`take`.
    :param clock: with it, bytes that are fewer than a batch are taken soon; without it, when more have come, or all.
    :param trickle: let a few bytes come now and then while the queue is full, so that the other side doesn't take a
        slow reader for a link that is gone.
    :ivar failure: why no more is taken.
    :ivar touched: whether a thread was asked to take anything.
    """

    def __init__(self, worker: Worker, clock: IReactorTime | None = None, *, trickle: bool = False) -> None:
        self.worker = worker
        self._trickles = trickle
        self._trickle: IDelayedCall | None = None
        self.failure: BaseException | None = None
        self.touched = False
        self._clock = clock
        self._producer: IPushProducer | None = None
        self._paused = False
        self._queue = Pieces()
        self._in_hand = 0  # bytes that a thread is taking
        self._blocks: set[str] = set()
        self._working = False
        self._hurry = False
        self._timer: IDelayedCall | None = None
        self._flushing: Deferred[None] | None = None
        self._dropped = False
        self._account = account_of(None)
        self._held = self._account.bytes_held()
        self._files = self._account.files_open()
        self._kept = 0

    @abstractmethod
    def take(self, pieces: list[memoryview]) -> Any:
        """Take bytes; in a thread."""

    def taken(self, result: Any) -> None:  # noqa: B027 - most have nothing to do then
        """A call of :meth:`take` has ended."""

    def failed(self, error: BaseException) -> None:  # noqa: B027 - most tell it when the next bytes come
        """:attr:`failure` is known now."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Get the stream to pause."""
        self._producer = producer
        self._paused = False
        self._account = account_of(producer)
        self._held = self._account.bytes_held()
        self._files = self._account.files_open()
        self._count()
        self._pace()

    def unregisterProducer(self) -> None:
        """The body has ended."""
        self._producer = None
        self._end_trickle()

    @property
    def busy(self) -> bool:
        """Whether it is this side that something waits for: a thread is at work, or the stream is paused."""
        return self._working or self._paused

    def write(self, data: bytes | memoryview) -> None:
        """Queue bytes.

        :raises Exception: what :meth:`take` raised at bytes before these.
        """
        if self.failure is not None:
            raise self.failure
        if not self._dropped:
            self._queue.append(data)
            self._count()
            self._go_on()
            self._pace()

    def keeps(self, size: int, files: int) -> None:
        """Count so many bytes of what was taken, and open files, as well."""
        self._kept = size
        self._count()
        self._files.set(files)

    def block(self, why: str) -> None:
        """Take nothing until the same reason is given to :meth:`unblock`."""
        self._blocks.add(why)
        self._pace()

    def unblock(self, why: str) -> None:
        """Go on, unless there is another reason not to."""
        self._blocks.discard(why)
        self._go_on()
        self._pace()

    def flush(self) -> Deferred[None]:
        """Fires when all that came was taken, or fails as that did; nothing comes after it."""
        if self.failure is not None:
            raise self.failure
        if self._dropped:
            raise _given_up()
        self._hurry = True
        self._flushing = Deferred()
        flushed = self._flushing
        self._go_on()
        return flushed

    def drop(self) -> None:
        """Take no more, and forget what waits."""
        self._dropped = True
        self._queue.clear()
        self._count()
        _forget_frames(self.failure)
        self._end_trickle()
        self._stop_timer()
        flushing, self._flushing = self._flushing, None
        if flushing is not None:
            flushing.errback(_given_up())

    def _count(self) -> None:
        self._held.set(self._queue.size + self._in_hand + self._kept)

    def _pace(self) -> None:
        waiting = self._queue.size + self._in_hand
        full = waiting >= HIGH_WATER or (waiting >= PRESSED_WATER and self._account.pressed)
        full = self.failure is None and (full or bool(self._blocks))
        if full != self._paused and self._producer is not None:
            self._paused = full
            self._end_trickle()
            if full:
                self._begin_trickle()
                self._producer.pauseProducing()
            else:
                self._producer.resumeProducing()

    def _begin_trickle(self) -> None:
        if self._trickles and self._clock is not None and self._queue.size < TRICKLE_BYTES:
            self._trickle = self._clock.callLater(TRICKLE_S, self._let_in)

    def _let_in(self) -> None:
        """Let the stream give its next piece, after which it is paused again."""
        self._trickle = None
        if self._producer is not None and self._paused:
            self._paused = False
            self._producer.resumeProducing()

    def _end_trickle(self) -> None:
        trickle, self._trickle = self._trickle, None
        if trickle is not None:
            trickle.cancel()

    def _go_on(self) -> None:
        if self._working or self._blocks or self._dropped or self.failure is not None:
            return
        size = self._queue.size
        if size >= BATCH or (self._hurry and size) or (size >= PRESSED_WATER and self._account.pressed):
            self._stop_timer()
            self._working = self.touched = True
            self._in_hand = size
            self.worker(self.take, self._queue.take()).addCallback(self._taken).addErrback(self._not_taken)
        elif self._flushing is not None:
            flushing, self._flushing = self._flushing, None
            flushing.callback(None)
        elif self._queue and self._clock is not None and self._timer is None:
            self._timer = self._clock.callLater(GATHER_S, self._late)

    def _late(self) -> None:
        self._timer = None
        self._hurry = True
        self._go_on()

    def _taken(self, result: Any) -> None:
        self._working = False
        self._in_hand = 0
        self._count()
        self._hurry = self._flushing is not None
        if not self._dropped:
            self.taken(result)
            self._go_on()
            self._pace()

    def _not_taken(self, failure: Failure) -> None:
        self._working = False
        self._in_hand = 0
        if self._dropped:
            self._count()
            return
        assert failure.value is not None
        self.failure = failure.value
        if failure.check(P2PError):  # else it is a fault, and whoever logs it needs them
            _forget_frames(self.failure)
        self._queue.clear()
        self._count()
        self._stop_timer()
        flushing, self._flushing = self._flushing, None
        self._pace()
        if flushing is not None:
            flushing.errback(failure)
        self.failed(self.failure)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


def _forget_frames(error: BaseException | None) -> None:
    """Let go of the calls that an error came through: they keep the bytes alive that couldn't be taken."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _given_up() -> ExchangeFailed:
    return ExchangeFailed(Outcome.RESET, "the exchange was given up")

"""From an engine that gives out records to the stream that they go over, read ahead in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPullProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.base.rates import Pace
from p2p.exchange.message_streams import MessageWriter
from p2p.exchange.threaded import Worker
from p2p.link.flow import account_of
from p2p.transfer.records import Buffer

__all__ = ["Production"]

BATCH: Final = 2 * 1024 * 1024
"""Bytes that an engine is asked for at once: asking a thread costs as much as hashing half of them."""

AHEAD: Final = 1
"""Batches that are read before the stream asks for them."""


@implementer(IPullProducer)
class Production:
    """Writes what an engine gives out to a message, whenever its stream has room.

    :param give: gives the next buffers, about so many bytes; empty when there is no more. It is called by the worker.
    :param pace: keeps a limit, if there is one.
    :param written: is called after each piece of work.
    :param full: whether to read no further now; :meth:`go_on` says that it may have changed.
    """

    def __init__(
        self,
        give: Callable[[int], list[Buffer]],
        worker: Worker,
        clock: IReactorTime,
        *,
        pace: Pace | None = None,
        written: Callable[[], object] = lambda: None,
        full: Callable[[], bool] = lambda: False,
    ) -> None:
        self._give = give
        self._worker = worker
        self._clock = clock
        self._pace = pace
        self._written = written
        self._full = full
        self._ready: deque[list[Buffer]] = deque()
        self._parts: deque[list[Buffer]] = deque()
        self._reading = False
        self._ended = False
        self._asked = False
        self._writing = False
        self._over = False
        self._timer: IDelayedCall | None = None
        self._done: Deferred[None] = Deferred()
        self._account = account_of(None)
        self._held = self._account.bytes_held()
        self._size = 0

    @property
    def held(self) -> bool:
        """Whether the pace holds it up now."""
        return self._timer is not None

    async def run(self, consumer: MessageWriter) -> None:
        """Write everything; cancel it to stop.

        :raises Exception: whatever the engine raises.
        """
        self._consumer = consumer
        self._account = account_of(consumer.stream)
        self._held = self._account.bytes_held()
        self._read()
        consumer.registerProducer(self, False)
        try:
            await self._done
        finally:
            self._over = True
            self._ready.clear()
            self._parts.clear()
            self._held.set(0)
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            consumer.unregisterProducer()

    def go_on(self) -> None:
        """There may be no reason any more to read no further."""
        self._read()

    def resumeProducing(self) -> None:
        """The stream has room."""
        self._asked = True
        self._write()
        self._read()

    def stopProducing(self) -> None:
        """The stream is gone; whoever performs the exchange ends this."""

    def _read(self) -> None:
        if self._reading or self._ended or self._over or len(self._ready) >= AHEAD or self._full():
            return
        if self._asked or not self._account.pressed:
            self._reading = True
            self._worker(self._give, BATCH).addCallback(self._got).addErrback(self._failed)

    def _got(self, buffers: list[Buffer]) -> None:
        self._reading = False
        if self._over:
            return
        if buffers:
            self._ready.append(buffers)
            self._count(sum(map(len, buffers)))
        else:
            self._ended = True
        self._read()
        self._write()

    def _failed(self, failure: Failure) -> None:
        if not self._over and not self._done.called:
            self._done.errback(failure)

    def _write(self) -> None:
        """Write one part each time that the stream asked; it may ask again within that."""
        if self._writing or self._timer is not None:
            return
        self._writing = True
        while self._asked and not self._over and (part := self._part()):
            self._asked = False
            seconds = self._pace.delay(sum(map(len, part)), self._clock.seconds()) if self._pace is not None else 0.0
            if seconds > 0:
                self._timer = self._clock.callLater(seconds, self._late, part)
                break
            self._give_out(part)
            self._written()
        self._writing = False
        if self._over or self._done.called:
            return
        if self._ended and not self._ready and not self._parts and self._timer is None:
            self._done.callback(None)

    def _part(self) -> list[Buffer] | None:
        """What to write next; with a pace, no more than flows evenly."""
        if not self._parts and self._ready:
            batch = self._ready.popleft()
            self._parts.extend([batch] if self._pace is None else _cut(batch, self._pace.burst))
            self._read()
        return self._parts.popleft() if self._parts else None

    def _give_out(self, part: list[Buffer]) -> None:
        self._consumer.write_pieces(part)
        self._count(-sum(map(len, part)))

    def _count(self, more: int) -> None:
        """Count what was read and isn't written."""
        self._size += more
        self._held.set(self._size)

    def _late(self, part: list[Buffer]) -> None:
        self._timer = None
        self._writing = True
        self._give_out(part)
        self._writing = False
        self._written()
        self._write()


def _cut(buffers: list[Buffer], size: int) -> list[list[Buffer]]:
    """Buffers in parts of at most so many bytes."""
    parts: list[list[Buffer]] = []
    room = 0
    for buffer in buffers:
        rest = memoryview(buffer)
        while rest:
            if not room:
                parts.append([])
                room = size
            piece = rest[:room]
            parts[-1].append(piece)
            room -= len(piece)
            rest = rest[len(piece) :]
    return parts

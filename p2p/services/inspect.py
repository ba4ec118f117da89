"""The service ``inspect``: the receiver plays audio or video to its end and replies with what it saw, and a picture.

What comes is kept in a file without a name until it is there whole; then a worker process plays it.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import BinaryIO, Final

from blake3 import blake3
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange.exchange import ReplyWriter, Request
from p2p.exchange.service import Context, IContentService
from p2p.exchange.threaded import ThreadedSink, Worker
from p2p.link.boxes import Box
from p2p.services.inspect_workers import MEDIA_MISSING, Played, Workers, has_media, undecodable

__all__ = ["Inspect", "InspectSink", "inspect"]

MAX_BYTES: Final = 67_108_864
"""Bytes of one file."""

WAITING_BYTES: Final = 1_073_741_824
"""Bytes of all files together that come, wait or are played."""

SENDER_BYTES: Final = 268_435_456
"""Of them, those of one sender."""

LEAST_RATE: Final = 8192
"""Bytes a second with which a file has to come."""

RATE_S: Final = 15.0
"""Seconds over which that is looked at: for so long a file may also come to a standstill."""

MOST_WORKERS: Final = 4
"""Files that are played at once; fewer on a machine with fewer processors. Each holds a thread."""

WAIT_S: Final = 15
"""Seconds that a file waits for its turn. With the time to play it, that is below the silence that ends an exchange."""


class PlayTurns:
    """Files that are played at once, and the bytes of those that come or wait, by who sends them."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: dict[str, deque[Deferred[None]]] = {}  # whose turn is next comes first
        self._bytes: Counter[str] = Counter()

    def reserve(self, sender: str, size: int) -> None:
        """Make room for bytes that have come.

        :raises ExchangeFailed: with ``refused``, if too many are there.
        """
        if self._bytes[sender] + size > SENDER_BYTES:
            raise _busy(f"other files of {sender} take all of the room that it may have")
        if self._bytes.total() + size > WAITING_BYTES:
            raise _busy("others' files take all of its room")
        self._bytes[sender] += size

    def release(self, sender: str, size: int) -> None:
        """The bytes are gone."""
        self._bytes[sender] -= size
        if not self._bytes[sender]:
            del self._bytes[sender]

    async def begin(self, sender: str, clock: IReactorTime) -> None:
        """Wait for a turn, which :meth:`end` gives back; senders that wait have one after the other.

        :raises ExchangeFailed: with ``refused``, if that takes too long.
        """
        if self._free:
            self._free -= 1
            return
        waiting: Deferred[None] = Deferred()
        self._waiting.setdefault(sender, deque()).append(waiting)
        try:
            await waiting.addTimeout(WAIT_S, clock)
        except DeadlinePassed:
            self._waiting[sender].remove(waiting)
            if not self._waiting[sender]:
                del self._waiting[sender]
            raise _busy(f"this one waited {WAIT_S} s in vain") from None

    def end(self) -> None:
        """Let the next one have its turn."""
        if not self._waiting:
            self._free += 1
            return
        sender = next(iter(self._waiting))
        queue = self._waiting.pop(sender)
        first = queue.popleft()
        if queue:
            self._waiting[sender] = queue
        first.callback(None)


class InspectSink(ThreadedSink):
    """Keeps a body until it is whole, and has it played."""

    _log = Logger()

    def __init__(self, request: Request, reply: ReplyWriter, context: Context, turns: PlayTurns, workers: Workers):
        super().__init__(Worker(context.threads))
        self._reply = reply
        self._context = context
        self._length = request.length
        self._turns = turns
        self._workers = workers
        self._sender = request.sender
        self._reserved = 0
        self._seen = 0
        self._hurrying: IDelayedCall | None = context.clock.callLater(RATE_S, self._look)
        self._file: BinaryIO | None = None
        self._size = 0
        self._hasher = blake3()
        self._given_up = False

    def write(self, data: bytes | memoryview) -> None:
        """Queue bytes, if there is room for them."""
        self._turns.reserve(self._sender, len(data))
        self._reserved += len(data)
        super().write(data)

    def _look(self) -> None:
        """See that it comes as fast as it has to, unless it is this side that is slow."""
        self._hurrying = self._context.clock.callLater(RATE_S, self._look)
        if self._reserved - self._seen < LEAST_RATE * RATE_S and not self.busy:
            reason = f"too slow: a file to inspect has to come with {LEAST_RATE} bytes a second; send it with store"
            self._reply.fail(ExchangeFailed(Outcome.REFUSED, reason))
        self._seen = self._reserved

    def _stop_looking(self) -> None:
        hurrying, self._hurrying = self._hurrying, None
        if hurrying is not None:
            hurrying.cancel()

    def taken(self, result: None) -> None:
        """The file is open."""
        self.keeps(0, 1)

    def take(self, pieces: list[memoryview]) -> None:
        """Keep bytes."""
        self._size += sum(map(len, pieces))
        if self._length is not None and self._size > self._length:
            raise ExchangeFailed(Outcome.CORRUPT, f"{self._size} bytes came, {self._length} were announced")
        if self._size > MAX_BYTES:
            raise _too_large(self._context, self._size)
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="p2p-inspect-")  # noqa: SIM115 - it stays open
            for piece in pieces:
                self._hasher.update(piece)
                self._file.write(piece)
            self._file.flush()
        except OSError as error:
            raise ExchangeFailed(
                Outcome.REFUSED, f"{self._context.peer} can't keep a file to inspect: {error.strerror}"
            ) from error

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """Have it played, and reply with the picture.

        :returns: ``container``, ``codecs``, ``duration_s``, ``frames``; ``width`` and ``height`` of pictures, ``rate``
            and ``channels`` of sound.
        :raises ExchangeFailed: with ``refused``, if it can't be played; its reason begins with ``undecodable``.
        """
        self._stop_looking()
        await self.flush()
        if self._length is not None and self._size < self._length:
            raise ExchangeFailed(Outcome.TRUNCATED, f"{self._size} bytes came, {self._length} were announced")
        if tail.get("digest", self._hasher.digest()) != self._hasher.digest():
            raise ExchangeFailed(Outcome.CORRUPT, "what came doesn't have the BLAKE3 digest of what was sent")
        if self._file is None:
            raise undecodable("it is empty")
        await self._turns.begin(self._sender, self._context.clock)
        try:
            self._check_wanted()
            played: Played = await self.worker(self._workers.play, self._file)
        finally:
            self._turns.end()
        self._check_wanted()
        self._close()
        self._reply.write(played.picture)
        return played.fields

    def abandon(self) -> None:
        """Forget the file, once no thread works on it."""
        self._given_up = True
        self._stop_looking()
        self.drop()
        self._close()

    def _check_wanted(self) -> None:
        if self._given_up:
            raise ExchangeFailed(Outcome.RESET, "the exchange was given up")

    def _close(self) -> None:
        reserved, self._reserved = self._reserved, 0
        self.worker(self._close_file).addBoth(self._closed, reserved)

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()

    def _closed(self, result: object, reserved: int) -> None:
        self._turns.release(self._sender, reserved)
        self.keeps(0, 0)


@implementer(IContentService)
class Inspect:
    """The service itself; all peers of a daemon share its workers.

    :param workers: play files.
    :param media: whether what plays them is installed.
    """

    name = "inspect"

    def __init__(self, workers: Workers, turns: PlayTurns, media: Callable[[], bool] = has_media) -> None:
        self._workers = workers
        self._turns = turns
        self._media = media
        self._has_media = False

    def receive(self, request: Request, reply: ReplyWriter, context: Context) -> InspectSink:
        """Begin to take a file."""
        self._has_media = self._has_media or self._media()
        if not self._has_media:
            raise ExchangeFailed(Outcome.REFUSED, f"{context.peer} can't inspect: {MEDIA_MISSING}, on its machine")
        if request.length is not None and request.length > MAX_BYTES:
            raise _too_large(context, request.length)
        return InspectSink(request, reply, context, self._turns, self._workers)


def _too_large(context: Context, size: int) -> ExchangeFailed:
    return ExchangeFailed(
        Outcome.REFUSED,
        f"{size} bytes are more than {context.peer} inspects, {MAX_BYTES}; send it with the service store",
    )


def _busy(why: str) -> ExchangeFailed:
    return ExchangeFailed(Outcome.REFUSED, f"busy: the service inspect has too much to do, {why}; try again later")


inspect = Inspect(Workers(), PlayTurns(min(MOST_WORKERS, os.cpu_count() or 1)))

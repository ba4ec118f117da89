"""Content from disk and to disk: the source of a file, and the service ``store``.

Reading, writing and hashing run in threads; the reactor only passes buffers on.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from blake3 import blake3
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer
from twisted.logger import Logger
from zope.interface import implementer

from p2p.base.errors import LocalFileError
from p2p.exchange.exchange import MessageWriter, Request
from p2p.exchange.inbox import Arrival, checked_name
from p2p.exchange.request import BaseSource
from p2p.exchange.rules import Names, Offer
from p2p.exchange.service import Context, IContentService, Threads
from p2p.exchange.threaded import ThreadedSink, Worker
from p2p.link.boxes import Box

__all__ = ["BytesSource", "FileSource", "StoreSink", "store"]

READ_SIZE: Final = 128 * 1024
"""Bytes read from disk at once: still in the processor's cache when they are hashed."""

READS: Final = 8
"""Reads in one go: the way to a thread and back costs as much as a read."""


class BytesSource(BaseSource):
    """A body that is in memory already.

    :ivar length: its bytes.
    :ivar digest: its BLAKE3 digest in hex.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)
        self.digest = blake3(data).hexdigest()

    async def open(self) -> int:
        """Its length."""
        return self.length

    async def send(self, consumer: MessageWriter) -> Mapping[str, str | bytes]:
        """Write it at once; the stream holds it until it is sent."""
        consumer.write(self._data)
        return {"digest": bytes.fromhex(self.digest)}


class FileSource:
    """A file as the body of a request: read in threads, hashed on the way, never held whole.

    The length is fixed when the file is opened: what is appended meanwhile isn't sent, and a file that shrinks is an
    error. It can be opened again after it was closed.

    :ivar length: bytes of the file, None before it is open.
    """

    def __init__(self, path: Path, threads: Threads) -> None:
        self._path = path
        self._threads = threads
        self._opened = _OpenFile(path, threads)
        self.length: int | None = None

    @property
    def digest(self) -> str:
        """The BLAKE3 digest in hex of what was read so far."""
        return self._opened.hasher.hexdigest()

    async def open(self) -> int:
        """Open the file and return its length.

        :raises LocalFileError: if it can't be read or isn't a regular file.
        """
        self._opened = _OpenFile(self._path, self._threads)
        self.length = await self._opened.open()
        return self.length

    async def send(self, consumer: MessageWriter) -> Mapping[str, str | bytes]:
        """Produce the file into the consumer; cancel it to stop.

        :raises LocalFileError: if it can't be read to its end.
        """
        await self._opened.send(consumer)
        return {"digest": self._opened.hasher.digest()}

    def close(self) -> None:
        """Close the file, after the work of a thread that is under way."""
        self._opened.close()


@implementer(IPullProducer)
class _OpenFile:
    """One opening of a file; a thread that is still at work for an earlier one has nothing to do with it."""

    def __init__(self, path: Path, threads: Threads) -> None:
        self.hasher = blake3()
        self._path = path
        self._threads = threads
        self._descriptor: int | None = None
        self._left = 0
        self._working = False
        self._closed = False
        self._asked: Deferred[None] = Deferred()

    async def open(self) -> int:
        """Open it and return its length."""
        await self._in_thread(self._open)
        return self._left

    async def send(self, consumer: MessageWriter) -> None:
        """Write it to the consumer, a few pieces each time that it asks."""
        consumer.registerProducer(self, False)
        try:
            while self._left:
                await self._asked
                self._asked = Deferred()
                for data in await self._in_thread(self._read):
                    consumer.write(data)
        finally:
            consumer.unregisterProducer()

    def close(self) -> None:
        """Close it, after the work that is under way."""
        self._closed = True
        if not self._working and self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def resumeProducing(self) -> None:
        """Let the next pieces be read."""
        if not self._asked.called:
            self._asked.callback(None)

    def stopProducing(self) -> None:
        """The stream is gone; whoever performs the exchange cancels the sending."""

    def _in_thread(self, function: Callable[[], Any]) -> Deferred[Any]:
        """Work in a thread. Who waits for it may be cancelled; the end of the work is seen all the same."""
        waiting: Deferred[Any] = Deferred()

        def done(result: Any) -> None:
            self._working = False
            if self._closed:
                self.close()
            if not waiting.called:
                waiting.callback(result)

        self._working = True
        self._threads(function).addBoth(done)
        return waiting

    def _open(self) -> None:
        try:
            # Without O_NONBLOCK a named pipe would hold this thread until somebody writes to it.
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise LocalFileError(f"{self._path}: {error.strerror}; name a file that the daemon can read") from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise LocalFileError(f"{self._path} isn't a regular file; name one, or pack a folder first")
        self._descriptor, self._left = descriptor, status.st_size

    def _read(self) -> list[bytes]:
        assert self._descriptor is not None
        pieces: list[bytes] = []
        while self._left and len(pieces) < READS:
            try:
                data = os.read(self._descriptor, min(READ_SIZE, self._left))
            except OSError as error:
                raise LocalFileError(f"{self._path}: {error.strerror} while it was read") from error
            if not data:
                raise LocalFileError(f"{self._path} became shorter while it was sent; send it again")
            self.hasher.update(data)
            self._left -= len(data)
            pieces.append(data)
        return pieces


class StoreSink(ThreadedSink):
    """Writes a body to the inbox."""

    _log = Logger()

    def __init__(self, arrival: Arrival, context: Context) -> None:
        super().__init__(Worker(context.threads))
        self._arrival = arrival
        self._context = context
        self._began = context.now()

    def take(self, pieces: list[memoryview]) -> None:
        """Write bytes to the disk."""
        self._arrival.write(pieces)

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """Wait for the disk, verify, and give the content its name.

        :returns: the receipt: ``name``, ``size``, ``digest`` (hex), ``received_s``.
        :raises ExchangeFailed: if it isn't what was sent, or the disk doesn't take it.
        """
        await self.flush()
        self.touched = True
        name, digest = await self.worker(self._arrival.finish, tail.get("digest"))
        seconds = self._context.now() - self._began
        return {"name": name, "size": str(self._arrival.size), "digest": digest, "received_s": f"{seconds:.6f}"}

    def abandon(self) -> None:
        """Remove what was written, if anything was, once no thread works on it."""
        self.drop()
        if self.touched:
            self.worker(self._arrival.discard).addErrback(
                lambda failure: self._log.failure("the inbox of {peer} failed", failure, peer=self._context.peer)
            )


@implementer(IContentService)
class _Store:
    name = "store"

    def receive(self, request: Request, reply: MessageWriter, context: Context) -> StoreSink:
        name = checked_name(request.name)
        offer = Offer(request.sender, self.name, request.type, name, request.length, names=Names((name,), 1))
        terms = context.host.store_terms(offer)
        arrival = Arrival(terms.folder, name, context.token(), request.length, exists=terms.exists, room=terms.room)
        return StoreSink(arrival, context)


store = _Store()

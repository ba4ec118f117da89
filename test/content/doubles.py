"""Sources and sinks of content that do what a test wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from p2p.content.exchange import MessageWriter
from p2p.link.boxes import Box

__all__ = ["Gatherer", "HeldSource", "Written"]


@implementer(IConsumer)
class Gatherer:
    """A sink that keeps what comes.

    :ivar react: is called at each piece.
    :ivar finishing: what ``complete`` waits for, or raises; None to be done at once.
    """

    def __init__(self, fields: Mapping[str, str | bytes] | None = None) -> None:
        self.data = bytearray()
        self.tail: Box | None = None
        self.abandoned = 0
        self.producer: Any = None
        self.react: Callable[[bytes], object] = lambda data: None
        self.finishing: Deferred[None] | Exception | None = None
        self._fields = fields or {}

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes | memoryview) -> None:
        self.data += data
        self.react(bytes(data))

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        if isinstance(self.finishing, Exception):
            raise self.finishing
        if self.finishing is not None:
            await self.finishing
        self.tail = tail
        return self._fields

    def abandon(self) -> None:
        self.abandoned += 1


class HeldSource:
    """A source that writes some bytes and then waits until the test ends it, by ``held``."""

    def __init__(self, data: bytes = b"first") -> None:
        self.held: Deferred[Mapping[str, str | bytes]] = Deferred()
        self.consumer: MessageWriter | None = None
        self._data = data

    async def open(self) -> None:
        """It's open."""

    async def send(self, consumer: MessageWriter) -> Mapping[str, str | bytes]:
        self.consumer = consumer
        consumer.write(self._data)
        return await self.held

    def close(self) -> None:
        """Nothing to let go of."""


class Written:
    """Stands in for the stream under a writer: keeps what is written."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.finished = 0
        self.producers: list[tuple[Any, bool] | None] = []

    def write(self, data: bytes | memoryview) -> None:
        self.pieces.append(bytes(data))

    def finish(self) -> None:
        self.finished += 1

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producers.append((producer, streaming))

    def unregisterProducer(self) -> None:
        self.producers.append(None)

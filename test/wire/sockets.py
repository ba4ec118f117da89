"""A reactor that is turned by hand, and what stands on the two sockets of a pair."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer, IReactorFDSet
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["End", "Turns"]


@implementer(IReactorFDSet)
class Turns(Clock):
    """A reactor that looks at its descriptors when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()
        self.addReader = self.readers.add
        self.addWriter = self.writers.add
        self.removeReader = self.readers.discard
        self.removeWriter = self.writers.discard

    def removeAll(self) -> list[Any]:
        """Nobody asks for it here."""
        raise NotImplementedError

    getReaders = getWriters = removeAll

    def turn(self) -> bool:
        """Let those work who can; say whether anybody could."""
        readable, writable, _ = select.select(self.readers, self.writers, (), 0)
        for descriptor in readable:
            self._work(descriptor, descriptor.doRead)
        for descriptor in writable:
            if descriptor in self.writers:
                self._work(descriptor, descriptor.doWrite)
        self.advance(0)
        return bool(readable or writable)

    def _work(self, descriptor: Any, work: Callable[[], Any]) -> None:
        if (why := work()) is not None:
            self.removeReader(descriptor)
            self.removeWriter(descriptor)
            descriptor.connectionLost(Failure(why))

    def settle(self) -> None:
        """Turn until nothing moves."""
        while self.turn():
            pass


@implementer(IPushProducer)
class End(Protocol):
    """What stands on a socket: it writes down what comes and what is asked of it."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.sizes: list[int] = []
        self.asked: list[str] = []
        self.reason: Failure | None = None
        self.resumed: Callable[[], object] = lambda: None
        self.taken: Callable[[], object] = lambda: None

    def dataReceived(self, data: bytes | memoryview) -> None:
        self.received += data
        self.sizes.append(len(data))
        self.taken()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008 - Twisted's signature
        self.reason = reason

    def pauseProducing(self) -> None:
        self.asked.append("pause")

    def resumeProducing(self) -> None:
        self.asked.append("resume")
        self.resumed()

    def stopProducing(self) -> None:
        self.asked.append("stop")

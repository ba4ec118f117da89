"""Dials from a port on which this machine listens as well, over the loopback interface."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from p2p.wire.fresh_port import NO_ROOM_S, dial_from, listen_at

reactor: Any = installed_reactor
HOST = "127.0.0.1"


class Talker(Protocol):
    """Says who it is, and keeps what comes."""

    def __init__(self) -> None:
        self.heard: Deferred[bytes] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"hello")

    def dataReceived(self, data: bytes) -> None:
        if not self.heard.called:
            self.heard.callback(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.gone.callback(None)


class Talkers(Factory):
    """Makes one."""

    noisy = False

    def __init__(self) -> None:
        self.made: list[Talker] = []

    def buildProtocol(self, addr: Any) -> Talker:
        self.made.append(Talker())
        return self.made[-1]


class DialTests(TestCase):
    """``dial_from``, with the real reactor."""

    timeout = 20

    def listen(self, factory: Factory) -> int:
        """Listen on a fresh port that may be dialled from."""
        port: Any = listen_at(reactor, HOST, 0, factory)
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    async def closed(self, *talkers: Talker) -> None:
        """End connections."""
        for one in talkers:
            transport: Any = one.transport
            transport.abortConnection()
            await one.gone

    async def refusal(self, local: tuple[str, int], remote: tuple[str, int]) -> int | None:
        """The system's word for why a dial fails."""
        try:
            await dial_from(reactor, local, remote, Talkers(), 10)
        except OSError as error:
            return error.errno
        raise AssertionError("it connected")

    async def test_from_a_port(self) -> None:
        """The other end sees the very port on which this one listens, and data go both ways."""
        here, there, dialled = Talkers(), Talkers(), Talkers()
        own, other = self.listen(here), self.listen(there)
        await dial_from(reactor, (HOST, own), (HOST, other), dialled, 10)
        (near,) = dialled.made
        self.assertEqual(b"hello", await near.heard)
        (far,) = there.made
        self.assertEqual(b"hello", await far.heard)
        seen: Any = far.transport
        self.assertEqual(own, seen.getPeer().port)
        await self.closed(near, far)

    async def test_taken_once(self) -> None:
        """Two sockets can't connect the same two ports: the second dial is told that its connection is there."""
        there, dialled = Talkers(), Talkers()
        own, other = self.listen(Talkers()), self.listen(there)
        await dial_from(reactor, (HOST, own), (HOST, other), dialled, 10)
        error = await self.refusal((HOST, own), (HOST, other))
        self.assertEqual(errno.EADDRNOTAVAIL, error)
        await dialled.made[0].heard
        await self.closed(*dialled.made, *there.made)

    async def test_claimed(self) -> None:
        """Nobody else gets a port that may be dialled from, as nobody gets any other port that is listened on."""
        own = self.listen(Talkers())
        with socket.socket() as second:
            second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.assertRaises(OSError, second.bind, (HOST, own))

    async def test_any_port(self) -> None:
        """Without a port of its own, a dial goes out from any."""
        there, dialled = Talkers(), Talkers()
        other = self.listen(there)
        await dial_from(reactor, ("", 0), (HOST, other), dialled, 10)
        await dialled.made[0].heard
        await self.closed(*dialled.made, *there.made)

    async def test_refused(self) -> None:
        """A port on which nobody listens says so at once."""
        with socket.socket() as bound:
            bound.bind((HOST, 0))
            number = bound.getsockname()[1]
        error = await self.refusal(("", 0), (HOST, number))
        self.assertEqual(errno.ECONNREFUSED, error)

    async def test_no_way(self) -> None:
        """What the system refuses outright is told, too: an address of the wrong kind, or one to dial from that isn't
        this machine's."""
        await self.refusal(("", 0), ("255.255.255.255", 9))
        await self.refusal(("192.0.2.1", 0), (HOST, 9))
        await self.refusal((HOST, 0), ("::1", 9))


class Reactor(Clock):
    """A clock, and those who would be told what can be written."""

    def __init__(self) -> None:
        super().__init__()
        self.writers: set[Any] = set()

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)

    def adoptStreamConnection(self, descriptor: int, family: int, factory: Any) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class EndTests(SynchronousTestCase):
    """What becomes of a dial that doesn't connect."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.there = socket.socket()
        self.addCleanup(self.there.close)
        self.there.bind((HOST, 0))
        self.there.listen()
        self.dial = dial_from(self.reactor, ("", 0), self.there.getsockname(), Talkers(), 4.0)
        (self.writer,) = self.reactor.writers

    def over(self) -> None:
        """Nothing is left of it."""
        self.assertEqual((set(), [], -1), (self.reactor.writers, self.reactor.getDelayedCalls(), self.writer.fileno()))

    def failed(self) -> int | None:
        """The system's word for its end."""
        self.over()
        number: int | None = self.failureResultOf(self.dial, OSError).value.errno
        return number

    def test_late(self) -> None:
        """When the time is over, so is the dial."""
        self.reactor.advance(3.9)
        self.assertNoResult(self.dial)
        self.assertNotEqual(-1, self.writer.fileno())
        self.reactor.advance(0.2)
        self.assertEqual(errno.ETIMEDOUT, self.failed())

    def test_cancelled(self) -> None:
        """Cancelled, it leaves nothing."""
        self.dial.cancel()
        self.failureResultOf(self.dial, CancelledError)
        self.over()
        self.writer.connectionLost(Failure(ConnectionLost()))

    def test_broken(self) -> None:
        """What the reactor finds broken has failed, whatever the system says of it."""
        self.writer.doRead()
        self.writer.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(errno.ECONNREFUSED, self.failed())
        self.assertEqual("dial", self.writer.logPrefix())

    def test_not_adopted(self) -> None:
        """Where the reactor can't take it, for want of descriptors, it has failed."""
        self.writer.doWrite()
        self.assertEqual(errno.EMFILE, self.failed())


class Accepting:
    """A reactor for :func:`listen_at` that counts who reads, and adopts nobody."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.callLater = self.clock.callLater
        self.readers: list[Any] = []
        self.adopted: list[int] = []
        self.addReader = self.readers.append

    def removeReader(self, reader: Any) -> None:
        if reader in self.readers:
            self.readers.remove(reader)

    def adoptStreamConnection(self, fileno: int, family: int, factory: Any) -> None:
        self.adopted.append(fileno)
        raise OSError(errno.ENOTCONN, "it is gone")


class Refusing:
    """A listening socket that has nobody to give."""

    def __init__(self, number: int) -> None:
        self.number = number

    def accept(self) -> Any:
        raise OSError(self.number, os.strerror(self.number))

    def close(self) -> None:
        pass


class ListenTests(SynchronousTestCase):
    """``listen_at``, where something is wrong."""

    def setUp(self) -> None:
        self.reactor = Accepting()
        self.port: Any = listen_at(self.reactor, HOST, 0, Talkers())
        self.addCleanup(self.port.stopListening)

    def test_taken(self) -> None:
        """A port that somebody has can't be had, and nothing is left open by the try."""
        before = len(list(Path("/proc/self/fd").iterdir()))
        self.assertRaises(CannotListenError, listen_at, self.reactor, HOST, self.port.getHost().port, Talkers())
        self.assertEqual(before, len(list(Path("/proc/self/fd").iterdir())))
        self.assertEqual([self.port], self.reactor.readers)

    def test_gone(self) -> None:
        """Who has gone before the reactor could take it leaves nothing open."""
        with socket.create_connection((HOST, self.port.getHost().port)):
            self.port.doRead()
        self.assertEqual(1, len(self.reactor.adopted))
        self.assertRaises(OSError, os.fstat, self.reactor.adopted[0])

    def test_no_room(self) -> None:
        """Without a descriptor for who comes, the port isn't read for a while, and then again; else it goes on."""
        real = self.port.socket
        self.addCleanup(real.close)
        self.port.socket = Refusing(errno.EMFILE)
        self.port.doRead()
        self.assertEqual([], self.reactor.readers)
        self.reactor.clock.advance(NO_ROOM_S)
        self.assertEqual([self.port], self.reactor.readers)
        self.port.socket = Refusing(errno.ECONNABORTED)
        self.port.doRead()
        self.assertEqual([self.port], self.reactor.readers)
        self.assertEqual([], self.reactor.clock.getDelayedCalls())

    def test_closed(self) -> None:
        """A port that is closed while it waits for room doesn't begin again; nor does one whose reactor stops."""
        real, self.port.socket = self.port.socket, Refusing(errno.ENFILE)
        self.port.doRead()
        self.port.socket = real
        self.port.connectionLost(Failure(ConnectionLost()))
        self.assertEqual([], self.reactor.clock.getDelayedCalls())
        self.assertEqual(-1, self.port.fileno())
        self.assertEqual("fresh port", self.port.logPrefix())

"""Hearing of changes to this machine's addresses and routes."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from p2p.wire.netlink import SETTLE_S, NetworkWatch, open_netlink, tells_of_change, watch_network
from p2p.wire.own_address import attachment


def message(kind: int, body: bytes = b"", length: int | None = None) -> bytes:
    """A message as netlink(7) has it."""
    size = 16 + len(body) if length is None else length
    return struct.pack("=IHHII", size, kind, 0, 0, 0) + body + bytes(-len(body) % 4)


NEW_ADDRESS = message(20, b"an address")
NEIGHBOUR = message(28, b"abc")


class Reactor(Clock):
    """A clock, and those who would be told what can be read."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)


class MessageTests(SynchronousTestCase):
    """``tells_of_change``."""

    def test_kinds(self) -> None:
        """Interfaces, addresses and routes that come or go are a change; neighbours and rules aren't."""
        for kind in (16, 17, 20, 21, 24, 25):
            self.assertTrue(tells_of_change(message(kind)))
        for kind in (2, 3, 18, 22, 28, 32):
            self.assertFalse(tells_of_change(message(kind)))

    def test_many(self) -> None:
        """Each of the messages in a datagram counts, padded as they are."""
        self.assertFalse(tells_of_change(NEIGHBOUR * 3))
        self.assertTrue(tells_of_change(NEIGHBOUR * 3 + NEW_ADDRESS))

    def test_rubbish(self) -> None:
        """What is cut short, or says that it has no length, ends there."""
        self.assertFalse(tells_of_change(b""))
        self.assertFalse(tells_of_change(NEW_ADDRESS[:15]))
        self.assertFalse(tells_of_change(message(28, length=0) + NEW_ADDRESS))
        self.assertFalse(tells_of_change(message(28, length=2**32 - 1) + NEW_ADDRESS))


class WatchTests(SynchronousTestCase):
    """``NetworkWatch``, with a pair of sockets in netlink's place."""

    def setUp(self) -> None:
        """Start one."""
        self.kernel, self.ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ours.setblocking(False)
        self.addCleanup(self.kernel.close)
        self.addCleanup(self.ours.close)
        self.reactor = Reactor()
        self.state = 0
        self.looked = 0
        self.told: list[int] = []
        self.watch = NetworkWatch(self.reactor, self.told.append, self.look, lambda: self.ours)

    def look(self) -> int:
        """What there is now."""
        self.looked += 1
        return self.state

    def say(self, *datagrams: bytes) -> None:
        """Have something arrive, and be read."""
        for datagram in datagrams:
            self.kernel.send(datagram)
        for reader in set(self.reactor.readers):
            reader.doRead()

    def test_change(self) -> None:
        """A change is told once, when all that belongs to it has come."""
        self.watch.start()
        self.assertEqual(self.ours.fileno(), self.watch.fileno())
        self.state = 1
        self.say(NEW_ADDRESS)
        self.reactor.advance(SETTLE_S / 2)
        self.state = 2
        self.say(NEW_ADDRESS, NEIGHBOUR)
        self.assertEqual([], self.told)
        self.reactor.advance(SETTLE_S / 2)
        self.assertEqual([2], self.told)
        self.reactor.advance(60)
        self.assertEqual(([2], 2), (self.told, self.looked))

    def test_no_change(self) -> None:
        """Messages after which all is as before, or that are of something else, aren't told."""
        self.watch.start()
        self.say(NEW_ADDRESS)
        self.reactor.advance(SETTLE_S)
        self.assertEqual(([], 2), (self.told, self.looked))
        self.say(NEIGHBOUR)
        self.reactor.advance(SETTLE_S)
        self.assertEqual(([], 2), (self.told, self.looked))

    def test_storm(self) -> None:
        """A thousand changes in two seconds are looked at ten times, and held up nothing else."""
        self.watch.start()
        for number in range(1000):
            self.state = number
            self.say(*[NEW_ADDRESS] * 5)
            self.reactor.advance(0.002)
        self.assertLessEqual(len(self.told), 10)
        self.assertGreater(len(self.told), 5)

    def test_storm_at_once(self) -> None:
        """However much there is to read, the reactor gets its turn."""

        class Endless:
            reads = 0

            def recv(self, size: int) -> bytes:
                self.reads += 1
                return NEW_ADDRESS

            def fileno(self) -> int:
                return 99

            def close(self) -> None:
                pass

        endless = Endless()
        watch = NetworkWatch(self.reactor, self.told.append, self.look, lambda: endless)  # type: ignore[arg-type,return-value]  # all of a socket that is used
        watch.start()
        watch.doRead()
        self.assertEqual(64, endless.reads)
        watch.stop()

    def test_overflow(self) -> None:
        """When the system has lost messages, it is time to look, too."""

        class Full:
            answers = [OSError(errno.ENOBUFS, "No buffer space available"), BlockingIOError()]

            def recv(self, size: int) -> bytes:
                raise self.answers.pop(0)

            def close(self) -> None:
                pass

        watch = NetworkWatch(self.reactor, self.told.append, self.look, Full)  # type: ignore[arg-type]  # as above
        watch.start()
        self.state = 1
        watch.doRead()
        self.reactor.advance(SETTLE_S)
        self.assertEqual([1], self.told)

    def test_asked(self) -> None:
        """It looks when it is told to, as after a sleep."""
        self.watch.look()
        self.assertEqual(0, self.looked)
        self.watch.start()
        self.watch.look()
        self.assertEqual([], self.told)
        self.state = 1
        self.watch.look()
        self.assertEqual([1], self.told)

    def test_stop(self) -> None:
        """Stopped, it has no socket and no timer; so it is when the reactor can't read it."""
        self.watch.stop()
        self.watch.start()
        self.say(NEW_ADDRESS)
        self.watch.stop()
        self.assertEqual((set(), [], -1), (self.reactor.readers, self.reactor.getDelayedCalls(), self.watch.fileno()))
        self.watch.connectionLost(Failure(ConnectionLost()))
        self.assertEqual("network", self.watch.logPrefix())

    def test_forbidden(self) -> None:
        """Where there is no such socket, that is said, and nothing is watched."""

        def opened() -> socket.socket:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        watch = NetworkWatch(self.reactor, self.told.append, self.look, opened)
        with capturedLogs() as logs:
            watch.start()
        self.assertIn("not permitted", logs[0]["reason"])
        watch.look()
        watch.stop()
        self.assertEqual((set(), 0), (self.reactor.readers, self.looked))


class SystemTests(SynchronousTestCase):
    """The real thing."""

    def test_open(self) -> None:
        """The system gives such a socket to anybody, and it doesn't block."""
        try:
            netlink = open_netlink()
        except OSError as error:
            raise SkipTest(f"no netlink here: {error}") from error
        with netlink:
            self.assertRaises(BlockingIOError, netlink.recv, 100)

    def test_taken(self) -> None:
        """A socket that can't be bound is closed again."""
        made: list[socket.socket] = []

        class Odd(socket.socket):
            def bind(self, address: Any) -> None:
                made.append(self)
                raise PermissionError(errno.EPERM, "no")

        self.patch(socket, "socket", Odd)
        self.assertRaises(PermissionError, open_netlink)
        self.assertEqual([-1], [one.fileno() for one in made])

    def test_elsewhere(self) -> None:
        """A system without netlink is told from one that forbids it."""
        self.patch(socket, "AF_NETLINK", None)
        self.assertIn("no netlink", str(self.assertRaises(OSError, open_netlink)))

    def test_watch(self) -> None:
        """What is watched is how this machine is attached."""
        told: list[object] = []
        watch = watch_network(Reactor(), told.append)
        watch.start()
        before = attachment()
        watch.look()
        watch.stop()
        if attachment() == before:
            self.assertEqual([], told)

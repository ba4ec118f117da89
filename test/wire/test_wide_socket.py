"""Tests for :mod:`p2p.wire.wide_socket`: sockets of a pair, with a reactor that is turned by hand."""

from __future__ import annotations

import socket
import struct
import sys
from random import Random
from typing import Any
from unittest import skipUnless

from twisted.internet import main
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.trial.unittest import SynchronousTestCase

from p2p.wire import wide_socket
from p2p.wire.bulk import GULP, PIECES, Plain
from p2p.wire.wide_socket import TcpInfo, WideSocket, parse_tcp_info, tcp_info, widened
from test.wire.sockets import End, Turns


class WideSocketCase(SynchronousTestCase):
    """Two sockets that are joined, each in the place of a transport of Twisted's."""

    def setUp(self) -> None:
        self.reactor = Turns()
        self.here, self.there = End(), End()
        self.sockets = socket.socketpair()
        self.near, self.far = (
            self.stand(end, one) for end, one in zip((self.here, self.there), self.sockets, strict=True)
        )
        for one in self.sockets:
            self.addCleanup(one.close)

    def stand(self, end: End, one: socket.socket) -> Any:
        """Put a transport of Twisted's under an end, and a wide socket in its place."""
        below = Connection(one, end, self.reactor)
        below.connected = 1
        below.startReading()
        return WideSocket(below, Plain(one, end.dataReceived))

    def assert_ended(self, end: End, *kinds: type[Exception]) -> None:
        """An end was told so; nothing of it is left at the reactor."""
        assert end.reason is not None
        self.assertTrue(end.reason.check(*kinds), end.reason)


class WideSocketTests(WideSocketCase):
    """How it sends, receives and ends."""

    def test_order(self) -> None:
        """Pieces of all sizes, in writes large and small, arrive in their order, whatever the system takes at once."""
        random = Random(11)
        written = bytearray()
        for _ in range(200):
            pieces = [random.randbytes(random.choice((0, 1, 12, 5000, 200_000))) for _ in range(random.randrange(9))]
            if random.random() < 0.3:
                self.near.write(b"".join(pieces))
            else:
                self.near.writeSequence([memoryview(one) if random.random() < 0.5 else one for one in pieces])
            written += b"".join(pieces)
            if random.random() < 0.1:
                self.reactor.turn()
        self.reactor.settle()
        self.assertTrue(written == self.there.received)

    def test_half_close(self) -> None:
        """The end of what is sent comes behind all that waits, and what the other end sends is still read."""
        self.near.write(bytes(4_000_000))
        self.near.loseWriteConnection()
        self.assertTrue(self.near.unsent)
        self.far.write(b"still")
        self.reactor.settle()
        self.assertEqual(4_000_000, len(self.there.received))
        self.assertEqual(b"still", bytes(self.here.received))
        self.assert_ended(self.there, ConnectionDone)

    def test_at_once(self) -> None:
        """What the system has room for is there before the reactor turns."""
        self.near.writeSequence([b"head", b"body"])
        self.near.write(b"tail")
        self.assertEqual((b"headbodytail", set()), (self.sockets[1].recv(100), self.reactor.writers))

    def test_many_pieces(self) -> None:
        """More pieces than a call takes are several calls."""
        self.near.writeSequence([b"%4d" % number for number in range(3 * PIECES + 1)])
        self.reactor.settle()
        self.assertEqual(b"".join(b"%4d" % number for number in range(3 * PIECES + 1)), self.there.received)

    def test_backpressure(self) -> None:
        """A producer is paused once while the system has no room, and resumed when everything is out."""
        self.near.registerProducer(self.here, True)
        self.near.writeSequence([bytes(8 * GULP)])
        self.near.write(b"more")
        self.assertEqual(["pause"], self.here.asked)
        self.reactor.settle()
        self.assertEqual((["pause", "resume"], set()), (self.here.asked, self.reactor.writers))
        self.assertEqual(8 * GULP + 4, len(self.there.received))

    def test_producer_goes_on(self) -> None:
        """A producer that writes too much again when it is resumed is paused again."""
        self.near.registerProducer(self.here, True)
        left = [bytes(8 * GULP), b"end"]
        self.here.resumed = lambda: self.near.writeSequence([left.pop(0)] if left else [])
        self.near.writeSequence([bytes(8 * GULP)])
        self.reactor.settle()
        self.assertEqual(["pause", "resume", "pause", "resume"], self.here.asked)
        self.assertEqual(16 * GULP + 3, len(self.there.received))

    def test_producer_leaves_while_paused(self) -> None:
        """A producer that was unregistered isn't resumed."""
        self.near.registerProducer(self.here, True)
        self.near.writeSequence([bytes(8 * GULP)])
        self.near.unregisterProducer()
        self.reactor.settle()
        self.assertEqual(["pause"], self.here.asked)

    def test_gulps(self) -> None:
        """One read takes much, and never more than a gulp."""
        self.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * GULP)
        self.near.writeSequence([bytes(2 * GULP)])
        self.reactor.settle()
        self.assertEqual(2 * GULP, sum(self.there.sizes))
        self.assertLess(65536, max(self.there.sizes))
        self.assertGreaterEqual(GULP, max(self.there.sizes))

    def test_reading_pauses(self) -> None:
        """Nothing is read between pause and resume."""
        self.far.pauseProducing()
        self.near.write(b"waits")
        self.reactor.settle()
        self.assertEqual(b"", self.there.received)
        self.far.resumeProducing()
        self.reactor.settle()
        self.assertEqual(b"waits", self.there.received)

    def test_nothing_to_read(self) -> None:
        """A socket that was said to be readable and isn't is no fault."""
        self.assertIsNone(self.near.doRead())

    def test_close(self) -> None:
        """Closing sends what waits first; then both ends are told, and nothing is left at the reactor."""
        self.near.registerProducer(self.here, True)
        self.near.writeSequence([bytes(8 * GULP)])
        self.near.unregisterProducer()
        self.near.loseConnection()
        self.reactor.settle()
        self.assertEqual(8 * GULP, len(self.there.received))
        for end in (self.here, self.there):
            self.assert_ended(end, ConnectionDone)
        self.assertEqual((set(), set(), -1), (self.reactor.readers, self.reactor.writers, self.near.fileno()))

    def test_abort(self) -> None:
        """Aborting drops what waits, tells its protocol in the next turn and no sooner, and once."""
        self.near.registerProducer(self.here, True)
        self.near.writeSequence([bytes(8 * GULP)])
        self.near.abortConnection()
        self.near.abortConnection()
        self.near.write(b"late")
        self.near.writeSequence([b"late"])
        self.assertIsNone(self.here.reason)
        self.reactor.settle()
        self.assert_ended(self.here, ConnectionAborted)
        self.assertEqual("stop", self.here.asked[-1])
        self.assertGreater(8 * GULP, len(self.there.received))
        self.assertEqual((set(), set()), (self.reactor.readers, self.reactor.writers))

    def test_broken_while_writing(self) -> None:
        """A connection that breaks below a write ends in the reactor's turn, not within the write."""
        self.sockets[1].close()
        self.near.write(b"x")
        self.near.writeSequence([b"x"])
        self.assertIsNone(self.here.reason)
        self.assertIs(main.CONNECTION_LOST, self.near.doWrite())

    def test_broken_while_writing_pieces(self) -> None:
        """The same when pieces come first."""
        self.sockets[1].close()
        self.near.writeSequence([b"x"])
        self.assertIsNone(self.here.reason)
        self.assertIs(main.CONNECTION_LOST, self.near.doWrite())

    def test_broken_while_reading(self) -> None:
        """A connection that the other end resets is lost."""
        self.sockets[1].close()
        self.near.write(b"x")
        self.sockets[0].close()  # reading what is closed fails
        self.assertIs(main.CONNECTION_LOST, self.near.doRead())

    def test_other_end_closes(self) -> None:
        """The other end's close is the end here."""
        self.sockets[1].shutdown(socket.SHUT_RDWR)
        self.reactor.settle()
        self.assert_ended(self.here, ConnectionDone, ConnectionLost)

    def test_belongs_to_the_transport(self) -> None:
        """Its names, addresses and socket are the transport's."""
        below: Any = Named(self.sockets[0], self.reactor)
        wide = WideSocket(below, Plain(self.sockets[0], self.here.dataReceived))
        wide.setTcpNoDelay(True)
        self.assertEqual(
            ("here", "there", "who", self.sockets[0], [True]),
            (wide.getHost(), wide.getPeer(), wide.logPrefix(), wide.getHandle(), below.no_delay),
        )

    def test_kept(self) -> None:
        """Whoever keeps what arrived has it, whatever is read after it."""
        kept: list[bytes | memoryview] = []
        for one in self.sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * GULP)
        self.far.wire = Plain(self.sockets[1], kept.append)
        written = [bytes([number]) * GULP for number in range(3)]
        for piece in written:
            self.near.write(piece)
            self.reactor.settle()
        self.assertTrue(b"".join(written) == b"".join(kept))


class TcpInfoTests(SynchronousTestCase):
    """What the system knows of a connection."""

    def test_fields(self) -> None:
        """The figures stand where Linux has them, and what later kernels append is passed over."""
        numbers = [0] * 24
        numbers[15], numbers[16], numbers[18], numbers[23] = 20_500, 300, 10, 7
        data = struct.pack("=8B24I", *range(8), *numbers)
        for more in (b"", b"\xff" * 128):
            self.assertEqual(parse_tcp_info(data + more), TcpInfo(20_500, 300, 10, 7))

    def test_least_round_trip(self) -> None:
        """Where newer kernels tell the least round trip, it is read, and none is made up."""
        for raw, told in (((125).to_bytes(4, sys.byteorder), 125), (b"\xff" * 4, None)):
            info = parse_tcp_info(bytes(148) + raw)
            assert info is not None
            self.assertEqual(info.least_rtt_us, told)

    def test_short(self) -> None:
        """What is shorter isn't Linux's, and no guess is made."""
        self.assertIsNone(parse_tcp_info(bytes(8 + 4 * 24 - 1)))

    @skipUnless(hasattr(socket, "TCP_INFO"), "this system has no TCP_INFO")
    def test_real(self) -> None:
        """The system tells the round trips of a connection that carried something, and nothing once it is closed."""
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname()) as near,
            server.accept()[0] as far,
        ):
            near.sendall(b"x")
            far.recv(1)
            transport = Named(near, Turns())
            info = tcp_info(WideSocket(transport, Plain(near, lambda data: None)))
        assert info is not None
        self.assertTrue(0 < info.rtt_us < 10_000_000)
        self.assertTrue(info.least_rtt_us is None or 0 < info.least_rtt_us <= info.rtt_us * 10)
        self.assertEqual(info.retransmits, 0)
        self.assertIsNone(tcp_info(transport))

    def test_no_network(self) -> None:
        """Nobody tells of other sockets, nor of what is no socket, nor where the system doesn't know the question."""
        with socket.socket(socket.AF_UNIX) as handle:
            self.assertIsNone(tcp_info(Named(handle, Turns())))
        self.assertIsNone(tcp_info(Named(None, Turns())))
        self.patch(wide_socket, "_TCP_INFO", None)
        with socket.socket() as handle:
            self.assertIsNone(tcp_info(Named(handle, Turns())))


class WidenedTests(SynchronousTestCase):
    """Which transports it takes the place of."""

    def test_in_memory(self) -> None:
        """One without a socket stays as it is."""
        transport = Named(None, Turns())
        self.assertIs(transport, widened(transport, lambda data: None))

    def test_other_reactors(self) -> None:
        """So does one whose reactor has no descriptors."""
        with socket.socket() as handle:
            transport = Named(handle, Clock())
            self.assertIs(transport, widened(transport, lambda data: None))

    def test_other_systems(self) -> None:
        """A system that can't be told to take little of what it hasn't sent isn't."""
        self.patch(wide_socket, "_NOT_SENT_LOWAT", None)
        with socket.socket() as handle:
            before = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
            self.assertIsInstance(widened(Named(handle, Turns()), lambda data: None), WideSocket)
            self.assertEqual(before, handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT))


class Named:
    """A transport that knows itself."""

    def __init__(self, handle: socket.socket | None, reactor: Clock) -> None:
        self.reactor = reactor
        self.no_delay: list[bool] = []
        self.setTcpNoDelay = self.no_delay.append
        self.getHandle = lambda: handle

    def stopReading(self) -> None:
        """It isn't read."""

    def getHost(self) -> str:
        return "here"

    def getPeer(self) -> str:
        return "there"

    def logPrefix(self) -> str:
        return "who"

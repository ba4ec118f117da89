"""Tests for TLS with OpenSSL on the socket: :mod:`p2p.wire.bulk` on :mod:`p2p.wire.wide_socket`."""

from __future__ import annotations

import socket
from collections.abc import Callable
from random import Random
from typing import Any

from OpenSSL import SSL
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory
from twisted.internet.tcp import Connection
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from p2p.identity.tls import LINK_ALPN
from p2p.wire.bulk import GULP, RECORD, Plain
from p2p.wire.wide_socket import WideSocket
from test.identities import credentials
from test.wire.sockets import End, Turns


@implementer(IHandshakeListener)
class SecureEnd(End):
    """One end: it gives OpenSSL the socket as a link does."""

    transport: Any

    def __init__(self) -> None:
        super().__init__()
        self.shaken: Callable[[], object] = lambda: None

    def connectionMade(self) -> None:
        below = self.transport.transport
        self.wide = WideSocket(below, Plain(below.getHandle(), self.transport.dataReceived))
        self.transport.stand_on(self.wide)

    def handshakeCompleted(self) -> None:
        self.shaken()


class TLSSocketTests(SynchronousTestCase):
    """Two ends on the sockets of a pair."""

    def setUp(self) -> None:
        self.reactor = Turns()
        self.here, self.there = SecureEnd(), SecureEnd()
        self.sockets = socket.socketpair()
        for one in self.sockets:
            self.addCleanup(one.close)

    def shake_hands(self) -> None:
        """Let both ends get to know each other, until OpenSSL is on both sockets."""
        ends = zip((self.here, self.there), self.sockets, ("n1.n", "m1.m"), (False, True), strict=True)
        for end, one, name, client in ends:
            factory = Factory.forProtocol(lambda end=end: end)  # type: ignore[misc]  # mypy can't type a lambda's default
            wrapped = credentials(name).wrap(
                factory, client=client, alpn=LINK_ALPN, clock=self.reactor, buffering=False
            )
            tls: Any = wrapped.buildProtocol(None)
            below = Connection(one, tls, self.reactor)
            below.connected = 1
            below.startReading()
            tls.makeConnection(below)
        self.reactor.settle()

    def assert_ended(self, end: End, *kinds: type[Exception]) -> None:
        """An end was told so, and nothing of it is left at the reactor."""
        assert end.reason is not None
        self.assertTrue(end.reason.check(*kinds), end.reason)

    def assert_on_socket(self, *ends: SecureEnd) -> None:
        """OpenSSL reads and writes the sockets of these ends."""
        for end in ends:
            self.assertIs(end.transport, end.wide.wire)

    def test_descends(self) -> None:
        """Once hands are shaken, OpenSSL is on the socket at both ends, and knows the other end as before."""
        self.shake_hands()
        self.here.transport.write(b"first")
        self.reactor.settle()
        self.there.transport.write(b"second")
        self.reactor.settle()
        self.assertEqual((b"first", b"second"), (self.there.received, self.here.received))
        self.assert_on_socket(self.here, self.there)
        self.assertEqual(LINK_ALPN, self.here.transport.negotiatedProtocol)
        self.assertIsNotNone(self.here.transport.getPeerCertificate())

    def test_both_ways(self) -> None:
        """Pieces of all sizes arrive in their order, both ways at once, whatever the system takes at once."""
        self.shake_hands()
        random = Random(5)
        written = {self.here: bytearray(), self.there: bytearray()}
        for _ in range(150):
            end = random.choice((self.here, self.there))
            sizes = (0, 1, 12, RECORD - 1, RECORD, RECORD + 1, 200_000)
            pieces = [random.randbytes(random.choice(sizes)) for _ in range(random.randrange(5))]
            if random.random() < 0.3:
                end.transport.write(b"".join(pieces))
            else:
                end.transport.writeSequence([memoryview(one) if random.random() < 0.5 else one for one in pieces])
            written[end] += b"".join(pieces)
            if random.random() < 0.2:
                self.reactor.turn()
        self.reactor.settle()
        self.assertTrue(written[self.here] == self.there.received)
        self.assertTrue(written[self.there] == self.here.received)

    def test_gulps(self) -> None:
        """What one read delivers is large, and bounded."""
        self.shake_hands()
        for one in self.sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * GULP)
        self.here.transport.writeSequence([bytes(2 * GULP)])
        self.reactor.settle()
        self.assertEqual(2 * GULP, sum(self.there.sizes))
        self.assertGreater(max(self.there.sizes), 4 * RECORD)
        self.assertLessEqual(max(self.there.sizes), GULP)

    def test_backpressure(self) -> None:
        """A producer waits while the socket has no room, also when it goes on within its resumption."""
        self.shake_hands()
        self.here.transport.registerProducer(self.here, True)
        left = [bytes(8 * GULP), b"end"]
        self.here.resumed = lambda: self.here.transport.writeSequence([left.pop(0)] if left else [])
        self.here.transport.writeSequence([bytes(8 * GULP)])
        self.assertEqual(["pause"], self.here.asked)
        self.reactor.settle()
        self.assertEqual(["pause", "resume", "pause", "resume"], self.here.asked)
        self.assertEqual(16 * GULP + 3, len(self.there.received))

    def test_written_within_the_handshake(self) -> None:
        """What is written as soon as hands are shaken leaves in memory; OpenSSL descends when it is out."""
        self.here.shaken = lambda: self.here.transport.writeSequence([bytes(8 * GULP)])
        self.shake_hands()
        self.assertEqual(8 * GULP, len(self.there.received))
        self.assertNotEqual(self.here.transport, self.here.wide.wire)
        self.there.transport.write(b"thanks")
        self.reactor.settle()
        self.assertEqual(b"thanks", self.here.received)
        self.assert_on_socket(self.here, self.there)

    def test_close(self) -> None:
        """Closing sends what waits, says so to the other end, and drops what is written after it."""
        self.shake_hands()
        self.there.transport.write(b"so that OpenSSL is on the socket")
        self.reactor.settle()
        self.here.transport.writeSequence([bytes(8 * GULP)])
        self.here.transport.loseConnection()
        self.here.transport.write(b"late")
        self.reactor.settle()
        self.assertEqual(8 * GULP, len(self.there.received))
        for end in (self.here, self.there):
            self.assert_ended(end, ConnectionDone)
        self.assertEqual((set(), set()), (self.reactor.readers, self.reactor.writers))

    def test_close_by_both(self) -> None:
        """Both ends may close at once."""
        self.shake_hands()
        for end in (self.here, self.there):
            end.transport.loseConnection()
        self.reactor.settle()
        for end in (self.here, self.there):
            self.assert_ended(end, ConnectionDone)

    def test_abort(self) -> None:
        """Aborting drops what waits; the other end loses the connection without its end having been told."""
        self.shake_hands()
        self.here.transport.writeSequence([bytes(8 * GULP)])
        self.here.transport.abortConnection()
        self.here.transport.writeSequence([b"late"])
        self.reactor.settle()
        self.assert_ended(self.here, ConnectionAborted)
        self.assert_ended(self.there, ConnectionLost)
        self.assertGreater(8 * GULP, len(self.there.received))

    def test_abort_within_delivery(self) -> None:
        """Whoever aborts when data comes gets no more of it, and nothing fails."""
        self.shake_hands()
        self.assert_on_socket(self.there)
        self.there.taken = lambda: self.there.transport.abortConnection()
        self.here.transport.writeSequence([bytes(4 * GULP)])
        self.reactor.settle()
        self.assertEqual(1, len(self.there.sizes))
        self.assert_ended(self.there, ConnectionAborted)

    def test_close_without_a_word(self) -> None:
        """A socket that the other end just closes is a connection lost; what came before that is delivered."""
        self.shake_hands()
        self.there.transport.write(b"last")
        self.sockets[1].shutdown(socket.SHUT_RDWR)
        self.reactor.settle()
        self.assertEqual(b"last", self.here.received)
        self.assert_ended(self.here, ConnectionLost)

    def test_broken_while_writing(self) -> None:
        """A connection that breaks below a write is lost in the reactor's turn."""
        self.shake_hands()
        self.here.transport.write(b"on the socket")
        self.reactor.settle()
        self.reactor.removeReader(self.here.wide)
        self.sockets[1].shutdown(socket.SHUT_RDWR)
        self.there.transport.write(b"?")
        self.assertIsNone(self.here.reason)
        self.here.transport.write(b"!")
        self.assertIsNone(self.here.reason)
        self.reactor.settle()
        self.assert_ended(self.here, ConnectionLost)

    def test_rubbish(self) -> None:
        """What was sent before bytes that aren't TLS is delivered, then the connection ends with OpenSSL's error."""
        self.shake_hands()
        self.there.transport.write(b"whole")
        self.sockets[1].send(b"\x17\x03\x03\x00\x20" + bytes(32))
        self.reactor.settle()
        self.assertEqual(b"whole", self.here.received)
        self.assert_ended(self.here, SSL.Error)
        self.assert_ended(self.there, SSL.Error)

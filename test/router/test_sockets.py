"""Tests of what every socket of a router passes through."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p.router.sockets import SocketMeter, host_of

HERE = IPv4Address("TCP", "192.0.2.7", 4000)


class SocketMeterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.meter = SocketMeter()
        self.factory = self.meter.wrap(Factory.forProtocol(Protocol))

    def connected(self) -> tuple[Protocol, Protocol, StringTransport]:
        """The protocol that the reactor sees, the one above it, and the transport."""
        outer = self.factory.buildProtocol(HERE)
        transport = StringTransport()
        outer.makeConnection(transport)
        return outer, outer.wrappedProtocol, transport

    def test_bytes(self) -> None:
        """Every byte that comes in or goes out is counted once, over all connections."""
        for _ in range(2):
            outer, inner, transport = self.connected()
            passed: list[bytes] = []
            inner.dataReceived = passed.append  # type: ignore[method-assign, assignment]  # it writes down what comes through
            outer.dataReceived(b"12345")
            self.assertEqual([b"12345"], passed)
            assert inner.transport is not None
            inner.transport.write(b"123")
            inner.transport.writeSequence([b"4", b"56"])
            self.assertEqual(b"123456", transport.value())
        self.assertEqual((10, 12), (self.meter.received, self.meter.sent))

    def test_quiet(self) -> None:
        """Ports that open and close aren't worth a line in the log; Twisted would write one for each."""
        inner = Factory.forProtocol(Protocol)
        inner.noisy = False
        factory = self.meter.wrap(inner)
        with capturedLogs() as logs:
            factory.doStart()
            factory.doStop()
        self.assertEqual([], logs)

    def test_open(self) -> None:
        """The connections that are open are counted; those that ended are forgotten."""
        first, second = self.connected()[0], self.connected()[0]
        self.assertEqual(2, self.meter.open)
        for one in (first, second):
            one.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(0, self.meter.open)
        self.assertEqual({}, self.factory.protocols)


class HostTests(SynchronousTestCase):
    def test_hosts(self) -> None:
        """An address is known by its host, in one spelling; one without a host by all of it."""
        self.assertEqual("192.0.2.7", host_of(IPv4Address("TCP", "::ffff:192.0.2.7", 1)))
        self.assertIn("/run/x", host_of(UNIXAddress("/run/x")))

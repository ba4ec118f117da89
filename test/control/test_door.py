"""Tests of what every accepted connection comes to first."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p.control.admission import Admission
from p2p.control.door import DEFER_S, FIRST_BYTE_S, Arriving, Door, defer_accept

HERE = IPv4Address("TCP", "192.0.2.7", 4000)


class _Inside(Protocol):
    """What is behind the door."""

    def __init__(self, address: Any) -> None:
        self.address = address
        self.came = b""

    def dataReceived(self, data: bytes) -> None:
        self.came += data


class _Rooms(Factory):
    noisy = False

    def __init__(self) -> None:
        self.made: list[_Inside] = []

    def buildProtocol(self, addr: IAddress | None) -> _Inside:
        self.made.append(_Inside(addr))
        return self.made[-1]


class _Transport(StringTransport):
    aborted = False
    protocol: Any = None

    def abortConnection(self) -> None:
        self.aborted = True


class DoorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.rooms = _Rooms()
        self.away: list[tuple[str, str]] = []
        self.admission = Admission(total=2, per_source=2)
        self.door = Door(self.rooms, self.admission, self.clock, lambda *told: self.away.append(told))

    def comes(self, address: IAddress = HERE) -> _Transport:
        """Somebody connects."""
        transport = _Transport(peerAddress=address)
        transport.protocol = self.door.buildProtocol(address)
        transport.protocol.makeConnection(transport)
        return transport

    def test_first_byte(self) -> None:
        """Nothing is made for a connection until its first byte comes, which what is made gets, and all after it."""
        transport = self.comes()
        self.assertEqual([], self.rooms.made)
        transport.protocol.dataReceived(b"abc")
        (inside,) = self.rooms.made
        self.assertIs(inside, transport.protocol)
        self.assertIs(transport, inside.transport)
        self.assertEqual(
            ("192.0.2.7", 4000, "192.0.2.7:4000"), (inside.address.host, inside.address.port, str(inside.address))
        )
        transport.protocol.dataReceived(b"d")
        self.assertEqual(b"abcd", inside.came)
        self.assertEqual((1, []), (self.admission.pending, self.clock.getDelayedCalls()))
        inside.address.place.leave()
        self.assertEqual(0, self.admission.pending)

    def test_silent(self) -> None:
        """Who says nothing is cut off soon, and gives its place back; that is told."""
        transport = self.comes()
        self.clock.advance(FIRST_BYTE_S - 0.1)
        self.assertFalse(transport.aborted)
        self.clock.advance(0.2)
        self.assertTrue(transport.aborted)
        transport.protocol.connectionLost(Failure(RuntimeError()))
        self.assertEqual(0, self.admission.pending)
        self.assertEqual([("192.0.2.7:4000", "it said nothing for 2 s")], self.away)

    def test_leaves_in_silence(self) -> None:
        """Who leaves without a word leaves no place and no timer behind."""
        transport = self.comes()
        transport.protocol.connectionLost(Failure(RuntimeError()))
        self.assertEqual((0, [], {}), (self.admission.pending, self.clock.getDelayedCalls(), self.door.silent))

    def test_makes_way(self) -> None:
        """Where places are few, the oldest silent connection is cut off for a new one."""
        oldest, older, newest = self.comes(), self.comes(), self.comes()
        self.assertEqual([True, False, False], [one.aborted for one in (oldest, older, newest)])
        self.assertEqual([("192.0.2.7", "another one needs its place")], self.away)

    def test_speaker_makes_way(self) -> None:
        """Also one that has spoken can be cut off, for somebody from elsewhere."""
        first, second = self.comes(), self.comes()
        for one in (first, second):
            one.protocol.dataReceived(b"x")
        self.comes(IPv4Address("TCP", "192.0.2.8", 1))
        self.assertEqual([True, False], [first.aborted, second.aborted])

    def test_turned_away(self) -> None:
        """Beyond the limits nothing is built, which closes the socket at once, and that is told."""
        for _ in range(2):
            self.comes().protocol.dataReceived(b"x")
        self.assertIsNone(self.door.buildProtocol(HERE))
        ((address, reason),) = self.away
        self.assertEqual("192.0.2.7:4000", address)
        self.assertIn("2 connections from 192.0.2.7", reason)

    def test_closed(self) -> None:
        """When nobody listens any more, those who haven't spoken are cut off, and no others."""
        silent, speaking = self.comes(), self.comes()
        speaking.protocol.dataReceived(b"x")
        self.door.close()
        self.assertEqual([True, False], [silent.aborted, speaking.aborted])
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_no_port(self) -> None:
        """An address without a host and a port is one, too."""
        address = Arriving(UNIXAddress("/run/x"), self.admission.enter("x")[0])
        self.assertIn("/run/x", str(address))
        self.assertIsNone(address.port)

    def test_passes_on_the_port(self) -> None:
        """What a port tells its factory reaches the factory inside."""
        self.door.doStart()
        self.assertEqual(1, self.rooms.numPorts)
        self.door.doStop()
        self.assertEqual(0, self.rooms.numPorts)


class DeferTests(SynchronousTestCase):
    def test_defer(self) -> None:
        """The system keeps connections to itself that say nothing, where it can; elsewhere nothing happens."""
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            port = type("Port", (), {"socket": listening})()
            defer_accept(port)
            self.assertGreaterEqual(listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT), DEFER_S)
        with socket.socket(socket.AF_UNIX) as local:
            defer_accept(type("Port", (), {"socket": local})())
        defer_accept(object())

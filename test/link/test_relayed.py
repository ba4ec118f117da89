"""A transport on two streams of a relay: what the streams tell becomes what TCP would, and the other way round."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IConsumer, IPushProducer, ITransport
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2p.link.relayed import LARGEST, RelayedTransport
from test.link.links import Hand

HERE, RELAY = IPv4Address("TCP", "192.0.2.1", 7000), IPv4Address("TCP", "192.0.2.9", 7001)


class Streams:
    """Keeps what is asked of a carrier."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def write(self, data: bytes | memoryview) -> None:
        self.asked.append(bytes(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.asked.append(producer)

    def __getattr__(self, name: str) -> Any:
        return lambda: self.asked.append(name)


class TransportTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Carry a protocol."""
        self.clock, self.streams, self.hand = Clock(), Streams(), Hand()
        self.broken: list[str] = []
        self.transport = RelayedTransport(self.streams, self.clock, (HERE, RELAY), self.broken.append)
        self.transport.carry(self.hand)

    def test_interfaces(self) -> None:
        """It is a transport that paces and is paced, with the addresses of the connection to the relay."""
        for interface in (ITransport, IConsumer, IPushProducer):
            verifyObject(interface, self.transport)
        handle: Any = self.transport.getHandle
        self.assertEqual((HERE, RELAY, None), (self.transport.getHost(), self.transport.getPeer(), handle()))

    def test_bytes(self) -> None:
        """Bytes go both ways, large ones in pieces."""
        self.transport.came(memoryview(b"hello"))
        self.transport.writeSequence([b"one", memoryview(bytes(LARGEST + 1))])
        self.assertEqual(b"hello", self.hand.received)
        self.assertEqual([3, LARGEST, 1], [len(one) for one in self.streams.asked])

    def test_pace(self) -> None:
        """Producers and pauses are passed on."""
        self.transport.registerProducer(self, True)
        self.transport.pauseProducing()
        self.transport.resumeProducing()
        self.transport.unregisterProducer()
        self.assertEqual([self, "pauseProducing", "resumeProducing", "unregisterProducer"], self.streams.asked)

    def test_closed_here(self) -> None:
        """A close ends this direction once, and it is over when the other has ended, too."""
        self.transport.loseConnection()
        self.transport.stopProducing()
        self.transport.write(b"late")
        self.assertEqual((["finish"], None), (self.streams.asked, self.hand.lost))
        self.transport.ended()
        self.assertIn("closed cleanly", str(self.hand.lost))
        self.transport.came(memoryview(b"late"))
        self.transport.broken("late")
        self.transport.abortConnection()
        self.transport.loseConnection()
        self.assertEqual(([], b""), (self.broken, bytes(self.hand.received)))

    def test_closed_there(self) -> None:
        """The end of the other's direction ends this one, and is a clean close."""
        self.transport.ended()
        self.transport.ended()
        self.assertEqual(["finish"], self.streams.asked)
        self.assertIn("closed cleanly", str(self.hand.lost))

    def test_aborted(self) -> None:
        """An abort gives the streams up at once, and is told in the reactor's next turn, once."""
        self.transport.abortConnection()
        self.transport.abortConnection()
        self.assertEqual((["abort"], None), (self.streams.asked, self.hand.lost))
        self.clock.advance(0)
        self.assertIn("abort", str(self.hand.lost))

    def test_broken(self) -> None:
        """Streams that are gone are told with the reason, and lost."""
        self.transport.broken("relay.n is gone")
        self.clock.advance(0)
        self.assertEqual(["relay.n is gone"], self.broken)
        self.assertIsNotNone(self.hand.lost)

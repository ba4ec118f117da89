"""Tests for :mod:`p2p.wire.bulk`: TLS that takes many records at a time, in memory, and the buffers it fills."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump, connect
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from p2p.identity.authority import Authority
from p2p.identity.tls import LINK_ALPN, Credentials
from p2p.wire.bulk import BATCH, COPIED, GULP, RECORD, Buffers

ADDRESS = IPv4Address("TCP", "192.0.2.1", 5555)


@implementer(IPushProducer)
class End(Protocol):
    """One end: what came, in which pieces, how it ended, and what its transport asked of its producer."""

    transport: Any

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.reason: Failure | None = None
        self.asked: list[str] = []
        self.at_first: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)
        if self.at_first is not None:
            act, self.at_first = self.at_first, None
            act()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008 - Twisted's signature
        self.reason = reason

    def pauseProducing(self) -> None:
        self.asked.append("pause")

    def resumeProducing(self) -> None:
        self.asked.append("resume")

    def stopProducing(self) -> None:
        self.asked.append("stop")

    @property
    def received(self) -> bytes:
        """Everything that came."""
        return b"".join(self.pieces)


class Only(Factory):
    """Makes the one protocol that it was given."""

    noisy = False

    def __init__(self, protocol: End) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> End:
        return self._protocol


class BulkTests(SynchronousTestCase):
    """Two ends of a link's TLS."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        authority = Authority.create(folder)
        self.ends = End(), End()
        made = []
        for end, name, client in zip(self.ends, ("n1.n", "m1.m"), (False, True), strict=True):
            issued = authority.issue(name, folder, days=10)
            credentials = Credentials(issued.certificate, issued.key, authority.path)
            factory = credentials.wrap(Only(end), client=client, alpn=LINK_ALPN, clock=Clock(), buffering=False)
            made.append(factory.buildProtocol(ADDRESS))
        self.server: Any = made[0]
        self.client: Any = made[1]
        self.below: tuple[Any, Any] = (
            FakeTransport(self.server, isServer=True),
            FakeTransport(self.client, isServer=False),
        )
        self.pump: IOPump = connect(self.server, self.below[0], self.client, self.below[1], greet=False)

    def shake_hands(self) -> tuple[End, End]:
        """Let both ends get to know each other; returns them, the listening one first."""
        self.pump.flush()
        return self.ends

    def test_random_cuts(self) -> None:
        """Whatever sizes are written, and however the network cuts what travels, the same bytes arrive."""
        here, there = self.shake_hands()
        random = Random(7)
        sizes = [0, 1, 12, 4, RECORD - 1, RECORD, RECORD + 1, BATCH, BATCH + 1, 3 * BATCH + 5]
        written = []
        for _ in range(60):
            pieces = [random.randbytes(random.choice(sizes)) for _ in range(random.randrange(5))]
            here.transport.writeSequence([memoryview(one) if random.random() < 0.5 else one for one in pieces])
            written += pieces
            if random.random() < 0.3:
                written.append(random.randbytes(random.choice(sizes)))
                here.transport.write(written[-1])
        travelling = b"".join(self.below[0].stream)
        del self.below[0].stream[:]
        while travelling:
            cut = random.choice((1, 5, 1000, 65536, 300_000))
            self.client.dataReceived(travelling[:cut])
            travelling = travelling[cut:]
        self.assertEqual(b"".join(written), there.received)

    def test_large_pieces_arrive_together(self) -> None:
        """All records of one read are handed over as one piece."""
        here, there = self.shake_hands()
        here.transport.writeSequence([b"head", bytes(GULP - RECORD)])
        self.pump.flush()
        self.assertEqual([4 + GULP - RECORD], [len(piece) for piece in there.pieces])

    def test_short_pieces_share_a_record(self) -> None:
        """A header costs no record of its own: it fills one up with what follows."""
        here, _ = self.shake_hands()
        sent: list[int] = []
        connection = self.server.getHandle()

        class Counted:
            def __getattr__(self, name: str) -> Any:
                return getattr(connection, name)

            def send(self, data: Any) -> int:
                sent.append(connection.send(data))
                return sent[-1]

        self.server._tlsConnection = Counted()
        here.transport.writeSequence([b"x" * 12, b"y" * 4, bytes(4 * RECORD - 16)])
        self.assertEqual([RECORD, 3 * RECORD], sent)

    def test_backpressure(self) -> None:
        """A producer is paused and resumed as the transport below says, also in the middle of a write."""
        here, there = self.shake_hands()
        here.transport.registerProducer(here, True)
        membrane = self.below[0].producer
        write = self.below[0].write

        def full(data: bytes) -> None:
            write(data)
            membrane.pauseProducing()

        self.below[0].write = full
        here.transport.write(bytes(3 * BATCH))
        self.assertEqual(["pause"], here.asked)
        membrane.resumeProducing()
        self.assertEqual(["pause", "resume"], here.asked)
        here.transport.unregisterProducer()
        self.pump.flush()
        self.assertEqual(3 * BATCH, len(there.received))

    def test_written_before_the_handshake(self) -> None:
        """What is written too early waits, pauses its producer, and leaves when the hands are shaken."""
        _, here = self.ends
        here.transport.registerProducer(here, True)
        here.transport.writeSequence([b"early", bytes(2 * BATCH)])
        here.transport.write(b"late")
        self.assertEqual(["pause"], here.asked)
        here.transport.unregisterProducer()
        self.pump.flush()
        self.assertEqual(b"early" + bytes(2 * BATCH) + b"late", self.ends[0].received)

    def test_close_while_data_waits(self) -> None:
        """Closing sends what was written before; what is written after it is dropped."""
        here, there = self.shake_hands()
        here.transport.write(bytes(2 * BATCH))
        here.transport.loseConnection()
        here.transport.write(b"more")
        here.transport.writeSequence([b"more"])
        self.pump.flush()
        self.assertEqual(bytes(2 * BATCH), there.received)
        for end in (here, there):
            assert end.reason is not None
            self.assertTrue(end.reason.check(ConnectionDone))

    def test_abort_within_delivery(self) -> None:
        """Whoever aborts when data comes gets no more of it."""
        here, there = self.shake_hands()
        there.at_first = there.transport.abortConnection
        for text in (b"one", b"two"):
            here.transport.write(text)
            self.client.dataReceived(b"".join(self.below[0].stream))
            del self.below[0].stream[:]
        self.assertEqual([b"one"], there.pieces)
        self.pump.flush()
        assert there.reason is not None
        self.assertTrue(there.reason.check(ConnectionAborted, ConnectionDone, ConnectionLost))

    def test_rubbish(self) -> None:
        """What was sent before bytes that aren't TLS is delivered, then the connection ends with OpenSSL's error."""
        here, there = self.shake_hands()
        here.transport.write(b"whole")
        self.below[0].write(b"\x17\x03\x03\x00\x20" + bytes(32))
        self.pump.flush()
        self.assertEqual(b"whole", there.received)
        assert there.reason is not None
        self.assertTrue(there.reason.check(SSL.Error))
        self.client._write(b"too late")  # as Twisted does with what waited
        self.assertEqual([], self.below[1].stream)

    def test_openssl_fails(self) -> None:
        """An error of OpenSSL's while data is encrypted ends the connection with it."""
        here, _ = self.shake_hands()

        class Failing:
            def __init__(self, connection: Any) -> None:
                self._connection = connection

            def __getattr__(self, name: str) -> Any:
                return getattr(self._connection, name)

            def send(self, data: Any) -> int:
                raise SSL.Error([("", "", "no entropy")])

        self.server._tlsConnection = Failing(self.server._tlsConnection)
        here.transport.write(b"anything")
        self.pump.flush()
        assert here.reason is not None
        self.assertTrue(here.reason.check(SSL.Error))


class BuffersTests(SynchronousTestCase):
    """Two buffers that hold twice as much as is copied."""

    def setUp(self) -> None:
        self.buffers = Buffers(2 * COPIED, 2)

    def received(self, content: bytes) -> bytes | memoryview:
        """Receive something."""
        buffer = self.buffers.take()
        self.buffers.writable(buffer)[: len(content)] = content
        return self.buffers.lend(buffer, len(content))

    def test_views(self) -> None:
        """What was received stays as it is while a part of it is in use, whatever is received after it."""
        first = memoryview(self.received(b"1" * COPIED))[-10:]
        second = self.received(b"2" * 2 * COPIED)
        third = self.received(b"3" * 2 * COPIED)
        self.assertEqual((b"1" * 10, b"2" * 2 * COPIED, b"3" * 2 * COPIED), (first, second, third))

    def test_used_again(self) -> None:
        """A buffer comes back with the end of its last view, and no third one is made."""
        kept = [self.received(b"x" * COPIED), self.received(b"y" * COPIED)]
        part = memoryview(kept[0])[5:10]
        kept[0] = b""
        self.assertIsInstance(self.received(b"z" * COPIED), bytes)
        del part
        for _ in range(5):
            self.assertIsInstance(self.received(b"z" * COPIED), memoryview)
        self.assertEqual(b"y" * COPIED, kept[1])

    def test_all_lent(self) -> None:
        """When views of all are kept, what comes is copied: nobody makes more memory be held than there was to be."""
        kept = [self.received(b"k" * COPIED) for _ in range(2)]
        copies = [self.received(bytes([number]) * 2 * COPIED) for number in range(3)]
        self.assertEqual([bytes([number]) * 2 * COPIED for number in range(3)], copies)
        self.assertEqual([b"k" * COPIED] * 2, kept)

    def test_little(self) -> None:
        """Little keeps no buffer, and neither does nothing."""
        kept = [self.received(b"s" * (COPIED - 1)) for _ in range(10)]
        self.assertEqual([bytes] * 10, [type(one) for one in kept])
        self.assertEqual(b"", self.received(b""))
        self.assertIsInstance(self.received(b"l" * COPIED), memoryview)

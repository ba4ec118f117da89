"""The network in memory does what the real one does: every test of what it does runs against both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    CannotListenError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    TimeoutError,
    UserError,
)
from twisted.internet.interfaces import IConnector, IListeningPort, IReactorTCP, IReactorTime, ITCPTransport
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from test.network import BUFFER, Network, OrderedClock

DEADLINE_S = 20.0


class OrderedClockTests(SynchronousTestCase):
    """Calls come when it is their time, whatever happened to them meanwhile."""

    def test_order(self) -> None:
        """Those that were put off or brought forward come at their new time; of one time, those first that were asked
        for first; what a call asks for at once comes in the same advance."""
        clock, told = OrderedClock(), list[tuple[str, float]]()

        def tell(name: str) -> None:
            told.append((name, clock.seconds()))
            if name == "first":
                clock.callLater(0, tell, "asked by first")

        calls = {name: clock.callLater(2, tell, name) for name in ("first", "second", "sooner", "later", "never")}
        calls["sooner"].reset(1)
        calls["later"].delay(1)
        calls["never"].cancel()
        clock.callLater(2.5, tell, "between")
        clock.pump([1, 1, 0.5, 0.5])
        expected = [("sooner", 1), ("first", 2), ("second", 2), ("asked by first", 2), ("between", 2.5), ("later", 3)]
        self.assertEqual(expected, told)
        self.assertEqual([], clock.getDelayedCalls())


class Talker(Protocol):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        assert self.reason is None, "a connection ends once"
        self.reason = reason

    @property
    def wire(self) -> Any:
        """Its transport."""
        return self.transport


class Caller(ClientFactory):
    """Makes talkers of those who call, and keeps why a call fails."""

    noisy = False

    def __init__(self) -> None:
        self.made: list[Talker] = []
        self.failed: list[Failure] = []
        self.lost: list[Failure] = []
        self.started = 0

    def doStart(self) -> None:
        self.started += 1

    def doStop(self) -> None:
        self.started -= 1

    def buildProtocol(self, addr: Any) -> Talker:
        self.made.append(Talker())
        return self.made[-1]

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.failed.append(reason)

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        self.lost.append(reason)


class Pusher:
    """A producer that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


class NetworkBehaviour:
    """What a network does; which one it is, the classes below say.

    :ivar network: its reactor.
    :ivar host: the address that is listened on.
    """

    network: Any
    host: str
    addCleanup: Callable[..., Any]
    assertEqual: Callable[..., Any]
    assertTrue: Callable[..., Any]
    assertRaises: Callable[..., Any]

    async def until(self, true: Callable[[], object]) -> None:
        """Let things happen until something is true."""
        raise NotImplementedError

    async def a_while(self) -> None:
        """Let happen what wants to happen at once."""
        raise NotImplementedError

    def listen(self, factory: Any, port: int = 0) -> Any:
        listening = self.network.listenTCP(port, factory, interface=self.host)
        self.addCleanup(listening.stopListening)
        return listening

    async def pair(self) -> tuple[Talker, Talker]:
        """The two ends of a new connection: who called, and who was called."""
        accepting, self.calling = Caller(), Caller()
        self.port = self.listen(accepting)
        self.network.connectTCP(self.host, self.port.getHost().port, self.calling)
        await self.until(lambda: accepting.made and self.calling.made and self.calling.made[0].transport is not None)
        await self.until(lambda: accepting.made[0].transport is not None)
        caller, called = self.calling.made[0], accepting.made[0]
        self.addCleanup(self.hang_up, caller, called)
        return caller, called

    async def hang_up(self, *ends: Talker) -> None:
        for end in ends:
            if end.reason is None:
                end.wire.abortConnection()
        await self.until(lambda: all(end.reason is not None for end in ends))

    async def test_addresses(self) -> None:
        """Each end knows both addresses, and they are the same at both."""
        caller, called = await self.pair()
        self.assertEqual(self.port.getHost(), caller.wire.getPeer())
        self.assertEqual(IPv4Address("TCP", self.host, self.port.getHost().port), called.wire.getHost())
        self.assertEqual(caller.wire.getHost().port, called.wire.getPeer().port)

    async def test_bytes(self) -> None:
        """What is written arrives in order, either way; pieces may have been joined."""
        caller, called = await self.pair()
        for piece in (b"a", b"", b"bc"):
            caller.wire.write(piece)
        caller.wire.writeSequence([b"d", b"e"])
        called.wire.write(b"back")
        await self.until(lambda: called.heard == b"abcde" and caller.heard == b"back")

    async def test_only_bytes(self) -> None:
        """Text isn't bytes, and neither is what only looks like them."""
        caller, _ = await self.pair()
        self.assertRaises(TypeError, caller.wire.write, "text")

    async def test_polite_end(self) -> None:
        """Whoever loses a connection has all sent first that was written; both ends hear that it is done."""
        caller, called = await self.pair()
        caller.wire.write(b"x" * 3 * BUFFER)
        caller.wire.loseConnection()
        await self.until(lambda: caller.reason is not None and called.reason is not None)
        assert caller.reason is not None
        assert called.reason is not None
        self.assertEqual(3 * BUFFER, len(called.heard))
        self.assertTrue(caller.reason.check(ConnectionDone) and called.reason.check(ConnectionDone))
        self.assertEqual(1, len(self.calling.lost))

    async def test_abort(self) -> None:
        """Whoever aborts hears so, the other end that the connection is lost; what comes after it is dropped."""
        caller, called = await self.pair()
        caller.wire.abortConnection()
        caller.wire.write(b"too late")
        await self.until(lambda: caller.reason is not None and called.reason is not None)
        assert caller.reason is not None
        assert called.reason is not None
        self.assertTrue(caller.reason.check(ConnectionAborted), caller.reason)
        self.assertTrue(called.reason.check(ConnectionLost), called.reason)
        self.assertEqual(b"", called.heard)

    async def test_nobody_listens(self) -> None:
        """A call to a port where nobody listens any more is refused, and its factory is left as it was."""
        listening, calling = self.listen(Factory()), Caller()
        number = listening.getHost().port
        await self.stopped(listening)
        self.network.connectTCP(self.host, number, calling)
        await self.until(lambda: calling.failed)
        self.assertTrue(calling.failed[0].check(ConnectionRefusedError), calling.failed)
        await self.until(lambda: calling.started == 0)

    async def test_called_off(self) -> None:
        """A call that is given up fails for that reason, once."""
        listening, calling = self.listen(Caller()), Caller()
        connector = self.network.connectTCP(self.host, listening.getHost().port, calling)
        connector.stopConnecting()
        await self.until(lambda: calling.failed)
        await self.a_while()
        self.assertEqual((1, []), (len(calling.failed), calling.made))
        self.assertTrue(calling.failed[0].check(UserError), calling.failed)

    async def test_taken(self) -> None:
        """Two can't listen on one port."""
        listening = self.listen(Factory())
        self.assertRaises(CannotListenError, self.listen, Factory(), listening.getHost().port)

    async def test_backpressure(self) -> None:
        """A producer is paused when more waits than the buffer holds, and goes on when it has been sent."""
        caller, called = await self.pair()
        called.wire.pauseProducing()
        pusher = Pusher()
        caller.wire.registerProducer(pusher, True)
        written = 0
        while pusher.told[-1:] != ["pause"]:  # what a system takes at once isn't waited for
            caller.wire.write(bytes(16 * BUFFER))
            written += 16 * BUFFER
            await self.a_while()
            assert written < 100 << 20, "nothing pauses the producer"
        called.wire.resumeProducing()
        await self.until(lambda: len(called.heard) == written)
        self.assertEqual("resume", pusher.told[-1])
        caller.wire.unregisterProducer()

    async def test_paused(self) -> None:
        """Who doesn't read hears nothing until they go on."""
        caller, called = await self.pair()
        called.wire.pauseProducing()
        caller.wire.write(b"later")
        await self.a_while()
        self.assertEqual(b"", called.heard)
        called.wire.resumeProducing()
        await self.until(lambda: called.heard == b"later")

    async def test_producer(self) -> None:
        """There is one producer at a time, which hears of the end; one that pushes doesn't hold it up."""
        caller, called = await self.pair()
        pusher = Pusher()
        caller.wire.registerProducer(pusher, True)
        self.assertRaises(RuntimeError, caller.wire.registerProducer, Pusher(), True)
        caller.wire.loseConnection()
        caller.wire.write(b"still")
        await self.until(lambda: caller.reason is not None and called.reason is not None)
        self.assertEqual((b"still", ["stop"]), (called.heard, pusher.told))
        late = Pusher()
        caller.wire.registerProducer(late, True)
        self.assertEqual(["stop"], late.told)

    async def stopped(self, listening: Any) -> None:
        """Stop to listen."""
        stopping = listening.stopListening()
        if stopping is not None:
            await stopping


class MemoryTests(NetworkBehaviour, TestCase):
    """The network in memory."""

    def setUp(self) -> None:
        self.network = Network()
        self.host = "192.0.2.1"

    async def until(self, true: Callable[[], object]) -> None:
        self.network.settle()
        self.assertTrue(true())

    async def a_while(self) -> None:
        self.network.settle()


class RealTests(NetworkBehaviour, TestCase):
    """Twisted's reactor, over the loopback interface."""

    timeout = DEADLINE_S

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.network = reactor
        self.host = "127.0.0.1"

    async def until(self, true: Callable[[], object]) -> None:
        while not true():
            await deferLater(self.network, 0.005)

    async def a_while(self) -> None:
        await deferLater(self.network, 0.02)


class MemoryAloneTests(SynchronousTestCase):
    """What only the network in memory can do."""

    def setUp(self) -> None:
        self.network = Network()

    def pair(self) -> tuple[Talker, Talker]:
        accepting, calling = Caller(), Caller()
        self.port = self.network.on("192.0.2.1").listenTCP(5555, accepting)
        self.connector = self.network.on("192.0.2.2").connectTCP("192.0.2.1", 5555, calling)
        self.network.settle()
        return calling.made[0], accepting.made[0]

    def test_interfaces(self) -> None:
        """Its reactor, ports, connectors and transports have all that those of Twisted have."""
        caller, _ = self.pair()
        for interface, one in (
            (IReactorTCP, self.network),
            (IReactorTime, self.network),
            (IListeningPort, self.port),
            (IConnector, self.connector),
            (ITCPTransport, caller.wire),
        ):
            self.assertTrue(verifyObject(interface, one))

    def test_machines(self) -> None:
        """Each machine has an address of its own, from which it calls and on which alone it listens."""
        caller, called = self.pair()
        self.assertEqual(("192.0.2.2", "192.0.2.1"), (called.wire.getPeer().host, caller.wire.getPeer().host))
        refused = Caller()
        self.network.on("192.0.2.1").connectTCP("192.0.2.2", 5555, refused)
        self.network.settle()
        self.assertEqual(1, len(refused.failed))

    def test_cable(self) -> None:
        """Over a cable that is pulled nothing arrives and nothing ends, and calls run into their timeouts."""
        caller, called = self.pair()
        self.network.pull("192.0.2.1", "192.0.2.2")
        caller.wire.write(b"held")
        calling = Caller()
        self.network.on("192.0.2.2").connectTCP("192.0.2.1", 5555, calling, timeout=7)
        self.network.advance(7)
        self.assertEqual((b"", None, 1), (called.heard, called.reason, len(calling.failed)))
        self.assertTrue(calling.failed[0].check(TimeoutError))
        self.network.plug("192.0.2.1", "192.0.2.2")
        self.network.settle()
        self.assertEqual(b"held", called.heard)

    def test_stranded(self) -> None:
        """A stranded connection carries nothing, not even a reset, while another one does."""
        caller, called = self.pair()
        self.network.strand("192.0.2.1", "192.0.2.2")
        caller.wire.write(b"anybody there?")
        self.network.advance(7)
        caller.wire.abortConnection()
        self.network.advance(7)
        self.assertEqual((b"", None), (called.heard, called.reason))
        self.assertIsNotNone(caller.reason)
        calling = Caller()
        self.network.on("192.0.2.2").connectTCP("192.0.2.1", 5555, calling)
        self.network.settle()
        self.assertEqual(1, len(calling.made))
        called.wire.abortConnection()
        self.network.settle()
        self.assertIsNotNone(called.reason)

    def test_time(self) -> None:
        """Time passes in steps, so that whatever is due at a moment happens then, and brings about what it does."""
        times: list[float] = []
        waiting: Deferred[float] = Deferred()

        def later() -> None:
            times.append(self.network.seconds())
            if len(times) < 3:
                self.network.callLater(1.5, later)
            else:
                waiting.callback(self.network.seconds())

        self.network.callLater(1, later)
        self.network.advance(10)
        self.assertEqual(([1.0, 2.5, 4.0], 4.0, 10.0), (times, self.successResultOf(waiting), self.network.seconds()))

    def test_no_rest(self) -> None:
        """Two who never stop talking to each other fail a test, and don't hang it."""
        caller, called = self.pair()
        self.patch(caller, "dataReceived", caller.wire.write)
        self.patch(called, "dataReceived", called.wire.write)
        caller.wire.write(b"x")
        self.assertRaises(AssertionError, self.network.settle, 50)

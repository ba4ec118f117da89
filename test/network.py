"""A TCP network in memory with its own time, so that whole conversations run without a port or a wait.

:class:`Network` stands in for the reactor: it is a ``Clock`` whose ``listenTCP`` and ``connectTCP`` join protocols by
:class:`Wire` transports. Nothing moves until :meth:`Network.settle` or :meth:`Network.advance`.
"""

from __future__ import annotations

import errno
from bisect import insort
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from twisted.internet.address import IPv4Address
from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import (
    CannotListenError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    TimeoutError,
    UserError,
)
from twisted.internet.interfaces import (
    IConnector,
    IHalfCloseableProtocol,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorTCP,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import ClientFactory
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.wire.fresh_port import FreshSockets

__all__ = ["FRESH", "Network", "OrderedClock", "Wire"]

BUFFER = 65536
"""Bytes a transport takes before it pauses its producer, as Twisted's TCP transport does."""


@implementer(ITCPTransport)
class Wire:
    """One end of a connection in memory."""

    def __init__(self, network: Network, host: IPv4Address, peer: IPv4Address) -> None:
        self.network = network
        self.number = network.count_wire()
        self.host = host
        self.peer = peer
        self.other: Wire
        self.protocol: Any = None
        self.outgoing: list[bytes] = []
        self.producer: Any = None
        self.paused_producer = False
        self.reading = True
        self.disconnecting = False
        self.half_closed = False
        self.connected = True
        self.sent = 0
        self.connector: Any = None
        self.stranded = False

    def write(self, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise TypeError(f"transports take bytes, not {type(data).__name__}")
        if not self.connected or not data:
            return
        self.outgoing.append(data)
        self.sent += len(data)
        if self.producer is not None and not self.paused_producer and self.unread > BUFFER:
            self.paused_producer = True
            self.producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def loseConnection(self, *reason: object) -> None:
        self.disconnecting = True

    def abortConnection(self) -> None:
        if self.connected:
            self.outgoing.clear()
            self.network.callLater(0, self._end, ConnectionAborted(), ConnectionLost("reset by peer"))

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self.producer is not None:
            raise RuntimeError("a producer is registered already")
        if not streaming:
            raise NotImplementedError("wires push")
        if not self.connected:
            producer.stopProducing()
            return
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None
        self.paused_producer = False

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def stopProducing(self) -> None:
        self.loseConnection()

    @property
    def unread(self) -> int:
        """Bytes written here that the other end hasn't read."""
        return sum(map(len, self.outgoing))

    def getHandle(self) -> Any:
        """There is no socket."""
        return None

    def getHost(self) -> IPv4Address:
        return self.host

    def getPeer(self) -> IPv4Address:
        return self.peer

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is delayed here."""

    def getTcpNoDelay(self) -> bool:
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Nothing dies unnoticed here."""

    def getTcpKeepAlive(self) -> bool:
        return True

    def move(self) -> bool:
        """Deliver what the other end wrote; say whether anything happened."""
        if not self.connected or self.stranded or self.network.cut(self.host.host, self.peer.host):
            return False
        source = self.other
        moved = False
        while self.reading and source.outgoing and self.connected:
            moved = True
            self.protocol.dataReceived(source.outgoing.pop(0))
        if source.paused_producer and source.producer is not None and not source.outgoing:
            moved = True
            source.paused_producer = False
            source.producer.resumeProducing()
        elif source.disconnecting and not source.outgoing and self.connected:
            moved = True
            source._end(ConnectionDone(), ConnectionDone())
        elif source.half_closed and not source.outgoing and self.connected:
            moved = True
            source.half_closed = False
            if IHalfCloseableProtocol.providedBy(self.protocol):
                self.protocol.readConnectionLost()
            else:
                source._end(ConnectionDone(), ConnectionDone())
        return moved

    def _end(self, mine: Exception, theirs: Exception) -> None:
        for wire, error in ((self, mine), (self.other, theirs)):
            if wire.connected and not (self.stranded and wire is self.other):
                wire.connected = False
                wire.network.wires.discard(wire)
                if wire.producer is not None:
                    producer, wire.producer = wire.producer, None
                    producer.stopProducing()
                wire.protocol.connectionLost(Failure(error))
                if wire.connector is not None:
                    wire.connector.factory.clientConnectionLost(wire.connector, Failure(error))


@implementer(IListeningPort)
class _Port:
    def __init__(self, network: Network, factory: Any, host: str, address: IPv4Address) -> None:
        self.network = network
        self.factory = factory
        self.host = host
        self.address = address

    def startListening(self) -> None:
        """It listens from its making."""

    def stopListening(self) -> Deferred[None]:
        if self.network.ports.pop((self.host, self.address.port), None) is not None:
            self.factory.doStop()
        return succeed(None)

    def getHost(self) -> IPv4Address:
        return self.address


@implementer(IConnector)
class _Connector:
    def __init__(self, factory: Any, destination: IPv4Address) -> None:
        self.factory = factory
        self.destination = destination
        self.failed = False
        self.trying: Any = None

    def stopConnecting(self) -> None:
        if not self.failed and self.trying.active():
            self.failed = True
            self.trying.cancel()
            self.factory.clientConnectionFailed(self, Failure(UserError()))
            self.factory.doStop()

    def disconnect(self) -> None:
        self.stopConnecting()

    def connect(self) -> None:
        """It connects from its making."""

    def getDestination(self) -> IPv4Address:
        return self.destination


_TIME: Final = attrgetter("time")


class OrderedClock(Clock):
    """A clock for thousands of calls that wait: each has its place, where Twisted's sorts all of them for each.

    As a real reactor does it, a call that was put off is found to be so when its first time has come.
    """

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object) -> DelayedCall:  # noqa: A002  # as Twisted names it
        time = self.seconds() + delay
        call = DelayedCall(time, callable, args, kwargs, self.calls.remove, self._sooner, self.seconds)
        insort(self.calls, call, key=_TIME)
        return call

    def _sooner(self, call: DelayedCall) -> None:
        self.calls.remove(call)
        insort(self.calls, call, key=_TIME)

    def advance(self, amount: float) -> None:
        self.rightNow += amount
        while self.calls and self.calls[0].time <= self.seconds():
            call = self.calls.pop(0)
            if call.delayed_time:
                call.activate_delay()
                insort(self.calls, call, key=_TIME)
            else:
                call.called = 1
                call.func(*call.args, **call.kw)


@implementer(IReactorTCP, IReactorTime)
class Network(OrderedClock):
    """A reactor whose machines are addresses; ``on`` gives the view of one machine.

    :ivar wires: the ends of connections that stand.
    :ivar ports: what listens, by address and port.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wires: set[Wire] = set()
        self.ports: dict[tuple[str, int], _Port] = {}
        self._cut: set[frozenset[str]] = set()
        self._walled: set[str] = set()
        self._refusing: set[str] = set()
        self._next_port = 40000
        self._wires_made = 0

    def on(self, host: str) -> Machine:
        """Return the reactor of one machine."""
        return Machine(self, host)

    def pull(self, one: str, other: str) -> None:
        """Pull the cable between two machines: nothing arrives, nothing ends."""
        self._cut.add(frozenset((one, other)))

    def plug(self, one: str, other: str) -> None:
        """Plug the cable in again: what was sent meanwhile arrives."""
        self._cut.discard(frozenset((one, other)))

    def strand(self, one: str, other: str) -> None:
        """Have the connections between two machines carry nothing any more, not even their end; new ones do."""
        for wire in self.wires:
            if {wire.host.host, wire.peer.host} == {one, other}:
                wire.stranded = True

    def wall(self, host: str, *, refuse: bool = False) -> None:
        """Have a machine's firewall drop whatever others begin, or answer it with a reset."""
        (self._refusing if refuse else self._walled).add(host)

    def open(self, host: str) -> None:
        """Have a machine let in what others begin."""
        self._walled.discard(host)
        self._refusing.discard(host)

    def cut(self, one: str, other: str) -> bool:
        return frozenset((one, other)) in self._cut

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = "", host: str = "127.0.0.1"
    ) -> _Port:
        host = interface or host
        if port == 0:
            self._next_port += 1
            port = self._next_port
        if (host, port) in self.ports:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        address = IPv4Address("TCP", interface or "0.0.0.0", port)
        listening = self.ports[host, port] = _Port(self, factory, host, address)
        factory.doStart()
        return listening

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: Any = None,
        source: str = "127.0.0.1",
    ) -> _Connector:
        connector = _Connector(factory, IPv4Address("TCP", host, port))
        factory.doStart()
        factory.startedConnecting(connector)
        if self.cut(source, host) or (host in self._walled and host != source):
            connector.trying = self.callLater(timeout, self._failed, connector, TimeoutError())
        else:
            connector.trying = self.callLater(0, self._connect, connector, source, bindAddress)
        return connector

    def _failed(self, connector: _Connector, error: Exception) -> None:
        connector.failed = True
        connector.factory.clientConnectionFailed(connector, Failure(error))
        connector.factory.doStop()

    def _connect(self, connector: _Connector, source: str, bound: Any = None) -> None:
        there = connector.destination
        port = self.ports.get((there.host, there.port))
        if port is None or (there.host in self._refusing and there.host != source):
            self._failed(connector, ConnectionRefusedError())
            return
        self._next_port += 1
        here = IPv4Address("TCP", source, (bound and bound[1]) or self._next_port)
        accepted = port.factory.buildProtocol(here)
        if accepted is None:
            self._failed(connector, ConnectionRefusedError())
            return
        client, server = Wire(self, here, there), Wire(self, there, here)
        client.other, server.other = server, client
        client.connector = connector
        server.protocol = accepted
        client.protocol = connector.factory.buildProtocol(there)
        self.wires |= {client, server}
        server.protocol.makeConnection(server)
        client.protocol.makeConnection(client)

    def settle(self, rounds: int = 10000) -> None:
        """Deliver everything that can be delivered without time passing."""
        for _ in range(rounds):
            if not self.step():
                return
        raise AssertionError("the network doesn't come to rest")

    def step(self) -> bool:
        """Deliver what is there now, not what that brings about; say whether there was anything."""
        due = any(call.getTime() <= self.seconds() for call in self.getDelayedCalls())
        super().advance(0)
        return any([wire.move() for wire in sorted(self.wires, key=lambda wire: wire.number)]) or due

    def count_wire(self) -> int:
        """Number the ends of connections, which are served in this order, so that every run is the same."""
        self._wires_made += 1
        return self._wires_made

    def advance(self, seconds: float) -> None:
        """Let time pass in small steps, delivering in between."""
        self.settle()
        until = self.seconds() + seconds
        while self.seconds() < until:
            times = [call.getTime() for call in self.getDelayedCalls()]
            step = min([until, *times]) - self.seconds()
            super().advance(max(step, 0))
            self.settle()


class Machine:
    """The network as one machine sees it: a reactor with an address of its own."""

    def __init__(self, network: Network, host: str) -> None:
        self._network = network
        self.host = host
        self.callLater: Callable[..., Any] = network.callLater
        self.seconds: Callable[[], float] = network.seconds
        self.getDelayedCalls: Callable[[], Any] = network.getDelayedCalls

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> Any:
        return self._network.listenTCP(port, factory, backlog, interface, host=self.host)

    def connectTCP(self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None) -> Any:
        return self._network.connectTCP(host, port, factory, timeout, bindAddress, source=self.host)


def protocol_of(wire: Wire) -> IProtocol:
    """The protocol at an end, under TLS if there is any."""
    protocol: IProtocol = getattr(wire.protocol, "wrappedProtocol", wire.protocol)
    return protocol


def _listen_at(reactor: Any, host: str, number: int, factory: Any) -> Any:
    return reactor.listenTCP(number, factory, interface=host)


def _dial_from(
    reactor: Any, local: tuple[str, int], remote: tuple[str, int], factory: Any, seconds: float
) -> Deferred[None]:
    dial = _Dial(factory)
    dial.connector = reactor.connectTCP(*remote, dial, seconds, local)
    return dial.done


FRESH = FreshSockets(_listen_at, _dial_from)
"""What fresh ports are on such a network."""


class _Dial(ClientFactory):
    noisy = False

    def __init__(self, factory: Any) -> None:
        self.connector: Any = None
        self.done: Deferred[None] = Deferred(lambda _: self.connector.stopConnecting())
        self._factory = factory

    def buildProtocol(self, addr: Any) -> Any:
        self.done.callback(None)
        return self._factory.buildProtocol(addr)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        if not self.done.called:
            number = errno.ETIMEDOUT if reason.check(TimeoutError) else errno.ECONNREFUSED
            self.done.errback(Failure(OSError(number, reason.getErrorMessage())))

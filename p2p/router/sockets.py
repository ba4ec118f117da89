"""What every socket of a router passes through: bytes are counted, and strangers are let in one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.base.texts import address_text
from p2p.control.admission import Admission
from p2p.router.addresses import normalised

__all__ = ["Door", "SocketMeter", "host_of"]

_WARN_EVERY_S = 1.0
"""Seconds between two warnings of turned away connections: a flood of them mustn't become a flood in the log."""

log = Logger()


class SocketMeter:
    """Counts the bytes of many sockets, below TLS, and the sockets.

    :ivar received: bytes that came in.
    :ivar sent: bytes that went out.
    :ivar open: connections that are open now.
    """

    __slots__ = ("open", "received", "sent")

    def __init__(self) -> None:
        self.received = self.sent = self.open = 0

    def wrap(self, factory: IProtocolFactory) -> WrappingFactory[Any]:
        """Count what the protocols of a factory send and receive."""
        return _MeteredFactory(factory, self)


class _Metered(ProtocolWrapper):
    """Stands between a socket and TLS."""

    transport: Any

    def __init__(self, factory: Any, wrapped: IProtocol) -> None:
        ProtocolWrapper.__init__(self, factory, wrapped)
        self._meter: SocketMeter = factory.meter

    def makeConnection(self, transport: Any) -> None:
        self._meter.open += 1
        ProtocolWrapper.makeConnection(self, transport)

    def dataReceived(self, data: bytes) -> None:
        self._meter.received += len(data)
        self.wrappedProtocol.dataReceived(data)

    def write(self, data: bytes) -> None:
        self._meter.sent += len(data)
        self.transport.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._meter.open -= 1
        ProtocolWrapper.connectionLost(self, reason)


class _MeteredFactory(WrappingFactory[_Metered]):
    protocol = _Metered
    noisy = False

    def __init__(self, factory: IProtocolFactory, meter: SocketMeter) -> None:
        super().__init__(factory)  # type: ignore[no-untyped-call]  # Twisted's has no types
        self.meter = meter


@implementer(IProtocolFactory)
class Door:
    """Builds the protocol of an accepted connection, or turns it away.

    Whoever is let in here has to be counted out of the admission again, once it is known or gone; that is for the
    protocols to do.
    """

    def __init__(self, factory: IProtocolFactory, admission: Admission, clock: IReactorTime) -> None:
        self._factory = factory
        self._admission = admission
        self._clock = clock
        self._turned_away = 0
        self._warned = -_WARN_EVERY_S

    def doStart(self) -> None:
        """Pass on that a port begins to listen."""
        self._factory.doStart()

    def doStop(self) -> None:
        """Pass on that it listens no more."""
        self._factory.doStop()

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        """Return the protocol for a connection; with None, the reactor closes it at once."""
        reason = self._admission.enter(host_of(addr))
        if reason is None:
            return self._factory.buildProtocol(addr)
        self._turned_away += 1
        now = self._clock.seconds()
        if now - self._warned >= _WARN_EVERY_S:
            log.warn(
                "router: turned away {count} connections, the last from {address}: {reason}",
                count=self._turned_away,
                address=address_text(addr),
                reason=reason,
            )
            self._turned_away, self._warned = 0, now
        return None


def host_of(address: Any) -> str:
    """Return the IP address in a Twisted address, or all of it as text where it has none."""
    return normalised(str(getattr(address, "host", address)))

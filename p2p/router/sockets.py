"""What every socket of a router passes through: its bytes are counted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

from p2p.base.addresses import normalised

__all__ = ["SocketMeter", "host_of"]


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


def host_of(address: Any) -> str:
    """Return the IP address in a Twisted address, or all of it as text where it has none."""
    return normalised(str(getattr(address, "host", address)))

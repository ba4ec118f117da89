"""Joins a connection of this machine with both directions of an exchange, as if it led to the other end.

What comes on one goes out on the other, each at the pace of the slower. Each direction ends by itself; where either is
broken off, the other is, too.
"""

from __future__ import annotations

from typing import Any
from typing import Protocol as Typed

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.base.errors import ExchangeFailed
from p2p.link.relayed import Carrier
from p2p.wire.wide_socket import WideSocket, widened

__all__ = ["Splice", "SpliceCarrier"]


class SpliceCarrier(Carrier, Typed):
    """An exchange that flows both ways, at either end: ``Duplex`` or ``DuplexAnswer`` of ``p2p/exchange/duplex.py``."""

    def begin(self) -> None:
        """Both ends are there."""


@implementer(IHalfCloseableProtocol, IPushProducer)
class Splice(Protocol):
    """The protocol of the connection, and the end of the exchange (``DuplexEnd``).

    :ivar carrier: the exchange; it is given before the connection is made.
    :ivar over: fires when the connection is closed and nothing is left; with the failure if the exchange broke. To
        cancel it breaks both off.
    :ivar sent: bytes that came from the connection.
    :ivar received: bytes that went to it.
    """

    transport: Any  # a stream transport; Twisted's own annotation is the narrower ITransport
    carrier: SpliceCarrier

    def __init__(self) -> None:
        self.over: Deferred[None] = Deferred(lambda over: self.break_off())
        self.sent = self.received = 0
        self._reads = self._writes = True
        self._failure: ExchangeFailed | None = None

    def break_off(self, failure: ExchangeFailed | None = None) -> None:
        """End everything now, on this machine and at the other end."""
        if not self.over.called:
            self.carrier.abort()
            self._close(failure)

    # -- the connection ---------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        self.transport = widened(self.transport, self.dataReceived)
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self.carrier.begin()
        self.carrier.registerProducer(self.transport, True)
        self.carrier.resumeProducing()

    def dataReceived(self, data: bytes | memoryview) -> None:
        self.sent += len(data)
        self.carrier.write(data)

    def readConnectionLost(self) -> None:
        """The program sends nothing more."""
        self._reads = False
        self.carrier.unregisterProducer()
        self.carrier.finish()
        self._look()

    def writeConnectionLost(self) -> None:
        """It was told that nothing more comes."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.transport = None
        if self._failure is None and (self._reads or self._writes):
            self.carrier.unregisterProducer()
            self.carrier.abort()
        self._tell()

    # -- the exchange: DuplexEnd ------------------------------------------------------------------------------

    def came(self, data: memoryview) -> None:
        """Bytes came from the other end."""
        if self.transport is not None:
            self.received += len(data)
            # What Twisted types for its own transports is bytes.
            self.transport.write(data if isinstance(self.transport, WideSocket) else bytes(data))

    def ended(self) -> None:
        """The other end sends nothing more."""
        self._writes = False
        if self.transport is not None:
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()
            self._look()

    def broken(self, failure: ExchangeFailed) -> None:
        """The exchange is gone."""
        self._close(failure)

    # -- the connection's sending side, which is full or isn't --------------------------------------------------

    def pauseProducing(self) -> None:
        """The program doesn't take more."""
        self.carrier.pauseProducing()

    def resumeProducing(self) -> None:
        """It does again."""
        self.carrier.resumeProducing()

    def stopProducing(self) -> None:
        """It is gone, as ``connectionLost`` tells."""

    # -- within -----------------------------------------------------------------------------------------------

    def _look(self) -> None:
        if not (self._reads or self._writes):
            self.transport.loseConnection()

    def _close(self, failure: ExchangeFailed | None) -> None:
        self._failure = self._failure or failure
        if self.transport is not None:
            self._reads = self._writes = False
            self.transport.abortConnection()
        else:
            self._tell()

    def _tell(self) -> None:
        if self.over.called:
            return
        if self._failure is None:
            self.over.callback(None)
        else:
            self.over.errback(self._failure)

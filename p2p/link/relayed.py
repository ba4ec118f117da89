"""What a relayed link stands on: two streams that a relay joins, as a transport.

TLS, hello and ticket run on it as they do on TCP, with backpressure both ways, so the relay sees ciphertext alone.
Whatever ends the streams ends the connection: the tail of the other end's direction as the end of TCP's would, all
else as a cable that breaks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IProtocol,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["Carrier", "RelayedTransport"]

LARGEST: Final = 256 * 1024
"""Bytes that are written to the carrier at once: what a frame of the stream below takes."""


class Carrier(Protocol):
    """What the bytes go over: both directions of an exchange with a relay."""

    def write(self, data: bytes | memoryview) -> None:
        """Send bytes, which don't change afterwards."""

    def finish(self) -> None:
        """Send nothing more after what is queued."""

    def abort(self) -> None:
        """Give up both directions; nothing more is told of them."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Pace a producer."""

    def unregisterProducer(self) -> None:
        """The producer is done."""

    def pauseProducing(self) -> None:
        """Deliver nothing for now."""

    def resumeProducing(self) -> None:
        """Deliver again."""


@implementer(ITransport, IConsumer, IPushProducer)
class RelayedTransport:
    """The transport of one relayed connection.

    :param addresses: those of the TCP connection to the relay, this end's first.
    :param broke: is told why, where the streams are gone rather than ended; the connection is aborted by whoever is
        told.
    """

    def __init__(
        self,
        carrier: Carrier,
        clock: IReactorTime,
        addresses: tuple[IAddress, IAddress],
        broke: Callable[[str], object],
    ) -> None:
        self._carrier = carrier
        self._clock = clock
        self._addresses = addresses
        self._broke = broke
        self._protocol: IProtocol | None = None
        self._soon: IDelayedCall | None = None
        self._gone = False
        self.disconnecting = False

    def carry(self, protocol: IProtocol) -> None:
        """Be the transport of a protocol from now on."""
        self._protocol = protocol
        protocol.makeConnection(self)

    # -- what the streams tell --------------------------------------------------------------------------------

    def came(self, data: memoryview) -> None:
        """Bytes came."""
        if not self._gone and self._protocol is not None:
            # A transport gives bytes, says Twisted's type; ours take views of them, as they do from a socket.
            self._protocol.dataReceived(data)  # type: ignore[arg-type]

    def ended(self) -> None:
        """The other end sends nothing more."""
        if not self._gone:
            self._carrier.finish()
            self._lose(ConnectionDone())

    def broken(self, reason: str) -> None:
        """The streams are gone."""
        if not self._gone:
            self._broke(reason)
            self._lose_soon(ConnectionLost())

    # -- ITransport -------------------------------------------------------------------------------------------

    def write(self, data: bytes | memoryview) -> None:
        """Send bytes."""
        if self._gone or self.disconnecting:
            return
        view = memoryview(data)
        for start in range(0, len(view), LARGEST):
            self._carrier.write(view[start : start + LARGEST])

    def writeSequence(self, iovec: Iterable[bytes | memoryview]) -> None:
        """Send pieces in their order."""
        for piece in iovec:
            self.write(piece)

    def loseConnection(self) -> None:
        """Send nothing more after what is queued; it is over when the other end does the same."""
        if not self._gone and not self.disconnecting:
            self.disconnecting = True
            self._carrier.finish()

    def abortConnection(self) -> None:
        """Cut the connection."""
        self._lose_soon(ConnectionAborted())

    def getHost(self) -> IAddress:
        """This end's address of the connection to the relay."""
        return self._addresses[0]

    def getPeer(self) -> IAddress:
        """The relay's address."""
        return self._addresses[1]

    def getHandle(self) -> None:
        """It has no socket of its own."""

    # -- IConsumer and IPushProducer --------------------------------------------------------------------------

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let the stream to the relay pace a producer."""
        self._carrier.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """The producer is done."""
        self._carrier.unregisterProducer()

    def pauseProducing(self) -> None:
        """Take nothing for now: the stream's window fills, and the other end is paused."""
        self._carrier.pauseProducing()

    def resumeProducing(self) -> None:
        """Take more."""
        self._carrier.resumeProducing()

    def stopProducing(self) -> None:
        """Take nothing any more."""
        self.loseConnection()

    # -- within -----------------------------------------------------------------------------------------------

    def _lose_soon(self, why: Exception) -> None:
        """Tell the protocol in the reactor's next turn, since it may be within a call of its own."""
        if not self._gone and self._soon is None:
            self._carrier.abort()
            self._soon = self._clock.callLater(0, self._lose, why)

    def _lose(self, why: Exception) -> None:
        if self._soon is not None and self._soon.active():
            self._soon.cancel()
        self._soon = None
        self._gone = True
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connectionLost(Failure(why))

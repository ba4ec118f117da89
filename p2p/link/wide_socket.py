"""The socket of a link, without the buffers of Twisted's TCP transport.

Twisted's transport reads 64 KiB a call, and joins what it sends once more in the reactor's next turn. On a link at a
gigabyte a second that costs as much as the network does. Here the system gets the pieces at once and as they are, and
gives up to 256 KiB a call. Connecting, accepting and closing remain the transport's.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from twisted.internet import main
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IAddress, IReactorFDSet
from twisted.python.failure import Failure

__all__ = ["GULP", "WideSocket", "widened"]

GULP: Final = 256 * 1024
"""Bytes that are read at once: with what is decrypted from them they stay in the processor's cache."""

PIECES: Final = 64
"""Pieces that the system gets in one call; it takes 1024 at most (IOV_MAX)."""

NOT_SENT: Final = 512 * 1024
"""Bytes that the system takes and hasn't sent: no message overtakes them."""

_NOT_SENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Linux and macOS have it
_gulp = memoryview(bytearray(GULP))  # one for all sockets: what is read is used up before the next one reads


def widened(transport: Any, deliver: Callable[[memoryview], object]) -> Any:
    """Put a :class:`WideSocket` in the place of a TCP transport, where there is a socket that can be used so.

    :returns: the transport itself if there is none: in memory, with a reactor that has no descriptors, on Windows.
    """
    handle = transport.getHandle()
    if not isinstance(handle, socket.socket):
        return transport
    if _NOT_SENT_LOWAT is not None:
        handle.setsockopt(socket.IPPROTO_TCP, _NOT_SENT_LOWAT, NOT_SENT)
    if not hasattr(handle, "sendmsg") or not IReactorFDSet.providedBy(getattr(transport, "reactor", None)):
        return transport
    return WideSocket(transport, deliver)


class WideSocket(FileDescriptor):
    """Reads and writes in the place of a connected TCP transport, which closes the socket in the end.

    It belongs below a protocol whose producer, if it has one, pushes.

    :param below: the transport.
    :param deliver: gets what arrives, as views that are good for the call alone: whoever keeps it copies it, and so
        keeps no more memory than it takes.
    """

    reactor: Any  # Twisted types it as one without time
    producer: Any  # a push producer; Twisted types it as any

    def __init__(self, below: Any, deliver: Callable[[memoryview], object]) -> None:
        super().__init__(below.reactor)
        self._below = below
        self._socket: socket.socket = below.getHandle()
        self._deliver = deliver
        self._unsent: deque[memoryview] = deque()
        self.connected = 1
        below.stopReading()
        self.startReading()  # type: ignore[no-untyped-call]  # Twisted's, untyped

    # -- sending ----------------------------------------------------------------------------------------------

    def write(self, data: bytes | memoryview) -> None:
        """Send bytes now, as far as the system takes them; they may change afterwards."""
        if not self.connected:
            return
        if self._unsent:
            self._keep([bytes(data)])
            return
        view = memoryview(data)
        with suppress(OSError):  # there is no room; or doWrite meets the error too, and tells the reactor
            view = view[self._socket.send(view) :]
        if view:
            self._keep([bytes(view)])

    def writeSequence(self, iovec: Iterable[bytes | memoryview]) -> None:
        """Send pieces in their order, as far as the system takes them; they must not change afterwards."""
        if not self.connected:
            return
        waiting = bool(self._unsent)
        self._unsent.extend(map(memoryview, iovec))
        if not waiting:
            self._send()
        self._keep(())

    def doWrite(self) -> Exception | None:
        """Called by the reactor when the system has room again."""
        lost = self._send()
        if lost is None and not self._unsent and self.producerPaused:
            self.producerPaused = False
            if self.producer is not None:
                self.producer.resumeProducing()  # writes at once, most often
        if lost is not None or self._unsent:
            return lost
        return super().doWrite()  # type: ignore[no-any-return, no-untyped-call]  # Twisted's, untyped

    def writeSomeData(self, data: bytes) -> int:
        """Twisted's own buffer is empty here."""
        return 0

    def _send(self) -> Exception | None:
        unsent = self._unsent
        while unsent:
            try:
                sent = self._socket.sendmsg(list(islice(unsent, PIECES)))
            except BlockingIOError:
                return None
            except OSError:
                return main.CONNECTION_LOST
            while unsent and sent >= len(unsent[0]):
                sent -= len(unsent.popleft())
            if sent:
                unsent[0] = unsent[0][sent:]
        return None

    def _keep(self, pieces: Iterable[bytes]) -> None:
        """Wait for room, and have the producer wait."""
        self._unsent.extend(map(memoryview, pieces))
        if not self._unsent:
            return
        self.startWriting()  # type: ignore[no-untyped-call]  # Twisted's, untyped
        if self.producer is not None and not self.producerPaused:
            self.producerPaused = True
            self.producer.pauseProducing()

    # -- receiving --------------------------------------------------------------------------------------------

    def doRead(self) -> Exception | None:
        """Called by the reactor when something has come."""
        try:
            count = self._socket.recv_into(_gulp)
        except BlockingIOError:
            return None
        except OSError:
            return main.CONNECTION_LOST
        if not count:
            return main.CONNECTION_DONE
        self._deliver(_gulp[:count])
        return None

    # -- the end ----------------------------------------------------------------------------------------------

    def connectionLost(self, reason: Failure) -> None:
        """Let the transport close the socket and tell the protocol."""
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # Twisted's, untyped
        self._unsent.clear()
        self._below.connectionLost(reason)

    def abortConnection(self) -> None:
        """Cut the connection; what waits is dropped."""
        if self.connected:
            self.connected = 0
            self._unsent.clear()
            self.stopReading()  # type: ignore[no-untyped-call]  # Twisted's, untyped
            self.stopWriting()  # type: ignore[no-untyped-call]  # Twisted's, untyped
            self.reactor.callLater(0, self.connectionLost, Failure(ConnectionAborted()))

    # -- what the transport knows -----------------------------------------------------------------------------

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return str(self._below.logPrefix())

    def getHandle(self) -> socket.socket:
        return self._socket

    def getHost(self) -> IAddress:
        address: IAddress = self._below.getHost()
        return address

    def getPeer(self) -> IAddress:
        address: IAddress = self._below.getPeer()
        return address

    def setTcpNoDelay(self, enabled: bool) -> None:
        self._below.setTcpNoDelay(enabled)

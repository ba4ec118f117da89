"""The socket of a link, without the buffers of Twisted's TCP transport.

Twisted's transport reads 64 KiB a call, and joins what it sends once more in the reactor's next turn. On a link at a
gigabyte a second that costs as much as the network does. Here the system gets the pieces at once and as they are, and
gives up to 512 KiB a call. Connecting, accepting and closing remain the transport's.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final, Protocol

from twisted.internet import main
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IAddress, IReactorFDSet
from twisted.python.failure import Failure

from p2p.wire.buffers import BUFFERS
from p2p.wire.tcp_info import TCP_INFO_LEAST_BYTES, parse_tcp_info

__all__ = ["Plain", "WideSocket", "Wire", "widened"]

PIECES: Final = 64
"""Pieces that the system gets in one call; it takes 1024 at most (IOV_MAX)."""

NOT_SENT: Final = 512 * 1024
"""Bytes that the system takes and hasn't sent: no message overtakes them."""

_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)  # Linux has it
_NOT_SENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Linux and macOS have it


class Wire(Protocol):
    """What reads and writes a socket that never blocks."""

    def read(self) -> Exception | None:
        """Read what is there, and deliver it; returns why the connection ended, if it did."""

    def send(self, unsent: deque[memoryview]) -> Exception | None:
        """Send, and take out from the left, what there is room for; returns why the connection ended, if it did."""


class Plain:
    """Bytes as they are.

    :param deliver: gets what arrives, and may keep it.
    """

    def __init__(self, handle: socket.socket, deliver: Callable[[bytes | memoryview], object]) -> None:
        self._socket = handle
        self._deliver = deliver

    def read(self) -> Exception | None:
        """Read up to a gulp."""
        buffer = BUFFERS.take()
        count = 0
        try:
            count = self._socket.recv_into(BUFFERS.writable(buffer))
        except BlockingIOError:
            return None
        except OSError:
            return main.CONNECTION_LOST
        finally:
            data = BUFFERS.lend(buffer, count)
        if not count:
            return main.CONNECTION_DONE
        self._deliver(data)
        return None

    def send(self, unsent: deque[memoryview]) -> Exception | None:
        """Send many pieces a call."""
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


def widened(transport: Any, deliver: Callable[[bytes | memoryview], object]) -> Any:
    """Put a :class:`WideSocket` in the place of a TCP transport, where there is a socket that can be used so.

    :param deliver: as :class:`Plain` takes it.
    :returns: the transport itself if there is none: in memory, with a reactor that has no descriptors, on Windows.
    """
    handle = transport.getHandle()
    if not isinstance(handle, socket.socket):
        return transport
    if _NOT_SENT_LOWAT is not None:
        handle.setsockopt(socket.IPPROTO_TCP, _NOT_SENT_LOWAT, NOT_SENT)
    if not hasattr(handle, "sendmsg") or not IReactorFDSet.providedBy(getattr(transport, "reactor", None)):
        return transport
    return WideSocket(transport, Plain(handle, deliver))


class WideSocket(FileDescriptor):
    """Stands in the place of a connected TCP transport, which closes the socket in the end.

    It belongs below a protocol whose producer, if it has one, pushes.

    :param below: the transport.
    :ivar wire: what reads and writes; whoever puts another here makes sure that nothing is unsent.
    """

    reactor: Any  # Twisted types it as one without time
    producer: Any  # a push producer; Twisted types it as any

    def __init__(self, below: Any, wire: Wire) -> None:
        super().__init__(below.reactor)
        self.wire = wire
        self._below = below
        self._unsent: deque[memoryview] = deque()
        self.connected = 1
        below.stopReading()
        self.startReading()  # type: ignore[no-untyped-call]  # Twisted's, untyped

    @property
    def unsent(self) -> bool:
        """Whether anything waits for room."""
        return bool(self._unsent)

    # -- sending ----------------------------------------------------------------------------------------------

    def write(self, data: bytes | memoryview) -> None:
        """Send bytes, as :meth:`writeSequence` does."""
        self.writeSequence([data])

    def writeSequence(self, iovec: Iterable[bytes | memoryview]) -> None:
        """Send pieces in their order, as far as there is room now; they must not change afterwards."""
        if not self.connected:
            return
        waiting = self.unsent
        self._unsent.extend(map(memoryview, iovec))
        if not waiting:
            self.wire.send(self._unsent)  # if the connection is broken, doWrite meets that too, and tells the reactor
        if self._unsent:
            self.startWriting()  # type: ignore[no-untyped-call]  # Twisted's, untyped
            if self.producer is not None and not self.producerPaused:
                self.producerPaused = True
                self.producer.pauseProducing()

    def doWrite(self) -> Exception | None:
        """Called by the reactor when there is room again."""
        why = self.wire.send(self._unsent)
        if why is None and not self._unsent and self.producerPaused:
            self.producerPaused = False
            if self.producer is not None:
                self.producer.resumeProducing()  # writes at once, most often
        if why is not None or self._unsent:
            return why
        return super().doWrite()  # type: ignore[no-any-return, no-untyped-call]  # Twisted's, untyped

    def writeSomeData(self, data: bytes) -> int:
        """Twisted's own buffer is empty here."""
        return 0

    def doRead(self) -> Exception | None:
        """Called by the reactor when something has come."""
        return self.wire.read()

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

    def least_round_trip(self) -> float | None:
        """Seconds of the fastest round trip on the connection, without what its ends do; None if nobody knows."""
        handle = self.getHandle()
        if _TCP_INFO is None or handle.family not in (socket.AF_INET, socket.AF_INET6):
            return None
        info = parse_tcp_info(handle.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, TCP_INFO_LEAST_BYTES))
        return info.least_rtt_us / 1e6 if info is not None and info.least_rtt_us is not None else None

    def fileno(self) -> int:
        return int(self._below.fileno())

    def logPrefix(self) -> str:
        return str(self._below.logPrefix())

    def getHandle(self) -> socket.socket:
        handle: socket.socket = self._below.getHandle()
        return handle

    def getHost(self) -> IAddress:
        address: IAddress = self._below.getHost()
        return address

    def getPeer(self) -> IAddress:
        address: IAddress = self._below.getPeer()
        return address

    def setTcpNoDelay(self, enabled: bool) -> None:
        self._below.setTcpNoDelay(enabled)

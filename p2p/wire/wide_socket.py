"""The socket of a link, without the buffers of Twisted's TCP transport.

Twisted's transport reads 64 KiB a call, and joins what it sends once more in the reactor's next turn. On a link at a
gigabyte a second that costs as much as the network does. Here the system gets the pieces at once and as they are, and
gives up to 512 KiB a call. Connecting, accepting and closing remain the transport's.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IAddress, IReactorFDSet
from twisted.python.failure import Failure

from p2p.wire import private

__all__ = ["TcpInfo", "WideSocket", "Wire", "parse_tcp_info", "tcp_info", "widened"]

NOT_SENT: Final = 512 * 1024
"""Bytes that the system takes and hasn't sent: no message overtakes them."""

_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)  # Linux has it
_NOT_SENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Linux and macOS have it

_TCP_INFO_LAYOUT: Final = struct.Struct("=8B24I")
"""Eight bytes of state and options, then 24 numbers; later kernels append more, and leave these where they are."""

_RTT, _RTT_VARIATION, _WINDOW, _RETRANSMITS = 8 + 15, 8 + 16, 8 + 18, 8 + 23
_LEAST: Final = struct.Struct("=I")
_LEAST_AT: Final = 148  # the shortest round trip, since Linux 4.6
_UNKNOWN: Final = 0xFFFFFFFF


class Wire(Protocol):
    """What reads and writes a socket that never blocks."""

    def read(self) -> Exception | None:
        """Read what is there, and deliver it; returns why the connection ended, if it did."""

    def send(self, unsent: deque[memoryview]) -> Exception | None:
        """Send, and take out from the left, what there is room for; returns why the connection ended, if it did."""


def widened(transport: Any, deliver: Callable[[bytes | memoryview], object]) -> Any:
    """Put a :class:`WideSocket` in the place of a TCP or UNIX transport, where there is a socket that can be used so.

    :param deliver: gets what arrives, and may keep it.
    :returns: the transport itself if there is none: in memory, with a reactor that has no descriptors, on Windows; and
        where private parts are missing that it would need.
    """
    handle = transport.getHandle()
    if not isinstance(handle, socket.socket):
        return transport
    if _NOT_SENT_LOWAT is not None and handle.family in (socket.AF_INET, socket.AF_INET6):
        handle.setsockopt(socket.IPPROTO_TCP, _NOT_SENT_LOWAT, NOT_SENT)
    if not hasattr(handle, "sendmsg") or not IReactorFDSet.providedBy(getattr(transport, "reactor", None)):
        return transport
    if private.missing():
        return transport
    from p2p.wire.bulk import Plain

    return WideSocket(transport, Plain(handle, deliver))


class WideSocket(FileDescriptor):
    """Stands in the place of a connected TCP or UNIX transport, which closes the socket in the end.

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
        self._ending = False  # nothing more will be written
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
        if self._ending and not self.disconnecting:
            self._ending = False
            self.stopWriting()  # type: ignore[no-untyped-call]  # Twisted's, untyped
            with suppress(OSError):  # reading finds what is wrong with it
                self.getHandle().shutdown(socket.SHUT_WR)
            return None
        return super().doWrite()  # type: ignore[no-any-return, no-untyped-call]  # Twisted's, untyped

    def writeSomeData(self, data: bytes) -> int:
        """Twisted's own buffer is empty here."""
        return 0

    def doRead(self) -> Exception | None:
        """Called by the reactor when something has come."""
        return self.wire.read()

    # -- the end ----------------------------------------------------------------------------------------------

    def readConnectionLost(self, reason: Failure) -> None:
        """Called by the reactor when the other end sends nothing more, which may be all that has ended."""
        self._below.readConnectionLost(reason)

    def loseWriteConnection(self) -> None:
        """Send nothing more after what waits; what comes is still read. Nothing may be registered to produce more."""
        self._ending = True
        if self.connected:
            self.startWriting()  # type: ignore[no-untyped-call]  # Twisted's, untyped

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


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """Some figures of a connection.

    :ivar rtt_us: the smoothed round trip in microseconds, 0 before the first acknowledgement.
    :ivar rtt_variation_us: its mean deviation, likewise.
    :ivar window_segments: the congestion window.
    :ivar retransmits: segments that were sent again since the connection began.
    :ivar least_rtt_us: the shortest round trip of the last minutes; None if that isn't told.
    """

    rtt_us: int
    rtt_variation_us: int
    window_segments: int
    retransmits: int
    least_rtt_us: int | None = None


def tcp_info(transport: Any) -> TcpInfo | None:
    """Ask the system about the connection of a transport; None where it doesn't tell, as of one that is closed."""
    handle = transport.getHandle()
    if _TCP_INFO is None or not isinstance(handle, socket.socket):
        return None
    try:
        return parse_tcp_info(handle.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _LEAST_AT + _LEAST.size))
    except OSError:
        return None


def parse_tcp_info(data: bytes) -> TcpInfo | None:
    """Read Linux' ``struct tcp_info`` (``linux/tcp.h``); None if it is too short for that."""
    if len(data) < _TCP_INFO_LAYOUT.size:
        return None
    fields = _TCP_INFO_LAYOUT.unpack_from(data)
    least: int | None = None
    if len(data) >= _LEAST_AT + _LEAST.size:
        (least,) = _LEAST.unpack_from(data, _LEAST_AT)
    known = None if least == _UNKNOWN else least
    return TcpInfo(fields[_RTT], fields[_RTT_VARIATION], fields[_WINDOW], fields[_RETRANSMITS], known)

"""TCP connections from a port on which this machine listens as well: a fresh port is listened on and dialled from.

Two sockets share a port if both have ``SO_REUSEPORT`` when the second is bound (socket(7)). A listening socket that had
it from the beginning would share its callers with whoever binds the port the same way; so it is claimed without, and
gets the option only then: a second claim is refused as ever.

Where two ends dial each other at once, each from the port that the other dials, one connection comes of it, by
simultaneous open (RFC 9293, section 3.5).
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IReadDescriptor,
    IReadWriteDescriptor,
)
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["FRESH_SOCKETS", "FreshSockets", "dial_from", "listen_at"]

BACKLOG: Final = 50
"""Connections that wait to be accepted at most."""

NO_ROOM_S: Final = 0.1
"""Seconds until the next try where there is no descriptor or memory for who has come."""

_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_REUSE_PORT: Final[int | None] = getattr(socket, "SO_REUSEPORT", None)
_UNDER_WAY: Final = frozenset({errno.EINPROGRESS, errno.EINTR, errno.EWOULDBLOCK})


def listen_at(reactor: Any, host: str, number: int, factory: IProtocolFactory) -> IListeningPort:
    """Listen on a port of this machine, from which connections may go out as well.

    :param host: the IP address to bind to; "" is all of IPv4, "::" all there are.
    :param number: the port, 0 for one that the system chooses.
    :raises CannotListenError: if the port can't be had.
    """
    return _FreshPort(reactor, host, number, factory)


def dial_from(
    reactor: Any, local: tuple[str, int], remote: tuple[str, int], factory: IProtocolFactory, seconds: float
) -> Deferred[None]:
    """Connect to an address; fires when the connection has been handed to a protocol of the factory.

    :param local: address and port to dial from: ``("", 0)`` for any.
    :param remote: an IP address and a port.
    :param seconds: how long it may take.
    :raises OSError: as the system says, ``ETIMEDOUT`` if it took too long. Cancelled, it leaves nothing open.
    """
    return _Dial(reactor, local, remote, factory, seconds).done


class FreshSockets(NamedTuple):
    """Where fresh ports come from: :func:`listen_at` and :func:`dial_from`, or what stands in for them."""

    listen: Callable[[Any, str, int, IProtocolFactory], IListeningPort]
    dial: Callable[[Any, tuple[str, int], tuple[str, int], IProtocolFactory, float], Deferred[None]]


FRESH_SOCKETS: Final = FreshSockets(listen_at, dial_from)


@implementer(IListeningPort, IReadDescriptor)
class _FreshPort:
    """A port that is listened on. Twisted's own would leave two lines in the log for every link."""

    def __init__(self, reactor: Any, host: str, number: int, factory: IProtocolFactory) -> None:
        self._reactor = reactor
        self._factory = factory
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._again: IDelayedCall | None = None
        self.socket = claimed = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            claimed.setblocking(False)
            claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            claimed.bind((host, number))
            claimed.listen(BACKLOG)
            if _REUSE_PORT is not None:
                claimed.setsockopt(socket.SOL_SOCKET, _REUSE_PORT, 1)
        except OSError as error:
            claimed.close()
            raise CannotListenError(host, number, error) from error
        self.startListening()

    def startListening(self) -> None:
        """Accept who comes."""
        self._again = None
        self._reactor.addReader(self)

    def stopListening(self) -> None:
        """Close the port; what was accepted stays."""
        self._reactor.removeReader(self)
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self.socket.close()

    def getHost(self) -> IPv4Address | IPv6Address:
        """The address and port that are listened on."""
        kind = IPv6Address if self._family == socket.AF_INET6 else IPv4Address
        return kind("TCP", *self.socket.getsockname())

    # -- what the reactor calls -------------------------------------------------------------------------------

    def logPrefix(self) -> str:
        """The name of this in Twisted's log."""
        return "fresh port"

    def fileno(self) -> int:
        """The socket's descriptor, -1 once it is closed."""
        return self.socket.fileno()

    def doRead(self) -> None:
        """Somebody has come."""
        try:
            came, _ = self.socket.accept()
        except OSError as error:
            if error.errno in _NO_ROOM:
                # Who waits would have the reactor call here again and again until there is room.
                self._reactor.removeReader(self)
                self._again = self._reactor.callLater(NO_ROOM_S, self.startListening)
            return  # else who came is gone again
        came.setblocking(False)
        try:
            self._reactor.adoptStreamConnection(came.fileno(), self._family, self._factory)
        except OSError:
            pass  # gone again, or there is no room
        finally:
            came.close()

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops, or has found it broken."""
        self.stopListening()


@implementer(IReadWriteDescriptor)
class _Dial:
    """One connection on its way."""

    def __init__(
        self, reactor: Any, local: tuple[str, int], remote: tuple[str, int], factory: IProtocolFactory, seconds: float
    ) -> None:
        self._reactor = reactor
        self._factory = factory
        self._family = socket.AF_INET6 if ":" in remote[0] else socket.AF_INET
        self._late: IDelayedCall | None = None
        self._socket: socket.socket | None = None
        self.done: Deferred[None] = Deferred(lambda _: self._end())
        try:
            self._begin(local, remote)
        except OSError as error:
            self._failed(error)
        else:
            late = OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            self._late = reactor.callLater(seconds, self._failed, late)
            reactor.addWriter(self)

    def _begin(self, local: tuple[str, int], remote: tuple[str, int]) -> None:
        self._socket = dialling = socket.socket(self._family, socket.SOCK_STREAM)
        dialling.setblocking(False)
        if local[1]:
            dialling.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if _REUSE_PORT is not None:
                dialling.setsockopt(socket.SOL_SOCKET, _REUSE_PORT, 1)
        if local[0] or local[1]:
            if self._family == socket.AF_INET6:
                dialling.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            dialling.bind(local)
        said = dialling.connect_ex(remote)
        if said and said not in _UNDER_WAY:
            raise OSError(said, os.strerror(said))

    def _end(self) -> None:
        """Give everything back; what is connected has been handed over."""
        if self._late is not None and self._late.active():
            self._late.cancel()
        self._reactor.removeWriter(self)
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _failed(self, error: OSError) -> None:
        self._end()
        self.done.errback(Failure(error))

    # -- what the reactor calls -------------------------------------------------------------------------------

    def logPrefix(self) -> str:
        """The name of this in Twisted's log."""
        return "dial"

    def fileno(self) -> int:
        """The socket's descriptor, -1 once it is over."""
        return -1 if self._socket is None else self._socket.fileno()

    def doRead(self) -> None:
        """Nothing is read here."""

    def doWrite(self) -> None:
        """It is connected, or never will be."""
        assert self._socket is not None
        said = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if said:
            self._failed(OSError(said, os.strerror(said)))
            return
        self._reactor.removeWriter(self)
        try:
            self._reactor.adoptStreamConnection(self._socket.fileno(), self._family, self._factory)
        except OSError as error:
            self._failed(error)
            return
        self._end()
        self.done.callback(None)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has found it broken."""
        if self._socket is not None:
            said = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ECONNREFUSED
            self._failed(OSError(said, os.strerror(said)))

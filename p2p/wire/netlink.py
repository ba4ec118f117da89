"""Tells when this machine's addresses or routes change: rtnetlink(7), which needs no privileges.

What changed isn't taken from the messages, since some may be lost; they say only that it is time to look.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.wire.own_address import Attachment, attachment

__all__ = ["SETTLE_S", "NetworkWatch", "open_netlink", "tells_of_change", "watch_network"]

SETTLE_S: Final = 0.2
"""Seconds between the first word of a change and the look at it: an address comes with several messages, its route
after it. A machine whose network changes all the time is looked at so often and no more."""

_GROUPS: Final = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE."""

_CHANGES: Final = frozenset({16, 17, 20, 21, 24, 25})
"""RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE, RTM_DELROUTE."""

_HEADER: Final = struct.Struct("=IHHII")
"""Length with the header, type, flags, sequence number, port: netlink(7)."""

_READ_BYTES: Final = 65536
_READS: Final = 64
"""Messages that are read in one go, so that a storm of them holds nothing else up."""


def tells_of_change(data: bytes) -> bool:
    """Whether one of the messages in a datagram is about an interface, an address or a route."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if kind in _CHANGES:
            return True
        if length < _HEADER.size:
            return False
        at += (length + 3) & ~3
    return False


def open_netlink() -> socket.socket:
    """A socket that hears of changes.

    :raises OSError: where there is none, as in some sandboxes.
    """
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        raise OSError("this system has no netlink")
    netlink = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
    try:
        netlink.bind((0, _GROUPS))
    except OSError:
        netlink.close()
        raise
    return netlink


_State = TypeVar("_State")


@implementer(IReadDescriptor)
class NetworkWatch(Generic[_State]):
    """Tells when this machine is attached to networks in another way than before.

    :param changed: is told how it is attached now.
    :param look: finds that out.
    :param opened: opens the socket.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        changed: Callable[[_State], object],
        look: Callable[[], _State],
        opened: Callable[[], socket.socket] = open_netlink,
    ) -> None:
        self._reactor = reactor
        self._changed = changed
        self._look = look
        self._opened = opened
        self._socket: socket.socket | None = None
        self._before: _State | None = None
        self._due: Any = None

    def start(self) -> None:
        """Listen; where that can't be, say so, and let the silence of links tell."""
        try:
            self._socket = self._opened()
        except OSError as error:
            self._log.warn(
                "changes of this machine's addresses aren't noticed at once ({reason}); links over one that is gone "
                "end after the silence that the limits name",
                reason=str(error),
            )
            return
        self._before = self._look()
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._socket.close()
            self._socket = None
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def look(self) -> None:
        """See whether anything has changed, as after a sleep."""
        if self._socket is None:
            return
        now = self._look()
        if now != self._before:
            self._before = now
            self._changed(now)

    # -- IReadDescriptor --------------------------------------------------------------------------------------

    def logPrefix(self) -> str:
        """The name of this in Twisted's log."""
        return "network"

    def fileno(self) -> int:
        """The socket's descriptor; -1 once it is closed."""
        return -1 if self._socket is None else self._socket.fileno()

    def doRead(self) -> None:
        """Read what there is."""
        assert self._socket is not None
        for _ in range(_READS):
            try:
                told = tells_of_change(self._socket.recv(_READ_BYTES))
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                told = True  # ENOBUFS: more has changed than the socket could hold
            if told and self._due is None:
                self._due = self._reactor.callLater(SETTLE_S, self._settled)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor can't read it any more."""
        self.stop()

    def _settled(self) -> None:
        self._due = None
        self.look()


def watch_network(reactor: Any, changed: Callable[[Attachment], object]) -> NetworkWatch[Attachment]:
    """Watch how this machine is attached to networks."""
    return NetworkWatch(reactor, changed, attachment)

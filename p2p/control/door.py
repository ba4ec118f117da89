"""What every accepted connection comes to first: a place is found for it, and nothing is made for it until it speaks.

A TLS connection costs 50 KiB from its beginning, a silent TCP connection next to nothing. Where the system can, it
keeps those to itself that say nothing (``TCP_DEFER_ACCEPT`` of tcp(7)); the others have a short time for their first
byte, and make way for newer ones where places are few.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.base.texts import address_text
from p2p.control.admission import Admission, Crowded, Place

__all__ = ["Arriving", "Door", "defer_accept"]

FIRST_BYTE_S: Final = 2.0
"""Seconds for the first byte of an accepted connection: whoever connects to us speaks first, and at once."""

DEFER_S: Final = 3
"""Seconds for which the system keeps a connection to itself that says nothing; Linux rounds it to its retries."""

_DEFER_ACCEPT: int | None = getattr(socket, "TCP_DEFER_ACCEPT", None)  # Linux has it


def defer_accept(port: Any) -> None:
    """Have the system accept connections to a listening port only once something came on them, where it can."""
    listening = getattr(port, "socket", None)
    if listening is not None and _DEFER_ACCEPT is not None:
        with suppress(OSError):  # a socket handed over by systemd needn't be TCP
            listening.setsockopt(socket.IPPROTO_TCP, _DEFER_ACCEPT, DEFER_S)


@implementer(IAddress)
class Arriving:
    """The address of a connection that was let in, as the protocols behind a door get it.

    :ivar host: the IP address, or what the transport gives in its stead.
    :ivar port: its port, None if it has none.
    :ivar place: is to be left once it is known who is there, or when the connection ends.
    """

    __slots__ = ("host", "place", "port")

    def __init__(self, address: Any, place: Place) -> None:
        self.host = str(getattr(address, "host", address))
        self.port: int | None = getattr(address, "port", None)
        self.place = place

    def __str__(self) -> str:
        return address_text(self) if self.port is not None else self.host


@implementer(IProtocolFactory)
class Door:
    """Builds protocols for accepted connections whose first byte has come.

    :param factory: is given an :class:`Arriving` as the address; its protocols leave the place in it.
    :param admission: has the places.
    :param turned_away: is told the address of each that wasn't let in or didn't stay, and why.
    """

    def __init__(
        self,
        factory: IProtocolFactory,
        admission: Admission,
        clock: IReactorTime,
        turned_away: Callable[[str, str], object],
    ) -> None:
        self.factory = factory
        self.clock = clock
        self.turned_away = turned_away
        self.silent: dict[_Silent, None] = {}
        self._admission = admission

    def doStart(self) -> None:
        """Pass on that a port begins to listen."""
        self.factory.doStart()

    def doStop(self) -> None:
        """Pass on that it listens no more."""
        self.factory.doStop()

    def buildProtocol(self, addr: IAddress) -> Protocol | None:
        """Return what waits for the first byte; with None, the reactor closes the connection at once."""
        try:
            place, way = self._admission.enter(str(getattr(addr, "host", addr)))
        except Crowded as reason:
            self.turned_away(address_text(addr), str(reason))
            return None
        if way is not None:
            way.cut()
            self.turned_away(way.source, "another one needs its place")
        return _Silent(self, Arriving(addr, place))

    def close(self) -> None:
        """Cut off those who haven't said anything yet."""
        for one in list(self.silent):
            one.cut()


class _Silent(Protocol):
    """A connection on which nothing came yet."""

    transport: Any

    def __init__(self, door: Door, address: Arriving) -> None:
        self._door = door
        self._address = address
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._door.silent[self] = None
        self._address.place.cut = self.cut
        self._deadline = self._door.clock.callLater(FIRST_BYTE_S, self._late)

    def dataReceived(self, data: bytes) -> None:
        """Hand the connection to the protocol that is made for it now."""
        self._over()
        place = self._address.place
        place.heard()
        transport = self.transport
        place.cut = transport.abortConnection
        protocol: Any = self._door.factory.buildProtocol(self._address)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        protocol.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._over()
        self._address.place.leave()

    def cut(self) -> None:
        """End it: somebody needs its place, or nobody listens any more."""
        self._over()
        self.transport.abortConnection()

    def _late(self) -> None:
        self._deadline = None
        self._door.turned_away(str(self._address), f"it said nothing for {FIRST_BYTE_S:g} s")
        self.cut()

    def _over(self) -> None:
        self._door.silent.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

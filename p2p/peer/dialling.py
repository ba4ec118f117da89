"""What links are made of, and the fresh port of a request, where each end listens and from which it dials the other."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any, Final, cast

from twisted.internet import error as internet_error
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2p.base.config import PeerLimits
from p2p.base.endpoints import place_of_listener
from p2p.base.log_gate import LogGate
from p2p.base.scopes import System
from p2p.base.texts import address_text
from p2p.control.admission import Admission, Crowded, Place
from p2p.control.door import Arriving, Door, defer_accept
from p2p.identity.tls import LINK_ALPN, Credentials
from p2p.link.hello import LinkTerms, Steps
from p2p.link.protocol import DirectLink, LinkOwner
from p2p.peer.ports import FreshPorts
from p2p.wire.fresh_port import FRESH_SOCKETS, FreshSockets

__all__ = ["Gate", "Wiring"]

MAX_CALLERS: Final = 4
"""Connections that one fresh listener looks at together; the target makes one, the others are strangers."""

REMEMBERED: Final = 8
"""Callers of one fresh listener that are remembered, for whoever asks why there is no link."""


_NO_IPV6: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
"""What a system says to a socket for all addresses if it has IPv4 alone."""


ByRelays = Callable[[Sequence[str], LinkTerms], Deferred[DirectLink]]


class Wiring:
    """What every link of a hosted peer is made of.

    :param scopes: account for what is held on behalf of others, for all peers of the daemon together.
    :param sockets: listen on fresh ports, and connect from them.
    :param ports: those that fresh sockets may have; any, if left out.
    :param by_relays: makes a link by way of one of some relays, given what it must prove; fails if none does it.
    """

    def __init__(
        self,
        reactor: Any,
        credentials: Credentials,
        limits: PeerLimits,
        owner: LinkOwner,
        *,
        now_ns: Callable[[], int] = time.monotonic_ns,
        gate: LogGate | None = None,
        scopes: System | None = None,
        sockets: FreshSockets = FRESH_SOCKETS,
        ports: FreshPorts | None = None,
        by_relays: ByRelays | None = None,
    ) -> None:
        self.ports = ports or FreshPorts()
        self.by_relays = by_relays
        self.sockets = sockets
        self.gate = gate or LogGate(reactor)
        self.reactor = reactor
        self.now_ns = now_ns
        self.scopes = scopes or limits.scopes()
        self.credentials = credentials
        self.limits = limits
        self.owner = owner

    def factory(self, make: Callable[[], Protocol | None], *, client: bool, plain: bool) -> IProtocolFactory:
        """A factory whose protocols stand on TLS, unless the link is plain."""
        inner = _Making(lambda addr: make())
        if plain:
            return inner
        return self.credentials.wrap(inner, client=client, alpn=LINK_ALPN, clock=self.reactor, buffering=False)

    def link(self, terms: LinkTerms, *, owner: LinkOwner | None = None, relayed_by: str = "") -> DirectLink:
        """A protocol for one connection, which a relay carries if one is named."""
        return DirectLink(
            terms,
            owner or self.owner,
            self.reactor,
            self.limits,
            now_ns=self.now_ns,
            gate=self.gate,
            scopes=self.scopes,
            relayed_by=relayed_by,
        )


class _Making(Factory):
    noisy = False

    def __init__(self, make: Callable[[IAddress | None], Protocol | None]) -> None:
        self._make = make

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        return self._make(addr)


class Gate:
    """The fresh port of one request, listened on and dialled from until the link stands or the ticket dies.

    Where plain links are allowed, it is the target that decides whether this one is plain, so connections wait at the
    initiator's gate, unread, until the router's answer has told.

    :param target: whether this is the target's gate. Whoever dialled, the target speaks first, as the client of TLS.
    :ivar addresses: the address that the socket is bound to, unless it is bound to all of them.
    :ivar callers: how far those came who connected, the latest last.
    """

    _log = Logger()

    def __init__(
        self, wiring: Wiring, terms: Callable[[bool], LinkTerms], *, decided: bool, target: bool = False
    ) -> None:
        self._wiring = wiring
        self._terms = terms
        self._target = target
        self._plain: bool | None = False if decided else None
        self._port: IListeningPort | None = None
        self._closed = False
        self._links: dict[DirectLink, Place] = {}
        self._reached: dict[DirectLink, str] = {}  # those that were dialled, and where
        self._held: list[_Held] = []
        self._admission = Admission(MAX_CALLERS, MAX_CALLERS)
        self._door = Door(_Making(self._called), self._admission, wiring.reactor, self._turned_away)
        self._waiting: Deferred[int] | None = None
        self._taken = 0
        self.addresses: list[str] = []
        self.callers: list[Steps] = []
        self.number = 0

    async def open(self, endpoint: str) -> int:
        """Bind a fresh socket, as the endpoint string says, and return its port.

        Where the system has no IPv6, a socket for all addresses is one for all of IPv4. The initiator waits where all
        ports that there are are in use.

        :raises NoPort: at the target, if they are.
        """
        ports = self._wiring.ports
        for tries in range(len(ports) + 1, 0, -1):
            self._waiting = ports.take(wait=not self._target)
            number = await self._waiting
            try:
                port = self._listen(endpoint, number)
            except BaseException as error:
                ports.give(number)
                # Where another program has it, another one may do.
                if tries <= 2 or not number or _number_of(error) != errno.EADDRINUSE:
                    raise
            else:
                break
        self._taken = number
        if not self._target:
            defer_accept(port)
        if self._closed:
            self._stop(port)
        else:
            self._port = port
        bound: Any = port.getHost()
        if not ip_address(bound.host).is_unspecified:
            self.addresses = [bound.host]
        self.number = bound.port
        return self.number

    def _listen(self, endpoint: str, number: int) -> IListeningPort:
        reactor = self._wiring.reactor
        host, port = place_of_listener(endpoint)
        # The target speaks first, so nobody is waited for at its door.
        factory = _Making(self._came) if self._target else self._door
        try:
            return self._wiring.sockets.listen(reactor, host, number or port, factory)
        except internet_error.CannotListenError as error:
            if host != "::" or _number_of(error) not in _NO_IPV6:
                raise
            return self._wiring.sockets.listen(reactor, "", number or port, factory)

    def dial(self, host: str, port: int, seconds: float) -> Deferred[None]:
        """Connect from the fresh port, or from any where there is none, and go on to a link."""
        local = (next(iter(self.addresses), ""), self.number)
        factory = _Making(lambda address: self._dialled(host))
        return self._wiring.sockets.dial(self._wiring.reactor, local, (host, port), factory, seconds)

    @property
    def unproved(self) -> list[DirectLink]:
        """The connections that aren't a link yet."""
        return [link for link in self._links if not link.established]

    @property
    def busy(self) -> bool:
        """Whether somebody is connected who may yet become the link."""
        return bool(self.unproved or self._door.silent or self._held)

    def handshake_age(self) -> float | None:
        """Seconds since the latest handshake that is under way began; None if there is none."""
        now_ns = self._wiring.now_ns()
        began = [link.steps.connected_ns or now_ns for link in self.unproved]
        return (now_ns - max(began)) / 1e9 if began else None

    def decide(self, plain: bool) -> None:
        """Let the connections in that wait, with or without TLS."""
        if self._plain is None:
            self._plain = plain
            for held in self._take_held():
                held.go_on(self._protocol(held.place))

    def left(self, link: DirectLink) -> bool:
        """A connection ended: another may take its place. Say whether it had come through this gate."""
        if link not in self._links:
            return False
        self._links.pop(link).leave()
        return True

    def dialled_at(self, link: DirectLink) -> str | None:
        """The address that was dialled for a connection, which is forgotten; None for a caller's."""
        return self._reached.pop(link, None)

    def close(self) -> None:
        """Stop listening and cut what hasn't become a link."""
        self._closed = True
        if self._waiting is not None:
            self._waiting.cancel()
        port, self._port = self._port, None
        if port is not None:
            self._stop(port)
        self._door.close()
        for held in self._take_held():
            held.drop()
        for link in list(self._links):
            if not link.established:
                link.abort("the connection attempt is over")
        self._links.clear()
        self._reached.clear()

    def _stop(self, port: IListeningPort) -> None:
        _stop(port)
        self._wiring.ports.give(self._taken)

    def _called(self, address: IAddress | None) -> Protocol:
        place = cast("Arriving", address).place  # it comes from the door
        if self._plain is None:
            held = _Held(place, self._held.remove)
            self._held.append(held)
            return held
        return self._protocol(place)

    def _came(self, address: IAddress | None) -> Protocol | None:
        """Somebody connected to the target."""
        host = str(getattr(address, "host", address))
        try:
            place, way = self._admission.enter(host)
        except Crowded as reason:
            self._turned_away(address_text(address), str(reason))
            return None
        if way is not None:
            way.cut()
        return self._protocol(place)

    def _dialled(self, host: str) -> Protocol:
        """A dial has connected; who was dialled needs no place."""
        place, _ = Admission(1, 1).enter(host)
        return self._protocol(place, host)

    def _turned_away(self, address: str, reason: str) -> None:
        self._remember(Steps(address, connected_ns=self._wiring.now_ns(), reason=reason))

    def _remember(self, steps: Steps) -> None:
        self.callers.append(steps)
        del self.callers[:-REMEMBERED]

    def _take_held(self) -> list[_Held]:
        held, self._held = self._held, []
        for one in held:
            one.gone = None
        return held

    def _protocol(self, place: Place, dialled: str | None = None) -> Protocol:
        assert self._plain is not None
        link = self._wiring.link(self._terms(self._plain))
        self._links[link] = place
        if dialled is not None:
            link.steps.dialled = True
            self._reached[link] = dialled
        place.cut = lambda: link.abort("another caller needs its place")
        self._remember(link.steps)
        factory = self._wiring.factory(lambda: link, client=self._target, plain=self._plain)
        protocol: Protocol = factory.buildProtocol(None)  # type: ignore[arg-type,assignment]  # no address is looked at
        return protocol


class _Held(Protocol):
    """A connection that waits, with what came first, for the word whether it is plain.

    :ivar place: its place among the callers.
    :ivar gone: is told when it ends while it waits.
    """

    transport: Any

    def __init__(self, place: Place, gone: Callable[[_Held], object]) -> None:
        self.place = place
        self.gone: Callable[[_Held], object] | None = gone
        self._came = b""

    def connectionMade(self) -> None:
        self.place.cut = self.drop
        self.transport.pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        self._came += data  # what was read already: nothing more is

    def go_on(self, protocol: Protocol) -> None:
        """Hand the connection to the protocol that it becomes."""
        transport = self.transport
        transport.protocol = protocol
        transport.resumeProducing()
        protocol.makeConnection(transport)
        protocol.dataReceived(self._came)

    def drop(self) -> None:
        """Cut it."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.place.leave()
        if self.gone is not None:
            self.gone(self)


def _stop(port: IListeningPort) -> None:
    stopping = port.stopListening()
    if isinstance(stopping, Deferred):
        stopping.addErrback(lambda failure: Gate._log.failure("a listener didn't close", failure))


def _number_of(error: BaseException) -> int | None:
    """The system's number for why nothing can listen, if it gave one."""
    return getattr(getattr(error, "socketError", None), "errno", None)

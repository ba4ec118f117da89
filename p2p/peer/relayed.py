"""A link by way of a relay: both ends meet there; TLS, hello and ticket run within the streams that it joins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime

from p2p.base.errors import ExchangeFailed, Outcome, P2PError, ProtocolViolation
from p2p.exchange.duplex import Duplex
from p2p.exchange.request import Request
from p2p.link.boxes import BoxParser, text_of
from p2p.link.flow import Stream
from p2p.link.hello import LinkTerms
from p2p.link.protocol import DirectLink, LinkOwner
from p2p.link.relayed import RelayedTransport
from p2p.peer.dialling import Wiring
from p2p.services.relay import RELAY

__all__ = ["AGAIN_FIRST_S", "DirectAgain", "Linking", "RelayFailed", "Relaying", "join"]

MET_BYTES: Final = 256
"""Bytes of the box that says that both are there."""


AGAIN_FIRST_S: Final = 10.0
"""Seconds for which a relayed link stands until a direct one is tried again; it doubles from there."""

AGAIN_LONGEST_S: Final = 300.0
"""Seconds between two such tries at most."""


class RelayFailed(ExchangeFailed):
    """No link came to stand by way of a relay; the text says at whom it failed."""

    def __init__(self, reason: str) -> None:
        super().__init__(Outcome.CONNECT_FAILED, reason)


class Linking(Protocol):
    """Whoever has links to relays, or makes them."""

    async def link_to(self, target: str) -> tuple[DirectLink, Any]:
        """Return the link to a peer; raises ``ExchangeFailed`` if there is none."""


class Relaying:
    """What one hosted peer does by way of relays.

    :param wanted: whether it wants any.
    :param standing: the link to a peer that stands, if one does.
    """

    def __init__(self, peer: Linking, name: str, *, wanted: bool, standing: Callable[[str], DirectLink | None]) -> None:
        self._peer = peer
        self._name = name
        self._wanted = wanted
        self._standing = standing
        self._used: Counter[str] = Counter()  # relays to which a link is being made

    async def join(self, wiring: Wiring, relays: Sequence[str], terms: LinkTerms) -> DirectLink:
        """Make a link by way of the first relay that does it.

        :raises RelayFailed: with what each of them said, or why none was asked.
        """
        other = terms.remote
        standing = self._standing(other)
        if not self._wanted:
            raise RelayFailed(f"{self._name} wants no relay; its YAML file says 'relayed: false'")
        if self._used[other]:
            raise RelayFailed(f"{other} is to relay itself, so the link to it must be direct")
        if not terms.dialler and standing is not None and standing.reusable:
            raise RelayFailed(f"a link to {other} stands, and only a direct one would be better")
        problems = []
        for relay in relays:
            if relay in (self._name, other):
                continue
            self._used[relay] += 1
            try:
                return await join(self._peer, wiring, relay, terms)
            except RelayFailed as failure:
                problems.append(str(failure))
            finally:
                self._used[relay] -= 1
        raise RelayFailed("; ".join(problems) or "no relay is left that isn't an end of the link itself")


class DirectAgain:
    """Has a direct link tried again while a relayed one stands that this peer asked for.

    :param begin: begins to ask for a link to a peer, unless that is under way.
    """

    def __init__(self, clock: IReactorTime, begin: Callable[[str], object]) -> None:
        self._clock = clock
        self._begin = begin
        self._calls: dict[str, IDelayedCall] = {}

    def stands(self, link: DirectLink) -> None:
        """A link has come to stand in a peer's place for new exchanges."""
        self.gone(link.remote)
        if link.relayed_by and link.initiator == link.local:
            self._wait(link.remote, AGAIN_FIRST_S)

    def gone(self, other: str) -> None:
        """The link doesn't stand any more."""
        call = self._calls.pop(other, None)
        if call is not None and call.active():
            call.cancel()

    def close(self) -> None:
        """Try nothing more."""
        for other in list(self._calls):
            self.gone(other)

    def _wait(self, other: str, seconds: float) -> None:
        self._calls[other] = self._clock.callLater(seconds, self._now, other, seconds)

    def _now(self, other: str, waited: float) -> None:
        self._wait(other, min(2 * waited, AGAIN_LONGEST_S))
        self._begin(other)


async def join(peer: Linking, wiring: Wiring, relay: str, terms: LinkTerms) -> DirectLink:
    """Make the link that a ticket is for by way of a relay; the other end does the same at the same time.

    The link is told to its owner once it stands, as any other; what never came to stand is told here alone.

    :raises RelayFailed: with the reason. Cancelled, it leaves nothing open.
    """
    if relay in (terms.local, terms.remote):
        raise RelayFailed(f"{relay} is an end of this link, and can't relay it")
    try:
        link, _ = await peer.link_to(relay)
        if link.relayed_by:
            raise RelayFailed(f"{relay} can't relay: the link to it is relayed itself, by {link.relayed_by}")
        stream = await link.turns.next(link.open_stream)
    except RelayFailed:
        raise
    except P2PError as error:
        raise RelayFailed(f"the relay {relay} can't be reached: {error}") from error
    joining = _Joining(wiring, relay, link, stream, replace(terms, plain=False))
    try:
        return await joining.stands
    except BaseException:
        joining.give_up()
        raise


class _Joining:
    """One relayed link on its way: owner of the link until it stands, and end of the exchange with the relay."""

    def __init__(self, wiring: Wiring, relay: str, link: DirectLink, stream: Stream, terms: LinkTerms) -> None:
        self.stands: Deferred[DirectLink] = Deferred()
        self._wiring = wiring
        self._relay = relay
        self._below: Any = link.transport
        self._terms = terms
        self._met: BoxParser | None = BoxParser(MET_BYTES)
        self._transport: RelayedTransport | None = None
        self._link = wiring.link(terms, owner=self, relayed_by=relay)
        limits = wiring.limits
        more: dict[str, str | bytes] = {"meeting": terms.ticket.meeting(), "other": terms.remote}
        self._deadline = wiring.reactor.callLater(limits.handshake_s, self._too_late)
        self._duplex = Duplex(
            stream,
            Request(RELAY, more=more),
            self,
            clock=wiring.reactor,
            silence_s=limits.exchange_silence_s,
            header_bytes=limits.header_bytes,
        )

    def give_up(self) -> None:
        """Nobody waits for it any more."""
        self._stop_waiting()
        if self._transport is None:
            self._duplex.abort()
        elif not self._link.established:
            self._link.abort("the attempt is over")

    # -- the exchange with the relay: DuplexEnd ---------------------------------------------------------------

    def came(self, data: memoryview) -> None:
        """Bytes came: first that both are there, then what the other end sends."""
        if self._met is not None:
            try:
                box, data = self._met.feed(data)
                if box is None:
                    return
                if text_of(box, "met") != self._terms.remote:
                    raise ProtocolViolation("it doesn't say whom it has joined this end with")
            except ProtocolViolation as error:
                self._duplex.abort()
                self._fail(f"the relay {self._relay} makes no sense: {error}")
                return
            self._met = None
            self._begin()
        if len(data) and self._transport is not None:
            self._transport.came(data)

    def ended(self) -> None:
        """The other end sends nothing more."""
        if self._transport is not None:
            self._transport.ended()
        else:
            self._duplex.abort()
            self._fail(f"the relay {self._relay} ended before {self._terms.remote} was there")

    def broken(self, failure: ExchangeFailed) -> None:
        """The exchange was refused, or broke."""
        if self._transport is not None:
            self._transport.broken(f"{self._relay}, which relayed it: {failure}")
        else:
            self._fail(f"the relay {self._relay}: {failure}")

    def _begin(self) -> None:
        self._duplex.keep_open()
        addresses: tuple[IAddress, IAddress] = self._below.getHost(), self._below.getPeer()
        transport = self._transport = RelayedTransport(self._duplex, self._wiring.reactor, addresses, self._link.abort)
        factory = self._wiring.factory(lambda: self._link, client=self._terms.dialler, plain=False)
        protocol = factory.buildProtocol(addresses[1])
        assert protocol is not None
        transport.carry(protocol)

    # -- the link within: LinkOwner ---------------------------------------------------------------------------

    @property
    def _owner(self) -> LinkOwner:
        return self._wiring.owner

    def link_established(self, link: DirectLink) -> None:
        """It stands."""
        self._stop_waiting()
        self._owner.link_established(link)
        if not self.stands.called:
            self.stands.callback(link)

    def link_stream(self, link: DirectLink, stream: Stream) -> None:
        """The other end begins an exchange."""
        self._owner.link_stream(link, stream)

    def link_closed(self, link: DirectLink, reason: str) -> None:
        """It is over."""
        if link.established:
            self._owner.link_closed(link, reason)
        else:
            self._fail(f"no link by way of {self._relay}: {reason}")

    # -- within -----------------------------------------------------------------------------------------------

    def _too_late(self) -> None:
        self.give_up()
        self._fail(f"no link by way of {self._relay} within {self._wiring.limits.handshake_s:g} s")

    def _stop_waiting(self) -> None:
        if self._deadline.active():
            self._deadline.cancel()

    def _fail(self, reason: str) -> None:
        self._stop_waiting()
        if not self.stands.called:
            self.stands.errback(RelayFailed(reason))

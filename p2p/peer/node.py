"""One hosted peer: its registration, its attempts and dials, its links, and the exchanges over them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from p2p.base.config import PeerLimits
from p2p.base.errors import ExchangeFailed, Outcome
from p2p.base.names import parse_peer
from p2p.base.waiters import Waiters
from p2p.control.commands import Refused
from p2p.exchange.exchange import Request, Result, Serving, Sink, Source, perform
from p2p.exchange.service import Context, Host
from p2p.identity.tls import Credentials
from p2p.link.flow import NotTaken, Stream
from p2p.link.hello import LinkTerms
from p2p.link.mux import TooManyStreams
from p2p.link.protocol import CLOSED, DirectLink
from p2p.peer.dialling import Wiring
from p2p.peer.moments import Setup
from p2p.peer.ports import FreshPorts
from p2p.peer.pursuit import Pursuit, Surroundings
from p2p.peer.reachable import host_of
from p2p.peer.registration import RouterAccess
from p2p.peer.relayed import DirectAgain, Relaying
from p2p.peer.rendezvous import survivor
from p2p.peer.roaming import ANSWER_S, Whereabouts
from p2p.services.chat_room import ChatRoom
from p2p.services.pipe import PipeRoom
from p2p.services.relay import MeetingPoint, RelayTerms
from p2p.services.tunnel import Opening, TunnelDoor

__all__ = ["HostedPeer"]

LOST_S: Final = 600.0
"""Seconds for which a peer may still hold a link that broke here; by then it has noticed its silence."""

TRIES: Final = 3
"""Times that an exchange is begun when the link under it was closing at that very moment."""


class HostedPeer:
    """A peer: others reach it by its name, and it reaches others by theirs.

    :param host: says what the peer allows to others.
    :param registration: its standing at its router; it is started, and stopped, with the peer.
    :ivar links: the link to each peer that new exchanges take, by name.
    :ivar link_watchers: are called with the other's name whenever a link has come to stand.
    :param relayed: whether its own links may be relayed.
    :param relay: who may use it as a relay, and how much; None if it is none.
    :param openings: the programs that others may reach through tunnels.
    :ivar chats: its conversations.
    :ivar meetings: those whose streams it joins, if it is a relay.
    :ivar pipes: the programs that wait to be joined with others.
    :ivar tunnels: the connections of others to programs here.
    """

    _log = Logger()

    def __init__(
        self,
        credentials: Credentials,
        inbox: Path,
        surroundings: Surroundings,
        host: Host,
        registration: RouterAccess,
        *,
        relay: RelayTerms | None = None,
        relayed: bool = True,
        openings: Sequence[Opening] = (),
    ) -> None:
        self.name = credentials.name
        self._around = surroundings
        self._limits = surroundings.limits
        self._clock = surroundings.reactor
        self._gate = surroundings.gate
        self._wiring = Wiring(
            surroundings.reactor,
            credentials,
            surroundings.limits,
            self,
            now_ns=surroundings.now_ns,
            gate=surroundings.gate,
            scopes=surroundings.scopes,
            sockets=surroundings.sockets,
            ports=surroundings.ports,
            by_relays=self._by_relays,
        )
        self._direct_again = DirectAgain(self._clock, self._seek_direct)
        self.registration = registration
        self.chats = ChatRoom(self._clock, self.name, self._gate)
        self.meetings = MeetingPoint(self._clock, self.name, relay, self._gate)
        self.pipes = PipeRoom(self._clock, self.name, self._gate)
        self.tunnels = TunnelDoor(surroundings.reactor, self.name, openings, self._gate)
        beside = (self.chats, self.meetings, self.pipes, self.tunnels)
        self._context = Context(
            peer=self.name,
            inbox=inbox,
            threads=surroundings.threads,
            token=lambda: surroundings.random(8).hex(),
            now=self._clock.seconds,
            clock=self._clock,
            host=host,
            beside={type(one): one for one in beside},
        )
        self.link_watchers: list[Callable[[str], None]] = []
        self.links: dict[str, DirectLink] = {}
        self._relaying = Relaying(self, self.name, wanted=relayed, standing=self.links.get)
        self._connections: set[DirectLink] = set()
        self._setups: dict[DirectLink, Setup] = {}
        self.pursuit = Pursuit(self._wiring, registration, surroundings, standing=self.links.get, lost=self._has_lost)
        self._lost: dict[str, float] = {}  # when the last link to a peer broke that may still hold it
        self._relinking: dict[str, Deferred[None]] = {}
        self._unconnected: Waiters[None] = Waiters()
        self._stopping = False

    # -- life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Register, and stay registered."""
        self.registration.start(self)

    def slept(self, seconds: float) -> None:
        """This machine slept for so long: see whether the links and the registration stand."""
        self.registration.slept(seconds)
        for link in list(self._connections):
            link.slept(seconds)

    def moved(self, where: Whereabouts) -> None:
        """This machine is attached to other networks: cut what went over those, and link anew where that was in use."""
        self.registration.moved(where)
        used = set()
        for link in list(self._connections):
            local, remote = map(host_of, link.addresses)
            if where.lost(local):
                if link.established and link.stream_count:
                    used.add(link.remote)
                link.abort(f"this machine has lost its address {local}")
            elif where.elsewhere(local, remote):
                link.doubted(ANSWER_S)
        for other in used - self._relinking.keys():
            again = self._relinking[other] = Deferred.fromCoroutine(self._link_again(other))
            again.addTimeout(LOST_S, self._clock).addErrback(lambda failure: None)
            again.addCallback(lambda _, other: self._relinking.pop(other, None), other)

    async def _link_again(self, other: str) -> None:
        """Make a new link in the place of one that was lost: its end may not notice for long that it is gone."""
        await self.registration.when_registered()
        await self.link_to(other)

    async def stop(self) -> None:
        """Leave: give up what isn't linked, close the links after their exchanges, and the control channel."""
        self._stopping = True
        for again in list(self._relinking.values()):
            again.cancel()
        self.pursuit.close(self._is_stopping())
        for room in (self.meetings, self.pipes, self.tunnels):
            room.close()
        self._direct_again.close()
        for link in list(self._connections):
            link.close()
        leaving = Deferred.fromCoroutine(self.registration.stop())
        if self._connections:
            gone = self._unconnected.wait()
            late = self._clock.callLater(self._limits.call_s, self._cut)
            await gone
            if late.active():
                late.cancel()
        await leaving

    def _is_stopping(self) -> ExchangeFailed:
        return ExchangeFailed(Outcome.RESET, f"{self.name} is stopping")

    def _cut(self) -> None:
        for link in list(self._connections):
            link.abort("the peer stops")

    @property
    def connections(self) -> list[DirectLink]:
        """Every direct connection, those not proved yet and those that are closing included."""
        return [*self._connections, *self.pursuit.connections]

    @property
    def ports(self) -> FreshPorts:
        """The ports that fresh sockets may have."""
        return self._wiring.ports

    @property
    def limits(self) -> PeerLimits:
        """The limits of the daemon."""
        return self._limits

    def setup_of(self, link: DirectLink) -> Setup | None:
        """How a link came to be, unless the other side asked for it."""
        return self._setups.get(link)

    # -- reaching others --------------------------------------------------------------------------------------

    async def link_to(self, target: str) -> tuple[DirectLink, Setup]:
        """Return the link to a peer, asking the routers for it if there is none.

        :raises InvalidName: if that isn't a peer's name.
        :raises ExchangeFailed: with the outcome, if no link comes to stand.
        """
        if str(parse_peer(target)) == self.name:
            raise ExchangeFailed(Outcome.REFUSED, f"{target} is this peer itself; name another one")
        link = self.links.get(target)
        if link is not None and link.reusable:
            return link, Setup(reused=True)
        if self._stopping:
            raise self._is_stopping()
        began_ns = self._around.now_ns()
        setup = await self.pursuit.linked_with(target)
        return self.links[target], setup or Setup(setup_ns=self._around.now_ns() - began_ns)

    async def exchange(
        self,
        target: str,
        request: Request,
        source: Source,
        sink: Callable[[], Sink],
        *,
        planned_ns: int,
        watch: Callable[[Stream], None] = lambda stream: None,
    ) -> Result:
        """Send a request to a peer and take its reply.

        :param source: the body; it is opened here for each try, and closed.
        :param sink: makes what takes the reply.
        :param watch: is shown the stream, to tell of progress.
        :raises ExchangeFailed: with the outcome, whenever it isn't ``ok``.
        :raises LocalFileError: if the source fails on this side.
        """
        for _ in range(TRIES):
            try:
                length = await source.open()
                link, _ = await self.link_to(target)
                stream = await link.turns.next(link.open_stream)
                watch(stream)
                return await self._perform(stream, replace(request, length=length), source, sink(), planned_ns)
            except TooManyStreams as full:
                if link.reusable:
                    raise ExchangeFailed(Outcome.REFUSED, f"{full}; try again when others have ended") from full
                # else it began to close while this exchange waited for its turn
            except NotTaken:
                pass  # it began to close at the other end
            finally:
                source.close()
        raise ExchangeFailed(Outcome.RESET, f"the links to {target} closed as fast as they stood")

    async def _perform(self, stream: Stream, request: Request, source: Source, sink: Sink, planned_ns: int) -> Result:
        return await perform(
            stream,
            request,
            source,
            sink,
            clock=self._clock,
            now_ns=self._around.now_ns,
            planned_ns=planned_ns,
            silence_s=self._limits.exchange_silence_s,
            header_bytes=self._limits.header_bytes,
        )

    def disconnect(self, target: str | None = None) -> int:
        """Close the link to a peer, or all links, after the exchanges under way; returns how many."""
        links = [link for link in self._connections if target in (None, link.remote) and link.reusable]
        for link in links:
            link.close()
        return len(links)

    # -- being reached ----------------------------------------------------------------------------------------

    async def instructed(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Carry out an InstructConnect: check it, answer, and dial.

        :raises Refused: if it makes no sense.
        :raises Busy: if as many dials are under way as may be.
        """
        if self._stopping:
            raise Refused(f"{self.name} can't use this instruction: it is stopping")
        return await self.pursuit.instructed(arguments)

    def go(self, arguments: Mapping[str, Any]) -> None:
        """Dial an initiator now, as it does.

        :raises Refused: if nothing with this ticket is being carried out.
        """
        self.pursuit.go(arguments["initiator"], arguments["ticket"])

    def reported(self, arguments: Mapping[str, Any]) -> None:
        """Take the report of a target that couldn't dial this peer."""
        self.pursuit.reported(arguments)

    def revoked(self, keys: Collection[bytes]) -> None:
        """Be told that keys aren't believed any more: links to those who have them end at once."""
        for link in self.connections:
            if link.remote_key in keys:
                link.abort(f"the lab's authority has revoked the key of {link.remote}")

    def seen_at(self, observed: str) -> None:
        """Warn of what keeps others from dialling this peer where its router sees it."""
        for hindrance in self.hindrances:
            self._log.warn("{name}: {hindrance}", name=self.name, hindrance=hindrance)

    @property
    def hindrances(self) -> list[str]:
        """Why others may not be able to dial this peer, as sentences with what to do."""
        known = self.registration.registered
        return self._around.hinders(self.name, self.registration.observed) if known else []

    @property
    def behind_nat(self) -> bool:
        """Whether its router sees it at an address that isn't one of this machine."""
        return self._around.own().behind_nat(self.registration.observed)

    # -- what links tell: LinkOwner ---------------------------------------------------------------------------

    def link_established(self, link: DirectLink) -> None:
        """Take a proved link into use; of two to the same peer one survives."""
        other = link.remote
        self._connections.add(link)
        standing = self.links.get(other)
        self._lost.pop(other, None)
        if link.elders_lost:
            standing = None
            for elder in self._connected(other):
                if elder is not link:
                    elder.abort(f"{other} has lost it")
        if self._stopping or (standing is not None and standing.reusable and not self._replaces(link, standing)):
            link.close()
        else:
            self.links[other] = link
            self._direct_again.stands(link)
            if standing is not None:
                standing.close()
        local, remote = link.addresses
        self._gate.info(
            self._log,
            other,
            "{name}: link with {other} stands, {local} to {remote}, asked for by {initiator}, {security}{way}",
            name=self.name,
            other=other,
            local=local,
            remote=remote,
            initiator=link.initiator,
            security="plain" if link.terms.plain else "TLS 1.3",
            way=f", relayed by {link.relayed_by}" if link.relayed_by else "",
        )
        setup = self.pursuit.under_way(other)
        if setup is not None:
            self._setups[link] = setup
        self.pursuit.linked(link)
        for watcher in self.link_watchers:
            watcher(other)

    def _connected(self, other: str) -> list[DirectLink]:
        """The links to a peer that stand, those that are closing included."""
        return [link for link in self._connections if link.established and link.remote == other]

    def _has_lost(self, other: str) -> bool:
        """Whether a link broke that the other end may still take for a good one."""
        now = self._clock.seconds()
        self._lost = {name: when for name, when in self._lost.items() if now - when < LOST_S}
        return other in self._lost and not self._connected(other)

    def _replaces(self, link: DirectLink, standing: DirectLink) -> bool:
        together = self._clock.seconds() - standing.since < self._limits.ticket_s
        return survivor(
            standing.initiator,
            link.initiator,
            together=together,
            standing_relayed=bool(standing.relayed_by),
            relayed=bool(link.relayed_by),
        )

    def link_stream(self, link: DirectLink, stream: Stream) -> None:
        """Serve an exchange that the other side begins."""
        Serving(
            stream,
            link.remote,
            lambda request, reply: self._around.services.receive(
                replace(request, relayed_by=link.relayed_by), reply, self._context
            ),
            clock=self._clock,
            silence_s=self._limits.exchange_silence_s,
            header_bytes=self._limits.header_bytes,
            gate=self._gate,
            refused=lambda: link.refused(stream.stream_id),
        )

    def link_closed(self, link: DirectLink, reason: str) -> None:
        """Forget a connection that is gone."""
        self._connections.discard(link)
        self._setups.pop(link, None)
        other = link.remote
        if link.established:
            self._gate.info(
                self._log,
                other,
                "{name}: link with {other} ended after {seconds:.1f} s: {reason}",
                name=self.name,
                other=other,
                seconds=self._clock.seconds() - link.since,
                reason=reason,
            )
            if self.links.get(other) is link:
                del self.links[other]
                self._direct_again.gone(other)
            if reason != CLOSED and not self._connected(other):
                self._lost[other] = self._clock.seconds()
        else:
            if link.terms.dialler and other not in self.links and not self._stopping:
                text = "{name}: no link with {other}: {reason}"  # who asked is told by its own daemon
                self._gate.warn(self._log, other, text, name=self.name, other=other, reason=reason)
            self.pursuit.left(link, reason)
        if not self._connections:
            self._unconnected.fire(None)

    # -- within -----------------------------------------------------------------------------------------------

    def _by_relays(self, relays: Sequence[str], terms: LinkTerms) -> Deferred[DirectLink]:
        return Deferred.fromCoroutine(self._relaying.join(self._wiring, relays, terms))

    def _seek_direct(self, other: str) -> None:
        """A relayed link stands: see whether a direct one can, too."""
        link = self.links.get(other)
        if link is not None and link.relayed_by and not self._stopping:
            self.pursuit.begin(other)

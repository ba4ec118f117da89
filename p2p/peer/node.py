"""One hosted peer: its registration, its attempts and dials, its links, and the exchanges over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from p2p.base.config import PeerLimits
from p2p.base.errors import ExchangeFailed, Outcome, P2PError
from p2p.base.log_gate import LogGate
from p2p.base.names import parse_peer
from p2p.base.scopes import System
from p2p.base.ticket import TicketBook
from p2p.base.waiters import Waiters
from p2p.control.commands import Refused
from p2p.exchange.exchange import Request, Result, Serving, Sink, Source, perform
from p2p.exchange.service import Context, Host, Services
from p2p.identity.tls import Credentials
from p2p.link.flow import NotTaken, Stream
from p2p.link.hello import LinkTerms
from p2p.link.mux import TooManyStreams
from p2p.link.protocol import CLOSED, DirectLink
from p2p.peer.approach import Approaches
from p2p.peer.attempt import Attempting, Moments, Setup
from p2p.peer.dialling import Wiring
from p2p.peer.instruction import Instruction, check_instruction, failures_of
from p2p.peer.ports import FreshPorts
from p2p.peer.reachable import host_of
from p2p.peer.registration import RouterAccess
from p2p.peer.relayed import DirectAgain, Relaying
from p2p.peer.rendezvous import goes_first, survivor
from p2p.peer.roaming import ANSWER_S, Whereabouts
from p2p.services.chat_room import ChatRoom
from p2p.services.relay import MeetingPoint, RelayTerms
from p2p.wire.fresh_port import FRESH_SOCKETS, FreshSockets

__all__ = ["HostedPeer", "Surroundings"]

LOST_S: Final = 600.0
"""Seconds for which a peer may still hold a link that broke here; by then it has noticed its silence."""

TRIES: Final = 3
"""Times that an exchange is begun when the link under it was closing at that very moment."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the peers of one daemon share.

    :ivar reactor: the reactor, or a fake of its clock and its TCP.
    :ivar random: gives so many unpredictable bytes.
    :ivar now_ns: reads the monotonic clock, ns.
    :ivar gate: what other machines can provoke in the log passes here.
    :ivar scopes: account for what is held on behalf of others.
    :ivar addresses: the addresses of this machine at which others may reach it, best first.
    :ivar ports: those that fresh sockets may have; any, if left out.
    :ivar sockets: listen on fresh ports, and connect from them.
    :ivar hinders: says why others can't dial a peer where its router sees it: the peer's name, the address.
    """

    reactor: Any
    limits: PeerLimits
    services: Services
    threads: Any
    random: Callable[[int], bytes]
    now_ns: Callable[[], int]
    listen: str
    plain: bool
    gate: LogGate
    scopes: System
    addresses: Callable[[], Sequence[str]] = tuple
    sockets: FreshSockets = FRESH_SOCKETS
    ports: FreshPorts | None = None
    hinders: Callable[[str, str], list[str]] = lambda name, observed: []


class HostedPeer:
    """A peer: others reach it by its name, and it reaches others by theirs.

    :param host: says what the peer allows to others.
    :param registration: its standing at its router; it is started, and stopped, with the peer.
    :ivar links: the link to each peer that new exchanges take, by name.
    :ivar link_watchers: are called with the other's name whenever a link has come to stand.
    :param relayed: whether its own links may be relayed.
    :param relay: who may use it as a relay, and how much; None if it is none.
    :ivar chats: its conversations.
    :ivar meetings: those whose streams it joins, if it is a relay.
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
        self._context = Context(
            peer=self.name,
            inbox=inbox,
            threads=surroundings.threads,
            token=lambda: surroundings.random(8).hex(),
            now=self._clock.seconds,
            clock=self._clock,
            host=host,
            beside={ChatRoom: self.chats, MeetingPoint: self.meetings},
        )
        self.link_watchers: list[Callable[[str], None]] = []
        self._tickets = TicketBook()
        self.links: dict[str, DirectLink] = {}
        self._relaying = Relaying(self, self.name, wanted=relayed, standing=self.links.get)
        self._connections: set[DirectLink] = set()
        self._setups: dict[DirectLink, Setup] = {}
        self._attempts: dict[str, Attempting] = {}
        self._approaches = Approaches(
            self._wiring, registration, surroundings.listen, surroundings.addresses, self._needless, self._approached
        )
        self._fallbacks: dict[str, Instruction] = {}
        self._waiting: dict[str, Waiters[Setup | None]] = {}
        self._lost: dict[str, float] = {}  # when the last link to a peer broke that may still hold it
        self._relinking: dict[str, Deferred[None]] = {}
        self._queue: dict[str, None] = {}  # targets whose attempt waits for its turn
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
        self._queue.clear()
        for again in list(self._relinking.values()):
            again.cancel()
        for attempt in list(self._attempts.values()):
            attempt.machine.abandon()
        self._approaches.close()
        for target in list(self._waiting):
            self._tell(target, self._is_stopping())
        self.meetings.close()
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
    def open_listeners(self) -> int:
        """Fresh sockets that listen now, one an attempt."""
        return len(self._attempts)

    @property
    def open_dials(self) -> int:
        """Instructions that are being carried out."""
        return len(self._approaches)

    @property
    def attempts(self) -> dict[str, Moments]:
        """The links that are being asked for, by the other's name."""
        return {target: attempt.moments for target, attempt in self._attempts.items()}

    @property
    def connections(self) -> list[DirectLink]:
        """Every direct connection, those not proved yet and those that are closing included."""
        return [*self._connections, *self._approaches.connections]

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

    def under_way(self, target: str) -> Setup | None:
        """How far the attempt to reach a peer has come, if there is one now."""
        attempt = self._attempts.get(target)
        return None if attempt is None else attempt.setup

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
        waiting = self._waiting.setdefault(target, Waiters(lambda: self._give_up(target))).wait()
        self._pursue(target)
        setup = await waiting
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
        now, longest = self._clock.seconds(), self._limits.ticket_s
        instruction = check_instruction(
            arguments, self.name, nearby=self.registration.nearby, plain=self._around.plain, now=now, longest_s=longest
        )
        initiator = instruction.ticket.initiator
        if initiator in self._attempts and goes_first(self.name, initiator):
            self._fallbacks[initiator] = instruction
            return {"dialling": False, "plain": instruction.plain}
        return await self._approaches.carry_out(instruction, self._has_lost(initiator))

    def go(self, arguments: Mapping[str, Any]) -> None:
        """Dial an initiator now, as it does.

        :raises Refused: if nothing with this ticket is being carried out.
        """
        self._approaches.go(arguments["initiator"], arguments["ticket"])

    def reported(self, arguments: Mapping[str, Any]) -> None:
        """Take the report of a target that couldn't dial this peer."""
        attempt = self._attempts.get(arguments["target"])
        if attempt is not None and arguments["initiator"] == self.name:
            attempt.reported(arguments["ticket"], failures_of(arguments))

    def seen_at(self, observed: str) -> None:
        """Warn of what keeps others from dialling this peer where its router sees it."""
        for hindrance in self.hindrances:
            self._log.warn("{name}: {hindrance}", name=self.name, hindrance=hindrance)

    @property
    def hindrances(self) -> list[str]:
        """Why others may not be able to dial this peer, as sentences with what to do."""
        known = self.registration.registered
        return self._around.hinders(self.name, self.registration.observed) if known else []

    def _needless(self, other: str) -> bool:
        """Whether an instruction for a peer whose dials were in vain may be forgotten."""
        link = self.links.get(other)
        return other in self._waiting or (link is not None and link.reusable)

    def _approached(self, initiator: str) -> None:
        """No instruction for this peer is carried out any more; who waited without one asks for themselves."""
        if initiator in self._waiting and not self._stopping:
            self._pursue(initiator)

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
        self._queue.pop(other, None)
        self._fallbacks.pop(other, None)
        attempt = self._attempts.get(other)
        if attempt is not None:
            self._setups[link] = attempt.setup
            attempt.machine.linked()
        else:
            self._tell(other, None)
        self._approaches.linked(link)
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
        elif link.terms.dialler:
            if other not in self.links and not self._stopping:  # who asked is told by its own daemon
                text = "{name}: no link with {other}: {reason}"
                self._gate.warn(self._log, other, text, name=self.name, other=other, reason=reason)
            self._approaches.left(link)
        elif (attempt := self._attempts.get(other)) is not None:
            attempt.link_left(link, reason)
        if not self._connections:
            self._unconnected.fire(None)

    # -- within -----------------------------------------------------------------------------------------------

    def _by_relays(self, relays: Sequence[str], terms: LinkTerms) -> Deferred[DirectLink]:
        return Deferred.fromCoroutine(self._relaying.join(self._wiring, relays, terms))

    def _seek_direct(self, other: str) -> None:
        """A relayed link stands: see whether a direct one can, too."""
        link = self.links.get(other)
        if link is not None and link.relayed_by and not self._stopping:
            self._pursue(other)

    def _pursue(self, target: str) -> None:
        """See that a link to a peer comes to be: by what is under way, or by an attempt, which may have to wait."""
        if target in self._attempts or target in self._approaches:
            return
        if len(self._attempts) < self._limits.attempts_in_flight:
            self._attempt(target)
        else:
            self._queue[target] = None

    def _attempt(self, target: str) -> None:
        attempt = self._attempts[target] = Attempting(
            self._wiring,
            self.registration,
            self._tickets,
            target,
            listen=self._around.listen,
            plain_allowed=self._around.plain,
            random=self._around.random,
            now_ns=self._around.now_ns,
            lost=self._has_lost,
            addresses=self._around.addresses,
            ended=self._attempt_over,
        )
        attempt.machine.begin()

    def _attempt_over(self, attempt: Attempting, failure: ExchangeFailed | None) -> None:
        target = attempt.target
        del self._attempts[target]
        fallback = self._fallbacks.pop(target, None)
        now = self._clock.seconds()
        if failure is None:
            self._tell(target, attempt.setup)
        elif fallback is not None and fallback.ticket.expires > now and not self._stopping:
            self._approaches.follow(
                fallback, self._has_lost(target)
            )  # our request came to nothing, but the target had asked for us as well
        elif target not in self._approaches:
            self._tell(target, failure)
        while self._queue and len(self._attempts) < self._limits.attempts_in_flight:
            following = next(iter(self._queue))
            del self._queue[following]
            self._pursue(following)

    def _tell(self, target: str, result: Setup | P2PError | None) -> None:
        """Tell all who wait for a link that it stands, how it came to be if that is known here, or why it doesn't."""
        waiting = self._waiting.pop(target, None)
        if waiting is None:
            return
        if isinstance(result, P2PError):
            waiting.fail(result)
        else:
            waiting.fire(result)

    def _give_up(self, target: str) -> None:
        """The last who waited for a link was cancelled: the attempt ends."""
        del self._waiting[target]
        self._queue.pop(target, None)
        attempt = self._attempts.get(target)
        if attempt is not None:
            attempt.machine.abandon()

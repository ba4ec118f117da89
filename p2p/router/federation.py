"""The links to the routers of other clusters: dialled, kept, and dialled again.

Each router dials each of its neighbours and asks over that connection; what the neighbour asks comes in over the
connection that the neighbour dialled.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from time import perf_counter_ns
from typing import Any

from twisted.application.internet import ClientService
from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.base.addresses import Network, NotAllowed, checked_address
from p2p.base.config import RouterLimits
from p2p.base.errors import InvalidName, P2PError
from p2p.base.log_gate import LogGate
from p2p.base.names import check_listed, router_name
from p2p.base.texts import printable
from p2p.control.admission import Slots
from p2p.control.channel import Channel, ControlLost, ControlTimeout, reason_of
from p2p.control.commands import Busy, ClusterUnreachable, DialFailed, Go, InstructConnect, ListPeers, LookupPeer, Ping
from p2p.control.revoking import RevocationFeed
from p2p.identity.revocations import RevocationList
from p2p.identity.tls import remote_key, require_name
from p2p.router.addresses import behind_one_nat, granted, seen_through
from p2p.router.broker import CANDIDATES, ConnectRequest, Forbidden, check_relays
from p2p.router.core import PAGE, Brokered, DialAnswer, DialReport, NamesAnswer
from p2p.router.sockets import host_of

__all__ = ["Federation", "retry_delay"]

NEIGHBOUR_SHARE = 0.8
"""The part of ``call_s`` that a neighbour has to answer, see ``TARGET_SHARE`` of :mod:`p2p.router.core`."""

_FIRST_RETRY_S = 0.5
_LONGEST_RETRY_S = 30.0

_STEADY_S = 10.0
"""Seconds after which a link counts as good and the waiting times begin anew. Before, a neighbour that accepts and
then hangs up, because it doesn't know this router, would be dialled at full speed."""

_LONGEST_LOOKUP_NS = 10**10
"""A look-up time from another router is cut to ten seconds; it may send any number."""

log = Logger()

Wrap = Callable[[IProtocolFactory], IProtocolFactory]
"""Puts TLS and whatever else belongs there under the protocols of a dialled connection."""


def retry_delay(attempt: int, jitter: float) -> float:
    """Return how many seconds to wait before an attempt to link again.

    The time doubles from half a second to half a minute, and is cut by up to a half so that routers which lost each
    other at the same moment don't meet again and again.

    :param attempt: 1 for the first attempt after a link or its attempt has ended.
    :param jitter: a random number between 0 and 1.
    """
    longest: float = min(_FIRST_RETRY_S * 2.0 ** min(attempt - 1, 16), _LONGEST_RETRY_S)
    return longest * (1 - jitter / 2)


class Federation(MultiService):
    """The neighbours of a router; provides what :class:`p2p.router.core.Neighbours` asks for.

    :param endpoints: cluster to the endpoint of its router, as it stands in the configuration, and as it is.
    :param networks: what peers of ``own`` cluster may name as candidates.
    :param wrap: makes the factory of the dialled connections from that of their channels.
    :param random: gives numbers between 0 and 1.
    :param gate: what the neighbours can provoke in the log passes here.
    :param revocations: those that are known here, of which the neighbours are told.
    """

    def __init__(
        self,
        clock: IReactorTime,
        endpoints: Mapping[str, tuple[str, IStreamClientEndpoint]],
        limits: RouterLimits,
        networks: tuple[Network, ...],
        *,
        wrap: Wrap,
        random: Callable[[], float],
        gate: LogGate,
        revocations: RevocationList,
    ) -> None:
        MultiService.__init__(self)
        self._clock = clock
        self._limits = limits
        self._make = lambda cluster, endpoint: _Link(clock, cluster, endpoint, limits, wrap, random, gate, revocations)
        self._links: dict[str, _Link] = {}
        self._places: dict[str, str] = {}
        self.change(endpoints, networks)

    def change(
        self, endpoints: Mapping[str, tuple[str, IStreamClientEndpoint]], networks: tuple[Network, ...]
    ) -> list[str]:
        """Have other neighbours from now on; links to those that stay where they were go on.

        :returns: the clusters that aren't neighbours any more.
        """
        self._networks = networks
        gone = [cluster for cluster in self._links if cluster not in endpoints]
        for cluster, place in list(self._places.items()):
            if cluster not in endpoints or endpoints[cluster][0] != place:
                link = self._links.pop(cluster)
                del self._places[cluster]
                if link.channel is not None:
                    link.channel.close()
                link.service.disownServiceParent()
        for cluster, (place, endpoint) in endpoints.items():
            if cluster not in self._links:
                self._places[cluster] = place
                link = self._links[cluster] = self._make(cluster, endpoint)  # type: ignore[no-untyped-call]  # Twisted's
                link.service.setServiceParent(self)
        return gone

    @property
    def problems(self) -> Mapping[str, str]:
        """Why links don't stand, by cluster."""
        return {cluster: link.last_error for cluster, link in self._links.items() if link.last_error}

    @property
    def clusters(self) -> Mapping[str, bool]:
        """The clusters whose routers are known, and whether their link stands."""
        return {cluster: link.channel is not None for cluster, link in self._links.items()}

    async def connect(self, request: ConnectRequest, observed: str) -> Brokered:
        """Ask the neighbour where the target is and have it instructed, both questions at once.

        :raises ControlError: as RequestConnect declares.
        """
        link = self._links[request.target.cluster]
        candidates = [str(address) for address in granted(request.candidates, self._networks)]
        # Of use only if the target is seen at the same address, which its router knows.
        attached = behind_one_nat(observed, observed, request.candidates, candidates)
        with link.asking() as channel:
            via = host_of(channel.transport.getPeer())
            deadline = min(self._limits.call_s * NEIGHBOUR_SHARE, request.lifetime)
            started = perf_counter_ns()
            looking = channel.ask(LookupPeer, deadline=deadline, name=str(request.target))
            instructing = channel.ask(
                InstructConnect,
                deadline=deadline,
                target=str(request.target),
                initiator=str(request.initiator),
                observed=observed,
                candidates=candidates,
                port=request.port,
                ticket=request.ticket,
                lifetime=request.lifetime,
                plain=request.plain,
                reports=request.reports or None,
                reaches=request.reaches or None,
                relays=list(request.relays) or None,
                attached=attached or None,
                mapped=request.mapped,
                observe=request.observe or None,
            )
            try:
                found = await looking
            except BaseException:
                instructing.addErrback(lambda failure: failure.trap(P2PError))  # it failed for the same reason
                raise
            took = perf_counter_ns() - started
            answer = await instructing
            said: DialAnswer = {
                "dialling": answer["dialling"],
                "plain": answer["plain"] and request.plain,
                "dials": _addresses(answer["dials"]),
                "port": answer["port"],
                "addresses": answer["addresses"],
                "observed": answer["observed"],
                "attached": answer["attached"],
                "mapped": answer["mapped"],
                "goes": answer["goes"],
                "relays": list(request.relays) or _relays(answer["relays"]),
            }
            table_took = min(max(found["table_lookup_ns"], 0), _LONGEST_LOOKUP_NS)
            return Brokered(via, _shown(found["address"], via), table_took, took, said)

    async def report(self, cluster: str, report: DialReport) -> None:
        """Pass on to the router of a cluster what a peer of that cluster may be told of a dial.

        :raises ControlError: as DialFailed declares, or if that router can't be reached.
        """
        with self._links[cluster].asking() as channel:
            await channel.call(DialFailed, deadline=self._limits.call_s * NEIGHBOUR_SHARE, **report)

    async def go(self, cluster: str, target: str, initiator: str, ticket: bytes) -> None:
        """Pass on to the router of a cluster that a peer of its shall dial now.

        :raises ControlError: as Go declares.
        """
        with self._links[cluster].asking() as channel:
            deadline = self._limits.call_s * NEIGHBOUR_SHARE
            await channel.call(Go, deadline=deadline, target=target, initiator=initiator, ticket=ticket)

    async def names(self, cluster: str, after: str) -> NamesAnswer:
        """Fetch a page of the names in a neighbour's cluster.

        :raises ControlError: as ListPeers declares.
        """
        link = self._links[cluster]
        with link.asking() as channel:
            deadline = self._limits.call_s * NEIGHBOUR_SHARE
            answer = await channel.call(ListPeers, deadline=deadline, cluster=cluster, after=after)
            try:
                names = check_listed(answer["names"], cluster, after, PAGE)
            except InvalidName as error:
                channel.abort(f"it lists no names of its cluster: {error}")
                raise ClusterUnreachable(f"{link.name} sent a list of names that makes no sense") from error
            return {"names": names, "more": answer["more"] and bool(names)}

    def seen(self, cluster: str) -> None:
        """Dial a neighbour now, if the next attempt would come later: it has just shown that it is there."""
        self._links[cluster].dial_now()

    def slept(self, seconds: float) -> None:
        """This machine slept for so long: see whether the links stand, and dial those that don't."""
        for link in self._links.values():
            if link.channel is not None:
                link.channel.slept(seconds)
            else:
                link.dial_now()

    def revoked(self, keys: Collection[bytes]) -> None:
        """Be told that keys were revoked: tell the neighbours, and end the links to those who have one of them."""
        for link in self._links.values():
            link.revoked(keys)

    async def close(self, deadline: float) -> None:
        """End every link politely, within so many seconds; the service is to be stopped after this."""
        channels = [link.channel for link in self._links.values() if link.channel is not None]
        for channel in channels:
            channel.close(deadline)
        for channel in channels:
            await channel.when_ended()


class _Link:
    """One neighbour: the service that dials it, and the channel while there is one."""

    def __init__(
        self,
        clock: IReactorTime,
        cluster: str,
        endpoint: IStreamClientEndpoint,
        limits: RouterLimits,
        wrap: Wrap,
        random: Callable[[], float],
        gate: LogGate,
        revocations: RevocationList,
    ) -> None:
        self.gate = gate
        self.name = router_name(cluster)
        self.channel: _LinkChannel | None = None
        self.last_error = ""
        self._clock = clock
        self._slots = Slots(limits.lookups_in_flight)
        self._random = random
        self._revocations = revocations
        self._telling: RevocationFeed | None = None
        self._attempts = 0
        self._pausing = False
        factory = Factory.forProtocol(lambda: _LinkChannel(self, clock, limits))
        factory.noisy = False
        self.service = ClientService(
            _Told(endpoint, self._failed, self._dialling), wrap(factory), retryPolicy=self._delay, clock=clock
        )

    @contextmanager
    def asking(self) -> Iterator[Channel]:
        """Take a place among the questions under way, and give the channel to ask over.

        :raises ClusterUnreachable: at once if there is none, or if what was asked within gets no answer.
        :raises Busy: if too many questions are under way.
        """
        if self.channel is None:
            why = self.last_error or "it is being dialled"
            raise ClusterUnreachable(f"{self.name} isn't connected now ({why}); it is dialled again and again")
        if not self._slots.enter():
            raise Busy.after(1.0, f"{self._slots.limit} questions to {self.name} are under way")
        try:
            yield self.channel
        except (ControlLost, ControlTimeout) as error:
            raise ClusterUnreachable(f"{self.name} gave no answer: {error}") from error
        finally:
            self._slots.leave()

    def up(self, channel: _LinkChannel, known: int | None) -> None:
        """The link stands; ``known`` is the largest number of the revocations there, None if it takes none."""
        self.channel, self.last_error = channel, ""
        self._telling = None if known is None else RevocationFeed(channel, self._revocations, known)
        if self._telling is not None:
            self._telling.update()
        self.gate.info(log, self.name, "federation: linked to {who}", who=channel.who)

    def down(self, channel: _LinkChannel) -> None:
        if self.channel is not channel:
            self._warn("federation: {name} doesn't link: {reason}", channel.end_reason)
            return
        self.channel = None
        if self._clock.seconds() - channel.since >= _STEADY_S:
            self._attempts = 0
        self._warn("federation: the link to {name} ended: {reason}", channel.end_reason)

    def revoked(self, keys: Collection[bytes]) -> None:
        if self.channel is not None and remote_key(self.channel.transport) in keys:
            self.channel.abort("the lab's authority has revoked its key")
        elif self._telling is not None:
            self._telling.update()

    def dial_now(self) -> None:
        if self._pausing:
            self.service.stopService()  # it pauses, so there is nothing to wait for
            self.service.startService()

    def _failed(self, failure: Failure) -> None:
        self._warn("federation: can't reach {name}: {reason}", reason_of(failure))

    def _warn(self, text: str, why: str) -> None:
        self.last_error = why
        self.gate.warn(log, self.name, text, name=self.name, reason=why)

    def _dialling(self) -> None:
        self._pausing = False

    def _delay(self, attempt: int) -> float:
        self._pausing = True
        self._attempts += 1
        return retry_delay(self._attempts, self._random())


class _LinkChannel(Channel):
    """The dialled control channel to a neighbour, which asks nothing over it."""

    def __init__(self, link: _Link, clock: IReactorTime, limits: RouterLimits) -> None:
        super().__init__(
            clock, silence_s=limits.silence_s, call_s=limits.call_s, handshake_s=limits.handshake_s, gate=link.gate
        )
        self._link = link
        self.since = 0.0

    def authenticated(self) -> None:
        require_name(self.transport, self._link.name)
        self.since = self._clock.seconds()
        # What it does first if it doesn't let this router in is to say why: the answer to a question comes after that.
        self.ask(Ping).addCallbacks(
            lambda answer: self._link.up(self, answer["revocations"]), lambda failure: failure.trap(P2PError)
        )

    def closed(self, reason: Failure) -> None:
        self._link.down(self)


@implementer(IStreamClientEndpoint)
class _Told:
    """An endpoint that tells why it can't be reached; ClientService alone tells only when it tries again.

    :param failed: is told that.
    :param dialling: is told when an attempt begins.
    """

    def __init__(
        self, endpoint: IStreamClientEndpoint, failed: Callable[[Failure], None], dialling: Callable[[], None]
    ) -> None:
        self._endpoint = endpoint
        self._failed = failed
        self._dialling = dialling

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        self._dialling()
        connecting: Deferred[Any] = self._endpoint.connect(protocolFactory)
        return connecting.addErrback(self._tell)

    def _tell(self, failure: Failure) -> Failure:
        if not isinstance(failure.value, CancelledError | ConnectingCancelledError):  # else this router is stopping
            self._failed(failure)
        return failure


def _relays(told: list[str] | None) -> list[str] | None:
    """The relays that a neighbour names, if they can be any."""
    try:
        return list(check_relays(told)) or None
    except Forbidden:
        return None


def _addresses(told: list[str] | None) -> list[str] | None:
    """The addresses that a neighbour says its peer was told to dial, as far as they are some; for people."""
    if told is None:
        return None
    shown = []
    for one in told[: CANDIDATES + 1]:
        with suppress(NotAllowed):
            shown.append(str(checked_address(one)))
    return shown


def _shown(address: str, via: str) -> str:
    """An address at which a neighbour sees its peer, as it is seen from here; for people, nobody dials it."""
    try:
        return seen_through(address, via)
    except NotAllowed:
        return printable(address[:60])

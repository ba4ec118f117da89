"""What a router does for those who ask it, without the sockets they ask through."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from time import perf_counter_ns
from typing import NamedTuple, Protocol, TypedDict, Unpack

from p2p.base.addresses import PORTS, Network, NotAllowed, checked_address
from p2p.base.config import RouterLimits
from p2p.base.errors import InvalidName
from p2p.base.names import PeerName, parse_peer
from p2p.base.texts import printable
from p2p.control.channel import Channel, ControlLost, ControlTimeout
from p2p.control.commands import (
    Busy,
    ClusterMismatch,
    DialFailed,
    Go,
    InstructConnect,
    Refused,
    TooManyPeers,
    UnknownCluster,
    UnknownPeer,
)
from p2p.router.addresses import behind_one_nat, dialable, granted
from p2p.router.broker import CANDIDATES, ConnectRequest, Forbidden, LinkQuestion, Route, check_request, route
from p2p.router.mappings import Mappings
from p2p.router.meters import LookupTimes, Registrations
from p2p.router.reports import Awaited, AwaitedReports, DialFailures, tellable
from p2p.router.table import RoutingTable, TableEntry, TableFull

__all__ = [
    "PAGE",
    "ConnectAnswer",
    "DialAnswer",
    "DialReport",
    "NamesAnswer",
    "Neighbours",
    "PeerHandle",
    "Router",
    "checked_request",
]

PAGE = 200
"""Names on one page of ListPeers: with the longest names it stays under half of what an AMP value can hold."""

TARGET_SHARE = 0.6
"""The part of ``call_s`` that a target has to answer. Each leg has less time than the one before it, so that whoever
asked is told where it took too long, instead of giving up first."""


class DialAnswer(TypedDict):
    """The answer to InstructConnect."""

    dialling: bool
    plain: bool
    dials: list[str] | None
    port: int | None
    addresses: list[str] | None
    observed: str | None
    attached: list[str] | None
    mapped: int | None
    goes: bool | None
    relays: list[str] | None


class DialReport(TypedDict):
    """The arguments of DialFailed."""

    target: str
    initiator: str
    ticket: bytes
    addresses: list[str]
    failures: list[str]


class ConnectAnswer(TypedDict):
    """The answer to RequestConnect."""

    address: str
    table_lookup_ns: int
    router_lookup_ns: int
    dialling: bool
    plain: bool
    dials: list[str] | None
    port: int | None
    reachable: list[str] | None
    attached: list[str] | None
    mapped: int | None
    goes: bool | None
    relays: list[str] | None


class Brokered(NamedTuple):
    """What a neighbour and its peer have answered to a request.

    :ivar via: the address of that neighbour.
    :ivar address: where it sees the target, as it is seen from here; for people.
    """

    via: str
    address: str
    table_lookup_ns: int
    router_lookup_ns: int
    said: DialAnswer


class _Reachable(TypedDict):
    port: int | None
    reachable: list[str] | None
    attached: list[str] | None
    mapped: int | None
    goes: bool | None


class NamesAnswer(TypedDict):
    """The answer to ListPeers."""

    names: list[str]
    more: bool


class PeerHandle(Channel):
    """A control channel to a peer, as the routing table holds it.

    :ivar address: the address that the peer's connection comes from.
    :ivar here: the address at which it reached this router.
    :ivar dialling: the dials of this peer that it may report.
    :ivar asked: the dials of others of which this peer may be told.
    """

    address: str
    here: str
    dialling: AwaitedReports
    asked: AwaitedReports

    def replaced_by(self, other: PeerHandle) -> None:
        """Be told that the peer has registered again over another connection, and make way."""
        self.close()


class Neighbours(Protocol):
    """The routers of other clusters."""

    @property
    def clusters(self) -> Container[str]:
        """The clusters whose routers are known."""

    def seen(self, cluster: str) -> None:
        """Be told that the router of a cluster has just linked to this one."""

    async def connect(self, request: ConnectRequest, observed: str) -> Brokered:
        """Look the target up and have it instructed.

        :raises ControlError: as RequestConnect declares.
        """

    async def report(self, cluster: str, report: DialReport) -> None:
        """Pass on to the router of a cluster what a peer of that cluster may be told of a dial.

        :raises ControlError: as DialFailed declares, or if that router can't be reached.
        """

    async def go(self, cluster: str, target: str, initiator: str, ticket: bytes) -> None:
        """Pass on to the router of a cluster that a peer of its shall dial now.

        :raises ControlError: as Go declares.
        """

    async def names(self, cluster: str, after: str) -> NamesAnswer:
        """Fetch a page of the names in a cluster.

        :raises ControlError: as ListPeers declares.
        """


class Router:
    """The routing table of one cluster, and what may be asked of it.

    :param now: reads the monotonic clock, seconds.
    :param relays: the relays that it names to those who can't link directly.
    :ivar cluster: its name.
    :ivar table: its connected peers.
    :ivar times: how long the look-ups took.
    :ivar registrations: how often each name registers.
    :ivar mappings: where it sees fresh ports of its peers.
    """

    def __init__(
        self,
        cluster: str,
        limits: RouterLimits,
        networks: Mapping[str, Sequence[Network]],
        neighbours: Neighbours,
        now: Callable[[], float],
        relays: Sequence[str] = (),
    ) -> None:
        self.cluster = cluster
        self.relays = tuple(relays)
        self.now = now
        self.limits = limits
        self.networks = networks
        self.neighbours = neighbours
        self.table = RoutingTable(limits.peers)
        self.times = LookupTimes()
        self.registrations = Registrations(limits.peers)
        self.mappings = Mappings()

    def register(self, peer: PeerHandle, now: float) -> None:
        """Enter an authenticated peer, in the place of an older connection of the same name.

        :raises ClusterMismatch: if it belongs to another cluster.
        :raises TooManyPeers: if the table is full.
        """
        name = parse_peer(peer.remote_name)
        if name.cluster != self.cluster:
            raise ClusterMismatch(f"{name} is of cluster {name.cluster}, and this is the router of {self.cluster}")
        try:
            replaced = self.table.put(TableEntry(str(name), peer.address, peer, now))
        except TableFull as error:
            raise TooManyPeers(str(error)) from error
        if replaced is not None and isinstance(replaced.handle, PeerHandle) and replaced.handle is not peer:
            replaced.handle.replaced_by(peer)

    def lookup(self, name: str) -> tuple[TableEntry, int]:
        """Find a peer, and measure how long that took in ns.

        :raises UnknownPeer: if no peer of this name is connected.
        """
        started = perf_counter_ns()
        entry = self.table.lookup(name)
        took = perf_counter_ns() - started
        self.times.add(took)
        if entry is None:
            raise UnknownPeer(f"{printable(name[:130])} isn't connected to the router of cluster {self.cluster}")
        return entry, took

    async def connect(self, request: ConnectRequest, initiator: PeerHandle) -> ConnectAnswer:
        """Have the target of a request dial its initiator, one of this router's peers.

        :raises UnknownPeer: if the target isn't connected.
        :raises UnknownCluster: if the target's cluster has no router that is known here.
        :raises ClusterUnreachable: if that router can't be reached.
        :raises Refused: if there is no address that the target may dial, or it doesn't want to.
        :raises Busy: if a limit is reached there.
        """
        where = self._route(request.target.cluster)
        mapped = None
        if request.observe:
            mapped = self.mappings.port_of(str(request.initiator), request.ticket, initiator.address)
        request = replace(request, relays=self.relays, mapped=mapped)
        if request.reports:
            until = self.now() + request.lifetime
            initiator.asked.expect(request.ticket, Awaited(str(request.target), str(request.initiator), until))
        via = None
        if where is Route.NEIGHBOUR:
            via, address, took, router_took, said = await self.neighbours.connect(request, initiator.address)
        else:
            entry, took = self.lookup(str(request.target))
            address, router_took = entry.address, 0
            said = await self.instruct(entry, request, initiator.address, via=None)
        return {
            "address": address,
            "table_lookup_ns": took,
            "router_lookup_ns": router_took,
            "dialling": said["dialling"],
            "plain": said["plain"],
            "dials": said["dials"],
            "relays": said["relays"],
            **self._reachable(request, initiator, said, via),
        }

    def _reachable(
        self, request: ConnectRequest, initiator: PeerHandle, said: DialAnswer, via: str | None
    ) -> _Reachable:
        """Where an initiator may dial the target, by the same rules as the other way round.

        :param via: the address of the target's router, None if it is this one.
        """
        port, observed = said["port"], said["observed"] or ""
        if port not in PORTS or not request.reaches or not said["dialling"]:
            return {"port": None, "reachable": None, "attached": None, "mapped": None, "goes": None}
        try:
            addresses = dialable(
                observed,
                _fit(said["addresses"]),
                self.networks.get(request.target.cluster),
                via=via,
                target=initiator.address,
                here=initiator.here,
            )
        except NotAllowed:
            addresses = []
        return {
            "port": port,
            "reachable": addresses,
            "attached": behind_one_nat(observed, initiator.address, _fit(said["attached"]), addresses) or None,
            "mapped": said["mapped"] if said["mapped"] in PORTS and addresses[:1] == [observed] else None,
            "goes": said["goes"] or None,
        }

    async def instruct(
        self, entry: TableEntry, request: ConnectRequest, observed: str, *, via: str | None
    ) -> DialAnswer:
        """Tell a peer of this router to dial an initiator.

        :param observed: where the initiator's router sees it.
        :param via: the address of that router, None if it is this one.
        :raises Refused: if there is no address that it may dial, or it doesn't want to.
        :raises UnknownPeer: if its connection ends meanwhile.
        :raises Busy: if it has too much to do, or doesn't answer in time.
        """
        peer = entry.handle
        assert isinstance(peer, PeerHandle)
        networks = self.networks.get(request.initiator.cluster)
        relays = list(request.relays or self.relays)
        try:
            candidates = dialable(observed, request.candidates, networks, via=via, target=entry.address, here=peer.here)
        except NotAllowed as error:
            if not (relays and request.reaches):
                raise Refused(f"{entry.name} can't be told to dial {request.initiator}: {error}") from error
            candidates = []
        named = (*request.candidates, *request.attached)
        attached = behind_one_nat(observed, entry.address, named, candidates)
        if request.reports:
            told = (*candidates, *attached)
            awaited = Awaited(entry.name, str(request.initiator), self.now() + request.lifetime, told)
            peer.dialling.expect(request.ticket, awaited)
        deadline = min(self.limits.call_s * TARGET_SHARE, request.lifetime)
        try:
            answer = await peer.call(
                InstructConnect,
                deadline=deadline,
                target=entry.name,
                initiator=str(request.initiator),
                observed="",
                candidates=candidates,
                port=request.port,
                ticket=request.ticket,
                lifetime=request.lifetime,
                plain=request.plain,
                reports=request.reports or None,
                reaches=request.reaches or None,
                relays=relays or None,
                attached=attached or None,
                mapped=request.mapped if candidates[:1] == [observed] else None,
                observe=request.observe or None,
            )
        except ControlLost as error:
            raise UnknownPeer(f"{entry.name} went away while it was told to dial {request.initiator}") from error
        except ControlTimeout as error:
            raise Busy.after(1.0, f"{entry.name} didn't answer its router within {deadline:g} s") from error
        listens = answer["port"] is not None
        own = _fit(answer["addresses"]) if listens else []
        within = [str(one) for one in granted(own, self.networks.get(self.cluster, ()))]
        mapped = self.mappings.port_of(entry.name, request.ticket, entry.address) if request.observe else None
        return {
            "dialling": answer["dialling"],
            "plain": answer["plain"] and request.plain,
            "dials": candidates,
            "port": answer["port"],
            "addresses": within if listens else None,
            "observed": entry.address if listens else None,
            "attached": behind_one_nat(entry.address, observed, own, within) or None,
            "mapped": mapped if listens else None,
            "goes": answer["goes"] if listens else None,
            "relays": relays or None,
        }

    async def go(self, target: str, initiator: str, ticket: bytes) -> None:
        """Tell a target, wherever it is, to dial an initiator, one of this router's peers, now.

        :raises ControlError: as Go declares.
        """
        whom = _peer_name(target)
        if self._route(whom.cluster) is Route.NEIGHBOUR:
            await self.neighbours.go(whom.cluster, target, initiator, ticket)
        else:
            await self.pass_go(target, initiator, ticket)

    async def pass_go(self, target: str, initiator: str, ticket: bytes) -> None:
        """Tell a peer of this router to dial an initiator now, which it was told to dial before.

        :raises UnknownPeer: if it isn't connected.
        :raises Refused: if it wasn't told to.
        :raises Busy: if it doesn't answer in time.
        """
        entry, _ = self.lookup(target)
        peer = entry.handle
        assert isinstance(peer, PeerHandle)
        deadline = self.limits.call_s * TARGET_SHARE
        try:
            await peer.call(Go, deadline=deadline, target=entry.name, initiator=initiator, ticket=ticket)
        except ControlLost as error:
            raise UnknownPeer(f"{entry.name} went away while it was told to dial") from error
        except ControlTimeout as error:
            raise Busy.after(1.0, f"{entry.name} didn't answer its router within {deadline:g} s") from error

    async def dial_failed(self, peer: PeerHandle, report: DialReport) -> None:
        """A peer of this router reports a dial that it was told to make: pass that on to the initiator.

        :raises Refused: if it wasn't told to, or has reported it.
        :raises ControlError: if the initiator can't be told.
        """
        awaited = peer.dialling.take(report["ticket"], report["target"], report["initiator"], self.now())
        if awaited is None or awaited.addresses is None:
            raise Refused("no report of such a dial is awaited")
        told = [one for one in _failures(report) if one[0] in awaited.addresses]
        checked = _report(report, told)
        cluster = parse_peer(awaited.initiator).cluster
        if cluster == self.cluster:
            await self.pass_on(checked)
        else:
            await self.neighbours.report(cluster, checked)

    async def pass_on(self, report: DialReport) -> None:
        """Tell the initiator, a peer of this router, of a dial that it has asked for.

        Of an address that this router neither sees it at nor grants its cluster, it isn't told what is there.

        :raises UnknownPeer: if it isn't connected.
        :raises Refused: if it hasn't asked for that, or has been told.
        """
        entry = self.table.lookup(report["initiator"])
        if entry is None:
            raise UnknownPeer(f"{printable(report['initiator'][:130])} isn't connected")
        peer = entry.handle
        assert isinstance(peer, PeerHandle)
        if peer.asked.take(report["ticket"], report["target"], entry.name, self.now()) is None:
            raise Refused("no report of such a dial is awaited")
        told = tellable(_failures(report), peer.address, self.networks.get(self.cluster, ()))
        checked = _report(report, told)
        try:
            await peer.call(DialFailed, deadline=self.limits.call_s * TARGET_SHARE, **checked)
        except (ControlLost, ControlTimeout) as error:
            raise UnknownPeer(f"{entry.name} went away while it was told of a dial") from error

    async def names(self, cluster: str, after: str) -> NamesAnswer:
        """Return a page of the names in any cluster that is known here.

        :raises UnknownCluster: if it isn't.
        :raises ClusterUnreachable: if its router can't be reached.
        :raises Busy: if that router has too much to do.
        """
        if self._route(cluster) is Route.NEIGHBOUR:
            return await self.neighbours.names(cluster, after)
        return self.own_names(after)

    def own_names(self, after: str) -> NamesAnswer:
        """Return a page of the names in this router's own cluster."""
        names, more = self.table.page(after, PAGE)
        return {"names": names, "more": more}

    def _route(self, cluster: str) -> Route:
        where = route(cluster, self.cluster, self.neighbours.clusters)
        if where is Route.UNKNOWN:
            raise UnknownCluster(
                f"cluster {printable(cluster[:80])} isn't known to the router of {self.cluster}; "
                "its configuration lists the clusters that are, under neighbours"
            )
        return where


def _peer_name(text: str) -> PeerName:
    """Read the name of a peer that somebody asks for.

    :raises UnknownPeer: if it can't be anybody's.
    """
    try:
        return parse_peer(text)
    except InvalidName as error:
        raise UnknownPeer(str(error)) from error


def _fit(addresses: Sequence[str] | None) -> list[str]:
    """The first few of the addresses that a target names, without those to which nothing can connect."""
    found = []
    for one in (addresses or ())[:CANDIDATES]:
        with suppress(NotAllowed):
            found.append(str(checked_address(one)))
    return found


def _failures(report: DialReport) -> DialFailures:
    return list(zip(report["addresses"], report["failures"], strict=False))


def _report(report: DialReport, failures: DialFailures) -> DialReport:
    return {**report, "addresses": [one for one, _ in failures], "failures": [how for _, how in failures]}


def checked_request(**asked: Unpack[LinkQuestion]) -> ConnectRequest:
    """Check the arguments of RequestConnect or InstructConnect.

    :raises UnknownPeer: if the target can't be anybody's name.
    :raises Refused: with the reason, if anything else isn't as it must be.
    """
    try:
        return check_request(**asked)
    except InvalidName as error:
        raise UnknownPeer(str(error)) from error
    except Forbidden as error:
        raise Refused(str(error)) from error

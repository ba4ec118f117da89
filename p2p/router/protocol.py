"""The router's end of the connections that it accepts: what peers may ask, and what neighbours may ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.amp import CommandLocator
from twisted.python.failure import Failure

from p2p.base.errors import IdentityError, InvalidName
from p2p.base.names import parse_cluster, parse_peer, router_name
from p2p.base.rates import TokenBucket
from p2p.base.texts import printable
from p2p.control.admission import Admission, Slots
from p2p.control.commands import (
    Busy,
    ControlError,
    InstructConnect,
    ListPeers,
    LookupPeer,
    NameMismatch,
    Refused,
    Register,
    RequestConnect,
    TooManyPeers,
    UnknownCluster,
    responder,
)
from p2p.router.core import ConnectAnswer, DialAnswer, NamesAnswer, PeerHandle, Router, checked_request
from p2p.router.sockets import host_of

__all__ = ["AcceptedChannel", "AcceptedChannels", "NeighbourCommands", "PeerCommands"]

log = Logger()


class PeerCommands(CommandLocator):
    """What an authenticated peer may ask its router."""

    def __init__(self, router: Router, channel: AcceptedChannel, clock: IReactorTime) -> None:
        limits = router.limits
        self._router = router
        self._channel = channel
        self._clock = clock
        self._name = channel.remote_name
        self._bucket = TokenBucket(limits.requests_per_s, limits.request_burst, clock.seconds())
        self._attempts = Slots(limits.attempts_in_flight)
        self._throttled = False

    @responder(Register)
    async def register(self, name: str, version: str) -> Mapping[str, Any]:
        """Enter the peer into the routing table."""
        if self._bucket.take(self._clock.seconds()):
            limit = self._router.limits.requests_per_s
            self._channel.abort(f"it registers more than {limit:g} times a second")
            raise TooManyPeers("cut off")
        if name != self._name:
            log.warn(
                "router: {who} isn't allowed to register as {name}", who=self._channel.who, name=printable(name[:130])
            )
            raise NameMismatch(f"{printable(name[:130])} isn't the name in the certificate, which is {self._name}")
        if not self._channel.is_registered:
            try:
                self._router.register(self._channel, self._clock.seconds())
            except ControlError as error:
                log.warn("router: {who} can't register: {reason}", who=self._channel.who, reason=error)
                raise
            self._channel.registered()
            shown = printable(version[:40])
            log.info("router: {who} registered, version {version}", who=self._channel.who, version=shown)
        return {"lease": self._router.limits.silence_s, "observed": self._channel.address}

    @responder(RequestConnect)
    async def request_connect(
        self, target: str, port: int, ticket: bytes, lifetime: float, plain: bool, candidates: list[str]
    ) -> ConnectAnswer:
        """Have another peer dial this one."""
        with self._request(f"a link to {printable(target[:130])}"):
            if not self._attempts.enter():
                raise Busy.after(1.0, f"{self._attempts.limit} connection attempts of {self._name} are under way")
            try:
                request = checked_request(
                    target=target,
                    initiator=self._name,
                    port=port,
                    ticket=ticket,
                    lifetime=lifetime,
                    plain=plain,
                    candidates=candidates,
                )
                answer = await self._router.connect(request, self._channel.address)
            finally:
                self._attempts.leave()
        log.info(
            "router: {initiator} asked for a link to {target}: {how}",
            initiator=self._name,
            target=target,
            how="it dials" if answer["dialling"] else "its own request goes first",
        )
        return answer

    @responder(ListPeers)
    async def list_peers(self, cluster: str, after: str) -> NamesAnswer:
        """Give a page of the names in a cluster."""
        with self._request(f"the peers of {printable(cluster[:80])}"):
            return await self._router.names(cluster, after)

    @contextmanager
    def _request(self, what: str) -> Iterator[None]:
        """Let a request through if the peer may make one now, and log why one fails."""
        wait = self._bucket.take(self._clock.seconds())
        if wait:
            limit = self._router.limits.requests_per_s
            if not self._throttled:
                self._throttled = True
                log.warn("router: {who} makes more than {limit:g} requests/s", who=self._channel.who, limit=limit)
            raise Busy.after(wait, f"{self._name} makes more than {limit:g} requests a second")
        self._throttled = False
        try:
            if not self._channel.is_registered:
                raise Refused(f"{self._name} isn't registered over this connection; register first")
            yield
        except ControlError as error:
            log.warn(
                "router: {who} asked for {what} in vain: {kind}: {reason}",
                who=self._channel.who,
                what=what,
                kind=type(error).__name__,
                reason=error,
            )
            raise


class NeighbourCommands(CommandLocator):
    """What the authenticated router of another cluster may ask.

    :param cluster: that cluster.
    """

    def __init__(self, router: Router, channel: AcceptedChannel, cluster: str) -> None:
        self._router = router
        self._channel = channel
        self._cluster = cluster
        self._instructions = Slots(router.limits.lookups_in_flight)

    @responder(LookupPeer)
    async def lookup_peer(self, name: str) -> Mapping[str, Any]:
        """Say where a peer of this cluster is."""
        entry, took = self._router.lookup(name)
        return {"address": entry.address, "table_lookup_ns": took}

    @responder(InstructConnect)
    async def instruct_connect(
        self,
        target: str,
        initiator: str,
        observed: str,
        candidates: list[str],
        port: int,
        ticket: bytes,
        lifetime: float,
        plain: bool,
    ) -> DialAnswer:
        """Tell a peer of this cluster to dial a peer of that one."""
        try:
            if not self._instructions.enter():
                limit = self._instructions.limit
                raise Busy.after(1.0, f"{self._channel.remote_name} has {limit} instructions under way")
            try:
                request = checked_request(
                    target=target,
                    initiator=initiator,
                    port=port,
                    ticket=ticket,
                    lifetime=lifetime,
                    plain=plain,
                    candidates=candidates,
                )
                if request.initiator.cluster != self._cluster:
                    raise Refused(f"{self._channel.remote_name} doesn't speak for {request.initiator}")
                entry, _ = self._router.lookup(str(request.target))
                return await self._router.instruct(entry, request, observed, via=self._channel.address)
            finally:
                self._instructions.leave()
        except Refused as error:
            log.warn(
                "router: {who} wants {target} to dial {initiator}, which is refused: {reason}",
                who=self._channel.who,
                target=printable(target[:130]),
                initiator=printable(initiator[:130]),
                reason=error,
            )
            raise

    @responder(ListPeers)
    async def list_peers(self, cluster: str, after: str) -> NamesAnswer:
        """Give a page of the names in this router's own cluster; it doesn't ask further for others."""
        if cluster != self._router.cluster:
            raise UnknownCluster(f"this is the router of {self._router.cluster}, not of {printable(cluster[:80])}")
        return self._router.own_names(after)


class AcceptedChannel(PeerHandle):
    """The router's end of an accepted connection, whoever is at the other.

    Until a router has shown its certificate, or a peer has registered, it counts as not authenticated.
    """

    def __init__(self, channels: AcceptedChannels, address: str) -> None:
        limits = channels.router.limits
        super().__init__(
            channels.clock, silence_s=limits.silence_s, call_s=limits.call_s, handshake_s=limits.handshake_s
        )
        self.address = address
        self.here = ""
        self._channels = channels
        self._counted = True
        self.is_registered = False

    def connectionMade(self) -> None:
        """Note where this connection came in."""
        self.here = host_of(self.transport.getHost())
        self._channels.open.add(self)
        super().connectionMade()

    def authenticated(self) -> None:
        """Choose what the other end may ask by what its certificate says it is."""
        channels, name = self._channels, self.remote_name
        if name.startswith(router_name("")):
            cluster = name.removeprefix(router_name(""))
            if cluster not in channels.router.neighbours.clusters:
                raise IdentityError(f"{name} isn't a neighbour; to let it in, add {cluster} to neighbours")
            self._let_in()
            self.locator = NeighbourCommands(channels.router, self, parse_cluster(cluster))
            channels.neighbour_connected(cluster, self)
            return
        try:
            parse_peer(name)
        except InvalidName as error:
            raise IdentityError(f"the certificate is neither a peer's nor a router's: {error}") from error
        self.locator = PeerCommands(channels.router, self, self._clock)
        self.expect("Register", channels.router.limits.handshake_s)

    def registered(self) -> None:
        """Be told that the routing table has this peer."""
        self.is_registered = True
        self.settled()
        self._let_in()

    def replaced_by(self, other: PeerHandle) -> None:
        """Make way for a newer connection of the same name."""
        log.warn(
            "router: {name} connected again from {new}; closing its connection from {old}",
            name=self.remote_name,
            new=other.address,
            old=self.address,
        )
        self.is_registered = False
        self.close()

    def closed(self, reason: Failure) -> None:
        """Drop the peer from the table the moment its connection ends."""
        self._let_in()
        self._channels.forget(self)
        if self._channels.router.table.remove(self.remote_name, self):
            log.info("router: {who} left", who=self.who)

    def _let_in(self) -> None:
        if self._counted:
            self._counted = False
            self._channels.admission.leave(self.address)


class AcceptedChannels(Factory):
    """Makes the channels of accepted connections and knows those that are open.

    :param admission: counts the connections that aren't authenticated; they are counted in before they come here.
    :ivar open: the channels whose connections are open.
    """

    noisy = False

    def __init__(self, router: Router, admission: Admission, clock: IReactorTime) -> None:
        self.router = router
        self.admission = admission
        self.clock = clock
        self.open: set[AcceptedChannel] = set()
        self._neighbours: dict[str, AcceptedChannel] = {}

    def buildProtocol(self, addr: IAddress | None) -> AcceptedChannel:
        """Return the channel of a connection that was let in."""
        return AcceptedChannel(self, host_of(addr))

    def neighbour_connected(self, cluster: str, channel: AcceptedChannel) -> None:
        """Note a neighbour's link; an older one makes way, so that each has one."""
        older = self._neighbours.get(cluster)
        self._neighbours[cluster] = channel
        log.info("router: {who} linked to this router", who=channel.who)
        if older is not None:
            older.replaced_by(channel)
        self.router.neighbours.seen(cluster)

    def forget(self, channel: AcceptedChannel) -> None:
        """Note that a connection has ended."""
        self.open.discard(channel)
        for cluster, linked in list(self._neighbours.items()):
            if linked is channel:
                del self._neighbours[cluster]
                log.warn("router: {name} is no longer linked to this router", name=channel.remote_name)

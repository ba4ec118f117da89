"""The router's end of the connections that it accepts: what peers may ask, and what neighbours may ask."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Unpack, cast

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.protocols.amp import AmpBox, CommandLocator
from twisted.python.failure import Failure

from p2p.base.errors import IdentityError, InvalidName
from p2p.base.log_gate import LogGate
from p2p.base.names import SIGNER, parse_cluster, parse_peer, router_name
from p2p.base.rates import Quota
from p2p.base.texts import printable
from p2p.base.ticket import NONCE_BYTES
from p2p.control.admission import Slots
from p2p.control.commands import (
    Busy,
    ControlError,
    DialFailed,
    Go,
    InstructConnect,
    ListPeers,
    LookupPeer,
    NameMismatch,
    Observe,
    Refused,
    Register,
    Renew,
    RequestConnect,
    Revoke,
    TooManyPeers,
    UnknownCluster,
    responder,
)
from p2p.control.door import Arriving
from p2p.control.revoking import RevocationFeed
from p2p.identity.believed import Believed
from p2p.identity.revocations import BadStatement
from p2p.identity.tls import JOIN_ALPN, remote_key
from p2p.router.broker import LIFETIME_S
from p2p.router.core import (
    ConnectAnswer,
    DialAnswer,
    DialReport,
    NamesAnswer,
    PeerHandle,
    Router,
    checked_request,
)
from p2p.router.joins import Joins, SignerCommands
from p2p.router.mappings import EACH
from p2p.router.meters import REGISTRATION_WAIT_S
from p2p.router.reports import AwaitedReports
from p2p.router.sockets import host_of

__all__ = ["AcceptedChannel", "AcceptedChannels", "NeighbourCommands", "PeerCommands"]

REPLACED_S = 1.0
"""Seconds that a connection has for its end when the same peer has registered over another one."""

HOLD_S = 0.25
"""Seconds for which a connection isn't read at most whose end asks more than it may."""

log = Logger()


class PeerCommands(CommandLocator):
    """What an authenticated peer may ask its router."""

    def __init__(self, router: Router, channel: AcceptedChannel, clock: IReactorTime) -> None:
        limits = router.limits
        self._router = router
        self._channel = channel
        self._clock = clock
        self._name = channel.remote_name
        self._quota = Quota(limits.requests_per_s, limits.request_burst)
        self._attempts = Slots(limits.attempts_in_flight)

    @responder(Register)
    async def register(self, name: str, version: str, revocations: int | None) -> Mapping[str, Any]:
        """Enter the peer into the routing table."""
        if self._quota.ask(self._clock.seconds()):
            limit = self._router.limits.requests_per_s
            self._channel.abort(f"it registers more than {limit:g} times a second")
            raise TooManyPeers("cut off")
        if name != self._name:
            self._channel.tell("router: {who} isn't allowed to register as {name}", name=printable(name[:130]))
            raise NameMismatch(f"{printable(name[:130])} isn't the name in the certificate, which is {self._name}")
        if self._channel.observes:
            raise TooManyPeers("this connection is from a fresh port; register over another one")
        if not self._channel.is_registered:
            await self._turn()
            try:
                self._router.register(self._channel, self._clock.seconds())
            except ControlError as error:
                self._channel.tell("router: {who} can't register: {reason}", reason=error)
                raise
            self._channel.registered()
            if revocations is not None:
                self._channel.takes_revocations(revocations)
            self._channel.note("router: {who} registered, version {version}", version=printable(version[:40]))
        return {"lease": self._router.limits.silence_s, "observed": self._channel.address, "renews": True}

    async def _turn(self) -> None:
        """Wait until this name may register once more: one that does so all the time is slowed down.

        :raises TooManyPeers: if so many wait already, or this connection has ended meanwhile; nobody reads it.
        """
        wait = self._router.registrations.take(self._name, self._clock.seconds())
        if wait > REGISTRATION_WAIT_S:
            self._channel.abort(f"{self._name} registers too often")
        elif wait:
            await deferLater(self._clock, wait)
        if not self._channel.is_open:
            raise TooManyPeers("cut off")

    @responder(RequestConnect)
    async def request_connect(self, **asked: Any) -> ConnectAnswer:
        """Have another peer dial this one."""
        target = asked["target"]
        with self._request(f"a link to {printable(target[:130])}"):
            if not self._attempts.enter():
                raise Busy.after(1.0, f"{self._attempts.limit} connection attempts of {self._name} are under way")
            try:
                request = checked_request(initiator=self._name, **asked)
                answer = await self._router.connect(request, self._channel)
            finally:
                self._attempts.leave()
        self._channel.note(
            "router: {initiator} asked for a link to {target}: {how}",
            initiator=self._name,
            target=target,
            how="it dials" if answer["dialling"] else "its own request goes first",
        )
        return answer

    @responder(Observe)
    async def observe(self, ticket: bytes) -> Mapping[str, Any]:
        """Say where the fresh port is seen from which this connection comes, and remember it while it stands."""
        self._channel.charge(self._quota, self._router.limits.requests_per_s)
        return self._channel.observed(ticket)

    @responder(Go)
    async def go(self, target: str, initiator: str, ticket: bytes) -> Mapping[str, Any]:
        """Have a target that dials this peer do so now."""
        with self._request(f"a dial by {printable(target[:130])}"):
            if initiator != self._name:
                raise Refused(f"{self._name} doesn't speak for {printable(initiator[:130])}")
            await self._router.go(target, initiator, ticket)
        return {}

    @responder(DialFailed)
    async def dial_failed(self, **report: Unpack[DialReport]) -> Mapping[str, Any]:
        """Pass on to who asked for it that this peer's dial came to nothing."""
        with self._request(f"a report to {printable(report['initiator'][:130])}"):
            await self._router.dial_failed(self._channel, report)
        return {}

    @responder(Renew)
    async def renew(self, certificate: bytes) -> Mapping[str, Any]:
        """Have the signer renew the certificate of this peer."""
        with self._request("a new certificate"):
            return {"certificate": await self._channel.renewed(certificate)}

    @responder(ListPeers)
    async def list_peers(self, cluster: str, after: str) -> NamesAnswer:
        """Give a page of the names in a cluster."""
        with self._request(f"the peers of {printable(cluster[:80])}"):
            return await self._router.names(cluster, after)

    @contextmanager
    def _request(self, what: str) -> Iterator[None]:
        """Let a request through if the peer may make one now, and log why one fails."""
        self._channel.charge(self._quota, self._router.limits.requests_per_s)
        try:
            if not self._channel.is_registered:
                raise Refused(f"{self._name} isn't registered over this connection; register first")
            yield
        except ControlError as error:
            kind = type(error).__name__
            self._channel.tell(
                "router: {who} asked for {what} in vain: {kind}: {reason}", what=what, kind=kind, reason=error
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
        self._quota = Quota(router.limits.lookups_per_s, router.limits.lookup_burst)

    @responder(LookupPeer)
    async def lookup_peer(self, name: str) -> Mapping[str, Any]:
        """Say where a peer of this cluster is."""
        self._charge()
        entry, took = self._router.lookup(name)
        return {"address": entry.address, "table_lookup_ns": took}

    @responder(InstructConnect)
    async def instruct_connect(self, observed: str, **asked: Any) -> DialAnswer:
        """Tell a peer of this cluster to dial a peer of that one."""
        self._charge()
        try:
            if not self._instructions.enter():
                limit = self._instructions.limit
                raise Busy.after(1.0, f"{self._channel.remote_name} has {limit} instructions under way")
            try:
                request = checked_request(**asked)
                if request.initiator.cluster != self._cluster:
                    raise Refused(f"{self._channel.remote_name} doesn't speak for {request.initiator}")
                entry, _ = self._router.lookup(str(request.target))
                return await self._router.instruct(entry, request, observed, via=self._channel.address)
            finally:
                self._instructions.leave()
        except Refused as error:
            self._channel.tell(
                "router: {who} wants {target} to dial {initiator}, which is refused: {reason}",
                target=printable(asked["target"][:130]),
                initiator=printable(asked["initiator"][:130]),
                reason=error,
            )
            raise

    @responder(Go)
    async def go(self, target: str, initiator: str, ticket: bytes) -> Mapping[str, Any]:
        """Have a peer of this cluster that dials a peer of that one do so now."""
        self._charge()
        if initiator.rpartition(".")[2] != self._cluster:
            raise Refused(f"{self._channel.remote_name} doesn't speak for {printable(initiator[:130])}")
        await self._router.pass_go(target, initiator, ticket)
        return {}

    @responder(DialFailed)
    async def dial_failed(self, **report: Unpack[DialReport]) -> Mapping[str, Any]:
        """Tell a peer of this cluster that the dial of a peer of that one came to nothing."""
        self._charge()
        if report["target"].rpartition(".")[2] != self._cluster:
            raise Refused(f"{self._channel.remote_name} doesn't speak for {printable(report['target'][:130])}")
        await self._router.pass_on(report)
        return {}

    @responder(Revoke)
    async def revoke(self, statements: list[bytes]) -> Mapping[str, Any]:
        """Believe some keys no more."""
        self._charge()
        return self._channel.told_of_revocations(statements)

    @responder(ListPeers)
    async def list_peers(self, cluster: str, after: str) -> NamesAnswer:
        """Give a page of the names in this router's own cluster; it doesn't ask further for others."""
        self._charge()
        if cluster != self._router.cluster:
            raise UnknownCluster(f"this is the router of {self._router.cluster}, not of {printable(cluster[:80])}")
        return self._router.own_names(after)

    def _charge(self) -> None:
        self._channel.charge(self._quota, self._router.limits.lookups_per_s)


class AcceptedChannel(PeerHandle):
    """The router's end of an accepted connection, whoever is at the other.

    Until a router has shown its certificate, or a peer has registered, it counts as not authenticated.
    """

    def __init__(self, channels: AcceptedChannels, address: Arriving) -> None:
        limits = channels.router.limits
        super().__init__(
            channels.clock,
            silence_s=limits.silence_s,
            call_s=limits.call_s,
            handshake_s=limits.handshake_s,
            gate=channels.gate,
        )
        self.address = host_of(address)
        self.here = ""
        self.dialling, self.asked = AwaitedReports(), AwaitedReports()
        self._place = address.place
        self._port = address.port or 0
        self._channels = channels
        self._ticket: bytes | None = None
        self._key = b""
        self._telling: RevocationFeed | None = None
        self.is_registered = False

    def note(self, text: str, **fields: Any) -> None:
        """Log what the other end did, which ``{who}`` in the text names."""
        self._gate.info(log, self.remote_name, text, who=self.who, **fields)

    def charge(self, quota: Quota, limit: float) -> None:
        """Let a question through if the other end may ask one now.

        :param limit: questions a second of the quota, to name it.
        :raises Busy: if it mayn't. If it goes on so, nothing more is read of it for a while, and then it is cut off.
        """
        wait = quota.ask(self._clock.seconds())
        if not wait:
            return
        if quota.abused:
            self.abort(f"it makes more than {limit:g} requests/s and doesn't wait when it is told to")
        else:
            self.tell("router: {who} makes more than {limit:g} requests/s", limit=limit)
            if quota.pressed:
                self.hold(HOLD_S)
        raise Busy.after(wait, f"{self.remote_name} makes more than {limit:g} requests a second")

    def connectionMade(self) -> None:
        """Note where this connection came in."""
        self.here = host_of(self.transport.getHost())
        self._channels.open.add(self)
        super().connectionMade()

    def handshakeCompleted(self) -> None:
        """See who the other end is; one that has no certificate yet gets another protocol in this one's place."""
        if self.transport.negotiatedProtocol != JOIN_ALPN:
            super().handshakeCompleted()
            return
        transport, self.transport = self.transport, None
        self._end("it is a new machine")
        self._channels.forget(self)
        transport.wrappedProtocol = self._channels.joins.protocol(self._place)
        transport.wrappedProtocol.makeConnection(transport)

    def authenticated(self) -> None:
        """Choose what the other end may ask by what its certificate says it is."""
        channels, name = self._channels, self.remote_name
        self._key = remote_key(self.transport)
        if name == SIGNER:
            self._place.leave(known=True)
            self.locator = SignerCommands(self.told_of_revocations)
            channels.joins.signer_linked(self)
            self.note("router: the signer linked to this router")
            return
        if name.startswith(router_name("")):
            cluster = name.removeprefix(router_name(""))
            if cluster not in channels.router.neighbours.clusters:
                raise IdentityError(f"{name} isn't a neighbour; to let it in, add {cluster} to neighbours")
            if channels.router.registrations.take(name, self._clock.seconds()):
                raise IdentityError("it links too often")
            self._place.leave(known=True)
            self.locator = NeighbourCommands(channels.router, self, parse_cluster(cluster))
            channels.neighbour_connected(cluster, self)
            return
        try:
            parse_peer(name)
        except InvalidName as error:
            raise IdentityError(f"the certificate is neither a peer's nor a router's: {error}") from error
        self.locator = PeerCommands(channels.router, self, self._clock)
        self.expect("Register", channels.router.limits.handshake_s)

    async def renewed(self, certificate: bytes) -> bytes:
        """Have the signer renew a certificate, DER.

        :raises Refused: if there is nobody to do it, or the signer doesn't want to.
        """
        return await self._channels.joins.renew(certificate)

    def pinged(self) -> AmpBox:
        """Tell a neighbour, and the signer, how much is known of revocations; a peer of the cluster is told in turn."""
        box = super().pinged()
        if isinstance(self.locator, NeighbourCommands | SignerCommands):
            box[b"revocations"] = b"%d" % self._channels.believed.revocations.latest
        return box

    def takes_revocations(self, known: int) -> None:
        """Tell this peer what is revoked, now and later.

        :param known: the largest number that it has.
        """
        self._telling = RevocationFeed(self, self._channels.believed.revocations, known)
        self._telling.update()

    def told_of_revocations(self, statements: list[bytes]) -> Mapping[str, Any]:
        """Take what the other end says is revoked.

        :raises Refused: if the authority hasn't said so.
        """
        try:
            self._channels.believed.add(statements)
        except BadStatement as error:
            self.tell("router: {who} told {what}", what=str(error))
            raise Refused(str(error)) from error
        return {}

    def revoked(self, keys: Collection[bytes]) -> None:
        """Be told that keys were revoked: end this connection if its other end has one of them, else pass it on."""
        if self._key in keys:
            self._channels.router.table.remove(self.remote_name, self)
            self.is_registered = False
            self.tell("router: the key of {who} has been revoked")
            self.part("the lab's authority has revoked the key of this certificate", REPLACED_S)
        elif self._telling is not None:
            self._telling.update()

    def registered(self) -> None:
        """Be told that the routing table has this peer."""
        self.is_registered = True
        self.settled()
        self._place.leave(known=True)

    @property
    def observes(self) -> bool:
        """Whether this connection comes from a fresh port, and tells where that is seen."""
        return self._ticket is not None

    def observed(self, ticket: bytes) -> Mapping[str, Any]:
        """Be told that this connection comes from the fresh port of a request; say where it is seen.

        :raises Refused: if it is another kind of connection, or that is no ticket.
        :raises Busy: if as many such connections of the peer stand as may.
        """
        if self.is_registered or self.observes or len(ticket) != NONCE_BYTES:
            raise Refused("only a connection of its own from a fresh port is told where that is seen, once")
        if not self._channels.router.mappings.add(self.remote_name, ticket, self.address, self._port):
            raise Busy.after(1.0, f"{self.remote_name} holds {EACH} such connections, or one for this ticket")
        self._ticket = ticket
        self._place.leave(known=True)
        self.expect("the request for which its port is seen", LIFETIME_S)
        return {"address": self.address, "port": self._port}

    def replaced_by(self, other: PeerHandle) -> None:
        """Make way for a newer connection of the same name, and say whose that is: it may be another daemon."""
        self.tell(
            "router: {name} connected again from {new}; closing its connection from {old}",
            name=self.remote_name,
            new=other.address,
            old=self.address,
        )
        self.is_registered = False
        self.part(f"{self.remote_name} has connected again, from {other.who.rpartition(' ')[2]}", REPLACED_S)

    def closed(self, reason: Failure) -> None:
        """Drop the peer from the table the moment its connection ends."""
        self._place.leave()
        self._channels.forget(self)
        if self._ticket is not None:
            self._channels.router.mappings.remove(self.remote_name, self._ticket)
        if self._channels.joins.signer_left(self):
            self.tell("router: the signer is no longer linked to this router")
        if self._channels.router.table.remove(self.remote_name, self):
            self.note("router: {who} left")


class AcceptedChannels(Factory):
    """Makes the channels of accepted connections and knows those that are open.

    :param gate: what others can provoke in the log passes here.
    :ivar open: the channels whose connections are open.
    :ivar joins: new machines, and the signer.
    :ivar believed: what is revoked.
    """

    noisy = False

    def __init__(self, router: Router, gate: LogGate, clock: IReactorTime, joins: Joins, believed: Believed) -> None:
        self.router = router
        self.believed = believed
        self.joins = joins
        self.gate = gate
        self.clock = clock
        self.open: set[AcceptedChannel] = set()
        self._neighbours: dict[str, AcceptedChannel] = {}

    def buildProtocol(self, addr: IAddress | None) -> AcceptedChannel:
        """Return the channel of a connection that was let in."""
        return AcceptedChannel(self, cast("Arriving", addr))  # it comes from the door

    def neighbour_connected(self, cluster: str, channel: AcceptedChannel) -> None:
        """Note a neighbour's link; an older one makes way, so that each has one."""
        older = self._neighbours.get(cluster)
        self._neighbours[cluster] = channel
        channel.note("router: {who} linked to this router")
        if older is not None:
            older.replaced_by(channel)
        self.router.neighbours.seen(cluster)

    def not_a_neighbour(self, cluster: str) -> None:
        """Let the router of a cluster go that isn't in the configuration any more."""
        channel = self._neighbours.get(cluster)
        if channel is not None:
            channel.part(f"{channel.remote_name} isn't a neighbour any more")

    def forget(self, channel: AcceptedChannel) -> None:
        """Note that a connection has ended."""
        self.open.discard(channel)
        for cluster, linked in list(self._neighbours.items()):
            if linked is channel:
                del self._neighbours[cluster]
                channel.tell("router: {name} is no longer linked to this router", name=channel.remote_name)

"""A peer's standing at its router: connect, register, stay, and come back with backoff and jitter."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.application.internet import backoffPolicy
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.protocols.amp import Command, CommandLocator
from twisted.python.failure import Failure

from p2p import __version__
from p2p.base.addresses import is_loopback, normalised
from p2p.base.config import PeerLimits
from p2p.base.errors import P2PError
from p2p.base.names import parse_peer, router_name
from p2p.base.texts import printable
from p2p.base.waiters import Waiters
from p2p.control.channel import Channel, ControlLost, ControlTimeout, reason_of
from p2p.control.commands import DialFailed, Go, InstructConnect, Refused, Register, Renew, Revoke, responder
from p2p.control.joining import Renewing
from p2p.identity.believed import Believed
from p2p.identity.revocations import BadStatement
from p2p.identity.tls import CONTROL_ALPN, Credentials, Newcomer, remote_key, require_name
from p2p.peer.roaming import ANSWER_S, Whereabouts

__all__ = ["Registrant", "Registration", "RouterAccess", "RouterChannel"]

STEADY_S = 60.0
"""A registration that held so long starts the backoff anew; two daemons with one name don't fight at full speed."""

THROWN_OUT_S = 30.0
"""Seconds until a peer comes back whose router has told it to go, as it does when another daemon registers by its name;
twice as many after each time that it didn't hold for twice as long as it had waited."""

LONGEST_OUT_S = 600.0


class Registrant(Protocol):
    """Whom a registration is for."""

    async def instructed(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Carry out an InstructConnect: takes its arguments, gives its answer."""

    def go(self, arguments: Mapping[str, Any]) -> None:
        """Dial now what it was told to dial: the arguments of Go.

        :raises Refused: if it wasn't told to.
        """

    def reported(self, arguments: Mapping[str, Any]) -> None:
        """Be told of a dial that was asked for: the arguments of DialFailed."""

    def seen_at(self, observed: str) -> None:
        """Be told at which address the router sees this peer, which is registered now."""


class RouterChannel(Channel):
    """The peer's end of a control channel: it answers its own router, and nobody else.

    :param router: the router's name.
    :param locator: answers what the router says; nothing does, if it is left out.
    :ivar ready: fires when the router has shown that it is the one.
    """

    def __init__(
        self, clock: IReactorTime, limits: PeerLimits, router: str, locator: CommandLocator | None = None
    ) -> None:
        super().__init__(
            clock,
            silence_s=limits.silence_s,
            call_s=limits.call_s,
            handshake_s=limits.handshake_s,
            locator=locator,
        )
        self._router = router
        self.ready: Deferred[None] = Deferred()

    def authenticated(self) -> None:
        require_name(self.transport, self._router)
        self.ready.callback(None)

    def closed(self, reason: Failure) -> None:
        if not self.ready.called:
            self.ready.errback(ControlLost(f"the connection to {self._router} ended: {self.end_reason}"))


class _Orders(CommandLocator):
    """What a router may tell its peer."""

    def __init__(self, registrant: Registrant, believed: Believed | None) -> None:
        self._registrant = registrant
        self._believed = believed

    @responder(InstructConnect)
    async def instruct(self, **arguments: Any) -> Mapping[str, Any]:
        return await self._registrant.instructed(arguments)

    @responder(Go)
    async def go(self, **arguments: Any) -> Mapping[str, Any]:
        self._registrant.go(arguments)
        return {}

    @responder(DialFailed)
    async def report(self, **arguments: Any) -> Mapping[str, Any]:
        self._registrant.reported(arguments)
        return {}

    @responder(Revoke)
    async def revoke(self, statements: list[bytes]) -> Mapping[str, Any]:
        if self._believed is None:
            raise Refused("this peer takes no revocations")
        try:
            self._believed.add(statements)
        except BadStatement as error:
            raise Refused(str(error)) from error
        return {}


class RouterAccess(Protocol):
    """A peer's standing at its router, as whoever acts for the peer sees it; see :class:`Registration`."""

    name: str
    router: str
    registered: bool
    last_error: str
    observed: str

    @property
    def nearby(self) -> bool:
        """Whether the router is on this machine, and reached by a loopback address."""

    @property
    def router_at(self) -> tuple[str, int] | None:
        """The address and port at which the router is reached now; None if it isn't."""

    def start(self, registrant: Registrant) -> None:
        """Register, and stay registered."""

    def slept(self, seconds: float) -> None:
        """This machine slept for so long."""

    def moved(self, where: Whereabouts) -> None:
        """This machine is attached to other networks than before."""

    async def stop(self) -> None:
        """Leave the router."""

    async def call(self, command: type[Command], **arguments: Any) -> Mapping[str, Any]:
        """Ask the router, once registered."""

    async def when_registered(self) -> None:
        """Wait until the router has this peer in its table; cancel to give up."""


class Registration:
    """Keeps one peer registered at its router for as long as it runs.

    :param turn: shared by the peers of a daemon, so that a thousand of them don't storm a router at once.
    :param believed: is told by the router what is revoked, if there is one.
    :ivar router: the router's name.
    :ivar registered: whether the router has this peer in its table now.
    :ivar last_error: why it isn't registered, if it isn't.
    :ivar observed: the address at which the router saw it when it registered last.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        endpoint: IStreamClientEndpoint,
        credentials: Credentials,
        limits: PeerLimits,
        turn: DeferredSemaphore,
        believed: Believed | None = None,
    ) -> None:
        self.name = credentials.name
        self.router = router_name(parse_peer(credentials.name).cluster)
        self._clock = clock
        self._endpoint = endpoint
        self._credentials = credentials
        self._limits = limits
        self._turn = turn
        self._believed = believed
        self._channel: RouterChannel | None = None
        self._keeping: Deferred[None] | None = None
        self._delays = backoffPolicy(initialDelay=0.5, maxDelay=30.0)
        self._waiting: Waiters[None] = Waiters()
        self._pausing: Deferred[None] | None = None
        self._woke = False
        self._stopping = False
        self._renews = False
        self.registered = False
        self.last_error = "not connected yet"
        self.observed = ""

    @property
    def nearby(self) -> bool:
        """Whether the router is on this machine, and reached by a loopback address."""
        at = self.router_at
        return at is not None and is_loopback(at[0])

    @property
    def router_at(self) -> tuple[str, int] | None:
        """The address and port at which the router is reached now; None if it isn't."""
        transport = None if self._channel is None else self._channel.transport
        if transport is None:
            return None
        peer = transport.getPeer()
        return normalised(str(peer.host)), peer.port

    def start(self, registrant: Registrant) -> None:
        """Begin to connect and register, again and again until :meth:`stop`.

        :param registrant: carries out what the router says.
        """
        self._keeping = Deferred.fromCoroutine(self._keep(registrant))
        self._keeping.addErrback(self._ended)

    def slept(self, seconds: float) -> None:
        """This machine slept for so long: dial the router at once if it isn't there, or has given up meanwhile."""
        if self._pausing is not None:
            self._woke = True
            self._pausing.cancel()
        elif self._channel is not None:
            self._woke = seconds >= self._limits.silence_s
            self._channel.slept(seconds)

    def moved(self, where: Whereabouts) -> None:
        """This machine is attached to other networks: dial the router at once unless it is still there."""
        channel = self._channel
        if self._pausing is not None:
            self._woke = True
            self._pausing.cancel()
        elif channel is None:
            self._woke = True  # a dial is under way, maybe from where this machine no longer is
        else:
            local, remote = str(channel.transport.getHost().host), str(channel.transport.getPeer().host)
            if where.lost(local):
                self._woke = True
                self.registered = False
                channel.abort(f"this machine has lost its address {normalised(local)}")
            elif where.elsewhere(local, remote):
                self._woke = True
                channel.doubted(ANSWER_S)

    async def renew(self, certificate: bytes) -> bytes:
        """Get a new certificate from the router: over the control channel, or, if it has ended, as one who joins.

        :param certificate: the one that ends, DER.
        :returns: the new one, DER.
        :raises P2PError: if that doesn't work now.
        """
        if self.registered and self._renews:
            fresh: bytes = (await self.call(Renew, certificate=certificate))["certificate"]
            return fresh
        if self.registered:
            raise ControlLost(f"{self.router} knows nothing of renewals; its p2p is older")
        asking = Renewing(
            self._clock,
            self._limits.handshake_s + self._limits.call_s,
            self.router,
            x509.load_der_x509_certificate(certificate),
            self._credentials.authorities,
        )
        factory = Factory.forProtocol(lambda: asking)
        factory.noisy = False
        connecting = self._endpoint.connect(Newcomer().wrap(factory, self._clock))
        connecting.addTimeout(self._limits.handshake_s, self._clock, onTimeoutCancel=self._not_accepted)
        try:
            await connecting
        except P2PError:
            raise
        except Exception as error:
            raise ControlLost(f"{self.router} isn't reached: {reason_of(Failure(error))}") from error
        return (await asking.joined).certificate.public_bytes(Encoding.DER)

    def dial_now(self) -> None:
        """Dial the router at once, if the next dial would come later."""
        if self._pausing is not None:
            self._woke = True
            self._pausing.cancel()

    def revoked(self, keys: Collection[bytes]) -> None:
        """Be told that keys were revoked: the router's may be one of them."""
        channel = self._channel
        if channel is not None and channel.is_open and remote_key(channel.transport) in keys:
            self.registered = False
            channel.abort("the lab's authority has revoked its key")

    async def stop(self) -> None:
        """Leave the router gracefully: it drops the entry when the connection ends."""
        keeping, self._keeping = self._keeping, None
        channel, self._channel = self._channel, None
        self._stopping = True
        self.registered = False
        self.last_error = "it is stopping"
        if keeping is not None:
            keeping.cancel()
        if channel is not None:
            channel.close()
            await channel.when_ended()

    async def call(self, command: type[Command], **arguments: Any) -> dict[str, Any]:
        """Ask the router, once registered.

        :raises ControlError: as the command declares.
        :raises ControlTimeout: if no answer comes in time.
        :raises ControlLost: if the router can't be reached within ``call_s``, or the channel ends.
        """
        if not self.registered:
            await self._registered_soon()
        assert self._channel is not None
        return await self._channel.call(command, **arguments)

    async def when_registered(self) -> None:
        """Wait until the router has this peer in its table; cancel to give up."""
        while not self.registered:
            await self._waiting.wait()

    async def _registered_soon(self) -> None:
        waiting = Deferred.fromCoroutine(self.when_registered())
        waiting.addTimeout(self._limits.call_s, self._clock, onTimeoutCancel=self._unreachable)
        await waiting

    def _unreachable(self, result: Any, seconds: float) -> None:
        raise ControlLost(f"{self.name} isn't registered at {self.router} ({self.last_error}); is the router running?")

    def _not_accepted(self, result: Any, seconds: float) -> None:
        raise ControlTimeout(f"{self.router} accepted no connection within {seconds:g} s")

    async def _keep(self, registrant: Registrant) -> None:
        failures, out_s = 0, 0.0  # how often it failed, and for how long it stayed away when it was told to go
        while True:
            pause = 0.0
            began = self._clock.seconds()
            try:
                channel = await self._enter(registrant)
            except Exception as error:  # noqa: BLE001 - whatever the network brings: the peer tries again
                if self._stopping:
                    return
                self._tell(error, failures)
            else:
                began = self._clock.seconds()
                failures = min(failures, 3)
                await channel.when_ended()
                self.registered = False
                self.last_error = f"the connection to {self.router} ended: {channel.end_reason}"
                self._log.warn("{name}: {reason}", name=self.name, reason=self.last_error)
                held = self._clock.seconds() - began
                if held >= STEADY_S:
                    failures = 0
                if held >= 2 * out_s:
                    out_s = 0.0
                if channel.farewell:
                    pause = out_s = min(2 * out_s or THROWN_OUT_S, LONGEST_OUT_S)
            self._channel = None
            await self._pause(pause + self._delays(failures))
            failures += 1

    async def _pause(self, seconds: float) -> None:
        """Wait before the next try, unless this machine has just woken up."""
        if not self._woke:
            self._pausing = deferLater(self._clock, seconds)
            try:
                await self._pausing
            except CancelledError:
                if not self._woke:
                    raise
            finally:
                self._pausing = None
        self._woke = False

    async def _enter(self, registrant: Registrant) -> RouterChannel:
        """Connect and register, in turn with the daemon's other peers."""
        async with self._turn:
            channel = RouterChannel(self._clock, self._limits, self.router, _Orders(registrant, self._believed))
            factory = Factory.forProtocol(lambda: channel)
            factory.noisy = False
            wrapped = self._credentials.wrap(factory, client=True, alpn=CONTROL_ALPN, clock=self._clock)
            connecting = self._endpoint.connect(wrapped)
            connecting.addTimeout(self._limits.handshake_s, self._clock, onTimeoutCancel=self._not_accepted)
            await connecting
            self._channel = channel
            await channel.ready
            try:
                known = None if self._believed is None else self._believed.revocations.latest
                answer = await channel.call(Register, name=self.name, version=__version__, revocations=known)
            except P2PError:
                channel.close()
                raise
        self._renews = answer["renews"] or False
        self.registered = True
        self.observed = printable(answer["observed"])
        self._log.info(
            "{name}: registered at {router}, which sees it at {observed}",
            name=self.name,
            router=self.router,
            observed=self.observed,
        )
        registrant.seen_at(self.observed)
        self._waiting.fire(None)
        return channel

    def _tell(self, error: Exception, failures: int) -> None:
        reason = str(error) if isinstance(error, P2PError) else reason_of(Failure(error))
        if reason != self.last_error or failures == 0:
            self._log.warn(
                "{name}: can't register at {router}: {reason}; trying again",
                name=self.name,
                router=self.router,
                reason=reason,
            )
        self.last_error = reason

    def _ended(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("{name}: registration stopped", failure, name=self.name)

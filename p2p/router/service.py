"""The S-Router as a service: its port, its neighbours, its console, and how it starts and stops."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from typing import Any, cast

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2p import __version__
from p2p.base.config import RouterConfig, changed_fields
from p2p.base.errors import IdentityError, LocalFileError
from p2p.base.log_gate import STRANGERS, LogGate
from p2p.base.names import router_name
from p2p.base.notify import READY, STOPPING, notify
from p2p.base.process import CannotStart, raise_open_files
from p2p.base.texts import address_text
from p2p.console.operations import Mean, NoArguments, RouterStatus, SocketBytes
from p2p.console.server import ConsoleServer, Emit, checked
from p2p.control.admission import Admission
from p2p.control.door import Door, defer_accept
from p2p.control.renewer import Renewer
from p2p.identity.believed import Believed
from p2p.identity.expiry import ExpiryWatch
from p2p.identity.revocations import Revocation
from p2p.identity.tls import CONTROL_ALPN, Credentials
from p2p.router.core import Router
from p2p.router.federation import Federation
from p2p.router.joins import Joins
from p2p.router.protocol import AcceptedChannels
from p2p.router.sockets import SocketMeter
from p2p.wire.monotonic import SleepWatch, asleep_s

__all__ = ["RouterService", "load_credentials"]

GOODBYE_S = 5.0
"""Seconds that the other ends have for a polite close when the router stops."""

RENEWED = "certificates"
"""The folder for renewed certificates in that of the state."""

KEPT = 0.25
"""The part of ``pending_connections`` that is kept for addresses from which somebody has registered before."""

_LIVE = frozenset({"neighbours", "networks", "relays"})
"""The keys of the configuration that may change while the router runs."""

log = Logger()


def load_credentials(config: RouterConfig) -> Credentials:
    """Load the certificate and key of a router.

    :raises IdentityError: if they can't be used, or aren't those of this cluster's router.
    """
    renewed = None if config.state is None else config.state / RENEWED / f"{router_name(config.cluster)}.pem"
    credentials = Credentials(config.tls.certificate, config.tls.key, config.tls.authority, renewed=renewed)
    expected = router_name(config.cluster)
    if credentials.name != expected:
        raise IdentityError(
            f"{config.tls.certificate}: is the certificate of {credentials.name}, "
            f"and the router of cluster {config.cluster} needs that of {expected}"
        )
    return credentials


class RouterService(MultiService):
    """An S-Router.

    :param reactor: the reactor.
    :param random: gives numbers between 0 and 1, for the times between two attempts to link.
    :param tell: says to the service manager how the daemon is, see :func:`p2p.base.notify.notify`.
    :param asleep: reads how long this machine has slept since it was booted, seconds.
    :param wall: reads the Unix time, seconds.
    :ivar router: the routing table and what may be asked of it.
    :ivar federation: the links to the neighbours.
    :ivar meter: counts what goes through the sockets.
    :ivar admission: the places of those of whom it isn't known who they are.
    :ivar gate: what others can provoke in the log passes here.
    :ivar believed: what is revoked.
    :ivar listening: the address that the router listens on, empty while it doesn't.
    """

    def __init__(
        self,
        reactor: Any,
        config: RouterConfig,
        credentials: Credentials,
        *,
        random: Callable[[], float],
        tell: Callable[[str], None] = notify,
        asleep: Callable[[], float] = asleep_s,
        wall: Callable[[], float] = time.time,
    ) -> None:
        MultiService.__init__(self)
        self.meter = SocketMeter()
        self.listening = ""
        self._reactor = reactor
        self._config = config
        self._credentials = credentials
        self._tell = tell
        self._port: IListeningPort | None = None
        limits = config.limits
        self.gate = LogGate(reactor)
        self.believed = Believed(config.state, config.tls.authority, wall)
        self.believed.watchers.append(self._revoked)
        credentials.revocations = self.believed.revocations
        self.federation = Federation(
            reactor,
            self._endpoints(),
            limits,
            tuple(config.networks.get(config.cluster, ())),
            wrap=lambda factory: self._wrapped(factory, client=True),
            random=random,
            gate=self.gate,
            revocations=self.believed.revocations,
        )
        self._add(self.federation)
        self.router = Router(config.cluster, limits, config.networks, self.federation, reactor.seconds, config.relays)
        tls = config.tls
        joins = Joins(reactor, config.cluster, limits, tls.authority.read_bytes(), self.gate)
        self._channels = AcceptedChannels(self.router, self.gate, reactor, joins, self.believed)
        self._expiry = ExpiryWatch(reactor, [credentials], tls.authority, wall)
        self._renewer = Renewer(reactor, wall)
        self._renewer.add(credentials, joins.renew)
        joins.linked = self._renewer.again
        self._sleep = SleepWatch(reactor, self._slept, asleep)
        total = limits.pending_connections
        self.admission = Admission(total, limits.pending_per_address, kept=int(total * KEPT))
        self._door = Door(self._wrapped(self._channels, client=False), self.admission, reactor, self._turned_away)
        if config.console is not None:
            operations = {"status": checked(NoArguments, self.status)}
            self._add(ConsoleServer(reactor, config.console, operations))

    def privilegedStartService(self) -> None:
        """Listen.

        :raises CannotStart: if the port can't be had.
        """
        raise_open_files()
        self._expiry.start()
        self._listen()
        MultiService.privilegedStartService(self)

    def startService(self) -> None:
        """Start dialling the neighbours and open the console; the router is ready when this returns.

        :raises CannotStart: if the port or the console can't be had.
        """
        if self._port is None:
            self.privilegedStartService()
        try:
            MultiService.startService(self)
        except LocalFileError as error:
            raise CannotStart(str(error)) from error
        self._sleep.start()
        self._renewer.start()
        log.info(
            "router: serving cluster {cluster} at {listening}, neighbours: {neighbours}",
            cluster=self.router.cluster,
            listening=self.listening,
            neighbours=", ".join(self.federation.clusters) or "none",
        )
        self._tell(READY)

    def stopService(self) -> Deferred[None]:
        """Listen no more, say goodbye to everybody, and stop; cut off who doesn't answer within 5 s."""
        return Deferred.fromCoroutine(self._stop())

    def reload(self, config: RouterConfig) -> tuple[list[str], list[str]]:
        """Take another configuration into use, as far as that goes, without ending a connection that is still wanted.

        :returns: what has changed, and what needs a restart.
        :raises IdentityError: if the certificate can't be used any more; then nothing changes.
        """
        changed = changed_fields(self._config, config)
        before = self._credentials.certificate
        self._credentials.reload()
        live = changed & _LIVE
        self._config = self._config.model_copy(update={name: getattr(config, name) for name in live})
        gone = self.federation.change(self._endpoints(), tuple(config.networks.get(config.cluster, ())))
        for cluster in gone:
            self._channels.not_a_neighbour(cluster)
        self.router.networks, self.router.relays = config.networks, tuple(config.relays)
        certificate = ["certificate"] if self._credentials.certificate != before else []
        return sorted(live) + certificate, sorted(changed - live)

    def _endpoints(self) -> dict[str, tuple[str, IStreamClientEndpoint]]:
        """The endpoints of the neighbours, as they stand in the configuration, and as they are."""
        return {
            cluster: (one.endpoint, clientFromString(self._reactor, one.endpoint))
            for cluster, one in self._config.neighbours.items()
        }

    async def status(self, arguments: NoArguments, emit: Emit) -> RouterStatus:
        """Say how the router is, for its console; the counters are since it started."""
        times = self.router.times
        return RouterStatus(
            version=__version__,
            pid=os.getpid(),
            cluster=self.router.cluster,
            listening=self.listening,
            peers=len(self.router.table),
            neighbours=dict(self.federation.clusters),
            neighbour_problems=dict(self.federation.problems),
            connections=self.meter.open,
            socket_bytes=SocketBytes(received=self.meter.received, sent=self.meter.sent),
            lookups=times.count,
            warnings=self._expiry.warnings(),
            certificate_days=self._expiry.days_left(self._credentials.name),
            table_lookup_ns=Mean(count=times.count, mean=times.mean, max=times.longest),
        )

    async def _stop(self) -> None:
        self._tell(STOPPING)
        self._expiry.stop()
        self._renewer.stop()
        self._sleep.stop()
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
            self.listening = ""
        self._door.close()
        channels = list(self._channels.open)
        log.info("router: stopping, closing {count} connections", count=len(channels))
        for channel in channels:
            channel.close(GOODBYE_S)
        await self.federation.close(GOODBYE_S)
        for channel in channels:
            await channel.when_ended()
        await cast("Deferred[None]", MultiService.stopService(self))
        self.gate.close()
        log.info("router: stopped")

    def _revoked(self, new: list[Revocation]) -> None:
        """Whoever has one of these keys is no longer here; the others are told."""
        keys = {one.key for one in new}
        for channel in list(self._channels.open):
            channel.revoked(keys)
        self.federation.revoked(keys)

    def _slept(self, seconds: float) -> None:
        """Who was asleep can't know who is still there."""
        log.info("router: this machine slept for {seconds:.0f} s; who is connected is asked anew", seconds=seconds)
        for channel in list(self._channels.open):
            channel.slept(seconds)
        self.federation.slept(seconds)

    def _listen(self) -> None:
        where = self._config.listen
        outcome: list[Any] = []
        try:
            serverFromString(self._reactor, where).listen(self._door).addBoth(outcome.append)
        except (IndexError, KeyError, ValueError) as error:
            raise CannotStart(f"can't listen on {where}: systemd handed over no such socket") from error
        # Every kind of endpoint that the configuration takes listens at once, or fails at once.
        (port,) = outcome
        if isinstance(port, Failure):
            raise CannotStart(f"can't listen on {where}: {_advice(port.value)}") from port.value
        self._port = port
        self.listening = address_text(port.getHost())
        defer_accept(port)
        listener = getattr(port, "socket", None)
        if listener is not None:
            listener.listen(self._config.limits.pending_connections)  # Twisted queues 50: too few for a lab at once

    def _turned_away(self, address: str, reason: str) -> None:
        text = "router: turned away a connection from {address}: {reason}"
        self.gate.warn(log, STRANGERS, text, address=address, reason=reason)

    def _add(self, child: Any) -> None:
        child.setServiceParent(self)

    def _wrapped(self, factory: IProtocolFactory, *, client: bool) -> IProtocolFactory:
        """TLS below the channels, and the meter below TLS."""
        wrapped = self._credentials.wrap(
            factory, client=client, alpn=CONTROL_ALPN, clock=self._reactor, joins=not client
        )
        return self.meter.wrap(wrapped)


def _advice(error: BaseException | None) -> str:
    """Say why a port can't be had, and what to do."""
    number = getattr(getattr(error, "socketError", None), "errno", None)
    if number == errno.EADDRINUSE:
        return "in use; stop the program that listens there (ss -ltnp shows it) or change listen in the configuration"
    if number == errno.EADDRNOTAVAIL:
        return "this machine has no such address (ip address shows those it has); change listen in the configuration"
    if number == errno.EACCES:
        return "this user may not listen there; change listen in the configuration to a port above 1023"
    return f"{error}"

"""The signer as a service: linked to every router of the lab, over connections that it has dialled."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from twisted.application.internet import ClientService, backoffPolicy
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2p.base.errors import IdentityError, P2PError
from p2p.base.names import SIGNER, router_name
from p2p.base.notify import READY, STOPPING, notify
from p2p.control.channel import Channel
from p2p.control.commands import Ping
from p2p.control.revoking import RevocationFeed
from p2p.identity.authority import Authority
from p2p.identity.lab import LAB_FILE, load_plan
from p2p.identity.lab_files import CERTIFICATES
from p2p.identity.ledger import Ledger
from p2p.identity.revocations import RevocationList
from p2p.identity.tls import CONTROL_ALPN, Credentials, require_name
from p2p.signer.desk import Desk, DeskCommands

__all__ = ["SignerService", "signer_runs"]

LOCK: Final = "signer.lock"

OWN_DAYS: Final = 3650.0
"""How long the certificate of the signer itself lasts; it is made anew at each start, from the key beside it."""

SILENCE_S: Final = 60.0
CALL_S: Final = 10.0
HANDSHAKE_S: Final = 10.0
LONGEST_RETRY_S: Final = 15.0

WATCH_S: Final = 0.5
"""Seconds between two looks at what the commands of ``p2p lab`` have changed."""

log = Logger()


class SignerService(MultiService):
    """The signer of the lab in a folder.

    :param reactor: the reactor.
    :param directory: the folder of the lab, with the authority's key.
    :param used: is told the name of each new machine that has got its certificate.
    :param wall: reads the Unix time, seconds.
    :ivar linked: the clusters to whose routers it is linked.
    :ivar revocations: what it tells them.
    :raises P2PError: if the folder can't be used.
    """

    def __init__(
        self,
        reactor: Any,
        directory: Path,
        *,
        used: Callable[[str], object] = lambda name: None,
        wall: Callable[[], float] = time.time,
        tell: Callable[[str], None] = notify,
    ) -> None:
        MultiService.__init__(self)
        self.linked: dict[str, Channel] = {}
        self._directory = directory
        self._tell = tell
        plan = load_plan(directory)
        authority = Authority.load(directory)
        self._lock = _locked(directory)
        if self._lock is None:
            raise IdentityError(f"{directory}: another signer works with this lab already")
        self.revocations = RevocationList()
        self._wall = wall
        self._tellings: dict[str, RevocationFeed] = {}
        self._ledger = Ledger.open(directory)
        self._seen = -1
        self._watching = LoopingCall(self._watch)
        self._watching.clock = reactor
        self._watch()
        credentials = _own_credentials(authority, directory, datetime.fromtimestamp(wall(), UTC))
        credentials.revocations = self.revocations
        credentials.patient = True
        desk = Desk(authority, self._ledger, plan.links, wall, used)
        self._clusters: list[str] = []
        self._plan_read = 0
        self._reactor, self._credentials, self._desk = reactor, credentials, desk
        self._look_for_clusters()

    def startService(self) -> None:
        """Begin to dial the routers."""
        MultiService.startService(self)
        self._watching.start(WATCH_S, now=False).addErrback(lambda failure: log.failure("no more watching", failure))
        log.info("signer: for the lab in {lab}", lab=str(self._directory))
        self._tell(READY)

    def stopService(self) -> Deferred[None]:
        """Leave the routers."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._tell(STOPPING)
        if self._watching.running:
            self._watching.stop()
        for channel in list(self.linked.values()):
            channel.close()
            await channel.when_ended()
        stopping: Any = MultiService.stopService(self)
        await stopping
        self._ledger.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def behind(self) -> list[str]:
        """The clusters whose routers haven't been told everything."""
        latest = self.revocations.latest
        told = [cluster for cluster, telling in self._tellings.items() if telling.known >= latest]
        return [cluster for cluster in self._clusters if cluster not in told]

    def _look_for_clusters(self) -> None:
        """Dial the routers of clusters that are new in ``lab.yaml``.

        :raises P2PError: if that can't be read.
        """
        try:
            read = (self._directory / LAB_FILE).stat().st_mtime_ns
        except OSError:
            return
        if read != self._plan_read:
            self._plan_read = read
            for cluster, place in load_plan(self._directory).clusters.items():
                if cluster not in self._clusters:
                    self._clusters.append(cluster)
                    self._add(cluster, place.endpoint)

    def _watch(self) -> None:
        """See whether a command has revoked something, and tell the routers, or has added a cluster."""
        try:
            if self.running:
                self._look_for_clusters()
            changes = self._ledger.changes()
            if changes == self._seen:
                return
            self._seen = changes
            self.revocations.add(self._ledger.revocations(self._wall()), self._wall())
        except P2PError as error:
            log.warn("signer: {reason}", reason=str(error))
            return
        for telling in self._tellings.values():
            telling.update()

    def _up(self, cluster: str, channel: Channel, known: int | None) -> None:
        self.linked[cluster] = channel
        log.info("signer: linked to {name}", name=router_name(cluster))
        self._tellings[cluster] = RevocationFeed(channel, self.revocations, known or 0)
        self._tellings[cluster].update()

    def _down(self, cluster: str, channel: Channel) -> None:
        if self.linked.get(cluster) is channel:
            del self.linked[cluster], self._tellings[cluster]
        log.info("signer: no link to {name}: {reason}", name=router_name(cluster), reason=channel.end_reason)

    def _add(self, cluster: str, endpoint: str) -> None:
        reactor, credentials, desk = self._reactor, self._credentials, self._desk
        factory = Factory.forProtocol(lambda: _SignerChannel(reactor, cluster, desk, self._up, self._down))
        factory.noisy = False
        ClientService(
            clientFromString(reactor, endpoint),
            credentials.wrap(factory, client=True, alpn=CONTROL_ALPN, clock=reactor),
            retryPolicy=backoffPolicy(0.5, LONGEST_RETRY_S),
            clock=reactor,
        ).setServiceParent(self)


class _SignerChannel(Channel):
    """The signer's end of a channel to one router."""

    def __init__(
        self,
        clock: IReactorTime,
        cluster: str,
        desk: Desk,
        up: Callable[[str, Channel, int | None], None],
        down: Callable[[str, Channel], None],
    ) -> None:
        super().__init__(
            clock,
            silence_s=SILENCE_S,
            call_s=CALL_S,
            handshake_s=HANDSHAKE_S,
            locator=DeskCommands(desk, cluster),
        )
        self._cluster = cluster
        self._up = up
        self._down = down

    def authenticated(self) -> None:
        require_name(self.transport, router_name(self._cluster))
        # A router that doesn't let signers in says so first, and never answers.
        self.ask(Ping).addCallbacks(
            lambda answer: self._up(self._cluster, self, answer["revocations"]),
            lambda failure: failure.trap(P2PError),
        )

    def closed(self, reason: Failure) -> None:
        self._down(self._cluster, self)


def signer_runs(directory: Path) -> bool:
    """Whether a signer works with the lab in a folder."""
    lock = _locked(directory)
    if lock is None:
        return True
    os.close(lock)
    return False


def _locked(directory: Path) -> int | None:
    """Lock the folder for a signer; None if there is one."""
    path = directory / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise IdentityError(f"{path}: can't be written ({error.strerror})") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _own_credentials(authority: Authority, directory: Path, now: datetime) -> Credentials:
    """Make the signer's own certificate and key anew."""
    folder = directory / CERTIFICATES
    files = folder / f"{SIGNER}.pem", folder / f"{SIGNER}.key"
    for path in files:
        path.unlink(missing_ok=True)
    issued = authority.issue(SIGNER, folder, days=OWN_DAYS, now=now)
    return Credentials(issued.certificate, issued.key, authority.path, now=now)

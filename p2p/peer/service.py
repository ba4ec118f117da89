"""The peer daemon: its hosted peers, their console, and what they share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults, succeed
from twisted.internet.endpoints import clientFromString
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from p2p.base.config import PeerConfig, PeerEntry, RelayGrant, changed_fields
from p2p.base.endpoints import host_of_listener
from p2p.base.errors import ConfigError, IdentityError, P2PError
from p2p.base.log_gate import LogGate
from p2p.base.names import router_name
from p2p.base.notify import READY, STOPPING, notify
from p2p.base.process import CannotStart, keep_memory, most_open_files, raise_open_files
from p2p.console.server import ConsoleServer, Handler
from p2p.control.renewer import Renewer
from p2p.exchange.inbox import clear_leftovers
from p2p.exchange.rules import Offer
from p2p.exchange.service import IContentService, Services
from p2p.identity.believed import Believed
from p2p.identity.expiry import ExpiryWatch
from p2p.identity.revocations import Revocation
from p2p.identity.tls import Credentials
from p2p.peer.ages import Ages
from p2p.peer.console import PeerConsole
from p2p.peer.jobs import Jobs
from p2p.peer.node import HostedPeer
from p2p.peer.offered import OwnAddresses, own_addresses_of
from p2p.peer.offers import PendingOffers
from p2p.peer.ports import FreshPorts
from p2p.peer.pursuit import Surroundings
from p2p.peer.reachable import hindrances
from p2p.peer.reception import Reception
from p2p.peer.registration import Registration
from p2p.peer.roaming import Whereabouts
from p2p.peer.transfers.account import IncomingTransfer
from p2p.peer.transfers.journal import Journal
from p2p.peer.transfers.manager import Transfers
from p2p.peer.upkeep import JOURNAL, Leftovers, find_state, make_private
from p2p.services.relay import RelayTerms
from p2p.services.tunnel import Opening
from p2p.wire.monotonic import SleepWatch, asleep_s, boot_id, since_boot_s
from p2p.wire.netlink import watch_network
from p2p.wire.own_address import Attachment, attachment, source_towards
from p2p.wire.private import warn_of_missing

__all__ = ["OwnServices", "PeerService", "load_credentials"]

THREADS: Final = 64
"""Threads at most, besides one for each transfer that may take place: it holds one while it waits for the other end of
a pipe, or for the slowest of several receivers."""


RENEWED: Final = "certificates"
"""The folder for renewed certificates in that of the state; no peer is called so, as the name has a dot."""

_LIVE: Final = frozenset({"accept", "exists", "symlinks", "quota", "keep_free", "share"})
"""The keys of a hosted peer that may change while the daemon runs."""

OwnServices = Callable[[Mapping[str, HostedPeer], Jobs, Path], Iterable[IContentService]]
"""Makes the content services that belong to one daemon, from its hosted peers by name (filled in later), its threads,
and the folder of its state."""


def load_credentials(config: PeerConfig) -> list[Credentials]:
    """Load the certificates of all hosted peers.

    :raises ConfigError: if one can't be used, or is for another name than the peer's.
    """
    credentials, state = [], find_state(config)
    for peer in config.peers:
        try:
            renewed = state / RENEWED / f"{peer.name}.pem"
            loaded = Credentials(peer.certificate, peer.key, config.authority, renewed=renewed)
        except IdentityError as error:
            raise ConfigError(str(error)) from error
        if loaded.name != peer.name:
            raise ConfigError(
                f"{peer.certificate}: this certificate is for {loaded.name}, not for {peer.name}; "
                "name the right file, or make one with: p2p lab issue"
            )
        credentials.append(loaded)
    return credentials


class Watching(Protocol):
    """Watches how this machine is attached to networks; see :class:`~p2p.wire.netlink.NetworkWatch`."""

    def start(self) -> None:
        """Begin to watch."""

    def look(self) -> None:
        """See whether anything has changed."""

    def stop(self) -> None:
        """Watch no more."""


def _relay_terms(grant: RelayGrant | None) -> RelayTerms | None:
    if grant is None:
        return None
    return RelayTerms(tuple(grant.peers), grant.pairs, grant.each, grant.rate, grant.pair_rate)


class PeerService(MultiService):
    """Runs the peers that a configuration names.

    :param services: the content services that they offer.
    :param asleep: reads how long this machine has slept since it was booted, seconds.
    :param since_boot: reads how long ago that was, seconds.
    :param watch: watches how this machine is attached to networks.
    :param pool: the threads for what blocks; the reactor's own if there is none.
    :param own_services: makes the content services that aren't plugins, because they act for the peers of this daemon.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        config: PeerConfig,
        credentials: list[Credentials],
        services: Services,
        *,
        random: Callable[[int], bytes] = os.urandom,
        now_ns: Callable[[], int] = time.monotonic_ns,
        wall: Callable[[], float] = time.time,
        asleep: Callable[[], float] = asleep_s,
        since_boot: Callable[[], float] = since_boot_s,
        watch: Callable[[Any, Callable[[Attachment], object]], Watching] = watch_network,
        open_journal: Callable[[Path, Any], Journal] = Journal.open,
        pool: Any = None,
        own_services: OwnServices = lambda peers, jobs, state: (),
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's Service is untyped
        self._config = config
        self._reactor = reactor
        self._wall = wall
        self._open_journal = open_journal

        self._pool = pool or reactor.getThreadPool()

        def threads(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
            return deferToThreadPool(reactor, self._pool, function, *arguments)

        self._jobs = Jobs(reactor, threads)
        self.peers: dict[str, HostedPeer] = {}
        self._state = find_state(config)
        self._gate = LogGate(reactor)
        self._ports = FreshPorts(config.ports or ())
        surroundings = Surroundings(
            reactor=reactor,
            limits=config.limits,
            services=services.joined_by(*own_services(self.peers, self._jobs, self._state)),
            threads=self._jobs,
            random=random,
            now_ns=now_ns,
            listen=config.listen,
            plain=config.links == "plain",
            gate=self._gate,
            scopes=config.limits.scopes(most_open_files()),
            own=lambda: self._own,
            ports=self._ports,
            hinders=self._hinders,
        )
        self._own = self._addresses_of(attachment())
        self._random = random
        self._now_ns = now_ns
        self._offers = PendingOffers(reactor, lambda: random(4).hex(), self._gate)
        self._transfers: Transfers | None = None
        self._starting: Deferred[None] = succeed(None)
        router, turn = clientFromString(reactor, config.router), DeferredSemaphore(config.limits.connecting)
        self._believed = Believed(self._state, config.authority, wall)
        self._believed.watchers.append(self._revoked)
        self._registrations: list[Registration] = []
        self._receptions: dict[str, Reception] = {}
        self._credentials = credentials
        self._renewer = Renewer(reactor, wall)
        for entry, own in zip(config.peers, credentials, strict=True):
            own.revocations = self._believed.revocations
            registration = Registration(reactor, router, own, config.limits, turn, self._believed)
            self._registrations.append(registration)
            self._renewer.add(own, registration.renew, registration.dial_now)
            self.peers[entry.name] = HostedPeer(
                own,
                entry.inbox,
                surroundings,
                self._receptions.setdefault(entry.name, self._reception(entry)),
                registration,
                relay=_relay_terms(entry.relay),
                relayed=entry.relayed,
                openings=[Opening(one.to, tuple(one.peers)) for one in entry.tunnel],
            )
        self._expiry = ExpiryWatch(reactor, credentials, config.authority, wall)
        inboxes = {entry.name: entry.inbox for entry in config.peers}
        self._leftovers = Leftovers(
            reactor,
            inboxes,
            [self._state / name / kind for name in inboxes for kind in ("ended", "agreed", "served")],
            self._jobs,
            Ages(self._state / "ages.json", boot_id(), since_boot, wall),
            config.limits.unfinished_days,
            self._forget,
        )
        self._sleep = SleepWatch(reactor, self._slept, asleep)
        self._network = watch(reactor, self._moved)
        self._operations: dict[str, Handler] = {}  # they are there as soon as the journal is open
        self._console = ConsoleServer(
            reactor, config.console, self._operations, connections=config.limits.console_connections
        )
        self._console.setServiceParent(self)  # type: ignore[no-untyped-call]  # Twisted's Service is untyped

    def startService(self) -> None:
        """Make the inboxes, open the console, and let every peer register."""
        raise_open_files()
        keep_memory()
        warn_of_missing()
        self._pool.adjustPoolsize(maxthreads=THREADS + self._config.limits.transfers)
        if self._config.links == "plain":
            self._log.warn(
                "PLAIN LINKS: content goes over the network unencrypted, and certificates don't protect it; "
                "set 'links: tls' unless this is a measurement in a closed lab"
            )
        try:
            self._expiry.start()
            for entry in self._config.peers:
                entry.inbox.mkdir(mode=0o700, parents=True, exist_ok=True)
            super().startService()  # type: ignore[no-untyped-call]  # Twisted's Service is untyped
            # Not before the console is ours: another daemon with this configuration would be receiving into them.
            for entry in self._config.peers:
                if count := clear_leftovers(entry.inbox):
                    self._log.info("{name}: removed {count} unfinished files", name=entry.name, count=count)
            transfers = self._open_transfers()
        except OSError as error:
            raise CannotStart(
                f"p2p-peer: can't use {error.filename}: {error.strerror}; see to its owner and mode"
            ) from error
        except P2PError as error:
            raise CannotStart(f"p2p-peer: {error}") from error
        for peer in self.peers.values():
            peer.start()
        self._starting = Deferred.fromCoroutine(transfers.start())
        self._starting.addErrback(lambda failure: self._log.failure("unfinished transfers can't be taken up", failure))
        self._leftovers.start()
        self._renewer.start()
        self._sleep.start()
        self._network.start()
        self._log.info("{count} peers of cluster {cluster}", count=len(self.peers), cluster=self._config.cluster)
        notify(READY)

    def stopService(self) -> Deferred[Any]:
        """End the links politely, leave the router, close the console, and wait for the disk."""
        notify(STOPPING)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._expiry.stop()
        self._renewer.stop()
        self._leftovers.stop()
        self._sleep.stop()
        self._network.stop()
        transfers = self._transfers
        if transfers is not None:
            await transfers.stop()
            await self._starting
        leaving = [Deferred.fromCoroutine(peer.stop()) for peer in self.peers.values()]
        stopping = super().stopService()  # type: ignore[no-untyped-call]  # Twisted's Service is untyped
        await gatherResults([*leaving, stopping], consumeErrors=True)
        await self._jobs.when_idle()
        if transfers is not None:
            await transfers.close()
            self._transfers = None
        self._gate.close()

    def reload(self, config: PeerConfig) -> tuple[list[str], list[str]]:
        """Take another configuration into use, as far as that goes, without ending a link or an exchange.

        :returns: what has changed, and what needs a restart.
        :raises IdentityError: if a certificate can't be used any more; then nothing else changes.
        """
        changed, restart = [], sorted(changed_fields(self._config, config) - {"peers"})
        before = {one.name: one.certificate for one in self._credentials}
        for credentials in self._credentials:
            credentials.reload()
            if credentials.certificate != before[credentials.name]:
                changed.append(f"the certificate of {credentials.name}")
        fresh, entries = {one.name: one for one in config.peers}, []
        for entry in self._config.peers:
            other = fresh.pop(entry.name, None)
            if other is None:
                restart.append(f"that {entry.name} is gone")
                entries.append(entry)
                continue
            fields = changed_fields(entry, other)
            restart += [f"{field} of {entry.name}" for field in sorted(fields - _LIVE)]
            changed += [f"{field} of {entry.name}" for field in sorted(fields & _LIVE)]
            entries.append(entry.model_copy(update={field: getattr(other, field) for field in fields & _LIVE}))
            self._receptions[entry.name].change(entries[-1])
        restart += [f"that {name} has come" for name in fresh]
        self._config = self._config.model_copy(update={"peers": entries})
        return changed, restart

    def _revoked(self, new: list[Revocation]) -> None:
        """Links to whoever has one of these keys end at once, and so does the connection to a router that has one."""
        keys = {one.key for one in new}
        for registration in self._registrations:
            registration.revoked(keys)
        for peer in self.peers.values():
            peer.revoked(keys)

    def _slept(self, seconds: float) -> None:
        """The other ends may have given their connections up meanwhile, without a word that arrived here."""
        self._log.info("this machine slept for {seconds:.0f} s; whether links stand is asked anew", seconds=seconds)
        for peer in self.peers.values():
            peer.slept(seconds)
        self._network.look()

    def _moved(self, attached: Attachment) -> None:
        """Connections from an address that is gone are over, though nobody may ever say so."""
        self._log.info(
            "this machine's networks have changed: its addresses are {addresses} now",
            addresses=", ".join(sorted(attached.addresses)) or "none",
        )
        self._own = self._addresses_of(attached)
        where = Whereabouts(attached.addresses, source_towards)
        for peer in self.peers.values():
            peer.moved(where)

    def _addresses_of(self, attached: Attachment) -> OwnAddresses:
        choice = self._config.addresses
        return own_addresses_of(attached.interfaces, attached.sources, choice.offer, choice.leave_out)

    def _hinders(self, name: str, observed: str) -> list[str]:
        router, host = router_name(self._config.cluster), host_of_listener(self._config.listen)
        return hindrances(name, router, observed, host)

    def _reception(self, entry: PeerEntry) -> Reception:
        return Reception(
            entry,
            self._offers,
            self._incoming,
            self._given_up,
            self._check_wanted,
            self._state / entry.name,
            self._jobs,
            self._reactor.seconds,
        )

    def _incoming(
        self, acting: str, offer: Offer, stop: Callable[[str], None], folder: Path | None = None
    ) -> IncomingTransfer:
        assert self._transfers is not None, "peers are registered only while the daemon runs"
        return self._transfers.incoming(acting, offer, stop, folder)

    async def _forget(self, ages: Ages, limit_s: float) -> None:
        if self._transfers is not None:
            await self._transfers.forget(ages, limit_s)

    async def _given_up(self, acting: str, offer: Offer, folder: Path) -> None:
        assert self._transfers is not None, "peers are registered only while the daemon runs"
        await self._transfers.given_up(acting, offer, folder)

    async def _check_wanted(self, acting: str, offer: Offer) -> None:
        assert self._transfers is not None, "peers are registered only while the daemon runs"
        await self._transfers.check_wanted(acting, offer)

    def _open_transfers(self) -> Transfers:
        """Open the journal, and offer the operations of the console, all of which are answered from here on."""
        state, journal = self._state, self._state / JOURNAL
        make_private(state)
        if not journal.exists():
            self._log.info("{path}: a new journal of transfers; nothing is known of earlier ones", path=str(journal))
        self._transfers = Transfers(
            self._reactor,
            self.peers,
            self._open_journal(journal, self._reactor),
            state,
            self._jobs,
            self._wall,
            self._random,
            sessions=self._config.limits.transfers,
            unfinished=self._config.limits.transfers_unfinished,
            boot=boot_id(),
            gate=self._gate,
        )
        operations = PeerConsole(
            self._reactor,
            self.peers,
            cluster=self._config.cluster,
            router=self._config.router,
            security=self._config.links,
            threads=self._jobs,
            now_ns=self._now_ns,
            console_clients=lambda: self._console.connected,
            transfers=self._transfers,
            consent=self._offers,
            warnings=lambda name: [*self._ports.warnings, *self._expiry.warnings(name)],
            days_left=self._expiry.days_left,
        )
        self._operations.update(operations.handlers())
        return self._transfers

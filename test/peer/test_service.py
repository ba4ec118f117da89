"""The peer daemon: it starts whole or not at all, and stops leaving nothing."""

from __future__ import annotations

import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import AcceptRule, PeerConfig, PeerEntry, PeerLimits
from p2p.base.errors import ConfigError, LocalFileError
from p2p.base.notify import READY, STOPPING
from p2p.base.process import CannotStart
from p2p.console import server
from p2p.exchange.rules import Offer
from p2p.exchange.service import Services
from p2p.peer import service as module
from p2p.peer.registration import Registration
from p2p.peer.service import THREADS, PeerService, load_credentials
from p2p.peer.transfers.journal import Journal
from p2p.wire.monotonic import LOOK_S
from p2p.wire.own_address import Attachment
from test.identities import tls_files
from test.network import Machine, Network
from test.peer.pair import N1
from test.peer.routers import ROUTER, Router
from test.peer.transfers.journals import make_journal


class Pool:
    """Threads that do their work at once, or when the test lets them.

    :ivar held: the work that waits, once the test has made it a list.
    """

    def __init__(self) -> None:
        self.size = 0
        self.held: list[Callable[[], None]] | None = None

    def adjustPoolsize(self, maxthreads: int) -> None:
        self.size = maxthreads

    def callInThreadWithCallback(self, told: Callable[[bool, Any], None], function: Any, *arguments: Any) -> None:
        def work() -> None:
            doing = maybeDeferred(function, *arguments)
            doing.addCallbacks(lambda result: told(True, result), lambda failure: told(False, failure))

        if self.held is None:
            work()
        else:
            self.held.append(work)


class Reactor(Machine):
    """A machine with UNIX sockets and threads.

    :ivar consoles: the paths on which somebody listens.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network, N1)
        self.consoles: list[str] = []
        self.pool = Pool()

    def getThreadPool(self) -> Pool:
        return self.pool

    def callFromThread(self, function: Any, *arguments: Any) -> None:
        function(*arguments)

    def listenUNIX(self, path: str, factory: Any, mode: int) -> Any:
        self.consoles.append(path)
        consoles = self.consoles

        class Port:
            def stopListening(self) -> None:
                consoles.remove(path)

        return Port()


class NoWatch:
    """Sees nothing of the networks by itself.

    :ivar looks: how often it was told to look.
    """

    def __init__(self, reactor: Any, changed: Callable[[Attachment], object]) -> None:
        self.changed = changed
        self.looks = 0
        self.started = False

    def start(self) -> None:
        self.started = True

    def stop(self) -> None:
        self.started = False

    def look(self) -> None:
        self.looks += 1


class ServiceCase(SynchronousTestCase):
    """A daemon that hosts n1.n and n2.n."""

    def setUp(self) -> None:
        """Make it; it isn't started."""
        folder = tempfile.TemporaryDirectory(prefix="p2p-")  # short, for the path of the console
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.network = Network()
        self.reactor = Reactor(self.network)
        self.told: list[str] = []
        self.patch(module, "notify", self.told.append)

    def config(self, *names: str, days: float = 100, certificate_of: str = "", **more: Any) -> PeerConfig:
        """A configuration."""
        entries = []
        for name in names or ("n1.n", "n2.n"):
            files = tls_files(certificate_of or name, days=days)
            entries.append(
                PeerEntry(name=name, certificate=files.certificate, key=files.key, inbox=self.folder / "inbox" / name)
            )
        return PeerConfig(
            router=f"tcp:{ROUTER}:5555",
            authority=tls_files("n1.n").authority,
            console=self.folder / "console",
            peers=entries,
            **more,
        )

    def make(
        self,
        *,
        wall: Callable[[], float] = time.time,
        asleep: Callable[[], float] = lambda: 0.0,
        since_boot: Callable[[], float] = lambda: 0.0,
        watch: Any = NoWatch,
        **more: Any,
    ) -> PeerService:
        """Make a daemon."""
        config = self.config(**more)
        return PeerService(
            self.reactor,
            config,
            load_credentials(config),
            Services([]),
            wall=wall,
            asleep=asleep,
            since_boot=since_boot,
            watch=watch,
            open_journal=lambda path, reactor: make_journal(path)[0],
        )


class StartTests(ServiceCase):
    def test_start(self) -> None:
        """It makes the inboxes, opens the console, registers every peer, and says that it is ready."""
        router = Router(self.network)
        service = self.make()
        service.startService()
        self.assertEqual(([READY], [str(self.folder / "console")]), (self.told, self.reactor.consoles))
        self.network.settle()
        self.assertEqual(["n1.n", "n2.n"], sorted(asked["name"] for asked in router.asked))
        for peer in service.peers.values():
            self.assertTrue(peer.registration.registered)
            inbox = self.folder / "inbox" / peer.name
            self.assertEqual(0o700, stat.S_IMODE(inbox.stat().st_mode))
        stopping = service.stopService()
        self.network.settle()
        self.successResultOf(stopping)

    def test_slept(self) -> None:
        """After the machine has slept, every peer registers anew at once, and that is logged."""
        router = Router(self.network)
        asleep_s = 100.0
        service = self.make(asleep=lambda: asleep_s)
        service.startService()
        self.network.advance(20)
        asleep_s += 7200
        with capturedLogs() as logs:
            self.network.advance(LOOK_S)
        self.assertEqual([7200.0], [one["seconds"] for one in logs if "machine slept" in one["log_format"]])
        self.assertEqual(["n1.n", "n1.n", "n2.n", "n2.n"], sorted(asked["name"] for asked in router.asked))
        self.assertTrue(all(peer.registration.registered for peer in service.peers.values()))

    def test_moved(self) -> None:
        """When the machine has lost the address from which its peers are registered, all register anew at once, and
        that is logged; it looks for such a change as long as it runs, and after a sleep without being told."""
        router = Router(self.network)
        watches: list[NoWatch] = []

        def watch(reactor: Any, changed: Callable[[Attachment], object]) -> NoWatch:
            watches.append(NoWatch(reactor, changed))
            return watches[0]

        asleep_s = 100.0
        service = self.make(asleep=lambda: asleep_s, watch=watch)
        self.assertFalse(watches[0].started)
        service.startService()
        self.network.settle()
        self.assertTrue(watches[0].started)
        with capturedLogs() as logs:
            watches[0].changed(
                Attachment(frozenset({("eth0", "198.51.100.7", 24), ("eth1", "198.51.100.6", 24)}), frozenset())
            )
            self.network.settle()
        self.assertEqual(
            ["198.51.100.6, 198.51.100.7"], [one["addresses"] for one in logs if "networks have" in one["log_format"]]
        )
        self.assertEqual(["n1.n", "n1.n", "n2.n", "n2.n"], sorted(asked["name"] for asked in router.asked))
        asleep_s += 2.0
        self.network.advance(LOOK_S)
        self.assertEqual(1, watches[0].looks)
        stopping = service.stopService()
        self.network.settle()
        self.successResultOf(stopping)
        self.assertFalse(watches[0].started)

    def test_leftovers(self) -> None:
        """What a killed daemon left unfinished is removed, and counted in the log."""
        inbox = self.folder / "inbox" / "n1.n"
        inbox.mkdir(parents=True)
        (inbox / ".p2p-1.part").touch()
        with capturedLogs() as logs:
            self.make().startService()
        self.assertEqual([], list(inbox.iterdir()))
        self.assertEqual(
            [("n1.n", 1)], [(one["name"], one["count"]) for one in logs if "unfinished" in one["log_format"]]
        )

    def test_second_daemon(self) -> None:
        """A daemon that is started a second time refuses, and takes nothing from the first, which is receiving."""
        inbox = self.folder / "inbox" / "n1.n"
        inbox.mkdir(parents=True)
        (inbox / ".p2p-1.part").touch()

        def taken(*arguments: object) -> None:
            raise LocalFileError("console: a daemon answers on this console already; stop it, or name another console")

        self.patch(server, "listen_privately", taken)
        refusal = self.assertRaises(CannotStart, self.make().startService)
        self.assertIn("a daemon answers on this console already", str(refusal))
        self.assertTrue((inbox / ".p2p-1.part").exists())
        self.assertEqual([], self.told)

    def test_bad_inbox(self) -> None:
        """An inbox that can't be used ends the start, with its path and what to look at."""
        (self.folder / "inbox").touch()
        refusal = str(self.assertRaises(CannotStart, self.make().startService))
        self.assertIn(str(self.folder / "inbox"), refusal)
        self.assertIn("see to its owner and mode", refusal)
        self.assertEqual(([], []), (self.told, self.reactor.consoles))

    def test_plain(self) -> None:
        """A daemon that allows plain links warns at every start."""
        with capturedLogs() as logs:
            self.make(links="plain").startService()
        self.assertEqual(1, len([one for one in logs if "PLAIN LINKS" in one["log_format"]]))
        with capturedLogs() as logs:
            self.make().startService()
        self.assertEqual([], [one for one in logs if "PLAIN LINKS" in one["log_format"]])

    def test_reload(self) -> None:
        """Rules and shares change while it runs; what can't, and who has come or gone, is named."""
        service = self.make()
        config = service._config
        first, *others = config.peers
        fresh = first.model_copy(update={"accept": [], "quota": 7, "keep_free": 5, "relayed": False})
        found = service.reload(config.model_copy(update={"peers": [fresh, *others], "listen": "tcp:0"}))
        changed, restart = [f"{field} of {first.name}" for field in ("accept", "keep_free", "quota")], ["listen"]
        self.assertEqual((changed, [*restart, f"relayed of {first.name}"]), found)
        reception = service._receptions[first.name]
        self.assertEqual(([], 7, 5), (reception._rules, reception._room._quota, reception._room._keep_free))
        self.assertEqual(config.listen, service._config.listen)
        other = first.model_copy(update={"name": "n77.n"})
        _, restart = service.reload(service._config.model_copy(update={"peers": [other]}))
        gone = [f"that {one.name} is gone" for one in config.peers]
        self.assertEqual([*gone, "that n77.n has come"], restart)
        self.assertEqual(len(config.peers), len(service._config.peers))

    def test_expiry(self) -> None:
        """A certificate that ends soon is warned of at the start."""
        with capturedLogs() as logs:
            self.make(days=5).startService()
        told = [str(formatEvent(one)) for one in logs]
        self.assertEqual(
            2, len([one for one in told if "expires in " in one and "it is renewed as soon as a signer" in one])
        )

    def test_limits(self) -> None:
        """The limits of the server, of registrations and of transfers at once are those of the configuration."""
        service = self.make(limits=PeerLimits(console_connections=7, connecting=3, transfers=5, transfers_unfinished=9))
        self.assertEqual(7, service._console.factory.max_connections)
        turns = {cast(Registration, peer.registration)._turn for peer in service.peers.values()}
        self.assertEqual([3], [turn.limit for turn in turns])
        service.startService()
        transfers = service._transfers
        assert transfers is not None
        self.assertEqual((5, 9), (transfers._shared.slots.limit, transfers._unfinished))
        self.assertEqual(THREADS + 5, self.reactor.pool.size)

    def test_expired_parts(self) -> None:
        """What nobody has gone on with for so many days is removed at the start, in a thread; the rest stays, whatever
        the wall clock says."""
        inbox = self.folder / "inbox" / "n2.n"
        part = inbox / f".p2p-{'0a' * 8}"
        part.mkdir(parents=True)
        since_boot = [1000.0]
        for passed_s, left in ((0.0, [part]), (2 * 86_400 - 10, [part]), (10.0, [])):
            since_boot.append(since_boot[-1] + passed_s)
            self.reactor.pool.held = []
            service = self.make(
                limits=PeerLimits(unfinished_days=2),
                wall=lambda: 4e9 - since_boot[-1],
                since_boot=lambda: since_boot[-1],
            )
            service.startService()
            self.assertTrue(part.exists())
            while self.reactor.pool.held:
                self.reactor.pool.held.pop(0)()
            self.reactor.pool.held = None
            self.assertEqual(left, list(inbox.iterdir()))
            stopping = service.stopService()
            self.network.advance(0.1)
            self.successResultOf(stopping)

    def test_state(self) -> None:
        """What must outlive the daemon is in one folder that nobody else can read, by peer where it is a peer's."""
        service = self.make(state=self.folder / "var" / "state")
        service.startService()
        state = self.folder / "var" / "state"
        self.assertEqual(0o700, stat.S_IMODE(state.stat().st_mode))
        self.assertEqual(0o600, stat.S_IMODE((state / "journal.sqlite").stat().st_mode))
        hosts = {name: peer._context.host for name, peer in service.peers.items()}
        self.assertEqual({name: state / name for name in hosts}, {name: host.state for name, host in hosts.items()})

    def test_bad_state(self) -> None:
        """A state that can't be kept ends the start, with its path."""
        (self.folder / "state").touch()
        refusal = str(self.assertRaises(CannotStart, self.make(state=self.folder / "state").startService))
        self.assertIn(str(self.folder / "state"), refusal)

    def test_consent(self) -> None:
        """All peers of a daemon ask the same person, and each by its own rules."""
        config = self.config()
        ask = AcceptRule.model_validate({"from": "*.m", "then": "ask"})
        n1, n2 = config.peers
        config = config.model_copy(update={"peers": [n1.model_copy(update={"accept": [ask]}), n2]})
        service = PeerService(self.reactor, config, load_credentials(config), Services([]), watch=NoWatch)
        told: list[str] = []
        offer = Offer("m1.m", "transfer", id="0123456789abcdef")
        asking, accepted = (
            Deferred.fromCoroutine(service.peers[name]._context.host.admit(offer, told.append))
            for name in ("n1.n", "n2.n")
        )
        self.assertEqual(n2.inbox, self.successResultOf(accepted).folder)
        self.assertNoResult(asking)
        (shown,) = service._offers.offers()
        self.assertEqual(("n1.n", "m1.m", 1), (shown.acting, shown.peer, len(told)))
        service._offers.decide(shown.offer, True)
        self.assertEqual(n1.inbox, self.successResultOf(asking).folder)


class CredentialsTests(ServiceCase):
    def test_loaded(self) -> None:
        """The peers' certificates come in the order of the configuration."""
        self.assertEqual(["n1.n", "n2.n"], [one.name for one in load_credentials(self.config())])

    def test_wrong_name(self) -> None:
        """A certificate of another name is told with both names and its file."""
        reason = str(self.assertRaises(ConfigError, load_credentials, self.config("n1.n", certificate_of="n9.n")))
        self.assertIn("this certificate is for n9.n, not for n1.n", reason)
        self.assertIn("p2p lab issue", reason)

    def test_unusable(self) -> None:
        """A certificate that can't be used at all is told with its file."""
        config = self.config("n1.n")
        broken = config.model_copy(update={"peers": [_vanished(config.peers[0])]})
        self.assertIn("/nowhere", str(self.assertRaises(ConfigError, load_credentials, broken)))


class StopTests(ServiceCase):
    def test_stop(self) -> None:
        """It says that it stops, leaves the router, closes the server, and nothing is left."""
        router = Router(self.network)
        service = self.make()
        service.startService()
        self.network.settle()
        stopping = service.stopService()
        self.assertEqual([READY, STOPPING], self.told)
        self.assertNoResult(stopping)
        self.network.settle()
        self.successResultOf(stopping)
        self.network.advance(0.1)
        self.assertEqual(([], []), (router.connections, self.reactor.consoles))
        self.assertEqual((set(), []), (self.network.wires, self.network.getDelayedCalls()))

    def test_without_a_router(self) -> None:
        """It stops as well while it can't register."""
        service = self.make()
        service.startService()
        self.network.advance(3)
        stopping = service.stopService()
        self.network.advance(0.1)
        self.successResultOf(stopping)
        self.assertEqual([], self.network.getDelayedCalls())

    def test_waits_for_the_disk(self) -> None:
        """It has stopped when the threads are done with the disk."""
        service = self.make()
        service.startService()
        self.network.settle()
        self.reactor.pool.held = []
        work: Deferred[int] = service._jobs(len, "four")
        stopping = service.stopService()
        self.network.advance(1)
        self.assertNoResult(stopping)
        self.reactor.pool.held.pop()()
        self.network.advance(0.1)
        self.assertEqual(4, self.successResultOf(work))
        self.successResultOf(stopping)

    def test_waits_for_the_start(self) -> None:
        """It closes the journal when nobody reads in it any more, even if it is stopped at once."""
        pools = []

        def open_journal(path: Path, reactor: Any) -> Journal:
            journal, pool = make_journal(path)
            pool.held = []
            pools.append(pool)
            return journal

        config = self.config()
        credentials = load_credentials(config)
        service = PeerService(self.reactor, config, credentials, Services([]), watch=NoWatch, open_journal=open_journal)
        service.startService()
        (pool,) = pools
        stopping = service.stopService()
        self.network.advance(1)
        self.assertNoResult(stopping)
        self.assertFalse(pool.closed)
        while pool.held:
            pool.held.pop(0)()
            self.network.advance(0.1)
        self.successResultOf(stopping)
        self.assertTrue(pool.closed)


def _vanished(entry: PeerEntry) -> PeerEntry:
    return entry.model_copy(update={"certificate": Path("/nowhere/n1.n.pem")})

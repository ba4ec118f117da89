"""Tests of a router's start and stop."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import RouterConfig, TLSFiles
from p2p.base.errors import IdentityError, P2PError
from p2p.base.notify import READY, STOPPING
from p2p.base.process import CannotStart
from p2p.console.operations import NoArguments
from p2p.router import service
from p2p.router.service import RouterService, load_credentials
from p2p.wire.monotonic import LOOK_S
from test.router.lab import Lab, credentials, tls_files


async def tell_nobody(event: str, /, **fields: Any) -> None:
    """Emit nothing: a status has no events."""


class StartTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.lab = Lab()

    def test_ready(self) -> None:
        """A router is ready when it listens: then the service manager is told, and not before."""
        router = self.lab.make_router("n")
        self.assertEqual("", router.listening)
        raised: list[bool] = []
        self.patch(service, "raise_open_files", lambda: raised.append(True))
        router.privilegedStartService()
        self.assertEqual([True], raised)  # as many sockets as the system allows
        self.assertEqual("0.0.0.0:5555", router.listening)
        self.assertEqual([], self.lab.told)
        router.startService()
        self.assertEqual([READY], self.lab.told)
        self.lab.peer("n1.n")

    def test_seen_early(self) -> None:
        """A neighbour that links before the router is ready has nobody dialled: that begins with the start."""
        router = self.lab.make_router("n", "m")
        router.privilegedStartService()
        self.assertTrue(self.lab.connect("router.m", cluster="n").is_open)
        self.assertEqual([False], [link.running for link in router.federation])
        router.startService()
        self.assertEqual([True], [link.running for link in router.federation])

    def test_log(self) -> None:
        """One line says which cluster is served where, and who the neighbours are."""
        with capturedLogs() as logs:
            self.lab.start_router("n", "k", "m")
        (line,) = [one for one in logs if "serving" in one["log_format"]]
        self.assertEqual(("n", "0.0.0.0:5555", "k, m"), (line["cluster"], line["listening"], line["neighbours"]))

    def cannot_listen(self, number: int) -> str:
        """What is said when the port can't be had for this reason."""
        router = self.lab.make_router("n")

        def refuse(port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
            raise CannotListenError(interface, port, OSError(number, "why"))

        self.patch(router._reactor, "listenTCP", refuse)
        error = self.assertRaises(CannotStart, router.privilegedStartService)
        self.assertEqual([], self.lab.told)
        return str(error)

    def test_taken_port(self) -> None:
        """A taken port ends the start with one line that names it and says what to do."""
        self.lab.start_router("n")
        error = self.assertRaises(CannotStart, self.lab.make_router("n").startService)
        self.assertEqual(
            "can't listen on tcp:5555: in use; stop the program that listens there (ss -ltnp shows it) "
            "or change listen in the configuration",
            str(error),
        )

    def test_other_reasons(self) -> None:
        """So do an address that the machine doesn't have, a port that is privileged, and anything else."""
        self.assertIn("this machine has no such address", self.cannot_listen(errno.EADDRNOTAVAIL))
        self.assertIn("a port above 1023", self.cannot_listen(errno.EACCES))
        self.assertIn("any:5555", self.cannot_listen(errno.EMFILE))

    def test_no_systemd(self) -> None:
        """A socket that systemd should hand over, and doesn't, is told likewise."""
        files = tls_files("router.n")
        config = RouterConfig(cluster="n", listen="systemd:domain=INET:index=0", tls=files)
        router = RouterService(MemoryReactorClock(), config, credentials("router.n"), random=lambda: 0.0)
        error = self.assertRaises(CannotStart, router.startService)
        self.assertIn("systemd handed over no such socket", str(error))

    def test_exit_code(self) -> None:
        """What stops the start is an exit with code 1 and a text, without a traceback; twistd tidies up after it."""
        error = CannotStart("why")
        self.assertIsInstance(error, SystemExit)
        self.assertIsInstance(error, P2PError)
        self.assertEqual("why", error.code)  # Python writes a text to stderr and exits with 1

    def test_expires_soon(self) -> None:
        """A certificate with less than 7 days left is warned of, at the start, then daily, and in the status."""
        for days, warnings in ((6, 1), (8, 0)):
            lab = Lab()
            router = lab.make_router("n", days=days)
            with capturedLogs() as logs:
                router.startService()
                lab.network.advance(86400)
            told = [formatEvent(one) for one in logs if one["log_level"] is LogLevel.warn]
            self.assertEqual(2 * warnings, len(told))
            status = self.successResultOf(Deferred.fromCoroutine(router.status(NoArguments(), tell_nobody)))
            self.assertEqual(told[:warnings], status.warnings)
            for one in told:
                self.assertIn("the certificate of router.n ", one)
                self.assertIn("p2p lab issue", one)

    def test_backlog(self) -> None:
        """Connections that wait to be accepted may be as many as may be pending: more than Twisted's 50."""
        asked: list[int] = []
        router = self.lab.make_router("n", pending_connections=123)
        listen = router._reactor.listenTCP

        class Socket:
            def listen(self, backlog: int) -> None:
                asked.append(backlog)

            def setsockopt(self, *option: int) -> None:
                """TCP_DEFER_ACCEPT."""

        def with_socket(*arguments: Any, **more: Any) -> Any:
            port = listen(*arguments, **more)
            port.socket = Socket()
            return port

        self.patch(router._reactor, "listenTCP", with_socket)
        router.startService()
        self.assertEqual([123], asked)


class StopTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.lab = Lab()
        self.network = self.lab.network
        self.router = self.lab.start_router("n")

    def test_polite(self) -> None:
        """Stopping ends the port and every connection politely, and leaves no timer."""
        peers = [self.lab.peer(f"n{number}.n") for number in range(3)]
        self.lab.connect("n9.n")
        stopped = self.router.stopService()
        self.network.settle()
        self.successResultOf(stopped)
        for peer in peers:
            assert peer.ended is not None
            self.assertEqual("ConnectionDone", type(peer.ended.value).__name__)
        self.assertEqual((0, {}, ""), (self.router.meter.open, self.network.ports, self.router.listening))
        self.assertEqual([READY, STOPPING], self.lab.told)
        self.assertEqual([], self.network.getDelayedCalls())

    def test_stubborn(self) -> None:
        """Who doesn't let go is cut off after 5 s."""
        self.lab.peer("n1.n", host="10.1.1.1")
        self.network.pull("10.1.1.1", self.lab.address("n"))
        stopped = self.router.stopService()
        self.network.advance(4.9)
        self.assertNoResult(stopped)
        self.network.advance(0.2)
        self.successResultOf(stopped)
        self.assertEqual(0, self.router.meter.open)

    def test_never_listened(self) -> None:
        """A router whose start failed can be stopped."""
        other = self.lab.make_router("n")
        self.assertRaises(CannotStart, other.startService)
        self.successResultOf(other.stopService())


class SleepTests(SynchronousTestCase):
    """The machine sleeps, and wakes up."""

    def test_slept(self) -> None:
        """After a sleep that everybody who was awake has taken for its end, all connections begin anew; that is
        logged once. A stopped router looks no more."""
        lab = Lab()
        routers = [lab.start_router(one, other) for one, other in ("nm", "mn")]
        peer = lab.peer("n1.n")
        lab.network.advance(20)
        lab.asleep_s += 7200
        with capturedLogs() as logs:
            lab.network.advance(2 * LOOK_S)
        self.assertIsNotNone(peer.ended)
        self.assertEqual([7200.0] * 2, [one["seconds"] for one in logs if "machine slept" in one["log_format"]])
        self.assertEqual([{"m": True}, {"n": True}], [one.federation.clusters for one in routers])
        stopping = [one.stopService() for one in routers]
        lab.network.settle()
        for one in stopping:
            self.successResultOf(one)
        self.assertEqual([], lab.network.getDelayedCalls())


class ConsoleTests(SynchronousTestCase):
    def test_no_socket(self) -> None:
        """A console that can't be had ends the start as a port does."""
        console = Path(self.mktemp())
        console.write_text("precious")
        files = tls_files("router.n")
        config = RouterConfig(cluster="n", listen="tcp:5555", tls=files, console=console)
        told: list[str] = []
        router = RouterService(
            MemoryReactorClock(), config, credentials("router.n"), random=lambda: 0.0, tell=told.append
        )
        error = self.assertRaises(CannotStart, router.startService)
        self.assertIn(str(console), str(error))
        self.assertEqual("precious", console.read_text())
        self.assertEqual([], told)

    def test_status(self) -> None:
        """``status`` tells how the router is, its bytes and its look-ups counted."""
        lab = Lab()
        lab.start_router("n", "m")
        lab.peer("n2.n")
        initiator = lab.peer("n1.n")
        self.successResultOf(initiator.request("n2.n"))
        router = lab.routers["n"]

        async def emit(event: str, /, **fields: Any) -> None:
            """Status has no events."""

        status = self.successResultOf(Deferred.fromCoroutine(router.status(NoArguments(), emit)))
        told = json.loads(status.model_dump_json())
        received, sent = told["socket_bytes"]["received"], told["socket_bytes"]["sent"]
        carried = [wire.sent for wire in lab.network.wires]
        self.assertEqual(sum(carried), received + sent)
        self.assertTrue(received > 1000 and sent > 1000)
        self.assertEqual(
            ("n", "0.0.0.0:5555", 2, {"m": False}, 2, 1, 1),
            (
                told["cluster"],
                told["listening"],
                told["peers"],
                told["neighbours"],
                told["connections"],
                told["lookups"],
                told["table_lookup_ns"]["count"],
            ),
        )
        self.assertTrue(0 < told["table_lookup_ns"]["mean"] <= told["table_lookup_ns"]["max"])


class LoadCredentialsTests(SynchronousTestCase):
    def config(self, files: TLSFiles) -> RouterConfig:
        return RouterConfig(cluster="n", listen="tcp:5555", tls=files)

    def test_own(self) -> None:
        """The certificate of the cluster's router is taken."""
        self.assertEqual("router.n", load_credentials(self.config(tls_files("router.n"))).name)

    def test_others(self) -> None:
        """A peer's or another router's isn't, with both names told."""
        for name in ("n1.n", "router.m"):
            error = self.assertRaises(IdentityError, load_credentials, self.config(tls_files(name)))
            self.assertIn(f"is the certificate of {name}", str(error))
            self.assertIn("router.n", str(error))

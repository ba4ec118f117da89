"""Tests of p2p.measure.processes."""

from __future__ import annotations

import psutil
from twisted.internet.defer import Deferred

from p2p.measure.processes import Daemon, DaemonFailed, Daemons
from test.functional.cases import FunctionalCase
from test.functional.lab import RunningLab, reactor, until


class DaemonsTests(FunctionalCase):
    """Daemons that don't do what they should."""

    async def prepare(self) -> None:
        """Make a lab with one router, for its configuration."""
        self.lab: RunningLab = self.own_lab("n")
        self.config = self.lab.folder / "router-n.yaml"
        self.daemons = Daemons(reactor, self.lab.folder)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.daemons.stop_all()))

    async def start(self, deadline: float = 30.0) -> Daemon:
        """Start the router."""
        return await self.daemons.start("router", "p2p-router", self.config, deadline=deadline)

    async def fails(self, deadline: float = 30.0) -> str:
        """See that the router doesn't start, and return why."""
        before = psutil.Process().children()
        error = await self.assertFailure(Deferred.fromCoroutine(self.start(deadline)), DaemonFailed)
        self.assertEqual([child for child in psutil.Process().children() if child not in before], [])
        self.assertEqual([one.name for one in self.lab.folder.iterdir() if one.is_socket()], [])
        return str(error)

    async def test_exits(self) -> None:
        """A daemon that ends instead of getting ready is reported with its exit code and what it said last."""
        self.config.write_text("cluster: n\n")
        reason = await self.fails()
        self.assertIn("router ended with exit code 2 before it was ready:", reason)
        self.assertIn(f"{self.config}:1: listen: is missing", reason)

    async def test_too_late(self) -> None:
        """A daemon that isn't ready by its deadline is ended and reported."""
        reason = await self.fails(deadline=0.01)
        self.assertIn("router wasn't ready within 0.01 s", reason)

    async def test_hangs(self) -> None:
        """A daemon that doesn't end when it is asked to is killed."""
        daemon = await self.start()
        self.assertGreater(daemon.open_sockets(), 1)
        self.assertGreater(daemon.memory_bytes(), 1 << 20)
        process = psutil.Process(daemon.pid)
        process.suspend()

        async def is_stopped() -> bool:
            return process.status() == psutil.STATUS_STOPPED

        await until(is_stopped, "the daemon to hang")
        self.assertEqual(await daemon.stop(deadline=0.1), -9)
        self.assertTrue(daemon.exited)
        self.assertEqual(await daemon.stop(), -9)

    async def test_killed(self) -> None:
        """A daemon that somebody kills is known to be gone."""
        daemon = await self.start()
        self.assertFalse(daemon.exited)
        daemon.kill()
        self.assertEqual(await daemon.when_exited(), -9)
        self.assertFalse(psutil.pid_exists(daemon.pid))

"""The functional test cases: they start labs and programs, and whatever a test starts is gone when it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.trial.unittest import TestCase

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.client import Client
from test.cli.test_process import Command
from test.functional.lab import RunningLab, no_links, reactor, shared_lab

__all__ = ["FunctionalCase", "Run", "SharedLabCase"]


class Run(Command):
    """A run of a program.

    :ivar printing: fires when it prints something for the first time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.printing: Deferred[None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        super().outReceived(data)
        if not self.printing.called:
            self.printing.callback(None)


class FunctionalCase(TestCase):
    """Starts labs and commands, and sees to it that nothing is left of them."""

    timeout = 60

    def setUp(self) -> Any:
        """Get ready, for which trial waits."""
        return Deferred.fromCoroutine(self.prepare())

    async def prepare(self) -> None:
        """Start what every test of the case needs."""

    def own_lab(self, clusters: Iterable[str] = ("n", "m"), **more: Any) -> RunningLab:
        """A lab for this test alone; nothing of it runs yet."""
        lab = RunningLab(clusters, **more)
        self.addCleanup(lambda: Deferred.fromCoroutine(lab.stop()))
        self.addCleanup(self.assert_no_faults, lab)
        return lab

    def assert_no_faults(self, lab: RunningLab) -> None:
        """No daemon of a lab has met a fault of its own."""
        if faults := lab.faults():
            self.fail(faults)

    async def client(self, lab: RunningLab, daemon: str) -> Client:
        """A client that is closed when the test ends."""
        client = await lab.connect(daemon)
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        return client

    async def fails_with(self, outcome: Outcome, exchange: Awaitable[Any]) -> str:
        """See an exchange end with an outcome, and return the reason."""
        try:
            answer = await exchange
        except ExchangeFailed as failure:
            self.assertEqual(failure.outcome, outcome, str(failure))
            return str(failure)
        raise AssertionError(f"{outcome} was expected, but it ended well: {answer}")

    def run_program(
        self, name: str, *arguments: str | bytes | Path, python: str = sys.executable, **environment: str
    ) -> Run:
        """Start a script that lies beside an interpreter; it is killed when the test ends before it."""
        run = Run()
        script = Path(python).with_name(name)
        argv = [os.fsencode(one) for one in (python, script, *arguments)]
        reactor.spawnProcess(run, python, argv, {**os.environ, **environment})

        def end() -> Deferred[int | None] | None:
            if run.ended.called:
                return None
            with suppress(ProcessExitedAlready):
                run.transport.signalProcess("KILL")
            return run.ended

        self.addCleanup(end)
        return run

    def p2p(self, lab: RunningLab, daemon: str, *arguments: str | bytes | Path) -> Run:
        """Start the ``p2p`` command for a daemon of a lab, in the version of the daemon."""
        config = str(lab.folder / f"{daemon}.yaml")
        return self.run_program("p2p", *arguments, python=lab.python(daemon), P2P_CONFIG=config)

    async def ended(self, run: Run, code: int | None) -> str:
        """Wait until a command has ended with this code, None for a signal, and return its standard error."""
        found = await run.ended
        self.assertEqual(found, code, (run.printed + run.errors).decode(errors="replace"))
        return run.errors.decode()


class SharedLabCase(FunctionalCase):
    """Tests that share one lab and leave it as it was.

    :ivar lab: it.
    :ivar clients: of its daemons, by cluster.
    """

    async def prepare(self) -> None:
        """Start the lab if it doesn't run yet."""
        self.lab = await shared_lab()
        self.addCleanup(self.assert_no_faults, self.lab)
        self.clients = {cluster: await self.client(self.lab, f"peers-{cluster}") for cluster in self.lab.ports}
        self.addCleanup(lambda: Deferred.fromCoroutine(self._tidy()))

    async def _tidy(self) -> None:
        for cluster in self.lab.ports:
            await no_links(self.clients[cluster])

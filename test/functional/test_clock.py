"""The wall clock of a machine is set while its daemons run: forwards, backwards, and nothing breaks."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from twisted.internet.task import deferLater

from p2p.console.operations import Pinged
from test.functional.cases import FunctionalCase, Run
from test.functional.lab import RunningLab, reactor, until
from test.needs import needs

SIZE: Final = 12_000_000
LIMIT: Final = "2M"

AFTER_S: Final = 2.0
"""Seconds after a step in which what counts by the wall clock would have broken."""


class Clock:
    """The wall clock of those who have its environment; their monotonic clock stays the kernel's.

    :ivar environment: what makes a program see it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "clock"
        self._ahead_s = 0
        self.step(0)
        library = subprocess.run(
            ["faketime", "-m", "-f", "+0", "printenv", "LD_PRELOAD"], check=True, capture_output=True, text=True
        )
        self.environment = {
            "LD_PRELOAD": library.stdout.strip(),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, seconds: int) -> None:
        """Set it so many seconds further on, or back."""
        self._ahead_s += seconds
        fresh = self._path.with_suffix(".new")
        fresh.write_text(f"{self._ahead_s:+}")
        fresh.replace(self._path)


@needs("faketime")
class ClockTests(FunctionalCase):
    """n1.n to m1.m in two clusters, on one machine whose clock is set."""

    timeout = 120

    async def prepare(self) -> None:
        """Start the lab under a clock of its own, and see that the daemons go by it."""
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        self.clock = Clock(Path(folder.name))
        self.lab: RunningLab = self.own_lab(environment=self.clock.environment)
        await self.lab.start(n=["n1.n"], m=["m1.m"])
        self.console = await self.client(self.lab, "n")
        self.film = self.lab.folder / "film"
        self.film.write_bytes(os.urandom(SIZE))

    def sending(self) -> Run:
        """A transfer that takes six seconds; its command sees the clock as well."""
        config = str(self.lab.folder / "n.yaml")
        arguments = ("send", "--json", "--limit", LIMIT, "m1.m", self.film)
        return self.run_program("p2p", *arguments, P2P_CONFIG=config, **self.clock.environment)

    async def nothing_broke(self) -> None:
        """The link stands, all are registered, and no log tells of a connection that ended."""
        link = await self.console.link("m1.m")
        self.assertTrue(link.reused)
        self.assertIsInstance(await self.console.ping("m1.m"), Pinged)
        for daemon in "nm":
            self.assertTrue((await self.lab.peer_status(daemon)).router.connected)
        for cluster in "nm":
            self.assertTrue(all((await self.lab.router_status(cluster)).neighbours.values()))
        for name in self.lab.daemons:
            for sign in ("silent", "nothing heard", "nothing was heard", " ended", "aborted", "cutting off"):
                self.assertNotIn(sign, self.lab.log(name))

    async def stepped(self, seconds: int) -> None:
        """Step the clock in the middle of a transfer, back with an idle link, and again while no router is there."""
        await self.console.link("m1.m")
        run = self.sending()
        await until(lambda: self.is_moving(run), "the transfer to be under way")
        self.clock.step(seconds)
        self.assertFalse(run.ended.called)
        await self.ended(run, 0)
        events = [json.loads(line) for line in run.printed.splitlines()]
        self.assertEqual({"stalled", "waiting", "failed"} & {one["event"] for one in events}, set())
        self.assertEqual((self.lab.folder / "inbox" / "m1.m" / "film").read_bytes(), self.film.read_bytes())
        (transfer,) = json.loads(await self.printed("transfers", "--json"))["transfers"]
        took_s = transfer["updated"] - transfer["created"]  # by the clock that people see
        self.assertLess(abs(took_s - seconds), 60)
        self.clock.step(-seconds)
        await deferLater(reactor, AFTER_S)
        await self.nothing_broke()
        self.lab.daemons["router-n"].kill()
        await self.lab.daemons["router-n"].when_exited()
        await until(self.is_unregistered, "n1.n to notice that its router is gone")
        self.clock.step(seconds)
        await self.lab.start_router("n")
        await self.lab.all_registered("n")
        await self.lab.linked()
        await self.console.disconnect()
        self.assertEqual("HELLO", (await self.console.message("m1.m", "hello")).text)

    async def is_unregistered(self) -> bool:
        """Whether n1.n waits to dial its router again."""
        return not (await self.lab.peer_status("n")).router.connected

    async def is_moving(self, run: Run) -> bool:
        """Whether a transfer has told that bytes have arrived."""
        return b'"progress"' in run.printed

    async def printed(self, *arguments: str) -> str:
        """What a command for the daemon of n1.n prints."""
        run = self.p2p(self.lab, "n", *arguments)
        await self.ended(run, 0)
        return run.printed.decode()

    async def test_forwards(self) -> None:
        """The clock goes two hours forwards: a transfer goes on to its end in one session, an idle link and the
        control channels stand, and who waits to dial a router again isn't held up when the clock is set right."""
        await self.stepped(7200)

    async def test_backwards(self) -> None:
        """The clock goes back by half an hour: the same."""
        await self.stepped(-1800)

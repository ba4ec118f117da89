"""Peers at all kinds of sites, asked for by peers at all kinds: what comes of it is what ``docs/reach.rst`` says."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from unittest import skipUnless

from twisted.internet.defer import Deferred, gatherResults

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.client import Client
from test.functional.cases import FunctionalCase
from test.functional.lab import RunningLab
from test.functional.machines import interpreter
from test.functional.reach.net import SITES, Host, internet
from test.needs import needs

OPEN: Final = "open"
RANDOM: Final = "NAT with random ports"
ANSWERS: Final = "NAT that answers with RST"


def expected(asking: str, asked: str) -> bool | None:
    """Whether a pair links; None where that is a matter of milliseconds."""
    if OPEN in (asking, asked):
        return True
    if RANDOM in (asking, asked):
        return False
    return None if asking == asked == ANSWERS else True


@skipUnless(os.geteuid() == 0 and Path("/dev/net/tun").exists(), "needs root and /dev/net/tun")
@needs("ip", "nft")
class DaemonTests(FunctionalCase):
    """A peer of each cluster at each site, and the routers at an open one."""

    timeout = 120

    async def prepare(self) -> None:
        """Start everybody."""
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        stack = ExitStack()
        self.addCleanup(stack.close)
        routers, *machines = stack.enter_context(internet(SITES[0], *SITES, *SITES))
        self.lab: RunningLab = self.own_lab(hosts={"n": routers.seen, "m": routers.seen})
        self.put("router-n", routers)
        self.lab.pythons["router-m"] = self.lab.pythons["router-n"]
        peers = {}
        for number, machine in enumerate(machines):
            cluster, site = "nm"[number // len(SITES)], number % len(SITES) + 1
            name = f"{cluster}{site}"
            self.put(name, machine)
            peers[name] = [f"{name}.{cluster}"]
        await self.lab.start(**peers)
        self.clients: dict[str, Client] = {name: await self.client(self.lab, name) for name in peers}

    def put(self, name: str, machine: Host) -> None:
        """Let a daemon run on a machine."""
        enter = f"nsenter --net=/proc/{os.getpid()}/fd/{machine.space}"
        self.lab.pythons[name] = interpreter(self.folder, name, enter)

    async def test_every_pair(self) -> None:
        """Every pair is tried, each initiator beside the others."""
        for turn in range(len(SITES)):
            pairs = [(number, (number + turn) % len(SITES)) for number in range(len(SITES))]
            await gatherResults([Deferred.fromCoroutine(self.tried(*pair)) for pair in pairs], consumeErrors=True)

    async def tried(self, asking: int, asked: int) -> None:
        """Try one pair."""
        names = SITES[asking].name, SITES[asked].name
        may = expected(*names)
        try:
            answer = await self.clients[f"n{asking + 1}"].message(f"m{asked + 1}.m", "hello")
        except ExchangeFailed as error:
            self.assertFalse(may, f"{' asks '.join(names)}: {error}")
            self.assertEqual(Outcome.CONNECT_FAILED, error.outcome)
            self.assertIn("let a firewall on one of the two let TCP in", str(error))
        else:
            self.assertEqual("HELLO", answer.text)
            self.assertNotEqual(False, may, " asks ".join(names))

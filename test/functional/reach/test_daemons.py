"""Peers at all kinds of sites, asked for by peers at all kinds: what comes of it is what ``docs/reach.rst`` says."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from unittest import SkipTest, skipUnless

from twisted.internet.defer import Deferred, gatherResults

from p2p.client import Client
from p2p.console.operations import PeerStatus
from test.functional.cases import FunctionalCase
from test.functional.lab import RunningLab
from test.functional.machines import interpreter
from test.functional.reach.net import SITES, Host, impossible, internet
from test.needs import needs

OPEN: Final = "open"
RANDOM: Final = "NAT with random ports"
ANSWERS: Final = "NAT that answers with RST"


def relayed(asking: str, asked: str) -> bool | None:
    """Whether a pair needs a relay; None where that is a matter of milliseconds."""
    if OPEN in (asking, asked):
        return False
    if RANDOM in (asking, asked):
        return True
    return None if asking == asked == ANSWERS else False


@skipUnless(os.geteuid() == 0 and Path("/dev/net/tun").exists(), "needs root and /dev/net/tun")
@needs("ip", "nft")
class DaemonTests(FunctionalCase):
    """A peer of each cluster at each site, and the routers and a relay at open ones."""

    timeout = 120

    async def prepare(self) -> None:
        """Start everybody."""
        if why := impossible():
            raise SkipTest(why)
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        stack = ExitStack()
        self.addCleanup(stack.close)
        routers, relay, *machines = stack.enter_context(internet(SITES[0], SITES[0], *SITES, *SITES))
        self.lab: RunningLab = self.own_lab(hosts={"n": routers.seen, "m": routers.seen})
        self.put("router-n", routers)
        self.lab.pythons["router-m"] = self.lab.pythons["router-n"]
        for cluster in "nm":
            with (self.lab.folder / f"router-{cluster}.yaml").open("a") as file:
                file.write("relays: relay.n\n")
        self.put("relay", relay)
        path = self.lab.peers_file("relay", "relay.n")
        name = "  - name: relay.n\n"
        path.write_text(path.read_text().replace(name, f"{name}    relay: {{from: '*'}}\n"))
        peers = {"relay": ["relay.n"]}
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
        client, target = self.clients[f"n{asking + 1}"], f"m{asked + 1}.m"
        self.assertEqual("HELLO", (await client.message(target, "hello")).text)
        status = await client.status()
        assert isinstance(status, PeerStatus)
        (by,) = [link.relayed_by for peer in status.peers for link in peer.links if link.peer == target]
        self.assertIn(by, ("", "relay.n"))
        if (needed := relayed(*names)) is not None:
            self.assertEqual(needed, bool(by), " asks ".join(names))

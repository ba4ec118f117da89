"""SIGHUP to real daemons: files are read again, and links go on."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import yaml

from p2p.base.errors import Outcome
from test.functional.cases import FunctionalCase
from test.functional.lab import RunningLab, until


class ReloadingTests(FunctionalCase):
    """Clusters n and m with a peer each; router n doesn't know m at first."""

    async def prepare(self) -> None:
        """Start all."""
        self.lab: RunningLab = self.own_lab(peers=1)
        self.router = self.lab.folder / "router-n.yaml"
        self.whole = self.router.read_text()
        lonely = {**yaml.safe_load(self.whole), "neighbours": {}, "networks": {}}
        self.router.write_text(yaml.safe_dump(lonely))
        for cluster in "nm":
            await self.lab.start_router(cluster)
        for name in ("peer-n1.n", "peer-m1.m"):
            await self.lab.start_peers(name)

    async def hang_up(self, daemon: str, text: str) -> None:
        """Send the signal, and wait until the daemon says something."""
        known = self.lab.log(daemon).count(text)
        psutil.Process(self.lab.daemons[daemon].pid).send_signal(signal.SIGHUP)

        async def told() -> bool:
            return self.lab.log(daemon).count(text) > known

        await until(told, f"{daemon} to say: {text}")

    def change(self, path: Path, old: str, new: str) -> None:
        text = path.read_text()
        self.assertEqual(1, text.count(old))
        path.write_text(text.replace(old, new))

    async def test_all(self) -> None:
        """A neighbour comes without a restart; rules change under a link; a wrong file is told and changes nothing."""
        peer = await self.client(self.lab, "peer-n1.n")
        await self.fails_with(Outcome.UNKNOWN_CLUSTER, peer.ping("m1.m"))
        self.router.write_text(self.whole)
        await self.hang_up("router-n", "SIGHUP: now in use: neighbours, networks")
        await self.lab.linked()
        await peer.ping("m1.m")
        other = self.lab.folder / "peer-m1.m.yaml"
        self.change(other, "    inbox: inbox/m1.m\n", "    inbox: inbox/m1.m\n    accept: []\n")
        await self.hang_up("peer-m1.m", "SIGHUP: now in use: accept of m1.m")
        self.assertTrue((await peer.ping("m1.m")).reused)
        await self.hang_up("peer-m1.m", "SIGHUP: nothing has changed")
        self.change(other, "links: tls\n", "links: carrier pigeons\n")
        await self.hang_up("peer-m1.m", "SIGHUP: nothing has changed, because of this")
        self.assertIn("links: is", self.lab.log("peer-m1.m"))
        self.assertTrue((await peer.ping("m1.m")).reused)
        self.assertEqual(1, (await self.lab.router_status("n")).peers)

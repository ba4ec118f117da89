"""A lost machine is locked out: routers, a peer that it is linked to, and the command are real processes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from p2p.base.errors import Outcome
from p2p.client import Client
from p2p.console.operations import PeerStatus
from test.functional.cases import FunctionalCase
from test.functional.lab import RunningLab, reactor, until

WITHIN_S = 5.0
"""What the documents promise to who is connected."""


class RevokingTests(FunctionalCase):
    """Clusters n and m with a peer each, which are linked."""

    async def prepare(self) -> None:
        """Start all, and link n1.n to m1.m."""
        self.lab: RunningLab = self.own_lab(settings="limits:\n  call_s: 2\n")
        await self.lab.start(n=["n1.n"], m=["m1.m"])
        self.n, self.m = await self.client(self.lab, "n"), await self.client(self.lab, "m")
        await self.n.ping("m1.m")

    async def revoke(self, name: str, code: int = 0) -> str:
        """Run the command."""
        return await self.ended(self.run_program("p2p", "lab", "revoke", name, "--lab", self.lab.folder), code)

    async def out(self) -> None:
        """Wait, not for long, until n1.n has lost its registration and its links."""
        began = reactor.seconds()

        async def is_out() -> bool:
            one, other = await self.n.status(), await self.m.status()
            assert isinstance(one, PeerStatus)
            assert isinstance(other, PeerStatus)
            router = await self.lab.router_status("n")
            return (router.peers, one.open.links, other.open.links) == (0, 0, 0)

        await until(is_out, "n1.n to be out", WITHIN_S)
        self.assertLess(reactor.seconds() - began, WITHIN_S)

    async def test_locked_out(self) -> None:
        """Whoever has the key is out within seconds, stays out, also after restarts; another machine gets the name."""
        await self.revoke("n1.n")
        await self.out()
        self.assertIn("is revoked already", await self.revoke("n1.n", 2))
        reason = await self.fails_with(Outcome.CLUSTER_UNREACHABLE, self.n.ping("m1.m"))
        self.assertIn("has revoked the key of this certificate", reason)
        for router in ("n", "m"):
            await self.lab.daemons[f"router-{router}"].stop()
            await self.lab.start_router(router)
        self.assertTrue((self.lab.folder / "state" / "router-n" / "revocations").is_file())
        await self.lab.daemons["n"].stop()
        await self.lab.start_peers("n", "n1.n", registered=False)

        async def refused() -> bool:
            return "has revoked the key" in self.lab.log("router-n").rpartition("serving cluster")[2]

        await until(refused, "router n to refuse n1.n")
        await self.again()

    async def again(self) -> None:
        """Another machine becomes n1.n, and is linked to the peer that refuses the old one."""
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        inviting = self.run_program("p2p", "lab", "invite", "n1.n", "--lab", self.lab.folder)
        await inviting.printing
        words = inviting.printed.decode().split()[1:]
        await self.ended(self.run_program("p2p", *words, "--dir", folder.name), 0)
        await self.ended(inviting, 0)
        config = Path(folder.name, "peer-n1.n.yaml")
        self.run_program("twistd", "--nodaemon", "--pidfile=", "p2p-peer", "--config", config)

        async def there() -> bool:
            return config.with_suffix(".sock").exists()

        await until(there, "the console")
        async with await Client.connect(reactor, config.with_suffix(".sock")) as client:
            await client.wait_registered(20.0)
            await self.lab.linked()
            self.assertFalse((await client.ping("m1.m")).reused)

    async def test_router_away(self) -> None:
        """A router that doesn't run is named; it learns from its neighbour when it comes back."""
        await self.lab.daemons["router-n"].stop()
        self.assertIn("the routers of n couldn't be told", await self.revoke("n1.n", 4))

        async def cut() -> bool:
            status = await self.m.status()
            assert isinstance(status, PeerStatus)
            return status.open.links == 0

        await until(cut, "m1.m to cut its link", WITHIN_S)
        await self.lab.start_router("n")

        async def refused() -> bool:
            return "the key of n1.n" in self.lab.log("router-n") or "has revoked the key" in self.lab.log("router-n")

        await until(refused, "router n to learn of it")
        self.assertEqual(0, (await self.lab.router_status("n")).peers)

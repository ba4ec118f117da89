"""Routers and peers die at the worst moment; the others go on, and those that come back are found again."""

from __future__ import annotations

import json
import os
from pathlib import Path

from twisted.internet.defer import Deferred

from p2p.base.errors import Outcome
from p2p.client import Client
from test.functional.cases import FunctionalCase
from test.functional.lab import RunningLab, reactor, until

SIZE = 64 << 20
PROMPTLY_S = 20.0
"""Seconds that nobody waits who is told at once, on whatever machine: a ticket lives for 30, a silence lasts 60."""


class DeathTests(FunctionalCase):
    """Two clusters with one peer each, n1.n and m1.m, for each test anew."""

    async def prepare(self) -> None:
        """Start the lab, let the two link, and make a file to send."""
        self.lab: RunningLab = self.own_lab(settings="limits:\n  call_s: 2\n")
        await self.lab.start(n=["n1.n"], m=["m1.m"])
        self.client_n: Client = await self.client(self.lab, "n")
        await self.reached()
        self.film = self.lab.folder / "film"
        self.film.write_bytes(os.urandom(1 << 20))
        os.truncate(self.film, SIZE)

    async def reached(self) -> None:
        """n1.n reaches m1.m."""
        self.assertEqual((await self.client_n.message("m1.m", "hello")).text, "HELLO")

    def inbox(self) -> Path:
        """The inbox of m1.m."""
        return self.lab.folder / "inbox" / "m1.m"

    async def test_routers_die(self) -> None:
        """Both routers are killed in the middle of a transfer: it goes on, the link stays, and once they run again
        the peers register by themselves, so that new links stand."""
        with self.lab.suspended("m"):
            run = self.p2p(self.lab, "n", "send", "--json", "m1.m", self.film)
            await run.printing
            for cluster in "nm":
                self.lab.daemons[f"router-{cluster}"].kill()
                await self.lab.daemons[f"router-{cluster}"].when_exited()
        await self.ended(run, 0)
        self.assertEqual((self.inbox() / "film").read_bytes(), self.film.read_bytes())
        link = await self.client_n.link("m1.m")
        self.assertTrue(link.reused)
        await self.reached()
        self.assertFalse((await self.lab.peer_status("n")).router.connected)
        for cluster in "nm":
            await self.lab.start_router(cluster)
        for daemon in "nm":
            await self.lab.all_registered(daemon)
        await self.lab.linked()
        self.assertEqual((await self.client_n.link("m1.m")).local, link.local)
        await self.client_n.disconnect()
        self.assertFalse((await self.client_n.link("m1.m")).reused)
        await self.reached()

    async def test_neighbour_is_down(self) -> None:
        """While the router of a cluster is down, its peers are unreachable and whoever asks is told at once, with
        exit code 4; when it runs again, everything comes back by itself."""
        await self.client_n.disconnect()
        self.lab.daemons["router-m"].kill()
        await self.lab.daemons["router-m"].when_exited()
        began = reactor.seconds()
        reason = await self.fails_with(Outcome.CLUSTER_UNREACHABLE, self.client_n.message("m1.m", "hello"))
        self.assertLess(reactor.seconds() - began, PROMPTLY_S)
        self.assertIn("router.m", reason)
        run = self.p2p(self.lab, "n", "message", "m1.m", "hello")
        self.assertIn("router.m", await self.ended(run, 4))
        await self.lab.start_router("m")
        await self.lab.all_registered("m")
        await self.lab.linked()
        await self.reached()

    async def test_own_router_is_down(self) -> None:
        """Without its own router a peer makes no new links, and says which router it misses; links that stand serve."""
        self.lab.daemons["router-n"].kill()
        await self.lab.daemons["router-n"].when_exited()
        await self.reached()
        reason = await self.fails_with(Outcome.CLUSTER_UNREACHABLE, self.client_n.message("m2.m", "hello"))
        self.assertIn("router.n", reason)
        await self.reached()

    async def test_receiver_dies(self) -> None:
        """When the receiving peer is killed in the middle of a file, and nobody wants to wait for it, the sender is
        told at once, with exit code 8; no part of the file has its final name, and what came stays for the next."""
        with self.lab.suspended("m"):
            run = self.p2p(self.lab, "n", "send", "--json", "m1.m", self.film, "--deadline", "0")
            await run.printing
        await until(self._has_leftovers, "the file to arrive in part")
        began = reactor.seconds()
        self.lab.daemons["m"].kill()
        await self.ended(run, 8)
        self.assertLess(reactor.seconds() - began, PROMPTLY_S)
        self.assertEqual(json.loads(run.printed.splitlines()[-1])["transfers"][0]["outcome"], "reset")
        (left,) = self.lab.inbox("m1.m")
        self.assertTrue(left.startswith(".p2p-"), left)
        await self.lab.start_peers("m")
        await self.ended(self.p2p(self.lab, "n", "send", "m1.m", self.film), 0)
        self.assertEqual(["film"], self.lab.inbox("m1.m"))

    async def _has_leftovers(self) -> bool:
        return any(name.startswith(".p2p-") for name in self.lab.inbox("m1.m"))

    async def test_sender_dies(self) -> None:
        """When the sending peer is killed in the middle of a file, the receiver lets go of the link and goes on."""
        client_m = await self.client(self.lab, "m")
        with self.lab.suspended("m"):
            run = self.p2p(self.lab, "n", "send", "--json", "m1.m", self.film)
            await run.printing
            self.lab.daemons["n"].kill()
            await self.ended(run, 10)

        async def no_link() -> bool:
            return (await self.lab.peer_status("m")).open.links == 0

        await until(no_link, "the receiver to let go")
        self.assertNotIn("film", self.lab.inbox("m1.m"))
        await self.lab.start_peers("n")
        self.assertEqual((await client_m.message("n1.n", "hello")).text, "HELLO")

    async def test_stopped(self) -> None:
        """SIGTERM ends the daemons, whatever they do; no process, socket file or half a file is left."""
        with self.lab.suspended("m"):
            run = self.p2p(self.lab, "n", "send", "--json", "m1.m", self.film)
            await run.printing
        await until(self._has_leftovers, "the file to arrive in part")
        daemons = dict(self.lab.daemons)
        stopping = [Deferred.fromCoroutine(daemon.stop(20.0)) for daemon in daemons.values()]
        for daemon, ended in zip(daemons.values(), stopping, strict=True):
            self.assertEqual(await ended, -15, self.lab.log(daemon.name))  # twistd ends by the signal that it got
        self.assertIn(await run.ended, (0, 8, 10))
        self.assertEqual([one.name for one in self.lab.folder.rglob("*") if one.is_socket()], [])
        visible = [name for name in self.lab.inbox("m1.m") if not name.startswith(".p2p-")]
        self.assertIn(visible, ([], ["film"]))
        self.assertEqual([one.name for one in self.lab.folder.rglob("*.pid")], [])

"""A hundred pairs at once, and nothing of them left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from p2p.console.operations import PeerStatus
from test.functional.cases import FunctionalCase
from test.functional.lab import no_links

PAIRS = 100


class HundredPairsTests(FunctionalCase):
    """Two daemons, each with a hundred peers of its cluster."""

    async def test_hundred_pairs(self) -> None:
        """All of a hundred pairs link at once and exchange text in both directions without a failure; once they have
        disconnected, every daemon has as many sockets as before."""
        lab = self.own_lab()
        hosts = {cluster: [f"{cluster}{number}.{cluster}" for number in range(1, PAIRS + 1)] for cluster in "nm"}
        await lab.start(**hosts)
        clients = {cluster: await self.client(lab, cluster) for cluster in "nm"}
        before = {name: daemon.open_sockets() for name, daemon in lab.daemons.items()}

        async def pair(number: int) -> None:
            near, far = "nm" if number % 2 else "mn"
            asking, asked = f"{near}{number}.{near}", f"{far}{number}.{far}"
            link = await clients[near].link(asked, acting=asking)
            self.assertEqual((link.initiator, link.reused), (asking, False))
            for client, here, there in ((clients[near], asking, asked), (clients[far], asked, asking)):
                self.assertEqual((await client.message(there, f"ab {number}", acting=here)).text, f"AB {number}")

        await self.all_of(pair)
        for cluster, client in clients.items():
            status = await client.status()
            assert isinstance(status, PeerStatus)
            self.assertEqual((status.open.links, status.open.attempts, status.open.control), (PAIRS, 0, PAIRS), cluster)
        for client in clients.values():
            await no_links(client)
        self.assertEqual({name: daemon.open_sockets() for name, daemon in lab.daemons.items()}, before)

    async def all_of(self, step: Callable[[int], Awaitable[Any]]) -> None:
        """Do a step for every pair at the same time."""

        async def one(number: int) -> None:
            await step(number)

        await gatherResults([Deferred.fromCoroutine(one(number)) for number in range(1, PAIRS + 1)], consumeErrors=True)

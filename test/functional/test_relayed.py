"""Links by way of a relay, between machines that don't reach each other at all."""

from __future__ import annotations

import os

from p2p.base.errors import ExchangeFailed
from p2p.client import Client
from p2p.console.operations import PeerStatus
from test.functional.lab import until
from test.functional.test_firewalls import MachinesCase


async def relays(client: Client) -> list[str]:
    """By whom the links to m1.m are relayed."""
    status = await client.status()
    assert isinstance(status, PeerStatus)
    return [link.relayed_by for peer in status.peers for link in peer.links if link.peer == "m1.m"]


class RelayedTests(MachinesCase):
    """n1.n and m1.m, between which nothing passes, and relay.n, which both reach."""

    async def prepare(self) -> None:
        """Start everybody."""
        await super().prepare()
        self.lab = self.lab_on("routers")
        hosts = {"n": ["n1.n"], "m": ["m1.m"], "relay": ["relay.n"]}
        for name in hosts:
            self.machines.add(name)
            self.lab.pythons[name] = self.machines.python(name)
        self.machines.part("n", "m")
        for cluster in "nm":
            with (self.lab.folder / f"router-{cluster}.yaml").open("a") as file:
                file.write("relays: relay.n\n")
        relay = self.lab.peers_file("relay", "relay.n")
        text = relay.read_text()
        relay.write_text(text.replace("  - name: relay.n\n", "  - name: relay.n\n    relay: {from: '*'}\n"))
        await self.lab.start(**hosts)

    async def test_relayed(self) -> None:
        """A message goes over a relayed link, both ways round."""
        client = await self.client(self.lab, "n")
        answer = await client.message("m1.m", "hello")
        self.assertEqual("HELLO", answer.text)
        self.assertIn("relayed by relay.n", self.lab.log("n"))
        self.assertIn("relayed by relay.n", self.lab.log("m"))
        await (await self.client(self.lab, "m")).message("n1.n", "hello")

    async def test_direct_again(self) -> None:
        """When there is a direct way again, a transfer under way goes over to a direct link, and arrives whole."""
        film = self.lab.folder / "film"
        film.write_bytes(os.urandom(60 << 20))
        run = self.run_program(
            "p2p", "send", "--json", "--limit", "4MB/s", "m1.m", film, P2P_CONFIG=str(self.lab.folder / "n.yaml")
        )

        async def moving() -> bool:
            return b'"progress"' in run.printed

        await until(moving, "the transfer to be under way")
        client = await self.client(self.lab, "n")
        self.assertEqual(["relay.n"], await relays(client))
        self.machines.join("n")

        async def direct() -> bool:
            return await relays(client) == [""]

        await until(direct, "a direct link")
        await self.ended(run, 0)
        self.assertEqual(film.read_bytes(), (self.lab.folder / "inbox" / "m1.m" / "film").read_bytes())
        self.assertIn(b'"event":"resumed"', run.printed.replace(b" ", b""))

    async def test_killed(self) -> None:
        """A transfer whose relay is killed goes on when the relay is there again, and arrives whole."""
        film = self.lab.folder / "film"
        film.write_bytes(os.urandom(16 << 20))
        run = self.run_program(
            "p2p", "send", "--json", "--limit", "4MB/s", "m1.m", film, P2P_CONFIG=str(self.lab.folder / "n.yaml")
        )

        async def moving() -> bool:
            return b'"progress"' in run.printed

        await until(moving, "the transfer to be under way")
        self.assertIn(b'"relayed_by": "relay.n"', run.printed)
        self.lab.daemons["relay"].kill()
        await self.lab.daemons["relay"].when_exited()
        with self.assertRaises(ExchangeFailed):
            await (await self.client(self.lab, "m")).message("n1.n", "hello")
        await self.lab.start_peers("relay", "relay.n")
        await self.ended(run, 0)
        self.assertEqual(film.read_bytes(), (self.lab.folder / "inbox" / "m1.m" / "film").read_bytes())

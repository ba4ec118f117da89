"""Links by way of a relay, between machines that get nothing from each other."""

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
    """n1.n and m1.m whose machines get nothing from each other, and relay.n on an open machine."""

    async def prepare(self) -> None:
        """Start everybody."""
        await super().prepare()
        self.lab = self.lab_on("routers")
        hosts = {"n": ["n1.n"], "m": ["m1.m"], "relay": ["relay.n"]}
        addresses = {}
        for name in hosts:
            addresses[name] = self.machines.add(name)
            self.lab.pythons[name] = self.machines.python(name)
        self.machines.part("n", addresses["m"])
        self.machines.part("m", addresses["n"])
        for cluster in "nm":
            with (self.lab.folder / f"router-{cluster}.yaml").open("a") as file:
                file.write("relays: relay.n\n")
        relay = self.lab.peers_file("relay", "relay.n")
        text = relay.read_text()
        relay.write_text(text.replace("  - name: relay.n\n", "  - name: relay.n\n    relay: {from: '*'}\n"))
        await self.lab.start(**hosts)

    async def test_relayed(self) -> None:
        """A message goes over a relayed link, within 3 s, both ways round."""
        client = await self.client(self.lab, "n")
        answer = await client.message("m1.m", "hello")
        self.assertEqual("HELLO", answer.text)
        self.assertLess(answer.seconds, 3.0)
        self.assertIn("relayed by relay.n", self.lab.log("n"))
        self.assertIn("relayed by relay.n", self.lab.log("m"))
        await (await self.client(self.lab, "m")).message("n1.n", "hello")

    async def test_direct_again(self) -> None:
        """When a firewall is opened, a transfer under way goes over to a direct link, and arrives whole."""
        film = self.lab.folder / "film"
        film.write_bytes(os.urandom(96 << 20))
        run = self.run_program(
            "p2p", "send", "--json", "--limit", "4MB/s", "m1.m", film, P2P_CONFIG=str(self.lab.folder / "n.yaml")
        )

        async def moving() -> bool:
            return b'"progress"' in run.printed

        await until(moving, "the transfer to be under way")
        client = await self.client(self.lab, "n")
        self.assertEqual(["relay.n"], await relays(client))
        self.machines.open("n")
        self.machines.open("m")

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
        self.lab.daemons["relay"].kill()
        await self.lab.daemons["relay"].when_exited()
        with self.assertRaises(ExchangeFailed):
            await (await self.client(self.lab, "m")).message("n1.n", "hello")
        await self.lab.start_peers("relay", "relay.n")
        await self.ended(run, 0)
        self.assertEqual(film.read_bytes(), (self.lab.folder / "inbox" / "m1.m" / "film").read_bytes())

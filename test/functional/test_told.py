"""What goes wrong between daemons is told to those who wait for it, by name and at once."""

from __future__ import annotations

import json
import re
from typing import Any

from p2p.base.errors import Outcome
from test.functional.cases import FunctionalCase
from test.functional.lab import reactor, until

SEEN = "127.0.0.5"
OTHER = "127.0.0.77"
"""Where the router sees n1.n, whose listener isn't bound to it."""


class ToldTests(FunctionalCase):
    """Real daemons, each of which is configured wrongly in one way."""

    async def test_dial_refused(self) -> None:
        """When the dials of both ends are refused, who asked knows it at once, with the addresses that were dialled."""
        lab = self.own_lab("n")
        router = f"tcp:127.0.0.1:{lab.ports['n']}"
        for daemon, name, seen in (("first", "n1.n", SEEN), ("second", "n2.n", OTHER)):
            path = lab.peers_file(daemon, name)
            self.assertIn(router, text := path.read_text())
            path.write_text(text.replace(router, f"{router}:bindAddress={seen}"))
        await lab.start(first=["n1.n"], second=["n2.n"])
        client = await self.client(lab, "first")
        began = reactor.seconds()
        reason = await self.fails_with(Outcome.CONNECT_FAILED, client.message("n2.n", "hello"))
        self.assertLess(reactor.seconds() - began, 20, "it doesn't wait until the ticket dies")
        refused = r"port \d+: the connection was refused"
        self.assertRegex(reason, rf"^n2\.n was told to dial {SEEN}, {refused}; from here, {OTHER}, {refused}: neither ")
        run = self.p2p(lab, "first", "why", "n2.n", "--json")
        await self.ended(run, 6)
        found: dict[str, Any] = json.loads(run.printed)
        self.assertEqual("dial", found["failed"])
        dial = next(leg for leg in found["legs"] if leg["leg"] == "dial")
        self.assertIn(SEEN, dial["detail"])
        self.assertIn("let the firewall of n1.n's machine accept TCP from n2.n", dial["remedy"])
        self.assertEqual(SEEN, (await lab.peer_status("first")).peers[0].observed)

    async def test_both_families(self) -> None:
        """The default listener takes a peer that comes over IPv4, and shows it as that."""
        lab = self.own_lab("n")
        for name in ("n1.n", "n2.n"):
            path = lab.peers_file(name, name)
            text, count = re.subn(r"(?m)^listen: .*$", "listen: tcp6:0", path.read_text())
            self.assertEqual(1, count)
            path.write_text(text)
        await lab.start(**{"n1.n": ["n1.n"], "n2.n": ["n2.n"]})
        client = await self.client(lab, "n1.n")
        self.assertEqual("HELLO", (await client.message("n2.n", "hello")).text)
        (peer,) = (await lab.peer_status("n1.n")).peers
        self.assertRegex(peer.links[0].direct.local, r"^127\.0\.0\.1:\d+$")
        self.assertRegex(peer.links[0].direct.remote, r"^127\.0\.0\.1:\d+$")

    async def test_neighbour_on_one_side(self) -> None:
        """A router that another one doesn't name as its neighbour says so, and so does everybody who asks it."""
        lab = self.own_lab()
        other = lab.folder / "router-m.yaml"
        text = other.read_text()
        alone, count = re.subn(r"(?m)^(neighbours|networks):\n(?: .*\n)*", "", text)
        self.assertEqual(2, count)
        other.write_text(alone)
        for cluster in "nm":
            await lab.start_router(cluster)
        await lab.start_peers("n", "n1.n")
        said = "router.m said: router.n isn't a neighbour; to let it in, add n to neighbours"

        async def told() -> bool:
            return said in lab.log("router-n")

        await until(told, "router n to be told")
        self.assertNotIn("linked to router.m", lab.log("router-n"))
        self.assertEqual({"m": said}, (await lab.router_status("n")).neighbour_problems)
        run = self.p2p(lab, "n", "why", "m4.m")
        await self.ended(run, 4)
        self.assertIn(said.encode(), run.printed)
        self.assertIn(b"add cluster n to 'neighbours' in the YAML of router.m", run.printed)

    async def test_two_daemons_with_one_name(self) -> None:
        """The one that is thrown out knows why, says so, and doesn't come back at once to throw out the other."""
        lab = self.own_lab("n")
        await lab.start_router("n")
        await lab.start_peers("first", "n1.n")
        await lab.start_peers("second", "n1.n")
        said = "router.n said: n1.n has connected again, from 127.0.0.1:"

        async def told() -> bool:
            return said in lab.log("first")

        await until(told, "the first to be told")
        (peer,) = (await lab.peer_status("first")).peers
        self.assertFalse(peer.registered)
        self.assertIn(said, peer.problem)
        self.assertTrue((await lab.peer_status("second")).peers[0].registered)
        run = self.p2p(lab, "first", "why", "n2.n")
        found = await run.ended
        self.assertEqual(4, found)
        self.assertIn(b"two daemons have the certificate of n1.n", run.printed)
        run = self.p2p(lab, "first", "status")
        await self.ended(run, 0)
        self.assertIn(b"note  n1.n isn't registered: ", run.printed)

"""Direct links without TLS, which a closed lab may allow for measurements."""

from __future__ import annotations

from twisted.internet.defer import Deferred, gatherResults

from p2p.console.operations import Connected
from test.functional.cases import SharedLabCase

PLAIN = "links: plain\n"


class PlainTests(SharedLabCase):
    """A daemon in each of the clusters n and m that allows plain links, beside those that don't."""

    async def prepare(self) -> None:
        """Start the two daemons."""
        await super().prepare()
        starting = [Deferred.fromCoroutine(self.start_plain(cluster)) for cluster in "nm"]
        await gatherResults(starting, consumeErrors=True)

    async def start_plain(self, cluster: str) -> None:
        """Start the daemon plain-n, which hosts n8.n, or plain-m."""
        name = f"plain-{cluster}"
        daemon = await self.lab.start_peers(name, f"{cluster}8.{cluster}", settings=PLAIN)
        self.addCleanup(lambda: Deferred.fromCoroutine(daemon.stop()))
        self.clients[name] = await self.client(self.lab, name)

    async def linked(self, daemon: str, acting: str, peer: str) -> Connected:
        """Set up a link, exchange a text in both directions, and return what the daemon says of the link."""
        link = await self.clients[daemon].link(peer, acting=acting)
        self.assertEqual((await self.clients[daemon].message(peer, "there", acting=acting)).text, "THERE")
        return link

    async def test_plain_where_both_say_so(self) -> None:
        """A link is plain only where the YAML of both peers says so, whoever asks; else it has TLS."""
        self.assertEqual((await self.linked("plain-n", "n8.n", "m8.m")).security, "plain")
        self.assertEqual((await self.linked("plain-m", "m8.m", "n8.n")).reused, True)
        self.assertEqual((await self.linked("plain-n", "n8.n", "m1.m")).security, "tls")
        self.assertEqual((await self.linked("n", "n1.n", "m8.m")).security, "tls")
        self.assertEqual((await self.linked("plain-m", "m8.m", "n2.n")).security, "tls")

    async def test_warned(self) -> None:
        """A daemon that allows plain links warns at every start, others don't."""
        self.assertIn("PLAIN LINKS", self.lab.log("plain-n"))
        self.assertNotIn("PLAIN LINKS", self.lab.log("peers-n"))

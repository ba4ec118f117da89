"""Peers of three clusters reach one another by name."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred, gatherResults

from p2p.base.errors import Outcome
from p2p.console.operations import Connected, Exchanged, PeerStatus
from test.functional.cases import SharedLabCase
from test.functional.lab import until

PAIRS: Final = (
    ("n1.n", "m1.m"),
    ("m2.m", "n2.n"),
    ("n3.n", "k3.k"),
    ("k4.k", "n4.n"),
    ("m3.m", "k1.k"),
    ("k2.k", "m4.m"),
    ("n1.n", "n2.n"),
    ("m2.m", "m1.m"),
    ("k3.k", "k4.k"),
)
"""Every cluster asks every other and itself; no two of the pairs share a link."""


class ReachingTests(SharedLabCase):
    """Names that are there, and names that aren't."""

    async def message(self, sender: str, receiver: str, text: str) -> Exchanged:
        """Send a text from a peer of the lab to another."""
        return await self.clients[sender[-1]].message(receiver, text, acting=sender)

    async def links(self, name: str) -> dict[str, str]:
        """To whom a peer has links, and who asked for each."""
        status = await self.clients[name[-1]].status()
        assert isinstance(status, PeerStatus)
        (peer,) = (one for one in status.peers if one.name == name)
        self.assertEqual(len({link.peer for link in peer.links}), len(peer.links))
        return {link.peer: link.initiator for link in peer.links}

    async def test_all_clusters(self) -> None:
        """Peers of three clusters reach one another in every direction and within their own, all at once."""
        sending = [Deferred.fromCoroutine(self.message(a, b, f"from {a} to {b}")) for a, b in PAIRS]
        answers = await gatherResults(sending)
        self.assertEqual([one.text for one in answers], [f"FROM {a} TO {b}".upper() for a, b in PAIRS])
        for a, b in PAIRS:
            self.assertEqual(((await self.links(a))[b], (await self.links(b))[a]), (a, a))

    async def test_reuse(self) -> None:
        """A link serves both its ends, whoever asked for it, and until it is closed nobody asks the routers again."""
        first = await self.clients["n"].link("m4.m", acting="n1.n")
        self.assertEqual((first.reused, first.initiator, first.security), (False, "n1.n", "tls"))
        lookups = (await self.lab.router_status("m")).lookups
        back = await self.clients["m"].link("n1.n", acting="m4.m")
        self.assertEqual((back.reused, back.initiator), (True, "n1.n"))
        self.assertEqual((first.local, first.remote), (back.remote, back.local))
        self.assertEqual((await self.message("m4.m", "n1.n", "straße")).text, "STRASSE")
        self.assertEqual((await self.message("n1.n", "m4.m", "ὀδός")).text, "ὈΔΌΣ")
        self.assertEqual((await self.lab.router_status("m")).lookups, lookups)

    async def test_both_at_once(self) -> None:
        """When both ends ask at the same time, one link stands in the end and no message is lost."""
        pairs = [(f"n{number}.n", f"{c}{number}.{c}") for number in range(1, 5) for c in "mk"]
        both = pairs + [(b, a) for a, b in pairs]
        sending = [Deferred.fromCoroutine(self.message(a, b, f"{a} {b}")) for a, b in both]
        self.assertEqual([one.text for one in await gatherResults(sending)], [f"{a} {b}".upper() for a, b in both])

        async def one_link() -> bool:
            counts = [await self.clients[cluster].status() for cluster in "nmk"]
            return [one.open.links for one in counts if isinstance(one, PeerStatus)] == [8, 4, 4]

        await until(one_link, "the second links to end")
        for a, b in pairs:
            self.assertEqual((await self.links(a))[b], (await self.links(b))[a])

    async def test_unknown_peer(self) -> None:
        """A name that no peer has registered is an unknown peer, at once, and exit code 3 with what to do."""
        run = self.p2p(self.lab, "peers-n", "--as", "n1.n", "message", "m9.m", "hello")
        reason = await self.fails_with(Outcome.UNKNOWN_PEER, self.message("n1.n", "m9.m", "hello"))
        self.assertIn("m9.m", reason)
        await self.fails_with(Outcome.UNKNOWN_PEER, self.message("n1.n", "n9.n", "hello"))
        told = await self.ended(run, 3)
        self.assertIn("m9.m", told)
        self.assertIn("p2p peers", told)

    async def test_unknown_cluster(self) -> None:
        """A cluster that the router doesn't know is an unknown cluster, and exit code 3 with what to do."""
        run = self.p2p(self.lab, "peers-n", "--as", "n1.n", "message", "x1.x", "hello")
        reason = await self.fails_with(Outcome.UNKNOWN_CLUSTER, self.message("n1.n", "x1.x", "hello"))
        self.assertIn("cluster x", reason)
        self.assertIn("neighbours", await self.ended(run, 3))

    async def test_itself(self) -> None:
        """A peer that asks for itself is refused, and no socket is opened for it."""
        await self.fails_with(Outcome.REFUSED, self.message("n1.n", "n1.n", "hello"))
        self.assertEqual((await self.lab.peer_status("peers-n")).open.attempts, 0)

    async def test_lists(self) -> None:
        """A peer can list the names of its own cluster and of any other that its router knows."""
        for cluster in "nmk":
            names = await self.clients["n"].peers(cluster, acting="n2.n")
            self.assertEqual(names, [f"{cluster}{number}.{cluster}" for number in range(1, 5)])

    async def test_measured(self) -> None:
        """A new link tells how long it took, and how long the routing table and the other router took for it."""
        link: Connected = await self.clients["k"].link("m2.m", acting="k1.k")
        assert link.setup_ns is not None
        assert link.table_lookup_ns is not None
        assert link.router_lookup_ns is not None
        self.assertTrue(0 < link.table_lookup_ns < link.router_lookup_ns)
        self.assertGreater(link.setup_ns, 0)
        self.assertFalse(link.reused)

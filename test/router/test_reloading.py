"""Tests of what a router takes into use while it runs."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from p2p.base.config import Neighbour
from test.router.lab import RouterTestCase


class ReloadTests(RouterTestCase):
    def reload(self, **changed: Any) -> tuple[list[str], list[str]]:
        found = self.service.reload(self.service._config.model_copy(update=changed))
        self.network.settle()
        return found

    def neighbours(self, *clusters: str) -> dict[str, Neighbour]:
        return {one: Neighbour(endpoint=f"tcp:{self.lab.address(one)}:5555") for one in clusters}

    def test_new_neighbour(self) -> None:
        """A cluster that comes is linked, both ways, while peers and the links to others stay."""
        self.lab.start_router("m", "n")
        self.lab.start_router("o", "n")
        self.start("m")
        peer, channel = self.lab.peer("n1.n"), self.service.federation._links["m"].channel
        self.assertEqual((["neighbours"], []), self.reload(neighbours=self.neighbours("m", "o")))
        self.assertEqual({"m": True, "o": True}, self.service.federation.clusters)
        self.network.advance(40)
        self.assertTrue(self.lab.routers["o"].federation.clusters["n"])
        self.assertIs(channel, self.service.federation._links["m"].channel)
        self.assertTrue(peer.is_open)

    def test_gone(self) -> None:
        """A cluster that goes isn't linked any more, either way, and its router isn't let in."""
        self.lab.start_router("m", "n")
        self.start("m")
        self.network.advance(5)
        self.reload(neighbours={})
        self.network.advance(5)
        self.assertEqual({}, self.service.federation.clusters)
        self.assertFalse(self.lab.routers["m"].federation.clusters["n"])
        self.assertIn("isn't a neighbour", self.lab.routers["m"].federation.problems["n"])

    def test_moved(self) -> None:
        """A neighbour that is elsewhere now is dialled there."""
        self.lab.start_router("m", "n")
        self.start("m")
        self.assertTrue(self.service.federation.clusters["m"])
        self.reload(neighbours={"m": Neighbour(endpoint="tcp:10.0.99.1:5555")})
        self.network.advance(5)
        self.assertFalse(self.service.federation.clusters["m"])

    def test_others(self) -> None:
        """Networks and relays count from now on; what can't change while the router runs is named."""
        self.start("m")
        networks = {"m": [ip_network("198.51.100.0/24")]}
        found = self.reload(networks=networks, relays=["r1.n"], listen="tcp:7777")
        self.assertEqual((["networks", "relays"], ["listen"]), found)
        self.assertEqual((networks, ("r1.n",)), (self.router.networks, self.router.relays))
        self.assertEqual("tcp:5555", self.service._config.listen)
        self.assertEqual(([], []), self.reload())

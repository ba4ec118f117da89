"""``p2p peers``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p2p.cli.peers import _relayed
from p2p.console.operations import HostedStatus, Link, PeerStatus, RouterStatus
from test.cli.commands import CommandCase
from test.consoles import HOSTILE


class PeersTests(CommandCase):
    """Who is registered."""

    def test_names(self) -> None:
        """A name a line, so that a shell can go through them."""
        self.assertEqual(self.output("peers", "m"), "m1.m\nm2.m\nm3.m\n")

    def test_own_cluster(self) -> None:
        """Without a cluster, it is that of the daemon's own peers."""
        self.assertEqual(self.json_output("peers"), {"cluster": "n", "names": ["n1.m", "n2.m", "n3.m"], "relayed": {}})

    def test_relayed(self) -> None:
        """Who is linked by way of a relay is told with that, where it doesn't spoil a list of names."""
        links = [
            Link.model_construct(peer=name, relayed_by=relay)
            for name, relay in (("m1.m", "relay.n"), ("m2.m", ""), ("k1.k", "relay.n"))
        ]
        status = PeerStatus.model_construct(peers=[HostedStatus.model_construct(name="n1.n", links=links)])
        self.assertEqual({"m1.m": "relay.n", "k1.k": "relay.n"}, _relayed(status, None))
        self.assertEqual({"m1.m": "relay.n", "k1.k": "relay.n"}, _relayed(status, "n1.n"))
        self.assertEqual({}, _relayed(status, "n2.n"))
        self.assertEqual({}, _relayed(RouterStatus.model_construct(), None))

    def test_nobody(self) -> None:
        """An empty cluster prints nothing, and says so beside."""

        async def peers(request: Mapping[str, Any], emit: object) -> Mapping[str, Any]:
            return {"cluster": "m", "names": []}

        result = self.run_command("peers", "m", operations={"peers": peers})
        self.assertEqual((result.exit_code, result.stdout), (0, ""))
        self.assertEqual(result.stderr, "no peer is registered in cluster m\n")

    def test_hostile(self) -> None:
        """A name from a router can't steer the terminal."""

        async def peers(request: Mapping[str, Any], emit: object) -> Mapping[str, Any]:
            return {"cluster": "m", "names": [HOSTILE]}

        self.assertTrue(self.output("peers", "m", operations={"peers": peers})[:-1].isprintable())

    def test_unknown(self) -> None:
        """A cluster that the router doesn't know is told; a name that none can have isn't asked for."""
        self.assertIn("unknown-cluster: router.n knows no cluster x", self.failure(3, "peers", "x"))
        self.assertIn("cluster name 'M'", self.failure(2, "peers", "M", operations={}))
        self.assertIn("is empty", self.failure(2, "peers", "", operations={}))

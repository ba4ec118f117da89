"""``p2p status``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from test.cli.commands import CommandCase
from test.consoles import HOSTILE, peer_operations, router_operations


class StatusTests(CommandCase):
    """What a daemon is doing."""

    def test_peer_daemon(self) -> None:
        """A peer daemon's router, peers, links and counts are shown."""
        self.assertEqual(
            self.output("status"),
            "daemon  p2p 0.1.0, process 4711, cluster n\n"
            "router  tcp:127.0.0.1:5555, connected\n"
            "links   TLS\n"
            "open    links 1, listeners 0, attempts 0, control channels 1, consoles 1\n"
            "\n"
            "PEER   REGISTERED   LINKS\n"
            "n1.n   yes          1\n"
            "\n"
            "LINK          DIRECT                              SECURITY   STREAMS   SENT     RECEIVED    AGE\n"
            "n1.n - m4.m   127.0.0.1:41234 - 127.0.0.1:50022   tls        2         1.5 MB   120 bytes   12.2 s\n",
        )

    def changed(self, **fields: Any) -> str:
        """What is shown of a peer daemon whose status differs in these fields."""
        works = peer_operations()["status"]

        async def status(request: Mapping[str, Any], emit: Any) -> Mapping[str, Any]:
            return {**await works(request, emit), **fields}

        return self.output("status", operations={"status": status})

    def test_no_links(self) -> None:
        """Without links there is no table of them; a peer that isn't registered is shown as such."""
        shown = self.changed(
            peers=[{"name": HOSTILE, "registered": False, "links": []}],
            router={"endpoint": "tcp:a:1", "connected": False},
        )
        self.assertNotIn("DIRECT", shown)
        self.assertIn("tcp:a:1, not connected", shown)
        self.assertIn("no           0", shown)
        self.assertTrue(shown.replace("\n", "").isprintable())

    def test_plain(self) -> None:
        """Links without TLS are marked."""
        self.assertIn("plain: closed labs only", self.changed(security="plain"))

    def test_router(self) -> None:
        """A router's YAML reaches the router, with its neighbours in order."""
        self.assertEqual(
            self.output("status", config=self.router_config, operations=router_operations()),
            "daemon    p2p 0.1.0, process 4712, router of cluster n\n"
            "listens   tcp:5555\n"
            "peers     2\n"
            "sockets   4 connections\n"
            "bytes     2.0 MB received, 1.0 kB sent\n"
            "look-ups  7, in the table mean 0.9 µs, longest 2.1 µs\n"
            "\n"
            "NEIGHBOUR   CONTROL CHANNEL\n"
            "m           connected\n"
            "o           not connected\n",
        )

    def test_lonely_router(self) -> None:
        """A router without neighbours has no table of them, and one that wasn't asked yet no times."""
        works = router_operations()["status"]

        async def status(request: Mapping[str, Any], emit: Any) -> Mapping[str, Any]:
            return {
                **await works(request, emit),
                "neighbours": {},
                "table_lookup_ns": {"count": 0, "mean": 0, "max": 0},
            }

        shown = self.output("status", config=self.router_config, operations={"status": status})
        self.assertNotIn("NEIGHBOUR", shown)
        self.assertNotIn("mean", shown)

    def test_json(self) -> None:
        """JSON is the daemon's answer, for both kinds."""
        self.assertEqual(self.json_output("status")["peers"][0]["links"][0]["sent_bytes"], 1_500_000)
        answer = self.json_output("status", config=self.router_config, operations=router_operations())
        self.assertEqual(answer["neighbours"], {"m": True, "o": False})

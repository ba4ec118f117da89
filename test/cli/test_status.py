"""``p2p status``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from click.testing import Result

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
            "PEER   REGISTERED   LINKS   SEEN AT\n"
            "n1.n   yes          1       192.0.2.11\n"
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

    def test_notes(self) -> None:
        """Below stands why a peer isn't registered, where another one was told to dial, and what will go wrong."""
        hosted = {
            "name": "n1.n",
            "registered": False,
            "links": [],
            "problem": HOSTILE,
            "attempts": [
                {"peer": "m4.m", "port": 41234, "dials": ["192.0.2.11", "2001:db8::b"]},
                {"peer": "m5.m", "port": 41235, "dials": []},
            ],
        }
        notes = self.changed(peers=[hosted], warnings=["the certificate ends"]).splitlines()[-3:]
        self.assertTrue(notes[0].startswith("note  n1.n isn't registered: evil\\x1b"), notes[0])
        told = "note  n1.n waits for m4.m, which was told to dial 192.0.2.11 and 2001:db8::b, port 41234"
        self.assertEqual([told, "note  the certificate ends"], notes[1:])

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
            "o           not connected\n"
            "\n"
            "note  router.o: router.o said: router.n isn't a neighbour\n",
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


class CheckTests(CommandCase):
    """``p2p status --check`` and what is shown of certificates."""

    def checked(self, operations: Mapping[str, Any], *arguments: str, router: bool = False, **fields: Any) -> Result:
        """Run the command against a daemon whose status differs in these fields."""
        works = operations["status"]

        async def status(request: Mapping[str, Any], emit: Any) -> Mapping[str, Any]:
            return {**await works(request, emit), **fields}

        config = self.router_config if router else self.config
        return self.run_command("status", *arguments, config=config, operations={"status": status})

    def peer(self, *, days: float | None = 20.0, registered: bool = True, **fields: Any) -> Result:
        one = {"name": "n1.n", "registered": registered, "links": [], "certificate_days": days, "problem": "it is away"}
        return self.checked(peer_operations(), "--check", peers=[one], **fields)

    def test_peer(self) -> None:
        """All is well, or the router is away, or a certificate ends soon, or has ended; the worst decides the code."""
        for result, code, text in (
            (self.peer(), 0, "ok\n"),
            (self.peer(days=None), 0, "ok\n"),
            (self.peer(registered=False), 4, "n1.n isn't registered: it is away\n"),
            (self.peer(days=6.5), 2, "the certificate of n1.n ends in 6.5 days\n"),
            (self.peer(days=-1), 2, "the certificate of n1.n has ended\n"),
        ):
            self.assertEqual((code, text), (result.exit_code, result.stdout))
        both = self.peer(days=1, registered=False)
        self.assertEqual((4, 2), (both.exit_code, both.stdout.count("\n")))

    def test_router(self) -> None:
        """A router whose neighbour isn't connected isn't well; a lonely one is."""
        result = self.checked(router_operations(), "--check", router=True)
        self.assertEqual(4, result.exit_code)
        self.assertEqual("router.o isn't connected: router.o said: router.n isn't a neighbour\n", result.stdout)
        alone = self.checked(router_operations(), "--check", router=True, neighbours={}, certificate_days=3.0)
        self.assertEqual((2, "the certificate of router.n ends in 3.0 days\n"), (alone.exit_code, alone.stdout))

    def test_json(self) -> None:
        """With ``--json``, the answer is printed, and the exit code is the same."""
        result = self.checked(router_operations(), "--check", "--json", router=True)
        self.assertEqual((4, "n"), (result.exit_code, json.loads(result.stdout)["cluster"]))

    def test_days(self) -> None:
        """The days that are left are shown of each peer and of a router."""
        peers: list[dict[str, Any]] = [
            {"name": f"n{number}.n", "registered": True, "links": [], "certificate_days": days}
            for number, days in enumerate((20.4, -0.5, None))
        ]
        shown = self.checked(peer_operations(), peers=peers).stdout
        self.assertIn("SEEN AT   CERTIFICATE", shown)
        self.assertIn("20 days", shown)
        self.assertIn("ended", shown)
        shown = self.checked(router_operations(), router=True, certificate_days=20.4).stdout
        self.assertIn("valid     20 days", shown)

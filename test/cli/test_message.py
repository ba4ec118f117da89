"""``p2p message``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p2p.base.errors import ExchangeFailed, Outcome
from test.cli.commands import CommandCase
from test.consoles import HOSTILE, failing, peer_operations


class MessageTests(CommandCase):
    """A text to a peer."""

    def test_reply(self) -> None:
        """The reply is printed, and nothing else."""
        self.assertEqual(self.output("message", "m4.m", "good morning"), "GOOD MORNING\n")

    def test_standard_input(self) -> None:
        """With - the text comes from standard input, of any length that a request can have."""
        for text in ("good\n\tmorning é", "good\n\tmorning é\n"):
            self.assertEqual(self.output("message", "m4.m", "-", stdin=text), "GOOD\n\tMORNING É\n")

    def test_json(self) -> None:
        """JSON has the reply exactly, and the measurements."""
        answer = self.json_output("message", "m4.m", "x\r\x1b")
        self.assertEqual((answer["reply"], answer["outcome"], answer["seconds"]), ("X\r\x1b", "ok", 0.5))

    def test_hostile_reply(self) -> None:
        """A reply can't steer the terminal."""
        operations = peer_operations()
        shown = operations["exchange"]

        async def exchange(request: Mapping[str, Any], emit: Any) -> Mapping[str, Any]:
            await emit("text", text=HOSTILE)
            return await shown({**request, "text": ""}, emit)

        output = self.output("message", "m4.m", "x", operations={**operations, "exchange": exchange})
        self.assertEqual(output, "evil\\x1b[2J\\u202egpj.exe\n")

    def test_not_text(self) -> None:
        """What isn't UTF-8 isn't sent, and how to send it is told."""
        self.assertIn("isn't UTF-8", self.failure(2, "message", "m4.m", "-", stdin=b"caf\xe9"))
        self.assertIn("p2p send", self.failure(2, "message", "m4.m", "caf\udce9"))

    def test_too_long(self) -> None:
        """A text that is too long isn't sent, whether it is so by itself or in its request."""
        self.assertIn("p2p send", self.failure(2, "message", "m4.m", "-", stdin="x" * (1 << 20) + "x"))
        self.assertIn("as a file", self.failure(2, "message", "m4.m", "-", stdin="x" * (1 << 20)))

    def test_wrong_name(self) -> None:
        """A name that no peer can have is refused with the reason, before any daemon is asked."""
        self.assertIn("isn't <node>.<cluster>", self.failure(2, "message", "m4", "x", operations={}))

    def test_unknown_peer(self) -> None:
        """A failed exchange is told with its outcome, the reason and what to do."""
        operations = {"exchange": failing(ExchangeFailed(Outcome.UNKNOWN_PEER, "router.m has no m9.m"))}
        shown = self.failure(3, "message", "m9.m", "x", operations=operations)
        self.assertEqual(
            shown,
            "p2p: unknown-peer: router.m has no m9.m\n"
            "next: list the names that a cluster knows now: p2p peers CLUSTER\n",
        )

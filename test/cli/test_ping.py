"""``p2p ping``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p2p.base.errors import ExchangeFailed, Outcome
from test.cli.commands import CommandCase
from test.consoles import peer_operations


class PingTests(CommandCase):
    """Round trips."""

    def test_lines(self) -> None:
        """Each round trip gets a line, and then their summary; a new link says how long it took."""
        line = "m4.m at 127.0.0.1:50022: 0.42 ms (new link, set up in 12.3 ms)\n"
        summary = "2 round trips: shortest 0.42 ms, mean 0.42 ms, longest 0.42 ms\n"
        self.assertEqual(self.output("ping", "m4.m", "--count", "2"), 2 * line + summary)

    def test_once(self) -> None:
        """One round trip needs no summary, and a link that was there no word on its setup."""

        async def ping(request: Mapping[str, Any], emit: object) -> Mapping[str, Any]:
            return {"peer": "m4.m", "rtt_ns": 2_000_000, "reused": True, "remote": "[::1]:9"}

        output = self.output("ping", "m4.m", "--count", "1", operations={"ping": ping})
        self.assertEqual(output, "m4.m at [::1]:9: 2 ms\n")

    def test_interval(self) -> None:
        """There are so many seconds between two."""
        self.output("ping", "m4.m", "--count", "3", "--interval", "2")
        self.assertAlmostEqual(self.reactor.seconds(), 4.0, delta=0.2)

    def test_json(self) -> None:
        """JSON has each round trip and their summary, in ns."""
        answer = self.json_output("ping", "m4.m", "--count", "3")
        self.assertEqual((answer["count"], answer["min_ns"], answer["mean_ns"]), (3, 420_000, 420_000))
        self.assertEqual(len(answer["pings"]), 3)

    def test_wrong_count(self) -> None:
        """A count that makes no sense is refused."""
        self.assertIn("--count", self.failure(2, "ping", "m4.m", "--count", "0"))

    def test_failure_in_between(self) -> None:
        """A link that ends while it is measured ends the command with its outcome."""
        answered: list[int] = []
        works = peer_operations()["ping"]

        async def ping(request: Mapping[str, Any], emit: Any) -> Mapping[str, Any]:
            answered.append(1)
            if len(answered) > 1:
                raise ExchangeFailed(Outcome.RESET, "the link ended")
            return await works(request, emit)

        result = self.run_command("ping", "m4.m", operations={"ping": ping})
        self.assertEqual(result.exit_code, 8)
        self.assertEqual(len(result.stdout.splitlines()), 1)
        self.assertIn("reset: the link ended", result.stderr)

"""Tests for :mod:`p2p.cli.lab_invite`."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred

from p2p.cli.main import cli
from p2p.identity.invitation import parse_code
from test.signer.lab import HOSTS, SignerTestCase


class InviteCommandTests(SignerTestCase):
    """``p2p lab invite``, where the lab's folder is."""

    def run_invite(
        self, name: str, *arguments: str, meanwhile: Callable[[], object] = lambda: None, seconds: float = 0.0
    ) -> Result:
        """Run the command; when it waits, something happens, and time passes."""

        def run(work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
            working = Deferred.fromCoroutine(work(self.network.on("10.8.8.8")))
            self.network.settle()
            meanwhile()
            for _ in range(20):
                self.network.advance(seconds / 20 + 0.5)
            result: list[Any] = []
            working.addBoth(result.append)
            if hasattr(result[0], "raiseException"):
                result[0].raiseException()
            return result[0]

        return CliRunner().invoke(cli, ["lab", "invite", name, "--lab", str(self.folder), *arguments], obj=run)

    def test_signer_runs(self) -> None:
        """Where a signer runs, one line is printed and the command ends; the line's code works."""
        self.start_signer()
        result = self.run_invite("n5.n")
        self.assertEqual(0, result.exit_code, result.output)
        p2p, join, place, code = result.stdout.split()
        self.assertEqual(("p2p", "join", f"n5.n@{HOSTS['n']}:5555"), (p2p, join, place))
        self.assertEqual(1, result.stdout.count("\n"))
        self.assertIn("the code is good once, until 20", result.stderr)
        self.assertNotIn("Waiting", result.stderr)
        self.successResultOf(self.join(parse_code(code)))

    def test_waits(self) -> None:
        """Where none runs, the command is the signer until the machine has joined."""

        def meanwhile() -> None:
            ((locator, secret),) = self.ledger._connection.execute("SELECT locator, secret FROM invitations")
            self.joined = self.join(self.code(locator, secret))

        result = self.run_invite("n5.n", meanwhile=meanwhile)
        self.assertEqual(0, result.exit_code, result.output)
        self.assertIn("Waiting for n5.n; a signer that runs all the time does this as well: twistd", result.stderr)
        self.assertIn("n5.n has joined.", result.stderr)
        self.successResultOf(self.joined)

    def test_router_away(self) -> None:
        """If the router isn't reached, that is said; when the code has ended, the command does, too."""
        result = self.run_invite("m5.m", "--hours", "0.01", seconds=40)
        self.assertEqual(7, result.exit_code, result.output)
        self.assertIn("The router of m isn't reached at 10.0.12.1:5555; is it running?", result.stderr)
        self.assertIn("m5.m hasn't joined while the code was good", result.stderr)

    def test_json(self) -> None:
        """``--json`` has the command, until when it is good, and whether this one waits."""
        self.start_signer()
        told = json.loads(self.run_invite("n5.n", "--json").stdout)
        self.assertEqual(("n5.n", False), (told["name"], told["waits"]))
        self.assertTrue(told["command"].startswith("p2p join n5.n@"))

    def test_taken(self) -> None:
        """A name that has a certificate isn't given to another machine; names of nobody aren't, either."""
        self.assertIn("n1.n has a certificate until", self.run_invite("n1.n").stderr)
        self.assertEqual(2, self.run_invite("router.n").exit_code)
        self.assertIn("the lab has no cluster 'q'", self.run_invite("q1.q").stderr)

"""Tests for :mod:`p2p.cli.lab_revoke`."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred

from p2p.cli.main import cli
from test.signer.lab import SignerTestCase


class RevokeCommandTests(SignerTestCase):
    """``p2p lab revoke`` and ``p2p lab list``."""

    def run_lab(self, *arguments: str) -> Result:
        """Run the command; time passes while it tells the routers."""

        def run(work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
            working = Deferred.fromCoroutine(work(self.network.on("10.8.8.8")))
            for _ in range(300):
                self.network.advance(0.05)
            return self.successResultOf(working)

        return CliRunner().invoke(cli, ["lab", *arguments, "--lab", str(self.folder)], obj=run)

    def test_tells(self) -> None:
        """Where no signer runs, the command tells the routers itself; those that it doesn't reach are named."""
        self.start_router("m")
        result = self.run_lab("revoke", "n1.n")
        self.assertEqual((0, "The key of n1.n is revoked.\n"), (result.exit_code, result.stdout))
        self.assertEqual(1, len(self.router.believed.revocations))
        again = self.run_lab("revoke", "n1.n")
        self.assertEqual(2, again.exit_code)
        self.assertIn("the key of n1.n is revoked already", again.stderr)

    def test_router_away(self) -> None:
        """A router that can't be told is named, and why that isn't lost; the exit code says so."""
        result = self.run_lab("revoke", "m1.m")
        self.assertEqual(4, result.exit_code)
        self.assertIn("the routers of m couldn't be told; they learn it from their neighbours", result.stderr)

    def test_signer_runs(self) -> None:
        """Where one runs, it tells them."""
        self.start_signer()
        told = json.loads(self.run_lab("revoke", "m1.m", "--json").stdout)
        self.assertEqual(("m1.m", [], 1), (told["name"], told["not_told"], len(told["keys"])))
        self.network.advance(1)
        self.assertEqual(1, len(self.router.believed.revocations))

    def test_nobody(self) -> None:
        """A name that nobody has is told, and one whose certificate has ended."""
        self.assertIn("nobody has a certificate for n7.n", self.run_lab("revoke", "n7.n").stderr)
        self.ledger._connection.execute("UPDATE keys SET until = 5 WHERE name = 'n1.n'")
        self.assertIn("the certificate of n1.n ended on 1970-01-01", self.run_lab("revoke", "n1.n").stderr)

    def test_list(self) -> None:
        """The list has every name with its end and whether it is revoked."""
        self.start_signer()
        self.run_lab("revoke", "m1.m")
        self.ledger._connection.execute("UPDATE keys SET until = 5 WHERE name = 'n1.n'")
        result = self.run_lab("list")
        self.assertEqual(0, result.exit_code, result.output)
        heads, *rows = (line.split() for line in result.stdout.splitlines())
        self.assertEqual(["NAME", "UNTIL", "STATE", "KEY"], heads)
        states = {row[0]: row[2] for row in rows}
        self.assertEqual({"m1.m": "revoked", "n1.n": "ended", "router.m": "valid", "router.n": "valid"}, states)
        told = json.loads(self.run_lab("list", "--json").stdout)["keys"]
        self.assertEqual({"name", "key", "until", "state"}, set(told[0]))

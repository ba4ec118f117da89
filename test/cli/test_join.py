"""Tests for :mod:`p2p.cli.join`."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred

from p2p.base.config import load_peers
from p2p.cli import join as module
from p2p.cli.main import cli
from p2p.peer.service import load_credentials
from test.signer.lab import HOSTS, SignerTestCase

CODE = "000g40r40m30-e209185gr38e-1ynwvsj6ask7-d1mpmtvcdp0d"


class JoinCommandTests(SignerTestCase):
    """``p2p join`` on a machine of a network in memory."""

    def run_join(self, *arguments: str, seconds: float = 0.0) -> Result:
        """Run the command; so much time passes while it waits."""

        def run(work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
            working = Deferred.fromCoroutine(work(self.network.on("10.9.9.9")))
            self.network.settle()
            self.network.advance(seconds)
            result: list[Any] = []
            working.addBoth(result.append)
            if hasattr(result[0], "raiseException"):
                result[0].raiseException()
            return result[0]

        return CliRunner().invoke(cli, ["join", *arguments], obj=run)

    def fails(self, code: int, *arguments: str, seconds: float = 0.0) -> str:
        """Run the command to an error and return what it says."""
        result = self.run_join(*arguments, "--dir", str(self.top / "new"), seconds=seconds)
        self.assertEqual(code, result.exit_code, result.output)
        return result.stderr

    def test_joins(self) -> None:
        """It says who the machine is now, and the one command that starts its daemon, whose files are all there."""
        self.start_signer()
        code = str(self.invite())
        result = self.run_join(f"n5.n@{HOSTS['n']}:5555", code, "--dir", str(self.top / "new"))
        self.assertEqual(0, result.exit_code, result.output)
        self.assertIn("This machine is n5.n now, with a certificate until 20", result.stdout)
        config = self.top / "new" / "peer-n5.n.yaml"
        self.assertTrue(result.stdout.endswith(f"\n  twistd --nodaemon --pidfile= p2p-peer --config {config}\n"))
        self.assertEqual(["n5.n"], [one.name for one in load_credentials(load_peers(config))])

    def test_json(self) -> None:
        """``--json`` has the same."""
        self.start_signer()
        code = str(self.invite())
        result = self.run_join(f"n5.n@{HOSTS['n']}", code, "--dir", str(self.top / "new"), "--json")
        told = json.loads(result.stdout)
        self.assertEqual({"name", "config", "valid_until", "start"}, set(told))
        self.assertTrue(Path(told["config"]).is_file())
        self.assertTrue(told["start"].startswith("twistd --nodaemon"))

    def test_units(self) -> None:
        """With ``--systemd`` or ``--user`` the daemon is started by systemd, whose command is told."""
        asked: list[tuple[str, Path]] = []

        def enable(name: str, path: Path, home: Path | None = None) -> str:
            asked.append((name, path))
            return "enabled"

        self.patch(module, "enable_for_all", enable)
        self.patch(module, "enable_for_user", enable)
        self.start_signer()
        for option, secret in (("--systemd", b"0" * 10), ("--user", b"1" * 10)):
            folder = self.top / option
            code = str(self.invite(secret=secret))
            self.ledger._connection.execute("UPDATE invitations SET key = NULL")
            result = self.run_join(f"n5.n@{HOSTS['n']}", code, "--dir", str(folder), option)
            self.assertEqual(0, result.exit_code, result.output)
            self.assertIn("Its daemon runs, by this:\n\n  enabled\n", result.stdout)
        self.assertEqual(("n5.n", self.top / "--systemd/certificates/n5.n.key"), asked[0])
        self.assertEqual(("n5.n", self.top / "--user"), asked[1])
        self.assertIn("exclude each other", self.fails(2, f"n5.n@{HOSTS['n']}", CODE, "--systemd", "--user"))

    def test_places(self) -> None:
        """What isn't a name and a place is wrong usage, which says what is expected."""
        for place, why in (
            ("n5.n", "isn't NAME@ROUTER:PORT, for example n5.n@192.0.2.1:5555"),
            ("n5@192.0.2.1:5555", "isn't <node>.<cluster>"),
            ("n5.n@192.0.2.1:99999", "less than or equal to 65535"),
            ("n5.n@192.0.2:5555", "isn't a host"),
            ("n5.n@2001:db8::1:5555", "isn't NAME@ROUTER:PORT"),
            ("router.n@192.0.2.1:5555", "reserved"),
        ):
            self.assertIn(why, self.fails(2, place, CODE))
        self.assertFalse((self.top / "new").exists())

    def test_mistyped(self) -> None:
        """A wrong letter in the code is told before anything is made or sent."""
        self.assertIn("the code is mistyped", self.fails(2, f"n5.n@{HOSTS['n']}", CODE.replace("g", "h")))
        self.assertFalse((self.top / "new").exists())

    def test_not_reached(self) -> None:
        """No router there: the place is named. IPv6 addresses have brackets."""
        self.assertIn("no router can be reached at 10.0.99.1:5555", self.fails(4, "n5.n@10.0.99.1", CODE))
        self.assertIn("no router can be reached at ::1:7", self.fails(4, "n5.n@[::1]:7", CODE))

    def test_wrong_router(self) -> None:
        """The router of another lab isn't told anything, and its place is named."""
        told = self.fails(5, f"n5.n@{HOSTS['n']}", CODE)
        self.assertIn(f"n5.n can't join at {HOSTS['n']}:5555: it isn't a router of the lab that made this code", told)

    def test_refused(self) -> None:
        """What the signer says is told, and the same command may work later."""
        code = str(self.invite())
        self.assertIn("no signer is linked to router.n now", self.fails(5, f"n5.n@{HOSTS['n']}", code))
        self.start_signer()
        self.assertEqual(0, self.run_join(f"n5.n@{HOSTS['n']}", code, "--dir", str(self.top / "new")).exit_code)
        self.assertIn("n5.n seems to have joined", self.fails(11, f"n5.n@{HOSTS['n']}", code))

    def test_lies(self) -> None:
        """A router that breaks the protocol is told as such."""
        self.router._channels.joins._authorities = [b"x" * 100]  # what it shows can't be read
        self.assertIn("broke the protocol", self.fails(2, f"n5.n@{HOSTS['n']}", CODE))

    def test_hangs(self) -> None:
        """A signer, or a router, that says nothing isn't waited for for ever."""
        self.start_signer()
        code = str(self.invite())
        channel = self.router._channels.joins.signer
        assert channel is not None
        channel.transport.pauseProducing()
        self.assertIn("the signer gave no answer", self.fails(5, f"n5.n@{HOSTS['n']}", code, seconds=9.0))
        self.router._door.turned_away = lambda *about: None
        self.router._channels.joins._limits = self.router._channels.joins._limits.model_copy(update={"call_s": 200.0})
        self.assertIn("didn't answer: no answer within 30 s", self.fails(7, f"n5.n@{HOSTS['n']}", code, seconds=31.0))
        channel.transport.resumeProducing()

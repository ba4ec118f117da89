"""The command as a whole: its help, its options, and how every run ends."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from click.testing import CliRunner

from p2p import __version__
from p2p.base.errors import ConfigError, ConsoleUnreachable, DaemonFault, ExchangeFailed, InvalidRequest, Outcome
from p2p.cli.main import COMMANDS, cli
from test.cli.commands import CommandCase
from test.consoles import failing, peer_operations

MAIN = sys.modules["p2p.cli.main"]
"""The module of the command."""


class HelpTests(CommandCase):
    """What a newcomer reads."""

    def test_group(self) -> None:
        """The help lists every command, an example, and all exit codes; no daemon is needed for it."""
        for option in ("--help", "-h"):
            result = CliRunner().invoke(cli, [option])
            self.assertEqual(result.exit_code, 0)
            for part in (*COMMANDS, "P2P_CONFIG", "p2p send m4.m film.mkv", "130  interrupted"):
                self.assertIn(part, result.stdout)

    def test_commands(self) -> None:
        """Each command has a help of its own, with ``--json`` and an example."""
        for command in ("message", "send", "peers", "ping", "status"):
            result = CliRunner().invoke(cli, [command, "--help"])
            self.assertEqual(result.exit_code, 0)
            self.assertIn("--json", result.stdout)
            self.assertIn(f"p2p {command}", result.stdout.partition("\n")[2])

    def test_version(self) -> None:
        """``--version`` tells it."""
        self.assertIn(__version__, CliRunner().invoke(cli, ["--version"]).stdout)

    def test_no_such_command(self) -> None:
        """A command that isn't there is an error of usage."""
        self.assertIn("No such command 'dance'", self.failure(2, "dance"))


class ConfigTests(CommandCase):
    """Which daemon."""

    def test_environment(self) -> None:
        """``P2P_CONFIG`` names the file where ``--config`` doesn't."""
        self.run_command("status")
        result = CliRunner().invoke(cli, ["peers"], obj=self.reactor.run_work, env={"P2P_CONFIG": str(self.config)})
        self.assertEqual(result.stdout, "n1.m\nn2.m\nn3.m\n")

    def test_none(self) -> None:
        """Without any file, what to do is told."""
        result = CliRunner().invoke(cli, ["peers"], env={"P2P_CONFIG": None})
        self.assertEqual(result.exit_code, 2)
        self.assertIn("export P2P_CONFIG=FILE", result.stderr)

    def test_wrong(self) -> None:
        """A file that is missing or wrong is told, with its line."""
        self.assertIn("none.yaml", self.failure(2, "status", config=self.folder / "none.yaml"))
        wrong = self.write("wrong.yaml", "router: tcp:127.0.0.1:5555\nconsole: [1]\n")
        self.assertIn("wrong.yaml:2: ", self.failure(2, "status", config=wrong))

    def test_router(self) -> None:
        """A command for peers isn't asked of a router, and a router that has no console can't be asked."""
        self.assertIn("this is a router's", self.failure(2, "peers", config=self.router_config))
        silent = self.write(
            "silent.yaml", "cluster: n\nlisten: tcp:5555\ntls: {certificate: a, key: b, authority: c}\n"
        )
        self.assertIn("add 'console: PATH'", self.failure(2, "status", config=silent))

    def test_acting(self) -> None:
        """``--as`` says which hosted peer acts."""
        seen: list[Mapping[str, Any]] = []

        async def peers(request: Mapping[str, Any], emit: object) -> Mapping[str, Any]:
            seen.append(request)
            return {"cluster": "n", "names": []}

        self.run_command("--as", "n2.n", "peers", operations={"peers": peers})
        self.assertEqual(seen, [{"cluster": "n", "as": "n2.n"}])
        self.assertIn("peer name 'n2'", self.failure(2, "--as", "n2", "peers"))


class EndTests(CommandCase):
    """Every error becomes its exit code, in plain text and in JSON."""

    def ends(self, error: BaseException, *arguments: str) -> tuple[int, str, str]:
        """How a command ends whose work fails like this."""

        def run(work: Callable[..., object]) -> object:
            raise error

        result = CliRunner().invoke(cli, ["--config", str(self.config), "peers", *arguments], obj=run)
        return result.exit_code, result.stdout, result.stderr

    def test_outcomes(self) -> None:
        """Each outcome has its code; standard error says the outcome, the reason and the next step."""
        for outcome in set(Outcome) - {Outcome.OK}:
            operations = peer_operations(peers=failing(ExchangeFailed(outcome, "because")))
            result = self.run_command("peers", "m", operations=operations)
            self.assertIn(f"p2p: {outcome}: because\nnext: ", result.stderr)
            self.assertNotIn(result.exit_code, (0, 1, 2))

    def test_kinds(self) -> None:
        """What the daemon can't do, what it did wrong, and that it isn't there have different codes."""
        for error, code in (
            (InvalidRequest("not hosted"), 2),
            (ConfigError("f.yaml:3: wrong"), 2),
            (ConsoleUnreachable("no daemon"), 10),
            (DaemonFault("bug"), 1),
        ):
            self.assertEqual(self.ends(error), (code, "", f"p2p: {error}\n"))
            ended, out, err = self.ends(error, "--json")
            self.assertEqual((ended, err), (code, ""))
            expected = {"outcome": None, "reason": str(error), "next_step": None, "exit_code": code}
            self.assertEqual(json.loads(out), expected)

    def test_interrupted(self) -> None:
        """Ctrl-C ends with 130."""
        code, out, err = self.ends(KeyboardInterrupt())
        self.assertEqual((code, out), (130, ""))
        self.assertIn("interrupted", err)

    def test_fault_of_our_own(self) -> None:
        """An error that nobody expected ends with 1; programs get it as JSON, people with its traceback."""
        self.assertEqual(self.ends(ZeroDivisionError("x"))[:2], (1, ""))
        code, out, _ = self.ends(ZeroDivisionError("x"), "--json")
        self.assertEqual((code, json.loads(out)["exit_code"]), (1, 1))
        self.assertIn("ZeroDivisionError", json.loads(out)["reason"])

    def test_output_not_written(self) -> None:
        """A full disk behind standard output is told on standard error, and isn't taken for a fault of ours."""
        for arguments in ((), ("--json",)):
            code, out, err = self.ends(OSError(errno.ENOSPC, "No space left on device"), *arguments)
            self.assertEqual((11, ""), (code, out))
            self.assertIn("standard output can't be written: No space left on device", err)
        self.assertEqual(1, self.ends(OSError(errno.ENOSPC, "No space", "/file/of/ours"))[0])

    def test_closed_streams(self) -> None:
        """Standard streams that were closed before lead nowhere, and their descriptors aren't filled again."""
        for name in ("stdin", "stdout", "stderr"):
            self.patch(sys, name, None)
        self.patch(MAIN, "cli", lambda: None)
        MAIN.main()
        self.assertEqual("", sys.stdin.read())
        for stream in (sys.stdout, sys.stderr):
            stream.write("x")
            self.assertGreater(stream.fileno(), 2)
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            stream.close()

    def test_json_as_an_argument(self) -> None:
        """``--json`` behind ``--`` is a text like any other."""
        self.assertEqual(self.output("message", "m4.m", "--", "--json"), "--JSON\n")
        result = self.run_command("message", "m4", "--", "--json")
        self.assertEqual((result.exit_code, result.stdout), (2, ""))

    def test_not_a_command(self) -> None:
        """An entry of the map that isn't a command is our own mistake."""
        self.patch(MAIN, "COMMANDS", {"Path": "pathlib"})
        self.assertIsInstance(self.run_command("Path").exception, TypeError)

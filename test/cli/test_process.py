"""The command as a real process against a console on a real socket."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from p2p.console.server import ConsoleServer, Handler
from test.cli.commands import PEER_YAML
from test.consoles import peer_operations
from test.moves import Move, done, moved, offered, verified, whole


class Command(ProcessProtocol):
    """A process: what it printed, and how it ended.

    :ivar ended: fires with the exit code, None if a signal ended it.
    """

    transport: Any

    def __init__(self) -> None:
        self.printed = b""
        self.errors = b""
        self.ended: Deferred[int | None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        """Keep standard output."""
        self.printed += data

    def errReceived(self, data: bytes) -> None:
        """Keep standard error."""
        self.errors += data

    def processEnded(self, reason: Failure) -> None:
        """Tell how it ended."""
        ended: Any = reason.value
        self.ended.callback(ended.exitCode)


class ProcessTests(TestCase):
    """``p2p`` from the shell."""

    timeout = 60

    def setUp(self) -> None:
        """Make a folder with a configuration whose console path is short enough."""
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.folder = Path(tempfile.mkdtemp(prefix="p2p-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.config = self.folder / "peer.yaml"
        self.config.write_text(PEER_YAML.replace("/run/p2p/n1", "console"))

    def serve(self, **changed: Handler) -> ConsoleServer:
        """Start a daemon's console."""
        console = ConsoleServer(self.reactor, self.folder / "console", peer_operations(**changed))
        console.startService()
        self.addCleanup(console.stopService)
        return console

    def command(self, *arguments: str, unread: bool = False) -> Command:
        """Start ``p2p`` with these arguments; with ``unread``, nobody reads its standard output any more."""
        command = Command()
        argv = [sys.executable, "-c", "from p2p.cli.main import main; main()", *arguments]
        environment = {**os.environ, "P2P_CONFIG": str(self.config), "PYTHONPATH": os.pathsep.join(sys.path)}
        if not unread:
            self.reactor.spawnProcess(command, sys.executable, argv, environment)
            return command
        read, write = os.pipe()
        os.close(read)
        self.reactor.spawnProcess(command, sys.executable, argv, environment, childFDs={0: "w", 1: write, 2: "r"})
        os.close(write)
        return command

    async def test_message(self) -> None:
        """A message goes to the daemon and its reply comes back, with exit code 0 and nothing on standard error."""
        self.serve()
        command = self.command("message", "m4.m", "grüße")
        self.assertEqual((await command.ended, command.printed.decode(), command.errors), (0, "GRÜSSE\n", b""))

    async def test_pipes(self) -> None:
        """What is piped into ``send`` and out of ``get`` is read and written by the daemon itself."""
        sending, getting = whole(), Move(written=b"from afar")
        self.serve(send=sending, get=getting)
        command = self.command("send", "m4.m", "-", "--name", "x")
        command.transport.write(b"from here")
        self.assertEqual((0, b""), (await command.ended, command.errors))
        self.assertEqual([b"from here"], sending.read)
        command = self.command("get", "m4.m", "x", "-")
        self.assertEqual((0, b"from afar"), (await command.ended, command.printed))

    async def test_unread(self) -> None:
        """When nobody reads what it prints any more, it ends with 11 and says so, as with a disk that is full; what
        was being sent can go on."""
        self.serve(send=Move(offered(), verified(), done(), answer=moved()))
        for arguments in (["status"], ["status", "--json"], ["send", "m4.m", str(self.config), "-v"]):
            command = self.command(*arguments, unread=True)
            self.assertEqual(11, await command.ended, command.errors)
            (line,) = command.errors.decode().splitlines()
            self.assertTrue(line.startswith("p2p: nobody reads standard output any more"), line)
            self.assertEqual("send" in arguments, line.endswith("; the same command goes on where this one stopped"))

    async def test_no_daemon(self) -> None:
        """Where no daemon runs, exit code 10 and the command that starts it."""
        command = self.command("status")
        self.assertEqual((await command.ended, command.printed), (10, b""))
        self.assertIn(f"twistd -n --pidfile= p2p-peer --config {self.config}", command.errors.decode())

    async def test_interrupted(self) -> None:
        """Ctrl-C ends with 130, says so in JSON, and cancels in the daemon what was under way."""
        begun: Deferred[None] = Deferred()
        cancelled: Deferred[None] = Deferred()

        async def exchange(request: Mapping[str, Any], emit: object) -> Mapping[str, Any]:
            begun.callback(None)
            try:
                await Deferred[None]()
            finally:
                cancelled.callback(None)
            return {}

        self.serve(exchange=exchange)
        command = self.command("message", "m4.m", "x", "--json")
        await begun
        command.transport.signalProcess("INT")
        self.assertEqual(await command.ended, 130)
        self.assertEqual(json.loads(command.printed)["exit_code"], 130)
        await cancelled

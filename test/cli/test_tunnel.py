"""``p2p tunnel``: where it listens, and how many connections it gives to the daemon at once."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from p2p.base.errors import ConsoleUnreachable, ExchangeFailed, LocalFileError, Outcome
from p2p.cli import tunnel as module
from p2p.cli.session import ConsoleSession, run_in_reactor
from p2p.cli.tunnel import CONNECTIONS, _bound, _door, _own_folder
from test.cli.commands import CommandCase


class UsageTests(CommandCase):
    def test_ports(self) -> None:
        """What can't be a port is refused before anything is asked."""
        for port in ("0", "65536", "ssh"):
            self.assertEqual(2, self.run_command("tunnel", "m4.m", port).exit_code)
        self.assertEqual(2, self.run_command("tunnel", "nobody", "22").exit_code)


class FolderTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Have a folder in the place of the user's own."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.patch(os, "environ", {**os.environ, "XDG_RUNTIME_DIR": str(self.folder)})

    def test_made(self) -> None:
        """The folder for sockets is made, and is this user's alone."""
        self.assertEqual(0o700, stat.S_IMODE(_own_folder().stat().st_mode))
        self.assertEqual(self.folder / "p2p", _own_folder())

    def test_others(self) -> None:
        """One that others can reach isn't used, nor is what is no folder."""
        _own_folder().chmod(0o755)
        self.assertIn("others can reach", str(self.assertRaises(LocalFileError, _own_folder)))
        (self.folder / "p2p").rmdir()
        (self.folder / "p2p").write_text("")
        self.assertRaises(LocalFileError, _own_folder)

    def test_taken_port(self) -> None:
        """A port that is taken, or is none, is an error with what to do."""
        with _bound(0) as listener:
            taken = listener.getsockname()[1]
            self.assertEqual("127.0.0.1", listener.getsockname()[0])
            self.assertIn("choose another", str(self.assertRaises(LocalFileError, _bound, taken)))
        self.assertIn("65535", str(self.assertRaises(LocalFileError, _bound, 65536)))


class Joining:
    """Stands in for the client: each connection waits for what the test does with it."""

    def __init__(self) -> None:
        self.files: list[Deferred[None]] = []

    async def tunnel_told(self, peer: str, port: int, *, acting: str | None) -> str:
        return f"127.0.0.1:{port}"

    async def tunnel(self, peer: str, port: int, file: int, *, acting: str | None) -> None:
        self.files.append(Deferred())
        await self.files[-1]


class ServeTests(TestCase):
    timeout = 20

    def setUp(self) -> None:
        """Begin to serve at a path that is short enough."""
        self.top = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(self.top.cleanup)
        self.path = Path(self.top.name) / "s"
        self.said: list[str] = []
        self.errors: list[str] = []
        self.patch(click, "echo", lambda text, err: self.said.append(text))
        self.patch(module, "show_error", lambda error: self.errors.append(str(error)))

    def serve(self, local: str) -> Deferred[None]:
        from twisted.internet import reactor

        self.client = Joining()
        client: Any = self.client
        session = ConsoleSession(None, None, run_in_reactor)
        return Deferred.fromCoroutine(_door(session, client, reactor, "m4.m", 22, local))

    async def until(self, count: int) -> None:
        """Wait until so many connections have been given to the daemon."""
        from twisted.internet import reactor

        while len(self.client.files) < count:
            await deferLater(reactor, 0.01)
        await deferLater(reactor, 0.05)
        self.assertEqual(count, len(self.client.files))

    def connect(self, count: int) -> list[socket.socket]:
        """Connect so many programs."""
        made = []
        for _ in range(count):
            made.append(socket.socket(socket.AF_UNIX))
            self.addCleanup(made[-1].close)
            made[-1].connect(str(self.path))
        return made

    async def test_many(self) -> None:
        """So many connections are served at once; more wait until one has ended."""
        serving = self.serve(str(self.path))
        self.assertEqual(0o600, stat.S_IMODE(self.path.stat().st_mode))
        self.connect(CONNECTIONS + 2)
        await self.until(CONNECTIONS)
        self.client.files[0].callback(None)
        await self.until(CONNECTIONS + 1)
        serving.cancel()
        with self.assertRaises(CancelledError):
            await serving
        self.assertFalse(self.path.exists())
        self.assertEqual([], self.errors)

    async def test_error(self) -> None:
        """A connection that comes to nothing is told, closed, and doesn't end the others."""
        serving = self.serve(str(self.path))
        program = self.connect(1)[0]
        await self.until(1)
        self.client.files[0].errback(ExchangeFailed(Outcome.REFUSED, "ECONNREFUSED"))
        self.assertEqual((["ECONNREFUSED"], b""), (self.errors, program.recv(1)))
        self.connect(1)
        await self.until(2)
        self.client.files[1].errback(ConsoleUnreachable("the daemon is gone"))
        with self.assertRaises(ConsoleUnreachable):
            await serving

    async def test_port(self) -> None:
        """On a port, everybody is warned that everybody can use it."""
        serving = self.serve("0")
        self.assertIn("every user of this machine", self.said[1])
        serving.cancel()
        with self.assertRaises(CancelledError):
            await serving

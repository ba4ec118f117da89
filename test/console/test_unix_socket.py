"""Consoles on real UNIX sockets in a temporary folder."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from p2p.base.errors import ConsoleUnreachable, LocalFileError
from p2p.client import Client
from p2p.console.operations import Arguments
from p2p.console.server import ConsoleServer, Emit, checked_with_file
from test.consoles import peer_operations


def open_pipes() -> list[str]:
    """The pipes that this process has open."""
    found = [str(one.readlink()) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    return sorted(one for one in found if one.startswith("pipe:"))


class UNIXSocketTests(TestCase):
    """Where a console listens, and when it refuses to."""

    timeout = 20

    def setUp(self) -> None:
        """Make a folder whose path is short enough for sockets."""
        from twisted.internet import reactor

        self.reactor = reactor
        self.folder = Path(tempfile.mkdtemp(prefix="p2p-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.path = self.folder / "console"

    def console(self, path: Path | None = None) -> ConsoleServer:
        """Start a console that stops with the test."""
        console = ConsoleServer(self.reactor, path or self.path, peer_operations())
        console.startService()
        self.addCleanup(console.stopService)
        return console

    def refused(self, path: Path, reason: str) -> None:
        """Check that no console starts at a path, with this reason and the path in it."""
        error = self.assertRaises(LocalFileError, ConsoleServer(self.reactor, path, {}).startService)
        self.assertIn(reason, str(error))
        self.assertIn(str(path), str(error))

    async def unreachable(self, attempt: Coroutine[Deferred[Any], Any, Any]) -> ConsoleUnreachable:
        """Check that an attempt finds no daemon, and return the error."""
        error: ConsoleUnreachable = await self.assertFailure(Deferred.fromCoroutine(attempt), ConsoleUnreachable)
        return error

    def dead_socket(self) -> None:
        """Leave behind what a killed daemon leaves behind."""
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(self.path))

    async def test_conversation(self) -> None:
        """A client reaches the daemon over the socket, and the file goes when the daemon stops."""
        console = self.console()
        async with await Client.connect(self.reactor, self.path) as client:
            self.assertEqual((await client.message("m4.m", "hello\nworld")).text, "HELLO\nWORLD")
            self.assertEqual(console.connected, 1)
        await console.stopService()
        self.assertFalse(self.path.exists())
        error = await self.unreachable(Client.connect(self.reactor, self.path))
        self.assertIn("twistd -n --pidfile= p2p-peer --config FILE", str(error))

    async def test_stop_ends_clients(self) -> None:
        """A client that is connected when the daemon stops is told so."""
        console = self.console()
        client = await Client.connect(self.reactor, self.path)
        await client.status()
        await console.stopService()
        await self.unreachable(client.status())

    async def test_file_descriptors(self) -> None:
        """A descriptor goes over the socket with its request: the daemon reads what a client's pipe gives."""
        read: list[bytes] = []

        class StreamArguments(Arguments):
            stream: bool
            part: int

        async def read_all(arguments: StreamArguments, emit: Emit, file: int | None) -> dict[str, int]:
            assert file is not None
            read.append(os.read(file, 100))
            return {"part": arguments.part}

        console = ConsoleServer(self.reactor, self.path, {"read": checked_with_file(StreamArguments, read_all)})
        console.startService()
        self.addCleanup(console.stopService)
        async with await Client.connect(self.reactor, self.path) as client:
            before = open_pipes()
            for part in range(3):
                out, into = os.pipe()
                os.write(into, b"part %d" % part)
                answer = await client.request("read", {"stream": True, "part": part}, file=out)
                os.close(out)
                os.close(into)
                self.assertEqual(part, answer["part"])
            self.assertEqual(before, open_pipes())
        self.assertEqual([b"part 0", b"part 1", b"part 2"], read)

    def test_mode(self) -> None:
        """The socket has mode 0600 from its first moment, not only after a chmod, and the umask is as before."""
        modes: list[int] = []
        chmod = os.chmod

        def spy(path: Any, mode: int) -> None:
            modes.append(stat.S_IMODE(Path(os.fsdecode(path)).stat().st_mode))
            chmod(path, mode)

        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.patch(os, "chmod", spy)
        self.console()
        self.assertEqual(modes, [0o600])
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(os.umask(0), 0)

    async def test_stale(self) -> None:
        """The socket of a daemon that was killed is replaced."""
        self.dead_socket()
        self.console()
        async with await Client.connect(self.reactor, self.path) as client:
            self.assertEqual((await client.wait_registered(1)).registered, 1)

    def test_live(self) -> None:
        """The socket of a daemon that runs is left alone."""
        self.console()
        self.refused(self.path, "answers on this console already")
        self.assertTrue(self.path.exists())

    def test_live_but_busy(self) -> None:
        """A daemon whose queue of connections is full is alive."""
        with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
            busy.bind(str(self.path))
            busy.listen(0)
            waiting.connect(str(self.path))
            self.refused(self.path, "answers on this console already")

    def test_another_file(self) -> None:
        """A file that isn't a socket is never replaced."""
        self.path.write_text("precious")
        self.refused(self.path, "no socket")
        self.assertEqual(self.path.read_text(), "precious")

    def test_no_folder(self) -> None:
        """A folder that isn't there is told."""
        self.refused(self.folder / "none" / "console", "its folder must exist")

    def test_file_as_folder(self) -> None:
        """A path that goes through a file is told."""
        (self.folder / "file").touch()
        self.refused(self.folder / "file" / "console", "Not a directory")

    async def test_path_too_long(self) -> None:
        """A path that no socket can have is told, on both sides."""
        path = self.folder / ("x" * 120)
        self.refused(path, "bytes")
        self.assertIn("bytes", str(await self.unreachable(Client.connect(self.reactor, path))))

    def test_nobody_may_ask(self) -> None:
        """A socket that can't be asked whether it is alive is left alone, with the system's reason."""
        self.dead_socket()

        def connect(self: socket.socket, address: str) -> None:
            raise PermissionError(13, "Permission denied")

        self.patch(socket, "socket", type("Guarded", (socket.socket,), {"connect": connect}))
        self.refused(self.path, "Permission denied")

    def test_not_removable(self) -> None:
        """A dead socket that can't be removed is told."""
        self.dead_socket()

        def unlink(path: Path) -> None:
            raise PermissionError(13, "Permission denied")

        self.patch(Path, "unlink", unlink)
        self.refused(self.path, "can't remove the old socket")

    async def test_socket_removed_meanwhile(self) -> None:
        """Somebody who removes the socket's file doesn't hold up the daemon's end."""
        console = self.console()
        self.path.unlink()
        await console.stopService()

"""Standard streams as a connection, with pipes in their places and a real reactor."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from p2p.cli import standard_streams as module
from p2p.cli.standard_streams import with_standard_streams


class StandardStreamsTests(TestCase):
    timeout = 10

    def setUp(self) -> None:
        """Have pipes in the places of both."""
        stdin, self.typing = os.pipe()
        self.shown, stdout = os.pipe()
        self.ends = {stdin, self.typing, self.shown, stdout}
        self.patch(module, "STDIN", stdin)
        self.patch(module, "STDOUT", stdout)
        self.addCleanup(self.close_all)

    def close_all(self) -> None:
        """Close what a test has left open."""
        for end in list(self.ends):
            self.close(end)

    def close(self, end: int) -> None:
        """Close an end of a pipe."""
        self.ends.discard(end)
        os.close(end)

    async def joined(self, use: Any) -> Any:
        """Have something done with the connection in a thread, as a daemon would with its copy."""
        from twisted.internet import reactor

        async def ask(descriptor: int) -> Any:
            with socket.socket(fileno=os.dup(descriptor)) as handle:
                return await deferToThread(use, handle)

        return await with_standard_streams(reactor, ask)

    async def test_both_ways(self) -> None:
        """What is typed comes, and then its end; what is sent is shown, all of it before this ends."""

        def use(handle: socket.socket) -> bytes:
            handle.sendall(b"answer")
            handle.shutdown(socket.SHUT_WR)
            typed = b""
            while data := handle.recv(100):
                typed += data
            return typed

        os.write(self.typing, b"question")
        self.close(self.typing)
        self.assertEqual(b"question", await self.joined(use))
        self.assertEqual(b"answer", os.read(self.shown, 100))

    async def test_ends_without_input(self) -> None:
        """When all is over, nobody waits for what might still be typed."""
        await self.joined(lambda handle: handle.sendall(b"bye"))
        self.assertEqual(b"bye", os.read(self.shown, 100))
        self.close(self.typing)

    async def test_nobody_reads(self) -> None:
        """When nobody reads what is shown, the request is cancelled, and that is the error."""
        from twisted.internet import reactor

        self.close(self.shown)
        cancelled: list[object] = []

        async def ask(descriptor: int) -> None:
            with socket.socket(fileno=os.dup(descriptor)) as handle:
                handle.sendall(b"is anybody there?")
                waiting: Deferred[None] = Deferred(cancelled.append)
                await waiting

        with self.assertRaises(BrokenPipeError):
            await with_standard_streams(reactor, ask)
        self.assertEqual(1, len(cancelled))
        self.close(self.typing)

    async def test_interrupted(self) -> None:
        """Who interrupts it isn't kept waiting."""
        from twisted.internet import reactor

        async def ask(descriptor: int) -> None:
            await Deferred[None]()

        running = Deferred.fromCoroutine(with_standard_streams(reactor, ask))
        running.cancel()
        with self.assertRaises(CancelledError):
            await running
        self.close(self.typing)

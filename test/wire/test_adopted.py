"""Sockets that were handed over: what is one, and that the caller's descriptor remains the caller's."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from p2p.wire.adopted import NotConnected, adopt, is_connected


class Echo(Protocol):
    """Sends back what it gets."""

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.gone.callback(None)


def tcp_pair(family: socket.AddressFamily, host: str) -> tuple[socket.socket, socket.socket]:
    """Two ends of a connection on this machine."""
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen()
        near = socket.create_connection(listener.getsockname()[:2])
        far, _ = listener.accept()
    return near, far


class AdoptTests(TestCase):
    timeout = 10

    async def echoed(self, near: socket.socket, far: socket.socket) -> None:
        """What is written to one end comes back from the other, which a protocol has got."""
        from twisted.internet import reactor

        protocol = Echo()
        with near, far:
            self.assertTrue(is_connected(far.fileno()))
            adopt(reactor, far.fileno(), protocol)
            near.sendall(b"hello")
            self.assertEqual(b"hello", await deferToThread(near.recv, 9))
            near.shutdown(socket.SHUT_WR)
            await protocol.gone
            os.fstat(far.fileno())

    async def test_unix(self) -> None:
        """A UNIX socket can be adopted."""
        await self.echoed(*socket.socketpair())

    async def test_tcp(self) -> None:
        """So can one of IPv4, and one of IPv6."""
        await self.echoed(*tcp_pair(socket.AF_INET, "127.0.0.1"))
        await self.echoed(*tcp_pair(socket.AF_INET6, "::1"))

    def test_none(self) -> None:
        """What isn't connected, has no order, or is no socket at all, is nothing for this."""
        from twisted.internet import reactor

        readable, writable = os.pipe()
        one, other = socket.socketpair(type=socket.SOCK_DGRAM)
        with socket.socket() as alone, one, other:
            self.assertEqual([False] * 3, [is_connected(file) for file in (alone.fileno(), one.fileno(), readable)])
            for file in (alone.fileno(), readable):
                self.assertRaises(NotConnected, adopt, reactor, file, Echo())
        os.close(readable)
        os.close(writable)

"""Tests for :mod:`p2p.base.notify`."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from unittest import mock

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.notify import READY, notify


class NotifyTests(SynchronousTestCase):
    """Messages to the service manager."""

    def receiver(self, address: str) -> socket.socket:
        """Make what the service manager would listen on."""
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(receiver.close)
        receiver.bind(address)
        receiver.setblocking(False)
        return receiver

    def folder(self) -> Path:
        """Make a folder whose path is short enough for a UNIX socket."""
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def test_path(self) -> None:
        """The state goes as one datagram to the socket that the variable names."""
        address = str(self.folder() / "notify")
        receiver = self.receiver(address)
        notify(READY, {"NOTIFY_SOCKET": address})
        self.assertEqual(receiver.recv(100), b"READY=1")

    def test_abstract(self) -> None:
        """An @ stands for the zero byte that abstract names begin with."""
        name = f"p2p-{self.folder().name}"
        receiver = self.receiver(f"\0{name}")
        notify("READY=1\nSTATUS=ü", {"NOTIFY_SOCKET": f"@{name}"})
        self.assertEqual(receiver.recv(100), "READY=1\nSTATUS=ü".encode())

    def test_unset(self) -> None:
        """Without a service manager nothing happens, and nothing is logged."""
        with capturedLogs() as events:
            notify(READY, {})
            notify(READY, {"NOTIFY_SOCKET": ""})
        self.assertEqual(events, [])

    def test_environment(self) -> None:
        """The variable is read from the process's own environment when it is needed."""
        address = str(self.folder() / "notify")
        receiver = self.receiver(address)
        with mock.patch.dict(os.environ, {"NOTIFY_SOCKET": address}):
            notify(READY)
        self.assertEqual(receiver.recv(100), b"READY=1")

    def test_nobody_listens(self) -> None:
        """A daemon whose service manager doesn't listen says so in its log and goes on."""
        address = str(self.folder() / "missing")
        with capturedLogs() as events:
            notify(READY, {"NOTIFY_SOCKET": address})
        self.assertEqual([event["log_level"] for event in events], [LogLevel.warn])
        self.assertEqual(events[0]["target"], address)

    def test_not_a_socket_path(self) -> None:
        """An address that no UNIX socket can have is logged too, not raised."""
        with capturedLogs() as events:
            notify(READY, {"NOTIFY_SOCKET": "/" + "x" * 200})
        self.assertEqual(len(events), 1)

"""What a process holds."""

from __future__ import annotations

import os
import socket

import psutil
from twisted.trial.unittest import SynchronousTestCase

from p2p.experiment.gauge import read_gauge


class GaugeTests(SynchronousTestCase):
    def sockets(self) -> int:
        """Those of this process."""
        read = read_gauge(os.getpid())
        assert read is not None
        self.assertGreater(read.t_ns, 0)
        self.assertGreater(read.cpu_s, 0)
        self.assertGreater(read.rss_bytes, 1_000_000)
        return read.sockets

    def test_sockets(self) -> None:
        """Each socket counts, of whatever kind, and a file doesn't."""
        before = self.sockets()
        with socket.socket(), socket.socket(socket.AF_UNIX), open(os.devnull):  # noqa: PTH123 - any file will do
            self.assertEqual(self.sockets(), before + 2)

    def test_elsewhere(self) -> None:
        """A system without /proc gives the same by what psutil has."""
        self.patch(os.path, "isdir", lambda path: False)
        before = self.sockets()
        with socket.socket():
            self.assertIn(self.sockets() - before, (0, 1))  # psutil leaves out those that aren't bound on some systems

    def test_gone(self) -> None:
        """A process that is gone has none."""
        self.assertIsNone(read_gauge(max(psutil.pids()) + 1_000_000))

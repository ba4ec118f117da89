"""Free ports."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from test import ports
from test.ports import free_ports

ROOT: Final = Path(__file__).resolve().parents[1]
HOLDER: Final = "from test.ports import free_ports; print(*free_ports(1), flush=True); input()"


class FreePortsTests(SynchronousTestCase):
    """``free_ports``."""

    def tries(self, *numbers: int) -> None:
        """Let these be the ports that are tried, in turn."""
        left = list(numbers)
        self.patch(random, "randrange", lambda low, high: left.pop(0))

    def test_different(self) -> None:
        """Ports that were given once aren't given again, in the same call or in a later one."""
        one, other, third = free_ports(3)
        self.assertEqual(3, len({one, other, third}))
        (fourth,) = free_ports(1)
        self.assertNotIn(fourth, (one, other, third))
        if sys.platform == "linux":
            self.tries(one, other, third, fourth, 9)
            self.patch(ports, "_free", lambda port: True)
            self.assertEqual([9], free_ports(1))

    def test_taken(self) -> None:
        """A port on which something listens isn't free."""
        (port, free) = free_ports(2)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", port))
            taken.listen()
            self.tries(port, free)
            self.patch(ports, "_claimed", lambda port: True)
            self.assertEqual([free], free_ports(1))

    @skipUnless(sys.platform == "linux", "only Linux has names without a file")
    def test_other_process(self) -> None:
        """What another process has been given isn't given here, as long as that process runs."""
        other = subprocess.Popen(
            [sys.executable, "-c", HOLDER],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(other.communicate)
        assert other.stdout is not None
        port = int(other.stdout.readline())
        (free,) = free_ports(1)
        self.tries(port, free + 1)
        self.patch(ports, "_free", lambda port: True)
        self.assertEqual([free + 1], free_ports(1))
        other.communicate("\n", timeout=60)
        self.tries(port)
        self.assertEqual([port], free_ports(1))

"""What the operations for tunnels and pipes take."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import InvalidRequest
from p2p.console.tunnel_operations import PipeListenArguments, TunnelArguments


class ArgumentsTests(SynchronousTestCase):
    def test_patterns(self) -> None:
        """Who may come is a pattern or several, under the name that people know it by; anybody if left out."""
        self.assertEqual(["*"], PipeListenArguments.read({}).senders)
        self.assertEqual(["*.n"], PipeListenArguments.read({"from": "*.n"}).senders)
        self.assertEqual({"from": ["n1.n"]}, PipeListenArguments.read({"from": ["n1.n"]}).request())
        self.assertRaises(InvalidRequest, PipeListenArguments.read, {"from": ["N1"]})

    def test_ports(self) -> None:
        """A port that there isn't is refused here."""
        self.assertEqual(5432, TunnelArguments.read({"peer": "m4.m", "port": 5432}).port)
        for port in (0, 65536, None):
            self.assertRaises(InvalidRequest, TunnelArguments.read, {"peer": "m4.m", "port": port})

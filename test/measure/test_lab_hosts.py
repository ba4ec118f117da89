"""The file of a lab that runs already."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ConfigError
from p2p.measure.lab_hosts import LabHosts, load_lab_hosts
from test.cli.commands import PEER_YAML


class LabHostsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        (self.folder / "coordinator.yaml").write_text(PEER_YAML.replace("n1.n", "coordinator.n"))

    def load(self, text: str) -> LabHosts:
        """Load a file with this text."""
        path = self.folder / "hosts.yaml"
        path.write_text(text)
        return load_lab_hosts(path)

    def test_good(self) -> None:
        """A path is relative to the file; the coordinator's name and console come from its own file."""
        hosts = self.load("coordinator: coordinator.yaml\npairs: [[n1.n, m1.m], [m2.m, n2.n]]\n")
        self.assertEqual(hosts.pairs, [["n1.n", "m1.m"], ["m2.m", "n2.n"]])
        self.assertEqual(hosts.coordinating(), ("coordinator.n", Path("/run/p2p/n1")))

    def test_wrong(self) -> None:
        """Each thing that is wrong is told with its line and what was expected."""
        for text, told in (
            ("coordinator: nowhere.yaml\npairs: [[n1.n, m1.m]]\n", ":1: coordinator: there is no file"),
            ("coordinator: coordinator.yaml\npairs: []\n", ":2: pairs: "),
            ("coordinator: coordinator.yaml\npairs: [[n1.n]]\n", "isn't a pair"),
            ("coordinator: coordinator.yaml\npairs: [[n1.n, n1.n]]\n", "isn't a pair"),
            ("coordinator: coordinator.yaml\npairs: [[n1.n, m1]]\n", "isn't <node>.<cluster>"),
            (
                "coordinator: coordinator.yaml\npairs:\n  - [n1.n, m1.m]\n  - [n2.n, m1.m]\n",
                ":4: pairs[1][1]: m1.m is in two",
            ),
        ):
            error = self.assertRaises(ConfigError, self.load, text)
            self.assertIn(told, str(error))

    def test_coordinator(self) -> None:
        """A coordinator has a daemon of its own, and is in no pair."""
        hosts = self.load("coordinator: coordinator.yaml\npairs: [[coordinator.n, m1.m]]\n")
        self.assertIn("is in a pair", str(self.assertRaises(ConfigError, hosts.coordinating)))
        path = self.folder / "coordinator.yaml"
        path.write_text(path.read_text() + "  - {name: n9.n, certificate: n1.pem, key: n1.key, inbox: other}\n")
        hosts = self.load("coordinator: coordinator.yaml\npairs: [[n1.n, m1.m]]\n")
        self.assertIn("hosts 2 peers", str(self.assertRaises(ConfigError, hosts.coordinating)))

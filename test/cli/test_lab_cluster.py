"""Tests for :mod:`p2p.cli.lab_cluster`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from p2p.cli.lab import lab
from p2p.identity.lab import create_lab


class AddClusterCommandTests(SynchronousTestCase):
    """``p2p lab add-cluster``."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        self.lab = Path(folder.name) / "lab"
        create_lab(self.lab, peers=0)

    def run_lab(self, *arguments: str) -> Result:
        return CliRunner().invoke(lab, ["add-cluster", "k", "--host", "127.0.0.1", "--lab", str(self.lab), *arguments])

    def test_text(self) -> None:
        """It says what it made, which files changed and what they need, and what it couldn't change."""
        (self.lab / "router-m.yaml").unlink()
        result = self.run_lab()
        self.assertEqual(0, result.exit_code, result.output)
        self.assertIn(f"Made {self.lab}/router-k.yaml, with router.k.pem and router.k.key", result.stdout)
        self.assertIn(f"Changed {self.lab}/router-n.yaml: copy it to its machine", result.stdout)
        self.assertIn("The YAML file of the router of m needs this, and kill -HUP:\n\nneighbours:\n  k:", result.stdout)

    def test_json(self) -> None:
        """``--json`` has the same."""
        told = json.loads(self.run_lab("--json", "--port", "7000").stdout)
        self.assertEqual([f"{self.lab}/router-n.yaml", f"{self.lab}/router-m.yaml"], told["changed"])
        self.assertEqual((f"{self.lab}/router-k.yaml", {}), (told["config"], told["unchanged"]))

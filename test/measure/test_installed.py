"""Tests of p2p.measure.installed."""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.installed import installed_folders


class InstalledFoldersTests(SynchronousTestCase):
    def test_where(self) -> None:
        """A checkout comes first, then what a wheel installs below sys.prefix."""
        checkout, *installed = installed_folders("etc")
        self.assertTrue((checkout / "demo-experiment.yaml").is_file())
        self.assertIn(Path(sys.prefix) / "share/p2p/etc", installed)

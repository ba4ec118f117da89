"""Tests of p2p.daemons.options; each daemon's own options are tested beside it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.daemons.options import DaemonOptions


class OptionsTests(SynchronousTestCase):
    def test_nothing_to_load(self) -> None:
        """A daemon that loads nothing takes any file."""
        options = DaemonOptions()
        options.parseOptions(["--config", "/nonexistent"])
        self.assertEqual("/nonexistent", options["config"])

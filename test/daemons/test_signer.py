"""Tests of the command line of ``twistd p2p-signer``."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from p2p.daemons.signer import Options, makeService
from p2p.identity.lab import create_lab
from p2p.signer.service import SignerService, signer_runs


class SignerDaemonTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        self.lab = Path(folder.name) / "lab"
        self.err = io.StringIO()
        self.patch(sys, "stderr", self.err)

    def options(self) -> Options:
        options = Options()
        options.parseOptions(["--lab", str(self.lab)])
        return options

    def test_service(self) -> None:
        """The service is that of the lab in the folder, which it has for itself from then on."""
        create_lab(self.lab, peers=0)
        service = makeService(self.options(), reactor=MemoryReactorClock())
        assert isinstance(service, SignerService)
        self.assertTrue(signer_runs(self.lab))
        self.successResultOf(service.stopService())
        self.assertFalse(signer_runs(self.lab))

    def test_no_lab(self) -> None:
        """A folder that holds no lab is told in one line, with exit code 2."""
        stopped = self.assertRaises(SystemExit, makeService, self.options(), reactor=MemoryReactorClock())
        self.assertEqual(2, stopped.code)
        self.assertIn("isn't the folder of a lab", self.err.getvalue())

"""The command line of ``twistd p2p-peer``."""

from __future__ import annotations

import io
import sys
import tempfile
import time
from pathlib import Path

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from p2p.daemons.peer import Options, makeService
from p2p.experiment.words import SERVICE
from p2p.peer.service import PeerService
from test.identities import tls_files


class OptionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Take what is written."""
        self.out, self.err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.err)

    def write(self, text: str = "", *, certificate_of: str = "n1.n") -> str:
        """The path of a configuration with this text at its end."""
        folder = tempfile.TemporaryDirectory(prefix="p2p-")  # short, for the path of the console
        self.addCleanup(folder.cleanup)
        files = tls_files(certificate_of)
        path = Path(folder.name, "peer.yaml")
        path.write_text(
            "router: tcp:127.0.0.1:5555\n"
            f"authority: {files.authority}\n"
            "console: console\n"
            "peers:\n"
            f"  - {{name: n1.n, certificate: {files.certificate}, key: {files.key}, inbox: inbox}}\n"
            f"{text}\n"
        )
        return str(path)

    def exit_code(self, *arguments: str) -> object:
        """The code with which these arguments end the process."""
        return self.assertRaises(SystemExit, Options().parseOptions, arguments).code

    def test_good(self) -> None:
        """A good configuration is loaded with its certificates; relative paths start at its folder."""
        path = self.write()
        options = Options()
        options.parseOptions(["--config", path])
        self.assertEqual(("n", Path(path).parent / "inbox"), (options.config.cluster, options.config.peers[0].inbox))
        self.assertEqual(["n1.n"], [one.name for one in options.credentials])
        self.assertEqual(("", ""), (self.out.getvalue(), self.err.getvalue()))

    def test_check(self) -> None:
        """``--check`` says that all is well, exits with 0, and makes nothing."""
        path = self.write()
        self.assertEqual(0, self.exit_code("--check", "--config", path))
        self.assertEqual(f"{path}: ok\n", self.out.getvalue())
        self.assertEqual([Path(path)], list(Path(path).parent.iterdir()))

    def test_bad(self) -> None:
        """What is wrong goes to stderr, with file and line, and the exit code is 2, checking or not."""
        path = self.write("limits: {streams: 0}\nlinks: open")
        for arguments in (["-c", path], ["-c", path, "--check"]):
            self.assertEqual(2, self.exit_code(*arguments))
        lines = self.err.getvalue().splitlines()
        self.assertEqual(4, len(lines), lines)
        self.assertTrue(lines[0].startswith(f"{path}:6: "), lines)
        self.assertTrue(lines[1].startswith(f"{path}:7: "), lines)

    def test_wrong_certificate(self) -> None:
        """So it is for a certificate of another name, and the line says whose it is."""
        self.assertEqual(2, self.exit_code("-c", self.write(certificate_of="n9.n")))
        self.assertIn("is for n9.n, not for n1.n", self.err.getvalue())

    def test_missing(self) -> None:
        """So it is for a configuration that isn't there, or isn't named."""
        self.assertEqual(2, self.exit_code("-c", "/nowhere/peer.yaml"))
        self.assertIn("/nowhere/peer.yaml", self.err.getvalue())
        self.assertEqual(2, self.exit_code())
        self.assertIn("--config FILE is missing", self.err.getvalue())

    def test_service(self) -> None:
        """The service hosts the peers of the configuration; making it starts nothing, and puts the reactor on the
        monotonic clock."""
        path = self.write()
        options = Options()
        options.parseOptions(["--config", path])
        reactor = MemoryReactorClock()
        service = makeService(options, reactor=reactor)
        self.assertIs(reactor.seconds, time.monotonic)
        self.assertEqual([], reactor.getDelayedCalls())
        assert isinstance(service, PeerService)
        self.assertEqual(["n1.n"], list(service.peers))
        self.assertIn(SERVICE, service.peers["n1.n"]._around.services.names)
        self.assertFalse(service.running)
        self.assertEqual([Path(path)], list(Path(path).parent.iterdir()))

"""Tests of the command line of ``twistd p2p-router``."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from p2p.daemons.router import Options, makeService
from p2p.router.service import RouterService
from test.router.lab import tls_files


class OptionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.err)

    def write(self, text: str = "", name: str = "router.n") -> str:
        """The path of a configuration with this text at its end."""
        folder = Path(self.mktemp())
        folder.mkdir()
        files = tls_files(name)
        path = folder / "router.yaml"
        path.write_text(
            "cluster: n\n"
            "listen: tcp:5555\n"
            f"tls:\n  certificate: {files.certificate}\n  key: {files.key}\n  authority: {files.authority}\n"
            f"{text}\n"
        )
        return str(path)

    def exit_code(self, *arguments: str) -> object:
        error = self.assertRaises(SystemExit, Options().parseOptions, arguments)
        return error.code

    def test_good(self) -> None:
        """A good configuration is loaded, under either name of the option."""
        for option in ("--config", "-c"):
            options = Options()
            options.parseOptions([option, self.write()])
            self.assertEqual("n", options.config.cluster)
            self.assertEqual("router.n", options.credentials.name)
        self.assertEqual(("", ""), (self.out.getvalue(), self.err.getvalue()))

    def test_check(self) -> None:
        """``--check`` says that all is well and exits with 0."""
        path = self.write()
        self.assertEqual(0, self.exit_code("--check", "--config", path))
        self.assertEqual(f"{path}: ok\n", self.out.getvalue())

    def test_bad_yaml(self) -> None:
        """What is wrong goes to stderr, as file, line and reason, and the exit code is 2, checking or not."""
        path = self.write("nonsense: 1")
        for arguments in (["-c", path], ["-c", path, "--check"]):
            self.assertEqual(2, self.exit_code(*arguments))
        lines = self.err.getvalue().splitlines()
        self.assertEqual(2, len(lines))
        self.assertTrue(lines[0].startswith(f"{path}:7: "), lines)
        self.assertIn("nonsense", lines[0])
        self.assertEqual("", self.out.getvalue())

    def test_no_file(self) -> None:
        """So it is for a file that isn't there."""
        self.assertEqual(2, self.exit_code("-c", "/nonexistent/router.yaml"))
        self.assertIn("/nonexistent/router.yaml", self.err.getvalue())

    def test_wrong_certificate(self) -> None:
        """So it is for a certificate that isn't this router's."""
        path = self.write(name="n1.n")
        self.assertEqual(2, self.exit_code("-c", path))
        self.assertTrue(self.err.getvalue().startswith(f"{path}: "))
        self.assertIn("is the certificate of n1.n", self.err.getvalue())

    def test_no_config(self) -> None:
        """Without --config, one line says what is missing, and the exit code is the same."""
        self.assertEqual(2, self.exit_code())
        self.assertIn("--config FILE is missing", self.err.getvalue())

    def test_help(self) -> None:
        """The help says what the daemon is, what it needs, and what its exit codes mean."""
        text = str(Options())
        for part in ("S-Router", "--config", "--check", "p2p lab init", "Exit codes"):
            self.assertIn(part, text)

    def test_service(self) -> None:
        """The service is made and not started: nothing listens; the reactor is on the monotonic clock."""
        options = Options()
        options.parseOptions(["-c", self.write()])
        reactor = MemoryReactorClock()
        service = makeService(options, reactor=reactor)
        self.assertIs(reactor.seconds, time.monotonic)
        self.assertEqual([], reactor.getDelayedCalls())
        self.assertIsInstance(service, RouterService)
        assert isinstance(service, RouterService)
        self.assertEqual("", service.listening)

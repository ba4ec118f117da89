"""Tests for ``p2p.report.writing``."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.report.writing import ReportFiles, ReportUnavailable, write_report


class WritingTests(SynchronousTestCase):
    """The one function that others call."""

    def test_out(self) -> None:
        """Without a folder of its own, the report lies with the run."""
        called: list[tuple[Path, Path]] = []
        files = ReportFiles(Path("report.html"), Path("report.pdf"), ())

        def build(folder: Path, out: Path, step: object) -> ReportFiles:
            called.append((folder, out))
            return files

        self.patch(import_module("p2p.report.build"), "build", build)
        self.assertIs(write_report(Path("run")), files)
        write_report(Path("run"), Path("out"))
        self.assertEqual(called, [(Path("run"), Path("run")), (Path("run"), Path("out"))])

    def without(self, *modules: str) -> None:
        """Let modules not be importable, and make p2p.report.build import again what it needs."""
        for name in ("p2p.report.build", "p2p.report.paper", *modules):
            self.addCleanup(sys.modules.__setitem__, name, import_module(name))
            del sys.modules[name]
        for name in modules:
            sys.modules[name] = None  # type: ignore[assignment]  # Python's mark for what can't be imported

    def test_no_libraries(self) -> None:
        """Without the extra, it is said what is missing and how to install it."""
        self.without("typst")
        error = self.assertRaises(ReportUnavailable, write_report, Path("run"))
        self.assertIn("needs typst", str(error))
        self.assertIn("pip install 'p2p[report]'", str(error))

    def test_our_own_fault(self) -> None:
        """A module of p2p that can't be imported isn't taken for a missing library."""
        self.without("p2p.report.page")
        self.assertRaises(ImportError, write_report, Path("run"))

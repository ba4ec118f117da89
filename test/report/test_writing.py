"""Tests for ``p2p.report.writing``, with a report that nobody built."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import LocalFileError
from p2p.report.build import Built
from p2p.report.document import FrontMatter
from p2p.report.headlines import Headline
from p2p.report.writing import ArmVerdict, ReportUnavailable, write_report


class WritingTests(SynchronousTestCase):
    """The one function that others call."""

    def setUp(self) -> None:
        """Build a report at once, from whatever folder."""

        def build(folder: Path, step: Callable[[str], None], front: FrontMatter) -> Built:
            self.folder, self.front = folder, front
            step("drawing")
            return Built(
                b"<html>",
                b"%PDF-",
                {"report.typ": b"= A"},
                (Headline("transport", "equivalent", "It doesn't matter."),),
            )

        self.patch(import_module("p2p.report.build"), "build", build)

    def test_files(self) -> None:
        """Page, paper and source lie in the folder that was named, which is made if need be; nothing else does."""
        out, steps = Path(self.mktemp()) / "deep", list[str]()
        made = write_report(Path("run"), out, steps.append)
        self.assertEqual(self.folder, Path("run"))
        self.assertEqual((made.html, made.pdf), (out / "report.html", out / "report.pdf"))
        self.assertEqual(sorted(out.iterdir()), [made.source, made.html, made.pdf])
        self.assertEqual([one.read_bytes() for one in made.source.iterdir()], [b"= A"])
        self.assertEqual((made.html.read_bytes(), made.pdf.read_bytes()), (b"<html>", b"%PDF-"))
        self.assertEqual(made.html.stat().st_mode & 0o777, 0o666 & ~_umask())
        self.assertEqual(made.verdicts, (ArmVerdict("transport", "equivalent", "It doesn't matter."),))
        self.assertEqual(steps, ["loading libraries", "drawing"])

    def test_beside_the_run(self) -> None:
        """Without a folder of its own, the report lies with the run."""
        folder = Path(self.mktemp())
        self.assertEqual(write_report(folder).html, folder / "report.html")

    def test_front(self) -> None:
        """Title, author and course are passed on."""
        write_report(Path("run"), Path(self.mktemp()), title="T", author="A", course="C")
        self.assertEqual(self.front, FrontMatter("T", "A", "C"))

    def test_not_writable(self) -> None:
        """A folder that can't be written is named, with what to do."""
        taken = Path(self.mktemp())
        taken.write_text("")
        error = self.assertRaises(LocalFileError, write_report, Path("run"), taken / "out")
        self.assertIn("name another folder with --out", str(error))

    def test_full(self) -> None:
        """When the disk is full, the report that was there stays whole, and nothing is left beside it."""
        out = Path(self.mktemp())
        out.mkdir()
        (out / "report.html").write_text("old")

        def full(*arguments: object, **more: object) -> object:
            raise OSError(28, "No space left on device")

        self.patch(os, "fdopen", full)
        error = self.assertRaises(LocalFileError, write_report, Path("run"), out)
        self.assertIn("No space left", str(error))
        self.assertEqual([(one.name, one.read_text()) for one in out.iterdir()], [("report.html", "old")])


class MissingTests(SynchronousTestCase):
    """What the report needs isn't there."""

    def without(self, *modules: str) -> None:
        """Let modules not be importable, and make p2p.report.build import again what it needs."""
        for name in ("p2p.report.build", *modules):
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

    def test_light(self) -> None:
        """The commands import it without any library of the extra: those who have none can run them."""
        program = "import sys, p2p.cli.demo, p2p.cli.experiment, p2p.cli.report; print(*sys.modules)"
        loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
        heavy = {"jinja2", "matplotlib", "numpy", "pandas", "scipy", "statsmodels", "typst"}
        self.assertEqual(heavy & set(loaded.stdout.split()), set())

    def test_our_own_fault(self) -> None:
        """A module of p2p that can't be imported isn't taken for a missing library."""
        self.without("p2p.report.contents")
        self.assertRaises(ImportError, write_report, Path("run"))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

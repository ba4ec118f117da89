"""Tests for ``p2p.report.build``, with pictures that nobody draws."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import LocalFileError
from p2p.measure.analysis import analyse
from p2p.measure.block_figures import Unaccounted
from p2p.measure.raw_data import BLOCKS, FACTS, LINKS, PLAN, SAMPLES
from p2p.report import build as module
from p2p.report.build import build
from test.report.subjects import measured, write_run
from test.report.test_paper import picture


@dataclass
class Drawn:
    """A picture that nobody drew."""

    name: str = "latency"
    caption: str = "a caption"
    alt: str = "what it shows"


class Figures:
    """Stands for ``p2p.report.figures``."""

    @staticmethod
    def pictures(run: object, analysis: object) -> tuple[Drawn, ...]:
        return (Drawn(),)

    @staticmethod
    def svg(drawn: Drawn) -> str:
        return f'<svg xmlns="http://www.w3.org/2000/svg"><title>{drawn.name}</title></svg>'

    @staticmethod
    def pdf(drawn: Drawn) -> bytes:
        return picture()


class BuildTests(SynchronousTestCase):
    """From a folder to a report."""

    def setUp(self) -> None:
        """Draw nothing, and analyse once for all."""
        self.patch(module, "figures", Figures)
        self.patch(module, "analyse", lambda *arguments, **more: measured()[1])
        self.steps: list[str] = []

    def really_analyse(self) -> None:
        """Analyse what is in the folder, with few resamples."""
        self.patch(module, "analyse", partial(analyse, resamples=20))

    def build(self, folder: Path, out: Path | None = None) -> tuple[bytes, bytes]:
        """Make the report and read it."""
        files = build(folder, folder if out is None else out, self.steps.append)
        return files.html.read_bytes(), files.pdf.read_bytes()

    def test_files(self) -> None:
        """Both files lie in the folder that was named, which is made if need be, and nothing else does."""
        folder, out = write_run(Path(self.mktemp())), Path(self.mktemp()) / "deep"
        before = sorted(folder.iterdir())
        made = build(folder, out, self.steps.append)
        self.assertEqual((made.html, made.pdf), (out / "report.html", out / "report.pdf"))
        self.assertEqual(sorted(out.iterdir()), [made.html, made.pdf])
        self.assertEqual(sorted(folder.iterdir()), before)
        self.assertEqual([one.arm for one in made.verdicts], ["transport"])
        self.assertTrue(made.pdf.read_bytes().startswith(b"%PDF-"))
        self.assertEqual(self.steps[0], "reading the raw data")
        self.assertEqual(made.html.stat().st_mode & 0o777, 0o666 & ~_umask())

    def test_same(self) -> None:
        """The same raw data give the same files, to the byte, wherever they lie and whenever they are made."""
        one, other = (self.build(write_run(Path(self.mktemp()))) for _ in range(2))
        self.assertEqual(one, other)

    def test_incomplete(self) -> None:
        """A run without its facts, its plan and its links, cut off in its last line, has a report that says so."""
        self.really_analyse()
        folder = write_run(Path(self.mktemp()))
        for name in (FACTS, PLAN, LINKS.file):
            (folder / name).unlink()
        blocks = folder / BLOCKS.file
        blocks.write_text(blocks.read_text()[:-3])
        html, _ = self.build(folder)
        for words in (
            b"links.csv is missing",
            b"was cut off",
            b"plan.yaml is missing",
            b"Something of this run is missing",
        ):
            self.assertIn(words, html)

    def test_hostile(self) -> None:
        """Names in the raw data stay text in both files."""
        self.really_analyse()
        run, _ = measured()
        bad = "<script>alert(1)</script>#panic()"
        tables = {
            name: getattr(run, name) | {"arm": [bad] * len(getattr(run, name)["arm"])} for name in ("samples", "blocks")
        }
        html, _ = self.build(write_run(Path(self.mktemp()), run=replace(run, **tables)))
        self.assertNotIn(b"<script", html)
        self.assertIn(b"&lt;script&gt;", html)

    def test_no_run(self) -> None:
        """A folder that isn't a run is named."""
        error = self.assertRaises(LocalFileError, build, Path(self.mktemp()), Path(), self.steps.append)
        self.assertIn("the folder of an experiment's run?", str(error))

    def test_no_block(self) -> None:
        """A run without a finished block says how to go on, and what of it was left out."""
        folder = write_run(Path(self.mktemp()))
        (folder / BLOCKS.file).write_text(BLOCKS.header())
        error = self.assertRaises(LocalFileError, self.build, folder)
        self.assertIn("no block is finished, so there is nothing to report (samples.csv: block 1 isn't", str(error))
        self.assertIn(f"p2p experiment run {folder}/plan.yaml --out {folder}", str(error))

    def test_nothing_yet(self) -> None:
        """A run that has only begun has nothing left out either."""
        folder = write_run(Path(self.mktemp()))
        for table in (BLOCKS, SAMPLES, LINKS):
            (folder / table.file).write_text(table.header())
        self.assertIn("nothing to report; go on", str(self.assertRaises(LocalFileError, self.build, folder)))

    def test_unaccounted(self) -> None:
        """Where the counting is wrong there is no report."""
        self.really_analyse()
        folder = write_run(Path(self.mktemp()))
        blocks = folder / BLOCKS.file
        blocks.write_text(blocks.read_text().replace(",8,on,", ",7,on,"))
        self.assertRaises(Unaccounted, self.build, folder)

    def test_not_writable(self) -> None:
        """A folder that can't be written is named, with what to do, and an old report stays whole."""
        folder, taken = write_run(Path(self.mktemp())), Path(self.mktemp())
        taken.write_text("")
        error = self.assertRaises(LocalFileError, self.build, folder, taken / "out")
        self.assertIn("name another folder with --out", str(error))

    def test_no_temporary_folder(self) -> None:
        """Where the PDF can't be set for want of a temporary folder, that is said, with what to do."""
        nowhere = Path(self.mktemp())
        self.patch(tempfile, "tempdir", str(nowhere))
        error = self.assertRaises(LocalFileError, self.build, write_run(Path(self.mktemp())))
        self.assertIn(str(nowhere), str(error))
        self.assertIn("TMPDIR", str(error))

    def test_full(self) -> None:
        """When the disk is full, the report that was there stays whole, and nothing is left beside it."""
        folder, out = write_run(Path(self.mktemp())), Path(self.mktemp())
        out.mkdir()
        (out / "report.html").write_text("old")

        def full(*arguments: object, **more: object) -> object:
            raise OSError(28, "No space left on device")

        self.patch(os, "fdopen", full)
        error = self.assertRaises(LocalFileError, self.build, folder, out)
        self.assertIn("No space left", str(error))
        self.assertEqual([(one.name, one.read_text()) for one in out.iterdir()], [("report.html", "old")])


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

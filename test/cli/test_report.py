"""``p2p report``, without making one."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import LocalFileError
from p2p.cli.main import cli
from p2p.report.writing import ArmVerdict, ReportFiles, ReportUnavailable

REPORT = import_module("p2p.cli.report")  # in p2p.cli the name means the command


class ReportTests(SynchronousTestCase):
    """The command; the report itself is made at once."""

    def setUp(self) -> None:
        """Make reports of nothing."""
        self.called: list[tuple[Path, Path | None]] = []
        self.front: dict[str, str] = {}
        self.error: Exception | None = None

        def write_report(folder: Path, out: Path | None, step: Callable[[str], None], **front: str) -> ReportFiles:
            self.called.append((folder, out))
            self.front = front
            step("analysing")
            if self.error is not None:
                raise self.error
            verdict = ArmVerdict("transport", "equivalent", "The content type doesn't matter: \x1b[2J.")
            return ReportFiles(Path("run/report.html"), Path("run/report.pdf"), Path("run/report-source"), (verdict,))

        self.patch(REPORT, "write_report", write_report)

    def report(self, *arguments: str) -> Result:
        """Run the command."""
        return CliRunner().invoke(cli, ["report", *arguments])

    def test_text(self) -> None:
        """Each arm has a line, and the last line says where the files lie; steps go to standard error."""
        ended = self.report("run")
        self.assertEqual(ended.exit_code, 0, ended.output)
        first, last = ended.stdout.splitlines()
        self.assertEqual(first, "arm transport: equivalent. The content type doesn't matter: \\x1b[2J.")
        self.assertEqual(last, "the report is in run/report.html and run/report.pdf")
        self.assertEqual(ended.stderr, "analysing ...\n")
        self.assertEqual(self.called, [(Path("run"), None)])

    def test_out(self) -> None:
        """The report can lie elsewhere."""
        self.report("run", "--out", "elsewhere")
        self.assertEqual(self.called, [(Path("run"), Path("elsewhere"))])

    def test_front(self) -> None:
        """Whose report it is, and for what, is passed on."""
        self.report("run", "--author", "Ada L.", "--course", "Networks 2", "--title", "Mine")
        self.assertEqual(self.front, {"title": "Mine", "author": "Ada L.", "course": "Networks 2"})

    def test_json(self) -> None:
        """--json gives one object with the paths and the verdicts, and nothing beside it."""
        ended = self.report("run", "--json")
        self.assertEqual((ended.exit_code, ended.stderr), (0, ""))
        self.assertEqual(
            json.loads(ended.stdout),
            {
                "html": "run/report.html",
                "pdf": "run/report.pdf",
                "source": "run/report-source",
                "verdicts": [
                    {
                        "arm": "transport",
                        "verdict": "equivalent",
                        "sentence": "The content type doesn't matter: \x1b[2J.",
                    }
                ],
            },
        )

    def test_terminal(self) -> None:
        """On a terminal the step is shown while it is done."""
        self.patch(REPORT, "on_terminal", lambda: True)
        ended = self.report("run")
        self.assertEqual(ended.exit_code, 0, ended.output)
        self.assertIn("the report is in", ended.stdout)

    def test_failures(self) -> None:
        """What is wrong with the folder or the installation is one line, with a code of its own; JSON has it too."""
        for error, code in ((LocalFileError("no run"), 11), (ReportUnavailable("pip install 'p2p[report]'"), 1)):
            self.error = error
            ended = self.report("run")
            self.assertEqual((ended.exit_code, ended.stdout), (code, ""))
            self.assertIn(str(error), ended.stderr)
            as_json = json.loads(self.report("run", "--json").stdout)
            self.assertEqual((as_json["reason"], as_json["exit_code"]), (str(error), code))

    def test_usage(self) -> None:
        """The folder must be named."""
        self.assertEqual(self.report().exit_code, 2)

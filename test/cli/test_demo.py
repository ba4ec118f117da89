"""``p2p demo``, without its daemons: what it takes, shows and returns."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import Outcome
from p2p.cli.main import cli
from p2p.measure.demo import DemoPlan, DemoResult
from p2p.measure.experiment import RunResult, Telling
from p2p.measure.raw_data import MissingBlock
from p2p.measure.samples import Sample, figures, message_figures, outcomes
from p2p.report.writing import ArmVerdict, ReportFiles, ReportUnavailable

# In p2p.cli these names mean the commands.
DEMO, EXPERIMENT, REPORT = (import_module(f"p2p.cli.{name}") for name in ("demo", "experiment", "report"))


def demo_result(*, failures: list[str] | None = None) -> DemoResult:
    """What a demo of one pair with one exchange a type would give."""
    samples = [
        Sample(1, "n1.n>m1.m", kind, "store", f"{kind}.x", 1000, 0, 0, 500, 2_000_000, Outcome.OK)
        for kind in ("text", "audio", "video")
    ]
    summary = {
        "pairs": 1,
        **message_figures(samples, 1),
        "links": {"standing": 1, "failed": 0},
        "setup_s": figures([0.01]),
        "table_lookup_s": figures([4e-7]),
        "router_lookup_s": figures([0.002]),
        "by_content_type": {s.content_type: message_figures([s], 1) for s in samples},
        "exchanges_after_routers_died": outcomes(samples[1:]),
        "content_bytes": 3000,
        "router_bytes": 30,
        "open_sockets": {"before": 24, "after": 24},
        "memory_bytes": {"router-n": 70_000_000},
    }
    run = RunResult(Path("out"), 1, 1, Counter(ok=3), missing=[MissingBlock(block=1, why="n9.n is gone")])
    return DemoResult(summary, failures or [], run)


class DemoCommandTests(SynchronousTestCase):
    """The command around the demo."""

    def setUp(self) -> None:
        self.reported: list[tuple[Path, Path]] = []
        self.unavailable = False
        self.media = True

    def run_demo(self, *arguments: str, result: DemoResult | None = None) -> Result:
        """Run the command; the demo itself, the experiment and the report give their results at once."""
        self.out = Path(self.mktemp())
        self.out.mkdir()

        async def run(reactor: object, plan: DemoPlan, out: Path, telling: Telling) -> DemoResult:
            self.plan = plan
            telling.step("making a lab")
            telling.missing("n9.n is gone")
            telling.blocks(1, 1, 0.0)
            return result or demo_result()

        def report(run: Path, out: Path, step: Callable[[str], None]) -> ReportFiles:
            if self.unavailable:
                raise ReportUnavailable("a report needs jinja2, which isn't installed")
            self.reported.append((run, out))
            step("drawing")
            verdict = ArmVerdict("one", "equivalent", "It's so.")
            return ReportFiles(out / "report.html", out / "report.pdf", out / "report-source", (verdict,))

        def runner(main: Any) -> Any:
            return self.successResultOf(Deferred.fromCoroutine(main(None)))

        self.patch(DEMO, "run_demo", run)
        self.patch(DEMO, "write_report", report)
        self.patch(DEMO, "has_media", lambda: self.media)
        return CliRunner().invoke(cli, ["demo", "--out", str(self.out), *arguments], obj=runner)

    def test_table(self) -> None:
        """A person gets one table and where the raw data lie; the exit code is 0."""
        got = self.run_demo()
        self.assertEqual(got.exit_code, 0, got.output)
        for text in ("1 pairs, 3 exchanges", "exchanges ok", "0.4 µs", "2 of 2 exchanges ok", "1.00% of the content"):
            self.assertIn(text, got.output)
        self.assertIn("24 before the links, 24 after them", got.output)
        self.assertTrue((self.out / "summary.json").exists())

    def test_plan(self) -> None:
        """The options say what is run."""
        self.run_demo("--pairs", "7", "--exchanges", "8", "--ports", "1111,2222", "--quick")
        self.assertEqual(DemoPlan(pairs=7, exchanges=8, ports=(1111, 2222), quick=True), self.plan)

    def test_steps(self) -> None:
        """Where nobody watches, each step gets one line on standard error; beside JSON there is none."""
        steps = ["making a lab ...", "p2p: n9.n is gone", "1 of 1 blocks"]
        self.assertEqual(steps, self.run_demo("--quick").stderr.splitlines())
        self.assertEqual([*steps, "the report ..."], self.run_demo().stderr.splitlines())
        self.assertEqual("", self.run_demo("--json").stderr)

    def test_bars(self) -> None:
        """On a terminal there is a bar for the blocks, and one for the report."""
        for module in (EXPERIMENT, REPORT):
            self.patch(module, "on_terminal", lambda: True)
        shown = self.run_demo().stderr
        self.assertEqual(len(self.reported), 1)
        self.assertRegex(shown, "blocks .* 1/1")

    def test_json(self) -> None:
        """A program gets one object, which ``summary.json`` holds as well."""
        got = self.run_demo("--json")
        answer = json.loads(got.output)
        self.assertEqual(answer["failures"], [])
        self.assertEqual(answer["open_sockets"], {"before": 24, "after": 24})
        self.assertEqual(json.loads((self.out / "summary.json").read_text())["content_bytes"], 3000)

    def test_report(self) -> None:
        """It ends with the answers of a short experiment, and says where the report lies."""
        got = self.run_demo()
        self.assertEqual(got.exit_code, 0, got.output)
        self.assertEqual(self.reported, [(self.out, self.out)])
        self.assertIn("arm one: equivalent. It's so.", got.stdout)
        self.assertIn(f"The report: {self.out / 'report.html'} and {self.out / 'report.pdf'}", got.stdout)
        answer = json.loads(self.run_demo("--json").stdout)
        self.assertEqual(answer["report"]["verdicts"][0]["verdict"], "equivalent")
        self.assertEqual((answer["experiment"]["exchanges"], len(answer["experiment"]["missing"])), ({"ok": 3}, 1))

    def test_no_report(self) -> None:
        """Quickly, there is no report."""
        for options in (["--quick"], ["--no-report"]):
            self.assertEqual(self.run_demo(*options).exit_code, 0)
        self.assertEqual(self.reported, [])
        self.assertIsNone(json.loads(self.run_demo("--quick", "--json").stdout)["report"])

    def test_not_installed(self) -> None:
        """What isn't installed is named with how to get it, and the demo succeeds."""
        self.unavailable = True
        got = self.run_demo()
        self.assertEqual(got.exit_code, 0, got.output)
        self.assertIn(f"jinja2, which isn't installed; then: p2p report {self.out}", got.stderr)
        self.media = False
        got = self.run_demo()
        self.assertEqual((got.exit_code, self.plan.media), (0, False))
        self.assertIn("no experiment: ", got.stderr)
        self.assertIn("p2p[media]", got.stderr)

    def test_failures(self) -> None:
        """What went wrong is said, and the exit code isn't 0."""
        got = self.run_demo(result=demo_result(failures=["3 sockets are left"]))
        self.assertEqual(got.exit_code, 1)
        self.assertIn("wrong: 3 sockets are left", got.output)
        self.assertNotIn("No process", got.output)

    def test_ports(self) -> None:
        """Ports that can't be are refused with what to give."""
        for bad in ("5555", "5555,5555", "a,b", "0,1", "1,2,3"):
            with self.subTest(bad):
                got = self.run_demo("--ports", bad)
                self.assertEqual(got.exit_code, 2)
                self.assertIn("two different ports", got.output)

"""``p2p experiment``, without its daemons."""

from __future__ import annotations

import json
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import P2PError
from p2p.cli.main import cli
from p2p.measure.experiment import OpenLab, RunResult, Telling
from p2p.measure.raw_data import BLOCKS, SAMPLES, MissingBlock, RunFacts
from p2p.measure.raw_writer import RunWriter
from test.cli.commands import PEER_YAML
from test.measure.synthetic_run import Synthetic
from test.measure.test_experiment import PLAN

EXPERIMENT = import_module("p2p.cli.experiment")  # in p2p.cli the name means the command


class RunTests(SynchronousTestCase):
    """``p2p experiment run``; the run itself gives its result at once."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.plan = self.folder / "plan.yaml"
        self.plan.write_text(PLAN)
        self.result = RunResult(self.folder, 8, 8, Counter(ok=16))
        self.error: BaseException | None = None
        self.called: list[tuple[Path, Path, OpenLab]] = []

    def run_plan(self, *arguments: str, terminal: bool = False) -> Result:
        """Run the command."""

        async def run(reactor: object, plan: Path, out: Path, lab: OpenLab, telling: Telling) -> RunResult:
            self.called.append((plan, out, lab))
            telling.step("timing look-ups")
            telling.missing("n9.n: unknown-peer: \x1b[2J")
            for done in range(9):
                telling.blocks(done, 8, 8.0 - done)
            if self.error is not None:
                raise self.error
            return self.result

        def runner(main: Any) -> Any:
            return self.successResultOf(Deferred.fromCoroutine(main(None)))

        def interrupted(main: Any) -> Any:
            raise KeyboardInterrupt

        self.patch(EXPERIMENT, "run_experiment", run)
        self.patch(EXPERIMENT, "on_terminal", lambda: terminal)
        chosen = interrupted if isinstance(self.error, KeyboardInterrupt) else runner
        return CliRunner().invoke(cli, ["experiment", "run", str(self.plan), *arguments], obj=chosen)

    def test_good(self) -> None:
        """The end says what is there and where; without --out the folder is named as the plan is."""
        ended = self.run_plan()
        self.assertEqual(ended.exit_code, 0, ended.output)
        self.assertIn("8 of 8 blocks", ended.stdout)
        self.assertIn("16 ok", ended.stdout)
        self.assertIn("p2p report", ended.stdout)
        self.assertEqual(self.called[0][1], self.folder / "plan")
        self.assertIn("4 of 8 blocks, about 4 s left", ended.stderr)
        self.assertNotIn("\x1b[2J", ended.stderr)

    def test_terminal(self) -> None:
        """On a terminal there is a bar, with what is missing above it."""
        ended = self.run_plan("--out", str(self.folder / "x"), terminal=True)
        self.assertEqual(ended.exit_code, 0, ended.output)
        self.assertIn("8/8", ended.stderr)
        self.assertIn("n9.n: unknown-peer", ended.stderr)
        self.assertEqual(self.called[0][1], self.folder / "x")

    def test_lacking(self) -> None:
        """Drops, or something that is missing, show in the exit code and are named."""
        self.result.outcomes["reset"] = 1
        self.assertEqual(self.run_plan().exit_code, 1)
        del self.result.outcomes["reset"]
        self.result.missing = [MissingBlock(block=5, why="pair 2 died")]
        ended = self.run_plan()
        self.assertEqual(ended.exit_code, 1)
        self.assertIn("block 5 came to nothing: pair 2 died", ended.stdout)

    def test_interrupted(self) -> None:
        """After Ctrl-C the way to go on is told."""
        self.error = KeyboardInterrupt()
        ended = self.run_plan()
        self.assertEqual(ended.exit_code, 130)
        self.assertIn("run again to go on", ended.stderr)

    def test_lab(self) -> None:
        """--lab takes the file of a lab, and tells what is wrong with it before anything is run."""
        (self.folder / "c.yaml").write_text(PEER_YAML.replace("n1.n", "c.n"))
        hosts = self.folder / "hosts.yaml"
        hosts.write_text("coordinator: c.yaml\npairs: [[n1.n, m1.m]]\n")
        self.assertEqual(self.run_plan("--lab", str(hosts)).exit_code, 0)
        lab = self.called[0][2](None, 2, 3, lambda step: None)

        async def enter() -> None:
            async with lab:
                raise AssertionError("it has too few pairs")

        failure = self.failureResultOf(Deferred.fromCoroutine(enter()), P2PError)
        self.assertIn("blocks of 2 pairs, and the lab has 1", str(failure.value))
        hosts.write_text("pairs: [[n1.n]]\n")
        ended = self.run_plan("--lab", str(hosts))
        self.assertEqual((ended.exit_code, len(self.called)), (2, 1))

    def test_bad_plan(self) -> None:
        """What is wrong with a plan is told with its lines, and nothing is run."""
        self.plan.write_text(PLAN.replace("repetitions: 2", "repetitions: many"))
        ended = self.run_plan()
        self.assertEqual((ended.exit_code, self.called), (2, []))
        self.assertIn(":8: repetitions:", ended.stderr)


class CompareTests(SynchronousTestCase):
    """``p2p experiment compare``."""

    def make_run(self, seed: int, missing: str = "", margin: float = 0.05, **how: Any) -> Path:
        """Write a synthetic run into a folder."""
        folder = Path(self.mktemp())
        small = {"conditions": ("text",), "sizes": (1024,), "pairs": 2, "exchanges": 3}
        made = Synthetic(seed=seed, **{**small, **how}).run()
        lacking = (MissingBlock(block=1, why=missing),) if missing else ()
        facts = RunFacts(seed=seed, margin=margin, missing=lacking)
        RunWriter.create(folder, PLAN, facts).close()
        (folder / SAMPLES.file).write_text(SAMPLES.dump(made.samples))
        (folder / BLOCKS.file).write_text(BLOCKS.dump(made.blocks))
        return folder

    def compare(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, ["experiment", "compare", *arguments])

    def test_text(self) -> None:
        """Every verdict is a sentence, and what a run lacks is said of that run."""
        ended = self.compare(str(self.make_run(1)), str(self.make_run(2, "a pair died")))
        self.assertEqual(ended.exit_code, 0, ended.output)
        self.assertRegex(
            ended.stdout, r"transport +latency +\d\.\d{3} +\d\.\d{3} to \d\.\d{3} +text 1024 2 closed +\w+"
        )
        self.assertRegex(ended.stdout, r"transport +text +1024 +2 +closed +\S+ ms +\S+ ms +\S+ [kM]B/s")
        self.assertIn("Run A dropped 0 of 36 exchanges.", ended.stdout)
        self.assertIn("note: run B: block 1: a pair died", ended.stdout)

    def test_different(self) -> None:
        """Of plans that differ, what both have is compared; the rest is named, not all of it where it is much."""
        a = self.make_run(1, arm="one", conditions=("text", "audio"), sizes=tuple(range(1024, 1032)))
        b = self.make_run(2, arm="one", margin=0.1, conditions=("text",), sizes=(1024,), lost={"text": 1.0})
        ended = self.compare(str(a), str(b))
        self.assertEqual(ended.exit_code, 0, ended.output)
        self.assertRegex(ended.stdout, r"one +text +1024 +2 +closed +\S+ ms +none +\S+ [kM]B/s +0 bytes/s")
        self.assertIn("one, latency: no exchange of B gave a figure", ended.stdout)
        self.assertIn("note: the margin is that of run A, ±5 %; the plan of run B has ±10 %", ended.stdout)
        self.assertIn("note: 9 more levels are in one run alone", ended.stdout)
        c = self.make_run(3, arm="other")
        self.assertIn("arm other is in run B alone", self.compare(str(a), str(c)).stdout)

    def test_damaged(self) -> None:
        """A run that lost blocks and the end of a file is compared by what is left of it, and that is said."""
        whole, cut = self.make_run(1), self.make_run(2)
        samples = cut / SAMPLES.file
        samples.write_bytes(samples.read_bytes()[:-30])
        (cut / "run.json").unlink()
        ended = self.compare(str(whole), str(cut))
        self.assertEqual(ended.exit_code, 0, ended.output)
        self.assertIn("5 repetitions", ended.stdout)
        self.assertIn("note: run B: samples.csv: line 37 was cut off", ended.stdout)
        self.assertIn("note: run B: block 6 lost samples and is left out", ended.stdout)
        self.assertIn("note: run B: run.json is missing", ended.stdout)

    def test_json(self) -> None:
        """--json gives one object, the same from the same runs."""
        folders = str(self.make_run(1)), str(self.make_run(2))
        one, other = (self.compare(*folders, "--json") for _ in range(2))
        self.assertEqual((one.exit_code, one.stdout), (0, other.stdout))
        self.assertIn("verdicts", json.loads(one.stdout))

    def test_no_run(self) -> None:
        """A folder that holds no run is named."""
        ended = self.compare(str(self.make_run(1)), "/nowhere")
        self.assertEqual(ended.exit_code, 11)
        self.assertIn("/nowhere", ended.stderr)

    def test_no_libraries(self) -> None:
        """Without the extra that compares, it is said how to install it."""
        self.addCleanup(sys.modules.__setitem__, "p2p.measure.analysis", import_module("p2p.measure.analysis"))
        sys.modules["p2p.measure.analysis"] = None  # type: ignore[assignment]  # Python's mark for what can't be imported
        ended = self.compare("a", "b")
        self.assertEqual(ended.exit_code, 1)
        self.assertIn("p2p[report]", ended.stderr)

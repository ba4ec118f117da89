"""A run of an experiment, with a lab that answers at once; test/functional/test_experiment.py has real ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ConfigError, ExchangeFailed, LocalFileError, Outcome, P2PError
from p2p.experiment.words import PrepareOrder, RunOrder, encode_samples
from p2p.measure import experiment
from p2p.measure.block_figures import block_figures, frames
from p2p.measure.conductor import Conductor
from p2p.measure.experiment import RunResult, run_experiment
from p2p.measure.gauges import LocalGauges
from p2p.measure.raw_data import LookupRow, Placement
from p2p.measure.raw_reader import read_run
from p2p.measure.running_lab import ExperimentLab
from test.measure.test_conductor import PAIRS, StandInClient

PLAN = """\
title: Small
seed: 3
margin: 5%
arms:
  one: {service: echo, types: [text, zeros], sizes: [1KiB], pairs: [2], sampling_cost: true}
exchanges: 2
warm_up: 1
repetitions: 2
"""


class Listening:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.told: list[tuple[int, int]] = []
        self.lacking: list[str] = []

    def step(self, what: str) -> None:
        self.steps.append(what)

    def blocks(self, done: int, total: int, seconds: float) -> None:
        self.told.append((done, total))

    def missing(self, what: str) -> None:
        self.lacking.append(what)


class ExperimentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.plan = self.folder / "plan.yaml"
        self.plan.write_text(PLAN)
        self.out = self.folder / "out"
        self.client = StandInClient()
        self.listening = Listening()
        self.labs: list[tuple[int, int]] = []
        self.lacking: list[str] = []
        self.inbox = self.folder / "inbox" / "m1.m"
        self.inbox.mkdir(parents=True)
        self.patch(experiment, "lookup_times", lambda: [LookupRow(10, 25.0), LookupRow(20000, 30.0)])

    @asynccontextmanager
    async def lab(
        self, reactor: Any, pairs: int, seed: int, progress: Callable[[str], None]
    ) -> AsyncIterator[ExperimentLab]:
        """A lab that is there at once."""
        self.labs.append((pairs, seed))
        progress("looking")
        conductor = Conductor(self.client, "coordinator.n", PAIRS, seed)  # type: ignore[arg-type]  # stands in
        yield ExperimentLab(
            conductor, LocalGauges({}), [Placement(what="n1.n", where="here")], self.inbox.parent, self.lacking
        )

    def start(self) -> Deferred[RunResult]:
        """Start a run."""
        return Deferred.fromCoroutine(run_experiment(Clock(), self.plan, self.out, self.lab, self.listening))

    def done(self) -> RunResult:
        """Run to the end."""
        result: RunResult = self.successResultOf(self.start())
        return result

    def test_whole(self) -> None:
        """All blocks are kept in the order of the plan, with everything that the analysis asks for."""
        (self.inbox / "stored").write_text("x")
        result = self.done()
        self.assertEqual((result.planned, result.finished, result.missing), (8, 8, []))
        self.assertEqual(dict(result.outcomes), {"ok": 4 * 4})
        run = read_run(self.out)
        self.assertEqual(run.notes, ())
        self.assertEqual(run.blocks["order"], list(range(1, 9)))
        self.assertEqual(sorted(run.blocks["sampling"]), ["off"] * 4 + ["on"] * 4)
        self.assertEqual(len(block_figures(frames(run).blocks, frames(run).samples)), 4)
        self.assertEqual(run.lookups["table_size"], [10, 20000])
        self.assertEqual((run.facts.title, run.facts.seed, run.facts.margin), ("Small", 3, 0.05))
        self.assertEqual(run.facts.placement, (Placement(what="n1.n", where="here"),))
        self.assertTrue(run.facts.machine["processors"] and run.facts.versions["openssl"] and run.facts.finished)
        self.assertEqual(run.plan, PLAN)
        self.assertEqual((self.labs, self.listening.steps), ([(2, 3)], ["timing look-ups", "looking"]))
        self.assertEqual((self.listening.told[0], self.listening.told[-1]), ((0, 8), (8, 8)))
        self.assertEqual(list(self.inbox.iterdir()), [])

    def test_again(self) -> None:
        """A finished run isn't run again, and needs no lab."""
        self.done()
        facts = self.out / "run.json"
        facts.write_text(read_run(self.out).facts.model_copy(update={"finished": ""}).to_json())
        for _ in range(2):
            self.assertEqual(self.done().finished, 8)
            self.assertTrue(read_run(self.out).facts.finished)
        self.assertEqual(len(self.labs), 1)

    def test_resumed(self) -> None:
        """A run that broke off goes on with the blocks that it lacks; look-ups aren't timed twice."""
        answers = 0
        good = self.client.answer

        def failing(order: Any) -> str:
            nonlocal answers
            answers += isinstance(order, RunOrder)
            if answers > 6:
                raise P2PError("the coordinator's daemon ended")
            return good(order)

        self.client.answer = failing  # type: ignore[method-assign]  # a test may
        self.failureResultOf(self.start(), P2PError)
        before = read_run(self.out)
        self.assertEqual((len(before.finished), before.facts.finished), (3, ""))
        self.client.answer = good  # type: ignore[method-assign]  # as before
        self.assertEqual(self.done().finished, 8)
        run = read_run(self.out)
        self.assertEqual(sorted(run.blocks["block"]), list(range(1, 9)))
        self.assertEqual(run.samples["planned_ns"][: len(before.samples["block"])], before.samples["planned_ns"])
        self.assertEqual(run.lookups["table_size"], [10, 20000])
        self.assertEqual(run.facts.started, before.facts.started)

    def test_another_plan(self) -> None:
        """A folder with the run of another plan, or of another seed, is left as it is."""
        self.done()
        self.plan.write_text(PLAN.replace("seed: 3", "seed: 4"))
        failure = self.failureResultOf(self.start(), ConfigError)
        self.assertIn("another plan", str(failure.value))
        self.plan.write_text("# only a comment more\n" + PLAN)
        self.assertEqual(self.done().finished, 8)

    def test_missing(self) -> None:
        """What a pair lacks is told at once and kept in the facts, and a resumed run still knows it."""
        told = encode_samples([]).decode()
        self.client.changed["m2.m", RunOrder] = (told, ExchangeFailed(Outcome.RESET, "the link broke"))
        self.lacking = ["unknown-peer: n9.n"]
        result = self.done()
        self.assertEqual((result.finished, len(result.missing)), (8, 8))
        self.assertEqual(len(self.listening.lacking), 9)
        self.assertIn("pair 2", self.listening.lacking[1])
        run = read_run(self.out)
        self.assertEqual(len(run.facts.missing), 8)
        self.assertEqual(set(run.blocks["offered"]), {2})
        self.assertEqual(len(self.done().missing), 8)

    def test_nobody(self) -> None:
        """A block that no pair takes part in ends the run; what is finished is kept."""
        for peer in ("n1.n", "m2.m"):
            self.client.changed[peer, PrepareOrder] = ExchangeFailed(Outcome.TIMEOUT, "nothing moved")
        failure = self.failureResultOf(self.start(), P2PError)
        self.assertIn("no pair could take part", str(failure.value))
        self.assertIn("run again", str(failure.value))

    def test_no_file(self) -> None:
        """A plan that isn't there is named, and so is a folder that can't be written."""
        self.plan.unlink()
        self.failureResultOf(self.start(), ConfigError)
        self.plan.write_text(PLAN)
        self.out.write_text("")
        self.assertIn(str(self.out), str(self.failureResultOf(self.start(), LocalFileError).value))

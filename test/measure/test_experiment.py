"""A run of an experiment, with a lab that answers at once; test/functional/test_experiment.py has real ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
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
from p2p.measure.processes import Daemon
from p2p.measure.raw_data import LookupRow, Placement
from p2p.measure.raw_reader import read_run
from p2p.measure.running_lab import ExperimentLab, LabHere
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


UNTIL = """\
title: Until
seed: 3
margin: 5%
arms:
  two: {service: echo, types: [text, zeros], sizes: [1KiB], pairs: [2]}
  three: {service: echo, types: [text, zeros], sizes: [1KiB], pairs: [1], repetitions: 2}
exchanges: 5
until: {at_most: 15s}
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


class ShortTests(SynchronousTestCase):
    def test_many(self) -> None:
        """Of a thousand problems the first are told, and how many there are besides."""
        self.assertEqual("a; b", experiment._in_short(["a", "b"]))
        self.assertEqual("a; b; c; and 2 more such", experiment._in_short(list("abcde")))


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
        self.gone = False
        self.seconds: Callable[[], float] = lambda: 0.0
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
        here = None
        if self.gone:
            here = LabHere(reactor, None, self.folder, {})  # type: ignore[arg-type]  # nothing is started
            here.daemons["peers-n"] = Daemon("peers-n", self.folder / "log", reactor)
            here.daemons["peers-n"].exit = -9
        placement = [Placement(what="n1.n", where="here")]
        yield ExperimentLab(conductor, LocalGauges(dict), placement, self.inbox.parent, self.lacking, here)

    def start(self) -> Deferred[RunResult]:
        """Start a run."""
        return Deferred.fromCoroutine(
            run_experiment(Clock(), self.plan, self.out, self.lab, self.listening, self.seconds)
        )

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

    def test_broken(self) -> None:
        """A block that a dead peer broke is in no table but that of lost messages; the same command does it again."""
        told = encode_samples([]).decode()
        self.client.changed["m2.m", RunOrder] = (told, ExchangeFailed(Outcome.RESET, "the link broke"))
        self.lacking = ["unknown-peer: n9.n"]
        result = self.done()
        self.assertEqual((result.planned, result.finished, len(result.missing), result.unsent), (8, 0, 8, 24))
        self.assertEqual(len(self.listening.lacking), 9)
        self.assertIn("pair 2", self.listening.lacking[1])
        run = read_run(self.out)
        self.assertEqual((len(run.facts.missing), run.facts.finished, run.blocks["block"]), (8, "", []))
        self.assertEqual((sum(run.broken["count"]), set(run.broken["attempt"])), (8 * 4, {1}))
        del self.client.changed["m2.m", RunOrder]
        self.client.changed["n1.n", PrepareOrder] = ExchangeFailed(Outcome.UNKNOWN_PEER, "nobody is n1.n")
        self.assertEqual(self.done().unsent, 32)
        self.assertEqual(Counter(read_run(self.out).broken["attempt"]), {1: 16, 2: 16})
        self.client.changed.clear()
        result = self.done()
        self.assertEqual((result.finished, result.missing, result.unsent), (8, [], 0))
        run = read_run(self.out)
        self.assertEqual((run.facts.missing, run.notes, set(run.blocks["offered"])), ((), (), {4}))
        self.assertTrue(run.facts.finished)

    def test_daemon_of_its_own(self) -> None:
        """If a daemon that was started here is gone, the messages of its block are kept, and the run ends."""
        self.client.changed["n1.n", RunOrder] = ExchangeFailed(Outcome.RESET, "the link broke")
        self.gone = True
        self.assertIn("peers-n has ended", str(self.failureResultOf(self.start(), P2PError).value))
        self.assertEqual(sum(read_run(self.out).broken["count"]), 4)

    def test_routers(self) -> None:
        """Routers are killed only in a lab that was started here."""
        self.plan.write_text(PLAN.replace("sampling_cost", "kill_routers"))
        self.assertIn("kill_routers is for a lab", str(self.failureResultOf(self.start(), ConfigError).value))

    def test_pilot(self) -> None:
        """What no plan says, a pilot finds out once for each level, before its first block and for later runs too."""
        plan = PLAN.replace("exchanges: 2\n", "").replace(", sampling_cost: true", "")
        self.plan.write_text(plan)
        self.client.changed["m2.m", PrepareOrder] = ExchangeFailed(Outcome.UNKNOWN_PEER, "nobody is m2.m")
        result = self.done()
        self.assertEqual((result.finished, len(result.missing)), (0, 4))
        self.assertIn("its pilot came to nothing: unknown-peer", result.missing[0].why)
        self.client.changed.clear()
        self.assertEqual(self.done().finished, 4)
        run = read_run(self.out)
        self.assertEqual(sorted(run.pilots["condition"]), ["text", "zeros"])
        self.assertEqual((set(run.pilots["exchanges"]), set(run.blocks["offered"])), ({13}, {26}))
        given = len(self.client.given)
        facts = self.out / "blocks.csv"
        facts.write_text("".join(facts.read_text().splitlines(keepends=True)[:-1]))
        self.assertEqual(self.done().finished, 4)
        self.assertEqual(len(self.client.given) - given, 4, "no pilot any more")

    def test_older(self) -> None:
        """A run of an earlier version, which had no pilots, goes on with as many exchanges as its blocks have."""
        self.done()
        self.plan.write_text(PLAN.replace("exchanges: 2\n", ""))
        (self.out / "plan.yaml").write_text(self.plan.read_text())
        (self.out / "pilots.csv").unlink()
        blocks = self.out / "blocks.csv"
        blocks.write_text("".join(blocks.read_text().splitlines(keepends=True)[:-1]))
        self.assertEqual(self.done().finished, 8)
        run = read_run(self.out)
        self.assertEqual((set(run.blocks["offered"]), run.pilots["exchanges"]), ({4}, []))

    def until(self, spread: int) -> RunResult:
        """Run until it is precise, or 15 s are over by a clock of which each look takes 0.1 s."""
        times = count()
        self.seconds = lambda: next(times) / 10
        self.plan.write_text(UNTIL)
        self.client.spread = spread
        return self.done()

    def test_precise(self) -> None:
        """An arm goes on until it is precise, then no more; an arm that says how often is left alone."""
        result = self.until(0)
        run = read_run(self.out)
        endings = {one.arm: (one.repetitions, one.why) for one in run.facts.endings}
        self.assertEqual(endings, {"two": (8, "precise"), "three": (2, "planned")})
        self.assertEqual((result.planned, result.finished, len(run.blocks["block"])), (20, 20, 20))
        self.assertTrue(run.facts.finished)
        self.assertEqual((self.done().finished, len(self.labs)), (20, 1))

    def test_time(self) -> None:
        """An arm that doesn't become precise goes on until its time is over, and at least as often as it must."""
        result = self.until(30)
        (ending, _) = read_run(self.out).facts.endings
        self.assertEqual((ending.arm, ending.why), ("two", "time"))
        self.assertGreater(ending.repetitions, 8)
        self.assertEqual(result.finished, 2 * (ending.repetitions + 2))

    def test_until_goes_on(self) -> None:
        """A run that broke off goes on with what it knows of its precision, and does again what was broken."""
        good = self.client.answer
        answers = count()

        def failing(order: Any) -> str:
            if isinstance(order, RunOrder) and next(answers) == 11:
                raise P2PError("the coordinator's daemon ended")
            return good(order)

        self.client.answer = failing  # type: ignore[method-assign]  # a test may
        self.plan.write_text(UNTIL)
        self.failureResultOf(self.start(), P2PError)
        self.client.answer = good  # type: ignore[method-assign]  # as before
        before = len(read_run(self.out).finished)
        self.assertGreater(before, 3)
        self.client.changed["n1.n", PrepareOrder] = ExchangeFailed(Outcome.UNKNOWN_PEER, "nobody is n1.n")
        self.plan.write_text(UNTIL)
        times = count()
        self.seconds = lambda: next(times)
        late = self.done()
        self.assertEqual((late.finished, late.planned > before), (before, True))
        self.client.changed.clear()
        self.assertEqual(self.done().missing, [])

    def test_no_file(self) -> None:
        """A plan that isn't there is named, and so is a folder that can't be written."""
        self.plan.unlink()
        self.failureResultOf(self.start(), ConfigError)
        self.plan.write_text(PLAN)
        self.out.write_text("")
        self.assertIn(str(self.out), str(self.failureResultOf(self.start(), LocalFileError).value))

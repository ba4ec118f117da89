"""Tests of p2p.measure.demo with real daemons, and so of p2p.measure.processes too."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from p2p.base.errors import ConfigError, LocalFileError, P2PError
from p2p.measure import demo
from p2p.measure.demo import EVERYONE, DemoPlan, DemoResult, run_demo
from p2p.measure.experiment import ROUTERS_KILLED, RunResult
from p2p.measure.plan import ExperimentPlan, load_plan
from p2p.measure.raw_data import MissingBlock
from p2p.measure.raw_reader import read_run
from test.measure.synthetic_run import Synthetic
from test.ports import free_ports

reactor: Any = installed_reactor


def two_ports() -> tuple[int, int]:
    """Two ports on which nothing listens."""
    one, other = free_ports(2)
    return one, other


def children() -> set[int]:
    """The processes that this one has started and that still run."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


class Listening:
    """Keeps what is told of a run.

    :ivar on_block: is called when a block is about to begin.
    """

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.lacking: list[str] = []
        self.on_block: Callable[[], object] = lambda: None

    def step(self, what: str) -> None:
        self.steps.append(what)

    def blocks(self, done: int, total: int, seconds: float) -> None:
        self.on_block()

    def missing(self, what: str) -> None:
        self.lacking.append(what)


class PlanTests(SynchronousTestCase):
    """What the demo runs."""

    def plan(self, **options: Any) -> ExperimentPlan:
        """Load the plan of a demo."""
        path = Path(self.mktemp())
        path.write_text(DemoPlan(**options).text())
        return load_plan(path)

    def test_everyone(self) -> None:
        """All pairs talk at once and both ways, as often as was asked for at least, while routers die."""
        for exchanges, sets in ((30, 5), (31, 6), (2, 1)):
            plan = self.plan(pairs=7, exchanges=exchanges)
            first = plan.arms[EVERYONE]
            self.assertEqual((first.pairs, first.exchanges), ([7], [sets]))
            self.assertTrue(first.both_ways and first.kill_routers and first.interleaved)
        self.assertEqual(["everyone", "transport", "service", "scaling"], list(plan.arms))

    def test_parts(self) -> None:
        """Quickly, or without what makes films, there are all pairs and nothing else."""
        self.assertEqual([EVERYONE], list(self.plan(quick=True).arms))
        arms = self.plan(media=False).arms
        self.assertEqual([EVERYONE], list(arms))
        self.assertEqual(["text", "audio"], [one.name for one in arms[EVERYONE].types])

    def test_no_plan(self) -> None:
        """Where the demo's plan is missing, it is said where it was looked for."""
        self.patch(demo, "installed_folders", lambda name: [Path("/nowhere") / name])
        error = self.assertRaises(P2PError, DemoPlan().text)
        self.assertIn("/nowhere/etc/demo-experiment.yaml", str(error))


class DemoTests(TestCase):
    """The main job, small."""

    timeout = 90

    def setUp(self) -> None:
        self.listening = Listening()
        self.out = Path(self.mktemp())

    def start(self, plan: DemoPlan) -> Deferred[DemoResult]:
        """Run the demo."""
        return Deferred.fromCoroutine(run_demo(reactor, plan, self.out, self.listening))

    async def test_whole(self) -> None:
        """Every exchange is ok, also after the routers died; sockets and processes are as before, and what is left in
        the folder is a run like any other, in the place of an earlier one."""
        before = children()
        self.out.mkdir()
        (self.out / "blocks.csv").write_text("of an earlier demo\n")
        (self.out / "mine.txt").touch()
        result = await self.start(DemoPlan(pairs=4, exchanges=2400, ports=two_ports(), quick=True))
        self.assertEqual(result.failures, [])
        self.assertEqual(children(), before)
        summary = result.summary
        self.assertEqual((summary["pairs"], summary["never_sent"]), (4, 0))
        self.assertEqual((summary["exchanges"]["offered"], summary["exchanges"]["ok"]), (9600, 9600))
        self.assertEqual(summary["drops"], {"total": 0, "mean_per_pair": 0.0})
        self.assertEqual(summary["open_sockets"]["before"], summary["open_sockets"]["after"])
        self.assertTrue(0 < summary["exchanges_after_routers_died"]["ok"] < 6000)
        self.assertGreater(summary["content_bytes"], summary["router_bytes"])
        self.assertGreater(summary["router_bytes"], 0)
        for name in ("message_size_bytes", "transmission_time_s", "table_lookup_s", "router_lookup_s", "setup_s"):
            with self.subTest(name):
                self.assertEqual(set(summary[name]), {"mean", "p50", "p99", "max"})
                self.assertGreater(summary[name]["p50"], 0)
        self.assertEqual(list(summary["by_content_type"]), ["text", "audio", "video"])
        result.write(self.out)
        self.assertEqual(json.loads((self.out / "summary.json").read_text()), summary)
        run = read_run(self.out)
        self.assertEqual((run.notes, len(run.samples["block"])), ((), 9600))
        directions = {tuple(name[0] for name in way.split(">")) for way in run.samples["direction"]}
        self.assertEqual(directions, {("n", "m"), ("m", "n")})
        self.assertEqual([one.what for one in run.facts.events], [ROUTERS_KILLED, "the routers are there again"])
        self.assertIn("mine.txt", {one.name for one in self.out.iterdir()})
        self.assertFalse((self.out / "demo.yaml").exists())

    async def test_interrupted(self) -> None:
        """Whoever interrupts the demo is left with no process and no port in use."""
        before, ports = children(), two_ports()
        running: list[Deferred[DemoResult]] = []
        self.listening.on_block = lambda: reactor.callLater(1, running[0].cancel)
        running.append(self.start(DemoPlan(pairs=3, exchanges=6000, ports=ports, quick=True)))
        await self.assertFailure(running[0], CancelledError)
        self.assertEqual(children(), before)
        for port in ports:
            with socket.socket() as probe:
                self.assertNotEqual(probe.connect_ex(("127.0.0.1", port)), 0)

    def test_taken_port(self) -> None:
        """A port that is taken is named before anything starts, with the option that chooses another."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            failure = self.failureResultOf(self.start(DemoPlan(pairs=1, exchanges=2, ports=(port, port + 1))))
        self.assertIsInstance(failure.value, ConfigError)
        self.assertIn(f"port {port} is taken", str(failure.value))
        self.assertIn("--ports", str(failure.value))
        self.assertEqual((self.listening.steps, self.out.exists()), ([], False))

    def test_unwritable_folder(self) -> None:
        """A folder that can't be written is named."""
        self.out.write_text("")
        error = self.assertRaises(LocalFileError, DemoResult().write, self.out)
        self.assertIn(str(self.out), str(error))
        one, other = two_ports()
        failure = self.failureResultOf(self.start(DemoPlan(ports=(one, other))))
        self.assertIsInstance(failure.value, LocalFileError)


class FailureTests(SynchronousTestCase):
    """What isn't as it should be."""

    def test_told(self) -> None:
        """Each thing that is wrong is a sentence with its figures."""
        run = Synthetic(arm=EVERYONE, repetitions=1, lost={"text": 0.5}).run()
        result = RunResult(Path(), 1, missing=[MissingBlock(block=7, why="pair 2 died")])
        summary: dict[str, Any] = {
            "open_sockets": {"before": 3, "after": 4},
            "exchanges_after_routers_died": {"offered": 0},
        }
        broken, wrong, sockets, later = demo._failures(run, result, summary)
        self.assertEqual(broken, "block 7 came to nothing: pair 2 died")
        self.assertRegex(wrong, r"of 1200 exchanges weren't ok; the first: n\d+.n>m\d+.m, text-\d+: timeout: no answer")
        self.assertEqual(sockets, "3 sockets were open before the links, and 4 after they were closed")
        self.assertIn("use more --exchanges", later)

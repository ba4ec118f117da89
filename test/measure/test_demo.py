"""Tests of p2p.measure.demo with real daemons, and so of p2p.measure.processes too."""

from __future__ import annotations

import csv
import json
import socket
from pathlib import Path

import psutil
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from p2p.base.errors import ConfigError, LocalFileError
from p2p.measure.demo import DemoPlan, DemoResult, run_demo
from test.ports import free_ports


def two_ports() -> tuple[int, int]:
    """Two ports on which nothing listens."""
    one, other = free_ports(2)
    return one, other


def children() -> set[int]:
    """The processes that this one has started and that still run."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


class DemoTests(TestCase):
    """The main job, small."""

    timeout = 90

    def setUp(self) -> None:
        self.steps: list[tuple[str, int, int]] = []

    def start(self, plan: DemoPlan) -> Deferred[DemoResult]:
        """Run the demo and note its steps."""
        return Deferred.fromCoroutine(run_demo(reactor, plan, lambda *step: self.steps.append(step)))

    async def test_whole(self) -> None:
        """Every exchange is ok, also after the routers died; sockets, processes and files are as before."""
        before = children()
        result = await self.start(DemoPlan(pairs=4, exchanges=9, ports=two_ports()))
        self.assertEqual(result.failures, [])
        self.assertEqual(children(), before)
        summary = result.summary
        self.assertEqual(summary["pairs"], 4)
        self.assertEqual((summary["exchanges"]["offered"], summary["exchanges"]["ok"]), (36, 36))
        self.assertEqual(summary["drops"], {"total": 0, "mean_per_pair": 0.0})
        self.assertEqual(summary["open_sockets"]["before"], summary["open_sockets"]["after"])
        self.assertGreater(summary["exchanges_after_routers_died"]["ok"], 0)
        self.assertGreater(summary["content_bytes"], summary["router_bytes"])
        self.assertGreater(summary["router_bytes"], 0)
        for name in ("message_size_bytes", "transmission_time_s", "table_lookup_s", "router_lookup_s", "setup_s"):
            with self.subTest(name):
                self.assertEqual(set(summary[name]), {"mean", "p50", "p99", "max"})
                self.assertGreater(summary[name]["p50"], 0)
        self.assertEqual(set(summary["by_content_type"]), {"text", "audio", "video"})
        directions = {tuple(name[0] for name in sample.direction.split(">")) for sample in result.samples}
        self.assertEqual(directions, {("n", "m"), ("m", "n")})
        out = Path(self.mktemp())
        result.write(out)
        self.assertEqual(json.loads((out / "summary.json").read_text()), summary)
        with (out / "samples.csv").open(newline="") as file:
            self.assertEqual(len(list(csv.DictReader(file))), 36)

    async def test_interrupted(self) -> None:
        """Whoever interrupts the demo is left with no process and no port in use."""
        before, ports = children(), two_ports()
        running: list[Deferred[DemoResult]] = []

        def step(name: str, done: int, total: int) -> None:
            if name == "exchanges" and done == 3:
                reactor.callLater(0, running[0].cancel)

        running.append(Deferred.fromCoroutine(run_demo(reactor, DemoPlan(pairs=3, exchanges=50, ports=ports), step)))
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
        self.assertEqual(self.steps, [])

    def test_unwritable_folder(self) -> None:
        """A folder that can't be written is named."""
        blocked = Path(self.mktemp())
        blocked.write_text("")
        error = self.assertRaises(LocalFileError, DemoResult().write, blocked / "out")
        self.assertIn(str(blocked), str(error))

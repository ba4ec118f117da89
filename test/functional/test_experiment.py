"""``p2p experiment run`` with real daemons: alone, interrupted and resumed, and in a lab whose peers die."""

from __future__ import annotations

import shutil
import signal
import tempfile
from pathlib import Path

from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater

from p2p.errors import Outcome
from p2p.measure.raw_reader import RawRun, read_run
from test.functional.cases import FunctionalCase, Run
from test.functional.lab import RunningLab, reactor, until

TINY = """\
title: Tiny
seed: 7
arms:
  one: {service: echo, types: [text, zeros], sizes: [1KiB], pairs: [1, 2], sampling_cost: true}
  own: {types: [text], sizes: [2KiB], pairs: [2], load: {open: 50}}
exchanges: 4
warm_up: 1
repetitions: 1
"""

STEADY = """\
title: Steady
seed: 7
arms:
  open: {service: echo, types: [text], sizes: [1KiB], pairs: [2], load: {open: 20}}
exchanges: %d
warm_up: 0
repetitions: %d
"""


class ExperimentCase(FunctionalCase):
    """A folder for plans and runs."""

    async def prepare(self) -> None:
        """Make it."""
        self.folder = Path(tempfile.mkdtemp(prefix="p2p-experiment-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.out = self.folder / "out"

    def experiment(self, plan: str, *options: str | Path) -> Run:
        """Start a run of a plan."""
        path = self.folder / "plan.yaml"
        path.write_text(plan)
        return self.run_program("p2p", "experiment", "run", path, "--out", self.out, *options)

    def accounted(self, run: RawRun) -> None:
        """Every exchange that was offered has its sample, and nothing in the folder is odd."""
        self.assertEqual(run.notes, ())
        for block, offered, sampling in zip(
            run.blocks["block"], run.blocks["offered"], run.blocks["sampling"], strict=True
        ):
            self.assertEqual(run.samples["block"].count(block), offered if sampling == "on" else 0)


class AloneTests(ExperimentCase):
    """On this machine alone."""

    timeout = 120

    async def test_whole(self) -> None:
        """Every block is there with its exchanges, links and gauges, and the plan and its facts beside them."""
        await self.ended(self.experiment(TINY), 0)
        run = read_run(self.out)
        self.accounted(run)
        self.assertEqual(sorted(run.blocks["block"]), list(range(1, 10)))
        self.assertEqual(set(run.samples["outcome"]), {"ok"})
        self.assertEqual(set(run.samples["direction"]), {"n1.n>m1.m", "m2.m>n2.n"})
        self.assertEqual(set(run.samples["service"]), {"echo", "uppercase"})
        self.assertEqual(run.samples["bytes"], run.samples["size"])
        self.assertEqual(run.samples["reply_bytes"], run.samples["size"])
        self.assertEqual(len(run.links["block"]), sum(pairs for pairs in (1, 2, 1, 2, 2)))
        for figure in ("setup_ns", "table_lookup_ns", "router_lookup_ns", "tls_ns", "ticket_ns", "rtt_us"):
            self.assertTrue(all(value and value > 0 for value in run.links[figure]), figure)
        self.assertEqual(max(run.lookups["table_size"]), 20_000)
        self.assertEqual(set(run.daemons["daemon"]), {"router-n", "router-m", "peers-n", "peers-m", "coordinator"})
        self.assertEqual((run.facts.title, run.facts.seed, run.facts.missing), ("Tiny", 7, ()))
        self.assertTrue(run.facts.started and run.facts.finished)
        self.assertEqual(len(run.facts.placement), 5)
        again = self.experiment(TINY)
        await self.ended(again, 0)
        self.assertIn(b"9 of 9 blocks", again.printed)
        self.assertIn("another plan", await self.ended(self.experiment(TINY.replace("seed: 7", "seed: 8")), 2))

    async def test_interrupted(self) -> None:
        """Ctrl-C ends everything and keeps the finished blocks; the same command does the others, and none twice."""
        plan = STEADY % (20, 6)
        running = self.experiment(plan)

        async def some() -> bool:
            return (self.out / "blocks.csv").exists() and len(read_run(self.out).finished) >= 2

        await until(some, "two blocks to be finished", 60)
        running.transport.signalProcess(signal.SIGINT.name.removeprefix("SIG"))
        self.assertIn("run again to go on", await self.ended(running, 130))
        before = read_run(self.out)
        self.assertLess(len(before.finished), 6)
        self.assertEqual(before.facts.finished, "")
        await self.ended(self.experiment(plan), 0)
        run = read_run(self.out)
        self.accounted(run)
        self.assertEqual(sorted(run.blocks["block"]), [1, 2, 3, 4, 5, 6])
        kept = len(before.samples["planned_ns"])
        self.assertEqual(run.samples["planned_ns"][:kept], before.samples["planned_ns"])
        self.assertEqual(run.facts.started, before.facts.started)
        self.assertTrue(run.facts.finished)


class LabTests(ExperimentCase):
    """In a lab that runs already."""

    timeout = 120

    async def prepare(self) -> None:
        """Start a coordinator and two pairs, with a daemon for each peer but those that ask."""
        await super().prepare()
        self.lab = self.own_lab(settings="experiment: [coordinator.n]\n")
        await self.lab.start(**{name: [name.removeprefix("peer-")] for name in self.daemons()})
        self.hosts = self.folder / "hosts.yaml"
        self.hosts.write_text(
            f"coordinator: {self.lab.folder / 'peer-coordinator.n.yaml'}\npairs: [[n1.n, m1.m], [n2.n, m2.m]]\n"
        )

    def daemons(self) -> list[str]:
        return [f"peer-{name}" for name in ("coordinator.n", "n1.n", "n2.n", "m1.m", "m2.m")]

    def lab_run(self, plan: str) -> Run:
        """Start a run in the lab."""
        return self.experiment(plan, "--lab", self.hosts)

    async def kill(self, *daemons: str) -> None:
        """End daemons at once."""
        for name in daemons:
            self.lab.daemons[name].kill()
        await gatherResults([self.lab.daemons[name].when_exited() for name in daemons])

    async def test_whole(self) -> None:
        """The pairs of the lab's file talk, and the gauges of all their daemons come home."""
        await self.ended(self.lab_run(STEADY % (25, 1)), 0)
        run = read_run(self.out)
        self.accounted(run)
        self.assertEqual(set(run.samples["direction"]), {"n1.n>m1.m", "n2.n>m2.m"})
        self.assertEqual(set(run.samples["outcome"]), {"ok"})
        self.assertEqual(len(set(run.daemons["daemon"])), 4)
        self.assertEqual(len(run.facts.placement), 5)

    async def test_initiator_dies(self) -> None:
        """The block in which a peer dies goes on with the others, keeps what the dead one had told, and is marked."""
        running = self.lab_run(STEADY % (80, 2))
        await until(lambda: self.talks(), "the first block to run", 60)
        await self.pause(1.5)
        await self.kill("peer-n2.n")
        errors = await self.ended(running, 1)
        self.assertIn("pair 2 (n2.n to m2.m)", errors)
        run = read_run(self.out)
        self.accounted(run)
        self.assertEqual(sorted(run.blocks["block"]), [1, 2])
        first, second = (run.blocks["offered"][place] for place in (0, 1))
        self.assertTrue(80 < first < 160, first)
        self.assertEqual(second, 80)
        self.assertEqual(len(run.facts.missing), 2)
        self.assertIn("unknown-peer", run.facts.missing[1].why)

    async def test_receiver_dies(self) -> None:
        """What can't reach a dead receiver any more are drops by their cause, and each of them is counted."""
        running = self.lab_run(STEADY % (60, 1))
        await until(lambda: self.talks(), "the first block to run", 60)
        await self.kill("peer-m2.m")
        await self.ended(running, 1)
        run = read_run(self.out)
        self.accounted(run)
        self.assertEqual(run.blocks["offered"], [120])
        self.assertIn("unknown-peer", set(run.samples["outcome"]))

    async def test_nobody(self) -> None:
        """Where no peer of the lab is there, or none grants anything, the run ends and says whom it missed."""
        await self.kill("peer-n1.n", "peer-n2.n", "peer-m1.m", "peer-m2.m")
        self.assertIn("no peer of the lab can be had", await self.ended(self.lab_run(STEADY % (5, 1)), 3))

    async def talks(self) -> bool:
        """Whether n2.n has a link with its partner."""
        status = await self.lab.peer_status("peer-m2.m")
        return any(link.peer == "n2.n" for link in status.peers[0].links)

    async def pause(self, seconds: float) -> None:
        """Let some exchanges take place."""
        await deferLater(reactor, seconds)


class UngrantedTests(FunctionalCase):
    """A peer whose YAML grants nothing."""

    async def test_refused(self) -> None:
        """It refuses orders and names the line that would allow them."""
        lab: RunningLab = self.own_lab()
        await lab.start(**{"peers-n": ["n1.n", "n2.n"]})
        run = self.p2p(lab, "peers-n", "--as", "n2.n", "message", "n1.n", "x")
        await self.ended(run, 0)
        client = await self.client(lab, "peers-n")
        asking = client.exchange("n1.n", "experiment", text='{"order": "gauge"}', acting="n2.n")
        self.assertIn("experiment: [n2.n]", await self.fails_with(Outcome.REFUSED, asking))

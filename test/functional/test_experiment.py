"""``p2p experiment run`` with real daemons: alone, interrupted and resumed, and in a lab whose peers die."""

from __future__ import annotations

import shutil
import signal
import tempfile
from pathlib import Path

import psutil
from twisted.internet.task import deferLater

from p2p.base.errors import Outcome
from p2p.client import ExchangeArguments
from p2p.measure.raw_reader import RawRun, read_run
from test.functional.cases import FunctionalCase, Run, SharedLabCase
from test.functional.lab import reactor, until

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

    async def test_interrupted(self) -> None:
        """Ctrl-C, and kill -9, end everything and keep the finished blocks; the same command does the others alone."""
        plan = STEADY % (8, 8)
        before = await self.broken_off(plan, signal.SIGINT)
        self.assertEqual(before.facts.finished, "")
        later = await self.broken_off(plan, signal.SIGKILL, len(before.finished))
        await self.ended(self.experiment(plan), 0)
        run = read_run(self.out)
        self.accounted(run)
        self.assertEqual(sorted(run.blocks["block"]), list(range(1, 9)))
        for earlier in (before, later):
            kept = len(earlier.samples["planned_ns"])
            self.assertEqual(run.samples["planned_ns"][:kept], earlier.samples["planned_ns"])
        self.assertEqual(run.facts.started, before.facts.started)
        self.assertTrue(run.facts.finished)

    async def broken_off(self, plan: str, how: signal.Signals, finished: int = 0) -> RawRun:
        """Run until another block is finished, and break it off; no daemon outlives it."""
        running = self.experiment(plan)

        async def another() -> bool:
            return (self.out / "blocks.csv").exists() and len(read_run(self.out).finished) > finished

        await until(another, "a block to be finished", 60)
        daemons = psutil.Process(running.transport.pid).children(recursive=True)
        running.transport.signalProcess(how.name.removeprefix("SIG"))
        told = await self.ended(running, 130 if how is signal.SIGINT else None)
        self.assertEqual("run again to go on" in told, how is signal.SIGINT)
        self.assertGreaterEqual(len(daemons), 5)

        async def gone() -> bool:
            return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in daemons)

        await until(gone, "the daemons to end")
        run = read_run(self.out)
        self.assertLess(len(run.finished), 8)
        return run


class LabTests(ExperimentCase):
    """In a lab that runs already."""

    timeout = 120

    async def test_lab(self) -> None:
        """The pairs of the lab's file talk; then a receiver dies, then an initiator, and at last nobody is left."""
        self.lab = self.own_lab("n", settings="experiment: [coordinator.n]\n")
        hosts = {"peer-coordinator.n": ["coordinator.n"], "peers": ["n1.n", "n3.n"]}
        await self.lab.start(**hosts, **{"peer-n2.n": ["n2.n"], "peer-n4.n": ["n4.n"]})
        self.hosts = self.folder / "hosts.yaml"
        self.hosts.write_text(
            f"coordinator: {self.lab.folder / 'peer-coordinator.n.yaml'}\npairs: [[n1.n, n3.n], [n2.n, n4.n]]\n"
        )
        await self.whole()
        await self.receiver_dies()
        await self.receiver_restarts()
        await self.initiator_dies()
        await self.nobody()

    async def whole(self) -> None:
        """All pairs take part, and the gauges of all their daemons come home."""
        run = await self.lab_run("whole", STEADY % (8, 1), 0)
        self.assertEqual(set(run.samples["direction"]), {"n1.n>n3.n", "n2.n>n4.n"})
        self.assertEqual(set(run.samples["outcome"]), {"ok"})
        self.assertEqual(len(set(run.daemons["daemon"])), 3)
        self.assertEqual(len(run.facts.placement), 5)

    async def receiver_dies(self) -> None:
        """A block whose receiver dies isn't whole, and is done again when it is back; all its messages are known."""
        plan = STEADY % (30, 1)
        run = await self.lab_run("receiver", plan, 1, dies="peer-n4.n")
        self.assertEqual((run.blocks["block"], run.broken["planned"][0]), ([], 60))
        self.assertIn("unknown-peer", set(run.broken["outcome"]))
        self.assertIn("n4.n is gone", self.errors)
        await self.lab.start_peers("peer-n4.n", "n4.n")
        run = await self.lab_run("receiver", plan, 0)
        self.assertEqual((run.blocks["offered"], sum(run.broken["count"])), ([60], 60))
        self.assertEqual((set(run.samples["outcome"]), run.facts.missing), ({"ok"}, ()))

    async def receiver_restarts(self) -> None:
        """A receiver that was started again within a block isn't the one that was measured before."""
        running = self.begin("restarted", STEADY % (100, 1))
        await until(self.talks, "the first block to run", 60)
        await self.kill("peer-n4.n")
        await self.lab.start_peers("peer-n4.n", "n4.n")
        run = await self.done(running, 1)
        self.assertEqual((run.blocks["block"], sum(run.broken["count"])), ([], 200))
        self.assertIn("the daemon of n4.n was started again meanwhile", self.errors)

    async def initiator_dies(self) -> None:
        """What an initiator had told before it died is counted, what it hadn't was never sent as far as anybody knows;
        no block of one pair is among those of two, and the same command does the others."""
        plan = STEADY % (50, 2)
        run = await self.lab_run("initiator", plan, 1, dies="peer-n2.n", after_s=1.2)
        self.assertIn("pair 2 (n2.n to n4.n)", self.errors)
        self.assertEqual((run.blocks["block"], len(run.facts.missing)), ([], 2))
        unsent = [count for sent, count in zip(run.broken["sent"], run.broken["count"], strict=True) if sent == "no"]
        self.assertEqual(sum(run.broken["count"]), 2 * 100)
        self.assertTrue(100 < sum(unsent) < 150, unsent)
        self.assertIn(f", {sum(unsent)} never sent", self.printed)
        self.assertIn("unknown-peer", run.facts.missing[1].why)
        await self.lab.start_peers("peer-n2.n", "n2.n")
        run = await self.lab_run("initiator", plan, 0)
        self.assertEqual((sorted(run.blocks["block"]), set(run.blocks["offered"])), ([1, 2], {100}))

    async def nobody(self) -> None:
        """Where no peer of the lab is there, or none grants anything, the run ends and says whom it missed."""
        for name in ("peers", "peer-n2.n", "peer-n4.n"):
            await self.kill(name)
        self.out = self.folder / "nobody"
        running = self.experiment(STEADY % (5, 1), "--lab", self.hosts)
        self.assertIn("no peer of the lab can be had", await self.ended(running, 3))

    async def lab_run(self, name: str, plan: str, code: int, *, dies: str = "", after_s: float = 0.0) -> RawRun:
        """Run a plan in the lab into a folder of its own; a daemon may die in the first block."""
        running = self.begin(name, plan)
        if dies:
            await until(self.talks, "the first block to run", 60)
            await deferLater(reactor, after_s)
            await self.kill(dies)
        return await self.done(running, code)

    def begin(self, name: str, plan: str) -> Run:
        """Begin to run a plan in the lab."""
        self.out = self.folder / name
        return self.experiment(plan, "--lab", self.hosts)

    async def done(self, running: Run, code: int) -> RawRun:
        """Wait for the end of a run."""
        self.errors = await self.ended(running, code)
        self.printed = running.printed.decode()
        run = read_run(self.out)
        self.accounted(run)
        return run

    async def talks(self) -> bool:
        """Whether n4.n has a link with its partner."""
        status = await self.lab.peer_status("peer-n4.n")
        return any(link.peer == "n2.n" for link in status.peers[0].links)

    async def kill(self, name: str) -> None:
        """End a daemon at once."""
        self.lab.daemons[name].kill()
        await self.lab.daemons[name].when_exited()


class UngrantedTests(SharedLabCase):
    """A peer whose YAML grants nothing."""

    async def test_refused(self) -> None:
        """It refuses orders and names the line that would allow them."""
        asking = self.clients["n"].exchange(
            ExchangeArguments(peer="n1.n", service="experiment", text='{"order": "gauge"}', acting="n2.n")
        )
        self.assertIn("experiment: [n2.n]", await self.fails_with(Outcome.REFUSED, asking))

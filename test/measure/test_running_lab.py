"""Tests of p2p.measure.running_lab: what needs no daemon, and a lab whose routers die and come back."""

from __future__ import annotations

from pathlib import Path

import psutil
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from p2p.base.errors import ConfigError, P2PError
from p2p.measure import running_lab
from p2p.measure.conductor import Pair
from p2p.measure.gauges import LocalGauges
from p2p.measure.lab_hosts import LabHosts
from p2p.measure.running_lab import (
    ROUTERS,
    ExperimentLab,
    LabHere,
    daemons_here,
    lab_elsewhere,
    pairs_here,
    router_status,
)


class Dead:
    """Stands for a daemon that has ended."""

    name, exit, exited = "peers-n", -9, True

    def tail(self) -> str:
        return "last words"


class ExperimentLabTests(SynchronousTestCase):
    """What an experiment asks of a lab."""

    def test_dead_daemon(self) -> None:
        """Where a daemon of this machine has ended, its last words are told."""
        here = LabHere(None, None, Path("lab"), {"router-n": 5555})  # type: ignore[arg-type]  # nothing is started
        here.daemons["peers-n"] = Dead()  # type: ignore[assignment]  # stands in
        lab = ExperimentLab(None, LocalGauges(dict), [], here=here)  # type: ignore[arg-type]  # no conductor is asked
        self.assertIn("last words", str(self.assertRaises(P2PError, lab.check)))

    def test_described(self) -> None:
        """Routers are listed with their port."""
        here = LabHere(None, None, Path("lab"), {"router-n": 5555})  # type: ignore[arg-type]  # nothing is started
        self.assertEqual((here.described("router-n"), here.described("peers-n")), ("router-n, port 5555", "peers-n"))

    def test_inboxes(self) -> None:
        """What was stored is removed from inboxes that belong to the experiment, and folders stay."""
        folder = Path(self.mktemp())
        (folder / "m1.m" / "kept").mkdir(parents=True)
        (folder / "m1.m" / "stored").write_text("x")
        ExperimentLab(None, LocalGauges(dict), []).empty_inboxes()  # type: ignore[arg-type]  # no conductor is asked
        ExperimentLab(None, LocalGauges(dict), [], folder).empty_inboxes()  # type: ignore[arg-type]  # as above
        self.assertEqual([one.name for one in (folder / "m1.m").iterdir()], ["kept"])

    def test_pairs(self) -> None:
        """Odd pairs ask from n to m, even ones from m to n, so that both routers have both to do."""
        self.assertEqual(pairs_here(2), [Pair(1, "n1.n", "m1.m"), Pair(2, "m2.m", "n2.n")])

    def test_too_few_pairs(self) -> None:
        """A plan that needs more pairs than a lab elsewhere has is refused before anybody is asked."""
        hosts = LabHosts.model_construct(coordinator=Path("coordinator.yaml"), pairs=[["n1.n", "m1.m"]])

        async def use() -> None:
            async with lab_elsewhere(None, hosts, 2, 1, lambda step: None):
                self.fail("it was opened")

        failure = self.failureResultOf(Deferred.fromCoroutine(use()), ConfigError)
        self.assertIn("blocks of 2 pairs, and the lab has 1", str(failure.value))


class LimitTests(SynchronousTestCase):
    def test_many_pairs(self) -> None:
        """A daemon with a thousand peers takes as many streams of the one coordinator as they need; one of a hundred
        pairs keeps the defaults."""
        self.assertEqual("", running_lab._limits(100))
        self.assertEqual("limits:\n  peer_streams: 4000\n", running_lab._limits(1000))
        self.assertEqual("limits:\n  peer_streams: 8000\n  all_streams: 16000\n", running_lab._limits(2000))


class DaemonsHereTests(TestCase):
    """Real daemons of a small lab."""

    timeout = 90

    async def test_routers_die(self) -> None:
        """The lab is ready when it is handed over, and again after new routers have taken the place of killed ones.

        Whatever ends it, here an error, nothing of it is left.
        """
        labs: list[LabHere] = []
        steps: list[str] = []

        async def use() -> None:
            async with daemons_here(reactor, 2, steps.append, coordinator="coordinator.n") as lab:
                labs.append(lab)
                self.assertEqual(list(lab.daemons), ["router-n", "router-m", "peers-n", "peers-m", "coordinator"])
                self.assertIn("experiment: [coordinator.n]", (lab.directory / "peers-m.yaml").read_text())
                await self.ready(lab)
                killed = [lab.daemons[name] for name in ROUTERS]
                await lab.kill_routers()
                self.assertEqual([daemon.exit for daemon in killed], [-9, -9])
                await lab.start(ROUTERS)
                self.assertNotIn(lab.daemons["router-n"], killed)
                await self.ready(lab)
                raise OSError("no")

        await self.assertFailure(Deferred.fromCoroutine(use()), OSError)
        self.assertEqual(steps, ["making a lab", "starting daemons"])
        self.nothing_is_left(labs[0])

    async def ready(self, lab: LabHere) -> None:
        """See that both routers hold their peers, of which the coordinator is one, and reach each other."""
        for name, peers in zip(ROUTERS, (3, 2), strict=True):
            async with await lab.connect(name) as router:
                status = await router_status(router)
            self.assertEqual(status.peers, peers)
            self.assertEqual(set(status.neighbours.values()), {True})

    def nothing_is_left(self, lab: LabHere) -> None:
        """See that folder and processes are gone."""
        self.assertFalse(lab.directory.parent.exists())
        self.assertEqual([one.pid for one in lab.daemons.values() if psutil.pid_exists(one.pid)], [])

"""Tests for ``p2p.report.subject``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.raw_data import PLAN, Placement, RunFacts
from p2p.report.subject import subject_of
from test.report.subjects import arm, block, drops, link, measured, subject, write_run


class SubjectTests(SynchronousTestCase):
    """What is known of a run."""

    def test_arms(self) -> None:
        """Arms stand in the order of the plan, and those it doesn't know behind them."""
        found = subject(arms=tuple(arm(name) for name in ("zebra", "own", "transport", "ant")))
        self.assertEqual(found.arms, ("transport", "own", "ant", "zebra"))
        self.assertEqual([one.arm for one in found.results], ["transport", "own", "ant", "zebra"])
        self.assertEqual(subject(arms=(arm("b"), arm("a")), plan="").arms, ("a", "b"))

    def test_plan(self) -> None:
        """The plan tells what was to be, and what of it isn't there."""
        found = subject()
        self.assertEqual((len(found.planned), found.lacking), (84, 83))
        planned = found.planned_arm("transport")
        assert planned is not None
        self.assertEqual(planned.service, "echo")
        self.assertIsNone(found.planned_arm("ant"))
        without = subject(plan="")
        self.assertEqual((without.planned, without.lacking, without.planned_arm("own")), ((), 0, None))

    def test_machines(self) -> None:
        """One machine is one only if the run says so."""
        elsewhere = RunFacts(placement=(Placement(what="a", where="x"), Placement(what="b", where="y")))
        self.assertTrue(subject().is_one_machine)
        self.assertFalse(subject(facts=elsewhere).is_one_machine)
        self.assertFalse(subject(facts=RunFacts()).is_one_machine)
        self.assertEqual(subject().processors, 2)
        for machine in ({}, {"processors": "many"}, {"processors": 2.5}):
            self.assertEqual(subject(facts=RunFacts(machine=machine)).processors, 0)

    def test_figures(self) -> None:
        """A typical figure is the median over blocks that have it."""
        blocks = (
            block(figures={"latency_s": 1.0}, pairs=3),
            block(figures={"latency_s": 2.0}),
            block("own", figures={"latency_s": None}, pairs=20),
        )
        found = subject(blocks=blocks, drops=(drops("own"), drops()))
        self.assertEqual((found.typical("latency_s"), found.typical("latency_s", "own")), (1.5, None))
        self.assertEqual((found.most_pairs, found.total.arm), (20, ""))

    def test_links(self) -> None:
        """Figures of links are by the number of pairs."""
        found = subject(links=(link("setup_ns", 10, 1.0), link("tls_ns", 5, 1.0), link("setup_ns", 1, 1.0)))
        self.assertEqual([one.pairs for one in found.links("setup_ns")], [1, 10])


class ReadTests(SynchronousTestCase):
    """A subject of a run in a folder."""

    def test_messages(self) -> None:
        """The average sizes are those of exchanges that were ok, of the run and of each arm."""
        run, analysis = measured()
        lost = replace(run, samples=run.samples | {"outcome": ["timeout"] * len(run.samples["outcome"])})
        self.assertEqual(subject_of(lost, analysis).messages, {})
        found = subject_of(run, analysis).messages
        self.assertEqual(set(found), {"", "transport"})
        self.assertEqual((found[""].sent, found[""].replied), (1024.0, 1024.0))

    def test_plan(self) -> None:
        """The plan is read again; one that can't be used is told without the paths of this machine."""
        run, analysis = measured()
        folder = write_run(Path(self.mktemp()))
        here = replace(run, folder=folder)
        found = subject_of(here, analysis)
        assert found.plan is not None
        self.assertEqual((found.plan.title, found.plan_problem), ("Does it matter?", ""))
        (folder / PLAN).write_text("title: 5\n")
        found = subject_of(here, analysis)
        self.assertIsNone(found.plan)
        self.assertIn("plan.yaml:1: title", found.plan_problem)
        self.assertNotIn(str(folder), found.plan_problem)

"""Tests for ``p2p.report.figures.lab_layout``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.raw_data import Placement, RunFacts
from p2p.measure.raw_reader import RawRun
from p2p.report.figures.lab_layout import LabLayout, lab_of
from test.report.figures.cases import LAB, columns, empty, run

OWN = tuple(
    Placement(what=what, where="lab1") for what in ("router-n", "router-m", "peers-n", "peers-m", "coordinator")
)


def ran(*ways: str, placement: tuple[Placement, ...] = ()) -> RawRun:
    """Make a run in which these pairs talked."""
    made = run(conditions=("text",), sizes=(1024,), repetitions=1, facts=RunFacts(placement=placement))
    numbers = list(range(1, len(ways) + 1))
    return columns(made, samples={"pair": numbers, "direction": list(ways)})


def lab(*ways: str, placement: tuple[Placement, ...] = ()) -> LabLayout:
    """Find out what ran where."""
    found = lab_of(ran(*ways, placement=placement))
    assert found is not None
    return found


class LabTests(SynchronousTestCase):
    """What ran where."""

    def test_own_lab(self) -> None:
        """A lab of the experiment's own: one machine, daemons that host the peers of a cluster, a coordinator."""
        found = lab("n1.n>m1.m", "m2.m>n2.n", placement=OWN)
        self.assertEqual(found.clusters, ("n", "m"))
        self.assertEqual(found.pairs, (("n1.n", "m1.m"), ("n2.n", "m2.m")))
        self.assertEqual(found.asked_left, (True, False))
        self.assertEqual(found.machine, "lab1")
        self.assertEqual(found.daemons, {"n": "peers-n", "m": "peers-m"})
        self.assertEqual(found.coordinator, "coordinator")
        self.assertTrue(found.is_own)

    def test_lab_of_several_machines(self) -> None:
        """A lab that ran already: each peer is on its machine."""
        found = lab("n1.n>m1.m", placement=LAB)
        self.assertEqual(found.machines["m1.m"], "pc02.lab.example")
        self.assertEqual((found.coordinator, found.coordinator_machine), ("coordinator.n", "pc00.lab"))
        self.assertEqual((found.machine, found.is_own), ("", False))

    def test_other_clusters(self) -> None:
        """Of several clusters those two are shown between which most pairs talked, and the others are counted."""
        found = lab("a1.a>b1.b", "n1.n>m1.m", "m2.m>n2.n")
        self.assertEqual((found.clusters, len(found.pairs), found.more), (("n", "m"), 2, 1))

    def test_one_cluster(self) -> None:
        """Pairs within one cluster have one router."""
        found = lab("n1.n>n2.n")
        self.assertEqual((found.clusters, found.pairs), (("n",), (("n1.n", "n2.n"),)))

    def test_unknown(self) -> None:
        """Without facts the pairs are known still; without pairs, or with rubbish for them, nothing is."""
        self.assertEqual(lab("n1.n>m1.m").coordinator, "")
        self.assertEqual(lab("n1.n>m1.m", placement=(Placement(what="?", where="x"),)).daemons, {})
        self.assertIsNone(lab_of(empty()))
        self.assertIsNone(lab_of(ran("rubbish")))

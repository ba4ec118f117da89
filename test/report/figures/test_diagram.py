"""Tests for ``p2p.report.figures.diagram``."""

from __future__ import annotations

from matplotlib.figure import Figure
from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.raw_data import Placement
from p2p.measure.raw_reader import RawRun
from p2p.report.figures.diagram import setup_diagram
from p2p.report.figures.output import Picture
from test.report.figures.cases import LAB, drawn, empty, said, small
from test.report.figures.test_lab_layout import OWN, ran


def made(run: RawRun) -> tuple[Picture, Figure]:
    """Draw what ran where."""
    return drawn(setup_diagram, run, small()[1])


class DiagramTests(SynchronousTestCase):
    """What ran where."""

    def test_own_lab(self) -> None:
        """Clusters, routers, the first pairs and the last one, the links between them and the machine are named."""
        ways = [f"n{number}.n>m{number}.m" for number in range(1, 101)]
        picture, figure = made(ran(*ways, placement=OWN))
        expected = {
            "machine lab1",
            "cluster n",
            "cluster m",
            "router.n",
            "router.m",
            "n1.n",
            "m3.m",
            "n100.n",
            "m100.m",
            "coordinator",
            "AMP over TLS",
            "direct links",
            "control channels",
            "peers in daemon peers-n",
        }
        texts = set(said(figure))
        self.assertEqual(expected - texts, set())
        self.assertNotIn("n50.n", texts)
        self.assertIn("100 pairs of peers", picture.caption)
        self.assertIn("5555 and 5556", picture.caption)
        self.assertIn("all on machine lab1; the routers are joined by AMP over TLS", picture.alt)

    def test_machines(self) -> None:
        """In a lab of several machines each peer has its own written to it, without the domain."""
        picture, figure = made(ran("n1.n>m1.m", placement=(*LAB, Placement(what="x1.x, daemon x1", where="10.0.0.7"))))
        self.assertTrue({"n1.n on pc01", "m1.m on pc02", "coordinator.n on pc00"} <= set(said(figure)))
        self.assertIn("on 4 machines", picture.alt)
        _, figure = made(ran("x1.x>n1.n", placement=(*LAB, Placement(what="x1.x, daemon x1", where="10.0.0.7"))))
        self.assertIn("x1.x on 10.0.0.7", said(figure))

    def test_one_cluster(self) -> None:
        """Within one cluster there is one router, and nothing between routers."""
        picture, figure = made(ran("n1.n>n2.n"))
        self.assertNotIn("AMP over TLS", said(figure))
        self.assertEqual([text for text in said(figure) if text.startswith("router")], ["router.n"])
        self.assertTrue(picture.alt.startswith("Cluster n with its router."), picture.alt)

    def test_more_clusters(self) -> None:
        """Pairs of clusters that aren't drawn are told."""
        picture, _ = made(ran("a1.a>b1.b", "n1.n>m1.m", "m2.m>n2.n"))
        self.assertIn("1 more pair of other clusters talked at the same time.", picture.caption)

    def test_nothing(self) -> None:
        """Without pairs there is no figure."""
        self.assertIsNone(setup_diagram(empty(), small()[1]))

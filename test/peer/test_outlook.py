"""What the record of an attempt shows of the networks between two machines."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import DialFailure
from p2p.link.hello import Steps
from p2p.peer.moments import Moments
from p2p.peer.outlook import LINK, UNKNOWN, candidates, position


class CandidatesTests(SynchronousTestCase):
    """n1.n asked for m4.m."""

    def setUp(self) -> None:
        self.moments = Moments(0, port=7000, dials=["192.0.2.1", "10.1.1.1"], target_port=8000)
        self.moments.reachable = ["198.51.100.4", "2001:db8::4"]

    def what(self, link: Steps | None, local: str = "") -> list[tuple[str, str, int, str]]:
        """Who dials what, and what became of it."""
        found = candidates("n1.n", "m4.m", self.moments, link, local)
        return [(one.by, one.address, one.port, one.what) for one in found]

    def test_in_vain(self) -> None:
        """Each address is there once with how its dial ended, as far as that is known."""
        self.moments.failures = [("192.0.2.1", "refused")]
        self.moments.own_failures = [("198.51.100.4", DialFailure.SILENT)]
        self.assertEqual(
            [
                ("m4.m", "192.0.2.1", 7000, "refused"),
                ("m4.m", "10.1.1.1", 7000, UNKNOWN),
                ("n1.n", "198.51.100.4", 8000, "no-answer"),
                ("n1.n", "2001:db8::4", 8000, UNKNOWN),
            ],
            self.what(None),
        )

    def test_target_dialled(self) -> None:
        """The dial of the target that made the link is the one to this end's address, or, behind a NAT, the first."""
        came = Steps("198.51.100.4:50000")
        self.assertEqual([UNKNOWN, LINK, UNKNOWN, UNKNOWN], [one[3] for one in self.what(came, "10.1.1.1:7000")])
        self.assertEqual([LINK, UNKNOWN, UNKNOWN, UNKNOWN], [one[3] for one in self.what(came, "192.168.1.7:7000")])
        self.moments.dials, self.moments.reachable = [], []
        self.assertEqual([], self.what(came, "10.1.1.1:7000"))

    def test_own_dial(self) -> None:
        """A dial of one's own that made the link is known by address and port; a NAT's port is one more."""
        link = Steps("[2001:db8::4]:8000", dialled=True)
        self.assertEqual([UNKNOWN, UNKNOWN, UNKNOWN, LINK], [one[3] for one in self.what(link)])
        self.moments.target_mapped, self.moments.mapped_at = 8009, "198.51.100.4"
        mapped = self.what(Steps("198.51.100.4:8009", dialled=True))
        self.assertEqual([UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, LINK], [one[3] for one in mapped])
        self.assertEqual(("n1.n", "198.51.100.4", 8009, LINK), mapped[-1])


class PositionTests(SynchronousTestCase):
    def position(self, moments: Moments, link: Steps | None = None, *, behind_nat: bool = False) -> str:
        """Where n1.n stands."""
        return position("n1.n", "router.n", "203.0.113.5", moments, link, behind_nat=behind_nat)

    def test_open(self) -> None:
        """Where the other end's dial came in, this machine lets it in."""
        self.assertEqual("what others begin came in", self.position(Moments(0), Steps("198.51.100.4:50000")))
        self.assertEqual("", self.position(Moments(0), Steps("198.51.100.4:8000", dialled=True)))

    def test_firewall(self) -> None:
        """How the other end's dials failed shows what stops them: silence is a firewall that drops, a refusal one that
        refuses; of other failures nothing follows."""
        for kind, said in (("no-answer", "drops what others begin"), ("refused", "refuses what"), ("other", "")):
            self.assertIn(said, self.position(Moments(0, failures=[("192.0.2.1", kind)])))
        self.assertEqual("", self.position(Moments(0, failures=[("192.0.2.1", "other")])))

    def test_nat(self) -> None:
        """Behind a NAT its kind is said as soon as a router has seen a fresh port."""
        start = "router.n sees n1.n at 203.0.113.5, which isn't an address of this machine: a NAT is between"
        self.assertEqual(start, self.position(Moments(0), behind_nat=True))
        silent = [("203.0.113.5", "no-answer")]
        kept = self.position(Moments(0, port=7000, mapped=7000, failures=silent), behind_nat=True)
        self.assertTrue(kept.startswith(f"{start} that keeps the numbers of ports (7000 is seen as 7000); "), kept)
        changed = self.position(Moments(0, port=7000, mapped=61001), behind_nat=True)
        self.assertEqual(f"{start} that gives ports other numbers (7000 is seen as 61001)", changed)

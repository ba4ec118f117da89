"""The legs of the way to a link."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.console.operations import LegName, legs_between


class LegsTests(SynchronousTestCase):
    """Which legs there are between two peers."""

    def test_near(self) -> None:
        """Within one cluster the only table is that of one's own router."""
        legs = legs_between(near=True)
        self.assertEqual("daemon router listen table instruct dial tls ticket exchange", " ".join(legs))

    def test_far(self) -> None:
        """To another cluster it goes over its router and the table there."""
        legs = legs_between(near=False)
        self.assertEqual(
            "daemon router listen neighbour neighbour-table instruct dial tls ticket exchange", " ".join(legs)
        )

    def test_standing(self) -> None:
        """A link that stands is pinged before it is used."""
        for near in (True, False):
            legs = legs_between(near=near, standing=True)
            self.assertEqual([LegName.PING, LegName.EXCHANGE], legs[-2:])
            self.assertEqual(legs_between(near=near), [leg for leg in legs if leg is not LegName.PING])

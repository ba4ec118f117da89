"""What the console takes, and the legs of the way to a link."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import InvalidRequest
from p2p.console.operations import ExchangeArguments, LegName, PeerArguments, legs_between


class ArgumentsTests(SynchronousTestCase):
    """How arguments are read and written."""

    def test_strict(self) -> None:
        """What is unknown, missing or of another type is told, all of it at once."""
        error = self.assertRaises(InvalidRequest, ExchangeArguments.read, {"peer": 5, "speed": "high"})
        for part in ("peer: Input should be a valid string", "speed: Extra inputs", "service: Field required"):
            self.assertIn(part, str(error))
        error = self.assertRaises(InvalidRequest, ExchangeArguments.read, {"peer": "m4.m", "service": "echo"})
        self.assertIn('the request: Value error, give either "text" or "path"', str(error))

    def test_request(self) -> None:
        """A request says what differs from the defaults; the daemon reads it as it was meant."""
        self.assertEqual({"peer": "m4.m"}, PeerArguments(peer="m4.m").request())
        arguments = ExchangeArguments(peer="m4.m", service="echo", text="", show="text", acting="n1.n")
        fields = {"peer": "m4.m", "service": "echo", "text": "", "show": "text", "as": "n1.n"}
        self.assertEqual(fields, arguments.request())
        self.assertEqual(arguments, ExchangeArguments.read(fields))


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

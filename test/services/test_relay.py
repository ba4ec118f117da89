"""The service ``relay`` as a plugin; how it joins and parts peers is tested with the links that it relays."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange.exchange import Request
from p2p.exchange.service import IContentService, Services
from p2p.services.relay import MeetingPoint, RelayTerms, relay
from test.exchange.doubles import Written, make_reply


class RelayTests(SynchronousTestCase):
    def test_plugin(self) -> None:
        """It is installed under its name."""
        verifyObject(IContentService, relay)
        self.assertIn("relay", Services.installed().names)

    def test_refusals_count(self) -> None:
        """Who may not, or names nobody, is refused with the reason, and counted."""
        point = MeetingPoint(Clock(), "relay.n", RelayTerms(("*.m",)))
        for sender, other in (("n1.n", b"m1.m"), ("m1.m", b"no name"), ("m1.m", b"m1.m")):
            request = Request("relay", sender=sender, more={"meeting": bytes(32), "other": other})
            with self.assertRaises(ExchangeFailed) as raised:
                point.come(request, make_reply(Written()))
            self.assertEqual(Outcome.REFUSED, raised.exception.outcome)
        self.assertEqual((3, 0, []), (point.refused, point.waiting, point.joined))

"""Which services a peer offers, and what it says of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from p2p.content.exchange import MessageWriter, Request
from p2p.content.services import Context, IContentService, Services
from p2p.errors import ConfigError, ExchangeFailed, Outcome
from test.content.doubles import Gatherer, Written
from test.peer.pair import at_once

CONTEXT = Context("m4.m", Path("/nowhere"), at_once, lambda: "token", lambda: 0.0)


@implementer(IContentService)
class Service:
    """Takes everything."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sink = Gatherer()

    def receive(self, request: Request, reply: MessageWriter, context: Context) -> Any:
        return self.sink


def receive(services: Services, request: Request) -> Any:
    """Hand a request to whoever takes it."""
    return services.receive(request, MessageWriter(Written(), {}), CONTEXT)  # type: ignore[arg-type]  # stands in


class ServicesTests(SynchronousTestCase):
    def test_by_name(self) -> None:
        """A request gets to the service that it names."""
        one, other = Service("one"), Service("other")
        services = Services([other, one])
        self.assertEqual(["one", "other"], services.names)
        self.assertIs(other.sink, receive(services, Request("other")))

    def test_unknown(self) -> None:
        """A request for a service that isn't there is refused, and told which ones are."""
        services = Services([Service("one"), Service("other")])
        with self.assertRaises(ExchangeFailed) as raised:
            receive(services, Request("\x1b" * 1000))
        self.assertEqual(Outcome.REFUSED, raised.exception.outcome)
        self.assertIn("only one, other", str(raised.exception))
        self.assertTrue(str(raised.exception).isprintable())
        self.assertLess(len(str(raised.exception)), 300)

    def test_same_name_twice(self) -> None:
        """Two services of one name are a fault of the installation, told at the start."""
        with self.assertRaises(ConfigError) as raised:
            Services([Service("one"), Service("one")])
        self.assertIn("two plugins offer the content service 'one'", str(raised.exception))

    def test_installed(self) -> None:
        """The built-in services are found as Twisted plugins."""
        services = Services.installed()
        self.assertLessEqual({"echo", "store", "uppercase"}, set(services.names))
        for name in ("echo", "store", "uppercase"):
            service = services._by_name[name]
            self.assertTrue(verifyObject(IContentService, service))
            self.assertTrue(IPlugin.providedBy(service))

"""Which services a peer offers, and what it says of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from p2p.base.errors import ConfigError, ExchangeFailed, Outcome
from p2p.exchange.exchange import ReplyWriter, Request
from p2p.exchange.rules import Offer
from p2p.exchange.service import Context, IContentService, Services
from test.exchange.doubles import Gatherer, OpenHost, Written, make_context, make_reply

CONTEXT = make_context(Path("/nowhere"))


@implementer(IContentService)
class Service:
    """Takes everything."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sink = Gatherer()

    def receive(self, request: Request, reply: ReplyWriter, context: Context) -> Any:
        return self.sink


def receive(services: Services, request: Request) -> Any:
    """Hand a request to whoever takes it."""
    return services.receive(request, make_reply(Written()), CONTEXT)


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

    def test_allowed(self) -> None:
        """The host is asked before the service is, and says why not; a transfer asks it itself."""
        host = OpenHost(Path("/nowhere"))
        services = Services([Service("one"), Service("transfer")])
        context = make_context(Path("/nowhere"), host=host)
        services.receive(Request("one", "text", "a", 5, sender="n1.n"), make_reply(Written()), context)
        self.assertEqual([Offer("n1.n", "one", "text", "a", 5)], host.offers)
        host.refusal = ExchangeFailed(Outcome.REFUSED, "not from you")
        with self.assertRaisesRegex(ExchangeFailed, "not from you"):
            services.receive(Request("one"), make_reply(Written()), context)
        services.receive(Request("transfer"), make_reply(Written()), context)

    def test_same_name_twice(self) -> None:
        """Two services of one name are a fault of the installation, told at the start."""
        with self.assertRaises(ConfigError) as raised:
            Services([Service("one"), Service("one")])
        self.assertIn("two plugins offer the content service 'one'", str(raised.exception))

    def test_installed(self) -> None:
        """The built-in services are found as Twisted plugins."""
        services = Services.installed()
        built_in = {"echo", "fetch", "list", "store", "transfer", "uppercase"}
        self.assertLessEqual(built_in, set(services.names))
        for name in built_in:
            service = services._by_name[name]
            self.assertTrue(verifyObject(IContentService, service))
            self.assertTrue(IPlugin.providedBy(service))

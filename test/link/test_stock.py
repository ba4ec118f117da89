"""Links in the way of Twisted's own transports, where private parts are missing: they behave as in the fast one."""

from __future__ import annotations

from twisted.protocols.tls import BufferingTLSTransport

from p2p.wire import private
from test.link import test_protocol, test_protocol_ends, test_protocol_streams
from test.link.links import LinkCase


class StockCase(LinkCase):
    """Makes links while a part is missing."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(private, "missing", lambda: ("x._y",))


class StockTests(StockCase):
    """The way itself."""

    def test_way(self) -> None:
        """Both ends of a link have Twisted's TLS transport."""
        for link in self.ends().stand():
            self.assertIs(BufferingTLSTransport, type(link.transport))


class StockTLSTests(StockCase, test_protocol.TLSTests):
    """Certificates and names."""


class StockStreamTests(StockCase, test_protocol_streams.StreamTests):
    """Streams, and what pauses them."""


class StockPingTests(StockCase, test_protocol_streams.PingTests):
    """Pings."""


class StockCloseTests(StockCase, test_protocol_ends.CloseTests):
    """Polite and impolite ends."""


class StockTimeTests(StockCase, test_protocol_ends.TimeTests):
    """Silence and idleness."""

"""Both ends of a direct link on an in-memory network, and ends by hand that break its rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import PeerLimits
from p2p.base.errors import ExchangeFailed
from p2p.base.ticket import Ticket, TicketBook
from p2p.identity.tls import LINK_ALPN
from p2p.link.boxes import Box, BoxParser, encode_box
from p2p.link.flow import Stream
from p2p.link.hello import VERSION, LinkTerms
from p2p.link.protocol import DirectLink
from test.identities import credentials
from test.link.frames import Frame, FrameReader
from test.network import Network

__all__ = ["DIALLER", "LIMITS", "LISTENER", "PORT", "STRANGER", "Collector", "Ends", "Hand", "LinkCase", "Owner"]

LIMITS = PeerLimits()

LISTENER, DIALLER, STRANGER = "192.0.2.1", "192.0.2.2", "198.51.100.9"
PORT = 7000
NONCE = bytes(range(32))


class Owner:
    """Whoever holds a link: writes down what it is told."""

    def __init__(self) -> None:
        self.links: list[DirectLink] = []
        self.streams: list[Stream] = []
        self.closed: list[str] = []
        self.left: list[DirectLink] = []
        self.serve: Callable[[Stream], object] = lambda stream: None

    def link_established(self, link: DirectLink) -> None:
        self.links.append(link)

    def link_stream(self, link: DirectLink, stream: Stream) -> None:
        self.streams.append(stream)
        self.serve(stream)

    def link_closed(self, link: DirectLink, reason: str) -> None:
        self.closed.append(reason)
        self.left.append(link)

    @property
    def link(self) -> DirectLink:
        """The link, once it stands."""
        (link,) = self.links
        return link


class Collector:
    """Takes what arrives on a stream.

    :ivar data: the bytes.
    :ivar ends: ``ended``, ``settled`` and what broke it, in their order.
    """

    def __init__(self, stream: Stream) -> None:
        self.data = bytearray()
        self.ends: list[Any] = []
        self.stream = stream
        stream.receive_with(self)

    def data_received(self, data: memoryview) -> None:
        self.data += data

    def ended(self) -> None:
        self.ends.append("ended")

    def settled(self) -> None:
        self.ends.append("settled")

    def lost(self, failure: ExchangeFailed) -> None:
        self.ends.append(failure)


class Hand(Protocol):
    """An end of a connection that says whatever the test wants.

    :ivar received: what came.
    :ivar lost: why the connection ended, None while it stands.
    """

    transport: Any

    def __init__(self) -> None:
        self.received = bytearray()
        self.lost: Failure | None = None
        self._frames = FrameReader()
        self._skipped = 0

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason

    def say(self, *what: bytes) -> None:
        """Send bytes as they are."""
        self.transport.write(b"".join(what))

    def hello(self) -> Box:
        """The box that came first."""
        box, rest = BoxParser(4096).feed(memoryview(self.received))
        assert box is not None
        self._skipped = max(self._skipped, len(self.received) - len(rest))
        return box

    def frames(self) -> list[Frame]:
        """The frames that came since the last look, after the hello."""
        self.hello()
        frames = self._frames.feed(bytes(self.received[self._skipped :]))
        self._skipped = len(self.received)
        return frames


class Ends:
    """The listener n1.n on one machine, the dialler m4.m on another, and what each of them may really be.

    :param plain: whether the connections run without TLS.
    """

    def __init__(self, limits: PeerLimits | None = None, *, plain: bool = False) -> None:
        self.network = Network()
        self.limits = limits or PeerLimits()
        self.plain = plain
        self.book = TicketBook()
        self.ticket = self.book.issue(NONCE, "n1.n", "m4.m", 30.0)
        self.listening, self.dialling = Owner(), Owner()

    def listener(self, ticket: Ticket | None = None) -> DirectLink:
        """The listener's protocol for one connection."""
        held = ticket or self.ticket

        def redeem(dialler: str | None, proof: bytes) -> None:
            self.book.redeem(held, dialler, proof, self.network.seconds())

        terms = LinkTerms(held, dialler=False, plain=self.plain, redeem=redeem)
        return DirectLink(terms, self.listening, self.network, self.limits)

    def dialler(self, ticket: Ticket | None = None) -> DirectLink:
        """The dialler's protocol for one connection."""
        terms = LinkTerms(ticket or self.ticket, dialler=True, plain=self.plain)
        return DirectLink(terms, self.dialling, self.network, self.limits)

    def listen(self, make: Callable[[], Protocol] | None = None, *, who: str = "n1.n", **tls: Any) -> None:
        """Listen as ``who``; every connection gets a protocol."""
        factory = Factory.forProtocol(make or self.listener)
        self.network.on(LISTENER).listenTCP(PORT, self.wrapped(factory, who, client=False, **tls))

    def dial(self, protocol: Protocol | None = None, *, who: str = "m4.m", **tls: Any) -> None:
        """Connect as ``who``."""
        factory = ClientFactory.forProtocol(lambda: protocol or self.dialler())
        self.network.on(DIALLER).connectTCP(LISTENER, PORT, self.wrapped(factory, who, client=True, **tls))
        self.network.settle()

    def wrapped(self, factory: Any, who: str, *, client: bool, alpn: bytes = LINK_ALPN, lab: str = "lab") -> Any:
        factory.noisy = False
        if self.plain:
            return factory
        return credentials(who, lab).wrap(factory, client=client, alpn=alpn, clock=self.network, buffering=False)

    def stand(self) -> tuple[DirectLink, DirectLink]:
        """Make a link; return its dialler's end and its listener's."""
        self.listen()
        self.dial()
        return self.dialling.link, self.listening.link

    def hand(self) -> Hand:
        """A dialler by hand with a valid hello, on a link that stands."""
        hand = Hand()
        self.listen()
        self.dial(hand)
        hand.say(self.proof())
        self.network.settle()
        return hand

    def proof(self, ticket: bytes | None = None, version: str = VERSION) -> bytes:
        """A dialler's hello."""
        shown = self.ticket.dialler_proof() if ticket is None else ticket
        return encode_box({"version": version, "streams": "256", "ticket": shown})

    def open(self) -> Stream:
        """Open a stream from the dialler; its other end is there when its first bytes are."""
        return self.dialling.link.open_stream()

    def stream(self) -> tuple[Stream, Stream]:
        """Open a stream from the dialler; return both of its ends. Its first bytes are ``!``."""
        near = self.open()
        near.write(b"!")
        self.network.settle()
        return near, self.listening.streams[-1]


class LinkCase(SynchronousTestCase):
    """Makes links and looks after what they leave behind."""

    plain = False

    def ends(self, **limits: Any) -> Ends:
        """Make both ends of a link, with some limits changed."""
        self.both = Ends(LIMITS.model_copy(update=limits), plain=self.plain)
        return self.both

    def assert_no_link(self, ends: Ends, *, listener: str = "", dialler: str = "") -> None:
        """No end took the connection for a link, and nothing of it is left; each said why, in these words."""
        self.assertEqual(([], []), (ends.listening.links, ends.dialling.links))
        for expected, owner in ((listener, ends.listening), (dialler, ends.dialling)):
            if expected:
                self.assertEqual(1, len(owner.closed))
                self.assertIn(expected, owner.closed[0])
        self.assert_clean(ends)

    def assert_clean(self, ends: Ends) -> None:
        """No connection stands and no timer runs."""
        self.assertEqual((set(), []), (ends.network.wires, ends.network.getDelayedCalls()))

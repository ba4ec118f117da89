"""A direct link comes to be: nobody gets one without certificate and ticket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from OpenSSL import SSL
from twisted.internet.interfaces import IHandshakeListener, IOpenSSLClientConnectionCreator, IPushProducer
from twisted.internet.protocol import ClientFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer
from zope.interface.verify import verifyObject

from p2p.identity.tls import CONTROL_ALPN
from p2p.link.boxes import encode_box
from p2p.link.hello import VERSION
from test.identities import credentials
from test.link.frames import ACK, PING, SYN, raw
from test.link.links import DIALLER, LIMITS, LISTENER, PORT, Hand, LinkCase


class HelloTests(LinkCase):
    """How a connection becomes a link."""

    def test_stands(self) -> None:
        """With certificates, application protocol and ticket in order the link stands at both ends, once."""
        ends = self.ends()
        dialler, listener = ends.stand()
        self.assertEqual(("m4.m", "n1.n", "n1.n"), (dialler.local, dialler.remote, dialler.initiator))
        self.assertEqual(("n1.n", "m4.m", "n1.n"), (listener.local, listener.remote, listener.initiator))
        self.assertEqual(dialler.addresses, listener.addresses[::-1])
        self.assertEqual(f"{LISTENER}:{PORT}", dialler.addresses[1])
        self.assertTrue(dialler.reusable and listener.reusable)
        self.assertEqual(0, len(ends.book))
        self.assertTrue(verifyObject(IHandshakeListener, dialler))
        self.assertTrue(verifyObject(IPushProducer, dialler))

    def test_silent_connection(self) -> None:
        """A connection that says nothing is cut off after the handshake's deadline, whoever of the two is silent."""
        for silent in ("dialler", "listener"):
            ends = self.ends()
            ends.plain = True
            hand = Hand()
            ends.listen(None if silent == "dialler" else _gives(hand))
            ends.dial(hand if silent == "dialler" else None)
            owner = ends.listening if silent == "dialler" else ends.dialling
            ends.network.advance(LIMITS.handshake_s - 0.1)
            self.assertEqual([], owner.closed)
            ends.network.advance(0.2)
            self.assertEqual(["no hello within 10 s"], owner.closed)
            self.assertIsNotNone(hand.lost)
            self.assert_clean(ends)

    def test_slow_hello(self) -> None:
        """A hello that comes a byte at a time doesn't move the deadline."""
        ends = self.ends(handshake_s=5.0)
        ends.plain = True
        hand = Hand()
        ends.listen()
        ends.dial(hand)
        for byte in ends.proof()[:10]:
            hand.say(bytes([byte]))
            ends.network.advance(0.6)
        self.assertEqual(["no hello within 5 s"], ends.listening.closed)
        self.assert_clean(ends)

    def test_long_hello(self) -> None:
        """A hello of more than 1 KiB is refused before it is whole."""
        ends = self.ends()
        hand = Hand()
        ends.listen()
        ends.dial(hand)
        hand.say(b"\0\4long", (60_000).to_bytes(2), bytes(2000))
        ends.network.settle()
        self.assert_no_link(ends, listener="a box of more than 1024 bytes")

    def test_garbage(self) -> None:
        """Bytes that are no hello cut the connection off."""
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\xff" * 50, raw(PING, SYN, 0)):
            ends = self.ends()
            hand = Hand()
            ends.listen()
            ends.dial(hand)
            hand.say(garbage)
            ends.network.settle()
            self.assertEqual(([], 1), (ends.listening.links, len(ends.listening.closed)), garbage)
            self.assert_clean(ends)

    def test_garbage_after_hello(self) -> None:
        """What follows a hello in the same bytes is read as frames: garbage ends the link, a frame is answered."""
        for tail, stands in ((b"garbage" * 10, False), (raw(PING, SYN, 0, 7), True)):
            ends = self.ends()
            hand = Hand()
            ends.listen()
            ends.dial(hand)
            hand.say(ends.proof(), tail)
            ends.network.settle()
            self.assertEqual(1, len(ends.listening.links))
            self.assertEqual(stands, not ends.listening.closed)
            if stands:
                self.assertEqual([(PING, ACK, 0, 7, b"")], hand.frames())
            else:
                self.assertIn("no Yamux frame", ends.listening.closed[0])
                self.assert_clean(ends)

    def test_other_version(self) -> None:
        """Who speaks another version of the link protocol is refused, and both versions are named."""
        ends = self.ends()
        hand = Hand()
        ends.listen()
        ends.dial(hand)
        hand.say(ends.proof(version="2"))
        ends.network.settle()
        self.assert_no_link(ends, listener="m4.m speaks version '2' of the link protocol, and this is version 1")
        ends = self.ends()
        hand = Hand()
        ends.listen(lambda: hand)
        ends.dial()
        hand.say(encode_box({"proof": ends.ticket.listener_proof()}))
        ends.network.settle()
        self.assert_no_link(ends, dialler="n1.n speaks version '' of the link protocol, and this is version 1")

    def test_forged_ticket(self) -> None:
        """A dialler without the right proof gets no link, and the ticket stays good for the one who has it."""
        ends = self.ends()
        ends.listen()
        for proof in (
            b"",
            bytes(32),
            ends.ticket.listener_proof(),
            replace(ends.ticket, nonce=bytes(32)).dialler_proof(),
        ):
            hand = Hand()
            ends.dial(hand)
            hand.say(ends.proof(proof))
            ends.network.settle()
            self.assertIn("shows no valid ticket", ends.listening.closed.pop())
            self.assertIsNotNone(hand.lost)
        ends.dial()
        self.assertEqual(1, len(ends.dialling.links))

    def test_replayed_ticket(self) -> None:
        """A proof is good for one connection; whoever shows it again is refused."""
        ends = self.ends()
        hand = ends.hand()
        again = Hand()
        ends.dial(again)
        again.say(ends.proof())
        ends.network.settle()
        self.assertIn("was used before", ends.listening.closed[0])
        self.assertIsNone(hand.lost)
        self.assertEqual(1, len(ends.listening.links))

    def test_expired_ticket(self) -> None:
        """A ticket that is shown too late is worthless."""
        ends = self.ends()
        ends.listen()
        ends.network.advance(30)
        ends.dial()
        self.assert_no_link(ends, listener="has expired")

    def test_listener_without_ticket(self) -> None:
        """A listener that doesn't know the ticket gets no link: it can't answer with the counterproof."""
        ends = self.ends()
        hand = Hand()
        ends.listen(lambda: hand)
        ends.dial()
        hand.say(encode_box({"version": VERSION, "streams": "9", "proof": ends.ticket.dialler_proof()}))
        ends.network.settle()
        self.assert_no_link(ends, dialler="the listener doesn't know the ticket")

    def test_ticket_after_a_bad_hello(self) -> None:
        """A hello that the listener dislikes is answered with nothing, and leaves the ticket good for the right one."""
        ends = self.ends()
        ends.listen()
        good = ends.proof()
        for bad in (ends.proof(version="2"), good[:-2] + good, ends.proof(bytes(32)), good.replace(b"256", b"000")):
            hand = Hand()
            ends.dial(hand)
            hand.say(bad)
            ends.network.settle()
            self.assertEqual(([], bytearray()), (ends.listening.links, hand.received))
            self.assertIsNotNone(hand.lost)
        ends.dial()
        self.assertEqual((1, 1), (len(ends.listening.links), len(ends.dialling.links)))

    def test_disliked_by_the_dialler(self) -> None:
        """To the listener the link has stood when the dialler cuts it off for its hello: the ticket is used up."""
        ends = self.ends()
        hand = ends.hand()
        self.assertEqual(1, len(ends.listening.links))
        hand.transport.abortConnection()
        ends.network.settle()
        self.assertEqual(1, len(ends.listening.closed))
        ends.dial()
        self.assertEqual(([], 2), (ends.dialling.links, len(ends.listening.closed)))
        self.assert_clean(ends)

    def test_nonce_does_not_travel(self) -> None:
        """Whoever sees the first bytes learns no secret that opens a second link."""
        ends = self.ends()
        ends.plain = True
        hand = ends.hand()
        self.assertNotIn(ends.ticket.nonce, bytes(hand.received))
        self.assertEqual({"version", "streams", "proof"}, set(hand.hello()))


class TLSTests(LinkCase):
    """Certificates and application protocol."""

    def test_wrong_dialler(self) -> None:
        """Who dials with somebody else's certificate is refused, with both names, though it holds the ticket."""
        ends = self.ends()
        ends.listen()
        ends.dial(who="m9.m")
        self.assert_no_link(ends, listener="expected m4.m, but the certificate at the other end is for m9.m")

    def test_wrong_listener(self) -> None:
        """Who listens with somebody else's certificate never sees a proof of the ticket."""
        ends = self.ends()
        hand = Hand()
        ends.listen(lambda: hand, who="n9.n")
        ends.dial()
        self.assert_no_link(ends, dialler="expected n1.n, but the certificate at the other end is for n9.n")
        self.assertEqual(b"", hand.received)

    def test_other_lab(self) -> None:
        """A certificate of another authority ends the handshake, at either end."""
        for stranger in ("dialler", "listener"):
            ends = self.ends()
            ends.listen(lab="other" if stranger == "listener" else "lab")
            ends.dial(lab="other" if stranger == "dialler" else "lab")
            self.assert_no_link(ends, listener="TLS: ", dialler="certificate verify failed")

    def test_wrong_application_protocol(self) -> None:
        """Who comes for another protocol than that of links is refused, at either end."""
        ends = self.ends()
        ends.listen()
        ends.dial(Hand(), alpn=CONTROL_ALPN)
        self.assert_no_link(ends, listener="no common application protocol")
        ends = self.ends()
        ends.listen(Hand, alpn=CONTROL_ALPN)
        ends.dial()
        self.assert_no_link(ends, dialler="TLS: ")

    def test_no_application_protocol(self) -> None:
        """Who names no application protocol at all is refused."""
        ends = self.ends()
        ends.listen()
        context = credentials("m4.m")._context

        @implementer(IOpenSSLClientConnectionCreator)
        class Bare:
            def clientConnectionForTLS(self, tls: object) -> SSL.Connection:
                return SSL.Connection(context, None)

        hand = Hand()
        factory = TLSMemoryBIOFactory(Bare(), True, ClientFactory.forProtocol(lambda: hand), ends.network)
        ends.network.on(DIALLER).connectTCP(LISTENER, PORT, factory)
        ends.network.settle()
        self.assert_no_link(ends, listener="the other end doesn't speak p2p/1")
        self.assertIsNotNone(hand.lost)

    def test_no_tls(self) -> None:
        """What isn't TLS doesn't get as far as the hello."""
        ends = self.ends()
        ends.listen()
        ends.plain = True
        hand = Hand()
        ends.dial(hand)
        hand.say(ends.proof())
        ends.network.settle()
        self.assert_no_link(ends, listener="TLS: ")

    def test_handshake_deadline(self) -> None:
        """A connection on which no TLS handshake comes is cut off at its deadline."""
        ends = self.ends()
        ends.listen()
        ends.plain = True
        ends.dial(Hand())
        ends.network.advance(LIMITS.handshake_s + 0.1)
        self.assert_no_link(ends, listener="no hello within 10 s")


def _gives(hand: Hand) -> Callable[[], Hand]:
    return lambda: hand

"""A direct link: nobody gets one without certificate and ticket, and no end of it can hurt the other."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IHandshakeListener, IOpenSSLClientConnectionCreator, IPushProducer
from twisted.internet.protocol import ClientFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from p2p.config import PeerLimits
from p2p.errors import Outcome
from p2p.identity.tls import CONTROL_ALPN
from p2p.link.boxes import encode_box
from p2p.link.flow import HIGH_WATER, NotTaken
from p2p.link.hello import VERSION
from p2p.link.mux import INITIAL_WINDOW, MAX_FRAME, TooManyStreams
from test.identities import credentials
from test.link.frames import ACK, DATA, FIN, GO_AWAY, PING, RST, SYN, WINDOW, raw
from test.link.links import DIALLER, LISTENER, PORT, STRANGER, Collector, Ends, Hand
from test.network import Wire

LIMITS = PeerLimits()


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
            ends.listen(None if silent == "dialler" else lambda hand=hand: hand)
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
        for proof in (b"", bytes(32), ends.ticket.listener_proof(), replace(ends.ticket, nonce=bytes(32)).dialler_proof()):
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


class StreamTests(LinkCase):
    """Streams on a link that stands."""

    def test_both_ways(self) -> None:
        """Either end opens streams; bytes go both ways at once, and each direction ends by itself."""
        for plain in (False, True):
            self.plain = plain
            ends = self.ends()
            dialler, listener = ends.stand()
            for link, owner in ((dialler, ends.listening), (listener, ends.dialling)):
                near = link.open_stream()
                there = Collector(near)
                near.write(b"question")
                near.finish()
                ends.network.settle()
                far = owner.streams.pop()
                here = Collector(far)
                self.assertEqual((b"question", ["ended"]), (here.data, here.ends))
                far.write(memoryview(b"answer"))
                far.finish()
                ends.network.settle()
                self.assertEqual((b"answer", ["ended", "settled"]), (there.data, there.ends))
                self.assertEqual((0, 0), (dialler.stream_count, listener.stream_count))
            self.assertEqual(dialler.sent_bytes, listener.received_bytes)

    def test_counters(self) -> None:
        """A stream counts what it sent and received."""
        ends = self.ends()
        ends.stand()
        near, far = ends.stream()
        Collector(far)
        near.write(b"x" * 100_000)
        ends.network.settle()
        self.assertEqual((100_001, 100_001), (near.sent, far.received))

    def test_reset(self) -> None:
        """A stream that one end gives up is lost at the other, and the others go on."""
        ends = self.ends()
        dialler, _ = ends.stand()
        near, far = ends.stream()
        _, other = ends.stream()
        broken, whole = Collector(far), Collector(other)
        near.reset()
        ends.network.settle()
        (failure,) = broken.ends
        self.assertEqual((Outcome.RESET, "m4.m reset the exchange"), (failure.outcome, str(failure)))
        self.assertEqual([], whole.ends)
        self.assertEqual(1, dialler.stream_count)

    def test_unheard_reset(self) -> None:
        """A stream that is given up before its first byte left is no trace to the other end."""
        ends = self.ends()
        dialler, _ = ends.stand()
        dialler.open_stream().reset()
        ends.network.settle()
        self.assertEqual([], ends.listening.streams)
        self.assertEqual(0, dialler.stream_count)

    def test_backpressure(self) -> None:
        """A receiver that pauses stops the sender: what both hold is a window and the high water mark, no more."""
        ends = self.ends()
        ends.stand()
        near, far = ends.stream()
        sent = [1]

        class Producer:
            paused = False

            def pauseProducing(self) -> None:
                self.paused = True

            def resumeProducing(self) -> None:
                self.paused = False
                while not self.paused and sent[0] < 50_000_000:
                    near.write(b"x" * 65536)
                    sent[0] += 65536

            def stopProducing(self) -> None:
                """It holds nothing."""

        got = Collector(far)
        far.pauseProducing()
        producer = Producer()
        near.registerProducer(producer, True)
        producer.resumeProducing()
        ends.network.settle()
        self.assertTrue(producer.paused)
        self.assertEqual(INITIAL_WINDOW, far.received)
        self.assertEqual(1, len(got.data))
        self.assertLessEqual(near.unsent, HIGH_WATER + 65536)
        self.assertLessEqual(sent[0], INITIAL_WINDOW + HIGH_WATER + 65536)
        far.resumeProducing()
        ends.network.settle()
        self.assertEqual(sent[0], len(got.data))
        self.assertGreaterEqual(sent[0], 50_000_000)

    def test_slow_connection(self) -> None:
        """While the connection takes nothing, frames wait in the session, not in the transport."""
        ends = self.ends()
        dialler, _ = ends.stand()
        near, far = ends.stream()
        got = Collector(far)
        ends.network.pull(LISTENER, DIALLER)
        near.write(b"x" * HIGH_WATER)
        ends.network.settle()
        self.assertLess(sum(wire.unread for wire in ends.network.wires), 2 * MAX_FRAME)
        ends.network.plug(LISTENER, DIALLER)
        ends.network.settle()
        self.assertEqual(HIGH_WATER + 1, len(got.data))
        self.assertEqual(1, dialler.stream_count)

    def test_window_limit(self) -> None:
        """``window_bytes`` is what a stream may receive without a word; who sends more is cut off."""
        self.plain = True
        ends = self.ends(window_bytes=2 * INITIAL_WINDOW)
        hand = ends.hand()
        hand.say(raw(DATA, SYN, 1, body=b"x"))
        ends.network.settle()
        self.assertEqual([(WINDOW, ACK, 1, INITIAL_WINDOW, b"")], hand.frames())
        hand.say(raw(DATA, 0, 1, body=b"x" * (2 * INITIAL_WINDOW - 1)))
        ends.network.settle()
        self.assertIsNone(hand.lost)
        hand.say(raw(DATA, 0, 1, body=b"x"))
        ends.network.settle()
        self.assertIn("whose window is 0", ends.listening.closed[0])
        self.assertIsNotNone(hand.lost)

    def grown(self, **limits: int) -> int:
        """How far two streams' windows grow on a link with a round trip of 0.1 s, when they are read at once."""
        self.plain = True
        ends = self.ends(**limits)
        hand = ends.hand()
        ends.listening.serve = Collector
        credit = {1: INITIAL_WINDOW, 3: INITIAL_WINDOW}
        hand.say(raw(DATA, SYN, 1), raw(DATA, SYN, 3))
        largest = 0
        for _ in range(40):
            for stream_id in credit:
                hand.say(raw(DATA, 0, stream_id, body=b"x" * credit[stream_id]))
                credit[stream_id] = 0
            ends.network.settle()
            ends.network.advance(0.1)
            for frame in hand.frames():
                if frame.kind == PING and frame.flags == SYN:
                    hand.say(raw(PING, ACK, 0, frame.length))
                elif frame.kind == WINDOW:
                    credit[frame.stream_id] += frame.length
            largest = max(largest, sum(credit.values()))
        self.assertIsNone(hand.lost)
        return largest

    def test_window_growth(self) -> None:
        """A window that holds the sender up grows, up to ``window_max_bytes`` and no further."""
        limit = 1024 * 1024
        self.assertEqual(2 * limit, self.grown(window_max_bytes=limit))

    def test_link_window(self) -> None:
        """All windows of a link together grow by ``link_window_bytes`` at most."""
        limit = 1024 * 1024
        self.assertEqual(2 * INITIAL_WINDOW + limit, self.grown(link_window_bytes=limit))

    def test_own_streams_limit(self) -> None:
        """At the limit of streams no other can be opened, and one more when one has ended."""
        ends = self.ends(streams=4)
        dialler, _ = ends.stand()
        streams = [dialler.open_stream() for _ in range(4)]
        with self.assertRaises(TooManyStreams):
            dialler.open_stream()
        streams[0].reset()
        dialler.open_stream()

    def test_others_streams_limit(self) -> None:
        """Streams beyond the limit are reset, the others go on, and the log is told once, not once a stream."""
        self.plain = True
        ends = self.ends(streams=4)
        hand = ends.hand()
        told: list[dict[str, Any]] = []
        self.patch(ends.listening.link, "_log", _Log(told))
        hand.say(*[raw(DATA, SYN, stream_id, body=b"x") for stream_id in range(1, 41, 2)])
        ends.network.settle()
        resets = [frame.stream_id for frame in hand.frames() if frame.flags & RST]
        self.assertEqual(list(range(9, 41, 2)), resets)
        self.assertEqual(4, len(ends.listening.streams))
        self.assertEqual(1, len(told))

    def test_half_of_the_streams(self) -> None:
        """Each end takes turns for half of the streams, so that both together never pass the limit."""
        for streams, turns in ((256, 128), (3, 1), (1, 1)):
            dialler, _ = self.ends(streams=streams).stand()
            self.assertEqual(turns, dialler.turns.limit)

    def test_stricter_end(self) -> None:
        """When the limits of both ends differ, the lower one counts for both, so that nothing is refused."""
        ends = self.ends(streams=200)
        ends.listen()
        ends.limits = LIMITS.model_copy(update={"streams": 16})
        ends.dial()
        self.assertEqual((8, 8), (ends.dialling.link.turns.limit, ends.listening.link.turns.limit))

    def test_no_streams(self) -> None:
        """An end that allows no stream, or doesn't say how many, breaks the protocol."""
        for streams in ({}, {"streams": "0"}, {"streams": "many"}, {"streams": "9" * 5000}):
            ends = self.ends()
            ends.listen()
            hand = Hand()
            ends.dial(hand)
            hand.say(encode_box({"version": VERSION, "ticket": ends.ticket.dialler_proof(), **streams}))
            ends.network.settle()
            self.assert_no_link(ends)

    def test_stream_id_twice(self) -> None:
        """Who uses the number of a stream again that this end still reads breaks the protocol."""
        self.plain = True
        ends = self.ends()
        hand = ends.hand()
        hand.say(raw(DATA, SYN | FIN, 1, body=b"x"))
        ends.network.settle()
        (stream,) = ends.listening.streams
        stream.finish()
        ends.network.settle()
        hand.say(raw(DATA, SYN, 1, body=b"y"))
        ends.network.settle()
        self.assertIn("stream 1", ends.listening.closed[0])

    def test_unread_answers(self) -> None:
        """Who provokes answers without end and reads none of them is cut off."""
        self.plain = True
        ends = self.ends()
        hand = ends.hand()
        hand.transport.pauseProducing()
        for _ in range(40):
            hand.say(raw(PING, SYN, 0) * 1000)
            ends.network.settle()
        self.assertIn("reads nothing", ends.listening.closed[0])

    def test_unknown_stream(self) -> None:
        """Frames of a stream that was reset meanwhile are nobody's business."""
        self.plain = True
        ends = self.ends()
        hand = ends.hand()
        hand.say(raw(DATA, SYN, 1, body=b"x"))
        ends.network.settle()
        ends.listening.streams[0].reset()
        hand.say(raw(DATA, 0, 1, body=b"y"), raw(DATA, FIN, 1), raw(DATA, RST, 1), raw(PING, ACK, 0, 99))
        ends.network.settle()
        self.assertIsNone(hand.lost)
        self.assertEqual(0, ends.listening.link.stream_count)

    def test_no_delay(self) -> None:
        """The kernel keeps little of what it hasn't sent, under TLS as well: what is there can't be overtaken."""
        for plain in (True, False):
            self.plain = plain
            handle = socket.socket()
            self.addCleanup(handle.close)
            self.patch(Wire, "getHandle", lambda wire, handle=handle: handle)
            self.ends().stand()
            self.assertEqual(512 * 1024, handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT))


class PingTests(LinkCase):
    """Pings that a person asks for."""

    def test_round_trip(self) -> None:
        """A ping tells the seconds until its answer came."""
        self.plain = True
        ends = self.ends()
        hand = ends.hand()
        answers: list[float | None] = []
        ends.listening.link.ping(answers.append)
        ends.network.advance(0.25)
        (ping,) = hand.frames()
        hand.say(raw(PING, ACK, 0, ping.length), raw(PING, ACK, 0, ping.length))
        ends.network.settle()
        self.assertEqual([0.25], answers)

    def test_answered(self) -> None:
        """Both ends answer pings."""
        for link in self.ends().stand():
            answers: list[float | None] = []
            link.ping(answers.append)
            self.both.network.settle()
            self.assertEqual([0.0], answers)

    def test_no_link(self) -> None:
        """A ping on a link that doesn't stand, or ends first, tells that there is no answer."""
        ends = self.ends()
        answers: list[float | None] = []
        ends.dialler().ping(answers.append)
        dialler, _ = ends.stand()
        ends.network.pull(LISTENER, DIALLER)
        dialler.ping(answers.append)
        dialler.abort("enough")
        ends.network.settle()
        dialler.ping(answers.append)
        self.assertEqual([None, None, None], answers)


class CloseTests(LinkCase):
    """The end of a link."""

    def test_polite(self) -> None:
        """A link without streams closes at once, at both ends, in both directions, and nothing is left."""
        ends = self.ends()
        dialler, listener = ends.stand()
        dialler.close()
        dialler.close()
        self.assertFalse(dialler.reusable)
        with self.assertRaises(TooManyStreams):
            dialler.open_stream()
        ends.network.settle()
        self.assertEqual(["closed"], ends.dialling.closed)
        self.assertEqual(["closed"], ends.listening.closed)
        self.assertTrue(listener.went_away)
        self.assert_clean(ends)
        dialler.close()
        dialler.abort("late")
        self.assert_clean(ends)

    def test_waits_for_exchanges(self) -> None:
        """A polite close waits until the streams under way have ended, and meanwhile no new ones are taken."""
        ends = self.ends()
        dialler, listener = ends.stand()
        near, far = ends.stream()
        got = Collector(far)
        Collector(near)
        listener.close()
        ends.network.settle()
        self.assertFalse(dialler.reusable)
        near.write(b"x" * 1_000_000)
        near.finish()
        ends.network.settle()
        self.assertEqual(1_000_001, len(got.data))
        self.assertEqual([], ends.listening.closed)
        far.finish()
        ends.network.settle()
        self.assertEqual((["closed"], ["closed"]), (ends.listening.closed, ends.dialling.closed))
        self.assert_clean(ends)

    def test_crossing(self) -> None:
        """A stream that was opened while the other end went away is told so: nothing of it was taken."""
        ends = self.ends()
        dialler, listener = ends.stand()
        listener.close()
        near = dialler.open_stream()
        lost = Collector(near)
        near.write(b"too late")
        ends.network.settle()
        (failure,) = lost.ends
        self.assertIsInstance(failure, NotTaken)
        self.assertEqual([], ends.listening.streams)
        self.assert_clean(ends)

    def test_taken_before_going_away(self) -> None:
        """A stream that the other end had taken when it went away isn't counted as untouched."""
        ends = self.ends()
        _, listener = ends.stand()
        near, _ = ends.stream()
        lost = Collector(near)
        listener.close()
        ends.network.settle()
        self.assertEqual([], lost.ends)
        listener.abort("cut")
        ends.network.settle()
        self.assertNotIsInstance(lost.ends[0], NotTaken)

    def test_before_it_stands(self) -> None:
        """A connection that isn't a link yet is cut when it shall close, also one that isn't connected yet."""
        ends = self.ends()
        ends.plain = True
        hand = Hand()
        ends.listen(lambda: hand)
        dialler = ends.dialler()
        ends.dial(dialler)
        dialler.close()
        ends.network.settle()
        self.assertEqual(["closed before it stood"], ends.dialling.closed)
        self.assert_clean(ends)
        ends = self.ends()
        ends.listen()
        unconnected = ends.dialler()
        unconnected.close()
        ends.dial(unconnected)
        self.assert_no_link(ends, dialler="closed before it stood")

    def test_other_end_does_not_close(self) -> None:
        """When the other end keeps its side open, the connection is cut after the handshake's time."""
        self.plain = True
        ends = self.ends()
        ends.hand()
        ends.network.pull(LISTENER, DIALLER)
        ends.listening.link.close()
        ends.network.advance(LIMITS.handshake_s + 0.1)
        self.assertEqual(["closed"], ends.listening.closed)
        self.assert_clean(ends)

    def test_other_end_does_not_read(self) -> None:
        """A close that can't even be said, because the other end reads nothing, ends by itself too."""
        self.plain = True
        ends = self.ends()
        hand = ends.hand()
        link = ends.listening.link
        hand.transport.pauseProducing()
        for _ in range(6):
            hand.say(raw(PING, SYN, 0) * 1000)
            ends.network.settle()
        link.close()
        for number in range(20):
            hand.say(raw(PING, ACK, 0, 10_000 + number))
            ends.network.advance(1)
        self.assertEqual(1, len(ends.listening.closed))
        self.assert_clean(ends)

    def test_abort(self) -> None:
        """An aborted link tells its streams why, drops what is queued, and writes nothing more."""
        ends = self.ends()
        dialler, _ = ends.stand()
        near, far = ends.stream()
        lost, remote = Collector(near), Collector(far)
        dialler.abort("enough")
        wire = next(wire for wire in ends.network.wires if wire.host.host == DIALLER)
        sent = wire.sent
        near.write(b"x" * 1000)
        dialler.resumeProducing()
        self.assertEqual(sent, wire.sent)
        ends.network.settle()
        self.assertEqual("the link to n1.n broke: enough", str(lost.ends[0]))
        self.assertEqual(Outcome.RESET, remote.ends[0].outcome)
        self.assertEqual(["enough"], ends.dialling.closed)
        self.assert_clean(ends)

    def test_data_after_abort(self) -> None:
        """What still arrives at an aborted link is read by nobody."""
        ends = self.ends()
        dialler, listener = ends.stand()
        near = dialler.open_stream()
        near.write(b"x")
        listener.abort("enough")
        ends.network.settle()
        self.assertEqual([], ends.listening.streams)

    def test_abort_from_within(self) -> None:
        """An owner that aborts the link at one event isn't told the next ones, which came in the same bytes."""
        self.plain = True
        ends = self.ends()
        hand = ends.hand()
        ends.listening.serve = lambda stream: ends.listening.link.abort("enough")
        hand.say(raw(DATA, SYN, 1, body=b"x"), raw(DATA, SYN, 3, body=b"x"))
        ends.network.settle()
        self.assertEqual((1, ["enough"]), (len(ends.listening.streams), ends.listening.closed))

    def test_violation(self) -> None:
        """A frame that breaks the protocol cuts the link off at once, and its streams are lost."""
        self.plain = True
        ends = self.ends()
        hand = ends.hand()
        lost: list[Collector] = []
        ends.listening.serve = lambda stream: lost.append(Collector(stream))
        hand.say(raw(DATA, SYN, 1, body=b"x"))
        ends.network.settle()
        hand.say(raw(DATA, SYN, 2, body=b"x"))
        ends.network.settle()
        self.assertIn("opened by the wrong side", ends.listening.closed[0])
        self.assertIn("opened by the wrong side", str(lost[0].ends[0]))
        self.assertIsNotNone(hand.lost)
        self.assert_clean(ends)

    def test_go_away_by_hand(self) -> None:
        """An end that goes away gets its connection closed when nothing is under way on it."""
        self.plain = True
        ends = self.ends()
        hand = ends.hand()
        hand.say(raw(GO_AWAY, 0, 0))
        ends.network.settle()
        self.assertIsNotNone(hand.lost)
        self.assertEqual(["closed"], ends.listening.closed)
        self.assert_clean(ends)


class TimeTests(LinkCase):
    """Silence and idleness."""

    def test_idle(self) -> None:
        """A link that nobody uses closes after ``idle_s``, politely, and within one look at the clock."""
        ends = self.ends(idle_s=100.0, silence_s=60.0)
        ends.stand()
        ends.network.advance(99)
        self.assertEqual([], ends.dialling.closed)
        ends.network.advance(25)
        self.assertEqual((["closed"], ["closed"]), (ends.dialling.closed, ends.listening.closed))
        self.assert_clean(ends)

    def test_used(self) -> None:
        """An open stream, or one that ended lately, keeps a link open."""
        ends = self.ends(idle_s=100.0)
        dialler, _ = ends.stand()
        near, far = ends.stream()
        ends.network.advance(400)
        self.assertEqual([], ends.dialling.closed)
        near.reset()
        ends.network.advance(90)
        self.assertEqual([], ends.dialling.closed)
        self.assertTrue(dialler.reusable)
        ends.network.advance(60)
        self.assertEqual(["closed"], ends.dialling.closed)

    def test_cut_cable(self) -> None:
        """A link over which nothing comes for ``silence_s`` is cut off at both ends, its streams with it."""
        ends = self.ends(silence_s=60.0)
        ends.stand()
        near, far = ends.stream()
        lost = Collector(near), Collector(far)
        ends.network.advance(200)
        self.assertEqual([], ends.dialling.closed)
        ends.network.pull(LISTENER, DIALLER)
        ends.network.advance(81)
        self.assertEqual((["n1.n was silent for 60 s"], ["m4.m was silent for 60 s"]), (ends.dialling.closed, ends.listening.closed))
        self.assertEqual([1, 1], [len(one.ends) for one in lost])
        self.assert_clean(ends)

    def test_stranger(self) -> None:
        """Connections of others change nothing for a link that stands."""
        ends = self.ends()
        dialler, _ = ends.stand()
        ends.network.on(STRANGER)
        hand = Hand()
        ends.dial(hand)
        hand.say(b"noise" * 100)
        ends.network.settle()
        self.assertTrue(dialler.reusable)


class _Log:
    """A logger that keeps its events."""

    def __init__(self, told: list[dict[str, Any]]) -> None:
        self._told = told

    def warn(self, format: str, **fields: Any) -> None:  # noqa: A002 - as Twisted names it
        self._told.append({"log_format": format, **fields})

    info = warn

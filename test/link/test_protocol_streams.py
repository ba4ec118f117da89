"""A direct link that stands: streams, pings, and what neither end can do to the other."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from p2p.base.errors import Outcome
from p2p.base.log_gate import LINES
from p2p.link import conduct
from p2p.link.boxes import encode_box
from p2p.link.conduct import BROKEN_BURST, BROKEN_PER_S, ENDURED_S
from p2p.link.flow import HIGH_WATER, Stream
from p2p.link.hello import VERSION
from p2p.link.mux import INITIAL_WINDOW, MAX_FRAME, TooManyStreams
from test import network
from test.link.frames import ACK, DATA, FIN, PING, RST, SYN, WINDOW, raw
from test.link.links import DIALLER, LIMITS, LISTENER, Collector, Hand, LinkCase
from test.network import Network, Wire

MIB = 1024 * 1024


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

    def test_turns(self) -> None:
        """On a connection that takes everything at once, what arrives has its turn after 1 MiB, and then the rest."""
        self.patch(network, "BUFFER", 1 << 30)
        ends = self.ends(window_bytes=4 * MIB)
        ends.stand()
        near, far = ends.stream()
        got = Collector(far)
        ends.network.settle()
        (wire,) = [one for one in ends.network.wires if one.host.host == DIALLER]
        sent = wire.sent
        near.write(bytes(3 * MIB))
        at_first: list[int] = []
        ends.network.callLater(0, lambda: at_first.append(wire.sent - sent))
        ends.network.settle()
        self.assertTrue(MIB <= at_first[0] < 1.3 * MIB, at_first)
        self.assertEqual(3 * MIB + 1, len(got.data))

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
            for stream_id, left in credit.items():
                hand.say(raw(DATA, 0, stream_id, body=b"x" * left))
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
        """Streams beyond the limit are reset, the others go on, and the log has a few lines of it, not one each."""
        self.plain = True
        ends = self.ends(streams=4)
        hand = ends.hand()
        told: list[dict[str, Any]] = []
        self.patch(ends.listening.link, "_log", _Log(told))
        hand.say(*[raw(DATA, SYN, stream_id, body=b"x") for stream_id in range(1, 401, 2)])
        ends.network.settle()
        resets = [frame.stream_id for frame in hand.frames() if frame.flags & RST]
        self.assertEqual(list(range(9, 401, 2)), resets)
        self.assertEqual(4, len(ends.listening.streams))
        self.assertEqual(LINES, len(told))

    def test_half_of_the_streams(self) -> None:
        """Each end takes turns for half of the streams, so that both together never pass the limit."""
        for streams, turns in ((256, 128), (3, 1), (1, 1)):
            dialler, _ = self.ends(streams=streams).stand()
            self.assertEqual(turns, dialler.turns.limit)

    def test_turn_lasts_until_the_end(self) -> None:
        """A turn lasts until the other side's FIN: it comes behind the reply, and until then the stream counts."""
        self.plain = True
        ends = self.ends(streams=2)
        hand = ends.hand()
        link = ends.listening.link
        stream = self.successResultOf(Deferred.fromCoroutine(link.turns.next(link.open_stream)))
        got = Collector(stream)
        stream.write(b"request")
        stream.finish()
        following = Deferred.fromCoroutine(link.turns.next(link.open_stream))
        hand.say(raw(WINDOW, ACK, 2), raw(DATA, 0, 2, body=b"reply"))
        ends.network.settle()
        self.assertEqual(b"reply", got.data)
        self.assertNoResult(following)
        hand.say(raw(DATA, FIN, 2))
        ends.network.settle()
        self.assertEqual(4, self.successResultOf(following).stream_id)

    def test_turns_of_a_lost_link(self) -> None:
        """Who waits for a turn on a link that ends is told so."""
        ends = self.ends(streams=2)
        link, _ = ends.stand()
        self.successResultOf(Deferred.fromCoroutine(link.turns.next(link.open_stream)))
        following = [Deferred.fromCoroutine(link.turns.next(link.open_stream)) for _ in range(3)]
        link.abort("cut")
        ends.network.settle()
        for one in following:
            self.failureResultOf(one, TooManyStreams)

    def test_stricter_end(self) -> None:
        """When the limits of both ends differ, the lower one counts for both, so that nothing is refused."""
        ends = self.ends(streams=200)
        ends.listen()
        ends.limits = LIMITS.model_copy(update={"streams": 16})
        ends.dial()
        self.assertEqual((8, 8), (ends.dialling.link.turns.limit, ends.listening.link.turns.limit))

    def test_no_streams(self) -> None:
        """An end that allows no stream, or doesn't say how many, breaks the protocol."""
        for streams in ({}, {"streams": "0"}, {"streams": "many"}, {"streams": "9" * 5000}, {"streams": "\u0662"}):
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


class _Log:
    """A logger that keeps its events."""

    def __init__(self, told: list[dict[str, Any]]) -> None:
        self._told = told

    def warn(self, format: str, **fields: Any) -> None:  # noqa: A002 - as Twisted names it
        self._told.append({"log_format": format, **fields})

    info = warn


class FaultTests(LinkCase):
    """A fault of ours in the middle of sending."""

    def test_producer_fails(self) -> None:
        """A link that can't go on because of a bug here is logged and cut, at both ends, instead of going silent."""

        class Faulty:
            def resumeProducing(self) -> None:
                if near.unsent or near.sent > 1:
                    raise RuntimeError("a bug")
                near.write(b"x" * 300_000)

            def stopProducing(self) -> None:
                """Nothing to let go of."""

        ends = self.ends()
        ends.stand()
        near, _ = ends.stream()
        near.registerProducer(Faulty(), False)
        ends.network.settle()
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))
        self.assertEqual(["an internal error; the log has the details"], ends.dialling.closed)
        self.assertEqual(1, len(ends.listening.closed))
        self.assert_clean(ends)


class RateTests(LinkCase):
    """What the other end may do a second: beyond that it isn't read for a while, and cut off if it does far more."""

    def hand(self) -> tuple[Hand, Network]:
        ends = self.ends()
        return ends.hand(), ends.network

    def test_new_streams(self) -> None:
        """Streams that come faster than an honest end needs them wait to be read; the link goes on."""

        self.patch(conduct, "STREAM_BURST", 20)
        self.patch(conduct, "STREAMS_PER_S", 10.0)
        for self.plain in (False, True):
            ends = self.ends()
            dialler, _ = ends.stand()

            def serve(stream: Stream) -> None:
                Collector(stream)
                stream.finish()

            ends.listening.serve = serve
            for _ in range(30):
                near = dialler.open_stream()
                Collector(near)
                near.write(b"x")
                near.finish()
                ends.network.settle()
            self.assertEqual(21, len(ends.listening.streams))
            ends.network.advance(0.101)
            self.assertEqual(22, len(ends.listening.streams))
            for _ in range(10):
                ends.network.advance(0.1)
            self.assertEqual((30, 0), (len(ends.listening.streams), dialler.stream_count))
            self.assertEqual([], ends.listening.closed)
            dialler.abort("over")
            ends.network.settle()

    def test_rapid_resets(self) -> None:
        """Streams that are opened and reset at once end the link soon, whatever is in them."""
        hand, network = self.hand()
        with capturedLogs() as logs:
            hand.say(*(raw(DATA, SYN, one, body=b"x") + raw(WINDOW, RST, one) for one in range(1, 5001, 2)))
            network.settle()
        self.assertIsNotNone(hand.lost)
        self.assertLessEqual(len(self.both.listening.streams), BROKEN_BURST + BROKEN_PER_S * ENDURED_S + 1)
        self.assertIn("opens streams that come to nothing", self.both.listening.closed[0])
        self.assertLess(len(logs), 5)

    def test_too_many_open(self) -> None:
        """So do streams beyond the limit of those that are open."""
        hand, network = self.hand()
        with capturedLogs() as logs:
            hand.say(*(raw(WINDOW, SYN, 2 * number + 1) for number in range(5000)))
            network.settle()
        self.assertIsNotNone(hand.lost)
        self.assertLess(len(logs), LINES + 5)

    def test_refused_exchanges(self) -> None:
        """So do exchanges that are refused; those of an end that waits for its answers only become slower."""
        hand, network = self.hand()
        link = self.both.listening.link
        self.both.listening.serve = lambda stream: link.refused(stream.stream_id)
        for number in range(BROKEN_BURST + 128):
            hand.say(raw(WINDOW, SYN, 2 * number + 1), raw(WINDOW, RST, 2 * number + 1))
            network.settle()
        self.assertEqual(BROKEN_BURST + 1, len(self.both.listening.streams))
        for _ in range(20):
            network.advance(0.1)
        self.assertEqual(BROKEN_BURST + 128, len(self.both.listening.streams))
        self.assertIsNone(hand.lost)
        hand.say(*(raw(WINDOW, SYN, 2 * number + 1) for number in range(1000, 3000)))
        network.settle()
        self.assertIsNotNone(hand.lost)

    def test_own_streams(self) -> None:
        """An end that resets what this one opens isn't counted: it can't do that more often than this one opens any."""
        ends = self.ends()
        ends.stand()
        ends.dialling.serve = lambda stream: stream.reset()
        listener = ends.listening.link
        for _ in range(2 * BROKEN_BURST):
            near = listener.open_stream()
            Collector(near)
            near.write(b"x")
            ends.network.settle()
        self.assertEqual([], ends.listening.closed)

    def test_cut_while_it_waits(self) -> None:
        """A link that ends while it isn't read leaves no timer behind."""
        _, network = self.hand()
        link = self.both.listening.link
        for _ in range(BROKEN_BURST + 1):
            link.refused(1)
        link.abort("over")
        link.refused(1)
        network.settle()
        self.assertEqual([], network.getDelayedCalls())

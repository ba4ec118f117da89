"""A direct link ends: politely, at once, or in silence, and nothing of it is left."""

from __future__ import annotations

from p2p.base.errors import Outcome
from p2p.link.flow import NotTaken
from p2p.link.mux import TooManyStreams
from test.link.frames import ACK, DATA, GO_AWAY, PING, SYN, raw
from test.link.links import DIALLER, LIMITS, LISTENER, STRANGER, Collector, Hand, LinkCase


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
        """A link that nobody uses closes after ``idle_s``, to the second, and politely."""
        ends = self.ends(idle_s=110.0, silence_s=60.0)
        ends.stand()
        ends.network.advance(109)
        self.assertEqual([], ends.dialling.closed)
        ends.network.advance(2)
        self.assertEqual((["closed"], ["closed"]), (ends.dialling.closed, ends.listening.closed))
        self.assert_clean(ends)

    def test_used(self) -> None:
        """An open stream, or one that ended lately, keeps a link open, however short or long ``idle_s`` is."""
        for idle_s in (7.0, 100.0):
            ends = self.ends(idle_s=idle_s)
            dialler, _ = ends.stand()
            near, _ = ends.stream()
            ends.network.advance(403.3)
            self.assertEqual([], ends.dialling.closed)
            near.reset()
            ends.network.advance(idle_s - 1)
            self.assertEqual([], ends.dialling.closed)
            self.assertTrue(dialler.reusable)
            ends.network.advance(2)
            self.assertEqual(["closed"], ends.dialling.closed)

    def test_cut_cable(self) -> None:
        """A link over which nothing comes for ``silence_s`` is cut off at both ends, its streams with it: after so
        many seconds since the last byte, and one at most."""
        ends = self.ends(silence_s=60.0)
        ends.stand()
        near, far = ends.stream()
        lost = Collector(near), Collector(far)
        ends.network.advance(207)
        for end in (near, far):
            end.write(b"the last word")
        ends.network.settle()
        ends.network.advance(1)
        ends.network.pull(LISTENER, DIALLER)
        ends.network.advance(58)
        self.assertEqual([], ends.dialling.closed + ends.listening.closed)
        ends.network.advance(2)
        self.assertEqual(
            (["n1.n was silent for 60 s"], ["m4.m was silent for 60 s"]), (ends.dialling.closed, ends.listening.closed)
        )
        self.assertEqual([1, 1], [len(one.ends) for one in lost])
        self.assert_clean(ends)

    def test_doubted(self) -> None:
        """When the way to the other end may be gone, it is pinged at once: an answer ends the doubt, and without one
        the link is cut off soon, with the reason."""
        ends = self.ends(silence_s=60.0)
        dialler, _ = ends.stand()
        ends.network.advance(5)
        dialler.doubted(3.0)
        ends.network.settle()
        ends.network.advance(200)
        self.assertTrue(dialler.reusable)
        ends.network.pull(LISTENER, DIALLER)
        dialler.doubted(3.0)
        ends.network.advance(2)
        self.assertEqual([], ends.dialling.closed)
        ends.network.advance(1.1)
        self.assertIn("n1.n didn't answer within 3 s", ends.dialling.closed[0])
        dialler.doubted(3.0)
        ends.network.settle()
        self.assertEqual([], ends.network.getDelayedCalls()[4:])

    def test_slept(self) -> None:
        """After a sleep the other end is pinged at once: one that still has the link answers, and it stands; one that
        doesn't is cut off after a third of ``silence_s``, however long the sleep was."""
        ends = self.ends(silence_s=60.0)
        dialler, _ = ends.stand()
        ends.network.advance(5)
        sent = dialler.sent_bytes
        dialler.slept(7200.0)
        ends.network.settle()
        self.assertEqual(12, dialler.sent_bytes - sent)
        ends.network.advance(200)
        self.assertTrue(dialler.reusable)
        ends.network.pull(LISTENER, DIALLER)
        dialler.slept(7200.0)
        ends.network.advance(19)
        self.assertEqual([], ends.dialling.closed)
        ends.network.advance(2)
        self.assertEqual(["n1.n was silent for 60 s"], ends.dialling.closed)
        dialler.slept(7200.0)
        ends.network.settle()
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

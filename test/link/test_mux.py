"""Yamux sessions, frame by frame; the hexadecimal frames are written by hand after HashiCorp's ``yamux/spec.md``."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ProtocolViolation
from p2p.link.events import DataReceived, Ponged, StreamEnded, StreamOpened, StreamReset
from p2p.link.mux import INITIAL_WINDOW, MAX_CONTROL_BACKLOG, Session
from test.link.frames import (
    ACK,
    DATA,
    FIN,
    GO_AWAY,
    KIB,
    PING,
    RST,
    SYN,
    WINDOW,
    hexed,
    joined,
    opened,
    raw,
    taken,
    told,
)
from test.properties import PROPERTY, cut_up


class SentFramesTests(SynchronousTestCase):
    """What a session sends is what the specification draws."""

    def test_first_data_opens_the_stream(self) -> None:
        """The first data frame of a stream carries SYN; the next one doesn't; clients count from 1 in twos."""
        session = Session(client=True)
        first, second = session.open(), session.open()
        self.assertEqual((first, second), (1, 3))
        self.assertFalse(session.has_output)
        session.write(first, b"hello")
        self.assertEqual(taken(session), hexed("00 00 0001 00000001 00000005") + b"hello")
        session.write(first, b"world")
        self.assertEqual(taken(session), hexed("00 00 0000 00000001 00000005") + b"world")

    def test_server_ids_are_even(self) -> None:
        """A server opens streams 2, 4 and so on."""
        session = Session(client=False)
        self.assertEqual([session.open() for _ in range(3)], [2, 4, 6])

    def test_larger_window_opens_the_stream(self) -> None:
        """A window beyond 256 KiB is said at once, in a window update with SYN that holds the difference."""
        session = Session(client=True, window=INITIAL_WINDOW + 0x10000)
        session.write(session.open(), b"x")
        self.assertEqual(
            taken(session), hexed("00 01 0001 00000001 00010000") + hexed("00 00 0000 00000001 00000001") + b"x"
        )

    def test_fin_has_its_own_frame(self) -> None:
        """FIN follows the last data in a frame of its own: some implementations lose what comes along with it."""
        session = Session(client=True)
        stream_id = session.open()
        session.write(stream_id, b"bye")
        session.finish(stream_id)
        frames = hexed("00 00 0001 00000001 00000003") + b"bye" + hexed("00 00 0004 00000001 00000000")
        self.assertEqual(taken(session), frames)

    def test_fin_is_never_with_syn(self) -> None:
        """A stream that ends without any data is opened by an empty frame, and ended by another."""
        session = Session(client=True)
        session.finish(session.open())
        frames = hexed("00 00 0001 00000001 00000000") + hexed("00 00 0004 00000001 00000000")
        self.assertEqual(taken(session), frames)

    def test_fin_alone_is_an_empty_frame(self) -> None:
        """With nothing queued, FIN travels in a data frame of no length."""
        session = Session(client=True)
        stream_id = session.open()
        session.write(stream_id, b"x")
        taken(session)
        session.finish(stream_id)
        session.finish(stream_id)
        self.assertEqual(taken(session), hexed("00 00 0004 00000001 00000000"))

    def test_accepting_is_said_at_once(self) -> None:
        """An opened stream is answered by a window update with ACK, before anybody writes to it."""
        session = Session(client=False)
        session.receive(hexed("00 01 0001 00000007 00000000"), 0.0)
        self.assertEqual(taken(session), hexed("00 01 0002 00000007 00000000"))

    def test_accepting_with_a_larger_window(self) -> None:
        """The ACK says by how much the window is larger than 256 KiB."""
        session = Session(client=False, window=INITIAL_WINDOW + 2)
        session.receive(hexed("00 01 0001 00000001 00000000"), 0.0)
        self.assertEqual(taken(session), hexed("00 01 0002 00000001 00000002"))

    def test_reset(self) -> None:
        """Giving a stream up is a window update with RST; what was queued isn't sent."""
        session = opened(1)
        session.write(1, b"never sent")
        session.reset(1)
        session.reset(1)
        self.assertEqual(taken(session), hexed("00 01 0008 00000001 00000000"))
        self.assertFalse(session.is_open(1))

    def test_reset_of_an_unheard_stream(self) -> None:
        """A stream that the other side never heard of is given up without a word."""
        session = Session(client=True)
        stream_id = session.open()
        session.write(stream_id, b"never sent")
        session.reset(stream_id)
        self.assertFalse(session.has_output)
        self.assertEqual((taken(session), session.stream_count), (b"", 0))

    def test_credit(self) -> None:
        """Used bytes are given back, once they are half a window, in a window update without flags."""
        session = opened(1)
        session.receive(raw(DATA, 0, 1, body=bytes(128 * KIB)), 0.0)
        session.consumed(1, 128 * KIB - 1, 0.0)
        self.assertFalse(session.has_output)
        session.consumed(1, 1, 0.0)
        self.assertEqual(taken(session), hexed("00 01 0000 00000001 00020000"))

    def test_ping(self) -> None:
        """A ping is SYN on stream 0 with its token as length; the token counts up."""
        session = Session(client=True)
        self.assertEqual([session.ping(0.0), session.ping(0.0)], [0, 1])
        self.assertEqual(taken(session), hexed("00 02 0001 00000000 00000000 00 02 0001 00000000 00000001"))

    def test_pong(self) -> None:
        """A ping is answered with ACK and the same token."""
        session = Session(client=False)
        session.receive(hexed("00 02 0001 00000000 DEADBEEF"), 0.0)
        self.assertEqual(taken(session), hexed("00 02 0002 00000000 DEADBEEF"))

    def test_go_away(self) -> None:
        """Going away is said on stream 0 with the code as length."""
        session = Session(client=True)
        session.go_away(2)
        self.assertEqual(taken(session), hexed("00 03 0000 00000000 00000002"))

    def test_refusal(self) -> None:
        """A stream beyond the limit is answered with RST."""
        session = opened(1, streams=1)
        session.receive(hexed("00 00 0001 00000003 00000001") + b"x", 0.0)
        self.assertEqual(taken(session), hexed("00 01 0008 00000003 00000000"))


class ReceivedFramesTests(SynchronousTestCase):
    """What the specification draws is understood."""

    def test_an_exchange(self) -> None:
        """SYN with data, data, FIN: opened, bytes, ended."""
        session = Session(client=False)
        self.assertEqual(told(session, hexed("00 00 0001 00000001 00000002") + b"hi"), [StreamOpened(1), (1, b"hi")])
        self.assertEqual(told(session, hexed("00 00 0000 00000001 00000001") + b"!"), [(1, b"!")])
        self.assertEqual(told(session, hexed("00 00 0004 00000001 00000000")), [StreamEnded(1)])
        self.assertTrue(session.is_open(1))

    def test_all_in_one_frame(self) -> None:
        """SYN and FIN may share one frame with the data between them."""
        session = Session(client=False)
        self.assertEqual(
            told(session, hexed("00 00 0005 00000001 00000002") + b"hi"), [StreamOpened(1), (1, b"hi"), StreamEnded(1)]
        )

    def test_fin_by_window_update(self) -> None:
        """HashiCorp's implementation ends a stream with a window update: FIN counts there too."""
        session = opened(1)
        self.assertEqual(told(session, hexed("00 01 0004 00000001 00000000")), [StreamEnded(1)])

    def test_second_fin_is_nothing_new(self) -> None:
        """A stream ends once."""
        session = opened(1)
        self.assertEqual(told(session, raw(DATA, FIN, 1) + raw(DATA, FIN, 1)), [StreamEnded(1)])

    def test_empty_data(self) -> None:
        """A data frame of no length without flags says nothing."""
        self.assertEqual(told(opened(1), raw(DATA, 0, 1)), [])

    def test_reset_by_the_other_side(self) -> None:
        """RST ends both directions, drops what is queued, and is answered by nothing."""
        for reset in (raw(WINDOW, RST, 1), raw(DATA, RST, 1), raw(WINDOW, RST | FIN, 1)):
            session = opened(1)
            session.write(1, b"queued")
            self.assertEqual(told(session, reset), [StreamReset(1)])
            self.assertEqual((session.stream_count, session.queued(1), taken(session)), (0, 0, b""))

    def test_all_flags_at_once(self) -> None:
        """A frame may carry all four flags; the stream it opens is reset at once."""
        session = Session(client=False)
        self.assertEqual(told(session, hexed("00 01 000F 00000001 00000000")), [StreamOpened(1), StreamReset(1)])

    def test_reset_on_data(self) -> None:
        """RST on a data frame takes effect after its bytes."""
        self.assertEqual(told(opened(1), raw(DATA, RST, 1, body=b"x")), [(1, b"x"), StreamReset(1)])

    def test_acknowledgement(self) -> None:
        """ACK needs no action: data may flow since SYN."""
        session = Session(client=True)
        stream_id = session.open()
        session.write(stream_id, b"x")
        taken(session)
        self.assertEqual(told(session, hexed("00 01 0002 00000001 00000000")), [])
        self.assertTrue(session.is_open(stream_id))

    def test_pong_measures(self) -> None:
        """A pong says how long it took; the shortest one is the round trip; no time runs backwards."""
        session = Session(client=True)
        for sent, back, least in ((1.0, 1.5, 0.5), (2.0, 2.25, 0.25), (3.0, 4.0, 0.25), (5.0, 4.0, 0.0)):
            token = session.ping(sent)
            self.assertEqual(told(session, raw(PING, ACK, 0, token), back), [Ponged(token, max(back - sent, 0.0))])
            self.assertEqual(session.round_trip, least)

    def test_pong_unasked(self) -> None:
        """A pong that answers no ping, or answers it again, is nothing."""
        session = Session(client=True)
        token = session.ping(0.0)
        self.assertEqual(told(session, raw(PING, ACK, 0, 77)), [])
        self.assertEqual(len(told(session, raw(PING, ACK, 0, token) * 2)), 1)

    def test_unknown_stream(self) -> None:
        """Data, credit, FIN and RST of a stream that is no more are dropped: they may have crossed our reset."""
        session = opened(1)
        session.receive(raw(DATA, 0, 1, 4) + b"ab", 0.0)
        session.reset(1)
        rest = b"cd" + raw(DATA, FIN, 1, body=b"more") + raw(WINDOW, 0, 1, 9) + raw(WINDOW, RST, 1) + raw(DATA, 0, 9)
        self.assertEqual(told(session, rest), [])
        self.assertEqual(session.stream_count, 0)

    def test_data_for_a_stream_that_begins_meanwhile(self) -> None:
        """Bytes addressed to a stream before it began aren't its bytes, and can't pass its window."""
        session = Session(client=True)
        session.receive(raw(DATA, 0, 1, INITIAL_WINDOW * 4) + b"ab", 0.0)
        session.open()
        self.assertEqual(told(session, bytes(INITIAL_WINDOW * 4 - 2)), [])
        self.assertEqual(session.stream_count, 1)


class ViolationTests(SynchronousTestCase):
    """Whatever breaks the protocol raises ProtocolViolation."""

    def assert_violates(self, session: Session, data: bytes) -> None:
        """The bytes raise, however they are cut."""
        with self.assertRaises(ProtocolViolation):
            session.receive(data, 0.0)

    def test_no_yamux(self) -> None:
        """Another version, type or flag than the specification has."""
        for text in (
            "01 00 0001 00000001 00000000",
            "00 04 0000 00000000 00000000",
            "00 00 0010 00000001 00000000",
            "00 00 8001 00000001 00000000",
        ):
            self.assert_violates(Session(client=False), hexed(text))

    def test_stream_zero(self) -> None:
        """Stream 0 is the session's: pings and go-aways belong there, nothing else does."""
        for kind, stream_id in ((DATA, 0), (WINDOW, 0), (PING, 1), (GO_AWAY, 2)):
            self.assert_violates(Session(client=False), raw(kind, 0, stream_id))

    def test_wrong_parity(self) -> None:
        """A client opens odd streams only, a server even ones."""
        self.assert_violates(Session(client=False), raw(WINDOW, SYN, 2))
        self.assert_violates(Session(client=True), raw(DATA, SYN, 1))

    def test_syn_twice(self) -> None:
        """A stream that is open can't be opened."""
        self.assert_violates(opened(1), raw(DATA, SYN, 1))

    def test_data_after_fin(self) -> None:
        """Nothing follows FIN."""
        self.assert_violates(opened(1), raw(DATA, FIN, 1) + raw(DATA, 0, 1, body=b"x"))

    def test_more_than_the_window(self) -> None:
        """One byte more than the credit is too much, in one frame or in two, with the SYN or later."""
        self.assert_violates(Session(client=False), raw(DATA, SYN, 1, INITIAL_WINDOW + 1))
        self.assert_violates(opened(1), raw(DATA, 0, 1, body=bytes(INITIAL_WINDOW)) + raw(DATA, 0, 1, 1))

    def test_credit_counts(self) -> None:
        """The first window and what was given back may be used up to the last byte."""
        session = opened(1)
        session.receive(raw(DATA, 0, 1, body=bytes(INITIAL_WINDOW)), 0.0)
        session.consumed(1, INITIAL_WINDOW, 0.0)
        session.receive(raw(DATA, 0, 1, body=bytes(INITIAL_WINDOW)), 0.0)
        self.assert_violates(session, raw(DATA, 0, 1, 1))

    def test_unknown_streams_have_a_window_too(self) -> None:
        """A dropped frame may be as long as the largest window, no longer."""
        session = Session(client=False, window_max=INITIAL_WINDOW * 2)
        self.assertEqual(told(session, raw(DATA, 0, 1, body=bytes(INITIAL_WINDOW * 2))), [])
        self.assert_violates(session, raw(DATA, 0, 1, INITIAL_WINDOW * 2 + 1))

    def test_window_beyond_32_bits(self) -> None:
        """Credit past 32 bits is nonsense."""
        session = opened(1)
        session.receive(raw(WINDOW, 0, 1, 0xFFFFFFFF - INITIAL_WINDOW), 0.0)
        self.assert_violates(session, raw(WINDOW, 0, 1, 1))

    def test_answers_without_end(self) -> None:
        """Who provokes answers and never reads them is cut off at a bound; who reads them may go on."""
        session = Session(client=False)
        session.receive(raw(PING, SYN, 0) * MAX_CONTROL_BACKLOG, 0.0)
        self.assertEqual(len(taken(session)), 12 * MAX_CONTROL_BACKLOG)
        session.receive(raw(PING, SYN, 0) * MAX_CONTROL_BACKLOG, 0.0)
        self.assert_violates(session, raw(PING, SYN, 0))
        self.assertEqual(len(taken(session)), 12 * MAX_CONTROL_BACKLOG)

    def test_full_backlog_harms_no_caller(self) -> None:
        """Only bytes from the other side can break the protocol: our own calls work with a full backlog."""
        session = opened(1, 3)
        session.receive(raw(DATA, 0, 1, body=bytes(INITIAL_WINDOW)), 0.0)
        session.receive(raw(PING, SYN, 0) * MAX_CONTROL_BACKLOG, 0.0)
        session.consumed(1, INITIAL_WINDOW, 0.0)
        session.reset(3)
        session.ping(0.0)
        session.go_away()
        self.assertEqual(len(taken(session)), 12 * (MAX_CONTROL_BACKLOG + 4))


FIELDS = st.tuples(
    st.sampled_from([0, 0, 0, 0, 1]),
    st.integers(0, 4),
    st.integers(0, 16),
    st.integers(0, 9),
    st.one_of(st.integers(0, 40), st.sampled_from([INITIAL_WINDOW, INITIAL_WINDOW + 1, 0xFFFFFFFF])),
    st.binary(max_size=40),
)


@st.composite
def dialogues(draw: st.DrawFn) -> bytes:
    """What a lawful client might send: streams opened, fed, ended and reset, pings, credit, a go-away."""
    parts = []
    alive: list[int] = []
    fresh = 1
    for _ in range(draw(st.integers(1, 25))):
        act = draw(st.sampled_from(["open", "data", "data", "end", "reset", "credit", "ping", "away", "stray"]))
        if act == "open":
            parts.append(raw(draw(st.sampled_from([DATA, WINDOW])), SYN, fresh))
            alive.append(fresh)
            fresh += 2
        elif act == "ping":
            parts.append(raw(PING, draw(st.sampled_from([SYN, ACK])), 0, draw(st.integers(0, 3))))
        elif act == "away":
            parts.append(raw(GO_AWAY, 0, 0, draw(st.integers(0, 2))))
        elif act == "stray":
            parts.append(raw(DATA, draw(st.sampled_from([0, FIN, RST])), 999, body=draw(st.binary(max_size=30))))
        elif alive:
            stream_id = draw(st.sampled_from(alive))
            if act == "data":
                parts.append(raw(DATA, 0, stream_id, body=draw(st.binary(max_size=60))))
            elif act == "credit":
                parts.append(raw(WINDOW, 0, stream_id, draw(st.integers(0, 1000))))
            else:
                alive.remove(stream_id)
                flag = FIN if act == "end" else RST
                parts.append(raw(draw(st.sampled_from([DATA, WINDOW])), flag, stream_id))
    return b"".join(parts)


class PropertyTests(SynchronousTestCase):
    """What holds for all bytes and all cuts."""

    @PROPERTY
    @given(dialogues(), st.lists(st.integers(0, 700), max_size=40))
    def test_any_cut_gives_the_same_events(self, data: bytes, cuts: list[int]) -> None:
        """Events and answers don't depend on how the bytes were cut, a byte at a time included."""
        whole = Session(client=False)
        whole.ping(0.0)
        expected = told(whole, data, 1.0), taken(whole)
        for pieces in cut_up(data, cuts):
            session = Session(client=False)
            session.ping(0.0)
            events = [event for piece in pieces for event in session.receive(piece, 1.0)]
            self.assertEqual((joined(events), taken(session)), expected)

    @PROPERTY
    @given(st.booleans(), st.binary(max_size=300))
    def test_noise_raises_the_declared_error_only(self, client: bool, data: bytes) -> None:
        """Any bytes are either understood or a ProtocolViolation."""
        self._feed(Session(client=client, streams=3), [data])

    @PROPERTY
    @given(st.booleans(), st.lists(FIELDS, max_size=30))
    def test_nonsense_frames_raise_the_declared_error_only(
        self, client: bool, frames: list[tuple[int, int, int, int, int, bytes]]
    ) -> None:
        """Frames with every mixture of fields are either understood or a ProtocolViolation, and hold no memory."""
        data = []
        for version, kind, flags, stream_id, length, body in frames:
            header = bytes([version]) + raw(kind, flags, stream_id, length)[1:]
            data.append(header + (body[:length] if kind == DATA else b""))
        self._feed(Session(client=client, streams=3), data)

    def _feed(self, session: Session, pieces: list[bytes]) -> None:
        stream_id = session.open()
        session.write(stream_id, b"x" * 100)
        received = 0
        with contextlib.suppress(ProtocolViolation):
            for piece in pieces:
                for event in session.receive(piece, 0.0):
                    if isinstance(event, DataReceived):
                        received += len(event.data)
                        session.consumed(event.stream_id, len(event.data), 0.0)
        came = sum(map(len, pieces))
        self.assertLessEqual(received, came)
        self.assertLessEqual(session.stream_count, 3)
        self.assertLessEqual(len(taken(session)), came + 112)

"""Streams of a session: how they live, share the link, and grow their windows."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.link.events import StreamEnded, StreamOpened, StreamRefused, StreamReset, WentAway
from p2p.link.mux import INITIAL_WINDOW, MAX_FRAME, Session, TooManyStreams
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
    Frame,
    FrameReader,
    hexed,
    joined,
    opened,
    raw,
    shuttle,
    taken,
    told,
)


class StreamLifeTests(SynchronousTestCase):
    """Streams begin, end by halves, and leave nothing behind."""

    def test_half_close(self) -> None:
        """A stream that one side ended carries the other direction until that ends too."""
        client, server = Session(client=True), Session(client=False)
        stream_id = client.open()
        client.write(stream_id, b"question")
        client.finish(stream_id)
        self.assertEqual(
            joined(shuttle(client, server)[1]),
            [StreamOpened(stream_id), (stream_id, b"question"), StreamEnded(stream_id)],
        )
        self.assertTrue(client.is_open(stream_id) and server.is_open(stream_id))
        server.write(stream_id, b"answer")
        self.assertEqual(joined(shuttle(client, server)[0]), [(stream_id, b"answer")])
        server.finish(stream_id)
        self.assertEqual(shuttle(client, server)[0], [StreamEnded(stream_id)])
        self.assertEqual((client.stream_count, server.stream_count), (0, 0))

    def test_ended_by_peer_first(self) -> None:
        """Whoever ends second closes the stream as its last frame leaves, not before."""
        session = opened(1)
        session.receive(raw(DATA, FIN, 1), 0.0)
        session.write(1, b"last")
        session.finish(1)
        self.assertEqual(session.stream_count, 1)
        self.assertEqual(taken(session), raw(DATA, 0, 1, body=b"last") + raw(DATA, FIN, 1))
        self.assertEqual(session.stream_count, 0)

    def test_end_waits_for_the_window(self) -> None:
        """FIN comes after all bytes, also when they had to wait for credit; and then the stream is gone."""
        session = opened(1)
        session.receive(raw(DATA, FIN, 1), 0.0)
        session.write(1, bytes(INITIAL_WINDOW + 10))
        session.finish(1)
        first = FrameReader().feed(taken(session))
        self.assertEqual([(frame.flags, frame.length) for frame in first], [(0, INITIAL_WINDOW)])
        self.assertFalse(session.has_output)
        self.assertEqual((session.stream_count, session.queued(1)), (1, 10))
        session.receive(raw(WINDOW, 0, 1, 0), 0.0)
        self.assertFalse(session.has_output)
        session.receive(raw(WINDOW, 0, 1, 100), 0.0)
        last = [Frame(DATA, 0, 1, 10, bytes(10)), Frame(DATA, FIN, 1, 0)]
        self.assertEqual(FrameReader().feed(taken(session)), last)
        self.assertEqual(session.stream_count, 0)

    def test_nothing_after_the_end(self) -> None:
        """What is written after finish, to no stream, or empty, isn't sent."""
        session = opened(1)
        session.write(1, b"")
        session.write(99, b"x")
        session.finish(99)
        session.consumed(99, 1 << 20, 0.0)
        self.assertFalse(session.has_output)
        session.finish(1)
        session.write(1, b"late")
        self.assertEqual(taken(session), raw(DATA, FIN, 1))

    def test_no_credit_for_an_ended_direction(self) -> None:
        """Who sends nothing more needs no credit."""
        session = opened(1)
        session.receive(raw(DATA, FIN, 1, body=bytes(INITIAL_WINDOW)), 0.0)
        session.consumed(1, INITIAL_WINDOW, 0.0)
        self.assertFalse(session.has_output)

    def test_thousands_of_streams_one_after_another(self) -> None:
        """No stream leaves anything behind, however many there were."""
        client, server = Session(client=True, streams=2), Session(client=False, streams=2)
        for number in range(1000):
            stream_id = client.open()
            client.write(stream_id, b"x")
            client.finish(stream_id)
            shuttle(client, server)
            if number % 3:
                server.finish(stream_id)
            else:
                server.reset(stream_id)
            shuttle(client, server)
        self.assertEqual((client.stream_count, server.stream_count), (0, 0))

    def test_limit_of_streams(self) -> None:
        """Streams of both sides count together; beyond the limit ours raise and theirs are refused."""
        session = opened(1, streams=2)
        session.open()
        with self.assertRaises(TooManyStreams):
            session.open()
        refused = raw(DATA, SYN | FIN, 3, body=b"unwanted") + raw(WINDOW, SYN, 5)
        self.assertEqual(told(session, refused), [StreamRefused(3), StreamRefused(5)])
        self.assertEqual(session.stream_count, 2)
        session.reset(1)
        self.assertEqual(told(session, raw(WINDOW, SYN, 7)), [StreamOpened(7)])

    def test_refused_stream_is_reset_for_its_opener(self) -> None:
        """Whoever opened a refused stream hears of it, and can open another later."""
        client, server = Session(client=True, streams=2), Session(client=False, streams=1)
        kept, refused = client.open(), client.open()
        client.write(kept, b"a")
        client.write(refused, b"b")
        self.assertEqual(shuttle(client, server)[0], [StreamReset(refused)])
        self.assertTrue(client.is_open(kept))
        self.assertFalse(client.is_open(refused))

    def test_default_limit(self) -> None:
        """Unless told otherwise a link carries 256 streams."""
        session = Session(client=True)
        for _ in range(256):
            session.open()
        self.assertRaises(TooManyStreams, session.open)

    def test_ids_run_out(self) -> None:
        """After 2**31 streams of one side the link takes no more, rather than send ids that nobody can read."""
        session = Session(client=True)
        session._next_id = 0xFFFFFFFF  # the real way there takes years
        self.assertEqual(session.open(), 0xFFFFFFFF)
        with self.assertRaises(TooManyStreams):
            session.open()


class GoingAwayTests(SynchronousTestCase):
    """Either side may announce that it goes."""

    def test_we_go(self) -> None:
        """We open nothing and refuse what comes; streams under way go on."""
        session = opened(1)
        session.go_away()
        taken(session)
        with self.assertRaises(TooManyStreams):
            session.open()
        self.assertEqual(told(session, raw(DATA, SYN, 3, body=b"x")), [StreamRefused(3)])
        self.assertEqual(told(session, raw(DATA, 0, 1, body=b"x")), [(1, b"x")])

    def test_they_go(self) -> None:
        """The other side's code is told, and we open nothing more."""
        session = Session(client=True)
        self.assertFalse(session.going_away)
        self.assertEqual(told(session, hexed("00 03 0000 00000000 00000001")), [WentAway(1)])
        self.assertTrue(session.going_away)
        with self.assertRaises(TooManyStreams):
            session.open()

    def test_streams_opened_before_are_heard_of_before(self) -> None:
        """A stream whose first bytes still wait when we go is no new one: its SYN leaves before the go-away."""
        client, server = Session(client=True), Session(client=False)
        client.write(client.open(), b"queued")
        quiet = client.open()
        client.go_away()
        self.assertEqual(
            taken(client, 0),
            hexed("00 01 0001 00000001 00000000")
            + hexed("00 01 0001 00000003 00000000")
            + hexed("00 03 0000 00000000 00000000"),
        )
        client.write(quiet, b"later")
        self.assertEqual(taken(client), raw(DATA, 0, 1, body=b"queued") + raw(DATA, 0, 3, body=b"later"))
        self.assertEqual(server.stream_count, 0)

    def test_untaken_streams(self) -> None:
        """Streams that the other side hadn't acknowledged when it went were never taken; theirs don't count as ours."""
        client, server = Session(client=True), Session(client=False)
        taken_one = client.open()
        client.write(taken_one, b"x")
        server.open()
        self.assertEqual(client.untaken(), [taken_one])
        shuttle(client, server)
        self.assertEqual(client.untaken(), [])
        crossing = client.open()
        client.write(crossing, b"x")
        server.go_away()
        client.receive(taken(server), 0.0)
        self.assertEqual(client.untaken(), [crossing])
        self.assertEqual(shuttle(client, server), ([StreamReset(crossing)], [StreamRefused(crossing)]))

    def test_streams_of_a_side_that_went_are_taken(self) -> None:
        """Who went away refuses streams, not who heard of it: a stream that was on its way is served."""
        session = Session(client=False)
        self.assertEqual(
            told(session, raw(GO_AWAY, 0, 0) + raw(DATA, SYN, 1, body=b"x")), [WentAway(0), StreamOpened(1), (1, b"x")]
        )


class SchedulingTests(SynchronousTestCase):
    """Streams share the link fairly."""

    def served(self, session: Session) -> list[tuple[int, int]]:
        """The next frame with data: its stream and length."""
        frames = FrameReader().feed(taken(session, 1))
        return [(frame.stream_id, frame.length) for frame in frames if frame.length]

    def credited(self, *, streams: int = 256) -> Session:
        """A client whose peer grants every window it could ever need."""
        session = Session(client=True, streams=streams)
        for stream_id in range(1, 2 * streams, 2):
            self.assertEqual(session.open(), stream_id)
            session.receive(raw(WINDOW, ACK, stream_id, 1 << 30), 0.0)
        return session

    def test_a_film_leaves_in_large_frames(self) -> None:
        """A single stream fills whole frames, taken from writes of any size without copying."""
        session = self.credited(streams=1)
        film = bytes(300 * KIB)
        for _ in range(3):
            session.write(1, film)
        frames = FrameReader().feed(taken(session))
        self.assertEqual([frame.length for frame in frames], [MAX_FRAME] * 3 + [900 * KIB - 3 * MAX_FRAME])
        session.write(1, film)
        self.assertIs(next(part for part in session.take(1)[0] if isinstance(part, memoryview)).obj, film)

    def test_budget(self) -> None:
        """About so many bytes are given out: frames are begun while budget is left, none without; credit always."""
        session = self.credited(streams=1)
        session.write(1, bytes(4 * MAX_FRAME))
        self.assertEqual(session.take(0), ([], []))
        session.ping(0.0)
        self.assertEqual(len(taken(session, 0)), 12)
        buffers, served = session.take(MAX_FRAME + 1)
        self.assertEqual((sum(map(len, buffers)), served), (2 * (12 + MAX_FRAME), [1, 1]))
        self.assertEqual(session.queued(1), 2 * MAX_FRAME)

    def test_a_message_overtakes_films(self) -> None:
        """Once a message is written the next frame is its, however many films of many MB are queued."""
        session = self.credited(streams=64)
        for film in range(1, 101, 2):
            session.write(film, bytes(8 * 1024 * KIB))
        for _ in range(120):
            taken(session, 1)
        session.write(125, b"message")
        session.finish(125)
        self.assertEqual(self.served(session), [(125, 7)])

    def test_films_take_turns(self) -> None:
        """Streams that all have much to send get a frame each in turn."""
        session = self.credited(streams=3)
        for stream_id in (1, 3, 5):
            session.write(stream_id, bytes(8 * MAX_FRAME))
        order = [self.served(session)[0][0] for _ in range(12)]
        for start in range(0, 12, 3):
            self.assertEqual(sorted(order[start : start + 3]), [1, 3, 5])

    def test_an_endless_run_of_messages_starves_no_film(self) -> None:
        """Streams that begin all the time get no more than two frames' worth between two frames of a film."""
        session = Session(client=True)
        film = session.open()
        session.receive(raw(WINDOW, ACK, film, 1 << 30), 0.0)
        session.write(film, bytes(16 * MAX_FRAME))
        since = 0
        frames = 0
        taken(session, 1)
        while session.queued(film):
            message = session.open()
            session.write(message, bytes(100 * KIB))
            session.finish(message)
            for stream_id, length in self.served(session):
                frames += 1
                since = 0 if stream_id == film else since + length
                self.assertLessEqual(since, 2 * MAX_FRAME)
                if stream_id != film:
                    session.receive(raw(WINDOW, RST, stream_id), 0.0)
            self.assertLess(frames, 100)

    def test_pausing_keeps_nobody_fresh(self) -> None:
        """A stream that empties its queue and writes again takes its turn behind those that wait."""
        session = self.credited(streams=3)
        for film in (1, 3):
            session.write(film, bytes(8 * MAX_FRAME))
            taken(session, 1)
        session.write(5, bytes(100))
        self.assertEqual(self.served(session), [(5, 100)])
        session.write(5, bytes(100))
        self.assertEqual([self.served(session)[0][0] for _ in range(3)], [1, 3, 5])

    def test_a_kept_turn_may_lapse(self) -> None:
        """A stream whose turn comes with nothing to say sends nothing and comes back as a fresh one."""
        session = self.credited(streams=2)
        session.write(1, bytes(8 * MAX_FRAME))
        taken(session, 1)
        session.write(3, b"message")
        for _ in range(4):
            taken(session, 1)
        session.write(3, b"message")
        self.assertEqual(self.served(session), [(3, 7)])

    def test_alone_means_no_turn_to_keep(self) -> None:
        """With nobody waiting, a stream that empties its queue leaves the session without output."""
        session = self.credited(streams=1)
        session.write(1, b"x")
        taken(session)
        self.assertFalse(session.has_output)

    def test_a_blocked_stream_holds_up_nobody(self) -> None:
        """A stream without credit is passed over, and goes on when credit comes."""
        session = Session(client=True)
        blocked, free = session.open(), session.open()
        session.write(blocked, bytes(INITIAL_WINDOW + 5))
        taken(session)
        session.write(free, b"free")
        self.assertEqual(self.served(session), [(free, 4)])
        self.assertFalse(session.has_output)
        session.write(blocked, b"+")
        self.assertFalse(session.has_output)
        session.receive(raw(WINDOW, 0, blocked, 2) + raw(WINDOW, 0, blocked, 2), 0.0)
        self.assertEqual(self.served(session), [(blocked, 4)])

    def test_credit_is_used_to_the_last_byte(self) -> None:
        """A window of one byte is a window, after a full frame and on its own."""
        session = Session(client=True)
        stream_id = session.open()
        session.receive(raw(WINDOW, 0, stream_id, 1), 0.0)
        session.write(stream_id, bytes(MAX_FRAME + 3))
        sent = FrameReader().feed(taken(session))
        self.assertEqual([frame.length for frame in sent], [MAX_FRAME, 1])
        for _ in range(2):
            session.receive(raw(WINDOW, 0, stream_id, 1), 0.0)
            self.assertEqual(self.served(session), [(stream_id, 1)])
        self.assertFalse(session.has_output)

    def test_reset_while_waiting(self) -> None:
        """A stream that is reset leaves the scheduler, wherever it stood; the others keep their order."""
        for by_peer in (False, True):
            session = self.credited(streams=3)
            for stream_id in (1, 3):
                session.write(stream_id, bytes(2 * MAX_FRAME))
                taken(session, 1)
            session.write(5, b"message")
            for stream_id in (5, 1):
                if by_peer:
                    session.receive(raw(WINDOW, RST, stream_id), 0.0)
                else:
                    session.reset(stream_id)
            frames = FrameReader().feed(taken(session))
            self.assertEqual([frame.stream_id for frame in frames if frame.kind == DATA], [3])
            self.assertFalse(session.has_output)


class WindowGrowthTests(SynchronousTestCase):
    """A stream's window grows by measured need, within its caps."""

    def measured(self, *stream_ids: int, **limits: int) -> Session:
        """A server that knows its round trip is 125 ms."""
        session = opened(*stream_ids, **limits)
        session.receive(raw(PING, ACK, 0, session.ping(0.0)), 0.125)
        taken(session)
        return session

    def use(self, session: Session, stream_id: int, now: float, count: int = 128 * KIB) -> list[int]:
        """Let bytes arrive and be used up; return the credit given for them."""
        session.receive(raw(DATA, 0, stream_id, body=bytes(count)), now)
        session.consumed(stream_id, count, now)
        return [frame.length for frame in FrameReader().feed(taken(session)) if frame.kind == WINDOW]

    def test_grows_when_the_window_holds_the_sender_up(self) -> None:
        """Half a window used up within four round trips doubles it; slower use only gives credit back."""
        session = self.measured(1)
        self.assertEqual(self.use(session, 1, 1.0), [128 * KIB])
        self.assertEqual(self.use(session, 1, 1.5), [128 * KIB])
        self.assertEqual(self.use(session, 1, 1.9375), [(128 + 256) * KIB])
        self.assertEqual(self.use(session, 1, 2.0, 255 * KIB), [])
        self.assertEqual(self.use(session, 1, 2.0, 1 * KIB), [(256 + 512) * KIB])

    def test_slow_reader(self) -> None:
        """Beyond 2 MiB a window grows only while the reader has come to most of what arrived."""
        session, window = self.grown()
        unread = 512 * KIB
        session.receive(raw(DATA, 0, 1, body=bytes(unread)), 1.0)
        self.assertEqual(self.use(session, 1, 1.0, window // 2), [window // 2])
        session.consumed(1, unread, 1.0)
        self.assertEqual(self.use(session, 1, 1.0, window // 2 - unread), [window // 2 + window])

    def test_quick_reader(self) -> None:
        """A reader that has come to more than three quarters of the window isn't behind."""
        session, window = self.grown()
        session.receive(raw(DATA, 0, 1, body=bytes(window // 4 - KIB)), 1.0)
        self.assertEqual(self.use(session, 1, 1.0, window // 2), [window // 2 + window])

    def grown(self) -> tuple[Session, int]:
        """A session whose stream 1 has a window of 2 MiB, and that window."""
        session = self.measured(1)
        window = INITIAL_WINDOW
        while window < 2048 * KIB:
            window += self.use(session, 1, 1.0, window // 2)[0] - window // 2
        return session, window

    def test_busy_ends(self) -> None:
        """Beyond 2 MiB a window grows by the round trip of the way, if that is known, not by what busy ends take."""
        session, window = self.grown()
        session.way = 0.001
        self.assertEqual(self.use(session, 1, 1.005, window // 2), [window // 2])
        self.assertEqual(self.use(session, 1, 1.008, window // 2), [window // 2 + window])

    def test_unmeasured_never_grows(self) -> None:
        """Without a round trip nothing says that the window is too small."""
        session = opened(1)
        for _ in range(5):
            self.assertEqual(self.use(session, 1, 1.0), [128 * KIB])

    def test_window_max(self) -> None:
        """A window grows to window_max and no further."""
        session = self.measured(1, window_max=300 * KIB)
        given = [self.use(session, 1, 1.0, 150 * KIB) for _ in range(4)]
        self.assertEqual(given, [[150 * KIB], [194 * KIB], [150 * KIB], [150 * KIB]])

    def test_first_window_bounds_window_max_from_below(self) -> None:
        """No window is under 256 KiB, and window_max isn't under the first window."""
        session = self.measured(1, window=1, window_max=1)
        self.assertEqual([self.use(session, 1, 1.0) for _ in range(3)], [[128 * KIB]] * 3)

    def test_link_window(self) -> None:
        """All streams together grow by no more than link_window."""
        session = self.measured(1, 3, link_window=300 * KIB)
        given = [self.use(session, stream_id, 1.0) for stream_id in (1, 3, 1, 3)]
        self.assertEqual(given, [[128 * KIB], [128 * KIB], [384 * KIB], [(128 + 44) * KIB]])

    def test_defaults(self) -> None:
        """Unless told otherwise a window grows to 16 MiB, and all of a link's windows by 32 MiB together."""
        streams = (1, 3, 5, 7, 9)
        session = self.measured(*streams)
        grown = []
        for stream_id in streams:
            window = INITIAL_WINDOW
            for _ in range(8):
                given = sum(self.use(session, stream_id, 1.0, window // 2))
                window += given - window // 2
            grown.append(window - INITIAL_WINDOW)
        self.assertEqual(grown, [16 * 1024 * KIB - INITIAL_WINDOW] * 2 + [512 * KIB, 0, 0])

    def test_growth_is_given_back(self) -> None:
        """What a stream's window grew by is there for others once it is closed or reset by either side."""
        ends = {
            "closed by us": lambda session: (session.receive(raw(DATA, FIN, 1), 1.0), session.finish(1)),
            "closed by the peer": lambda session: (
                session.finish(1),
                taken(session),
                session.receive(raw(DATA, FIN, 1), 1.0),
            ),
            "reset by us": lambda session: session.reset(1),
            "reset by the peer": lambda session: session.receive(raw(WINDOW, RST, 1), 1.0),
        }
        for how, end in ends.items():
            session = self.measured(1, 3, link_window=256 * KIB)
            self.use(session, 1, 1.0)
            self.use(session, 3, 1.0)
            self.assertEqual(self.use(session, 1, 1.0), [384 * KIB], how)
            self.assertEqual(self.use(session, 3, 1.0), [128 * KIB], how)
            end(session)
            taken(session)
            self.assertFalse(session.is_open(1), how)
            self.assertEqual(self.use(session, 3, 1.0), [384 * KIB], how)
            self.assertEqual(self.use(session, 3, 1.0, 256 * KIB), [256 * KIB], how)

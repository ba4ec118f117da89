"""Two sessions joined by a pair of pipes, driven at random and compared with a simple model."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from p2p.link.events import DataReceived, Event, StreamEnded, StreamOpened, StreamReset
from p2p.link.mux import INITIAL_WINDOW, MAX_FRAME, Session, TooManyStreams
from test.link.frames import DATA, WINDOW, FrameReader
from test.properties import PROPERTY

STREAMS: Final = 5
FIRST_WINDOW: Final = INITIAL_WINDOW + 50_000
WINDOW_MAX: Final = 1024 * 1024
LINK_WINDOW: Final = 1500 * 1000
SIZES: Final = (1, 500, 40_000, 300_000, 900_000)

CONTENT: Final = Random(1).randbytes(1 << 20) * 2
"""Every stream's bytes are a stretch of this, from a place of its own, over and over."""


def content(sender: int, stream_id: int, start: int, size: int) -> memoryview:
    """The bytes of a stream from ``start``, at most a MiB."""
    first = (stream_id * 7919 + sender * 104729 + start) % (1 << 20)
    return memoryview(CONTENT)[first : first + size]


class End:
    """One session, its user, and what is known of both."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.session = Session(
            client=number == 0, streams=STREAMS, window=FIRST_WINDOW, window_max=WINDOW_MAX, link_window=LINK_WINDOW
        )
        self.in_flight = b""
        self.arrivals = FrameReader()
        self.known: set[int] = set()
        self.written: Counter[int] = Counter()
        self.received: Counter[int] = Counter()
        self.held: Counter[int] = Counter()
        self.ended: set[int] = set()
        self.lost: set[int] = set()
        self.allowance: Counter[int] = Counter()  # beyond INITIAL_WINDOW, as window updates on the wire say

    def open(self) -> None:
        try:
            stream_id = self.session.open()
        except TooManyStreams:
            assert self.session.stream_count == STREAMS or self.session.going_away
        else:
            assert stream_id not in self.known
            self.known.add(stream_id)

    def write(self, stream_id: int, size: int) -> None:
        before = self.session.queued(stream_id)
        self.session.write(stream_id, content(self.number, stream_id, self.written[stream_id], size))
        self.written[stream_id] += self.session.queued(stream_id) - before

    def reset(self, stream_id: int) -> None:
        if self.session.is_open(stream_id):
            self.lost.add(stream_id)
        self.session.reset(stream_id)
        assert self.session.queued(stream_id) == 0

    def consume(self, stream_id: int, portion: float, now: float) -> None:
        count = int(self.held[stream_id] * portion)
        self.held[stream_id] -= count
        self.session.consumed(stream_id, count, now)

    def send(self, budget: int) -> None:
        """Put frames in flight; none is too large or more than the other side has granted."""
        sent = b"".join(self.session.take(budget)[0])
        for frame in FrameReader().feed(sent):
            if frame.kind == DATA:
                assert frame.length <= MAX_FRAME
                self.allowance[frame.stream_id] -= frame.length
                assert self.allowance[frame.stream_id] >= -INITIAL_WINDOW
        self.in_flight += sent

    def arrive(self, data: bytes, now: float) -> None:
        """Take bytes in; they are the stream's next ones, and no more of them wait than windows allow."""
        for frame in self.arrivals.feed(data):
            if frame.kind == WINDOW:
                self.allowance[frame.stream_id] += frame.length
        for event in self.session.receive(data, now):
            self.learn(event)
        assert self.session.stream_count <= STREAMS
        assert max(self.held.values(), default=0) <= WINDOW_MAX
        assert sum(self.held[stream_id] for stream_id in self.open_streams()) <= STREAMS * FIRST_WINDOW + LINK_WINDOW

    def learn(self, event: Event) -> None:
        if isinstance(event, StreamOpened):
            assert event.stream_id not in self.known
            self.known.add(event.stream_id)
        elif isinstance(event, DataReceived):
            stream_id, size = event.stream_id, len(event.data)
            assert size > 0
            assert stream_id in self.known - self.ended - self.lost
            assert content(1 - self.number, stream_id, self.received[stream_id], size) == event.data
            self.received[stream_id] += size
            self.held[stream_id] += size
        elif isinstance(event, StreamEnded):
            assert event.stream_id in self.known - self.ended - self.lost
            self.ended.add(event.stream_id)
        elif isinstance(event, StreamReset):
            assert event.stream_id in self.known - self.lost
            self.lost.add(event.stream_id)

    def open_streams(self) -> list[int]:
        return sorted(stream_id for stream_id in self.known if self.session.is_open(stream_id))


class Conversation(RuleBasedStateMachine):
    """Any user on either side, any cut of the bytes, any delay."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = (End(0), End(1))
        self.now = 0.0

    sides = st.sampled_from([0, 1])

    def pick(self, side: int, number: int) -> int:
        """A stream that the end knows; one that it never had if it knows none."""
        known = self.ends[side].open_streams() or sorted(self.ends[side].known)
        return known[number % len(known)] if known else 99

    @rule(side=sides)
    def open_stream(self, side: int) -> None:
        self.ends[side].open()

    @rule(side=sides, number=st.integers(0, 9), size=st.sampled_from(SIZES))
    def write(self, side: int, number: int, size: int) -> None:
        self.ends[side].write(self.pick(side, number), size)

    @rule(side=sides, size=st.sampled_from(SIZES), end=st.booleans())
    def open_and_write(self, side: int, size: int, end: bool) -> None:
        self.ends[side].open()
        stream_id = max(self.ends[side].known, default=99)
        self.ends[side].write(stream_id, size)
        if end:
            self.ends[side].session.finish(stream_id)

    @rule(side=sides, number=st.integers(0, 9))
    def finish(self, side: int, number: int) -> None:
        self.ends[side].session.finish(self.pick(side, number))

    @rule(side=sides, number=st.integers(0, 9))
    def reset(self, side: int, number: int) -> None:
        self.ends[side].reset(self.pick(side, number))

    @rule(side=sides, number=st.integers(0, 9), portion=st.sampled_from([0.01, 0.5, 1.0]))
    def consume(self, side: int, number: int, portion: float) -> None:
        self.ends[side].consume(self.pick(side, number), portion, self.now)

    @rule(side=sides)
    def ping(self, side: int) -> None:
        self.ends[side].session.ping(self.now)

    @rule(seconds=st.sampled_from([0.001, 0.1, 2.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(side=sides, budget=st.sampled_from([0, 1, 300_000, 1 << 24]))
    def send(self, side: int, budget: int) -> None:
        self.ends[side].send(budget)

    @rule(side=sides, size=st.sampled_from([1, 13, 5000, 65536, 1 << 24]))
    def deliver(self, side: int, size: int) -> None:
        """The other end gets some of what this side has in flight."""
        sender = self.ends[side]
        data, sender.in_flight = sender.in_flight[:size], sender.in_flight[size:]
        self.ends[1 - side].arrive(data, self.now)

    @rule(side=sides)
    def flow(self, side: int) -> None:
        """Everything goes over and is used up."""
        self.send(side, 1 << 24)
        self.deliver(side, 1 << 24)
        for stream_id in self.ends[1 - side].open_streams():
            self.ends[1 - side].consume(stream_id, 1.0, self.now)

    @invariant()
    def queues_are_counted(self) -> None:
        """What is queued or was sent is what was written."""
        for end in self.ends:
            for stream_id in end.known:
                assert 0 <= end.session.queued(stream_id) <= end.written[stream_id]

    def teardown(self) -> None:
        """All streams end, one side goes away: what wasn't reset has arrived whole, and nothing is left."""
        one, other = self.ends
        one.open()
        for end in self.ends:
            for stream_id in end.open_streams():
                end.write(stream_id, 1000)
        one.session.go_away()
        for _ in range(200):
            for side in (0, 1):
                for stream_id in self.ends[side].open_streams():
                    self.ends[side].session.finish(stream_id)
                self.flow(side)
            if not any(end.session.stream_count or end.session.has_output or end.in_flight for end in self.ends):
                break
        assert (one.session.stream_count, other.session.stream_count) == (0, 0)
        assert not (one.session.has_output or other.session.has_output)
        lost = one.lost | other.lost
        for sender, receiver in ((one, other), (other, one)):
            for stream_id in sender.known - lost:
                assert receiver.received[stream_id] == sender.written[stream_id]
                assert stream_id in receiver.ended
            for stream_id in lost:
                assert receiver.received[stream_id] <= sender.written[stream_id]


class ConversationTests(SynchronousTestCase):
    """What users on both sides can rely on."""

    def test_conversations(self) -> None:
        """What is written arrives whole and in order, within all windows, and no stream is left in the end."""
        run_state_machine_as_test(Conversation, settings=settings(PROPERTY, max_examples=150, stateful_step_count=50))

"""What links hold: each limit of the configuration is met, by the one who is to meet it, and nobody else suffers."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import PeerLimits
from p2p.base.errors import ExchangeFailed, Outcome
from p2p.base.scopes import STREAM_COST, Full, StreamScope, System
from p2p.base.ticket import NONCE_BYTES, Ticket
from p2p.link.held import Held
from p2p.link.hello import LinkTerms
from p2p.link.mux import INITIAL_WINDOW, TooManyStreams
from test.link.links import Collector, LinkCase

KIB = 1024


class HeldCase(SynchronousTestCase):
    """The links of one daemon, m4.m's."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.gone: list[str] = []
        self.limit()

    def limit(self, **limits: int) -> None:
        """Begin anew with other limits."""
        self.system: System = PeerLimits().model_copy(update=limits).scopes()

    def link(self, remote: str) -> Held:
        """A link that stands."""
        terms = LinkTerms(Ticket(bytes(NONCE_BYTES), remote, "m4.m", 30.0), dialler=True, plain=False)
        held = Held(
            terms,
            self.system,
            self.clock,
            lambda reason: self.gone.append(f"{remote}: {reason}"),
            lambda stream_id, reason: self.gone.append(f"{remote} {stream_id}: {reason}"),
        )
        held.begin()
        return held

    def streams(self, held: Held, *sizes: int) -> list[StreamScope]:
        """Streams 1, 2 and so on that hold so many KiB."""
        streams = [held.stream(number) for number in range(1, len(sizes) + 1)]
        for stream, size in zip(streams, sizes, strict=True):
            stream.bytes_held().set(size * KIB)
        return streams

    def ended(self) -> list[str]:
        """Who was told to end, since the last time, by the reactor's next turn."""
        self.clock.advance(0)
        gone, self.gone = self.gone, []
        return gone


class MemoryTests(HeldCase):
    """Bytes of memory."""

    def test_stream(self) -> None:
        """*stream_memory_bytes*: the stream is reset."""
        self.limit(stream_memory_bytes=100 * KIB)
        self.streams(self.link("n1.n"), 10, 200)
        used = 200 * KIB + STREAM_COST
        reason = f"n1.n has {used} bytes of memory here, and stream_memory_bytes is {100 * KIB}"
        self.assertEqual([f"n1.n 2: {reason}"], self.ended())

    def test_link(self) -> None:
        """*link_memory_bytes*: the link's largest stream is reset."""
        self.limit(link_memory_bytes=200 * KIB)
        self.streams(self.link("n1.n"), 100, 60, 1)
        (gone,) = self.ended()
        self.assertRegex(gone, "n1.n 1: .*and link_memory_bytes is")

    def test_peer(self) -> None:
        """*peer_memory_bytes*, on all links of that peer."""
        self.limit(peer_memory_bytes=200 * KIB)
        self.streams(self.link("n1.n"), 100)
        self.streams(self.link("n1.n"), 80)
        self.streams(self.link("n2.n"), 150)
        (gone,) = self.ended()
        self.assertRegex(gone, "n1.n 1: .*and peer_memory_bytes is")

    def test_all(self) -> None:
        """*memory_bytes*: of all peers, the one with the most loses a stream, and not the one that comes last."""
        self.limit(memory_bytes=400 * KIB)
        self.streams(self.link("n1.n"), *[20] * 7)
        self.streams(self.link("n2.n"), 100)
        self.assertEqual([], self.ended())
        self.streams(self.link("n3.n"), 40)
        (gone,) = self.ended()
        self.assertRegex(gone, "n1.n 1: all peers have, n1.n the most, .*and memory_bytes is")

    def test_unsent(self) -> None:
        """What the system hasn't taken counts for the link, which is cut if its streams have nothing."""
        self.limit(link_memory_bytes=200 * KIB)
        held = self.link("n1.n")
        held.unsent(256 * KIB)
        (gone,) = self.ended()
        self.assertRegex(gone, "^n1.n: .*and link_memory_bytes is")
        held.end()
        self.assertEqual(0, self.system.memory)

    def test_cut_once(self) -> None:
        """A link that is cut has no streams to reset, and one that is gone is told nothing more."""
        self.limit(link_memory_bytes=100 * KIB)
        held = self.link("n1.n")
        held.unsent(256 * KIB)
        held.end()
        self.assertEqual(([], []), (self.ended(), self.clock.getDelayedCalls()))


class StreamsTests(HeldCase):
    """Streams."""

    def test_peer(self) -> None:
        """*peer_streams*, on all links of that peer: one more is refused."""
        self.limit(peer_streams=4)
        held = [self.link("n1.n"), self.link("n1.n")]
        self.streams(held[0], 1, 1, 1)
        self.streams(held[1], 1)
        self.assertRaisesRegex(Full, "peer_streams is 4", held[1].stream, 9)
        self.link("n2.n").stream(1)

    def test_all(self) -> None:
        """*all_streams*: the peer with the most loses one."""
        self.limit(all_streams=4)
        self.streams(self.link("n1.n"), 1, 90, 1)
        self.streams(self.link("n2.n"), 1, 1)
        (gone,) = self.ended()
        self.assertRegex(gone, "n1.n 2: .*4 streams here, and all_streams is 4")


class DescriptorsTests(HeldCase):
    """Descriptors."""

    def open(self, held: Held, *counts: int) -> None:
        """Streams that have so many open."""
        for stream, count in zip(self.streams(held, *[1] * len(counts)), counts, strict=True):
            stream.files_open().set(count)

    def test_stream(self) -> None:
        """*stream_descriptors*: the stream is reset."""
        self.limit(stream_descriptors=5)
        self.open(self.link("n1.n"), 5, 6)
        (gone,) = self.ended()
        self.assertRegex(gone, "n1.n 2: .*6 descriptors here, and stream_descriptors is 5")

    def test_link(self) -> None:
        """*link_descriptors*: the stream with the most is reset."""
        self.limit(link_descriptors=10)
        self.open(self.link("n1.n"), 5, 3, 2)
        (gone,) = self.ended()
        self.assertRegex(gone, "n1.n 1: .*and link_descriptors is 10")

    def test_peer(self) -> None:
        """*peer_descriptors*: likewise; one more link is refused."""
        self.limit(peer_descriptors=10)
        self.open(self.link("n1.n"), 5)
        self.open(self.link("n1.n"), 4)
        (gone,) = self.ended()
        self.assertRegex(gone, "n1.n 1: .*and peer_descriptors is 10")
        self.limit(peer_descriptors=1)
        self.link("n1.n")
        self.assertRaisesRegex(Full, "peer_descriptors is 1", self.link, "n1.n")

    def test_all(self) -> None:
        """*descriptors*: the peer with the most gives way; they are half of the process' own at most."""
        self.limit(descriptors=10)
        self.open(self.link("n1.n"), 3, 4)
        self.open(self.link("n2.n"), 2)
        (gone,) = self.ended()
        self.assertRegex(gone, "n1.n 2: .*and descriptors is 10")
        self.system = PeerLimits(descriptors=100).scopes(20)
        self.open(self.link("n1.n"), 9)
        self.assertEqual([], self.ended())
        self.open(self.link("n2.n"), 1)
        self.assertEqual(1, len(self.ended()))


class LinkTests(LinkCase):
    """The same on real ends."""

    def test_reset(self) -> None:
        """A stream that keeps too much of what arrives is reset, both its ends are told, and the others go on."""
        ends = self.ends(stream_memory_bytes=100 * KIB)
        ends.stand()
        near, far = ends.stream()
        mine, other = Collector(near), Collector(far)
        far.pauseProducing()
        near.write(b"x" * 120 * KIB)
        ends.network.settle()
        (told,) = other.ends
        self.assertIs(Outcome.RESET, told.outcome)
        self.assertRegex(str(told), "stream_memory_bytes is 102400")
        self.assertIsInstance(mine.ends[0], ExchangeFailed)
        again, there = ends.stream()
        got = Collector(there)
        again.write(b"y" * 50 * KIB)
        ends.network.settle()
        self.assertEqual(50 * KIB + 1, len(got.data))

    def test_refused_stream(self) -> None:
        """A stream for which there is no room is reset when the other side opens it, and isn't opened from here."""
        ends = self.ends(peer_streams=1)
        dialler, _ = ends.stand()
        ends.stream()
        self.assertRaisesRegex(TooManyStreams, "peer_streams is 1", dialler.open_stream)
        self.assertEqual(1, dialler.stream_count)

    def test_nothing_is_left(self) -> None:
        """When an exchange is over, and when a link is, nothing of it counts any more."""
        ends = self.ends()
        dialler, listener = ends.stand()
        systems = [link._held._system for link in (dialler, listener)]
        near, far = ends.stream()
        for stream in (near, far):
            Collector(stream)
            stream.write(b"x" * 300 * KIB)
            stream.finish()
        ends.network.settle()
        self.assertEqual([(0, 0, 1)] * 2, [(one.memory, one.streams, one.descriptors) for one in systems])
        ends.stream()
        dialler.close()
        near.reset()
        dialler.abort("it is over")
        ends.network.settle()
        self.assertEqual([(0, 0, 0)] * 2, [(one.memory, one.streams, one.descriptors) for one in systems])

    def test_first_window(self) -> None:
        """A window that is larger from the beginning counts from the beginning."""
        ends = self.ends(window_bytes=INITIAL_WINDOW + 64 * KIB)
        dialler, _ = ends.stand()
        dialler.open_stream()
        self.assertEqual(STREAM_COST + 64 * KIB, dialler._held._system.memory)

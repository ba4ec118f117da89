"""Tests for :mod:`p2p.base.scopes`."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.scopes import STEP, STREAM_COST, Full, Holding, LinkScope, ScopeBounds, StreamScope, System

KIB = 1024
NAMES = ("memory", "streams", "descriptors")


def bounds(memory: int, streams: int, descriptors: int) -> ScopeBounds:
    """Bounds that go by their own names."""
    return ScopeBounds((memory, streams, descriptors), NAMES)


class ScopesCase(SynchronousTestCase):
    """A daemon whose streams and links end as soon as they are told to, or don't."""

    def setUp(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.make()

    def make(self, **different: ScopeBounds) -> None:
        """Begin with other bounds."""
        usual = {
            "daemon": bounds(1000 * KIB, 20, 40),
            "peer": bounds(800 * KIB, 12, 20),
            "link": bounds(600 * KIB, 8, 12),
            "stream": bounds(400 * KIB, 1, 6),
        }
        self.system = System(**(usual | different))

    def link(self, peer: str = "n1.n", label: str = "link") -> LinkScope:
        """Begin a link."""
        return self.system.link(peer, partial(self._tell, f"{peer} {label}"))

    def stream(self, link: LinkScope, label: str = "a") -> StreamScope:
        """Begin a stream."""
        return link.stream(partial(self._tell, f"{link.who} {label}"))

    def holding(self, link: LinkScope, label: str, size: int) -> Holding:
        """Begin a stream that holds so many KiB besides what it costs anyway."""
        held = self.stream(link, label).bytes_held()
        held.set(size * KIB)
        return held

    def _tell(self, who: str, reason: str) -> None:
        self.told.append((who, reason))

    def gave_way(self) -> list[str]:
        """Who was told to give way since this was asked last."""
        told = [who for who, _ in self.told]
        self.told.clear()
        return told

    def used(self, scope: Any = None) -> tuple[int, int, int]:
        """What a scope holds."""
        scope = scope or self.system
        return scope.memory, scope.streams, scope.descriptors


class CountingTests(ScopesCase):
    """What counts where, and for how long."""

    def test_nested(self) -> None:
        """What a stream holds counts for it, its link, its peer and the daemon."""
        link, other = self.link(), self.link()
        stream = self.stream(link)
        stream.bytes_held().set(10 * KIB)
        stream.files_open().set(2)
        mine = (STREAM_COST + 10 * KIB, 1, 2)
        self.assertEqual(mine, self.used(stream))
        self.assertEqual((mine[0], 1, 3), self.used(link))
        self.assertEqual((0, 0, 1), self.used(other))
        self.assertEqual((mine[0], 1, 4), self.used(link.around))
        self.assertEqual((mine[0], 1, 4), self.used())

    def test_given_back(self) -> None:
        """When streams and links are over, and nothing is held any more, nothing counts and nobody is remembered."""
        link = self.link()
        stream = self.stream(link)
        held = stream.bytes_held()
        held.set(100 * KIB)
        held.set(0)
        stream.end()
        stream.end()
        link.end()
        self.assertEqual((0, 0, 0), self.used())
        self.assertEqual({}, self.system._within)

    def test_held_beyond_the_end(self) -> None:
        """What a thread still has of a stream that is over counts until it lets go of it, even if the link is gone."""
        link = self.link()
        stream = self.stream(link)
        held = stream.bytes_held()
        held.set(100 * KIB)
        stream.end()
        link.end()
        self.assertEqual((100 * KIB, 0, 0), self.used())
        held.set(0)
        self.assertEqual((0, 0, 0), self.used())
        self.assertEqual({}, self.system._within)

    def test_steps(self) -> None:
        """Small changes aren't counted, so that they cost nothing; all of them together are within a stream's cost."""
        link = self.link()
        held = self.holding(link, "a", 0)
        before = self.used()
        held.set(STEP - 1)
        self.assertEqual(before, self.used())
        held.set(STEP)
        self.assertEqual(before[0] + STEP, self.used()[0])
        held.set(1)
        self.assertEqual(before[0] + STEP, self.used()[0])
        held.set(0)
        self.assertEqual(before, self.used())


class GivingWayTests(ScopesCase):
    """Who gives way where a bound is passed, and what is told."""

    def test_stream(self) -> None:
        """A stream that holds too much gives way itself."""
        link = self.link()
        self.holding(link, "a", 100)
        self.holding(link, "b", 400)
        self.assertEqual(
            [("n1.n b", f"n1.n has {416 * KIB} bytes of memory here, and memory is {400 * KIB}")], self.told
        )

    def test_link(self) -> None:
        """Where a link holds too much, its largest stream gives way, whoever came last."""
        link = self.link()
        self.holding(link, "a", 350)
        self.holding(link, "b", 100)
        self.holding(link, "c", 110)
        self.assertEqual(["n1.n a"], self.gave_way())

    def test_peer(self) -> None:
        """Where a peer holds too much, it is the largest stream of its largest link."""
        first, second = self.link(), self.link()
        self.holding(first, "a", 300)
        self.holding(first, "b", 200)
        self.holding(second, "c", 200)
        self.assertEqual([], self.gave_way())
        self.holding(second, "d", 50)
        self.assertEqual(["n1.n a"], self.gave_way())

    def test_system(self) -> None:
        """A full daemon has the peer that holds the most give way, and not the one that asks."""
        hostile, honest = self.link("n1.n"), self.link("n2.n")
        self.holding(hostile, "a", 300)
        self.holding(hostile, "b", 200)
        self.holding(honest, "c", 200)
        self.holding(honest, "d", 240)
        self.assertEqual(["n1.n a"], self.gave_way())

    def test_several(self) -> None:
        """As many give way as are needed."""
        for hostile in (self.link("n1.n"), self.link("n1.n")):
            for label in "abcd":
                self.holding(hostile, label, 80)
        self.holding(self.link("n2.n"), "e", 380)
        self.assertEqual(["n1.n a", "n1.n a"], self.gave_way())

    def test_leaving(self) -> None:
        """Who was told to give way isn't told again, and isn't counted above until it has gone."""
        link = self.link()
        stream = self.stream(link, "a")
        held = stream.bytes_held()
        held.set(500 * KIB)
        held.set(550 * KIB)
        self.assertEqual(["n1.n a"], self.gave_way())
        self.assertEqual((0, 0, 1), self.used())
        stream.end()
        self.assertEqual((550 * KIB, 0, 1), self.used())
        held.set(0)
        self.assertEqual((0, 0, 1), self.used())

    def test_nobody_is_left(self) -> None:
        """What streams held that are over can't give way: the one that asks does."""
        link = self.link()
        old = self.stream(link, "a")
        old.bytes_held().set(380 * KIB)
        old.end()
        self.holding(link, "b", 250)
        self.assertEqual(["n1.n b"], self.gave_way())
        link.end()
        other = self.link("n2.n")
        ended = self.stream(other)
        held = ended.bytes_held()
        ended.end()
        held.set(390 * KIB)
        self.assertEqual([], self.gave_way())

    def test_link_itself(self) -> None:
        """A link whose streams hold nothing gives way itself, and once it does, nothing of it counts above."""
        link = self.link("n1.n", "itself")
        held = link.bytes_held()
        held.set(500 * KIB)
        self.assertEqual([], self.gave_way())
        held.set(601 * KIB)
        self.assertEqual(["n1.n itself"], self.gave_way())
        self.assertEqual((0, 0, 0), self.used())
        held.set(0)
        link.end()
        self.assertEqual({}, self.system._within)

    def test_descriptors(self) -> None:
        """Descriptors are bounded as memory is: by stream, link, peer, and all together."""
        first, second, third = self.link("n1.n"), self.link("n1.n"), self.link("n2.n")
        self.stream(first, "a").files_open().set(7)
        self.assertEqual([("n1.n a", "n1.n has 7 descriptors here, and descriptors is 6")], self.told)
        self.gave_way()
        self.stream(first, "b").files_open().set(6)
        self.stream(first, "c").files_open().set(6)
        self.assertEqual(["n1.n b"], self.gave_way())
        for label in "def":
            self.stream(second, label).files_open().set(4)
        self.assertEqual(["n1.n d"], self.gave_way())
        for label in "ghi":
            self.stream(third, label).files_open().set(3)
        self.assertEqual([], self.gave_way())


class RoomTests(ScopesCase):
    """Whether there is room for one more stream or link."""

    def test_streams_of_a_link(self) -> None:
        """A link has only so many streams; when one has ended, there is room."""
        link = self.link()
        first = self.stream(link)
        for _ in range(7):
            self.stream(link)
        told = self.assertRaises(Full, self.stream, link)
        self.assertEqual("n1.n has 8 streams here, and streams is 8", str(told))
        first.end()
        self.stream(link)

    def test_streams_of_a_peer(self) -> None:
        """So has a peer on all of its links."""
        links = [self.link(), self.link()]
        for number in range(12):
            self.stream(links[number % 2])
        self.assertRaises(Full, self.stream, links[0])

    def test_streams_of_all(self) -> None:
        """Where there are too many of all peers, the one with the most gives one up, unless that is who asks."""
        first, second, third = self.link("n1.n"), self.link("n2.n"), self.link("n3.n")
        for link, number in ((first, 8), (second, 7), (third, 5)):
            for label in range(number):
                self.stream(link, str(label)).bytes_held().set(label * STEP)
        told = self.assertRaises(Full, self.stream, self.system.link("n1.n", lambda reason: None))
        self.assertEqual("all peers have, n1.n the most, 20 streams here, and streams is 20", str(told))
        self.assertEqual([], self.gave_way())
        self.stream(third)
        self.assertEqual(["n1.n 7"], self.gave_way())

    def test_links(self) -> None:
        """A peer has only so many links."""
        self.make(peer=bounds(800 * KIB, 12, 2))
        first, _ = self.link(), self.link()
        self.assertRaises(Full, self.link)
        first.end()
        self.link()

    def test_links_of_all(self) -> None:
        """Where there are too many of all peers, one of the peer with the most gives way; a new peer gets in."""
        self.make(daemon=bounds(1000 * KIB, 20, 3))
        self.link("n1.n", "first")
        self.link("n1.n", "second")
        self.link("n2.n")
        self.link("n3.n")
        self.assertEqual(["n1.n first"], self.gave_way())
        self.make(daemon=bounds(1000 * KIB, 20, 0))
        self.assertRaises(Full, self.link)
        self.assertEqual({}, self.system._within)


class PressureTests(ScopesCase):
    """What is done without when much is held already."""

    def test_pressed(self) -> None:
        """A stream is pressed when it, its link, its peer or the daemon is more than half full."""
        link = self.link()
        small = self.stream(link, "a")
        self.assertFalse(small.pressed)
        large = self.holding(link, "b", 300)
        self.assertTrue(small.pressed)
        large.set(0)
        self.assertFalse(small.pressed)
        elsewhere = [self.holding(self.link(peer), peer, 250) for peer in ("n2.n", "n3.n")]
        self.assertTrue(small.pressed)
        elsewhere[0].set(0)
        self.assertFalse(small.pressed)

    def test_try(self) -> None:
        """What isn't needed is held only if nothing gets pressed by it, and nobody gives way for it."""
        stream = self.stream(self.link())
        held = stream.bytes_held()
        self.assertTrue(held.try_to_add(184 * KIB))
        self.assertFalse(stream.pressed)
        self.assertFalse(held.try_to_add(1))
        self.assertEqual(200 * KIB, stream.memory)
        held.set(0)
        self.assertEqual(STREAM_COST, stream.memory)
        self.assertEqual([], self.told)


class BooksTests(ScopesCase):
    """The books are right, whatever happens."""

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["link", "stream", "memory", "files", "end stream", "end link"]),
                st.integers(0, 5),
                st.integers(0, 500),
            ),
            max_size=60,
        )
    )
    def test_balance(self, steps: list[tuple[str, int, int]]) -> None:
        """No scope is over its bound as long as somebody can give way; at the end, nothing is held by nobody."""
        self.setUp()
        links: list[LinkScope] = []
        streams: list[StreamScope] = []
        held: list[Holding] = []
        for what, which, size in steps:
            try:
                if what == "link":
                    links.append(self.link(f"n{which}.n"))
                elif what == "stream" and links:
                    streams.append(self.stream(links[which % len(links)]))
                    held += [streams[-1].bytes_held(), streams[-1].files_open()]
            except Full:
                continue
            if held and what == "memory":
                held[which * 2 % len(held)].set(size * KIB)
            elif held and what == "files":
                held[(which * 2 + 1) % len(held)].set(size // 80)
            elif streams and what == "end stream":
                streams[which % len(streams)].end()
            elif links and what == "end link":
                links[which % len(links)].end()
            self.assertTrue(all(amount >= 0 for amount in self.used()))
            self.assertLessEqual(self.system.streams, 20)
        for one in held:
            one.set(0)
        for scope in [*streams, *links]:
            scope.end()
        self.assertEqual(((0, 0, 0), {}), (self.used(), self.system._within))

"""Tests of who may open one more connection, and who makes way for whom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.control.admission import KNOWN, Admission, Crowded, Place, Slots, source_of
from test.properties import PROPERTY


class AdmissionTests(SynchronousTestCase):
    def speaking(self, admission: Admission, *addresses: str) -> list[Place]:
        """Places of connections that have said something, but not who they are."""
        places = []
        for address in addresses:
            place, _ = admission.enter(address)
            place.heard()
            places.append(place)
        return places

    def test_total(self) -> None:
        """Where all have said something and nobody has more than whoever comes, nobody is let in until one leaves."""
        admission = Admission(total=3, per_source=2)
        first, *_ = self.speaking(admission, "192.0.2.1", "192.0.2.2", "192.0.2.3")
        fourth, way = admission.enter("192.0.2.4")
        self.assertIs(first, way)  # they have one each, and it has none
        fourth.heard()
        self.assertEqual(3, admission.pending)
        error = self.assertRaises(Crowded, admission.enter, "192.0.2.3")
        self.assertEqual("3 connections are not yet authenticated, which is the limit", str(error))
        fourth.leave()
        admission.enter("192.0.2.3")[0].leave()

    def test_per_source(self) -> None:
        """One source can't take the places of the others; of its own, the oldest that is silent makes way."""
        admission = Admission(total=100, per_source=2)
        self.speaking(admission, "192.0.2.1")
        silent, none = admission.enter("192.0.2.1")
        self.assertIsNone(none)
        newer, way = admission.enter("192.0.2.1")
        self.assertIs(silent, way)
        newer.heard()
        error = self.assertRaises(Crowded, admission.enter, "192.0.2.1")
        self.assertEqual("2 connections from 192.0.2.1 are not yet authenticated, which is the limit", str(error))
        self.assertIsNone(admission.enter("192.0.2.9")[1])
        newer.leave()
        self.assertIsNone(admission.enter("192.0.2.1")[1])

    def test_silent_ones_make_way(self) -> None:
        """The oldest that says nothing makes way, not one that speaks, however long that has been there."""
        admission = Admission(total=3, per_source=3)
        self.speaking(admission, "192.0.2.1")
        second, third = (admission.enter(f"192.0.2.{number}")[0] for number in (2, 3))
        self.assertEqual([second, third], [admission.enter("192.0.2.4")[1], admission.enter("192.0.2.4")[1]])
        self.assertEqual(3, admission.pending)

    def test_the_greedy_make_way(self) -> None:
        """If none is silent, the oldest of the source with the most makes way, but not for one that has as many."""
        admission = Admission(total=4, per_source=4)
        _, second, third, _ = self.speaking(admission, *["192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.3"])
        place, way = admission.enter("192.0.2.9")
        self.assertIs(second, way)
        place.heard()
        self.assertRaises(Crowded, admission.enter, "192.0.2.9")
        third.leave()

    def test_kept_for_the_known(self) -> None:
        """Some places are kept for sources from which somebody was let in; these don't make way for strangers."""
        admission = Admission(total=4, per_source=4, kept=2)
        admission.enter("192.0.2.1")[0].leave(known=True)
        mine, _ = admission.enter("192.0.2.1")
        self.speaking(admission, "192.0.2.2")
        self.assertIsNotNone(admission.enter("192.0.2.3")[1])  # two places are for strangers; mine is one of them
        self.assertIsNone(admission.enter("192.0.2.1")[1])
        self.assertIsNone(admission.enter("192.0.2.1")[1])
        self.assertEqual(4, admission.pending)
        _, way = admission.enter("192.0.2.4")
        assert way is not None
        self.assertEqual("192.0.2.3", way.source)
        mine.leave()

    def test_known_ones_among_themselves(self) -> None:
        """Where nobody but known sources has places, theirs are shared in the same way."""
        admission = Admission(total=2, per_source=2)
        for host in ("192.0.2.1", "192.0.2.2"):
            admission.enter(host)[0].leave(known=True)
        first, _ = self.speaking(admission, "192.0.2.1", "192.0.2.1")
        self.assertIs(first, admission.enter("192.0.2.2")[1])

    def test_memory_of_the_known(self) -> None:
        """So many sources are remembered; the one that wasn't seen for the longest time is forgotten."""
        admission = Admission(total=2, per_source=2, kept=2)
        for number in range(KNOWN):
            admission._leave(Place(admission, f"source {number}"), True)
        admission._leave(Place(admission, "source 0"), True)
        admission._leave(Place(admission, "one more"), True)
        self.assertIsNone(admission.enter("source 0")[1])
        self.assertRaises(Crowded, admission.enter, "source 1")

    def test_one_site_is_one_source(self) -> None:
        """The addresses of one IPv6 /64 count together, so that its owner isn't 2**64 sources."""
        admission = Admission(total=100, per_source=2)
        self.speaking(admission, "2001:db8:0:1::1", "2001:db8:0:1:ffff::2")
        error = self.assertRaises(Crowded, admission.enter, "2001:db8:0:1::3")
        self.assertIn("2001:db8:0:1::/64", str(error))
        self.speaking(admission, "2001:db8:0:2::1")

    def test_nothing_stays_behind(self) -> None:
        """When everybody has left, nothing is remembered of them, and leaving twice is leaving."""
        admission = Admission(total=10, per_source=5)
        for place in self.speaking(admission, "192.0.2.1", "192.0.2.1", "::1"):
            place.leave()
            place.leave()
        self.assertEqual(0, admission.pending)
        self.assertEqual(({}, {}, {}), (admission._places, admission._silent, admission._by_source))

    @PROPERTY
    @given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(["come", "speak", "leave", "known"]))))
    def test_bounds(self, steps: list[tuple[str, str]]) -> None:
        """Whatever happens, no limit is passed, and whoever makes way has left."""
        admission = Admission(total=5, per_source=3, kept=1)
        places: list[Place] = []
        for source, step in steps:
            mine = [one for one in places if one.source == source]
            if step == "come":
                try:
                    place, way = admission.enter(source)
                except Crowded:
                    continue
                places.append(place)
                if way is not None:
                    places.remove(way)
            elif mine and step == "speak":
                mine[0].heard()
            elif mine:
                mine[0].leave(known=step == "known")
                places.remove(mine[0])
            self.assertEqual(len(places), admission.pending)
            self.assertLessEqual(len(places), 5)
            self.assertLessEqual(max(len([p for p in places if p.source == s]) for s in "abcde"), 3)

    def test_sources(self) -> None:
        """An IPv4-mapped address is IPv4, a zone does not count, and what is no address stands for itself."""
        self.assertEqual("192.0.2.1", source_of("::ffff:192.0.2.1"))
        self.assertEqual("fe80::/64", source_of("fe80::1%eth0"))
        self.assertEqual("/run/socket", source_of("/run/socket"))


class SlotsTests(SynchronousTestCase):
    def test_limit(self) -> None:
        """There are as many slots as the limit says, and one that is given back can be taken again."""
        slots = Slots(2)
        self.assertEqual([True, True, False], [slots.enter() for _ in range(3)])
        slots.leave()
        self.assertEqual([True, False], [slots.enter(), slots.enter()])
        self.assertEqual(2, slots.used)

    def test_leaving_too_often(self) -> None:
        """Giving back what wasn't taken is a fault that shows."""
        slots = Slots(1)
        self.assertRaises(ValueError, slots.leave)

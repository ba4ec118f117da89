"""Tests of the routing table."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.router.table import RoutingTable, TableEntry, TableFull
from test.properties import PROPERTY


def entry(name: str, handle: object = None) -> TableEntry:
    return TableEntry(name, "192.0.2.7", handle or object(), 0.0)


class RoutingTableTests(SynchronousTestCase):
    def test_put_and_lookup(self) -> None:
        """What was entered is found; what wasn't, isn't."""
        table = RoutingTable(10)
        one = entry("m4.m")
        self.assertIsNone(table.put(one))
        self.assertIs(one, table.lookup("m4.m"))
        self.assertIsNone(table.lookup("m5.m"))
        self.assertEqual(1, len(table))

    def test_replace(self) -> None:
        """A new entry of the same name replaces the old one, which is handed back."""
        table = RoutingTable(10)
        old, new = entry("m4.m"), entry("m4.m")
        table.put(old)
        self.assertIs(old, table.put(new))
        self.assertIs(new, table.lookup("m4.m"))
        self.assertEqual((["m4.m"], False), table.page("", 10))

    def test_remove(self) -> None:
        """An entry goes with its own handle alone: the end of a replaced connection leaves the new entry."""
        table = RoutingTable(10)
        old, new = object(), object()
        table.put(entry("m4.m", old))
        table.put(entry("m4.m", new))
        self.assertFalse(table.remove("m4.m", old))
        self.assertFalse(table.remove("m5.m", new))
        self.assertTrue(table.remove("m4.m", new))
        self.assertFalse(table.remove("m4.m", new))
        self.assertEqual((0, None, ([], False)), (len(table), table.lookup("m4.m"), table.page("", 10)))

    def test_equal_handles(self) -> None:
        """Handles are compared by identity, not by what they hold."""
        table = RoutingTable(10)
        table.put(entry("m4.m", handle := [1]))
        self.assertFalse(table.remove("m4.m", [1]))
        self.assertTrue(table.remove("m4.m", handle))

    def test_capacity(self) -> None:
        """A full table takes no new name, but replaces; with one entry less it takes one more."""
        table = RoutingTable(2)
        handle = object()
        table.put(entry("m1.m", handle))
        table.put(entry("m2.m"))
        self.assertRaises(TableFull, table.put, entry("m3.m"))
        self.assertIsNotNone(table.put(entry("m2.m")))
        table.remove("m1.m", handle)
        self.assertIsNone(table.put(entry("m3.m")))

    def test_pages(self) -> None:
        """Pages follow one another in order, without a gap, and the last one says so."""
        table = RoutingTable(100)
        for name in ("m2.m", "m10.m", "a.m", "m1.m", "z.m"):
            table.put(entry(name))
        self.assertEqual((["a.m", "m1.m"], True), table.page("", 2))
        self.assertEqual((["m10.m", "m2.m"], True), table.page("m1.m", 2))
        self.assertEqual((["z.m"], False), table.page("m2.m", 2))
        self.assertEqual((["m10.m", "m2.m", "z.m"], False), table.page("m1.m", 3))
        self.assertEqual(([], False), table.page("z.m", 2))

    def test_page_after_someone_who_left(self) -> None:
        """A page begins behind a name even if that has left meanwhile."""
        table = RoutingTable(100)
        table.put(entry("m1.m"))
        table.put(entry("m3.m"))
        self.assertEqual((["m3.m"], False), table.page("m2.m", 5))

    @PROPERTY
    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=60), st.integers(1, 5))
    def test_like_a_dictionary(self, changes: list[tuple[bool, int]], size: int) -> None:
        """Whatever came and went, the pages together are the names of those that are there, in order."""
        table, there = RoutingTable(1000), dict[str, object]()
        for comes, number in changes:
            name = f"m{number}.m"
            if comes:
                there[name] = object()
                table.put(entry(name, there[name]))
            else:
                self.assertEqual(name in there, table.remove(name, there.pop(name, None)))
        listed: list[str] = []
        more = True
        while more:
            names, more = table.page(listed[-1] if listed else "", size)
            listed += names
        self.assertEqual(sorted(there), listed)

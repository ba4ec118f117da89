"""Tests for ``p2p.report.document``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.report.document import (
    CELL,
    LONGEST,
    LONGEST_WORD,
    ROWS,
    WORD,
    Answer,
    Code,
    Document,
    Facts,
    Graph,
    Items,
    Section,
    Table,
    Text,
    plain,
    table,
)


class PlainTests(SynchronousTestCase):
    """What the templates get."""

    def made(self, *sections: Section) -> Document:
        return Document("Title", "by line", "2026-11-23T00:00:00+00:00", sections)

    def test_parts(self) -> None:
        """Every part says what it is and keeps what it has."""
        parts = (
            Text("a"),
            Items(("b",), "finding"),
            Answer("arm", "differs", "c"),
            Code("d\ne", "plan"),
            Facts((("term", "value"),)),
            Table("f", ("g",), (("h",),), note="i"),
            Graph("latency", "j", "k"),
        )
        found = plain(self.made(Section("key", "Head", parts)))["sections"][0]["parts"]
        kinds = ["text", "items", "answer", "code", "facts", "table", "graph"]
        self.assertEqual([one["part"] for one in found], kinds)
        self.assertEqual(found[1], {"part": "items", "items": ["b"], "kind": "finding"})
        self.assertEqual(found[3]["text"], "d\ne")
        self.assertEqual(found[4]["rows"], [["term", "value"]])

    def test_numbers(self) -> None:
        """Tables and figures are numbered from 1 in the order in which they are read."""
        table, graph = Table("t", ("a",), ()), Graph("g", "", "")
        found = plain(
            self.made(
                Section("a", "A", (table, graph, table)),
                Section("b", "B", (graph,), (Section("c", "C", (table, graph)),)),
            )
        )["sections"]
        self.assertEqual([one["number"] for one in found[0]["parts"]], [1, 1, 2])
        self.assertEqual(found[1]["parts"][0]["number"], 2)
        self.assertEqual([one["number"] for one in found[1]["sections"][0]["parts"]], [3, 3])

    def test_hostile(self) -> None:
        """Whatever a text holds, it comes out harmless, and not longer than a text may be."""
        found = plain(self.made(Section("a", "A\u202e", (Text("x " * 9999), Code("a\x00\nb"), Text("x" * 99)))))
        self.assertEqual(found["sections"][0]["title"], "A\\u202e")
        self.assertEqual(len(found["sections"][0]["parts"][0]["text"]), LONGEST)
        self.assertEqual(found["sections"][0]["parts"][1]["text"], "a\\x00\nb")
        self.assertEqual(len(found["sections"][0]["parts"][2]["text"]), LONGEST_WORD)


class TableTests(SynchronousTestCase):
    """Tables as a page bears them."""

    def test_rows(self) -> None:
        """At most so many rows are shown, and the note says how many there are beyond them."""
        made = table("caption", ["a"], [("x",)] * (ROWS + 3), note="Note.")
        self.assertEqual((len(made.rows), made.note), (ROWS, "Note. The raw data have 3 more rows."))
        self.assertEqual(table("caption", ["a"], [("x",)] * ROWS).note, "")

    def test_columns(self) -> None:
        """Unless it says otherwise, a table has names in its first column and figures in the others."""
        self.assertEqual((1, 1), (table("caption", ["a"], []).left, Table("caption", ("a",), ()).left))

    def test_cells(self) -> None:
        """A cell that is too long, such as a name from a hostile file, is cut."""
        self.assertEqual(len(table("caption", ["a"], [("x " * 5000,)]).rows[0][0]), CELL)
        self.assertEqual(len(table("caption", ["a"], [("x" * 5000,)]).rows[0][0]), WORD)

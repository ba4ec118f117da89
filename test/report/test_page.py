"""Tests for ``p2p.report.page``."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from twisted.trial.unittest import SynchronousTestCase

from p2p.report.document import Answer, Code, Facts, Graph, Items, Part, Report, Section, Table, Text, plain
from p2p.report.page import page

SVG = '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="A graph of the latency."></svg>'
EMPTY = {"area", "base", "br", "col", "img", "input", "link", "meta"}


class Outline(HTMLParser):
    """Reads a page: that its elements are closed as they were opened, and which there are.

    :ivar elements: each element with its attributes.
    :ivar text: everything between elements.
    """

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        if self._open:
            raise AssertionError(f"not closed: {self._open}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open.pop() != tag:
            raise AssertionError(f"{tag} is closed, but wasn't opened last")

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a name."""
        return [attributes for name, attributes in self.elements if name == tag]


ALL: tuple[Part, ...] = (
    Text("A lead.", "lead"),
    Text("Plain."),
    Items(("one", "two"), "finding"),
    Items(("three",)),
    Answer("Arm transport", "not asked", "An answer."),
    Facts((("seed", "1"),)),
    Code("p2p report ../again"),
    Code("title: x", "The plan"),
    Table("Times", ("arm", "content", "median"), (("transport", "text", "1 ms"),), left=2, note="A note."),
    Table("Sizes", ("entries", "time"), (("10", "1 ns"),), left=0),
    Graph("latency", "A caption.", "A graph of the latency."),
)


class PageTests(SynchronousTestCase):
    """The page."""

    def source(self, *parts: Part, title: str = "Title", byline: str = "measured") -> str:
        inner = Section("inner", "Inner", (Text("Deep."),))
        report = Report(title, byline, "", (Section("first", "First", parts, (inner,)), Section("last", "Last")))
        return page(plain(report), {"latency": SVG})

    def test_self_contained(self) -> None:
        """The page needs nothing else: no script, no file, no address but its own anchors and the pictures in it."""
        source = self.source(*ALL)
        found = Outline(source)
        self.assertEqual([found.named(tag) for tag in ("script", "link", "iframe", "object")], [[], [], [], []])
        addresses = [one.get("src") or one.get("href") or "#" for _, one in found.elements]
        self.assertEqual([one for one in addresses if not one.startswith("#")], [])
        style = source[source.index("<style>") : source.index("</style>")]
        self.assertNotRegex(style, r"url\(|@import|@font-face")
        self.assertIn("default-src 'none'", source)

    def test_accessible(self) -> None:
        """Language, alternative text, scopes of heads, captions and one heading of each rank below the other."""
        found = Outline(self.source(*ALL))
        self.assertEqual(found.named("html"), [{"lang": "en"}])
        self.assertEqual([one["aria-label"] for one in found.named("svg")], ["A graph of the latency."])
        self.assertEqual({one.get("scope") for one in found.named("th")}, {"col", "row"})
        self.assertEqual(len(found.named("h1")), 1)
        self.assertEqual([one["id"] for one in found.named("h2")], ["contents", "first", "last"])
        self.assertEqual([one["id"] for one in found.named("h3")], ["inner"])
        ids = [one["id"] for _, one in found.elements if "id" in one]
        self.assertEqual(len(ids), len(set(ids)))
        labelled = {one["aria-labelledby"] for _, one in found.elements if "aria-labelledby" in one}
        self.assertEqual(labelled - set(ids), set())

    def test_contents(self) -> None:
        """Every section is in the table of contents, by an anchor that exists."""
        found = Outline(self.source())
        anchors = [one["href"] for one in found.named("a")][1:]
        self.assertEqual(anchors, ["#first", "#inner", "#last"])

    def test_parts(self) -> None:
        """Every part shows what it has; tables and figures say their numbers."""
        text = re.sub(r"\s+", " ", Outline(self.source(*ALL)).text)
        for words in (
            *("A lead.", "two", "An answer.", "seed1", "p2p report ../again", "The plan title: x", "A note.", "Deep."),
            *("Table 1. Times", "Table 2. Sizes", "Figure 1. A caption."),
        ):
            self.assertIn(words.replace(" ", ""), text.replace(" ", ""))

    def test_columns(self) -> None:
        """Figures stand to the right, words to the left."""
        found = Outline(self.source(*ALL))
        classes = [one.get("class") for one in found.named("th") + found.named("td")]
        self.assertEqual(
            classes, [None, None, "number", None, "number", "number", "number", "short", "number", "number"]
        )

    def test_hostile(self) -> None:
        """Nothing that comes with the raw data becomes an element, wherever it stands."""
        bad = '</title></style><script>alert(1)</script><img src=x onerror=alert(1)>"\' onclick="x {{ 7*7 }}'
        parts = (
            Text(bad),
            Items((bad,)),
            Answer(bad, bad, bad),
            Facts(((bad, bad),)),
            Code(bad, bad),
            Table(bad, (bad,), ((bad,),), note=bad),
            Graph("latency", bad, bad),
        )
        found = Outline(self.source(*parts, title=bad, byline=bad))
        self.assertEqual((found.named("script"), found.named("img")), ([], []))
        handlers = [name for _, one in found.elements for name in one if name.startswith("on")]
        self.assertEqual(handlers, [])
        self.assertIn("{{ 7*7 }}", found.text)

    def test_same(self) -> None:
        """The same document is the same page, to the byte; without a by line there is none."""
        self.assertEqual(self.source(*ALL), self.source(*ALL))
        self.assertTrue(self.source().startswith("<!DOCTYPE html>\n"))
        self.assertEqual(
            [one for one in Outline(self.source(byline="")).named("p") if one.get("class") == "byline"], []
        )

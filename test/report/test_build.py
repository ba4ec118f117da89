"""Tests for ``p2p.report.build``: the page, the paper, and both of a run, with pictures that nobody draws."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import LocalFileError
from p2p.measure.analysis import analyse
from p2p.measure.block_figures import Unaccounted
from p2p.measure.raw_data import BLOCKS, FACTS, LINKS, PLAN, SAMPLES
from p2p.report import build as module
from p2p.report.build import build, page, paper
from p2p.report.document import (
    Answer,
    Code,
    Document,
    Facts,
    FrontMatter,
    Graph,
    Items,
    Part,
    Section,
    Table,
    Text,
    plain,
)
from test.report.subjects import measured, write_run

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


PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="144" height="72"></svg>'


@dataclass
class Drawn:
    """A picture that nobody drew."""

    name: str = "latency"
    caption: str = "a caption"
    alt: str = "what it shows"


class Figures:
    """Stands for ``p2p.report.figures``."""

    @staticmethod
    def pictures(run: object, analysis: object) -> tuple[Drawn, ...]:
        return (Drawn(),)

    @staticmethod
    def svg(drawn: Drawn) -> str:
        return f'<svg xmlns="http://www.w3.org/2000/svg"><title>{drawn.name}</title></svg>'

    @staticmethod
    def print_svg(drawn: Drawn) -> bytes:
        return PICTURE


class BuildTests(SynchronousTestCase):
    """From a folder to a report."""

    def setUp(self) -> None:
        """Draw nothing, and analyse once for all."""
        self.patch(module, "figures", Figures)
        self.patch(module, "analyse", lambda *arguments, **more: measured()[1])
        self.steps: list[str] = []

    def really_analyse(self) -> None:
        """Analyse what is in the folder, with few resamples."""
        self.patch(module, "analyse", partial(analyse, resamples=20))

    def build(self, folder: Path) -> tuple[bytes, bytes]:
        """Make the page and the paper."""
        built = build(folder, self.steps.append)
        return built.html, built.pdf

    def test_built(self) -> None:
        """There are a page, a paper and an answer for each arm, each step is told, and the run's folder stays as is."""
        folder = write_run(Path(self.mktemp()))
        before = sorted(folder.iterdir())
        made = build(folder, self.steps.append)
        self.assertEqual(sorted(folder.iterdir()), before)
        self.assertEqual([one.arm for one in made.answers], ["transport"])
        self.assertTrue(made.html.startswith(b"<!DOCTYPE html>"))
        self.assertTrue(made.pdf.startswith(b"%PDF-"))
        self.assertEqual(sorted(made.source), ["latency.svg", "report.typ"])
        self.assertIn(b"= Abstract", made.source["report.typ"])
        said = ["reading the raw data", "analysing", "drawing", "writing the page", "writing the paper"]
        self.assertEqual(self.steps, said)

    def test_front(self) -> None:
        """Author, course and a title of one's own stand on page and paper."""
        front = FrontMatter("My <title>", "Ada & L.", "Networks #2")
        made = build(write_run(Path(self.mktemp())), self.steps.append, front)
        self.assertIn(b"<title>My &lt;title&gt;</title>", made.html)
        self.assertIn(b'<p class="author">Ada &amp; L., Networks #2</p>', made.html)
        self.assertIn(b'#let author = "Ada & L."', made.source["report.typ"])

    def test_same(self) -> None:
        """The same raw data give the same files, to the byte, wherever they lie and whenever they are made."""
        one, other = (self.build(write_run(Path(self.mktemp()))) for _ in range(2))
        self.assertEqual(one, other)

    def test_incomplete(self) -> None:
        """A run without its facts, its plan and its links, cut off in its last line, has a report that says so."""
        self.really_analyse()
        folder = write_run(Path(self.mktemp()))
        for name in (FACTS, PLAN, LINKS.file):
            (folder / name).unlink()
        blocks = folder / BLOCKS.file
        blocks.write_text(blocks.read_text()[:-3])
        html, _ = self.build(folder)
        for words in (
            b"links.csv is missing",
            b"was cut off",
            b"plan.yaml is missing",
            b"Something of this run is missing",
        ):
            self.assertIn(words, html)

    def test_hostile(self) -> None:
        """Names in the raw data stay text in both files."""
        self.really_analyse()
        run, _ = measured()
        bad = "<script>alert(1)</script>#panic()"
        tables = {
            name: getattr(run, name) | {"arm": [bad] * len(getattr(run, name)["arm"])} for name in ("samples", "blocks")
        }
        html, _ = self.build(write_run(Path(self.mktemp()), run=replace(run, **tables)))
        self.assertNotIn(b"<script", html)
        self.assertIn(b"&lt;script&gt;", html)

    def test_no_run(self) -> None:
        """A folder that isn't a run is named."""
        error = self.assertRaises(LocalFileError, build, Path(self.mktemp()), self.steps.append)
        self.assertIn("the folder of an experiment's run?", str(error))

    def test_no_block(self) -> None:
        """A run without a finished block says how to go on, and what of it was left out."""
        folder = write_run(Path(self.mktemp()))
        (folder / BLOCKS.file).write_text(BLOCKS.header())
        error = self.assertRaises(LocalFileError, self.build, folder)
        self.assertIn("no block is finished, so there is nothing to report (samples.csv: block 1 isn't", str(error))
        self.assertIn(f"p2p experiment run {folder}/plan.yaml --out {folder}", str(error))

    def test_nothing_yet(self) -> None:
        """A run that has only begun has nothing left out either."""
        folder = write_run(Path(self.mktemp()))
        for table in (BLOCKS, SAMPLES, LINKS):
            (folder / table.file).write_text(table.header())
        self.assertIn("nothing to report; go on", str(self.assertRaises(LocalFileError, self.build, folder)))

    def test_unaccounted(self) -> None:
        """Where the counting is wrong there is no report."""
        self.really_analyse()
        folder = write_run(Path(self.mktemp()))
        blocks = folder / BLOCKS.file
        blocks.write_text(blocks.read_text().replace(",8,on,", ",7,on,"))
        self.assertRaises(Unaccounted, self.build, folder)

    def test_no_temporary_folder(self) -> None:
        """Where the PDF can't be set for want of a temporary folder, that is said, with what to do."""
        nowhere = Path(self.mktemp())
        self.patch(tempfile, "tempdir", str(nowhere))
        error = self.assertRaises(LocalFileError, self.build, write_run(Path(self.mktemp())))
        self.assertIn(str(nowhere), str(error))
        self.assertIn("TMPDIR", str(error))


class PageTests(SynchronousTestCase):
    """The page."""

    def source(self, *parts: Part, title: str = "Title", byline: str = "measured") -> str:
        inner = Section("inner", "Inner", (Text("Deep."),))
        report = Document(title, byline, "", (Section("first", "First", parts, (inner,)), Section("last", "Last")))
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


class PaperTests(SynchronousTestCase):
    """The PDF."""

    def made(self, *parts: Part, made: str = "2026-11-23T04:47:39+00:00", title: str = "Title") -> bytes:
        report = Document(title, "measured", made, (Section("a", "A", parts, (Section("b", "B", (Text("b"),)),)),) * 2)
        return paper(plain(report), {"latency": PICTURE})[0]

    def test_parts(self) -> None:
        """Every part can be set, also an empty one, and the same document is the same paper, to the byte."""
        parts: tuple[Part, ...] = (
            Text("A lead.", "lead"),
            Text("Take care.", "caution"),
            Items(("one", "two")),
            Items(()),
            *(Answer("Arm", outcome, "text") for outcome in ("equivalent", "differs", "inconclusive", "else")),
            Facts((("seed", "1"),)),
            Facts(()),
            Code("p2p report\n\n  ../again"),
            Code("title: x", "The plan"),
            Table("Times", ("arm", "median"), (("transport", "1 ms"),), note="A note."),
            Table("Long", ("arm", "median"), (("transport", "1 ms"),) * 80),
            Table("Empty", ("arm",), ()),
            Graph("latency", "A caption.", "A graph."),
        )
        first = self.made(*parts)
        self.assertTrue(first.startswith(b"%PDF-"))
        self.assertEqual(first, self.made(*parts))

    def test_date(self) -> None:
        """The date of the paper is that of the run; without one there is none, and today's never."""
        self.assertIn(b"D:20261123044739", self.made())
        self.assertIn(b"D:20261123024739", self.made(made="2026-11-23T04:47:39+02:00"))
        for senseless in ("", "yesterday", "2026-99-99T99:99:99", "0001-01-01T00:00:00+09:00"):
            self.assertNotIn(b"D:20", self.made(made=senseless))

    def test_hostile(self) -> None:
        """What comes with the raw data is text: it isn't run, reads no file and breaks nothing."""
        secret = Path(self.mktemp())
        secret.write_text("secret")
        bad = f'#read("{secret.absolute()}") #panic("x") *b* _i_ $ 1/0 $ <l> @r `raw` = h \\ // /* "'
        parts = (
            Text(bad),
            Text(bad, "caution"),
            Items((bad,)),
            Answer(bad, bad, bad),
            Facts(((bad, bad),)),
            Code(bad, bad),
            Table(bad, (bad,), ((bad,),), note=bad),
            Graph("latency", bad, bad),
        )
        self.assertTrue(self.made(*parts, title=bad).startswith(b"%PDF-"))

    def test_letters(self) -> None:
        """Letters that no font here has, and words without an end, break nothing."""
        self.assertTrue(self.made(Text("中文 \U0001f600 " + "x" * 2000)).startswith(b"%PDF-"))

    def test_nothing_left(self) -> None:
        """The folder that it works in is gone afterwards."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.patch(tempfile, "tempdir", str(folder))
        self.made(Text("a"))
        self.assertEqual(list(folder.iterdir()), [])

"""Tests for ``p2p.report.paper``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.report.document import Answer, Code, Facts, Graph, Items, Part, Report, Section, Table, Text, plain
from p2p.report.paper import paper


def picture() -> bytes:
    """A PDF of one empty page."""
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 144 72]/Resources<<>>>>",
    )
    made, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj%sendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(made)
    return made + b"xref\n0 4\n0000000000 65535 f \n" + table + end


class PaperTests(SynchronousTestCase):
    """The PDF."""

    def made(self, *parts: Part, made: str = "2026-11-23T04:47:39+00:00", title: str = "Title") -> bytes:
        report = Report(title, "measured", made, (Section("a", "A", parts, (Section("b", "B", (Text("b"),)),)),) * 2)
        return paper(plain(report), {"latency": picture()})

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

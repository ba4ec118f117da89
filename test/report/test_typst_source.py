"""Tests for ``p2p.report.typst_source``: texts come out as they are, whatever they hold."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import typst
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.report.typst_source import marked, quoted

HOSTILE = (
    "= no heading", "- no item", "+ no number", "/ no: term", "12. no list", "3) three", "*b* _i_ `r` $x$ #panic()",
    "<label> @ref [x] \\u{41} \\", "a -- b --- c -? -5 ... https://example.org/x // /* c */ ~", "\"quoted\" 'it's'",
    "1.5 ms", "-", "#", "50 % of 3/n; 1 - 2", "text-as-video", "x.y..z",
)  # fmt: skip


def shown(markup: str) -> str:
    """Set markup, and say what text it becomes."""
    with tempfile.TemporaryDirectory() as folder:
        main = Path(folder) / "main.typ"
        main.write_text(f"#set smartquote(enabled: false)\n#metadata([{markup}]) <it>\n{markup}\n", "utf-8")
        found = json.loads(typst.query(str(main), "<it>", field="value", one=True, root=folder))
    return _text(found)


def _text(content: object) -> str:
    if isinstance(content, list):
        return "".join(map(_text, content))
    if not isinstance(content, dict):
        return ""
    kind = content.get("func")
    if kind == "space":
        return " "
    if kind == "smartquote":
        return '"' if content.get("double", True) else "'"
    if kind in ("text", "symbol"):
        return str(content["text"])
    if kind == "sequence":
        return _text(content["children"])
    raise AssertionError(f"became {kind}: {content}")


class MarkupTests(SynchronousTestCase):
    """Text as markup."""

    def test_hostile(self) -> None:
        """Nothing in a text becomes markup: what is set is the text."""
        for text in HOSTILE:
            self.assertEqual(shown(marked(text)), text)

    @settings(deadline=None, max_examples=25)
    @given(st.text(st.sampled_from("ab1 .-/=+*_#$<>[]@~`\\:\"'()%"), max_size=14))
    def test_anything(self, text: str) -> None:
        """Whatever the characters are, what is set is the text, with single spaces."""
        plain = " ".join(text.split())
        self.assertEqual(shown(marked(text)).strip(), plain)

    def test_readable(self) -> None:
        """What needs no escape has none, so that people can edit it."""
        for text in ("takes 1.089 times (95 % interval 0.977 to 1.213), p = 0.013", "text-as-video", "3/n"):
            self.assertEqual(marked(text), text)


class StringTests(SynchronousTestCase):
    """Text as a string."""

    def test_quoted(self) -> None:
        """Quotes, backslashes and line feeds are escaped."""
        self.assertEqual(quoted('a "b" \\ \n'), '"a \\"b\\" \\\\ \\n"')
        self.assertIsNone(re.search(r"(?<!\\)\"", quoted('x"#panic()"')[1:-1]))

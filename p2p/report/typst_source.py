"""The paper as Typst source that a person can edit: markup, with every text of the report escaped.

Typst reads some characters as markup. All of them are escaped here, so nothing that came with the raw data can become
any; strings are quoted in the same way. The functions that the source calls are those of ``report.typ``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

__all__ = ["marked", "quoted", "source"]

_ALWAYS: Final = re.compile(r"[\\#$*_`@<>\[\]~]")
_PAIRS: Final = re.compile(r"-(?=[-?\d])|/(?=[/*])|\.(?=\.)")
_FIRST: Final = re.compile(r"^([-=+/]|\d+(?=[.)]))")


def marked(text: str) -> str:
    """Write a text as markup that shows just that text."""
    found = _PAIRS.sub(lambda one: "\\" + one[0], _ALWAYS.sub(lambda one: "\\" + one[0], " ".join(text.split())))
    number = re.match(r"\d+(?=\.)", found)
    if number:
        return f"{number[0]}\\{found[number.end() :]}"
    return f"\\{found}" if _FIRST.match(found) and not found[0].isdigit() else found


def quoted(text: str) -> str:
    """Write a text as a string of Typst."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{plain}"'


def source(document: dict[str, Any], preamble: str) -> str:
    """Write the whole source.

    :param document: what :func:`p2p.report.document.plain` makes.
    :param preamble: the text of ``report.typ``: what the parts look like.
    """
    lines = [
        "// The paper of an experiment with p2p. Edit it and set it again: typst compile report.typ",
        f"#let title = {quoted(document['title'])}",
        f"#let author = {quoted(document['author'])}",
        f"#let course = {quoted(document['course'])}",
        f"#let byline = {quoted(document['byline'])}",
        f"#let day = {_day(document['made'])}",
        "",
        preamble.strip(),
        "",
    ]
    for place, section in enumerate(document["sections"]):
        if place == 1:
            lines += ["#contents()", ""]  # behind the abstract, which is what most people read
        lines += _section(section, 1)
    return "\n".join(lines).rstrip() + "\n"


def _section(section: dict[str, Any], level: int) -> Iterator[str]:
    if level == 1:
        yield "#place.flush() // no figure comes later than its chapter"
    yield f"{'=' * level} {marked(section['title'])}"
    yield ""
    for part in section["parts"]:
        yield from _WRITERS[part["part"]](part)
        yield ""
    for inner in section["sections"]:
        yield from _section(inner, level + 1)


def _text(part: dict[str, Any]) -> Iterator[str]:
    text = marked(part["text"])
    yield f"#caution[{text}]" if part["kind"] == "caution" else text


def _items(part: dict[str, Any]) -> Iterator[str]:
    yield from (f"- {marked(item)}" for item in part["items"])


def _answer(part: dict[str, Any]) -> Iterator[str]:
    yield f"#answer([{marked(part['subject'])}], {quoted(part['outcome'])})[{marked(part['text'])}]"


def _code(part: dict[str, Any]) -> Iterator[str]:
    yield f"#listing({quoted(part['text'])}, caption: {quoted(part['caption'])}, terminal: {_bool(part['terminal'])})"


def _facts(part: dict[str, Any]) -> Iterator[str]:
    yield "#facts("
    yield from (f"  [{marked(term)}], [{marked(value)}]," for term, value in part["rows"])
    yield ")"


def _table(part: dict[str, Any]) -> Iterator[str]:
    yield "#data("
    yield f"  caption: [{marked(part['caption'])}],"
    yield f"  left: {part['left']},"
    yield f"  note: [{marked(part['note'])}],"
    yield f"  heads: ({_cells(part['heads'])}),"
    yield from (f"  {_cells(row)}" for row in part["rows"])
    yield ")"


def _cells(cells: Sequence[str]) -> str:
    return " ".join(f"[{marked(cell)}]," for cell in cells)


def _graph(part: dict[str, Any]) -> Iterator[str]:
    yield f"#graph({quoted(part['name'] + '.svg')}, alt: {quoted(part['alt'])})[{marked(part['caption'])}]"


def _bool(value: bool) -> str:
    return "true" if value else "false"


_WRITERS: Final = {
    "text": _text,
    "items": _items,
    "answer": _answer,
    "code": _code,
    "facts": _facts,
    "table": _table,
    "graph": _graph,
}


def _day(moment: str) -> str:
    """Write the day of the run, in UTC; ``none`` if it is none."""
    try:
        when = datetime.fromisoformat(moment)
        utc = when if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        return "none"
    return (
        f"datetime(year: {utc.year}, month: {utc.month}, day: {utc.day}, hour: {utc.hour}, minute: {utc.minute}, "
        f"second: {utc.second})"
    )

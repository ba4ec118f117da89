"""What a report says, before anybody knows whether it becomes a page or a paper. Pure.

A text is plain: it has no markup, so nothing in it can become any. Page and paper show the same parts, in the same
order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar, Final

from p2p.report.formats import counted, cut, cut_words, shown

__all__ = [
    "CELL",
    "INTERVALS",
    "NOTHING_ELSE",
    "ROWS",
    "Answer",
    "Code",
    "Document",
    "Facts",
    "FrontMatter",
    "Graph",
    "Items",
    "Part",
    "Section",
    "Table",
    "Text",
    "plain",
    "table",
]


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph.

    :ivar kind: ``text``; ``lead`` before a section; ``finding``, which a figure shows; ``caution``, not to be missed.
    """

    part: ClassVar[str] = "text"
    text: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Items:
    """A list of sentences."""

    part: ClassVar[str] = "items"
    items: tuple[str, ...]
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict that stands out.

    :ivar outcome: ``equivalent``, ``differs``, ``inconclusive``, or ``not asked``.
    """

    part: ClassVar[str] = "answer"
    subject: str
    outcome: str
    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """Commands or the text of a file, line by line.

    :ivar caption: empty, or what it is; then it may be folded away where nobody prints.
    :ivar terminal: whether it is what a terminal shows.
    """

    part: ClassVar[str] = "code"
    text: str
    caption: str = ""
    terminal: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Terms, and what is known of each."""

    part: ClassVar[str] = "facts"
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under their heads; the first column names the row.

    :ivar left: how many columns from the left hold words; the others hold figures.
    :ivar note: what to know of it, below.
    """

    part: ClassVar[str] = "table"
    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    note: str = ""


ROWS: Final = 120
"""Rows of one table; whoever wants more finds them in the raw data."""

CELL: Final = 80
"""Characters of one cell."""

WORD: Final = 40
"""Characters of one word in a cell."""

INTERVALS: Final = "In brackets: the 95 % interval of the median over blocks."


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1, note: str = "") -> Table:
    """Make a table of cells that are as long, and rows that are as many, as a page bears."""
    kept = [tuple(cut_words(cut(cell, CELL), WORD) for cell in row) for row in rows]
    if len(kept) > ROWS:
        note = f"{note} The raw data have {counted(len(kept) - ROWS, 'more row')}.".strip()
    return Table(caption, tuple(heads), tuple(kept[:ROWS]), left, note)


@dataclass(frozen=True, slots=True)
class Graph:
    """A figure: ``name`` is that of its picture.

    :ivar alt: what it shows, for those who can't see it.
    """

    part: ClassVar[str] = "graph"
    name: str
    caption: str
    alt: str


Part = Text | Items | Answer | Code | Facts | Table | Graph


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what is below it.

    :ivar key: of links to it.
    :ivar parts: without any, the section is left out.
    :ivar sections: one step down.
    """

    key: str
    title: str
    parts: tuple[Part, ...] = ()
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """All of it.

    :ivar made: the run's own day, ISO 8601; a report of the same data is the same, whenever it is made.
    :ivar author: who hands it in, and ``course`` for what; empty if nobody says.
    """

    title: str
    byline: str
    made: str
    sections: tuple[Section, ...]
    author: str = ""
    course: str = ""


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """What stands on the first page, where it is to be other than the run says; empty texts aren't."""

    title: str = ""
    author: str = ""
    course: str = ""


NOTHING_ELSE: Final = FrontMatter()


def plain(report: Document) -> dict[str, Any]:
    """Make plain values of it, for a template: every text is harmless, tables and figures are numbered."""
    made: dict[str, Any] = _plain(report, {Table: itertools.count(1), Graph: itertools.count(1)})
    return made


LONGEST: Final = 2000
"""Characters of a text; what the report itself says is shorter, so whatever is longer came with the raw data."""

LONGEST_WORD: Final = 48
"""Characters of a word; names that a plan allows are shorter."""


def _plain(value: Any, numbers: Mapping[type, Iterator[int]]) -> Any:
    if isinstance(value, tuple):
        return [_plain(one, numbers) for one in value]
    if isinstance(value, str):
        return cut_words(cut(shown(value), LONGEST), LONGEST_WORD)
    if not is_dataclass(value):
        return value
    made = {field.name: _plain(getattr(value, field.name), numbers) for field in fields(value)}
    kind = type(value)
    if kind in numbers:
        made["number"] = next(numbers[kind])
    if isinstance(value, Code):
        made["text"] = shown(value.text, lines=True)
    if isinstance(value, Part):
        made["part"] = value.part
    return made

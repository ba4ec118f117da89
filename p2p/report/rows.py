"""What the tables of the report have in common: how a cell is written, and how many rows a table may have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from p2p.measure.estimates import Share
from p2p.report import formats
from p2p.report.document import Table
from p2p.report.formats import NOTHING

__all__ = ["CELL", "INTERVALS", "ROWS", "share_interval", "table"]

ROWS: Final = 120
"""Rows of one table; whoever wants more finds them in the raw data."""

CELL: Final = 80
"""Characters of one cell."""

WORD: Final = 40
"""Characters of one word in a cell."""

INTERVALS: Final = "In brackets: the 95 % interval of the median over blocks."


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1, note: str = "") -> Table:
    """Make a table of cells that are as long, and rows that are as many, as a page bears."""
    kept = [tuple(formats.cut_words(formats.cut(cell, CELL), WORD) for cell in row) for row in rows]
    if len(kept) > ROWS:
        note = f"{note} The raw data have {formats.counted(len(kept) - ROWS, 'more row')}.".strip()
    return Table(caption, tuple(heads), tuple(kept[:ROWS]), left, note)


def share_interval(share: Share) -> str:
    """Write the 95 % interval of a share; that of none has one side."""
    if share.low is None or share.high is None:
        return NOTHING
    if not share.count:
        return f"≤ {formats.percent(share.high)}"
    return f"{formats.percent(share.low)} to {formats.percent(share.high)}"

"""Which parts of a run a figure shows: the arms as rows, and of each some sizes and numbers of pairs as panels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis, BlockFigures, Level
from p2p.report import formats

__all__ = ["Column", "Row", "arms", "cut", "left_out", "number_of_blocks", "planned", "rows", "spread", "told"]

NAME: Final = 28
"""Characters of a name; a longer one would leave no room for data."""

SENTENCES: Final = 12
"""Of a text that somebody listens to."""

_ALPHABETS: Final = ((0x20, 0x7E), (0xA0, 0x17F), (0x391, 0x3A1), (0x3A3, 0x3C9), (0x410, 0x44F), (0x2026, 0x2026))
_LETTERS: Final = frozenset(chr(code) for first, last in _ALPHABETS for code in range(first, last + 1))
"""Latin, Greek and Cyrillic, which the font of matplotlib has."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Column:
    """A panel: what the blocks in it have in common, beside their arm."""

    size: int
    pairs: int
    load: str
    title: str

    def holds(self, level: Level | BlockFigures) -> bool:
        """Whether a level, or a block, belongs here."""
        return (level.size, level.pairs, level.load) == (self.size, self.pairs, self.load)


@dataclass(frozen=True, slots=True)
class Row:
    """An arm, and the panels of it that are shown.

    :ivar of: how many there are.
    """

    arm: str
    title: str
    columns: tuple[Column, ...]
    of: int


def cut(name: str, limit: int = NAME) -> str:
    """Cut a name that is too long for a label; what the font of the figures may lack becomes a question mark.

    Names come from files that anybody may have written.
    """
    return formats.cut("".join(one if one in _LETTERS else "?" for one in formats.shown(name)), limit)


def told(sentences: Iterable[str], most: int = SENTENCES) -> str:
    """Join the first of many sentences, and say that there are more."""
    said = list(sentences)
    more = [] if len(said) <= most else ["The tables have more."]
    return " ".join([*said[:most], *more])


def spread(items: Sequence[T], most: int) -> list[T]:
    """Take so many of them, evenly spread, with the first and the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def arms(run: RawRun, analysis: Analysis) -> list[str]:
    """Name the arms in the order of the plan, those that are about the cost of sampling only if there are no others."""
    about_sampling = {arm for arm, on in zip(run.blocks["arm"], run.blocks["sampling"], strict=True) if on == "off"}
    there = {level.level.arm for level in analysis.levels}
    return sorted(there - about_sampling or there, key=lambda arm: planned(run, arm))


def planned(run: RawRun, arm: str) -> tuple[int, str]:
    """Find the place of an arm in the plan, for sorting."""
    found = re.search(rf"^\s*{re.escape(arm)}\s*:", run.plan, re.MULTILINE)
    return (found.start() if found else len(run.plan)), arm


def rows(run: RawRun, analysis: Analysis, *, most: int = 5, columns: int = 4) -> list[Row]:
    """Choose the arms and the panels that a figure shows."""
    return [_row(arm, analysis, columns) for arm in arms(run, analysis)[:most]]


def _row(arm: str, analysis: Analysis, most: int) -> Row:
    levels = [one.level for one in analysis.levels if one.level.arm == arm]
    keys = sorted({(one.size, one.pairs, one.load) for one in levels})
    sizes, pairs, loads = ({key[place] for key in keys} for place in range(3))
    common = [f"Arm {cut(arm)}"]
    if len(sizes) == 1:
        common.append(formats.size(keys[0][0]))
    if len(pairs) == 1:
        common.append(f"{formats.counted(keys[0][1], 'pair')}{' at once' if keys[0][1] > 1 else ''}")
    if len(loads) == 1 and keys[0][2] != "closed":
        common.append(f"load {cut(keys[0][2])}")

    def title(size: int, number: int, load: str) -> str:
        parts = [
            formats.size(size) if len(sizes) > 1 else "",
            formats.counted(number, "pair") if len(pairs) > 1 else "",
            cut(load) if len(loads) > 1 else "",
        ]
        return ", ".join(part for part in parts if part)

    shown = tuple(Column(*key, title(*key)) for key in spread(keys, most))
    return Row(arm, ", ".join(common), shown, len(keys))


def left_out(run: RawRun, analysis: Analysis, shown: Iterable[Row]) -> str:
    """Say in a sentence what isn't shown; empty if everything is."""
    shown = list(shown)
    said = []
    cropped = [f"{len(row.columns)} of {row.of} of arm {cut(row.arm)}" for row in shown if len(row.columns) < row.of]
    if cropped:
        said.append(f"Of the combinations of size, pairs and load the figure has {formats.listed(cropped)}.")
    others = len({one.level.arm for one in analysis.levels}) - len(shown)
    if others:
        said.append(f"{formats.counted(others, 'more arm')} {'is' if others == 1 else 'are'} in the tables alone.")
    return " ".join(said)


def number_of_blocks(analysis: Analysis, shown: Sequence[Row]) -> int:
    """Count the blocks that the panels rest on."""
    held = {row.arm: row.columns for row in shown}
    return len({one.block for one in analysis.blocks if any(column.holds(one) for column in held.get(one.arm, ()))})

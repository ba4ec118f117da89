"""The order of messages in an interleaved block: matched sets, balanced for what one leaves to the next. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final, TypeVar

__all__ = ["MOST_CELLS", "cycle", "orders", "shuffled"]

MOST_CELLS: Final = 24
"""Messages of a set."""

_T = TypeVar("_T")


def cycle(cells: int) -> list[tuple[int, ...]]:
    """Make the sets of one cycle, in which each cell stands at each place, and behind each other one, equally often.

    They are the rows of a square for an even number of cells, of two for an odd one (Williams 1949).
    """
    first = [(place + 1) // 2 if place % 2 else -place // 2 for place in range(cells)]
    rows = [tuple((cell + shift) % cells for cell in first) for shift in range(cells)]
    return rows + [row[::-1] for row in rows] if cells % 2 and cells > 1 else rows


def orders(cells: int, lot: str) -> Iterator[tuple[int, ...]]:
    """Draw the orders of set after set, without end: cycle after cycle, each under other names and in an order drawn.

    :param lot: what is drawn depends on this text alone, with every version of Python.
    """
    rows = cycle(cells)
    numbers = count()
    while True:
        number = next(numbers)
        names = shuffled(range(cells), f"{lot} {number} names")
        for row in shuffled(rows, f"{lot} {number} rows"):
            yield tuple(names[cell] for cell in row)


def shuffled(things: Sequence[_T], lot: str) -> list[_T]:
    """Put things into the order of digests of the lot and their places."""
    digests = [hashlib.sha256(f"{lot} {place}".encode()).digest() for place in range(len(things))]
    return [things[place] for place in sorted(range(len(things)), key=digests.__getitem__)]

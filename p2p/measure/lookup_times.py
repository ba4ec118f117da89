"""How long a look-up in a routing table takes, against the size of the table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from p2p.measure.raw_data import LookupRow
from p2p.router.table import RoutingTable, TableEntry

__all__ = ["TABLE_SIZES", "lookup_times"]

TABLE_SIZES: Final = (10, 100, 1000, 5000, 20_000)
"""Entries; the largest is what a router takes by default."""

BATCHES: Final = 20
"""Of each size; each is one row."""

LOOKUPS: Final = 5000
"""In a batch: a single one is shorter than reading a clock."""

_STRIDE: Final = 7919
"""From one name to the next, a prime, so that names aren't asked for in the order in which they were put there."""


def lookup_times(now_ns: Callable[[], int] = time.perf_counter_ns) -> Iterator[LookupRow]:
    """Look names up that are there, in tables of each size, in batches.

    What the loop around them costs is measured with the same loop, and taken off. A batch of each size comes before and
    isn't counted: the first one is slower, since nothing of the code and the table is in the processor's caches yet.

    :param now_ns: reads a clock, ns.
    """
    for size in TABLE_SIZES:
        table = RoutingTable(size)
        for number in range(size):
            table.put(TableEntry(f"n{number}.n", "192.0.2.1", None, 0.0))
        names = [f"n{number * _STRIDE % size}.n" for number in range(LOOKUPS)]
        for batch in range(BATCHES + 1):
            loop_ns = _time(now_ns, names, _nothing)
            took_ns = max(_time(now_ns, names, table.lookup) - loop_ns, 0)
            if batch:
                yield LookupRow(size, took_ns / LOOKUPS)


def _time(now_ns: Callable[[], int], names: list[str], lookup: Callable[[str], object]) -> int:
    began = now_ns()
    for name in names:
        lookup(name)
    return now_ns() - began


def _nothing(name: str) -> None:
    return None

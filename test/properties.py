"""What property tests share."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from hypothesis import settings

__all__ = ["PROPERTY", "cut_up"]

PROPERTY: Final = settings(deadline=None, max_examples=80)
"""Enough examples to find a fault within a few runs, few enough for all suites to take seconds."""


def cut_up(data: bytes, places: Iterable[int]) -> list[list[bytes]]:
    """The bytes cut at some places, and cut into single bytes."""
    edges = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return [[data[start:end] for start, end in pairwise(edges)], [bytes([byte]) for byte in data]]

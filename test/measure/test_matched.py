"""Tests of p2p.measure.matched."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.matched import cells, matched_cells, matched_messages, pooled_cells


def figures(rows: list[tuple[int, str, int, float]]) -> pd.DataFrame:
    """Blocks: size, condition, repetition, latency."""
    table = pd.DataFrame(rows, columns=["size", "condition", "repetition", "latency_s"])
    return table.assign(pairs=10, load="closed")


def messages(rows: list[tuple[int, int, int, str, float]]) -> pd.DataFrame:
    """Messages: block, pair, set, condition, latency."""
    table = pd.DataFrame(rows, columns=["block", "pair", "set", "condition", "latency_s"])
    return table.assign(size=1024, pairs=1, load="closed", direction="n1.n>m1.m")


INDEX = ["size", "pairs", "load", "repetition"]


class CellTests(SynchronousTestCase):
    """Blocks of one set."""

    def setUp(self) -> None:
        rows = [(1, "a", 1, 1.0), (1, "b", 1, 2.0), (1, "a", 2, 1.0), (1, "b", 2, 3.0)]
        self.table = cells(figures([*rows, (2, "a", 1, 1.0), (2, "b", 1, 0.0)]), INDEX, "condition", "latency_s")

    def test_levels(self) -> None:
        """Each repetition of a level gives the logarithm of one ratio; what has no logarithm is left out."""
        (one,) = matched_cells(self.table, [("a", "b"), ("a", "c")])
        self.assertEqual((one.a, one.b, one.factors), ("a", "b", {"size": 1, "pairs": 10, "load": "closed"}))
        self.assertTrue(np.allclose(one.logs, [math.log(2), math.log(3)]))

    def test_pooled(self) -> None:
        """All sets as one level."""
        (one,) = pooled_cells(self.table, [("a", "b"), ("c", "b")])
        self.assertEqual((one.factors, len(one.logs)), ({}, 2))


class MessageTests(SynchronousTestCase):
    """Messages of one set within a block."""

    def test_blocks(self) -> None:
        """A block is one repetition, by the middle of its sets; a set that lacks one of both is left out."""
        rows = [
            (block, 1, number, condition, factor * number * block)
            for block in (7, 9)
            for number in range(1, 6)
            for condition, factor in (("text", 1.0), ("audio", 1.1 if block == 7 else 1.2))
        ]
        rows += [(7, 1, 6, "text", 1.0), (7, 2, 6, "audio", 5.0)]
        (one,) = matched_messages(messages(rows), [("text", "audio"), ("text", "video")], "latency_s")
        self.assertEqual(one.factors, {"size": 1024, "pairs": 1, "load": "closed"})
        self.assertTrue(np.allclose(np.exp(one.logs), [1.1, 1.2]))

    def test_disturbed(self) -> None:
        """A set that something else disturbed doesn't count."""
        rows = [
            (1, 1, number, name, 9.0 if number == 3 and name == "b" else 1.0) for number in range(10) for name in "ab"
        ]
        (one,) = matched_messages(messages(rows), [("a", "b")], "latency_s")
        self.assertTrue(np.allclose(one.logs, [0.0]))

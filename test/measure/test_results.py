"""Tests of p2p.measure.results."""

from __future__ import annotations

import json
import math

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.estimates import Estimate
from p2p.measure.raw_data import MissingBlock
from p2p.measure.results import Analysis, Level, LevelFigures, RunComparison, to_json

LEVEL = Level("transport", "text", 1024, 1, "closed")


def analysis(*levels: LevelFigures) -> Analysis:
    """An analysis with these levels, one missing block, and nothing else."""
    missing = (MissingBlock(block=3, why="n9.n is gone"),)
    return Analysis(1, 0.05, 0.05, 99, (), levels, (), (), (), (), (), (), None, missing, ("a note",))


class LevelTests(SynchronousTestCase):
    """Where blocks belong."""

    def test_words(self) -> None:
        """A level is named by all that its blocks have in common."""
        self.assertEqual(str(LEVEL), "arm transport, text of 1024 bytes, 1 pair, load closed")
        self.assertIn("2 pairs", str(Level("transport", "text", 1024, 2, "open:20")))


class JSONTests(SynchronousTestCase):
    """What a program gets."""

    def test_missing(self) -> None:
        """Blocks that are missing are objects, figures that are missing null, and the text ends with its line."""
        text = to_json(analysis(LevelFigures(LEVEL, {"latency_s": Estimate(0)})))
        made = json.loads(text)
        self.assertTrue(text.endswith("}\n"))
        self.assertEqual(made["missing"], [{"block": 3, "why": "n9.n is gone"}])
        self.assertIsNone(made["levels"][0]["estimates"]["latency_s"]["median"])
        self.assertEqual(made["levels"][0]["level"]["arm"], "transport")
        self.assertIsNone(made["sampling"])

    def test_no_number(self) -> None:
        """What is no number is a fault of ours, and never becomes JSON that nobody can read."""
        self.assertRaises(ValueError, to_json, analysis(LevelFigures(LEVEL, {"latency_s": Estimate(1, math.nan)})))

    def test_comparison(self) -> None:
        """Two runs side by side are written as well."""
        made = json.loads(to_json(RunComparison(1, 0.05, (), (), (), (), ("arm one is in run A alone",))))
        self.assertEqual(made["notes"], ["arm one is in run A alone"])

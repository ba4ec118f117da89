"""Tests of p2p.measure.variation."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.variation import variation


def figures(effects: dict[str, float], *, noise: float = 0.0, repetitions: int = 4) -> pd.DataFrame:
    """Blocks of two sizes, two numbers of pairs and two types: each effect is added, with either sign."""
    rng = np.random.default_rng(1)
    rows = []
    for repetition, size, pairs, place in product(range(repetitions), (1, 2), (1, 2), (0, 1)):
        signs = {"size": 2 * size - 3, "pairs": 2 * pairs - 3, "type": 2 * place - 1, "repetition": repetition - 1.5}
        log = sum(value * math.prod(signs[name] for name in key.split("*")) for key, value in effects.items())
        place_ = {"size": size, "pairs": pairs, "load": "closed", "condition": ("text", "video")[place]}
        rows.append({**place_, "repetition": repetition, "latency_s": math.exp(log + rng.normal(0, noise))})
    return pd.DataFrame(rows)


class VariationTests(SynchronousTestCase):
    """What is planted is found, in its share."""

    def test_shares(self) -> None:
        """Each effect has the share of its square; what isn't planted has none."""
        got = variation("a", figures({"size": 2.0, "type": 1.0, "size*type": 0.5}))
        assert got is not None
        total = 4 + 1 + 0.25
        shares = {one.name: one.share for one in got.parts}
        self.assertEqual(
            list(shares),
            [
                *("size", "pairs", "type", "size and pairs", "size and type", "pairs and type"),
                *("size and pairs and type", "repetition", "noise"),
            ],
        )
        self.assertAlmostEqual(shares["size"], 4 / total)
        self.assertAlmostEqual(shares["type"], 1 / total)
        self.assertAlmostEqual(shares["size and type"], 0.25 / total)
        self.assertAlmostEqual(sum(shares.values()), 1.0)
        self.assertAlmostEqual(shares["noise"], 0.0)
        self.assertEqual((got.count, got.arm, got.share("load")), (32, "a", None))

    def test_repetition(self) -> None:
        """What a repetition has in common isn't noise."""
        got = variation("a", figures({"repetition": 1.0}))
        self.assertAlmostEqual(got.share("repetition") or 0.0 if got else 0.0, 1.0)

    def test_noise(self) -> None:
        """Noise is what no factor explains."""
        got = variation("a", figures({"size": 1.0}, noise=0.5, repetitions=50))
        self.assertApproximates(got.share("noise") or 0.0 if got else 0.0, 0.175, 0.03)

    def test_missing_blocks(self) -> None:
        """A repetition that lacks a block is left out, and the shares still add up."""
        got = variation("a", figures({"size": 1.0, "type": 0.2}, noise=0.1)[1:])
        assert got is not None
        self.assertEqual(got.count, 24)
        self.assertAlmostEqual(sum(one.share for one in got.parts), 1.0)

    def test_nothing(self) -> None:
        """Without two repetitions, without factors, or where nothing varies, nothing is said."""
        whole = figures({"size": 1.0}, noise=0.1)
        self.assertIsNone(variation("a", whole[whole["repetition"] == 1]))
        alone = whole[(whole["size"] == 1) & (whole["pairs"] == 1) & (whole["condition"] == "text")]
        self.assertIsNone(variation("a", alone))
        self.assertIsNone(variation("a", figures({})))
        self.assertIsNone(variation("a", whole.assign(latency_s=math.nan)))

"""Every figure of the abstract, worked out once more from the CSV files with pandas alone.

Nothing of the project's analysis is used here: what is read is its files, what is compared is its sentences.
"""

from __future__ import annotations

import math
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.analysis import analyse
from p2p.measure.block_figures import frames
from p2p.measure.raw_reader import read_run
from p2p.report.contents import contents
from p2p.report.document import Answer, Document, Items, Section, Text, plain
from p2p.report.subject import subject_of
from test.measure.synthetic_run import Synthetic
from test.report.subjects import FACTS_OF_RUN, write_run

MARGIN = 0.05
T_95 = {3: 3.182446, 5: 2.570582}
"""Of Student's distribution: 97.5 %, from a table, by degrees of freedom."""


def number(text: str, unit: str) -> float:
    """Find a figure with its unit in a sentence, in SI units."""
    found = re.search(r"([\d,.]+) " + unit, text)
    assert found is not None, (unit, text)
    return float(found[1].replace(",", ""))


def said(report: Document, key: str) -> str:
    """All sentences of a section."""
    section = next(one for one in report.sections if one.key == key)
    return "\n".join(_texts(section))


def _texts(section: Section) -> list[str]:
    found = []
    for part in section.parts:
        if isinstance(part, Text):
            found.append(part.text)
        elif isinstance(part, Items):
            found += part.items
        elif isinstance(part, Answer):
            found.append(f"{part.outcome}: {part.text}")
    return found


class RecomputedTests(SynchronousTestCase):
    """The abstract of a run, figure by figure."""

    def setUp(self) -> None:
        synthetic = Synthetic(
            sizes=(1024, 65536), pairs=3, exchanges=5, repetitions=6, block_noise=0.05, lost={"audio": 0.02}
        )
        self.folder = write_run(Path(self.mktemp()), FACTS_OF_RUN, synthetic.run())
        run = read_run(self.folder)
        report = contents(subject_of(run, analyse(frames(run), margin=MARGIN, seed=1, resamples=99)), [])
        plain(report)
        self.abstract = said(report, "abstract")
        self.samples: Any = pd.read_csv(self.folder / "samples.csv")
        self.blocks: Any = pd.read_csv(self.folder / "blocks.csv")
        self.links: Any = pd.read_csv(self.folder / "links.csv")
        self.lookups: Any = pd.read_csv(self.folder / "lookups.csv")

    def latencies(self) -> Any:
        """The median latency of each block, with what the block is."""
        ok = self.samples[self.samples["outcome"] == "ok"]
        medians = ((ok["end_ns"] - ok["planned_ns"]) / 1e9).groupby(ok["block"]).median().rename("latency")
        return self.blocks.merge(medians, left_on="block", right_index=True)

    def ratios(self) -> dict[tuple[str, str, int], tuple[float, float, float]]:
        """The ratio of two types at a size, with its interval: Yuen's trimmed mean of six logarithms."""
        table = self.latencies().pivot(index=["size", "repetition"], columns="condition", values="latency")
        found = {}
        for a, b in combinations(("text", "audio", "video"), 2):
            for size in (1024, 65536):
                logs = sorted(np.log(table.loc[size, b] / table.loc[size, a]))
                kept = logs[1:-1]
                winsorised: Any = pd.Series([kept[0], *kept, kept[-1]])
                error = winsorised.std() * math.sqrt(5 / (4 * 3))
                middle, reach = sum(kept) / 4, T_95[3] * error
                found[a, b, size] = math.exp(middle), math.exp(middle - reach), math.exp(middle + reach)
        return found

    def test_messages(self) -> None:
        """How many messages and blocks there were, and how many pairs at once."""
        self.assertIn(f"exchanged {len(self.samples):,} messages", self.abstract)
        self.assertIn(f"up to {self.blocks['pairs'].max()} pairs at once, in {len(self.blocks)} blocks", self.abstract)

    def test_verdict(self) -> None:
        """What is ruled out, where the interval reaches farthest, and the ratio with its interval."""
        ratios = self.ratios()
        reach = {key: max(high, 1 / low) for key, (_, low, high) in ratios.items()}
        a, b, size = max(reach, key=lambda key: reach[key])
        middle, low, high = ratios[a, b, size]
        self.assertGreater(reach[a, b, size], 1.05)
        percent = number(self.abstract, "%, at every size")
        self.assertAlmostEqual(percent, 100 * (reach[a, b, size] - 1), places=1)
        self.assertIn(
            f"that of {b} to {a} with {size // 1024} KiB and 3 pairs, {middle:.3f} (95 % interval {low:.3f} to "
            f"{high:.3f})",
            self.abstract,
        )

    def test_drops(self) -> None:
        """How many were dropped, of how many, and their share."""
        lost = int((~self.samples["outcome"].isin(["ok", "refused"])).sum())
        self.assertGreater(lost, 0)
        self.assertIn(f"{lost} of {len(self.samples):,} messages", self.abstract)
        self.assertAlmostEqual(
            number(self.abstract, r"% \(95 % interval [\d.]+ % to"), 100 * lost / len(self.samples), places=1
        )

    def test_throughput(self) -> None:
        """The highest throughput, of the level that has it."""
        ok = self.samples["outcome"] == "ok"
        moved = (self.samples["bytes"] + self.samples["reply_bytes"]).where(ok, 0)
        keys = [self.samples[name] for name in ("block", "pair", "direction")]
        span = self.samples.groupby(keys)["end_ns"].max() - self.samples.groupby(keys)["planned_ns"].min()
        rates = (moved.groupby(keys).sum() / span * 1e9).groupby("block").sum().rename("rate")
        levels = self.blocks.merge(rates, left_on="block", right_index=True)
        best = levels.groupby(["condition", "size"])["rate"].median()
        self.assertApproximates(number(self.abstract, "MB/s") * 1e6, best.max(), best.max() / 100)

    def test_look_up(self) -> None:
        """The look-up in the largest table, and how much longer it takes than in the smallest."""
        medians = self.lookups.groupby("table_size")["ns"].median()
        sentence = next(one for one in self.abstract.splitlines() if one.startswith("In a table of"))
        self.assertIn(f"In a table of {medians.index.max():,} entries", sentence)
        self.assertApproximates(number(sentence, "ns"), medians.loc[medians.index.max()], 1)
        self.assertAlmostEqual(number(sentence, "times that"), medians.iloc[-1] / medians.iloc[0], places=1)

    def test_links(self) -> None:
        """How long the set-up of a link takes: the median over blocks of their medians."""
        median = self.links.groupby("block")["setup_ns"].median().median() / 1e6
        sentence = next(one for one in self.abstract.splitlines() if one.startswith("A direct link stands"))
        self.assertApproximates(number(sentence, "ms"), median, median / 100)

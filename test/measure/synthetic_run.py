"""Runs that nobody measured: exchanges with the noise of real ones, and with differences that are planted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from p2p.measure.block_figures import Frames, frames
from p2p.measure.raw_data import BLOCKS, DAEMONS, LINKS, LOOKUPS, SAMPLES, Columns, CsvTable, RunFacts
from p2p.measure.raw_reader import RawRun

__all__ = ["Synthetic"]


@dataclass(frozen=True)
class Synthetic:
    """A run of one arm, made up.

    Latencies are lognormal within a block. Blocks differ by an effect of their own (what the machine did meanwhile),
    and repetitions by one that all blocks of a set share (drift).

    :ivar factors: by what latencies are multiplied under a condition, or under ``condition/size``.
    :ivar lost: the share of exchanges that time out.
    """

    seed: int = 1
    arm: str = "transport"
    conditions: Sequence[str] = ("text", "audio", "video", "text-as-audio")
    sizes: Sequence[int] = (1024, 65536, 1048576)
    repetitions: int = 6
    pairs: int = 10
    exchanges: int = 10
    load: str = "closed"
    factors: Mapping[str, float] = field(default_factory=dict)
    lost: Mapping[str, float] = field(default_factory=dict)
    message_noise: float = 0.25
    block_noise: float = 0.04
    drift: float = 0.15
    first_block: int = 1
    sampling: str = "on"

    def frames(self) -> Frames:
        """Make its data frames."""
        return frames(self.run())

    def run(self) -> RawRun:
        """Make it as the reader would return it."""
        rng = np.random.default_rng(self.seed)
        tables = {table: table.empty() for table in (SAMPLES, LINKS, BLOCKS, LOOKUPS, DAEMONS)}
        number = self.first_block
        for repetition in range(1, self.repetitions + 1):
            drift = rng.normal(0, self.drift)
            cells = [(condition, size) for size in self.sizes for condition in self.conditions]
            for index in rng.permutation(len(cells)):
                condition, size = cells[index]
                self._block(rng, tables, number, repetition, condition, size, drift)
                number += 1
        for size in (10, 1000, 20000):
            for value in rng.lognormal(6, 0.1, 8).tolist():
                _append(LOOKUPS, tables[LOOKUPS], size, value)
        for second in range(5):
            for role in ("router", "peer"):
                _append(
                    DAEMONS, tables[DAEMONS], 10**9 * (second + 1), f"{role}s", role, 10 + second, 0.5 * second, 10**7
                )
        return RawRun(
            folder=Path("run"),
            plan="",
            facts=RunFacts(seed=self.seed),
            samples=tables[SAMPLES],
            links=tables[LINKS],
            blocks=tables[BLOCKS],
            lookups=tables[LOOKUPS],
            daemons=tables[DAEMONS],
            notes=(),
        )

    def _block(
        self,
        rng: np.random.Generator,
        tables: Mapping[CsvTable, Columns],
        number: int,
        repetition: int,
        condition: str,
        size: int,
        drift: float,
    ) -> None:
        factor = self.factors.get(condition, 1.0) * self.factors.get(f"{condition}/{size}", 1.0)
        typical = (1e-3 + size / 2e8) * factor * np.exp(drift + rng.normal(0, self.block_noise))
        place = (number, self.arm, condition, size, self.pairs, self.load)
        began = number * 10**12
        for pair in range(1, self.pairs + 1):
            planned = began
            for latency in (rng.lognormal(np.log(typical), self.message_noise, self.exchanges) * 1e9).tolist():
                took = max(10, int(latency))
                lost = rng.random() < self.lost.get(condition, 0.0)
                first, reply, outcome = (None, 0, "timeout") if lost else (planned + took // 2, size, "ok")
                if self.sampling == "on":
                    way = (pair, f"n{pair}.n>m{pair}.m", "echo", f"{condition}-{size}")
                    times = (planned, first, planned + took, outcome, "no answer" if lost else "")
                    _append(SAMPLES, tables[SAMPLES], *place, *way, size, reply, *times)
                planned += took
            legs = (rng.lognormal(np.log(2e6), 0.2, 5)).astype(int).tolist()
            initiator = f"n{pair}.n"
            _append(LINKS, tables[LINKS], number, pair, initiator, sum(legs), 900, 800_000, *legs, 150, 0)
        offered = self.pairs * self.exchanges
        took = max(10, int(typical * self.exchanges * 1e9))
        _append(
            BLOCKS,
            tables[BLOCKS],
            *(number, number, *place[1:], repetition, 2, began, began + took, offered),
            *(self.sampling, 2 * size * offered, 2e9 * size * offered / took),
        )


def _append(table: CsvTable, columns: Columns, *values: object) -> None:
    """Add a row; what it leaves out at its end has the default."""
    defaults = [field.default for field in fields(table.row)[len(values) :]]
    for name, value in zip(table.columns, (*values, *defaults), strict=True):
        columns[name].append(value)

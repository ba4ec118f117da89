"""What comes out of an analysis: plain values, for a report and for JSON. Needs the extra ``report``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from p2p.measure.details import MessageSizes, PairFigures, Second
from p2p.measure.estimates import Estimate, Share
from p2p.measure.raw_data import MissingBlock
from p2p.measure.variation import Variation
from p2p.measure.verdicts import EquivalenceVerdict

__all__ = [
    "Analysis",
    "ArmResult",
    "BlockFigures",
    "DaemonFigures",
    "Drops",
    "Ecdf",
    "Level",
    "LevelFigures",
    "LevelPair",
    "LinkFigures",
    "LookupFigures",
    "RunComparison",
    "to_json",
]


@dataclass(frozen=True, slots=True)
class Level:
    """What blocks have in common that repeat one another."""

    arm: str
    condition: str
    size: int
    pairs: int
    load: str

    def __str__(self) -> str:
        pairs = "1 pair" if self.pairs == 1 else f"{self.pairs} pairs"
        return f"arm {self.arm}, {self.condition} of {self.size} bytes, {pairs}, load {self.load}"


@dataclass(frozen=True, slots=True)
class BlockFigures:
    """One block: its place in the plan, its outcomes, and its figures by their names in ``METRICS``."""

    block: int
    order: int
    arm: str
    condition: str
    size: int
    pairs: int
    load: str
    repetition: int
    offered: int
    ok: int
    refused: int
    drops: int
    figures: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class LevelFigures:
    """The blocks of a level: the median of each figure with its interval, by the names of the metrics.

    :ivar exchanges: that were ok, in all of its blocks.
    :ivar p99_s: the latency within which 99 % of these were answered; None of fewer than 299.
    """

    level: Level
    estimates: dict[str, Estimate]
    exchanges: int = 0
    p99_s: float | None = None


@dataclass(frozen=True, slots=True)
class Ecdf:
    """The latency in seconds of all exchanges that were ok at a level, at 201 even steps of the share from 0 to 1.

    :ivar tail: shares of exchanges that were slower, from a half down as far as there are ten, and slower than what.
    """

    level: Level
    n: int
    latency_s: tuple[float, ...]
    tail: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Drops:
    """What was lost, in total and by cause.

    :ivar arm: empty for the whole run; ``condition`` is empty for a whole arm.
    :ivar dropped: everything but ``ok`` and ``refused``.
    :ivar causes: of every outcome that is a drop, also those that didn't happen.
    """

    arm: str
    condition: str
    offered: int
    ok: int
    refused: int
    dropped: Share
    causes: dict[str, Share]


@dataclass(frozen=True, slots=True)
class ArmResult:
    """The verdicts on one arm.

    :ivar verdict: does the content type matter to the latency?
    :ivar others: the same by the other metrics, for information.
    :ivar content: of the latency of zeros and random against the content types, if they are there.
    :ivar labels: of each control "same bytes, other label".
    :ivar caution: what a control that isn't equivalent means for the verdict, in one sentence; else empty.
    """

    arm: str
    verdict: EquivalenceVerdict
    others: tuple[EquivalenceVerdict, ...]
    content: EquivalenceVerdict | None
    labels: tuple[EquivalenceVerdict, ...]
    caution: str


@dataclass(frozen=True, slots=True)
class LinkFigures:
    """One figure of the set-up links, at one number of pairs, in the unit that its name ends with.

    :ivar links: how many have it; ``p99`` (from 299 links on), ``most`` and ``total`` are of them. The total is for
        what adds up: ``retransmits``.
    :ivar estimate: of the median over blocks.
    """

    figure: str
    pairs: int
    links: int
    p99: float | None
    most: float
    estimate: Estimate
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class LookupFigures:
    """The look-up in a table of so many entries, in ns; the unit is a batch of look-ups."""

    table_size: int
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class DaemonFigures:
    """What a daemon held, from its first reading to its last.

    :ivar cpu_share: of one processor; None for a single reading.
    """

    daemon: str
    role: str
    readings: int
    sockets_first: int
    sockets_most: int
    sockets_last: int
    cpu_s: float
    cpu_share: float | None
    rss_bytes_most: int


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that came out of a run.

    :ivar sampling: of the throughput with sampling to that without it; None unless the run has such blocks.
    :ivar missing: blocks that were planned and aren't there, and why.
    :ivar notes: what else to know about the data, a sentence each.
    :ivar variation: where the variation of the latency comes from, in each arm where that can be said.
    """

    seed: int
    margin: float
    alpha: float
    resamples: int
    arms: tuple[ArmResult, ...]
    levels: tuple[LevelFigures, ...]
    blocks: tuple[BlockFigures, ...]
    ecdfs: tuple[Ecdf, ...]
    drops: tuple[Drops, ...]
    links: tuple[LinkFigures, ...]
    lookups: tuple[LookupFigures, ...]
    daemons: tuple[DaemonFigures, ...]
    sampling: EquivalenceVerdict | None
    missing: tuple[MissingBlock, ...]
    notes: tuple[str, ...]
    variation: tuple[Variation, ...] = ()
    sizes: tuple[MessageSizes, ...] = ()
    pairs: tuple[PairFigures, ...] = ()
    seconds: tuple[Second, ...] = ()


@dataclass(frozen=True, slots=True)
class LevelPair:
    """The same level in both runs, by the names of the metrics."""

    level: Level
    a: dict[str, Estimate]
    b: dict[str, Estimate]


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two runs side by side.

    :ivar verdicts: for each arm of both and each of ``COMPARED``, of run B against run A.
    :ivar drops: of run A and of run B, each arm of both.
    """

    seed: int
    margin: float
    verdicts: tuple[EquivalenceVerdict, ...]
    levels: tuple[LevelPair, ...]
    drops_a: tuple[Drops, ...]
    drops_b: tuple[Drops, ...]
    notes: tuple[str, ...]


def to_json(result: Analysis | RunComparison) -> str:
    """Write a result as JSON, the same bytes for the same result; missing figures are null."""
    return json.dumps(asdict(result), default=_plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: MissingBlock) -> dict[str, str | int]:
    """Make the one kind of value that isn't a dataclass plain."""
    return value.model_dump()

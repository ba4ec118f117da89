"""A run of an experiment: block after block of its plan, each kept when it is finished, and resumed where it ended."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import psutil
from OpenSSL import SSL

from p2p import __version__
from p2p.base.errors import ConfigError, ExchangeFailed, LocalFileError, P2PError
from p2p.measure.blocks import Block
from p2p.measure.conductor import BlockDone
from p2p.measure.gauges import Gauges
from p2p.measure.lookup_times import lookup_times
from p2p.measure.plan import ExperimentPlan, load_plan
from p2p.measure.raw_data import (
    BLOCKS,
    DAEMONS,
    LINKS,
    LOOKUPS,
    PLAN,
    SAMPLES,
    ArmEnding,
    Columns,
    CsvTable,
    MissingBlock,
    RunEvent,
    RunFacts,
)
from p2p.measure.raw_reader import RawRun, read_run
from p2p.measure.raw_writer import RunWriter
from p2p.measure.running_lab import ROUTERS, ExperimentLab

if TYPE_CHECKING:  # it needs the extra "report"
    from p2p.measure.stopping import Precision

__all__ = ["ROUTERS_KILLED", "OpenLab", "RunResult", "Telling", "run_experiment"]

ROUTERS_KILLED: Final = "both routers were killed"
"""What the events of a run say of it."""

TOLD: Final = 3
"""Problems of one block that are told at once."""

_LEVEL: Final = ("arm", "condition", "size", "pairs", "load")
_LIBRARIES: Final = ("twisted", "cryptography", "pyOpenSSL", "blake3", "av")

OpenLab = Callable[[Any, int, int, Callable[[str], None]], AbstractAsyncContextManager[ExperimentLab]]
"""Makes the lab ready: gets the reactor, the number of pairs, the seed, and whom to tell the steps."""


class Telling(Protocol):
    """Hears how the run goes."""

    def step(self, what: str) -> None:
        """Something that isn't a block begins."""

    def blocks(self, done: int, total: int, seconds: float) -> None:
        """So many blocks are finished; those that are left take about so many seconds."""

    def missing(self, what: str) -> None:
        """Something isn't there, and why."""


@dataclass
class RunResult:
    """How a run went.

    :ivar planned: blocks that the run has; where an arm goes on until it is precise, as many as it came to.
    :ivar finished: blocks that are there now, those of earlier runs into the same folder included.
    :ivar outcomes: how the exchanges of this run ended.
    :ivar unsent: messages of this run that were planned and never sent, or of which nobody knows.
    :ivar missing: what isn't there, and why.
    """

    folder: Path
    planned: int
    finished: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    unsent: int = 0
    missing: list[MissingBlock] = field(default_factory=list)


async def run_experiment(
    reactor: Any,
    path: Path,
    out: Path,
    lab: OpenLab,
    telling: Telling,
    seconds: Callable[[], float] = time.monotonic,
) -> RunResult:
    """Run a plan, or what is left of it in its folder.

    Whatever ends it, finished blocks are kept.

    :param path: of the plan.
    :param out: the folder of the raw data.
    :param seconds: reads a monotonic clock.
    :raises ConfigError: if the plan can't be used, or the folder holds a run of another one.
    :raises P2PError: if it can't go on, with what to do.
    """
    plan = load_plan(path)
    with _writer(path, plan, out) as writer:
        return await _Run(reactor, plan, writer, telling, seconds).run(lab)


def _writer(path: Path, plan: ExperimentPlan, out: Path) -> RunWriter:
    if not (out / BLOCKS.file).exists():
        return RunWriter.create(out, _text(path), _first_facts(plan))
    if load_plan(out / PLAN) != plan:
        raise ConfigError(
            f"{out} holds the run of another plan, its {PLAN}; name another folder with --out, or go on with that plan"
        )
    return RunWriter.resume(out)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise LocalFileError(f"{path}: {error.strerror}") from error


class _Run:
    """One run: round after round of the plan, of which those blocks are run that aren't there."""

    def __init__(
        self,
        reactor: Any,
        plan: ExperimentPlan,
        writer: RunWriter,
        telling: Telling,
        seconds: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._plan = plan
        self._writer = writer
        self._telling = telling
        self._before = before = read_run(writer.folder)
        self._facts = before.facts
        self._has_lookups = bool(before.lookups["table_size"])
        # A run of an earlier version has no pilots: what was usual then stays so for the rest of it.
        self._counts = {
            tuple(level): offered // level[3]
            for *level, offered, sets in _columns(before.blocks, *_LEVEL, "offered", "sets")
            if sets is None
        }
        self._counts |= {tuple(level): count for *level, count in _columns(before.pilots, *_LEVEL, "exchanges")}
        self._attempts = Counter(dict(_columns(before.broken, "block", "attempt")))
        self._missing = {one.block: one.why for one in before.facts.missing if one.block not in writer.finished}
        self._endings = {one.arm: one for one in before.facts.endings}
        self._fixed = {one.arm: one.repetitions for one in plan.factors if not one.extends}
        self._pace = 1.0  # how much longer blocks take than was estimated
        self._began = self._seconds()
        self._spent_s = sum(end - start for start, end in _columns(before.blocks, "started_ns", "ended_ns")) / 1e9
        self._precision: Precision | None = None
        self._blocks: dict[int, Block] = {}
        least = {arm.arm: arm.repetitions for arm in plan.factors}
        least |= {one.arm: one.repetitions for one in self._endings.values()}
        extends = len(self._fixed) < len(plan.arms)
        for one in islice(plan.rounds(), max(least.values()) if extends else None):
            known = (block for some in one for block in some if block.repetition <= least[block.arm])
            self._blocks.update((block.number, block) for block in known)
        self._result = RunResult(writer.folder, 0, len(writer.finished))

    async def run(self, lab: OpenLab) -> RunResult:
        left = self._left()
        if not left and self._is_settled and not self._facts.finished:  # it was broken off behind its last block
            self._tell_facts()
        elif left or not self._is_settled:
            self._prepare_stopping()
            try:
                if not self._has_lookups:
                    self._telling.step("timing look-ups")
                    for row in lookup_times():
                        self._writer.add(row)
                async with lab(self._reactor, self._pairs(left), self._plan.seed, self._telling.step) as ready:
                    await self._in_lab(ready)
            finally:
                self._tell_facts()
        self._result.planned = len(self._writer.finished) + len(self._left())
        self._result.missing = [MissingBlock(block=block, why=why) for block, why in sorted(self._missing.items())]
        return self._result

    # -- what there is to do --------------------------------------------------------------------------------------

    @property
    def _is_settled(self) -> bool:
        """Whether it is known of every arm how often it is repeated."""
        return all(arm in self._endings or arm in self._fixed for arm in self._plan.arms)

    def _last(self, block: Block) -> int:
        """The last repetition of a block's arm, as far as that is known when it is run."""
        ending = self._endings.get(block.arm)
        return ending.repetitions if ending is not None else self._fixed.get(block.arm, block.repetition)

    def _rounds(self) -> Iterator[list[Block]]:
        """The rounds of the plan, until no arm goes on; whoever asks for the next one has run the last."""
        for one in self._plan.rounds():
            wanted = [block for some in one for block in some if block.repetition <= self._last(block)]
            if not wanted:
                return
            self._blocks.update((block.number, block) for block in wanted)
            yield wanted

    def _left(self) -> list[Block]:
        """The blocks that are known to be missing."""
        known = self._blocks.values()
        there = self._writer.finished
        return [block for block in known if block.number not in there and block.repetition <= self._last(block)]

    def _pairs(self, left: list[Block]) -> int:
        return max(block.pairs for block in left) if left and self._is_settled else self._plan.pairs

    def _prepare_stopping(self) -> None:
        if self._is_settled:
            return
        try:
            from p2p.measure.stopping import Precision
        except ImportError as error:
            raise P2PError(
                f"'until' in a plan needs {error.name}, which isn't installed; install it with: pip install "
                "'p2p[report]', or say how many repetitions"
            ) from error
        until = self._plan.until
        self._precision = Precision(self._plan.margin, until.half_width if until is not None else None)
        self._precision.add(self._before)

    # -- doing it -------------------------------------------------------------------------------------------------

    async def _in_lab(self, lab: ExperimentLab) -> None:
        if lab.here is None and any(block.kill_routers for block in self._left()):
            raise ConfigError("kill_routers is for a lab that is started on this machine; leave it out, or --lab")
        for what in lab.missing:
            self._telling.missing(what)
        placed = {(one.what, one.where): one for one in (*self._facts.placement, *lab.placement)}
        self._facts = self._facts.model_copy(update={"placement": tuple(placed.values())})
        self._tell_facts()
        gauges = Gauges(self._reactor, lab.gauges, self._writer.add)
        gauges.start()
        self._began = self._seconds()
        try:
            for number, one in enumerate(self._rounds(), 1):
                done: list[BlockDone] = []
                for block in one:
                    if block.number not in self._writer.finished:
                        self._tell_progress()
                        gauges.paused = not block.sampling
                        done.append(await self._block(lab, block))
                self._end_round(number, done)
            self._tell_progress()
        finally:
            gauges.stop()
        self._writer.finish()

    def _end_round(self, number: int, done: Sequence[BlockDone]) -> None:
        """See which arms are repeated often enough now."""
        if self._precision is None or not done:
            return
        self._precision.add(_as_run(self._before, done))
        until = self._plan.until
        assert until is not None
        late = self._spent_s + self._seconds() - self._began >= until.at_most
        for arm in self._plan.factors:
            if arm.extends and arm.arm not in self._endings and number >= arm.repetitions:
                precise = self._precision.is_enough(arm.arm)
                if precise or late:
                    self._endings[arm.arm] = ArmEnding(
                        arm=arm.arm, repetitions=number, why="precise" if precise else "time"
                    )
                    self._tell_facts()

    async def _block(self, lab: ExperimentLab, block: Block) -> BlockDone:
        began = self._seconds()
        try:
            counted = await self._counted(lab, block)
        except ExchangeFailed as failure:
            done = BlockDone(missing=[f"its pilot came to nothing: {failure.outcome}: {failure}"])
        else:
            self._attempts[block.number] += 1
            halfway = partial(self._kill_routers, lab, block.number) if block.kill_routers else None
            done = await lab.conductor.block(counted, self._attempts[block.number], halfway)
            if lab.here is not None and block.kill_routers:
                self._telling.step("starting the routers again")
                await lab.here.start(ROUTERS)
                self._happened(block.number, "the routers are there again")
        self._result.outcomes.update(done.outcomes)
        if done.row is None:
            self._break(block, done)
            lab.check()
        else:
            self._keep(block, done)
        lab.empty_inboxes()
        self._pace += (max(self._seconds() - began, 0.001) / block.seconds - self._pace) * 0.1
        return done

    async def _kill_routers(self, lab: ExperimentLab, block: int) -> None:
        assert lab.here is not None
        await lab.here.kill_routers()
        self._happened(block, ROUTERS_KILLED)

    def _happened(self, block: int, what: str) -> None:
        event = RunEvent(block=block, t_ns=time.monotonic_ns(), what=what)
        self._facts = self._facts.model_copy(update={"events": (*self._facts.events, event)})

    async def _counted(self, lab: ExperimentLab, block: Block) -> Block:
        """The block with as many exchanges as are fixed for its level; they are on the disk before it begins."""
        if block.exchanges:
            return block
        if block.level not in self._counts:
            row = await lab.conductor.pilot(block)
            self._writer.pilot(row)
            self._counts[block.level] = row.exchanges
        return replace(block, exchanges=self._counts[block.level])

    def _keep(self, block: Block, done: BlockDone) -> None:
        assert done.row is not None
        for sample in done.samples:
            self._writer.add(sample)
        for link in done.links:
            self._writer.add(link)
        self._writer.finish_block(done.row)
        self._result.finished = len(self._writer.finished)
        if self._missing.pop(block.number, None) is not None:
            self._tell_facts()

    def _break(self, block: Block, done: BlockDone) -> None:
        """Keep where the messages went of a block that came to nothing."""
        self._writer.break_block(done.broken)
        self._result.unsent += sum(row.count for row in done.broken if row.sent == "no")
        self._missing[block.number] = _in_short(done.missing)
        self._tell_facts()
        for what in done.missing:
            self._telling.missing(f"block {block.number}: {what}")

    # -- telling --------------------------------------------------------------------------------------------------

    def _tell_progress(self) -> None:
        left = [block for block in self._left() if block.number not in self._missing]
        seconds = sum(block.seconds for block in left) * self._pace
        finished = len(self._writer.finished)
        until = self._plan.until
        if until is not None and not self._is_settled:
            seconds = max(seconds, until.at_most - self._spent_s - (self._seconds() - self._began))
        self._telling.blocks(finished, finished + len(left), seconds)

    def _tell_facts(self) -> None:
        finished = self._is_settled and not self._left()
        fixed = [ArmEnding(arm=arm, repetitions=number, why="planned") for arm, number in self._fixed.items()]
        self._facts = self._facts.model_copy(
            update={
                "missing": tuple(MissingBlock(block=block, why=why) for block, why in sorted(self._missing.items())),
                "endings": (*self._endings.values(), *(one for one in fixed if finished)),
                "finished": _now() if finished else "",
            }
        )
        self._writer.facts(self._facts)


def _columns(columns: Columns, *names: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a table, of these columns."""
    return zip(*(columns[name] for name in names), strict=True)


def _as_run(run: RawRun, done: Sequence[BlockDone]) -> RawRun:
    """A run of these blocks alone."""
    rows: dict[CsvTable, list[Any]] = {
        BLOCKS: [one.row for one in done if one.row is not None],
        SAMPLES: [row for one in done for row in one.samples],
    }
    made = {
        table: {name: [getattr(row, name) for row in some] for name in table.columns} for table, some in rows.items()
    }
    return replace(
        run,
        blocks=made[BLOCKS],
        samples=made[SAMPLES],
        links=LINKS.empty(),
        lookups=LOOKUPS.empty(),
        daemons=DAEMONS.empty(),
    )


def _first_facts(plan: ExperimentPlan) -> RunFacts:
    resolution = time.get_clock_info("monotonic")
    return RunFacts(
        title=plan.title,
        seed=plan.seed,
        margin=plan.margin,
        started=_now(),
        machine=_machine(),
        versions=_versions(),
        clock={"name": f"CLOCK_MONOTONIC by {resolution.implementation}", "resolution_ns": resolution.resolution * 1e9},
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _machine() -> dict[str, str | int | float]:
    return {
        "name": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "processors": os.cpu_count() or 0,
        "memory_bytes": psutil.virtual_memory().total,
    }


def _processor() -> str:
    """The name that Linux gives it; Python's own function knows the architecture alone there."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _versions() -> dict[str, str]:
    found = {"p2p": __version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue  # PyAV is needed for pictures alone
    found["openssl"] = SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode()
    return found


def _in_short(problems: Sequence[str]) -> str:
    """The first few of the problems of a block; all of them are in the file of broken blocks."""
    told = [*problems[:TOLD]]
    if len(problems) > TOLD:
        told.append(f"and {len(problems) - TOLD} more such")
    return "; ".join(told)

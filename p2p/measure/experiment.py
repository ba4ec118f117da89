"""A run of an experiment: block after block of its plan, each kept when it is finished, and resumed where it ended."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Protocol

import psutil
from OpenSSL import SSL

from p2p import __version__
from p2p.base.errors import ConfigError, LocalFileError, P2PError
from p2p.measure.blocks import Block
from p2p.measure.conductor import BlockDone
from p2p.measure.gauges import Gauges
from p2p.measure.lookup_times import lookup_times
from p2p.measure.plan import ExperimentPlan, load_plan
from p2p.measure.raw_data import BLOCKS, PLAN, MissingBlock, RunFacts
from p2p.measure.raw_reader import read_run
from p2p.measure.raw_writer import RunWriter
from p2p.measure.running_lab import ExperimentLab

__all__ = ["OpenLab", "RunResult", "Telling", "run_experiment"]

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

    :ivar finished: blocks that are there now, those of earlier runs into the same folder included.
    :ivar outcomes: how the exchanges of this run ended.
    :ivar missing: what isn't there, and why.
    """

    folder: Path
    planned: int
    finished: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    missing: list[MissingBlock] = field(default_factory=list)


async def run_experiment(reactor: Any, path: Path, out: Path, lab: OpenLab, telling: Telling) -> RunResult:
    """Run a plan, or what is left of it in its folder.

    Whatever ends it, finished blocks are kept.

    :param path: of the plan.
    :param out: the folder of the raw data.
    :raises ConfigError: if the plan can't be used, or the folder holds a run of another one.
    :raises P2PError: if it can't go on, with what to do.
    """
    plan = load_plan(path)
    with _writer(path, plan, out) as writer:
        return await _Run(reactor, plan, writer, telling).run(lab)


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
    """One run, from the first block that isn't there."""

    def __init__(self, reactor: Any, plan: ExperimentPlan, writer: RunWriter, telling: Telling) -> None:
        self._reactor = reactor
        self._plan = plan
        self._writer = writer
        self._telling = telling
        self._blocks = plan.blocks()
        self._left = [block for block in self._blocks if block.number not in writer.finished]
        before = read_run(writer.folder)
        self._facts = before.facts
        self._has_lookups = bool(before.lookups["table_size"])
        self._missing = [one for one in before.facts.missing if one.block in writer.finished]
        self._result = RunResult(writer.folder, len(self._blocks), len(writer.finished), missing=self._missing)
        self._pace = 1.0  # how much longer blocks take than was estimated

    async def run(self, lab: OpenLab) -> RunResult:
        if not self._left and not self._facts.finished:  # it was broken off behind its last block
            self._tell_facts(finished=True)
        elif self._left:
            pairs = max(block.pairs for block in self._left)
            try:
                if not self._has_lookups:
                    self._telling.step("timing look-ups")
                    for row in lookup_times():
                        self._writer.add(row)
                async with lab(self._reactor, pairs, self._plan.seed, self._telling.step) as ready:
                    await self._in_lab(ready)
            finally:
                self._tell_facts(finished=not self._unfinished)
        return self._result

    @property
    def _unfinished(self) -> bool:
        return len(self._writer.finished) < len(self._blocks)

    async def _in_lab(self, lab: ExperimentLab) -> None:
        for what in lab.missing:
            self._telling.missing(what)
        placed = {(one.what, one.where): one for one in (*self._facts.placement, *lab.placement)}
        self._facts = self._facts.model_copy(update={"placement": tuple(placed.values())})
        self._tell_facts(finished=False)
        gauges = Gauges(self._reactor, lab.gauges, self._writer.add)
        gauges.start()
        try:
            for place, block in enumerate(self._left):
                self._tell_progress(place)
                gauges.paused = not block.sampling
                await self._block(lab, block)
            self._tell_progress(len(self._left))
        finally:
            gauges.stop()
        self._writer.finish()

    async def _block(self, lab: ExperimentLab, block: Block) -> None:
        began = time.monotonic()
        done = await lab.conductor.block(block)
        if done.row is None:
            lab.check()
            kept = f"{len(self._writer.finished)} finished blocks are kept in {self._writer.folder}; run again to go on"
            raise P2PError(f"block {block.number}: no pair could take part: {'; '.join(done.missing[:3])}; {kept}")
        self._keep(block, done)
        lab.empty_inboxes()
        self._pace += (max(time.monotonic() - began, 0.001) / block.seconds - self._pace) * 0.1

    def _keep(self, block: Block, done: BlockDone) -> None:
        assert done.row is not None
        for sample in done.samples:
            self._writer.add(sample)
        for link in done.links:
            self._writer.add(link)
        if done.missing:
            # Before the block itself: whoever reads it finds what it lacks.
            self._missing.append(MissingBlock(block=block.number, why="; ".join(done.missing)))
            self._tell_facts(finished=False)
            for what in done.missing:
                self._telling.missing(f"block {block.number}: {what}")
        self._writer.finish_block(done.row)
        self._result.finished = len(self._writer.finished)
        self._result.outcomes.update(done.outcomes)

    def _tell_progress(self, place: int) -> None:
        seconds = sum(block.seconds for block in self._left[place:]) * self._pace
        self._telling.blocks(len(self._blocks) - len(self._left) + place, len(self._blocks), seconds)

    def _tell_facts(self, *, finished: bool) -> None:
        self._facts = self._facts.model_copy(
            update={"missing": tuple(self._missing), "finished": _now() if finished else ""}
        )
        self._writer.facts(self._facts)


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

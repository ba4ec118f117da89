"""The demo: a whole lab on one machine, in one run.

Every pair talks at once and both ways while both routers are killed in the middle; then come the arms of a short
experiment. Real daemons, real sockets: two routers and, for each cluster, a daemon that hosts all its peers. What is
measured goes into a folder as that of every other experiment does, so ``p2p report`` takes it. What is here is the
plan, what is to be seen around the run, and the sums that the assignment asks for.
"""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

import psutil
import yaml

from p2p.base.errors import ConfigError, LocalFileError, Outcome, P2PError
from p2p.client import Client
from p2p.console.operations import PeerStatus
from p2p.measure.experiment import ROUTERS_KILLED, RunResult, Telling, run_experiment
from p2p.measure.gather import until
from p2p.measure.raw_data import Columns
from p2p.measure.raw_reader import RawRun, read_run
from p2p.measure.raw_writer import remove_run
from p2p.measure.running_lab import ROUTERS, ExperimentLab, LabHere, lab_here
from p2p.measure.sample_files import ContentType, installed_folders
from p2p.measure.samples import Sample, figures, message_figures, outcomes

__all__ = ["EVERYONE", "DemoPlan", "DemoResult", "run_demo"]

EVERYONE: Final = "everyone"
"""The arm in which all pairs talk at once."""

_PLAN: Final = "demo-experiment.yaml"


@dataclass(frozen=True)
class DemoPlan:
    """What to run.

    :ivar pairs: peers in each cluster; the peers of one number make a pair.
    :ivar exchanges: of each pair at least, half of them by either side.
    :ivar ports: of the routers of clusters n and m.
    :ivar quick: whether the arms of the experiment are left out.
    :ivar media: whether films can be made here; without them nothing is asked of content types.
    """

    pairs: int = 100
    exchanges: int = 30
    ports: tuple[int, int] = (5555, 5556)
    quick: bool = False
    media: bool = True

    @property
    def has_experiment(self) -> bool:
        """Whether the arms of the experiment are run."""
        return self.media and not self.quick

    def text(self) -> str:
        """The plan as YAML.

        :raises P2PError: if the file that it is made from isn't there.
        """
        plan = yaml.safe_load(_plan_text())
        everyone = plan["arms"][EVERYONE]
        if not self.media:
            everyone["types"].remove("video")
        sets = -(-self.exchanges // (2 * len(everyone["types"])))
        everyone.update(pairs=[self.pairs], exchanges=sets)
        if not self.has_experiment:
            plan["arms"] = {EVERYONE: everyone}
        return str(yaml.safe_dump(plan, sort_keys=False, default_flow_style=None, width=110))


def _plan_text() -> str:
    searched = [folder / _PLAN for folder in installed_folders("etc")]
    for path in searched:
        if path.is_file():
            return path.read_text("utf-8")
    raise P2PError(f"the demo's plan is neither {' nor '.join(map(str, searched))}; install p2p again")


@dataclass
class DemoResult:
    """What came out.

    :ivar summary: the content of ``summary.json``.
    :ivar failures: what isn't as it should be, in words; empty if all is well.
    :ivar run: how the run went.
    """

    summary: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    run: RunResult | None = None

    def write(self, folder: Path) -> None:
        """Write ``summary.json``.

        :raises LocalFileError: if the folder can't be written.
        """
        try:
            (folder / "summary.json").write_text(json.dumps(self.summary, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise LocalFileError(
                f"{error.filename or folder}: {error.strerror}; name another folder with --out"
            ) from error


async def run_demo(reactor: Any, plan: DemoPlan, out: Path, telling: Telling) -> DemoResult:
    """Run the demo into a folder, in the place of an earlier one; whatever happens, no process of it is left.

    :raises P2PError: if it can't be run here, with what to do.
    """
    for port in plan.ports:
        _check_port_is_free(port)
    path = _prepare(plan, out)
    seen = _Seen(reactor, plan)
    try:
        result = await run_experiment(reactor, path, out, seen.lab, telling)
    finally:
        path.unlink(missing_ok=True)  # the run has it as its plan
    run = read_run(out)
    summary = _summary(run, plan, seen)
    return DemoResult(summary, [*_failures(run, result, summary), *seen.left()], result)


def _prepare(plan: DemoPlan, out: Path) -> Path:
    """Write the plan into the folder, from which an earlier run is removed."""
    remove_run(out)
    path = out / "demo.yaml"
    try:
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(plan.text(), encoding="utf-8")
    except OSError as error:
        raise LocalFileError(f"{error.filename or out}: {error.strerror}; name another folder with --out") from error
    return path


class _Seen:
    """What is to be seen of the lab beside what is measured.

    :ivar sockets: open TCP sockets of all daemons, before the first link and after the last. Others come and go: those
        to processes that decode films, say.
    :ivar router_bytes: what went through the sockets of the routers.
    """

    def __init__(self, reactor: Any, plan: DemoPlan) -> None:
        self.sockets = {"before": 0, "after": 0}
        self.router_bytes = 0
        self._reactor = reactor
        self._plan = plan
        self._pids: set[int] = set()
        self._folder: Path | None = None

    @asynccontextmanager
    async def lab(
        self, reactor: Any, pairs: int, seed: int, progress: Callable[[str], None]
    ) -> AsyncIterator[ExperimentLab]:
        """Start the lab, look at it before and after, and count its sockets while there are no links."""
        async with lab_here(reactor, pairs, seed, progress, self._plan.ports) as lab:
            here = lab.here
            assert here is not None
            self._folder = here.directory.parent
            self._note(here)
            self.sockets["before"] = _open_sockets(here)
            yield lab
            self._note(here)
            await self._disconnect(here)
            self.sockets["after"] = _open_sockets(here)
            self.router_bytes = here.router_bytes + await here.count_router_bytes()

    def left(self) -> list[str]:
        """Whatever outlived the demo, as sentences."""
        left = [f"process {pid}" for pid in sorted(self._pids) if psutil.pid_exists(pid)]
        left += [f"port {port}" for port in self._plan.ports if not _is_free(port)]
        if self._folder is not None and self._folder.exists():
            left.append(f"the folder {self._folder}")
        return [f"something is left: {', '.join(left)}"] if left else []

    def _note(self, here: LabHere) -> None:
        self._pids.update(daemon.pid for daemon in here.daemons.values())

    async def _disconnect(self, here: LabHere) -> None:
        async with AsyncExitStack() as open_now:
            clients = [
                await open_now.enter_async_context(await here.connect(name))
                for name in here.daemons
                if name not in ROUTERS
            ]
            for client in clients:
                await client.disconnect()
            for client in clients:
                await until(self._reactor, partial(_has_no_links, client), "all links to end")


def _open_sockets(here: LabHere) -> int:
    return sum(daemon.open_sockets("tcp") for daemon in here.daemons.values())


async def _has_no_links(host: Client) -> bool:
    status = await host.status()
    assert isinstance(status, PeerStatus)
    return status.open.links == 0 and status.open.listeners == 0


# -- sums -------------------------------------------------------------------------------------------------------------


def _summary(run: RawRun, plan: DemoPlan, seen: _Seen) -> dict[str, Any]:
    """Sum up the arm of all pairs, in the words of docs/cli.rst."""
    rows = [row for row in _rows(run.samples) if row["arm"] == EVERYONE]
    samples = [_sample(row) for row in rows]
    done = [sample for sample in samples if sample.outcome is Outcome.OK]
    blocks = {row["block"] for row in rows}
    links = [row for row in _rows(run.links) if row["block"] in blocks]
    killed = {event.block: event.t_ns for event in run.facts.events if event.what == ROUTERS_KILLED}
    # The daemons read the same clock as the coordinator.
    later = [
        sample
        for sample, row in zip(samples, rows, strict=True)
        if row["block"] in killed and sample.planned_ns >= killed[row["block"]]
    ]
    kinds = [kind for kind in get_args(ContentType) if any(sample.content_type == kind for sample in samples)]
    return {
        "pairs": plan.pairs,
        **message_figures(samples, plan.pairs),
        "links": {"standing": len(links), "failed": plan.pairs * len(blocks) - len(links)},
        **{
            name: figures([row[column] / 1e9 for row in links if row[column] is not None])
            for name, column in (
                ("setup_s", "setup_ns"),
                ("table_lookup_s", "table_lookup_ns"),
                ("router_lookup_s", "router_lookup_ns"),
            )
        },
        "by_content_type": {
            kind: message_figures([sample for sample in samples if sample.content_type == kind], plan.pairs)
            for kind in kinds
        },
        "exchanges_after_routers_died": outcomes(later),
        "content_bytes": sum(
            row["bytes"] + row["reply_bytes"] for row in _rows(run.samples) if row["outcome"] == Outcome.OK
        ),
        "router_bytes": seen.router_bytes,
        "open_sockets": seen.sockets,
        "memory_bytes": _most_memory(run.daemons),
        "never_sent": sum(row["count"] for row in _rows(run.broken) if row["sent"] == "no"),
        "messages_per_s": len(done) / span if (span := _span(done)) else 0.0,
    }


def _rows(columns: Columns) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _sample(row: Mapping[str, Any]) -> Sample:
    names = ("pair", "direction", "service", "name", "bytes", "reply_bytes", "planned_ns", "first_byte_ns", "end_ns")
    return Sample(content_type=row["condition"], outcome=Outcome(row["outcome"]), **{name: row[name] for name in names})


def _span(samples: Sequence[Sample]) -> float:
    """Seconds from the first plan to the last end."""
    return (max(one.end_ns for one in samples) - min(one.planned_ns for one in samples)) / 1e9 if samples else 0.0


def _most_memory(daemons: Columns) -> dict[str, int]:
    most: dict[str, int] = {}
    for row in _rows(daemons):
        most[row["daemon"]] = max(most.get(row["daemon"], 0), row["rss_bytes"])
    return most


def _failures(run: RawRun, result: RunResult, summary: Mapping[str, Any]) -> list[str]:
    """Say what isn't as it should be."""
    failures = [f"block {one.block} came to nothing: {one.why}" for one in result.missing]
    wrong = [row for row in _rows(run.samples) if row["outcome"] != Outcome.OK]
    if wrong:
        first = wrong[0]
        failures.append(
            f"{len(wrong)} of {len(run.samples['outcome'])} exchanges weren't ok; the first: {first['direction']}, "
            f"{first['name']}: {first['outcome']}: {first['reason']}"
        )
    before, after = summary["open_sockets"].values()
    if before != after:
        failures.append(f"{before} sockets were open before the links, and {after} after they were closed")
    if not summary["exchanges_after_routers_died"]["offered"]:
        failures.append("no exchange was left for the time after the routers died; use more --exchanges")
    return failures


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _check_port_is_free(port: int) -> None:
    if not _is_free(port):
        raise ConfigError(
            f"port {port} is taken, and the demo's router needs it; stop what listens there ('ss -ltnp' shows it), "
            "or use others: p2p demo --ports 15555,15556"
        )

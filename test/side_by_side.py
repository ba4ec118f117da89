"""Runs tests in several processes side by side: ``python -m test.side_by_side [--coverage] test``.

Trial's ``-j`` doesn't work with a package called ``test``, so the modules are dealt to as many processes as there are
cores, each of which is trial with a folder of its own. Who gets what is decided by names and by the seconds in
``test/durations.txt`` alone: on one machine it is always the same.
"""

from __future__ import annotations

import argparse
import heapq
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from twisted.plugin import getCache

from test.needs import advice
from twisted import plugins

__all__ = [
    "DURATIONS",
    "Share",
    "damaged",
    "deal",
    "expected",
    "failures",
    "main",
    "modules",
    "record",
    "report",
    "run_shares",
    "seconds",
    "summary",
]

ROOT: Final = Path(__file__).resolve().parents[1]
DURATIONS: Final = ROOT / "test" / "durations.txt"

LISTED_S: Final = 1.0
"""Modules that take less aren't in ``test/durations.txt``."""
UNLISTED_S: Final = 0.4
"""What a module takes that isn't listed: about the mean of those."""
UNEVEN: Final = 1.3
"""When the slowest process takes so much longer than the quickest, it is time to measure the modules again."""
UNEVEN_LEAST_S: Final = 30.0
"""Differences below don't matter."""
TERMINATE_S: Final = 20.0
"""How long trial may take to stop the daemons that it has started when the run is broken off."""

_HEAD: Final = """\
# Seconds that test modules take under coverage, for an even deal. Made by "make durations".
"""


def modules(names: Iterable[str], root: Path = ROOT) -> list[str]:
    """The test modules that some names stand for, in order and each once.

    A package stands for all modules below it; a module, a test case and a single test stand for themselves.
    """
    found: dict[str, None] = {}
    for name in names:
        folder = root.joinpath(*name.split("."))
        if folder.is_dir():
            for path in sorted(folder.rglob("test_*.py")):
                found[".".join(path.relative_to(root).with_suffix("").parts)] = None
        else:
            found[name] = None
    return list(found)


def expected(names: Iterable[str], durations: str) -> dict[str, float]:
    """How many seconds each module is expected to take.

    :param durations: the text of ``test/durations.txt``. A module that has moved keeps its seconds if no other has the
        last part of its name.
    """
    listed: dict[str, float] = {}
    last: defaultdict[str, list[float]] = defaultdict(list)
    for line in durations.splitlines():
        if line and not line.startswith("#"):
            figure, name = line.split()
            listed[name] = float(figure)
            last[name.rpartition(".")[2]].append(float(figure))
    found: dict[str, float] = {}
    for name in names:
        known = [listed[name]] if name in listed else last[name.rpartition(".")[2]]
        found[name] = known[0] if len(known) == 1 else UNLISTED_S
    return found


def deal(weights: Mapping[str, float], shares: int) -> list[list[str]]:
    """Deal modules evenly: the longest first, each to whoever has least so far. Without empty shares."""
    heap = [(0.0, place) for place in range(shares)]
    dealt: list[list[str]] = [[] for _ in range(shares)]
    for name, weight in sorted(weights.items(), key=lambda one: (-one[1], one[0])):
        load, place = heapq.heappop(heap)
        dealt[place].append(name)
        heapq.heappush(heap, (load + weight, place))
    return [sorted(share) for share in dealt if share]


def seconds(output: str) -> dict[str, float]:
    """The seconds that each module took, from the output of trial's reporter ``timing``."""
    found: defaultdict[str, float] = defaultdict(float)
    name = ""
    for line in output.splitlines():
        if match := re.match(r"(test\.[\w.]+)\.\w+\.\w+ \.\.\.", line):
            name = match[1]
        elif name and (match := re.fullmatch(r"\((\d+\.\d+) secs\)", line)):
            found[name] += float(match[1])
            name = ""
    return dict(found)


def summary(output: str) -> str:
    """What trial says of a run in its last lines, as one; empty if it didn't come so far."""
    match = re.search(r"^Ran (\d+) tests? in ([\d.]+)s\n\n(\w+)(?: \((.*)\))?\s*\Z", output, re.MULTILINE)
    if match is None:
        return ""
    return f"{match[3].lower()}, {match[1]} tests in {float(match[2]):.0f} s" + (f" ({match[4]})" if match[4] else "")


def failures(output: str) -> str:
    """What trial says of the tests that failed; the last lines, and with them the test, of one that broke down."""
    if not summary(output):
        return "\n".join(output.splitlines()[-30:])
    sections = re.split(r"^={79}\n", output, flags=re.MULTILINE)[1:]
    told = [one.partition(f"\n{'-' * 79}\n")[0] for one in sections if one.startswith(("[FAIL]", "[ERROR]"))]
    return ("\n" + "=" * 79 + "\n").join(one.strip() for one in told)


def damaged(data: Iterable[Path]) -> list[Path]:
    """Those of coverage's data files that hold nothing since their process was killed as it began to write."""
    found: list[Path] = []
    for path in data:
        try:
            with closing(sqlite3.connect(path)) as database:
                database.execute("SELECT 1 FROM coverage_schema")
        except sqlite3.DatabaseError:
            found.append(path)
    return found


@dataclass
class Share:
    """The modules of one process.

    :ivar log: where its output goes.
    :ivar code: its exit code, once it has ended.
    """

    modules: list[str]
    log: Path
    code: int = -1

    @property
    def output(self) -> str:
        """What the process has printed."""
        return self.log.read_text("utf-8", errors="replace")


def run_shares(shares: Sequence[Share], command: Sequence[str]) -> None:
    """Run each share's modules in a process, all at once; none of them outlives the call.

    :param command: the command of trial, to which its folder and the modules are added.
    """
    running: list[subprocess.Popen[bytes]] = []
    try:
        for share in shares:
            log: IO[bytes]
            with share.log.open("wb") as log:
                folder = share.log.with_suffix("")
                argv = [*command, "--reporter=timing", "--temp-directory", str(folder), *share.modules]
                running.append(subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT))
        for share, process in zip(shares, running, strict=True):
            share.code = process.wait()
    finally:
        for process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in running:
            try:
                process.wait(TERMINATE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def report(shares: Sequence[Share], say: IO[str]) -> None:
    """Print one line a process, and before them what failed."""
    outputs = [share.output for share in shares]
    for share, output in zip(shares, outputs, strict=True):
        if share.code != 0:
            say.write(f"{'=' * 79}\n{failures(output)}\n{'=' * 79}\n")
    for number, (share, output) in enumerate(zip(shares, outputs, strict=True), 1):
        text = summary(output) or f"broke down (exit code {share.code})"
        where = "" if share.code == 0 else f"; everything that it printed: {share.log}"
        say.write(f"tests, process {number} of {len(shares)}: {text}{where}\n")
    spent = [sum(seconds(output).values()) for output in outputs]
    if max(spent) > UNEVEN * min(spent) and max(spent) - min(spent) > UNEVEN_LEAST_S:
        say.write(f"The processes took {min(spent):.0f} to {max(spent):.0f} s: deal anew with 'make durations'.\n")
    say.write(advice(outputs))


def record(shares: Sequence[Share], path: Path) -> None:
    """Write what the modules took, for the next deal."""
    taken = {name: spent for share in shares for name, spent in seconds(share.output).items()}
    lines = [f"{spent:6.1f} {name}\n" for name, spent in sorted(taken.items()) if spent >= LISTED_S]
    path.write_text(_HEAD + "".join(lines), "utf-8")


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None, say: IO[str] = sys.stdout) -> int:
    """Run the command line and return the exit code: 0 if every test passed."""
    parser = argparse.ArgumentParser(prog="python -m test.side_by_side", description="Run tests side by side.")
    parser.add_argument("tests", nargs="+", help="packages, modules, test cases or tests: test.link")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="if left out: one a core")
    parser.add_argument("--coverage", action="store_true", help="under coverage, whose data are then to be combined")
    parser.add_argument("--logs", type=Path, default=ROOT / "_trial_temp", help="how names of logs and folders begin")
    parser.add_argument("--record", action="store_true", help="write test/durations.txt")
    options = parser.parse_args(arguments)
    # Twisted's list of plugins is written by whoever sees first that it is old; daemons that start at once would race.
    getCache(plugins)
    weights = expected(modules(options.tests), DURATIONS.read_text("utf-8"))
    dealt = deal(weights, max(options.processes, 1))
    for earlier in options.logs.parent.glob(f"{options.logs.name}-*.log"):
        earlier.unlink()
    shares = [Share(share, Path(f"{options.logs.absolute()}-{number}.log")) for number, share in enumerate(dealt, 1)]
    coverage = ["-m", "coverage", "run"] if options.coverage else []
    try:
        run_shares(shares, [sys.executable, *coverage, "-m", "twisted.trial"])
    except KeyboardInterrupt:
        say.write("The tests were broken off.\n")
        return 130
    finally:
        if options.coverage:
            data = ROOT / os.environ.get("COVERAGE_FILE", ".coverage")
            for path in damaged(data.parent.glob(f"{data.name}.*")):
                path.unlink()
    report(shares, say)
    if options.record:
        record(shares, DURATIONS)
    return int(any(share.code != 0 for share in shares))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main())

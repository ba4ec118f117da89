"""Runs tests in several processes side by side: ``python -m test.side_by_side [--coverage] test``.

Trial's ``-j`` doesn't work with a package called ``test``, so the modules are dealt to processes, as many of unit tests
as there are cores and as many of functional ones, each of which is trial with a folder of its own. Who gets what is
decided by names and by the seconds in
``test/durations.txt`` alone: on one machine it is always the same.
"""

from __future__ import annotations

import argparse
import heapq
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from twisted.plugin import getCache

from test.needs import advice
from twisted import plugins

__all__ = [
    "DURATIONS",
    "Share",
    "deal",
    "expected",
    "failures",
    "main",
    "modules",
    "record",
    "report",
    "run_shares",
    "seconds",
    "shares_of",
    "summary",
]

ROOT: Final = Path(__file__).resolve().parents[1]
DURATIONS: Final = ROOT / "test" / "durations.txt"

UNMEASURED: Final = ("test.functional.", "test.fuzz.")
"""How the names of modules begin whose tests start daemons, or feed parsers with whatever there is."""

COVERAGE: Final = ("-m", "coverage", "run")

LISTED_S: Final = 1.0
"""Modules that take less aren't in ``test/durations.txt``."""
UNLISTED_S: Final = 0.4
"""What a module takes that isn't listed: about the mean of those."""
UNEVEN: Final = 1.3
"""When the slowest process takes so much longer than the quickest, it is time to measure the modules again."""
UNEVEN_LEAST_S: Final = 30.0
"""Differences below don't matter."""
_LOOK_S: Final = 0.1
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


@dataclass
class Share:
    """The modules of one process.

    :ivar log: where its output goes.
    :ivar measured: whether it runs under coverage.
    :ivar code: its exit code, once it has ended.
    """

    modules: list[str]
    log: Path
    measured: bool = False
    code: int = -1

    @property
    def output(self) -> str:
        """What the process has printed."""
        return self.log.read_text("utf-8", errors="replace")


def shares_of(weights: Mapping[str, float], processes: int, logs: Path, *, coverage: bool) -> list[Share]:
    """Deal modules to processes.

    Under coverage the functional tests, and those of fuzzing, have processes of their own, which come first and aren't
    measured: how much of the code is tested at all the unit tests say, and measuring doubles what daemons and parsers
    take.

    :param logs: how the names of logs begin.
    """
    apart = {name: weight for name, weight in weights.items() if coverage and name.startswith(UNMEASURED)}
    rest = {name: weight for name, weight in weights.items() if name not in apart}
    dealt = [(one, False) for one in deal(apart, processes)] + [(one, coverage) for one in deal(rest, processes)]
    return [Share(one, Path(f"{logs}-{at}.log"), measured) for at, (one, measured) in enumerate(dealt, 1)]


def run_shares(
    shares: Sequence[Share],
    at_once: int,
    trial: Sequence[str] = ("-m", "twisted.trial"),
    coverage: Sequence[str] = COVERAGE,
) -> None:
    """Run each share's modules in a process; none of them outlives the call.

    :param at_once: how many processes run at the same time.
    :param trial: the arguments that have Python run trial, to which its folder and the modules are added.
    :param coverage: what comes before them where the share is measured.
    """
    waiting = list(shares)
    running: dict[subprocess.Popen[bytes], Share] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                share = waiting.pop(0)
                log: IO[bytes]
                with share.log.open("wb") as log:
                    python = [sys.executable, *(coverage if share.measured else ()), *trial]
                    folder = share.log.with_suffix("")
                    argv = [*python, "--reporter=timing", "--temp-directory", str(folder), *share.modules]
                    running[subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)] = share
            for process in [one for one in running if one.poll() is not None]:
                running.pop(process).code = process.returncode
            time.sleep(_LOOK_S)
    finally:
        for process in running:
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
    for measured in (False, True):
        spent = [sum(seconds(share.output).values()) for share in shares if share.measured is measured] or [0.0]
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
    for earlier in options.logs.parent.glob(f"{options.logs.name}-*.log"):
        earlier.unlink()
    processes = max(options.processes, 1)
    shares = shares_of(weights, processes, options.logs.absolute(), coverage=options.coverage)
    try:
        run_shares(shares, processes + 1)  # functional tests wait for much: while one does, others compute
    except KeyboardInterrupt:
        say.write("The tests were broken off.\n")
        return 130
    report(shares, say)
    if options.record:
        record(shares, DURATIONS)
    return int(any(share.code != 0 for share in shares))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main())

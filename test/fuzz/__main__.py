"""Feed parsers with bytes that nobody would send, guided by what of p2p these reach.

``python -m test.fuzz TARGET --runs 1000000`` feeds one; without a target, each is fed in turn by a process of its own.
An input that raises what isn't declared is written to a file, and ``python -m test.fuzz TARGET --file FILE`` does it
once more.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

_MEMORY_MB: Final = 1_024
"""A parser that takes so much for an input of some kilobytes has a fault."""

_TIMEOUT_S: Final = 20
"""As has one that takes so long for one of them."""

_MISSING: Final = "what fuzzes isn't installed: .venv/bin/python -m pip install -e '.[fuzz]' -c constraints.txt\n"


def _catalogue() -> Any:
    """The targets, with p2p instrumented if that is wanted: then nothing of it may have been imported before."""
    from test.fuzz import catalogue

    return catalogue.TARGETS


def _fuzz(name: str, arguments: list[str]) -> None:
    """Feed one target in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["p2p"]):
        targets = _catalogue()
    found = targets[name]

    def feed(data: bytes) -> None:
        found.run(data)

    with tempfile.TemporaryDirectory(prefix="p2p-corpus-") as corpus:
        for number, seed in enumerate(found.seeds):
            Path(corpus, f"seed-{number}").write_bytes(seed)
        limits = [f"-max_len={found.most}", f"-rss_limit_mb={_MEMORY_MB}", f"-timeout={_TIMEOUT_S}"]
        atheris.Setup([sys.argv[0], *limits, *arguments, corpus], feed)
        atheris.Fuzz()


def _run(name: str, arguments: list[str], failures: Path) -> bool:
    """Feed one target in a process of its own; says how many inputs there were, and whether all went well."""
    began = time.monotonic()
    prefix = f"-artifact_prefix={failures}/{name}-"
    command = [sys.executable, "-m", "test.fuzz", name, "--", *arguments, prefix, "-print_final_stats=1"]
    # What it writes is in memory, where the system has such, and goes with this folder: libFuzzer tidies nothing up.
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="p2p-fuzz-", dir=shared if shared.is_dir() else None) as scratch:
        environment = {**os.environ, "TMPDIR": scratch}
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment)
    said = done.stdout + done.stderr
    runs = re.findall(r"stat::number_of_executed_units: (\d+)", said) or re.findall(r"^#(\d+)", said, re.MULTILINE)
    peak = re.findall(r"stat::peak_rss_mb: +(\d+)", said)
    covered = re.findall(r"cov: (\d+)", said)
    line = f"{name:14} {int(runs[-1]) if runs else 0:>10,} inputs in {time.monotonic() - began:5.0f} s"
    line += f", {covered[-1] if covered else '?'} edges, {peak[-1] if peak else '?'} MB"
    _say(f"{line}{'' if not done.returncode else ': FAILED'}")
    if done.returncode:
        _say("\n".join(f"    {one}" for one in _fault(said)))
        for path in re.findall(r"Test unit written to (\S+)", said):
            _say(f"    once more: {sys.executable} -m test.fuzz {name} --file {path}")
    return not done.returncode


def _fault(said: str) -> list[str]:
    """The lines of an output that tell of a fault."""
    lines = said.splitlines()
    lines = [line for line in lines if not line.startswith("INFO: Instrumenting")]
    for number, line in enumerate(lines):
        if "Uncaught Python exception" in line or "ERROR: libFuzzer" in line:
            return lines[number : number + 25]
    return lines[-10:]


def _once_more(name: str, path: Path) -> None:
    """Feed the input in a file, without anything in the way of a debugger."""
    _catalogue()[name].run(path.read_bytes())
    _say(f"{path}: only what is declared was raised, if anything")


def _names() -> list[str]:
    """The names of all targets, as another process knows them: here nothing of p2p may be imported yet."""
    code = "from test.fuzz.catalogue import TARGETS; print(*TARGETS)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Do what the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m test.fuzz", description=__doc__)
    parser.add_argument("target", nargs="*", help="what to feed; without one, every target in turn")
    parser.add_argument("--runs", type=int, help="so many inputs for each")
    parser.add_argument("--minutes", type=float, help="for so long each; 1 if nothing else is said")
    parser.add_argument("--file", type=Path, help="feed the input in this file, once")
    parser.add_argument(
        "--failures", type=Path, default=Path("fuzz-failures"), help="where inputs that fail are written"
    )
    raw: list[str] = []
    ours = sys.argv[1:]
    if "--" in ours:  # what is behind it is libFuzzer's own
        at = ours.index("--")
        ours, raw = ours[:at], ours[at + 1 :]
    options = parser.parse_args(ours)
    if options.file is not None:
        _once_more(options.target[0], options.file)
        return 0
    if importlib.util.find_spec("atheris") is None:
        sys.stderr.write(_MISSING)
        return 2
    if raw:
        _fuzz(options.target[0], raw)
    names = _names()
    if unknown := [name for name in options.target if name not in names]:
        parser.error(f"there is no target {unknown[0]}, only {', '.join(names)}")
    limits = [] if options.runs is None else [f"-runs={options.runs}"]
    if options.minutes is not None or options.runs is None:
        limits.append(f"-max_total_time={int(60 * (options.minutes or 1))}")
    options.failures.mkdir(parents=True, exist_ok=True)
    fine = [_run(name, limits, options.failures.resolve()) for name in options.target or names]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Run the attacks in turn against real daemons while two honest peers talk, and say what it did to them.

``python -m test.hostile --help`` tells how.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.task import LoopingCall, deferLater, react
from twisted.internet.utils import getProcessOutputAndValue

from p2p.base.errors import P2PError
from p2p.client import Client
from test.functional.lab import RunningLab
from test.hostile.attack import BYSTANDER, VICTIM
from test.hostile.catalogue import ATTACKS
from test.hostile.stage import DAEMONS, start_stage

STRANGER: Final = "stranger"
LOAD: Final = "honest-load"
"""What others' pace under attack is compared with."""

_QUIET_S: Final = 5.0
_PAUSE_S: Final = 0.02
_ANSWER_S: Final = 10.0
_SAMPLE_S: Final = 0.1
_MIB: Final = 1 << 20


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass
class Measured:
    """What was seen of the daemons and of the honest pair for a while.

    :ivar took: seconds of each exchange that ended well.
    :ivar drops: of the others, why.
    :ivar peaks: most bytes in memory, by daemon.
    :ivar log: bytes that were logged, by all.
    """

    took: list[float] = field(default_factory=list)
    drops: list[str] = field(default_factory=list)
    peaks: dict[str, int] = field(default_factory=dict)
    log: int = 0

    @property
    def p99(self) -> float:
        """Seconds within which 99 of 100 exchanges ended."""
        return statistics.quantiles(self.took, n=100)[98] if len(self.took) > 1 else float("nan")


class Watch:
    """Has the honest pair talk without a pause, and looks at the daemons, from :meth:`start` on."""

    def __init__(self, reactor: Any, lab: RunningLab, client: Client) -> None:
        self._reactor = reactor
        self._lab = lab
        self._client = client
        self._processes = {name: psutil.Process(lab.daemons[name].pid) for name in DAEMONS}
        self._now = Measured()
        self._logged = self._log_bytes()
        self._stopping = False
        self._talking: Deferred[None] = succeed(None)
        self._sampling = LoopingCall(self._sample)

    def start(self) -> None:
        """Begin."""
        self._sampling.start(_SAMPLE_S)
        self._talking = Deferred.fromCoroutine(self._talk())

    def take(self) -> Measured:
        """What was seen since the last time."""
        found, self._now = self._now, Measured()
        logged = self._log_bytes()
        found.log, self._logged = logged - self._logged, logged
        return found

    async def stop(self) -> None:
        """Come to an end."""
        self._stopping = True
        self._sampling.stop()
        await self._talking

    async def _talk(self) -> None:
        while not self._stopping:
            try:
                asked = Deferred.fromCoroutine(self._client.message(VICTIM, "as quick as you can"))
                self._now.took.append((await asked.addTimeout(_ANSWER_S, self._reactor)).seconds)
            except DeadlinePassed:
                self._now.drops.append(f"nothing within {_ANSWER_S:g} s")
            except P2PError as error:
                self._now.drops.append(str(error))
            await deferLater(self._reactor, _PAUSE_S)

    def _sample(self) -> None:
        for name, process in self._processes.items():
            try:
                size = process.memory_info().rss
            except psutil.NoSuchProcess:
                self._now.drops.append(f"{name} has ended")
                continue
            self._now.peaks[name] = max(self._now.peaks.get(name, 0), size)

    def _log_bytes(self) -> int:
        return sum(self._lab.daemons[name].log.stat().st_size for name in DAEMONS)


async def _attacked(lab: RunningLab, name: str, seconds: float) -> dict[str, Any]:
    """Run one attack in a process of its own, so that nobody waits for it here."""
    argv = ["-m", "test.hostile", "--lab", str(lab.folder), "--only", name, "--seconds", f"{seconds:g}", "--json"]
    out, errors, code = await getProcessOutputAndValue(sys.executable, argv, env=os.environ)
    if code:
        return {"held": None, "text": f"the attack itself failed: {errors.decode(errors='replace')[-400:]}"}
    told: dict[str, Any] = json.loads(out)
    return told


def _turns(names: list[str], seconds: float | None, longest: float = float("inf")) -> Iterator[tuple[str, float]]:
    """The attacks one after another, each once or until so many seconds are over.

    :param longest: how many seconds one attack has at most.
    """
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        for name in names:
            left = float("inf") if end is None else end - time.monotonic()
            if left <= 0:
                return
            yield name, min(ATTACKS[name].seconds, left, longest)
        if end is None:
            return


def _sweep(lab: RunningLab) -> None:
    """Take out of the victim's inbox what an attack has brought, so that the next one finds its quota unused."""
    for one in (lab.folder / "inbox" / VICTIM).iterdir():
        if one.is_dir() and not one.is_symlink():
            for place, folders, _ in os.walk(one):
                for name in folders:
                    path = Path(place, name)
                    if not path.is_symlink():
                        path.chmod(0o700)
            one.chmod(0o700)
            shutil.rmtree(one)
        else:
            one.unlink()


def _lanes(names: list[str], *, at_once: bool) -> list[list[str]]:
    """Which attacks come one after another; those of different lanes take place at the same time.

    At once there is one attacker with a certificate, and one without.
    """
    if not at_once:
        return [names]
    apart = [name for name in names if ATTACKS[name].role == STRANGER]
    return [one for one in ([name for name in names if name not in apart and name != LOAD], apart) if one]


async def _campaign(reactor: Any, names: list[str], seconds: float | None, *, at_once: bool) -> None:
    lab = RunningLab(("n", "m", "k"))
    try:
        await start_stage(lab)
        async with await lab.connect("bystander") as client:
            watch = Watch(reactor, lab, client)
            watch.start()
            await deferLater(reactor, 1.0)
            watch.take()
            await deferLater(reactor, _QUIET_S)
            quiet = watch.take()
            _say(f"{BYSTANDER} to {VICTIM} in quiet: p99 {1000 * quiet.p99:.1f} ms of {len(quiet.took)}")
            _say(
                f"{'attack':30} {'':8} {'p99 ms':>8} {'ratio':>6} {'drops':>5} {'MiB':>5} {'log kB':>7}  what was seen"
            )
            rows: list[tuple[str, dict[str, Any], Measured]] = []
            loaded = None
            if at_once:
                told = await _attacked(lab, LOAD, ATTACKS[LOAD].seconds)
                loaded = watch.take()
                _say(_row((LOAD, told, loaded), quiet))

            async def play(lane: list[str]) -> None:
                longest = seconds / len(lane) if at_once and seconds else float("inf")
                for name, turn in _turns(lane, seconds, longest):
                    told = await _attacked(lab, name, turn)
                    rows.append((name, told, watch.take()))
                    _say(_row(rows[-1], quiet))
                    _sweep(lab)

            await gatherResults([Deferred.fromCoroutine(play(lane)) for lane in _lanes(names, at_once=at_once)])
            await watch.stop()
        _summary(rows, quiet, loaded)
        if faults := lab.faults():
            _say(f"a daemon met a fault of its own:\n{faults}")
    finally:
        await lab.stop()


def _row(row: tuple[str, dict[str, Any], Measured], quiet: Measured) -> str:
    name, told, seen = row
    verdict = {True: "held", False: "NOT HELD", None: "measured"}[told["held"]]
    peak = max(seen.peaks.values(), default=0) / _MIB
    figures = (
        f"{1000 * seen.p99:8.1f} {seen.p99 / quiet.p99:6.1f} {len(seen.drops):5} {peak:5.0f} {seen.log / 1000:7.0f}"
    )
    return f"{name:30} {verdict:8} {figures}  {told['text']}"


def _summary(rows: list[tuple[str, dict[str, Any], Measured]], quiet: Measured, loaded: Measured | None) -> None:
    all_took = Measured([one for _, _, seen in rows for one in seen.took])
    drops = [why for _, _, seen in rows for why in seen.drops]
    peaks = {name: max(seen.peaks.get(name, 0) for _, _, seen in rows) for name in DAEMONS}
    _say("")
    _say(f"drops: {len(drops)} of {len(all_took.took) + len(drops)}{''.join(f'; {why}' for why in drops[:3])}")
    _say(
        f"p99: quiet {1000 * quiet.p99:.1f} ms, attacked {1000 * all_took.p99:.1f} ms, ratio "
        f"{all_took.p99 / quiet.p99:.1f}"
        + (f", to that under {LOAD} {all_took.p99 / loaded.p99:.1f}" if loaded else "")
    )
    _say(f"memory: {', '.join(f'{name} {size / _MIB:.0f} MiB' for name, size in peaks.items())}")
    _say(f"log: {sum(seen.log for _, _, seen in rows) / 1000:.0f} kB")
    broken = [name for name, told, _ in rows if told["held"] is False]
    _say(f"not held: {', '.join(dict.fromkeys(broken)) or 'none'}")


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m test.hostile", description=__doc__)
    parser.add_argument("--list", action="store_true", help="list the attacks and what must happen")
    parser.add_argument("--only", action="append", metavar="NAME", help="run this attack; may be given several times")
    parser.add_argument("--seconds", type=float, help="run the attacks in turn for so long; without it, each once")
    parser.add_argument(
        "--at-once",
        action="store_true",
        help="have one attacker with a certificate and one without at the same time, for two minutes or --seconds",
    )
    parser.add_argument(
        "--lab", type=Path, help="attack the daemons of this lab, which run already, and measure nothing"
    )
    parser.add_argument(
        "--json", action="store_true", help="with --lab: print what came of it as JSON, a line an attack"
    )
    options = parser.parse_args()
    names = options.only or list(ATTACKS)
    if unknown := [name for name in names if name not in ATTACKS]:
        parser.error(f"there is no attack {unknown[0]}; --list has them all")
    if options.list:
        for one in ATTACKS.values():
            _say(f"{one.name} ({one.role})\n  {one.tries}\n  {one.must}")
    elif options.lab is not None:
        for name in names:
            told = ATTACKS[name].run(options.lab, options.seconds)
            _say(json.dumps(asdict(told)) if options.json else f"{name}: {told}")
    else:
        seconds = options.seconds or (120.0 if options.at_once else None)
        react(lambda reactor: Deferred.fromCoroutine(_campaign(reactor, names, seconds, at_once=options.at_once)))


if __name__ == "__main__":
    main()

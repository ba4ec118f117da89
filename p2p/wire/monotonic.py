"""The clock that nobody sets: a reactor's timers run on it, and it tells how long this machine slept.

Twisted's reactors count by the wall clock, so a step of it (NTP, an administrator, the firmware's clock at boot) fires
every timer at once, or holds all of them up. ``CLOCK_MONOTONIC`` only goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

__all__ = ["LOOK_S", "SleepWatch", "asleep_s", "boot_id", "run_on_monotonic_clock", "since_boot_s"]

LOOK_S: Final = 5.0
"""Seconds between two looks at whether the machine slept."""

_LEAST_S: Final = 1.0
"""Seconds of sleep that count; the two clocks are read one after the other, and never differ by so much otherwise."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def run_on_monotonic_clock(reactor: Any) -> None:
    """Have a reactor count its time by the monotonic clock, before anything is scheduled on it.

    Everything in Twisted that waits asks the reactor for the time: ``callLater`` and, through it, ``LoopingCall``,
    the timeouts of Deferreds and endpoints, and ``ClientService``. So this one attribute is enough.

    :raises RuntimeError: if a call is pending already: it would come years late, or at once.
    """
    if reactor.seconds is time.monotonic:
        return
    if pending := reactor.getDelayedCalls():
        raise RuntimeError(f"the clock of a reactor can't be changed while calls are pending: {pending}")
    reactor.seconds = time.monotonic


def since_boot_s() -> float:
    """Seconds since this machine was booted, asleep or awake."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def asleep_s() -> float:
    """Seconds that this machine has slept since it was booted, by the two clocks that differ in nothing else."""
    awake_s = time.monotonic()
    return since_boot_s() - awake_s


def boot_id(path: Path = _BOOT_ID) -> str:
    """What tells this run of the machine from all others; empty if the system doesn't say."""
    try:
        return path.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


class SleepWatch:
    """Tells when this machine has slept, soon after it woke up.

    :param woke: is told how many seconds it slept.
    :param asleep: reads how long it has slept in all.
    """

    def __init__(
        self, clock: IReactorTime, woke: Callable[[float], object], asleep: Callable[[], float] = asleep_s
    ) -> None:
        self._woke = woke
        self._asleep = asleep
        self._before = 0.0
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def start(self) -> None:
        """Look every now and then."""
        self._before = self._asleep()
        self._looking.start(LOOK_S, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._looking.running:
            self._looking.stop()

    def _look(self) -> None:
        asleep = self._asleep()
        slept, self._before = asleep - self._before, asleep
        if slept >= _LEAST_S:
            self._woke(slept)

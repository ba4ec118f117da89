"""What a router counts: how long its look-ups take, and how often a name registers. Pure."""

from __future__ import annotations

from p2p.base.rates import Meter

__all__ = ["REGISTRATION_BURST", "REGISTRATION_WAIT_S", "LookupTimes", "Registrations"]

REGISTRATIONS_PER_S = 1.0
"""Registrations of one name a second in the long run: a peer that comes back waits for longer than that itself."""

REGISTRATION_BURST = 10
"""Registrations of one name that may come one behind the other."""

REGISTRATION_WAIT_S = 5.0
"""Seconds that a registration waits for its turn at most; half of what a peer waits for the answer."""


class LookupTimes:
    """How long looking up names in the routing table took; ns."""

    __slots__ = ("count", "longest", "total")

    def __init__(self) -> None:
        self.count = self.total = self.longest = 0

    def add(self, took: int) -> None:
        """Count one look-up."""
        self.count += 1
        self.total += took
        if took > self.longest:
            self.longest = took

    @property
    def mean(self) -> float:
        """The mean of all, 0 before the first."""
        return self.total / self.count if self.count else 0.0


class Registrations:
    """How often each name registers, whatever the connections that it does so over.

    :param names: how many names are remembered; those that registered the longest time ago are forgotten.
    """

    def __init__(self, names: int) -> None:
        self._names = names
        self._meters: dict[str, Meter] = {}  # the latest last

    def take(self, name: str, now: float) -> float:
        """Count a registration; returns the seconds that it has to wait for, 0 if it may take place now."""
        meter = self._meters.pop(name, None) or Meter(REGISTRATIONS_PER_S, REGISTRATION_BURST)
        self._meters[name] = meter
        if len(self._meters) > self._names:
            del self._meters[next(iter(self._meters))]
        wait = meter.wait(now)
        return meter.take(now) if wait <= REGISTRATION_WAIT_S else wait

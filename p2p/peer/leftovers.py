"""Removing, once a day, what was received in part and nobody went on with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from p2p.exchange.service import Threads
from p2p.transfer.leftovers import remove_expired

__all__ = ["Leftovers"]

EVERY_S: Final = 86_400.0

DAY_S: Final = 86_400.0


class Leftovers:
    """Looks after the inboxes of a daemon, and the folders that its users get things into.

    :param inboxes: by the names of their peers.
    :param wall: reads the Unix time, seconds.
    :param days: for which a part stays that doesn't grow.
    :param forget: gives up what was got from others in part, and nobody went on with since a time (Unix seconds).
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        inboxes: Mapping[str, Path],
        threads: Threads,
        wall: Callable[[], float],
        days: int,
        forget: Callable[[float], object],
    ) -> None:
        self._inboxes = inboxes
        self._threads = threads
        self._wall = wall
        self._days = days
        self._forget = forget
        self._daily = LoopingCall(self._look)
        self._daily.clock = clock

    def start(self) -> None:
        """Look now, and then every day."""
        self._daily.start(EVERY_S).addErrback(lambda failure: self._log.failure("inboxes aren't tidied", failure))

    def stop(self) -> None:
        """Look no more; a look that is under way goes on in its thread."""
        if self._daily.running:
            self._daily.stop()

    def _look(self) -> Deferred[None]:
        before = self._wall() - self._days * DAY_S
        self._forget(before)
        looking = self._threads(_remove, self._inboxes, before)
        return looking.addCallback(self._tell)

    def _tell(self, found: list[tuple[str, int | OSError]]) -> None:
        for name, what in found:
            if isinstance(what, OSError):
                reason = what.strerror
                self._log.warn("{name}: can't tidy its inbox: {reason}", name=name, reason=reason)
            else:
                self._log.info(
                    "{name}: removed the parts of {count} transfers that nobody went on with for {days} days",
                    name=name,
                    count=what,
                    days=self._days,
                )


def _remove(inboxes: Mapping[str, Path], before: float) -> list[tuple[str, int | OSError]]:
    """What was removed from each inbox where there was something, or went wrong; in a thread."""
    found: list[tuple[str, int | OSError]] = []
    for name, inbox in inboxes.items():
        try:
            if count := remove_expired(inbox, before):
                found.append((name, count))
        except OSError as error:
            found.append((name, error))
    return found

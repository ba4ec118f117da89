"""Blocking work in threads, and when all of it is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from p2p.base.waiters import Waiters
from p2p.exchange.service import Threads

__all__ = ["Jobs"]


class Jobs:
    """Runs functions in threads and counts them, so that a daemon doesn't stop in the middle of one.

    Where a job's end starts the next, such as writing and then removing a file, they are one chain of work.

    :param threads: runs a function in a thread.
    """

    def __init__(self, clock: IReactorTime, threads: Threads) -> None:
        self._clock = clock
        self._threads = threads
        self._running = 0
        self._waiting: Waiters[None] = Waiters()

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Run ``function(*arguments)`` in a thread; fires with what it returns."""
        self._running += 1
        return self._threads(function, *arguments).addBoth(self._done)

    def when_idle(self) -> Deferred[None]:
        """Fire when nothing runs and nothing follows at once."""
        return self._waiting.wait() if self._running else succeed(None)

    def _done(self, result: Any) -> Any:
        self._running -= 1
        if not self._running and self._waiting:
            self._clock.callLater(0, self._look)  # whoever waits for this job has its turn before
        return result

    def _look(self) -> None:
        if not self._running:
            self._waiting.fire(None)

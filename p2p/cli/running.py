"""Run a coroutine with the reactor to its end: its result, its error, or Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from p2p.base.errors import P2PError
from p2p.wire.monotonic import run_on_monotonic_clock

__all__ = ["Runner", "run_in_reactor"]

_T = TypeVar("_T")


class Runner(Protocol):
    """Runs a coroutine that wants a reactor to its end, as :func:`run_in_reactor` does."""

    def __call__(self, work: Callable[[Any], Coroutine[Any, Any, _T]], /) -> _T:
        """Return the coroutine's result or raise its error."""


def run_in_reactor(work: Callable[[Any], Coroutine[Any, Any, _T]], /, *, reactor: Any = None) -> _T:
    """Run the reactor until a coroutine ends, and return its result.

    Ctrl-C (and SIGTERM) cancels the coroutine and waits while it cleans up; a second Ctrl-C ends the process at once.

    :param work: is called with the reactor.
    :param reactor: this process's own if left out, which runs on the monotonic clock from here on.
    :raises KeyboardInterrupt: if it was interrupted.
    """
    if reactor is None:
        from twisted.internet import reactor

        run_on_monotonic_clock(reactor)
    ended: list[_T | Failure] = []
    running: list[Deferred[None]] = []
    interrupted = False
    before = signal.getsignal(signal.SIGINT)

    def start() -> None:
        running.append(Deferred.fromCoroutine(work(reactor)).addBoth(finish))

    def finish(result: _T | Failure) -> None:
        ended.append(result)
        if not interrupted:
            reactor.stop()

    def shutdown() -> Deferred[None] | None:
        nonlocal interrupted
        if ended or not running:
            return None
        interrupted = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        running[0].cancel()
        return running[0]

    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", shutdown)
    try:
        reactor.run()
    finally:
        signal.signal(signal.SIGINT, before)
    failure = ended[0] if ended and isinstance(ended[0], Failure) else None
    if failure is not None and not (interrupted and isinstance(failure.value, CancelledError | P2PError)):
        failure.raiseException()
    if interrupted or not ended:
        raise KeyboardInterrupt
    return ended[0]  # type: ignore[return-value]  # a Failure has been raised above

"""Waiting for several things at once, of which the first that fails ends the others, and for what has no event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.task import deferLater

from p2p.base.errors import P2PError

__all__ = ["together", "until"]

WAIT_S: Final = 30.0
EACH_S: Final = 0.05

_T = TypeVar("_T")


async def together(steps: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Start everything now, and return the results in their order.

    Where one fails, the others are cancelled and its own error is raised; so it is if the whole is cancelled.
    """
    running = [Deferred.fromCoroutine(step) for step in steps]
    try:
        return list(await gatherResults(running, consumeErrors=True))
    except FirstError as first:
        for one in running:
            one.cancel()
        first.subFailure.raiseException()
        raise


async def until(clock: Any, holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Ask again and again until something holds.

    :param what: completes "waited in vain for".
    :raises P2PError: if it doesn't hold within 30 s.
    """
    end = clock.seconds() + WAIT_S
    while not await holds():
        if clock.seconds() >= end:
            raise P2PError(f"waited {WAIT_S:g} s in vain for {what}; is this machine busy with something else?")
        await deferLater(clock, EACH_S)

"""Doing several things at once, of which the first that fails ends the others."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, FirstError, gatherResults

__all__ = ["together"]

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

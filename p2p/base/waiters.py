"""Everybody who waits for one thing: each has a Deferred of their own, and may give up alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.python.failure import Failure

__all__ = ["Waiters", "all_of"]

T = TypeVar("T")


class Waiters(Generic[T]):
    """Hands out Deferreds and fires them together, in the order in which they were handed out.

    Cancelling one of them takes it out and disturbs no other, also when one that was fired just before does it. Who
    begins to wait while the others are being told waits for the next time.

    :param deserted: called when somebody has given up and nobody waits any more.
    """

    __slots__ = ("_deserted", "_settled", "_waiting")

    def __init__(self, deserted: Callable[[], object] = lambda: None) -> None:
        self._deserted = deserted
        self._waiting: dict[Deferred[T], None] = {}  # a set that keeps the order
        self._settled: tuple[T] | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def wait(self) -> Deferred[T]:
        """Fire when the others do; at once after :meth:`settle`."""
        if self._settled is not None:
            return succeed(self._settled[0])
        one: Deferred[T] = Deferred(self._give_up)
        self._waiting[one] = None
        return one

    def fire(self, result: T) -> None:
        """Give a result to all who wait now."""
        for one in self._take():
            if not one.called:  # one that was told before may have cancelled it
                one.callback(result)

    def fail(self, error: Exception | Failure) -> None:
        """Give an error to all who wait now."""
        for one in self._take():
            if not one.called:
                one.errback(error)

    def settle(self, result: T) -> None:
        """Give a result to all who wait, and to everybody who comes later: it happens once."""
        if self._settled is None:
            self._settled = (result,)
            self.fire(result)

    def _take(self) -> list[Deferred[T]]:
        taken = list(self._waiting)
        self._waiting.clear()
        return taken

    def _give_up(self, one: Deferred[T]) -> None:
        if one in self._waiting:
            del self._waiting[one]
            if not self._waiting:
                self._deserted()


async def all_of(waiting: Sequence[Deferred[T]]) -> list[T]:
    """Wait for all of them; raises what the first of them that failed did, as it is."""
    results: list[T] = []
    ended: list[tuple[bool, Any]] = await DeferredList(waiting, consumeErrors=True)
    for succeeded, result in ended:
        if not succeeded:
            result.raiseException()
        results.append(result)
    return results

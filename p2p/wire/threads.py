"""Threads for what blocks, at little cost a call.

Twisted's pool has a team of workers, two locks, a queue and a context for each call. A link at a gigabyte a second
calls a thread a thousand times a second, and that costs as much as hashing half of what it carries.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

from twisted.python.failure import Failure

__all__ = ["LeanPool"]

_Told = Callable[[bool, Any], object]


class LeanPool:
    """What ``deferToThreadPool`` needs of a thread pool.

    A thread begins when a call finds none idle, and stays as long as the process; at the limit, calls wait.

    :ivar most: threads at most.
    """

    def __init__(self, most: int = 10) -> None:
        self.most = most
        self._calls: SimpleQueue[tuple[_Told, Callable[..., Any], tuple[Any, ...]]] = SimpleQueue()
        self._lock = Lock()
        self._open = 0  # calls that haven't ended
        self._threads = 0

    def adjustPoolsize(self, maxthreads: int) -> None:
        """Set the limit, under which no thread ends that has begun."""
        self.most = maxthreads

    def callInThreadWithCallback(self, told: _Told, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function in a thread, and there ``told``: True and the result, or False and the failure."""
        with self._lock:
            self._open += 1
            if self._threads < min(self._open, self.most):
                self._threads += 1
                # A daemon waits for its calls before it stops; a call that is stuck after that keeps no process.
                Thread(target=self._work, name=f"p2p-{self._threads}", daemon=True).start()
        self._calls.put((told, function, arguments))

    def _work(self) -> None:
        while True:
            told, function, arguments = self._calls.get()
            succeeded = False
            result: Any = None
            try:
                result = function(*arguments)
                succeeded = True
            except BaseException:  # noqa: BLE001 - whoever waits is told
                result = Failure()
            with self._lock:
                self._open -= 1
            told(succeeded, result)
            del told, function, arguments, result  # they may hold much memory while there is nothing to call

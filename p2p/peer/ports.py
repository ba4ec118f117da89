"""The ports that fresh sockets may have, where a firewall is open for some alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from twisted.internet.defer import Deferred, fail, succeed

from p2p.base.errors import P2PError

__all__ = ["FreshPorts", "NoPort"]


class NoPort(P2PError):
    """All ports are in use."""


class FreshPorts:
    """Lends ports out, the one that came back the longest time ago first.

    Each is lent for as long as somebody listens on it; a link that came of it doesn't keep it.

    :param numbers: those that there are; without any, the system chooses, and there is always one.
    :ivar waiting: how many wait for one to come back.
    """

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._free = deque(numbers)
        self._count = len(self._free)
        self._waiting: dict[Deferred[int], None] = {}

    def __len__(self) -> int:
        return self._count

    @property
    def waiting(self) -> int:
        """How many wait for a port."""
        return len(self._waiting)

    @property
    def warnings(self) -> list[str]:
        """That they are used up, if they are, as a sentence with what to do."""
        if not self._count or self._free:
            return []
        who = f"{self.waiting} links wait" if self.waiting else "the next link waits"
        return [f"all {self._count} ports of 'ports' are in use, and {who} for one; let 'ports' in the YAML have more"]

    def take(self, *, wait: bool = True) -> Deferred[int]:
        """Borrow a port; 0 has the system choose. Cancel to wait no longer.

        :param wait: whether to wait if all are in use.
        :raises NoPort: if they are, and nobody wants to wait.
        """
        if not self._count:
            return succeed(0)
        if self._free:
            return succeed(self._free.popleft())
        if not wait:
            return fail(NoPort(f"all {self._count} ports of 'ports' are in use"))
        waiting: Deferred[int] = Deferred(lambda gone: self._waiting.pop(gone, None))
        self._waiting[waiting] = None
        return waiting

    def give(self, number: int) -> None:
        """Give a port back."""
        if not self._count:
            return
        if self._waiting:
            first = next(iter(self._waiting))
            del self._waiting[first]
            first.callback(number)
        else:
            self._free.append(number)

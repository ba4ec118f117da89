"""One source for several receivers: it is read and hashed once, and each of them gets the same records.

What was read stays in a ring until all have it. A receiver that is slower than the others fills the ring; they wait for
it for some seconds in all, then go on without it: its transfer goes on alone, by resuming with an engine of its own.
Each member of a share is called in threads, one call at a time, and whichever needs more reads for all.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition
from typing import Final, Protocol

from p2p.base.errors import P2PError
from p2p.transfer.answers import Dealt
from p2p.transfer.records import Buffer, Have

__all__ = ["PATIENCE_S", "RING", "LeftBehind", "Shared", "SharedSender", "SharedSource"]

RING: Final = 32 * 1024 * 1024
"""Bytes that are kept for the slower ones."""

DEALT: Final = 256
"""Bytes of memory for each entry whose end is kept there."""

PATIENCE_S: Final = 5.0
"""Seconds that the others wait for the slowest ones, those counted together in which the ring was full."""


class LeftBehind(P2PError):
    """A receiver can't share the reading of a source with the others any more: its transfer goes on alone."""


class SharedSource(Protocol):
    """What is shared: a :class:`p2p.transfer.sending.SendingEngine` that hasn't begun."""

    ended: bool
    done_entries: int
    current: str | None

    @property
    def names(self) -> Sequence[str]:
        """The names at the top of the transfer."""

    @property
    def done_bytes(self) -> int:
        """Bytes of content given out."""

    def read(self, max_bytes: int) -> list[Buffer]:
        """The next records; empty at the end, and when there is nothing yet."""

    def dealt(self) -> Sequence[Dealt]:
        """The entries whose ends are in what was read since this was called last."""

    def close(self) -> None:
        """Let go of everything."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Records, and how far the source was after them."""

    buffers: list[Buffer]
    dealt: Sequence[Dealt]
    size: int
    entries: int
    bytes: int
    current: str | None
    ended: bool


class SharedSender:
    """The sender for one of the receivers (:class:`p2p.transfer.interfaces.Sender`); made by :class:`Shared`."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._dealt: list[Dealt] = []
        self.ended = False
        self.done_entries = 0
        self.done_bytes = 0
        self.current: str | None = None
        # All of these belong to the share, which holds its lock when it uses them.
        self.position = 0
        self.taken = 0
        self.active = True
        self.left_behind = False
        self.closed = False

    def resume(self, have: Have) -> None:
        """Begin at the start; before the first :meth:`next`.

        :raises LeftBehind: if the receiver isn't at the start.
        """
        if have != Have():
            self._shared.leave(self)
            raise LeftBehind("the receiver has a part of it already, so what it lacks is read for it alone")

    def next(self, max_bytes: int) -> list[Buffer]:
        """The next records, about ``max_bytes``; empty when all were given out, or it was stopped.

        :raises LeftBehind: if the receiver was slower than the others, who went on.
        :raises LocalFileError: if the source failed; all members get that.
        """
        batch = self._shared.next(self, max_bytes)
        if batch is None:
            return []
        self._dealt += batch.dealt
        return batch.buffers

    @property
    def names(self) -> Sequence[str]:
        """The names at the top of the transfer."""
        return self._shared.names

    def dealt(self) -> Sequence[Dealt]:
        """The entries whose ends are in what :meth:`next` has given since this was called last."""
        dealt, self._dealt = self._dealt, []
        return dealt

    def stop(self) -> None:
        """Have a :meth:`next` that waits end soon, of this member alone; any thread may do it, at any time."""
        self._shared.leave(self)

    def close(self) -> None:
        """Let go of it; the source is closed with the last member."""
        self._shared.close(self)


class Shared:
    """An engine and its members.

    :param count: how many members there are.
    :param clock: seconds, never going back.
    :param ring: bytes that are kept; a batch more at most.
    :ivar names: the names at the top of the transfer.
    :ivar members: a sender for each receiver.
    """

    def __init__(
        self,
        engine: SharedSource,
        count: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        ring: int = RING,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.names = engine.names
        self._engine = engine
        self._clock = clock
        self._ring = ring
        self._patience_s = patience_s
        self._changed = Condition()
        self._batches: deque[_Batch] = deque()
        self._dropped = 0
        self._held = 0
        self._total = 0
        self._reading = False
        self._failure: BaseException | None = None
        self._full_since: float | None = None
        self._full_s = 0.0
        self.members = tuple(SharedSender(self) for _ in range(count))

    def next(self, member: SharedSender, max_bytes: int) -> _Batch | None:
        """What a member gets next, None if nothing; it reads if nobody does."""
        while True:
            with self._changed:
                batch = self._next(member)
            if batch is not None or not member.active:
                return batch
            self._read(max_bytes)

    def leave(self, member: SharedSender) -> None:
        """Don't wait for a member any more, nor let it wait."""
        with self._changed:
            member.active = False
            self._drop()
            self._changed.notify_all()

    def close(self, member: SharedSender) -> None:
        """Let go of a member; the last one closes the engine."""
        self.leave(member)
        with self._changed:
            member.closed = True
            last = all(each.closed for each in self.members)
        if last:
            self._engine.close()

    def _next(self, member: SharedSender) -> _Batch | None:
        """The next batch of a member, as soon as there is one; None if it is to be read, or there is none for it."""
        while True:
            if member.left_behind:
                raise LeftBehind("the receiver took longer than the others, so it goes on alone")
            if not member.active:
                return None
            if member.position < self._dropped + len(self._batches):
                return self._take(member)
            if self._failure is not None:
                raise self._failure
            if self._reading:
                self._changed.wait()
            elif self._held < self._ring:
                self._reading = True
                return None
            else:
                self._wait_for_room()

    def _take(self, member: SharedSender) -> _Batch:
        batch = self._batches[member.position - self._dropped]
        member.position += 1
        member.taken += batch.size
        member.done_entries, member.done_bytes, member.current = batch.entries, batch.bytes, batch.current
        if batch.ended:
            member.ended, member.active = True, False
        self._drop()
        return batch

    def _read(self, max_bytes: int) -> None:
        engine = self._engine
        buffers: list[Buffer] = []
        failure: BaseException | None = None
        try:
            buffers = engine.read(max_bytes)
        except BaseException as error:
            failure = error
            raise
        finally:
            with self._changed:
                self._reading, self._failure = False, failure
                if buffers:
                    dealt = engine.dealt()
                    size = sum(map(len, buffers)) + DEALT * len(dealt)
                    progress = engine.done_entries, engine.done_bytes, engine.current
                    self._batches.append(_Batch(buffers, dealt, size, *progress, engine.ended))
                    self._held += size
                    self._total += size
                    self._drop()  # whoever read may have been stopped meanwhile
                self._changed.notify_all()

    def _drop(self) -> None:
        """Forget what nobody needs any more."""
        end = self._dropped + len(self._batches)
        needed = min((each.position for each in self.members if each.active), default=end)
        while self._dropped < needed:
            self._held -= self._batches.popleft().size
            self._dropped += 1
        if self._full_since is not None and self._held < self._ring:
            self._full_s += self._clock() - self._full_since
            self._full_since = None
            self._changed.notify_all()
        if self._held < self._ring // 2:
            self._full_s = 0.0

    def _wait_for_room(self) -> None:
        """Wait until there is room in the ring, or make some by leaving the slow ones behind."""
        now = self._clock()
        if self._full_since is None:
            self._full_since = now
        left_s = self._patience_s - self._full_s - (now - self._full_since)
        if left_s > 0:
            self._changed.wait(left_s)
            return
        for member in self.members:
            if member.active and self._total - member.taken >= self._ring // 2:
                member.active, member.left_behind = False, True
        self._drop()

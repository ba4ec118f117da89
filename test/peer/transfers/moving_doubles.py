"""Doubles for what moves, so that transfers are tested without a disk and without a link."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, succeed
from twisted.internet.task import Clock

from p2p.base.errors import P2PError
from p2p.base.log_gate import LogGate
from p2p.console.transfer_operations import TransferEvent
from p2p.peer.transfers.account import TransferContext
from p2p.peer.transfers.interfaces import Told
from p2p.peer.transfers.journal import TransferRow
from p2p.peer.transfers.stalls import LOOK_S, Own
from p2p.transfer.walking import Totals

__all__ = ["WALL", "Events", "Link", "ScriptedMoving", "look_after", "shared"]

WALL = 1_000_000.0
"""The Unix time when the test's clock is at 0."""


class Link:
    """A link that keeps pings; its test answers them."""

    reusable = True

    def __init__(self) -> None:
        self.pings: list[Callable[[float | None], None]] = []

    def ping(self, answer: Callable[[float | None], None]) -> None:
        self.pings.append(answer)


class ScriptedMoving:
    """Moves what its test says, when it says so.

    :ivar sessions: for each session that began, whether what the receiver has was known to exist, who is told, and
        what ends it.
    """

    def __init__(self, *, stream: bool = False) -> None:
        self.superseded = False
        self.names: Sequence[str] = ["film.mp4"]
        self.stream = stream
        self.own = Own.READ
        self.spent = False
        self.totals: Totals | None = None
        self.current: str | None = "film.mp4"
        self.restarted: Sequence[str] = ()
        self.done_bytes = 0
        self.moved = 0
        self.excused = False
        self.own_since: float | None = None
        self.link: Any = None
        self.sessions: list[tuple[bool, Told, Deferred[Totals]]] = []
        self.closed = 0
        self.removed = 0
        self.telling: list[bool] = []
        self.cannot_remove: P2PError | None = None

    async def session(self, told: Told, *, known: bool) -> Totals:
        end: Deferred[Totals] = Deferred()
        self.sessions.append((known, told, end))
        told.on_begun()
        return await end

    async def close(self) -> None:
        self.closed += 1

    async def remove_parts(self, *, tell: bool) -> None:
        self.removed += 1
        self.telling.append(tell)
        if self.cannot_remove is not None:
            raise self.cannot_remove

    @property
    def told(self) -> Told:
        """Who is told in the session under way."""
        return self.sessions[-1][1]

    @property
    def end(self) -> Deferred[Totals]:
        """What ends the session under way."""
        return self.sessions[-1][2]


class Events(list[TransferEvent]):
    """The events that somebody was told."""

    def kinds(self) -> list[str]:
        return [event.event for event in self]

    def last(self, kind: type[Any]) -> Any:
        return next(event for event in reversed(self) if isinstance(event, kind))

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self if isinstance(event, kind)]


def shared(
    clock: Clock, saved: list[dict[str, Any]], followed: Events, *, slots: int = 8, ahead: Callable[[], float] = float
) -> TransferContext:
    """What transfers share, written down for a test."""

    def save(row: TransferRow) -> Deferred[None]:
        saved.append({name: getattr(row, name) for name in ("id", "state", "bytes", "outcome", "reason", "deadline")})
        return succeed(None)

    return TransferContext(
        clock=clock,
        wall=lambda: WALL + ahead() + clock.seconds(),
        chance=lambda: 0.5,
        save=save,
        tell=followed.append,
        slots=DeferredSemaphore(slots),
        gate=LogGate(clock),
    )


def look_after(clock: Clock, look: Callable[[], None], seconds: float) -> None:
    """Let time pass, with a look each half second."""
    for _ in range(int(seconds / LOOK_S)):
        clock.advance(LOOK_S)
        look()

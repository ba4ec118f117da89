"""What a transfer tells of itself while it runs, to its clients and to the journal: not too often, and not too late."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from p2p.base.errors import LocalFileError, Outcome
from p2p.base.rates import Rate
from p2p.console.transfer_operations import Offered, Pending, Progress, Resumed, Stalled, TransferEvent, Verified
from p2p.link.protocol import DirectLink
from p2p.peer.transfers.audience import Audience
from p2p.peer.transfers.interfaces import Moving
from p2p.peer.transfers.journal import MAX_NAMES, TransferRow
from p2p.peer.transfers.retry import Retries
from p2p.peer.transfers.stalls import Ping, Sight, StallWatch
from p2p.transfer.records import Have, Receipt
from p2p.transfer.walking import Totals

__all__ = ["Account", "Shared"]

TELL_EVERY_S: Final = 0.2
"""Seconds between two events that only say how far it is."""

SAVE_EVERY_S: Final = 1.0
"""Seconds between two entries in the journal of how far it is."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all transfers of a daemon share.

    :ivar wall: reads the Unix time, seconds.
    :ivar chance: a random number from 0 to 1.
    :ivar save: enters what is new of a transfer in the journal.
    :ivar tell: tells those who follow all transfers.
    :ivar slots: sessions at a time.
    """

    clock: IReactorTime
    wall: Callable[[], float]
    chance: Callable[[], float]
    save: Callable[[TransferRow], Deferred[None]]
    tell: Callable[[TransferEvent], object]
    slots: DeferredSemaphore


class Account:
    """The account that one transfer gives of itself; it is what its sessions tell things to.

    :ivar audience: the clients that wait for its end.
    :ivar pending: the reason why a person at the other side is asked; empty if nobody is.
    """

    _log = Logger()

    def __init__(self, row: TransferRow, moving: Moving, shared: Shared, retries: Retries) -> None:
        now = shared.clock.seconds()
        self.audience = Audience()
        self.pending = ""
        self._row = row
        self._moving = moving
        self._shared = shared
        self._clock = shared.clock
        self._retries = retries
        self._watch: StallWatch | None = None
        self._rate = Rate(now, row.bytes)
        self._resumed: Have | None = None
        self._before = 0  # bytes that were there before the session
        self._told_at = self._saved_at = now
        self._untold = self._unsaved = False

    # -- what a session tells: Told ---------------------------------------------------------------------------

    def on_begun(self) -> None:
        """The other side is asked now."""
        totals = self._totals()
        entries = totals.entries if totals is not None else None
        names = list(self._moving.names)
        told: dict[str, Any] = {"names": names[:MAX_NAMES], "more_names": len(names[MAX_NAMES:])}
        self.tell(Offered(**self.head, **told, entries=entries, bytes=self._row.bytes_total))

    def on_pending(self, reason: str) -> None:
        """A person at the other side is asked; comes again and again, and is told once."""
        if reason != self.pending:
            self.pending = reason
            self.tell(Pending(**self.head, reason=reason))

    def on_have(self, have: Have) -> None:
        """Both sides agree, and the receiver has so much."""
        row = self._row
        self.pending = ""
        self._retries.stood = True
        row.sessions += 1
        row.entries, row.bytes = have.entries, have.bytes + have.offset
        self._before = row.bytes
        self._rate = Rate(self._clock.seconds(), row.bytes)
        if not have.entries:  # else what was left out in earlier sessions stays so
            row.refused, row.left_out = 0, []
        self.save()
        if have != Have():
            self._resumed = have

    def on_progress(self, entries: int, size: int) -> None:
        """So much is verified at the receiver."""
        row = self._row
        now = self._clock.seconds()
        self._tell_resumed()
        if (entries, size) == (row.entries, row.bytes):
            return
        self._retries.moved(now)
        row.entries, row.bytes = entries, size
        self._rate.add(now, size)
        self._untold = self._unsaved = True
        if now - self._told_at >= TELL_EVERY_S:
            self._tell_progress(now)

    def on_receipts(self, receipts: Sequence[Receipt]) -> Deferred[Any] | None:
        """So many entries are finished; fires when the clients have read it."""
        self._tell_resumed()
        self._retries.moved(self._clock.seconds())
        unread: Deferred[Any] | None = None
        head = self.head
        for receipt in receipts:
            if receipt.outcome is not Outcome.OK:
                self._row.leave_out(receipt.path, receipt.outcome.value, receipt.reason)
            told = Verified(
                **head,
                path=receipt.path,
                name=receipt.name,
                size=receipt.size,
                root=receipt.root,
                outcome=receipt.outcome.value,
                reason=receipt.reason,
                note=receipt.note,
            )
            unread = self.tell(told) or unread
        return unread

    # -- what the transfer tells ------------------------------------------------------------------------------

    @property
    def head(self) -> dict[str, Any]:
        """The fields that all events have."""
        return {"transfer": self._row.id, "peer": self._row.peer, "direction": self._row.direction}

    def session_begins(self) -> None:
        """From now on there is something to look at."""
        row = self._row
        now = self._clock.seconds()
        self._watch = StallWatch(row.peer, "send" if row.direction == "send" else "get", self._moving.own, now)
        self._rate = Rate(now, row.bytes)

    def session_ended(self) -> None:
        """Nothing more comes of this session."""
        self._watch = None
        self.pending = ""
        self._tell_resumed()
        self._row.sent_bytes += max(self._moving.done_bytes - self._before, 0)
        self._before = 0

    def tell(self, event: TransferEvent) -> Deferred[Any] | None:
        """Tell everybody; fires when the transfer's own clients have read it, None if they have."""
        self._shared.tell(event)
        return self.audience.tell(event)

    def save(self) -> None:
        """Enter the transfer in the journal, soon."""
        self._unsaved = False
        self._saved_at = self._clock.seconds()
        self._write().addErrback(lambda failure: self._log.warn("{reason}", reason=str(failure.value)))

    async def enter(self) -> None:
        """Enter it for good; a transfer has ended as it has, even if the journal can't be written."""
        try:
            await self._write()
        except LocalFileError as error:
            self._log.warn("{reason}", reason=str(error))

    def look(self) -> None:
        """Tell of progress and of standstill, and keep the journal up to date; to be called twice a second."""
        now = self._clock.seconds()
        if self._watch is not None:
            self._rate.add(now, self._row.bytes)
            self._look_for_stall(self._watch, now)
        if self._untold and now - self._told_at >= TELL_EVERY_S:
            self._tell_progress(now)
        if self._unsaved and now - self._saved_at >= SAVE_EVERY_S:
            self.save()

    # -- within -----------------------------------------------------------------------------------------------

    def _look_for_stall(self, watch: StallWatch, now: float) -> None:
        moving = self._moving
        link = moving.link
        sight = Sight(
            moved=moving.moved + self._row.bytes + self._row.entries,
            linked=link is not None,
            excused=bool(self.pending) or moving.excused,
            own_since=moving.own_since,
        )
        watch.own = moving.own  # only in the session it shows whether its source is shared
        seen = watch.look(sight, now)
        if isinstance(seen, Ping):
            assert link is not None  # it was seen
            _ping(watch, seen, link)
        elif seen is not None:
            rtt_ns = None if seen.rtt_s is None else int(seen.rtt_s * 1e9)
            self.tell(Stalled(**self.head, seconds=seen.seconds, rtt_ns=rtt_ns, text=seen.text))

    def _tell_progress(self, now: float) -> None:
        totals = self._totals()
        self._untold = False
        self._told_at = now
        self.tell(
            Progress(
                **self.head,
                entries=self._row.entries,
                entries_total=totals.entries if totals is not None else None,
                bytes=self._row.bytes,
                bytes_total=self._row.bytes_total,
                path=self._moving.current,
                rate=self._rate.a_second(now),
            )
        )

    def _tell_resumed(self) -> None:
        """Tell it once it is known which of the parts are of use: with the first that moves, or at the end."""
        have, self._resumed = self._resumed, None
        if have is None:
            return
        restarted = list(self._moving.restarted)
        offset = 0 if have.partial in restarted else have.offset
        self._before = have.bytes + offset
        self.tell(
            Resumed(
                **self.head,
                entries=have.entries,
                bytes=have.bytes + offset,
                path=have.partial,
                offset=offset,
                restarted=restarted,
            )
        )

    def _totals(self) -> Totals | None:
        totals = self._moving.totals
        if totals is not None:
            self._row.bytes_total = totals.bytes
        return totals

    def _write(self) -> Deferred[None]:
        self._row.updated = self._shared.wall()
        return self._shared.save(self._row)


def _ping(watch: StallWatch, ping: Ping, link: DirectLink) -> None:
    def answered(seconds: float | None) -> None:
        if seconds is not None:  # else the link has ended, and so does the session
            watch.answered(ping, seconds)

    link.ping(answered)

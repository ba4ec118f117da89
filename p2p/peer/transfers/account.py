"""What transfers tell of themselves while they run, to clients and to the journal: not too often, and not too late."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from p2p.base.errors import LocalFileError, Outcome
from p2p.base.log_gate import LogGate
from p2p.base.rates import Rate
from p2p.base.texts import left_out_text
from p2p.base.waiters import Waiters
from p2p.console.transfer_operations import (
    Done,
    Failed,
    Offered,
    Pending,
    Progress,
    Resumed,
    Stalled,
    TransferEvent,
    Verified,
)
from p2p.link.protocol import DirectLink
from p2p.peer.transfers.audience import Audience
from p2p.peer.transfers.interfaces import Moving
from p2p.peer.transfers.journal import LEFT_OUT, MAX_NAMES, State, TransferRow, shown_transfer
from p2p.peer.transfers.retry import Retries, time_left
from p2p.peer.transfers.stalls import Probe, Sight, StallWatch
from p2p.transfer.records import Have, Receipt
from p2p.transfer.walking import Totals

__all__ = ["Account", "IncomingTransfer", "TransferContext"]

TELL_EVERY_S: Final = 0.2
"""Seconds between two events that only say how far it is."""

SAVE_EVERY_S: Final = 1.0
"""Seconds between two entries in the journal of how far it is."""

_COMES_BACK = frozenset({Outcome.RESET, Outcome.TRUNCATED, Outcome.TIMEOUT})
"""How a session ends after which the other side may begin another."""


@dataclass(frozen=True, slots=True)
class TransferContext:
    """What all transfers of a daemon share.

    :ivar wall: reads the Unix time, seconds.
    :ivar chance: a random number from 0 to 1.
    :ivar save: enters what is new of a transfer in the journal.
    :ivar tell: tells those who follow all transfers.
    :ivar slots: sessions at a time.
    :ivar gate: what others can provoke in the log passes here.
    :ivar relayed_by: the relay that carries the link to the peer of a transfer; empty if it is direct.
    :ivar boot: tells this run of the machine from others; empty if that isn't known.
    """

    clock: IReactorTime
    wall: Callable[[], float]
    chance: Callable[[], float]
    save: Callable[[TransferRow], Deferred[None]]
    tell: Callable[[TransferEvent], object]
    slots: DeferredSemaphore
    gate: LogGate
    boot: str = ""
    relayed_by: Callable[[TransferRow], str] = lambda row: ""

    def note_left(self, row: TransferRow, left_s: float) -> None:
        """Have a row say how much time is left until its deadline: for people, and so that the clock can be set."""
        row.left_s, row.left_at, row.boot = max(left_s, 0.0), self.clock.seconds(), self.boot
        row.deadline = self.wall() + left_s

    def left_s(self, row: TransferRow) -> float:
        """Seconds until the deadline of a row of the journal; a daemon of before kept nothing but the wall's time."""
        if row.left_s is None:
            longest: float = row.how["deadline_s"]
            return min(max(row.deadline - self.wall(), 0.0), longest)
        same_boot = bool(self.boot) and row.boot == self.boot
        return time_left(row.left_s, row.left_at, self.clock.seconds(), same_boot=same_boot)


class _Teller(ABC):
    """What both kinds of accounts do: tell how far it is and enter that in the journal, neither too often nor too late.

    :ivar row: what the journal says of the transfer.
    """

    _log = Logger()

    def __init__(self, row: TransferRow, context: TransferContext) -> None:
        self.row = row
        self._context = context
        self._clock = context.clock
        self._rate: Rate | None = None
        self._told_at = self._saved_at = context.clock.seconds()
        self._untold = self._unsaved = False

    @property
    def head(self) -> dict[str, Any]:
        """The fields that all events have."""
        return {"transfer": self.row.id, "peer": self.row.peer, "direction": self.row.direction}

    def tell(self, event: TransferEvent) -> Deferred[Any] | None:
        """Tell those who follow all transfers."""
        self._context.tell(event)
        return None

    def save(self) -> None:
        """Enter the transfer in the journal, soon."""
        self._unsaved = False
        self._saved_at = self._clock.seconds()
        self._write().addErrback(lambda failure: self._log.warn("{reason}", reason=str(failure.value)))

    def look(self) -> None:
        """Tell of progress and keep the journal up to date; to be called twice a second."""
        now = self._clock.seconds()
        self._tell_if_due(now)
        if self._unsaved and now - self._saved_at >= SAVE_EVERY_S:
            self.save()

    def _count(self, entries: int, size: int, now: float) -> None:
        """So much there is by now."""
        row = self.row
        row.entries, row.bytes = entries, size
        if self._rate is None:
            self._rate = Rate(now, size)
        self._rate.add(now, size)
        self._untold = self._unsaved = True

    def _tell_if_due(self, now: float) -> None:
        if not self._untold or now - self._told_at < TELL_EVERY_S:
            return
        entries_total, path = self._under_way()
        self._untold = False
        self._told_at = now
        self.tell(
            Progress(
                **self.head,
                entries=self.row.entries,
                entries_total=entries_total,
                bytes=self.row.bytes,
                bytes_total=self.row.bytes_total,
                path=path,
                rate=self._rate.a_second(now) if self._rate is not None else 0.0,
                relayed_by=self._context.relayed_by(self.row),
            )
        )

    @abstractmethod
    def _under_way(self) -> tuple[int | None, str | None]:
        """How many entries there are, and which one moves; None where nobody knows."""

    def _write(self) -> Deferred[None]:
        self.row.updated = self._context.wall()
        return self._context.save(self.row)


class Account(_Teller):
    """The account that one transfer gives of itself; it is what its sessions tell things to.

    :ivar audience: the clients that wait for its end.
    :ivar pending: the reason why a person at the other side is asked; empty if nobody is.
    """

    def __init__(self, row: TransferRow, moving: Moving, context: TransferContext, retries: Retries) -> None:
        super().__init__(row, context)
        self.audience = Audience()
        self.pending = ""
        self._moving = moving
        self._retries = retries
        self._watch: StallWatch | None = None
        self._resumed: Have | None = None
        self._before = 0  # bytes that were there before the session

    # -- what a session tells: Told ---------------------------------------------------------------------------

    def on_begun(self) -> None:
        """The other side is asked now."""
        totals = self._totals()
        entries = totals.entries if totals is not None else None
        names = list(self._moving.names)
        told: dict[str, Any] = {"names": names[:MAX_NAMES], "more_names": len(names[MAX_NAMES:])}
        self.tell(Offered(**self.head, **told, entries=entries, bytes=self.row.bytes_total))

    def on_pending(self, reason: str, *, reading: bool = False) -> None:
        """A person at the other side is asked, or it reads what it has; comes again and again, and is told once."""
        if reason != self.pending:
            self.pending = reason
            self.tell(Pending(**self.head, reason=reason, reading=reading))

    def on_have(self, have: Have) -> None:
        """Both sides agree, and the receiver has so much."""
        row = self.row
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
        row = self.row
        now = self._clock.seconds()
        self._tell_resumed()
        if (entries, size) == (row.entries, row.bytes):
            return
        self._retries.moved(now)
        self._count(entries, size, now)
        self._tell_if_due(now)

    def on_receipts(self, receipts: Sequence[Receipt]) -> Deferred[Any] | None:
        """So many entries are finished; fires when the clients have read it."""
        self._tell_resumed()
        self._retries.moved(self._clock.seconds())
        unread: Deferred[Any] | None = None
        head = self.head
        for receipt in receipts:
            if receipt.outcome is not Outcome.OK:
                self.row.leave_out(receipt.path, receipt.outcome.value, receipt.reason)
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

    def session_begins(self) -> None:
        """From now on there is something to look at."""
        row = self.row
        now = self._clock.seconds()
        self._watch = StallWatch(row.peer, "send" if row.direction == "send" else "get", self._moving.own, now)
        self._rate = Rate(now, row.bytes)

    def session_ended(self) -> None:
        """Nothing more comes of this session."""
        self._watch = None
        self.pending = ""
        self._tell_resumed()
        self.row.sent_bytes += max(self._moving.done_bytes - self._before, 0)
        self._before = 0

    def tell(self, event: TransferEvent) -> Deferred[Any] | None:
        """Tell everybody; fires when the transfer's own clients have read it, None if they have."""
        super().tell(event)
        return self.audience.tell(event)

    async def enter(self) -> None:
        """Enter it for good; a transfer has ended as it has, even if the journal can't be written."""
        try:
            await self._write()
        except LocalFileError as error:
            self._log.warn("{reason}", reason=str(error))

    def look(self) -> None:
        """Tell of progress and of standstill, and keep the journal up to date; to be called twice a second."""
        if self._watch is not None and self._rate is not None:
            now = self._clock.seconds()
            self._rate.add(now, self.row.bytes)
            self._look_for_stall(self._watch, now)
        super().look()

    # -- within -----------------------------------------------------------------------------------------------

    def _look_for_stall(self, watch: StallWatch, now: float) -> None:
        moving = self._moving
        link = moving.link
        sight = Sight(
            moved=moving.moved + self.row.bytes + self.row.entries,
            linked=link is not None,
            excused=bool(self.pending) or moving.excused,
            own_since=moving.own_since,
        )
        watch.own = moving.own  # only in the session it shows whether its source is shared
        seen = watch.look(sight, now)
        if isinstance(seen, Probe):
            assert link is not None  # it was seen
            _ping(watch, seen, link)
        elif seen is not None:
            rtt_ns = None if seen.rtt_s is None else int(seen.rtt_s * 1e9)
            self.tell(Stalled(**self.head, seconds=seen.seconds, rtt_ns=rtt_ns, text=seen.text))

    def _under_way(self) -> tuple[int | None, str | None]:
        totals = self._totals()
        return totals.entries if totals is not None else None, self._moving.current

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
            self.row.bytes_total = totals.bytes
        return totals

    def _write(self) -> Deferred[None]:
        self._context.note_left(self.row, self._retries.deadline - self._clock.seconds())
        return super()._write()


class IncomingTransfer(_Teller):
    """The account of one session of a transfer that another peer began: what it sends, or gets of what is shared.

    Whoever runs the session tells how far it is, and how it ended.

    :param stop: ends the session, with a reason.
    :param over: is called at the end.
    """

    def __init__(
        self,
        row: TransferRow,
        entries: int | None,
        context: TransferContext,
        stop: Callable[[str], None],
        over: Callable[[IncomingTransfer], object],
    ) -> None:
        super().__init__(row, context)
        self._entries = entries
        self._stop = stop
        self._over = over
        self._cancelled = ""
        self._began = self._clock.seconds()
        self._end: Waiters[None] = Waiters()
        shown = shown_transfer(row)
        told: dict[str, Any] = {"names": shown.names, "more_names": shown.more_names}
        self.tell(Offered(**self.head, **told, entries=entries, bytes=row.bytes_total))

    def progress(self, entries: int, bytes: int) -> None:  # noqa: A002 - the Protocol has it
        """So many entries and bytes are verified here, or sent from here, in all sessions."""
        self._count(entries, bytes, self._clock.seconds())
        self.look()

    def left_out(self, path: str, outcome: Outcome, reason: str) -> None:
        """An entry doesn't get through in this session."""
        self.row.leave_out(path, outcome.value, reason)

    def ended(self, outcome: Outcome, reason: str, entries: int, bytes: int) -> None:  # noqa: A002 - as above
        """The session is over; after a broken link the other side may begin another."""
        row = self.row
        row.entries, row.bytes = entries, bytes
        row.outcome, row.reason = outcome.value, self._cancelled or reason
        if outcome is Outcome.OK:
            row.state = State.DONE
        elif self._cancelled:
            row.state, row.outcome = State.CANCELLED, ""
        else:
            row.state = State.WAITING if outcome in _COMES_BACK else State.FAILED
        self.save()
        if row.state is State.DONE:
            seconds = self._clock.seconds() - self._began
            self.tell(Done(**self.head, entries=entries, bytes=bytes, refused=row.refused, seconds=seconds))
            self._context.gate.info(
                self._log,
                row.peer,
                "{acting}: transfer {id} ({direction}, {peer}) is complete: {entries} entries, {bytes} bytes",
                acting=row.acting,
                id=row.id,
                direction=row.direction,
                peer=row.peer,
                entries=entries,
                bytes=bytes,
            )
            if row.refused:
                left_out = left_out_text(row.refused, row.left_out)
                self._context.gate.warn(self._log, row.peer, LEFT_OUT, id=row.id, left_out=left_out)
        else:
            error = "cancelled" if self._cancelled else "outcome"
            resumable = row.state is State.WAITING
            told: dict[str, Any] = {"outcome": row.outcome or None, "error": error, "reason": row.reason}
            self.tell(Failed(**self.head, **told, resumable=resumable))
            if not resumable:  # else the link broke, which is told already
                self._context.gate.warn(
                    self._log,
                    row.peer,
                    "{acting}: transfer {id} ({direction}, {peer}) {state}: {reason}",
                    acting=row.acting,
                    id=row.id,
                    direction=row.direction,
                    peer=row.peer,
                    state=row.state.value,
                    reason=reason,
                )
        self._over(self)
        self._end.settle(None)

    def when_over(self) -> Deferred[None]:
        """Fires when the session is over, and nobody here writes any more; cancelling that leaves it alone."""
        return self._end.wait()

    def cancel(self, reason: str) -> None:
        """End it from here."""
        self._cancelled = reason
        self._stop(reason)

    def _under_way(self) -> tuple[int | None, str | None]:
        return self._entries, None


def _ping(watch: StallWatch, ping: Probe, link: DirectLink) -> None:
    def answered(seconds: float | None) -> None:
        if seconds is not None:  # else the link has ended, and so does the session
            watch.answered(ping, seconds)

    link.ping(answered)

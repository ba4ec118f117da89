"""Transfers that other peers began here: what they send, and what they get of what is shared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from p2p.base.errors import Outcome
from p2p.base.rates import Rate
from p2p.base.texts import left_out_text
from p2p.console.transfer_operations import Done, Failed, Offered, Progress, TransferEvent
from p2p.peer.transfers.account import SAVE_EVERY_S, TELL_EVERY_S, Shared
from p2p.peer.transfers.journal import LEFT_OUT, State, TransferRow, shown_transfer

__all__ = ["IncomingTransfer"]

_COMES_BACK = frozenset({Outcome.RESET, Outcome.TRUNCATED, Outcome.TIMEOUT})
"""How a session ends after which the other side may begin another."""


class IncomingTransfer:
    """One session of such a transfer; whoever runs it tells how far it is, and how it ended.

    :param stop: ends the session, with a reason.
    :param over: is called at the end.
    """

    _log = Logger()

    def __init__(
        self,
        row: TransferRow,
        entries: int | None,
        shared: Shared,
        stop: Callable[[str], None],
        over: Callable[[IncomingTransfer], object],
    ) -> None:
        now = shared.clock.seconds()
        self.row = row
        self._entries = entries
        self._shared = shared
        self._clock: IReactorTime = shared.clock
        self._stop = stop
        self._over = over
        self._cancelled = ""
        self._began = self._told_at = self._saved_at = now
        self._rate: Rate | None = None
        self._untold = self._unsaved = False
        self._waiters: list[Deferred[None]] = []
        shown = shown_transfer(row)
        told: dict[str, Any] = {"names": shown.names, "more_names": shown.more_names}
        self._tell(Offered(**self._head, **told, entries=entries, bytes=row.bytes_total))

    def progress(self, entries: int, bytes: int) -> None:  # noqa: A002 - the Protocol has it
        """So many entries and bytes are verified here, or sent from here, in all sessions."""
        now = self._clock.seconds()
        if self._rate is None:
            self._rate = Rate(now, bytes)
        self.row.entries, self.row.bytes = entries, bytes
        self._rate.add(now, bytes)
        self._untold = self._unsaved = True
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
        self._save()
        if row.state is State.DONE:
            seconds = self._clock.seconds() - self._began
            self._tell(Done(**self._head, entries=entries, bytes=bytes, refused=row.refused, seconds=seconds))
            self._log.info(
                "{acting}: transfer {id} ({direction}, {peer}) is complete: {entries} entries, {bytes} bytes",
                acting=row.acting,
                id=row.id,
                direction=row.direction,
                peer=row.peer,
                entries=entries,
                bytes=bytes,
            )
            if row.refused:
                self._log.warn(LEFT_OUT, id=row.id, left_out=left_out_text(row.refused, row.left_out))
        else:
            error = "cancelled" if self._cancelled else "outcome"
            resumable = row.state is State.WAITING
            told: dict[str, Any] = {"outcome": row.outcome or None, "error": error, "reason": row.reason}
            self._tell(Failed(**self._head, **told, resumable=resumable))
            if not resumable:  # else the link broke, which is told already
                self._log.warn(
                    "{acting}: transfer {id} ({direction}, {peer}) {state}: {reason}",
                    acting=row.acting,
                    id=row.id,
                    direction=row.direction,
                    peer=row.peer,
                    state=row.state.value,
                    reason=reason,
                )
        self._over(self)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)

    def when_over(self) -> Deferred[None]:
        """Fires when the session is over, and nobody here writes any more; cancelling that leaves it alone."""
        waiter: Deferred[None] = Deferred(self._waiters.remove)
        self._waiters.append(waiter)
        return waiter

    def cancel(self, reason: str) -> None:
        """End it from here."""
        self._cancelled = reason
        self._stop(reason)

    def look(self) -> None:
        """Tell of progress and keep the journal up to date; to be called twice a second."""
        now = self._clock.seconds()
        if self._untold and now - self._told_at >= TELL_EVERY_S:
            self._untold = False
            self._told_at = now
            self._tell(
                Progress(
                    **self._head,
                    entries=self.row.entries,
                    entries_total=self._entries,
                    bytes=self.row.bytes,
                    bytes_total=self.row.bytes_total,
                    rate=self._rate.a_second(now) if self._rate is not None else 0.0,
                )
            )
        if self._unsaved and now - self._saved_at >= SAVE_EVERY_S:
            self._save()

    @property
    def _head(self) -> dict[str, Any]:
        return {"transfer": self.row.id, "peer": self.row.peer, "direction": self.row.direction}

    def _tell(self, event: TransferEvent) -> None:
        self._shared.tell(event)

    def _save(self) -> None:
        self._unsaved = False
        self._saved_at = self._clock.seconds()
        self.row.updated = self._shared.wall()
        self._shared.save(self.row).addErrback(lambda failure: self._log.warn("{reason}", reason=str(failure.value)))

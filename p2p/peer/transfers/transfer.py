"""One transfer with one peer: sessions, one after another, until it is complete or given up."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2p.base.errors import CancelledThere, ExchangeFailed, LocalFileError, Outcome, P2PError
from p2p.base.texts import left_out_text
from p2p.base.waiters import Waiters
from p2p.console.transfer_operations import Done, Failed, MovedOne, Waiting
from p2p.peer.transfers.account import Account, TransferContext
from p2p.peer.transfers.audience import Tell
from p2p.peer.transfers.interfaces import BeginAnew, Moving
from p2p.peer.transfers.journal import LEFT_OUT, State, TransferRow
from p2p.peer.transfers.retry import Retries
from p2p.transfer.walking import Totals

__all__ = ["Ending", "Transfer"]


class Ending(Enum):
    """Why a transfer is ended before it is complete, as the journal says it."""

    PAUSED = "its client left"
    CANCELLED = "it was cancelled here"
    CANCELLED_THERE = "it was cancelled at {peer}"
    STOPPING = "the daemon was stopped"


class Transfer:
    """A transfer that this daemon is to bring to its end.

    :param patience_s: seconds for which it is tried again after content has last moved.
    :param known: whether the other side may know it already.
    :ivar row: what the journal knows of it.
    :ivar detached: whether it goes on when no client waits for it.
    """

    _log = Logger()

    def __init__(
        self, row: TransferRow, moving: Moving, shared: TransferContext, *, patience_s: float, known: bool
    ) -> None:
        now = shared.clock.seconds()
        self.row = row
        self.detached = False
        self._moving = moving
        self._shared = shared
        self._clock = shared.clock
        self._known = known
        self._retries = Retries(now + shared.left_s(row), patience_s, stood=row.sessions > 0)
        self._account = Account(row, moving, shared, self._retries)
        self._began = now
        self._ending: Ending | None = None
        self._running: Deferred[None] | None = None
        self._pause: Waiters[None] = Waiters()
        self._end: Waiters[MovedOne] = Waiters()
        self._concluding = False
        self._at_work: Deferred[Totals] | None = None
        self._patient_since = now
        self._overdue = self._changing = False

    @property
    def clients(self) -> int:
        """How many clients wait for its end."""
        return len(self._account.audience)

    def start(self, over: Callable[[Transfer], object]) -> None:
        """Begin; ``over`` is called at the end."""
        self._running = Deferred.fromCoroutine(self._run(over))
        self._running.addErrback(
            lambda failure: self._log.failure("transfer {id} can't be ended", failure, id=self.row.id)
        )

    def attach(self, tell: Tell, deadline_s: float) -> Callable[[], None]:
        """A client asked for this very transfer: tell it, and try for so many seconds from now at least.

        :returns: a function that ends the telling.
        """
        now = self._clock.seconds()
        self._retries.deadline = max(self._retries.deadline, now + deadline_s)
        self._shared.note_left(self.row, self._retries.deadline - now)
        self.wake()
        return self._account.audience.add(tell, patient=True)

    def when_over(self) -> Deferred[MovedOne]:
        """Fires with how it ended; cancelling that leaves the transfer alone."""
        return self._end.wait()

    def end(self, ending: Ending) -> None:
        """End it, unless it is at its end already."""
        if self._ending is None and not self._concluding:
            self._ending = ending
            if self._running is not None:
                self._running.cancel()

    def wake(self) -> None:
        """A link to the peer stands: don't wait any longer, and go over to it if it is a better one.

        What was verified stays, and the next session goes on from there.
        """
        self._pause.fire(None)
        if self._at_work is not None and self._moving.superseded:
            self._changing = True
            self._at_work.cancel()

    def look(self) -> None:
        """See how it is getting on, and break a session off that outlasts the deadline without any progress.

        To be called twice a second.
        """
        self._account.look()
        if self._at_work is None:
            return
        now = self._clock.seconds()
        if self._account.pending or self._moving.excused:
            self._patient_since = now  # a person or a limit that was asked for holds it up
        elif now >= max(self._retries.deadline, self._patient_since + self._retries.patience_s):
            self._overdue = True
            self._at_work.cancel()

    async def _run(self, over: Callable[[Transfer], object]) -> None:
        ended: Totals | Exception
        try:
            ended = await self._sessions()
        except Exception as error:  # noqa: BLE001 - whatever it was: its client and the journal learn of it
            ended = error
        self._concluding = True
        try:
            result = await self._conclude(ended)
        except Exception:  # noqa: BLE001 - a fault of ours; whoever waits must not wait for ever
            self._log.failure("transfer {id} can't be ended as it should", id=self.row.id)
            result = self._moved(None, error="internal")
        over(self)
        self._end.settle(result)

    async def _conclude(self, ended: Totals | Exception) -> MovedOne:
        await self._moving.close()
        if isinstance(ended, Totals):
            return await self._done(ended)
        if self._ending is not None:
            return await self._ended_early(self._ending)
        if isinstance(ended, CancelledThere):
            return await self._ended_early(Ending.CANCELLED_THERE)
        return await self._failed(ended)

    async def _sessions(self) -> Totals:
        while True:
            if self._is_ending:
                raise CancelledError
            try:
                return await self._session()
            except BeginAnew:
                self._known = True
            except ExchangeFailed as failure:
                wait = self._retries.failed(failure.outcome, self._clock.seconds(), self._shared.chance())
                if self._retries.expired and not self._moving.spent and not self._is_ending:
                    reason = f"{failure}; its deadline, {self._retries.patience_s:g} s without progress, is over"
                    raise ExchangeFailed(failure.outcome, reason) from failure
                if wait is None or self._moving.spent or self._is_ending:
                    raise
                self._known = True  # maybe: the other side may have begun before it could say so
                await self._wait(failure, wait)

    @property
    def _is_ending(self) -> bool:
        return self._ending is not None

    async def _session(self) -> Totals:
        async with self._shared.slots:
            self.row.state = State.RUNNING
            self.row.reason = ""
            self._account.save()
            self._account.session_begins()
            try:
                self._patient_since = self._clock.seconds()
                self._at_work = Deferred.fromCoroutine(self._moving.session(self._account, known=self._known))
                return await self._at_work
            except CancelledError:
                if self._changing and not self._is_ending:
                    raise BeginAnew(f"a direct link to {self.row.peer} stands") from None
                if self._overdue:
                    raise ExchangeFailed(Outcome.TIMEOUT, f"nothing came from {self.row.peer} in time") from None
                raise
            finally:
                self._at_work, self._changing = None, False
                self._account.session_ended()

    async def _wait(self, failure: ExchangeFailed, seconds: float) -> None:
        row = self.row
        left_s = self._retries.deadline - self._clock.seconds()
        row.state = State.WAITING
        row.outcome, row.reason = failure.outcome.value, str(failure)
        self._account.save()
        self._account.tell(
            Waiting(**self._account.head, outcome=row.outcome, reason=row.reason, retry_s=seconds, left_s=left_s)
        )
        self._log.info(
            "{acting}: transfer {id} with {peer} goes on in {seconds:.1f} s: {reason}",
            acting=row.acting,
            id=row.id,
            peer=row.peer,
            seconds=seconds,
            reason=row.reason,
        )
        timer = self._clock.callLater(seconds, self.wake)
        try:
            await self._pause.wait()
        finally:
            if timer.active():
                timer.cancel()

    async def _done(self, totals: Totals) -> MovedOne:
        row = self.row
        row.entries, row.bytes, row.refused = totals.entries, totals.bytes or 0, totals.refused
        row.state, row.outcome, row.reason = State.DONE, Outcome.OK.value, ""
        await self._account.enter()  # before anybody hears of it: what is done isn't done again
        self._account.tell(
            Done(
                **self._account.head,
                entries=row.entries,
                bytes=row.bytes,
                refused=totals.refused,
                sent_bytes=row.sent_bytes,
                sessions=row.sessions,
                seconds=self._clock.seconds() - self._began,
            )
        )
        self._log.info(
            "{acting}: transfer {id} ({direction}, {peer}) is complete: {entries} entries, {bytes} bytes",
            acting=row.acting,
            id=row.id,
            direction=row.direction,
            peer=row.peer,
            entries=row.entries,
            bytes=row.bytes,
        )
        if row.refused:
            self._log.warn(LEFT_OUT, id=row.id, left_out=left_out_text(row.refused, row.left_out))
        return self._moved(Outcome.OK.value, refused=totals.refused)

    async def _failed(self, error: Exception) -> MovedOne:
        row = self.row
        outcome = error.outcome.value if isinstance(error, ExchangeFailed) else ""
        reason = str(error)
        if outcome:
            kind = "outcome"
        elif isinstance(error, LocalFileError):
            kind = "file"
        elif isinstance(error, P2PError):
            kind = "usage"
        else:
            self._log.failure("transfer {id} failed", Failure(error), id=row.id)
            kind, reason = "internal", f"{type(error).__name__} in a transfer; the log of the daemon has the details"
        row.state, row.outcome, row.reason = State.FAILED, outcome, reason
        if self._moving.stream and self._moving.link is not None:  # nobody can go on with it
            await self._remove_parts(tell=True)
        await self._account.enter()
        self._tell_failed(kind, resumable=row.sessions > 0 and not self._moving.stream)
        return self._moved(outcome or None, error=kind)

    async def _ended_early(self, ending: Ending) -> MovedOne:
        row = self.row
        row.outcome, row.reason = "", ending.value.format(peer=row.peer)
        is_there = ending is Ending.CANCELLED_THERE
        if is_there or ending is Ending.CANCELLED or self._moving.stream:
            row.state = State.CANCELLED
            await self._remove_parts(tell=not is_there)
        elif ending is Ending.PAUSED:
            row.state = State.PAUSED
        else:
            row.state, row.outcome = State.WAITING, Outcome.RESET.value  # it is taken up at the next start
        kind = "outcome" if row.outcome else "cancelled"
        await self._account.enter()
        self._tell_failed(kind, resumable=row.state is not State.CANCELLED)
        return self._moved(row.outcome or None, error=kind)

    async def _remove_parts(self, *, tell: bool) -> None:
        try:
            await self._moving.remove_parts(tell=tell)
        except P2PError as error:
            self._log.warn("transfer {id}: not all of it could be removed: {reason}", id=self.row.id, reason=str(error))
            self.row.reason += f"; {error}"

    def _tell_failed(self, kind: str, *, resumable: bool) -> None:
        row = self.row
        self._log.warn(
            "{acting}: transfer {id} ({direction}, {peer}) {state}: {reason}",
            acting=row.acting,
            id=row.id,
            direction=row.direction,
            peer=row.peer,
            state=row.state.value,
            reason=row.reason,
        )
        told: dict[str, Any] = {"outcome": row.outcome or None, "error": kind, "reason": row.reason}
        self._account.tell(Failed(**self._account.head, **told, resumable=resumable))

    def _moved(self, outcome: str | None, *, error: str = "", refused: int = 0) -> MovedOne:
        row = self.row
        return MovedOne(
            transfer=row.id,
            peer=row.peer,
            outcome=outcome,
            reason=row.reason,
            error=error,
            entries=row.entries,
            bytes=row.bytes,
            refused=refused,
            seconds=self._clock.seconds() - self._began,
        )

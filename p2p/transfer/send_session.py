"""The initiator's ends of a transfer: a source and a sink for the exchange that is one session of it.

::

    session = SendSession(engine, threads, clock, told, pace=None, resume=False)
    try:
        result = await peer.exchange(target, send_request(...), session, session.sink, planned_ns=...)
    finally:
        await session.release()

Engines block, so they are called in threads, one call at a time, and they are let go of only when no call is under way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.base.rates import Pace
from p2p.exchange.message_streams import MessageWriter
from p2p.exchange.request import BaseSink
from p2p.exchange.service import Threads
from p2p.exchange.threaded import Worker
from p2p.link.boxes import Box
from p2p.transfer.answers import Sent
from p2p.transfer.get_session import GetSession
from p2p.transfer.interfaces import Sender
from p2p.transfer.production import Production
from p2p.transfer.records import Buffer, Have, Receipt
from p2p.transfer.reports import Began, PendingReport, ProgressReport, ReportReader
from p2p.transfer.session_requests import FETCH, NotFresh, SessionTold, fetch_request, send_request, totals_of
from p2p.transfer.walking import Totals

__all__ = ["FETCH", "GetSession", "NotFresh", "SendSession", "SessionTold", "fetch_request", "send_request"]


class SendSession:
    """A session that sends; the source of its exchange, and by :meth:`sink` what takes the reply.

    The exchange raises :class:`NotFresh` if the session began at once and shouldn't have, ``ExchangeFailed`` and
    ``LocalFileError`` as ever, and what the engine raises.

    :param engine: makes the records; fresh. The session closes it.
    :param pace: keeps a limit, if there is one.
    :param resume: whether to wait for what the receiver has before anything is sent.
    :ivar totals: how much it was, when it has ended well.
    """

    def __init__(
        self,
        engine: Sender,
        threads: Threads,
        clock: IReactorTime,
        told: SessionTold,
        *,
        pace: Pace | None = None,
        resume: bool = False,
    ) -> None:
        self.totals: Totals | None = None
        self._engine = engine
        self._told = told
        self._resume = resume
        self._worker = Worker(threads)
        self._sent = Sent(engine.names)
        self._production = Production(self._next, self._worker, clock, pace=pace, full=lambda: self._sent.is_full)
        self._begun = False
        self._agreed: Deferred[Began] = Deferred()

    @property
    def excused(self) -> bool:
        """Whether the pace holds the session up now."""
        return self._production.held

    async def open(self) -> None:
        """Get ready; a session that has given records out can't be opened again.

        :raises ExchangeFailed: with ``reset``, if that is tried.
        """
        if self._begun:
            raise ExchangeFailed(Outcome.RESET, "the link was closed before the other side took the transfer")
        self._agreed = Deferred()

    async def send(self, consumer: MessageWriter) -> Mapping[str, str | bytes]:
        """Produce the records into the consumer."""
        if self._resume:
            consumer.begin()
            began = await self._agreed
            if began.done:
                return {}
            self._begun = True
            await self._worker(self._engine.resume, began.have)
        self._begun = True
        await self._production.run(consumer)
        if not self._engine.ended:
            raise ExchangeFailed(Outcome.RESET, "the transfer was stopped")
        return {}

    def close(self) -> None:
        """Produce no more."""
        if self._begun:
            self._engine.stop()

    def sink(self) -> _Reports:
        """Make what takes the reply."""
        return _Reports(self._told, self._sent, self._began, self._ended, self._production.go_on)

    async def release(self) -> None:
        """Wait for the thread that is at work, if one is, and close the engine."""
        self._engine.stop()
        await self._worker(self._engine.close)

    def _next(self, max_bytes: int) -> list[Buffer]:
        """The next records, which are noted before they leave; in a thread."""
        buffers = self._engine.next(max_bytes)
        self._sent.add(self._engine.dealt(), sum(map(len, buffers)))
        return buffers

    def _began(self, began: Began) -> None:
        if not self._resume and (began.done or began.have != Have()):
            raise NotFresh(began.have)
        self._sent.began(began.have, done=began.done)
        self._told.on_have(began.have)
        self._agreed.callback(began)

    def _ended(self, totals: Totals) -> None:
        self.totals = totals


class _Reports(BaseSink):
    """Takes the reply to a session that sends."""

    def __init__(
        self,
        told: SessionTold,
        sent: Sent,
        began: Callable[[Began], None],
        ended: Callable[[Totals], None],
        go_on: Callable[[], None],
    ) -> None:
        self._told = told
        self._sent = sent
        self._began = began
        self._ended = ended
        self._go_on = go_on
        self._reader = ReportReader()
        self._producer: Any = None
        self._unread = 0
        self._agreed = False

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Get the stream to pause."""
        self._producer = producer

    def unregisterProducer(self) -> None:
        """The reply has ended."""
        self._producer = None

    def write(self, data: bytes | memoryview) -> None:
        """Tell what is reported; what became of many entries is told at once.

        :raises ExchangeFailed: with ``corrupt``, if it is no report, or not of what was sent.
        """
        receipts: list[Receipt] = []
        progress: ProgressReport | None = None
        for report in self._reader.feed(data):
            if isinstance(report, Receipt):
                self._sent.receipt(report)
                receipts.append(report)
            elif isinstance(report, ProgressReport):
                self._sent.progress(report.entries, report.bytes)
                progress = report
            elif isinstance(report, PendingReport):
                self._told.on_pending(report.reason, reading=report.reading)
            else:
                self._agreed = True
                self._began(report)
        if receipts:
            self._go_on()
            self._wait_for(self._told.on_receipts(receipts))
        if progress is not None:
            self._told.on_progress(progress.entries, progress.bytes)

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """It is complete at the receiver's.

        :raises ExchangeFailed: with ``corrupt``, if the reply makes no sense.
        """
        if not self._agreed or not self._reader.between:
            raise ExchangeFailed(Outcome.CORRUPT, "the receiver says that it has everything, but not what it did")
        totals = totals_of(tail)
        self._sent.ended(totals.entries, totals.bytes or 0, totals.refused)
        self._ended(totals)
        return {}

    def _wait_for(self, room: Deferred[Any] | None) -> None:
        """Read no more until there is room."""
        if room is not None and not room.called:
            self._unread += 1
            if self._producer is not None:
                self._producer.pauseProducing()
            room.addBoth(self._was_read)

    def _was_read(self, result: Any) -> Any:
        self._unread -= 1
        if not self._unread and self._producer is not None:
            self._producer.resumeProducing()
        return result

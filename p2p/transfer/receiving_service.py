"""The service ``transfer``: another peer sends files, folders and links, and is told what became of each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.base.errors import CancelledThere, ExchangeFailed, Outcome
from p2p.exchange.message_streams import ReplyWriter
from p2p.exchange.request import Request
from p2p.exchange.service import TRANSFER, Context, IContentService, Incoming, Terms
from p2p.exchange.threaded import ThreadedSink, Worker
from p2p.link.boxes import Box
from p2p.transfer.giving_up import CANCEL, GiveUpSink
from p2p.transfer.interfaces import Receiver
from p2p.transfer.notes import completion_notes, local_id
from p2p.transfer.receiving import ReceivingEngine
from p2p.transfer.records import Have, Receipt
from p2p.transfer.reports import encode_have, encode_pending, encode_progress, encode_receipts
from p2p.transfer.session_requests import PROGRESS_S, offer_of
from p2p.transfer.walking import Totals

__all__ = ["TransferSink", "transfer"]

ALIVE_S: Final = 10.0
"""Seconds after which it is reported anew, so that a slow disk isn't taken for a link that is gone."""

_log = Logger()


class TransferSink(ThreadedSink):
    """Takes one session of a transfer: asks for consent, says what is here, receives and reports.

    Its stream is paused until all of that is known, while its reports aren't read, and while the disk is busy.
    """

    def __init__(self, request: Request, reply: ReplyWriter, context: Context) -> None:
        super().__init__(Worker(context.threads), context.clock)
        self._offer = offer_of(request)
        self._waits = "resume" in request.more
        self._reply = reply
        self._context = context
        self._began = self._told = context.now()
        self._local = local_id(self._offer.sender, self._offer.id)
        self._ended = completion_notes(context.host.state)
        self._engine: Receiver | None = None
        self._journal: Incoming | None = None
        self._counts = (0, 0)
        self._done: Totals | None = None
        self._forget = False
        self._alive = LoopingCall(self._progress)
        self._alive.clock = context.clock
        self.block("consent")
        self._admitted: Deferred[None] = Deferred()
        self._admitting = Deferred.fromCoroutine(self._admit())
        self._admitting.addErrback(self._not_admitted)

    # -- consent ----------------------------------------------------------------------------------------------

    async def _admit(self) -> None:
        host = self._context.host
        if self._waits:  # else it is new here
            await host.check_wanted(self._offer)
        terms = await host.admit(self._offer, self._pending)
        self._journal = host.incoming(self._offer, self._stop)
        reading = LoopingCall(self._reading)
        reading.clock = self._context.clock
        reading.start(ALIVE_S, now=False).addErrback(self._not_admitted)
        try:
            have = await self.worker(self._open, terms)
        finally:
            if reading.running:
                reading.stop()
        self._count_engine()
        self._reply.write(encode_have(have, done=self._done is not None))
        if (have != Have() or self._done is not None) and not self._waits:
            raise ExchangeFailed(Outcome.RESET, "a part of this transfer is here already; it goes on from there")
        self._reply.registerProducer(self, True)
        self._alive.start(ALIVE_S, now=False).addErrback(self._not_admitted)
        self._admitted.callback(None)
        self.unblock("consent")

    def _not_admitted(self, failure: Failure) -> None:
        if failure.value is not None and not failure.check(CancelledError):
            self._reply.fail(failure.value)

    def _pending(self, reason: str) -> None:
        self._reply.write(encode_pending(reason))

    def _reading(self) -> None:
        self._reply.write(encode_pending("it reads once more what it has of this transfer", reading=True))

    def _open(self, terms: Terms) -> Have:
        """Find out what is here; in a thread."""
        engine = self._engine = ReceivingEngine(
            terms.folder,
            self._local,
            exists=terms.exists,
            links=terms.links,
            bounds=terms.bounds,
            room=terms.room,
        )
        have = engine.have()
        if have == Have() and (done := self._ended.find(self._local)) is not None:
            engine.abandon()
            self._engine = None
            self._done = done
            self._counts = (done.entries, done.bytes or 0)
            return Have(entries=done.entries, bytes=done.bytes or 0)
        if (announced := self._offer.bytes) is not None:
            entries = (self._offer.entries or 0) - have.entries
            terms.needs(max(announced - have.bytes - have.offset, 0), max(entries, 0))
        return have

    def _count_engine(self) -> None:
        self.keeps(*((0, 0) if self._engine is None else self._engine.held))

    # -- content ----------------------------------------------------------------------------------------------

    def take(self, pieces: list[memoryview]) -> list[Receipt]:
        """Verify and write records."""
        if self._engine is None:
            raise ExchangeFailed(Outcome.CORRUPT, "records come for a transfer that is complete")
        return self._engine.feed(pieces)

    def taken(self, receipts: list[Receipt]) -> None:
        """Report what became of entries, and how much there is."""
        self._count_engine()
        self._report(receipts)
        now = self._context.now()
        if now - self._told >= PROGRESS_S:
            self._told = now
            self._progress()

    def failed(self, error: BaseException) -> None:
        """Tell the sender at once."""
        self._reply.fail(error)

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """Wait for consent and for the disk, and bring it to its end.

        :raises ExchangeFailed: if something is missing, or the disk doesn't take it.
        """
        await self._admitted
        await self.flush()
        if self._done is None:
            receipts, self._done = await self.worker(self._finish)
            self._count_engine()
            self._report(receipts)
            self._progress()
        self._end_reports()
        self._tell_journal(Outcome.OK, "")
        done = self._done
        return {
            "entries": str(done.entries),
            "bytes": str(done.bytes or 0),
            "refused": str(done.refused),
            "received_s": f"{self._context.now() - self._began:.6f}",
        }

    def _finish(self) -> tuple[list[Receipt], Totals]:
        """End it, and remember that before the engine forgets it; in a thread."""
        assert self._engine is not None
        receipts, totals = self._engine.finish(lambda totals: self._ended.note(self._local, totals))
        self._engine = None
        self._counts = (totals.entries, totals.bytes or 0)
        return receipts, totals

    def _report(self, receipts: list[Receipt]) -> None:
        if self._journal is not None:
            for receipt in receipts:
                if receipt.outcome is not Outcome.OK:
                    self._journal.left_out(receipt.path, receipt.outcome, receipt.reason)
        if receipts:
            self._reply.write(encode_receipts(receipts))

    def _progress(self) -> None:
        if self._engine is not None:
            self._counts = (self._engine.done_entries, self._engine.done_bytes)
        self._reply.write(encode_progress(*self._counts))
        if self._journal is not None:
            self._journal.progress(*self._counts)

    # -- its end ----------------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """Let go of everything, once no thread works on it; what was verified stays, unless it was given up here."""
        self.drop()
        self._admitting.cancel()
        failure = self._reply.failure or ExchangeFailed(Outcome.RESET, "the exchange was given up")
        if not self._admitted.called:
            self._admitted.errback(failure)
            self._admitted.addErrback(lambda failure: None)  # whoever waits has seen it
        self._end_reports()
        if self._engine is not None:
            self._engine.stop()
        letting_go = self.worker(self._close)
        letting_go.addErrback(lambda error: _log.failure("the inbox of {peer} failed", error, peer=self._context.peer))
        letting_go.addCallback(lambda _: self._tell_journal(failure.outcome, str(failure)))
        letting_go.addCallback(lambda _: self.keeps(0, 0))

    def _end_reports(self) -> None:
        self._reply.unregisterProducer()
        if self._alive.running:
            self._alive.stop()

    def _stop(self, reason: str) -> None:
        """Give it up for good."""
        self._forget = True
        self._reply.fail(CancelledThere(reason))

    def _close(self) -> None:
        """Let go of the engine; in a thread."""
        engine, self._engine = self._engine, None
        if engine is None:
            return
        self._counts = (engine.done_entries, engine.done_bytes)
        if self._forget:
            engine.abandon()
        else:
            engine.suspend()

    def _tell_journal(self, outcome: Outcome, reason: str) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.ended(outcome, reason, *self._counts)

    # -- the reply's stream, which is full or isn't -------------------------------------------------------------

    def pauseProducing(self) -> None:
        """The sender doesn't read what is reported: take no more from it."""
        self.block("reports")

    def resumeProducing(self) -> None:
        """It reads again."""
        self.unblock("reports")

    def stopProducing(self) -> None:
        """The stream is gone."""


@implementer(IContentService)
class _Transfer:
    name = TRANSFER

    def receive(self, request: Request, reply: ReplyWriter, context: Context) -> TransferSink | GiveUpSink:
        if CANCEL in request.more:
            return GiveUpSink(request, reply, context)
        return TransferSink(request, reply, context)


transfer = _Transfer()

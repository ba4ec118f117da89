"""The service ``fetch``: another peer gets what this one shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Final, Literal

from zope.interface import implementer

from p2p.base.errors import CancelledThere, ExchangeFailed, InvalidRequest, LocalFileError, Outcome, ProtocolViolation
from p2p.base.rates import Pace
from p2p.exchange.message_streams import ReplyWriter
from p2p.exchange.paths import from_bytes
from p2p.exchange.request import Request
from p2p.exchange.rules import Names, Offer
from p2p.exchange.service import Context, IContentService, Incoming
from p2p.link.flow import account_of
from p2p.transfer.asking import AskingSink
from p2p.transfer.notes import local_id, remove_oldest
from p2p.transfer.production import Production
from p2p.transfer.records import Have
from p2p.transfer.reports import number_of
from p2p.transfer.sender_state import SenderState
from p2p.transfer.sending import SendingEngine
from p2p.transfer.session_requests import FETCH, offer_of
from p2p.transfer.shares import shared_source

__all__ = ["FetchSink", "fetch"]

MAX_NAMES: Final = 10_000
"""Things that are asked for at once."""

MAX_STATES: Final = 1000
"""Transfers of which the leaves are kept for those who come back."""

MIN_LIMIT: Final = 1024
"""Bytes a second below which no limit is kept: a chunk would take hours."""

_BOX_BYTES: Final = 16384
_PROGRESS_S: Final = 0.5
_FIELDS: Final = frozenset({"have", "path"} | {field.name for field in fields(Have)})
_FILES: Final = 8  # descriptors that a session counts: the folders on the way, and what is read


class FetchSink(AskingSink):
    """Sends what is asked for, from where the other side is."""

    def __init__(self, request: Request, reply: ReplyWriter, context: Context) -> None:
        super().__init__(reply, context, most=MAX_NAMES + 1, limit=_BOX_BYTES, fields=_FIELDS)
        self._files = account_of(reply.stream).files_open()
        self._offer = offer_of(request)
        self._links, self._limit = _wishes(request)
        self._engine: SendingEngine | None = None
        self._state: SenderState | None = None
        self._journal: Incoming | None = None
        self._left_out = 0
        self._told = context.now()

    async def answer(self) -> Mapping[str, str | bytes]:
        """Send it."""
        have, names = self._asked()
        await self.context.host.check_wanted(self._offer)
        clock = self.context.clock
        self._files.set(_FILES)
        pace = None if self._limit is None else Pace(self._limit, clock.seconds())
        engine = await self.worker(self._open, names, have)
        self._journal = self.context.host.incoming(self._named(names), self._stop)
        self.reply.begin()
        await Production(engine.next, self.worker, clock, pace=pace, written=self._written).run(self.reply)
        if not engine.ended:
            raise ExchangeFailed(Outcome.RESET, "the transfer was stopped")
        await self.worker(self._finish)
        self._tell_left_out(engine)
        tail = {"entries": engine.done_entries, "bytes": engine.done_bytes, "refused": engine.given_up_count}
        self._files.set(0)
        self._tell_journal(Outcome.OK, "")
        return {key: str(value) for key, value in tail.items()}

    def let_go(self) -> None:
        """Close the engine; what was kept of large files stays for those who come back."""
        if self._engine is not None:
            self._engine.close()

    def abandon(self) -> None:
        """Send no more."""
        if self._engine is not None:
            self._engine.stop()
        super().abandon()

    def over(self, failure: ExchangeFailed) -> None:
        """Tell the journal."""
        self._files.set(0)
        self._tell_journal(failure.outcome, str(failure))

    def _asked(self) -> tuple[Have, list[str]]:
        try:
            have = Have.from_box(self.boxes[0]) if self.boxes and "have" in self.boxes[0] else None
        except ProtocolViolation as error:
            raise ExchangeFailed(Outcome.CORRUPT, str(error)) from error
        names = [from_bytes(box["path"]) for box in self.boxes[1:] if "path" in box]
        if have is None or not names or len(names) < len(self.boxes) - 1:
            raise ExchangeFailed(Outcome.CORRUPT, "the request doesn't say what is here and what is asked for")
        return have, names

    def _named(self, names: list[str]) -> Offer:
        offer = self._offer
        return Offer(offer.sender, offer.service, offer.type, names[0], id=offer.id, names=Names.of(names))

    def _open(self, names: list[str], have: Have) -> SendingEngine:
        host = self.context.host
        served = host.state / "served"
        remove_oldest(served, MAX_STATES)
        sources = [shared_source(host.shares, name) for name in names]
        self._state = SenderState(served / local_id(self._offer.sender, self._offer.id))
        try:
            self._engine = SendingEngine(sources, links=self._links, state=self._state)
        except (InvalidRequest, LocalFileError) as error:
            raise ExchangeFailed(Outcome.REFUSED, str(error)) from error
        self._engine.resume(have)
        return self._engine

    def _finish(self) -> None:
        assert self._engine is not None and self._state is not None
        self._engine.close()
        self._state.remove()

    def _written(self) -> None:
        now = self.context.now()
        if self._journal is not None and self._engine is not None and now - self._told >= _PROGRESS_S:
            self._told = now
            self._tell_left_out(self._engine)
            self._journal.progress(self._engine.done_entries, self._engine.done_bytes)

    def _tell_left_out(self, engine: SendingEngine) -> None:
        """Tell the journal of the entries that couldn't be read since the last time."""
        new, self._left_out = engine.given_up_count - self._left_out, engine.given_up_count
        if self._journal is not None and new:
            for path, reason in engine.given_up[-new:]:
                self._journal.left_out(path, Outcome.REFUSED, reason)

    def _stop(self, reason: str) -> None:
        self.reply.fail(CancelledThere(reason))

    def _tell_journal(self, outcome: Outcome, reason: str) -> None:
        journal, self._journal = self._journal, None
        if journal is not None and self._engine is not None:
            journal.ended(outcome, reason, self._engine.done_entries, self._engine.done_bytes)


def _wishes(request: Request) -> tuple[Literal["keep", "refuse"], int | None]:
    """Whether links are wanted, and how many bytes a second at most.

    :raises ExchangeFailed: with ``refused``, if that can't be.
    """
    more = {key: value for key, value in request.more.items() if isinstance(value, bytes)}
    try:
        limit = number_of(more, "limit")
    except ProtocolViolation as error:
        raise ExchangeFailed(Outcome.REFUSED, str(error)) from error
    if limit is not None and limit < MIN_LIMIT:
        raise ExchangeFailed(Outcome.REFUSED, f"a limit of less than {MIN_LIMIT} bytes a second isn't kept")
    return "refuse" if more.get("links") == b"refuse" else "keep", limit


@implementer(IContentService)
class _Fetch:
    name = FETCH

    def receive(self, request: Request, reply: ReplyWriter, context: Context) -> FetchSink:
        return FetchSink(request, reply, context)


fetch = _Fetch()

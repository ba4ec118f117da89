"""What is sent to one peer, session after session; and to several of them, read and hashed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2p.base.errors import ExchangeFailed, LocalFileError, Outcome
from p2p.base.rates import Pace
from p2p.base.waiters import Waiters
from p2p.exchange.exchange import Request
from p2p.exchange.rules import Names
from p2p.exchange.service import Threads
from p2p.link.protocol import DirectLink
from p2p.peer.transfers.interfaces import BeginAnew, Told
from p2p.peer.transfers.journal import TransferRow
from p2p.peer.transfers.peer_way import Engaged, PeerWay, Pipe
from p2p.peer.transfers.sources import sources_of
from p2p.peer.transfers.stalls import Own
from p2p.transfer.giving_up import GiveUpSession
from p2p.transfer.interfaces import Sender
from p2p.transfer.send_session import NotFresh, SendSession, send_request
from p2p.transfer.sender_state import SenderState
from p2p.transfer.sending import SendingEngine
from p2p.transfer.sharing import LeftBehind
from p2p.transfer.walking import SourceRoot, Totals, measure

__all__ = ["Content", "Sending", "give_up"]

MEASURE_S: Final = 0.1
"""Seconds that a session waits to know how much it is to send; the receiver would like to know."""

GIVE_UP_S: Final = 5.0
"""Seconds within which the other side is told that a transfer was cancelled; who cancels it waits for that."""


class Content:
    """What is sent, to however many peers.

    :param what: as the journal has it: ``paths``, ``name``, ``links``; of a stream ``stream`` and ``names``.
    :param kept: the folder for what the sending side remembers of large files.
    :param pipe: where a stream comes from.
    :ivar totals: how much it is, once that is known.
    :ivar offered: its names as an offer has them, once somebody was asked.
    """

    _log = Logger()

    def __init__(
        self, what: Mapping[str, Any], kept: Path, pipe: Pipe | None, threads: Threads, clock: IReactorTime
    ) -> None:
        self.pipe = pipe
        self.totals: Totals | None = None
        self.offered: Names | None = None
        self._what = what
        self._kept = kept
        self._threads = threads
        self._clock = clock
        self._measuring = False
        self._waiting: Waiters[None] = Waiters()

    def engine(self) -> SendingEngine:
        """Make an engine; blocks."""
        state = None if self.pipe is not None else SenderState(self._kept)
        return SendingEngine(self._sources(), links=self._what["links"], state=state)

    async def measured(self) -> None:
        """Find out how much it is; returns when that is known, or after a moment without."""
        if self.totals is not None:
            return
        known = self._waiting.wait()
        known.addTimeout(MEASURE_S, self._clock, onTimeoutCancel=lambda result, seconds: None)
        if not self._measuring:
            self._measuring = True
            self._threads(self._measure).addCallbacks(self._was_measured, self._not_measured)
        await known

    def _sources(self) -> list[SourceRoot]:
        if self.pipe is not None:
            (name,) = self._what["names"]
            return [SourceRoot(name=name, stream=self.pipe.file)]
        return sources_of(self._what["paths"], self._what["name"])

    def _measure(self) -> Totals:
        return measure(self._sources())

    def _was_measured(self, totals: Totals) -> None:
        self.totals = totals
        self._waiting.fire(None)

    def _not_measured(self, failure: Failure) -> None:
        if failure.check(LocalFileError):  # the engine gives up what isn't there by name, and all else goes
            self._log.info("can't tell how much there is to send: {reason}", reason=str(failure.value))
        else:
            self._log.failure("can't measure what there is to send", failure)
        self._waiting.fire(None)


class Sending:
    """The sending of a content to one peer.

    :param first: a sender for the first session, shared with those to other peers; it is closed here.
    :param limit: bytes a second; None for no limit.
    """

    def __init__(
        self,
        way: PeerWay,
        row: TransferRow,
        content: Content,
        *,
        names: Sequence[str],
        content_type: str,
        limit: int | None,
        first: Sender | None,
        threads: Threads,
        clock: IReactorTime,
    ) -> None:
        self.names = names
        self.stream = content.pipe is not None
        self._way = way
        self._row = row
        self._content = content
        self._type = content_type
        self._limit = limit
        self._first = first
        self._sharing = False
        self._spent = False
        self._clock = clock
        self._engaged = Engaged(threads, clock)
        self._session: SendSession | None = None
        self._engine: Sender | None = None
        if content.pipe is not None:
            content.pipe.hold()

    @property
    def own(self) -> Own:
        """What is to blame if this machine holds the session up."""
        if self._sharing:
            return Own.SHARED
        return Own.INPUT if self.stream else Own.READ

    @property
    def totals(self) -> Totals | None:
        """How much it is, if that is known yet."""
        return self._content.totals

    @property
    def current(self) -> str | None:
        """The path of the entry under way."""
        return None if self._engine is None else self._engine.current

    @property
    def restarted(self) -> Sequence[str]:
        """Paths that begin anew in this session although the receiver had a part of them."""
        return self._engine.restarted if isinstance(self._engine, SendingEngine) else ()

    @property
    def done_bytes(self) -> int:
        """Bytes of content that were given out, those of earlier sessions among them."""
        return 0 if self._engine is None else self._engine.done_bytes

    @property
    def moved(self) -> int:
        """Bytes that the link took."""
        return self._way.sent

    @property
    def excused(self) -> bool:
        """Whether the limit holds it up."""
        return self._session is not None and self._session.excused

    @property
    def own_since(self) -> float | None:
        """Since when the source has been read."""
        return self._engaged.since

    @property
    def superseded(self) -> bool:
        """Whether a direct link has taken the place of the relayed one that the session under way goes over."""
        return not self.stream and self._way.superseded

    @property
    def link(self) -> DirectLink | None:
        """The link to the peer, if one stands."""
        return self._way.link

    @property
    def spent(self) -> bool:
        """Whether something that can't be had again has been read."""
        return self._spent

    async def session(self, told: Told, *, known: bool) -> Totals:
        """Send what the receiver doesn't have."""
        await self._content.measured()
        engine = self._engine = await self._next_engine(known)
        pace = None if self._limit is None else Pace(self._limit, self._clock.seconds())
        session = self._session = SendSession(engine, self._engaged, self._clock, told, pace=pace, resume=known)
        told.on_begun()
        try:
            await self._way.exchange(self._request(known), session, session.sink)
        except LeftBehind as error:
            if self.stream:
                raise ExchangeFailed(Outcome.TIMEOUT, f"{error}; what came from a pipe can't be sent again") from error
            raise BeginAnew(str(error)) from error
        except NotFresh as error:
            raise BeginAnew(str(error)) from error
        finally:
            # What the others of a share have read isn't there for a reading of one's own either.
            self._spent = self.stream and (self._spent or self._sharing or engine.current is not None)
            await session.release()
            self._session = None
        assert session.totals is not None  # it ended well
        return session.totals

    async def close(self) -> None:
        """Let go of the source."""
        first, self._first = self._first, None
        if first is not None:
            await self._engaged(first.close)
        if self._content.pipe is not None:
            self._content.pipe.release()

    async def remove_parts(self, *, tell: bool) -> None:
        """Have the receiver remove what it has of it; it does so by itself when nobody goes on for some days."""
        if tell and self._row.sessions:  # else it hasn't agreed to anything
            await give_up(self._way, self._row, self._clock)

    async def _next_engine(self, known: bool) -> Sender:
        first, self._first = self._first, None
        self._sharing = first is not None and not known
        if first is not None and not known:
            return first
        if first is not None:
            await self._engaged(first.close)
        engine: SendingEngine = await self._engaged(self._content.engine)
        return engine

    def _request(self, known: bool) -> Request:
        totals = self._content.totals
        if self._content.offered is None:  # the same for all peers
            self._content.offered = Names.of(self.names)
        return send_request(
            self._row.id,
            self.names[0],
            type=self._type,
            names=self._content.offered,
            by_type=None if totals is None else totals.by_type,
            entries=None if totals is None else totals.entries,
            bytes=None if totals is None else totals.bytes,
            resume=known,
        )


async def give_up(way: PeerWay, row: TransferRow, clock: IReactorTime) -> None:
    """Tell the other side of a transfer that it was cancelled, so that it removes what it has of it.

    :raises ExchangeFailed: with the outcome, if it can't be told.
    """
    session = GiveUpSession(row.id)
    telling = Deferred.fromCoroutine(way.exchange(session.request, session, session.sink))

    def too_late(result: object, seconds: float) -> NoReturn:
        raise ExchangeFailed(Outcome.TIMEOUT, f"no answer within {seconds:g} s")

    telling.addTimeout(GIVE_UP_S, clock, onTimeoutCancel=too_late)
    try:
        await telling
    except ExchangeFailed as failure:
        until = "keeps its part for some days" if row.direction == "send" else "learns of it if it goes on"
        reason = f"{row.peer} can't be told that it was cancelled, and {until}: {failure}"
        raise ExchangeFailed(failure.outcome, reason) from failure

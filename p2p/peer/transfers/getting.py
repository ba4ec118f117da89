"""What is got from a peer, session after session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from twisted.internet.interfaces import IReactorTime

from p2p.base.errors import ExchangeFailed
from p2p.base.values import Exists
from p2p.exchange.service import Threads
from p2p.link.protocol import DirectLink
from p2p.peer.transfers.interfaces import Told
from p2p.peer.transfers.journal import TransferRow
from p2p.peer.transfers.peer_way import Engaged, PeerWay, Pipe
from p2p.peer.transfers.sending import give_up
from p2p.peer.transfers.stalls import TELL_S, Own
from p2p.transfer.answers import Asked
from p2p.transfer.get_session import local_error
from p2p.transfer.interfaces import Receiver
from p2p.transfer.receiving import ReceivingEngine
from p2p.transfer.send_session import GetSession, fetch_request
from p2p.transfer.streaming import PipeReceiver
from p2p.transfer.tree import CHUNK
from p2p.transfer.walking import Totals

__all__ = ["Getting", "remove_parts"]


class Getting:
    """The getting of what a peer shares, into a folder or a pipe.

    :param folder: where it goes; None if it goes to the pipe.
    :param limit: bytes a second; None for no limit.
    :param seal: enters in the journal, from a thread, that everything is in its place.
    """

    def __init__(
        self,
        way: PeerWay,
        row: TransferRow,
        folder: Path | None,
        *,
        exists: Exists,
        links: Literal["keep", "refuse"],
        limit: int | None,
        pipe: Pipe | None,
        seal: Callable[[TransferRow], object],
        threads: Threads,
        clock: IReactorTime,
    ) -> None:
        self.names: Sequence[str] = row.what["names"]
        self.stream = pipe is not None
        self._way = way
        self._row = row
        self._folder = folder
        self._exists = exists
        self._links = links
        self._limit = limit
        self._pipe = pipe
        self._seal = seal
        self._clock = clock
        self._threads = threads
        self._engaged = Engaged(threads, clock)
        self._receiver: Receiver | None = None
        self._spent = False
        if pipe is not None:
            pipe.hold()

    @property
    def own(self) -> Own:
        """What is to blame if this machine holds the session up."""
        return Own.OUTPUT if self.stream else Own.WRITE

    @property
    def totals(self) -> Totals | None:
        """Nobody says beforehand how much it is."""
        return None

    @property
    def current(self) -> str | None:
        """The path of the entry under way."""
        return None if self._receiver is None else self._receiver.current

    @property
    def restarted(self) -> Sequence[str]:
        """Paths that the other side begins anew in this session although a part of them was here."""
        return self._receiver.restarted if isinstance(self._receiver, ReceivingEngine) else ()

    @property
    def done_bytes(self) -> int:
        """Bytes that were verified, those of earlier sessions among them."""
        return 0 if self._receiver is None else self._receiver.done_bytes

    @property
    def moved(self) -> int:
        """Bytes that came over the link."""
        return self._way.received

    @property
    def excused(self) -> bool:
        """Whether the other side keeps a limit that lets less than a chunk through while a standstill is looked for."""
        return self._limit is not None and self._limit * TELL_S < CHUNK

    @property
    def own_since(self) -> float | None:
        """Since when something has been written here."""
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
        """Whether something went into a pipe, from where it can't be taken back."""
        return self._spent

    async def session(self, told: Told, *, known: bool) -> Totals:
        """Get what isn't here yet."""
        if self._row.sealed:  # the daemon was killed at the very end
            await self._remove()
            return Totals(self._row.entries, self._row.bytes)
        asked = Asked(self.names, self._row.how.get("folders", ()))
        receiver: Receiver = await self._engaged(self._make, asked)
        self._receiver = receiver
        session = GetSession(receiver, asked, self._engaged, self._clock, told, sealed=self._sealed)
        told.on_begun()
        try:
            request = fetch_request(self._row.id, limit=self._limit, links=self._links)
            await self._way.exchange(request, session, session.sink)
        finally:
            self._spent = self._spent or (isinstance(receiver, PipeReceiver) and receiver.written > 0)
            await session.release()
        assert session.totals is not None  # it ended well
        return session.totals

    async def close(self) -> None:
        """Let go of the pipe."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.release()

    async def remove_parts(self, *, tell: bool) -> None:
        """Remove the file that was under way, and let who shares it know that nobody comes back for it."""
        await self._remove()
        if tell and self._row.sessions:
            await give_up(self._way, self._row, self._clock)

    async def _remove(self) -> None:
        if self._folder is not None:
            await self._engaged(remove_parts, self._folder, self._row.id)

    def _sealed(self) -> None:
        """Everything is in its place, and the receiver is about to forget it; in a thread."""
        assert self._receiver is not None
        self._row.entries, self._row.bytes = self._receiver.done_entries, self._receiver.done_bytes
        if not self.stream:
            self._seal(self._row)

    def _make(self, asked: Asked) -> Receiver:
        if self._pipe is not None:
            return PipeReceiver(asked, self._pipe.file)
        assert self._folder is not None
        return _here(self._folder, self._row.id, exists=self._exists, links=self._links, asked=asked)


def remove_parts(folder: Path, transfer_id: str) -> None:
    """Remove what isn't finished of a transfer to a folder; blocks.

    :raises LocalFileError: if it is under way, or the disk doesn't let it.
    """
    _here(folder, transfer_id).abandon()


def _here(folder: Path, transfer_id: str, **how: Any) -> ReceivingEngine:
    """Make an engine; what it refuses, this machine refuses and not the other one."""
    try:
        return ReceivingEngine(folder, transfer_id, **how)
    except ExchangeFailed as failure:
        raise local_error(failure) from failure

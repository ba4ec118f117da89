"""Transfers as daemons tell of them, for the tests of what asks for them and what shows them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from p2p.console.server import Emit, FileHandler, Handler, checked
from p2p.console.transfer_operations import (
    CancelArguments,
    Cancelled,
    DecideArguments,
    Done,
    Failed,
    Listed,
    ListedEntry,
    LsArguments,
    Moved,
    MovedOne,
    Offered,
    Offers,
    OffersArguments,
    Pending,
    PendingOffer,
    Progress,
    Resumed,
    Stalled,
    TransferEvent,
    TransfersArguments,
    TransferShown,
    TransfersShown,
    Verified,
    Waiting,
)

ID = "5f0e9c3a17b2d846"
ROOT = "1a2b3c4d" * 8

HEAD: Mapping[str, Any] = {"transfer": ID, "peer": "m4.m", "direction": "send"}


def offered(**fields: Any) -> Offered:
    return Offered(**{**HEAD, "names": ["film.mkv"], "entries": 1, "bytes": 4000, **fields})


def progress(done: int, **fields: Any) -> Progress:
    known = {"entries": 0, "entries_total": 1, "bytes": done, "bytes_total": 4000, "path": "film.mkv", "rate": 1000.0}
    return Progress(**{**HEAD, **known, **fields})


def verified(path: str = "film.mkv", **fields: Any) -> Verified:
    return Verified(**{**HEAD, "path": path, "name": path, "size": 4000, "root": ROOT, **fields})


def left_out(path: str, outcome: str, reason: str, **fields: Any) -> Verified:
    return Verified(**{**HEAD, "path": path, "name": "", "outcome": outcome, "reason": reason, **fields})


def pending(reason: str = "a person decides", **fields: Any) -> Pending:
    return Pending(**{**HEAD, "reason": reason, **fields})


def resumed(**fields: Any) -> Resumed:
    return Resumed(**{**HEAD, "entries": 3, "bytes": 2_000_000, **fields})


def stalled(**fields: Any) -> Stalled:
    text = "m4.m has taken nothing for 5 s; the link answers pings in 2 ms: its disk is slow"
    return Stalled(**{**HEAD, "seconds": 5.0, "rtt_ns": 2_000_000, "text": text, **fields})


def waiting(**fields: Any) -> Waiting:
    return Waiting(
        **{**HEAD, "outcome": "reset", "reason": "the link ended", "retry_s": 2.0, "left_s": 3480.0, **fields}
    )


def done(**fields: Any) -> Done:
    return Done(**{**HEAD, "entries": 1, "bytes": 4000, "sent_bytes": 4000, "seconds": 0.5, **fields})


def failed(outcome: str | None = "reset", reason: str = "the link ended", **fields: Any) -> Failed:
    return Failed(**{**HEAD, "outcome": outcome, "reason": reason, **fields})


def moved_one(outcome: str | None = "ok", **fields: Any) -> MovedOne:
    known = {"transfer": ID, "peer": "m4.m", "outcome": outcome, "entries": 1, "bytes": 4000, "seconds": 0.5}
    return MovedOne(**{**known, **fields})


def moved(*transfers: MovedOne) -> Moved:
    return Moved(transfers=list(transfers or [moved_one()]))


class Move(FileHandler):
    """``send`` or ``get``: emits these events, and ends with this answer or error.

    :param written: what is written to the descriptor that comes along.
    :param until: is given a Deferred that must fire before the end.
    :ivar asked: the requests that came.
    :ivar read: what was in the descriptor that came along.
    """

    def __init__(
        self,
        *events: TransferEvent | Mapping[str, Any],
        answer: Moved | Exception | None = None,
        written: bytes | None = None,
        until: list[Deferred[None]] | None = None,
    ) -> None:
        super().__init__(self._run)
        self.asked: list[Mapping[str, Any]] = []
        self.read: list[bytes] = []
        self._events = events
        self._answer = answer or moved()
        self._written = written
        self._until = until

    async def _run(self, request: Mapping[str, Any], emit: Emit, file: int | None) -> Mapping[str, Any]:
        self.asked.append(request)
        if file is not None and self._written is None:
            self.read.append(os.read(file, 65536))
        elif file is not None:
            os.write(file, self._written or b"")
        for event in self._events:
            fields = event if isinstance(event, Mapping) else event.model_dump(mode="json")
            await emit("transfer", transfer=fields)
        if self._until is not None:
            self._until.append(Deferred())
            await self._until[-1]
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer.model_dump(mode="json")


def whole() -> Move:
    """A file that gets through."""
    return Move(offered(), progress(1000), progress(4000, entries=1), verified(), done())


ENTRIES = (
    ListedEntry(name="films", kind="folder", mtime=1_700_000_000.0),
    ListedEntry(name="notes.txt", kind="file", size=1500, mtime=1_700_000_000.0),
    ListedEntry(name="newest", kind="link", mtime=1_700_000_000.0),
)

OFFER = PendingOffer(
    offer=ID,
    acting="n1.n",
    peer="m4.m",
    service="transfer",
    type="video",
    name="film.mkv",
    entries=1,
    bytes=1_500_000,
    age_s=12.25,
)


def shown(**fields: Any) -> TransferShown:
    known: dict[str, Any] = {
        "transfer": ID,
        "acting": "n1.n",
        "peer": "m4.m",
        "direction": "send",
        "names": ["film.mkv"],
        "state": "waiting",
        "entries": 0,
        "bytes": 1000,
        "bytes_total": 4000,
        "created": 1_700_000_000.0,
        "updated": 1_700_000_060.0,
        "deadline": 1_700_003_600.0,
        "outcome": "reset",
        "reason": "the link ended",
    }
    return TransferShown(**{**known, **fields})


def transfer_operations(
    *,
    entries: Sequence[ListedEntry] = ENTRIES,
    offers: Sequence[PendingOffer] = (OFFER,),
    known: Sequence[TransferShown] | None = None,
) -> dict[str, Handler]:
    """The operations of a peer daemon that move things, answered without moving anything."""
    rows = [shown()] if known is None else list(known)

    async def ls(arguments: LsArguments, emit: object) -> Listed:
        return Listed(peer=arguments.peer, path=arguments.path, entries=list(entries))

    async def transfers(arguments: TransfersArguments, emit: Any) -> TransfersShown:
        answer = TransfersShown(transfers=rows[: arguments.count])
        if arguments.follow:
            await emit("transfers", **answer.model_dump(mode="json"))
            for event in (offered(), verified(), done()):
                await emit("transfer", transfer=event.model_dump(mode="json"))
        return answer

    async def cancel(arguments: CancelArguments, emit: object) -> Cancelled:
        return Cancelled(transfers=[shown(transfer=arguments.transfer, state="cancelled", reason="it was cancelled")])

    async def pending_offers(arguments: OffersArguments, emit: object) -> Offers:
        return Offers(offers=list(offers))

    async def decide(arguments: DecideArguments, emit: object) -> Mapping[str, Any]:
        return {"offer": arguments.offer, "accepted": arguments.accept}

    return {
        "send": whole(),
        "get": whole(),
        "ls": checked(LsArguments, ls),
        "transfers": checked(TransfersArguments, transfers),
        "cancel-transfer": checked(CancelArguments, cancel),
        "offers": checked(OffersArguments, pending_offers),
        "decide": checked(DecideArguments, decide),
    }

"""Asks another peer what it shares."""

from __future__ import annotations

from typing import Final

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.console.lines import ANSWER_BYTES, encode
from p2p.console.transfer_operations import ListedEntry
from p2p.peer.node import HostedPeer
from p2p.transfer.listing import ListSession

__all__ = ["list_shared"]

CERTAINLY_SHORT: Final = 10_000
"""So many entries fit in an answer of the console, however long and odd their names are."""

MARGIN: Final = 65536
"""Bytes that an answer may have besides its entries."""


async def list_shared(peer: HostedPeer, target: str, path: str, planned_ns: int) -> list[ListedEntry]:
    """What is shared at a path, in the order of names; without a path, the names of all that is shared.

    :raises ExchangeFailed: with the outcome; ``refused`` also where the list is too long to be shown.
    """
    session = ListSession(path)
    await peer.exchange(target, session.request, session, session.sink, planned_ns=planned_ns)
    entries = [
        ListedEntry(name=one.name, kind=one.kind.value, size=one.size, mtime=one.mtime / 1e9) for one in session.entries
    ]
    if len(entries) > CERTAINLY_SHORT:
        size = len(encode({"entries": [one.model_dump(mode="json") for one in entries]}))
        if size > ANSWER_BYTES - MARGIN:
            reason = f"{len(entries)} entries with long names are too much to list at once; get the folder as a whole"
            raise ExchangeFailed(Outcome.REFUSED, reason)
    return entries

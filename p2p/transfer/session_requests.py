"""What the sessions of both directions have in common: how they are asked for, what they tell, and how they end.

Both ends of a request for a transfer are here: what it says is written by :func:`send_request` and
:func:`fetch_request`, and read by :func:`offer_of`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Protocol

from twisted.internet.defer import Deferred

from p2p.base.errors import ExchangeFailed, Outcome, P2PError, ProtocolViolation
from p2p.base.texts import printable
from p2p.base.values import DATA, TYPES
from p2p.exchange.paths import InvalidPath, checked_path, from_bytes, shown, to_bytes
from p2p.exchange.request import Request
from p2p.exchange.rules import NAMES_BYTES, Names, Offer
from p2p.exchange.service import TRANSFER
from p2p.link.boxes import Box
from p2p.transfer.records import Have, Receipt
from p2p.transfer.reports import number_of
from p2p.transfer.walking import Totals

__all__ = ["FETCH", "PROGRESS_S", "NotFresh", "SessionTold", "fetch_request", "offer_of", "send_request", "totals_of"]

FETCH: Final = "fetch"
"""The service that sends what it shares."""

PROGRESS_S: Final = 0.2
"""Seconds between two reports of progress, at least."""


class NotFresh(P2PError):
    """The receiver has something of this transfer already: begin a session that waits for what it has.

    :ivar have: how much that is.
    """

    def __init__(self, have: Have) -> None:
        super().__init__("the receiver has a part of this transfer already; go on from there")
        self.have = have


class SessionTold(Protocol):
    """Whoever is told what happens in a session."""

    def on_pending(self, reason: str, *, reading: bool = False) -> None:
        """A person at the other side is asked, or it reads again what it has; comes again and again."""

    def on_have(self, have: Have) -> None:
        """Both sides agree, and the receiver has so much."""

    def on_progress(self, entries: int, size: int) -> None:
        """So many entries and bytes are verified at the receiver, those of earlier sessions among them."""

    def on_receipts(self, receipts: Sequence[Receipt]) -> Deferred[Any] | None:
        """So many entries are finished; when what is returned fires, more of them may be told."""


def send_request(
    transfer_id: str,
    name: str,
    *,
    type: str = "data",  # noqa: A002 - the words of the wire
    entries: int | None = None,
    bytes: int | None = None,  # noqa: A002 - as above
    names: Names | None = None,
    by_type: Mapping[str, int] | None = None,
    resume: bool = False,
) -> Request:
    """The request of a session that sends.

    :param name: what to show of it: the name of the first entry.
    :param names: those at the top, in the order in which they come; a receiver of version 0.1.0 passes them over.
    :param by_type: bytes of the files by content type, which together are ``bytes``; likewise.
    :param resume: whether the sender waits until it knows what the receiver has; as the session was made.
    """
    more: dict[str, Any] = {"id": transfer_id}
    if entries is not None:
        more["entries"] = str(entries)
    if bytes is not None:
        more["bytes"] = str(bytes)
    if names is not None:
        more["names"] = b"/".join(map(to_bytes, names.listed))
        if names.digest:
            more |= {"names_count": str(names.count), "names_digest": names.digest}
    if by_type is not None:
        more |= {f"bytes_{kind}": str(size) for kind, size in (by_type or {DATA: 0}).items()}
    if resume:
        more["resume"] = "1"
    shown = name.encode("utf-8", "backslashreplace").decode()
    return Request(TRANSFER, type, shown, more=more)


def fetch_request(transfer_id: str, *, limit: int | None = None, links: Literal["keep", "refuse"] = "keep") -> Request:
    """The request of a session that gets.

    :param limit: bytes a second that the other side shall send at most.
    """
    more = {"id": transfer_id, "links": links}
    return Request(FETCH, more=more if limit is None else {**more, "limit": str(limit)})


def totals_of(tail: Box) -> Totals:
    """How much it was, as the tail of a reply says.

    :raises ExchangeFailed: with ``corrupt``, if it doesn't.
    """
    try:
        entries, size, refused = (number_of(tail, key) for key in ("entries", "bytes", "refused"))
    except ProtocolViolation as error:
        raise ExchangeFailed(Outcome.CORRUPT, str(error)) from error
    if entries is None or size is None:
        raise ExchangeFailed(Outcome.CORRUPT, "the other side doesn't say how much it was")
    return Totals(entries, size, refused or 0)


_ID: Final = re.compile(r"[0-9a-f]{16}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_ESCAPED: Final = re.compile(r"\\udc([89a-f][0-9a-f])")  # what isn't UTF-8 in ``name``


def offer_of(request: Request) -> Offer:
    """What a request for a transfer offers.

    :raises ExchangeFailed: with ``refused``, if it has no proper id, or what it says makes no sense.
    """
    more = {key: value for key, value in request.more.items() if isinstance(value, bytes)}
    transfer_id = printable(more.get("id", b""))
    if not _ID.fullmatch(transfer_id):
        raise ExchangeFailed(Outcome.REFUSED, "the id of a transfer is 16 digits in hex")
    try:
        entries, size = number_of(more, "entries"), number_of(more, "bytes")
        found: dict[str, int | None] = {kind: number_of(more, f"bytes_{kind}") for kind in TYPES}
        names = _names(more, request.name)
    except (ProtocolViolation, InvalidPath) as error:
        raise ExchangeFailed(Outcome.REFUSED, str(error)) from error
    by_type = {kind: number for kind, number in found.items() if number is not None} or None
    if by_type is not None and sum(by_type.values()) != size:
        raise ExchangeFailed(Outcome.REFUSED, "the bytes of the content types of a transfer aren't those of the whole")
    kind, name = printable(request.type), printable(request.name)
    return Offer(request.sender, request.service, kind, name, size, entries, transfer_id, names, by_type)


def _names(more: Box, name: str) -> Names | None:
    """The names at the top of a transfer; of a sender of version 0.1.0 the one that it says."""
    raw = more.get("names")
    if raw is None:
        return Names((_ESCAPED.sub(lambda found: chr(0xDC00 + int(found[1], 16)), name),), 1) if name else None
    if len(raw) > NAMES_BYTES:
        raise ProtocolViolation(f"a transfer lists its names in at most {NAMES_BYTES} bytes")
    listed = tuple(from_bytes(one) for one in raw.split(b"/"))
    for one in listed:
        checked_path(one)
    count, digest = number_of(more, "names_count"), printable(more.get("names_digest", b""))
    if count is None:
        return Names(listed, len(listed))
    if count <= len(listed) or not _DIGEST.fullmatch(digest):
        raise ProtocolViolation(f"the names of a transfer that begins with {shown(listed[0])} make no sense")
    return Names(listed, count, digest)

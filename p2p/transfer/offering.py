"""What the head of a request says of a transfer. Pure."""

from __future__ import annotations

import re
from typing import Final

from p2p.base.errors import ExchangeFailed, Outcome, ProtocolViolation
from p2p.base.texts import printable
from p2p.base.values import TYPES
from p2p.exchange.paths import InvalidPath, checked_path, from_bytes, shown
from p2p.exchange.request import Request
from p2p.exchange.rules import NAMES_BYTES, Names, Offer
from p2p.link.boxes import Box
from p2p.transfer.reports import number_of

__all__ = ["offer_of"]

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

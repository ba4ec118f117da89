"""What the head of a request says of a transfer. Pure."""

from __future__ import annotations

import re
from typing import Final

from p2p.base.errors import ExchangeFailed, Outcome, ProtocolViolation
from p2p.base.texts import printable
from p2p.exchange.request import Request
from p2p.exchange.rules import Offer
from p2p.transfer.reports import number_of

__all__ = ["offer_of"]

_ID: Final = re.compile(r"[0-9a-f]{16}")


def offer_of(request: Request) -> Offer:
    """What a request for a transfer offers.

    :raises ExchangeFailed: with ``refused``, if it has no proper id, or what should be numbers isn't.
    """
    more = {key: value for key, value in request.more.items() if isinstance(value, bytes)}
    transfer_id = printable(more.get("id", b""))
    if not _ID.fullmatch(transfer_id):
        raise ExchangeFailed(Outcome.REFUSED, "the id of a transfer is 16 digits in hex")
    try:
        entries, size = number_of(more, "entries"), number_of(more, "bytes")
    except ProtocolViolation as error:
        raise ExchangeFailed(Outcome.REFUSED, str(error)) from error
    name = printable(request.name)
    return Offer(request.sender, request.service, printable(request.type), name, size, entries, transfer_id)

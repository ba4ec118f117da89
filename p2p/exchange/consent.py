"""On what terms a peer takes what somebody offers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from p2p.base.values import Exists, Links
from p2p.exchange.rules import Bounds, Offer

__all__ = ["Offer", "Room", "Terms"]


class Room(Protocol):
    """Is asked in threads before anything more is written."""

    def __call__(self, size: int) -> None:
        """See that so many more bytes may come.

        :raises ExchangeFailed: with ``refused`` and the reason, if they may not.
        """


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms something is taken.

    :ivar folder: where it goes.
    :ivar exists: what to do when a name is taken.
    :ivar links: whether links are kept as links or refused.
    :ivar room: how much may come.
    :ivar bounds: which entries of a transfer may come; None for any.
    """

    folder: Path
    exists: Exists
    links: Links
    room: Room
    bounds: Bounds | None = None

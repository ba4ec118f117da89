"""On what terms a peer takes what somebody offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from p2p.base.values import Exists, Links
from p2p.exchange.rules import Bounds, Offer

__all__ = ["Offer", "Room", "Terms"]


class Room(Protocol):
    """Is asked in threads before anything more is written."""

    def __call__(self, size: int, entries: int = 0) -> None:
        """See that so many more bytes of one file or link may come, and that so many entries may come to be.

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
    :ivar needs: is asked in a thread before anything of it is written whether all that is still to come may: so many
        bytes in so many entries; raises what :attr:`room` does.
    """

    folder: Path
    exists: Exists
    links: Links
    room: Room
    bounds: Bounds | None = None
    needs: Callable[[int, int], None] = lambda size, entries: None

"""On what terms a peer takes what somebody offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from p2p.content.rules import Offer

__all__ = ["Exists", "Links", "Offer", "Terms"]

Exists = Literal["rename", "replace", "refuse"]
Links = Literal["keep", "refuse"]


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms something is taken.

    :ivar folder: where it goes.
    :ivar exists: what to do when a name is taken.
    :ivar links: whether links are kept as links or refused.
    :ivar room: is called in threads before so many more bytes are written; raises ``ExchangeFailed`` with ``refused``.
    """

    folder: Path
    exists: Exists
    links: Links
    room: Callable[[int], None]

"""What becomes of connections when this machine is attached to other networks than before. Pure."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Final

from p2p.base.addresses import is_loopback, normalised

__all__ = ["ANSWER_S", "Whereabouts"]

ANSWER_S: Final = 3.0
"""Seconds for the answer to a ping over a connection whose way may be gone."""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """How this machine is attached to networks now.

    :ivar addresses: those of its interfaces.
    :ivar source_towards: tells from which address it would reach another now; None if there is no way.
    """

    addresses: Container[str]
    source_towards: Callable[[str], str | None]

    def lost(self, local: str) -> bool:
        """Whether a connection from this address of the machine can't carry anything any more."""
        host = normalised(local)
        return not is_loopback(host) and host not in self.addresses

    def elsewhere(self, local: str, remote: str) -> bool:
        """Whether a connection would be made from another address by now, so that its way may be gone.

        While there is no way at all, as with a cable that is out for a moment, it stays: that may well come back.
        """
        if is_loopback(normalised(remote)):
            return False
        source = self.source_towards(normalised(remote))
        return source is not None and source != normalised(local)

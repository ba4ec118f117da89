"""What may be reported of dials that came to nothing, and to whom. Pure.

A router remembers for which tickets a report may come: at the target's router who was told to dial where, at the
initiator's router who asked. Each may be reported once, by the side that it was asked of, and only the addresses that
the target was told to dial are reported. Without that, a peer could have another one knock at any address and be told
what answers there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from p2p.base.addresses import Network, NotAllowed, checked_address
from p2p.base.errors import DialFailure
from p2p.router.addresses import granted
from p2p.router.broker import CANDIDATES

__all__ = ["REMEMBERED", "Awaited", "AwaitedReports", "DialFailures", "tellable"]

DialFailures = Sequence[tuple[str, str]]
"""The addresses that were dialled, and how each dial ended."""

REMEMBERED: Final = 256
"""Tickets of one peer for which a report is awaited; of more, the oldest is forgotten, and its report doesn't come."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """A dial that may be reported.

    :ivar until: when its ticket dies, seconds.
    :ivar addresses: those that the target was told to dial; None where only the target's router knows.
    """

    target: str
    initiator: str
    until: float
    addresses: Collection[str] | None = None


class AwaitedReports:
    """The dials that one peer may report, or be told of, by their tickets."""

    __slots__ = ("_awaited",)

    def __init__(self) -> None:
        self._awaited: dict[bytes, Awaited] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._awaited)

    def expect(self, ticket: bytes, awaited: Awaited) -> None:
        """A report may come from now on."""
        self._awaited.pop(ticket, None)
        self._awaited[ticket] = awaited
        if len(self._awaited) > REMEMBERED:
            del self._awaited[next(iter(self._awaited))]

    def take(self, ticket: bytes, target: str, initiator: str, now: float) -> Awaited | None:
        """Return the dial that a report is about, which can't be reported again; None if no such report may come."""
        awaited = self._awaited.get(ticket)
        if awaited is None or (awaited.target, awaited.initiator) != (target, initiator):
            return None
        del self._awaited[ticket]
        return awaited if now < awaited.until else None


def tellable(failures: DialFailures, observed: str, networks: Sequence[Network]) -> DialFailures:
    """Return what an initiator may be told of dials: what is at an address only if that is its own, or granted to it.

    :param observed: where its router sees the initiator. One on the machine of that router is seen at a loopback
        address, and dialled at the address of that machine, which only the target's router knows.
    :param networks: what the configuration of its router grants its cluster.
    """
    known = set(DialFailure)
    told = []
    for address, failure in failures[: CANDIDATES + 1]:
        try:
            own = checked_address(observed)
            may = own.is_loopback or checked_address(address) == own or bool(granted([address], networks))
        except NotAllowed:
            may = False
        told.append((address, failure if may and failure in known else DialFailure.OTHER.value))
    return told

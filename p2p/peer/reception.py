"""What one hosted peer allows to others: by the rules of its configuration, or by its user's consent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from p2p.config import AcceptRule, PeerEntry
from p2p.content.consent import Offer, Rule, Terms, decide
from p2p.content.services import TRANSFER, Incoming
from p2p.errors import ExchangeFailed, Outcome
from p2p.peer.inbox_room import InboxRoom
from p2p.peer.offers import PendingOffers
from p2p.transfer.ended import local_id
from p2p.transfer.paths import RESERVED

__all__ = ["Reception"]


Register = Callable[[str, Offer, Callable[[str], None], Path | None], Incoming]
"""Writes down that others move something to or from a hosted peer, as ``Transfers.incoming`` does."""


class Reception:
    """See :class:`p2p.content.services.Host`.

    :param state: the folder for what must outlive the daemon.
    :param now: reads a clock, seconds.
    """

    def __init__(
        self, entry: PeerEntry, offers: PendingOffers, register: Register, state: Path, now: Callable[[], float]
    ) -> None:
        self._peer = entry.name
        self._entry = entry
        self._offers = offers
        self._register = register
        self._rules = None if entry.accept is None else [_rule(one) for one in entry.accept]
        self._room = InboxRoom(entry.name, entry.inbox, entry.quota, entry.keep_free, now)
        self.state = state

    @property
    def shares(self) -> Mapping[str, Path]:
        """What is shared: the names that others see, and where it is."""
        return self._entry.share

    def allow(self, offer: Offer) -> None:
        """Allow something now."""
        self._allowed(offer)

    async def admit(self, offer: Offer, pending: Callable[[str], None]) -> Terms:
        """Allow a transfer, by the user if a rule says so; one that was begun here had the consent already."""
        verdict = decide(self._rules, offer, self._peer)
        if verdict.action == "refuse":
            raise ExchangeFailed(Outcome.REFUSED, verdict.reason)
        if verdict.action == "ask" and not self._has_begun(offer):
            await self._offers.ask(self._peer, offer, pending)
        return self._terms(offer, verdict.size)

    def store_terms(self, offer: Offer) -> Terms:
        """Allow a file of the service ``store`` now."""
        return self._terms(offer, self._allowed(offer))

    def incoming(self, offer: Offer, stop: Callable[[str], None]) -> Incoming:
        """Write down that a session begins."""
        folder = self._entry.inbox if offer.service == TRANSFER else None
        return self._register(self._peer, offer, stop, folder)

    def _allowed(self, offer: Offer) -> int | None:
        """The bytes that an offer may have, None for any."""
        verdict = decide(self._rules, offer, self._peer)
        if verdict.action == "ask":
            reason = f"{self._peer} asks its user first, and only a transfer can wait for that: p2p send"
            raise ExchangeFailed(Outcome.REFUSED, reason)
        if verdict.action == "refuse":
            raise ExchangeFailed(Outcome.REFUSED, verdict.reason)
        return verdict.size

    def _has_begun(self, offer: Offer) -> bool:
        return (self._entry.inbox / f"{RESERVED}{local_id(offer.sender, offer.id)}").exists()

    def _terms(self, offer: Offer, most: int | None) -> Terms:
        taken = 0
        announced = None if self._has_begun(offer) else offer.bytes

        def room(size: int) -> None:
            nonlocal taken
            if not taken and announced is not None:
                self._room.check(announced)
            taken += size
            if most is not None and taken > most:
                reason = f"a rule of {self._peer} takes at most {most} bytes at a time from {offer.sender}"
                raise ExchangeFailed(Outcome.REFUSED, reason)
            self._room.take(size)

        return Terms(self._entry.inbox, self._entry.exists, self._entry.symlinks, room)


def _rule(entry: AcceptRule) -> Rule:
    services, types = frozenset(entry.service), frozenset(entry.type)
    return Rule(tuple(entry.sender), services, types, entry.size, entry.then)

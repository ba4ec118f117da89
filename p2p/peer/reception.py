"""What one hosted peer allows to others: by the rules of its configuration, or by its user's consent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from twisted.logger import Logger

from p2p.base.config import AcceptRule, PeerEntry
from p2p.base.errors import ExchangeFailed, LocalFileError, Outcome
from p2p.exchange.paths import RESERVED
from p2p.exchange.rules import Agreement, Bounds, Offer, Rule, decide
from p2p.exchange.service import TRANSFER, Incoming, Terms, Threads
from p2p.peer.inbox_room import InboxRoom
from p2p.peer.offers import PendingOffers
from p2p.transfer.notes import agreement_notes, completion_notes, local_id

__all__ = ["Reception"]


Register = Callable[[str, Offer, Callable[[str], None], Path | None], Incoming]
"""Writes down that others move something to or from a hosted peer, as ``Transfers.incoming`` does."""

GiveUp = Callable[[str, Offer, Path], Awaitable[None]]
"""Removes what came of a transfer to a hosted peer, as ``Transfers.given_up`` does."""

CheckWanted = Callable[[str, Offer], Awaitable[None]]
"""Sees that a transfer wasn't cancelled here, as ``Transfers.check_wanted`` does."""


class Reception:
    """See :class:`p2p.exchange.service.Host`.

    :param state: the folder for what must outlive the daemon.
    :param threads: runs what blocks.
    :param now: reads a clock, seconds.
    """

    _log = Logger()

    def __init__(
        self,
        entry: PeerEntry,
        offers: PendingOffers,
        register: Register,
        give_up: GiveUp,
        check_wanted: CheckWanted,
        state: Path,
        threads: Threads,
        now: Callable[[], float],
    ) -> None:
        self._peer = entry.name
        self._entry = entry
        self._offers = offers
        self._register = register
        self._give_up = give_up
        self._check_wanted = check_wanted
        self._rules = None if entry.accept is None else [_rule(one) for one in entry.accept]
        self._threads = threads
        self._agreed = agreement_notes(state)
        self._ended = completion_notes(state)
        self._room = InboxRoom(entry.name, entry.inbox, entry.quota, entry.keep_free, now)
        self.state = state

    def change(self, entry: PeerEntry) -> None:
        """Go by other rules from now on; what is under way goes on by those that allowed it."""
        self._entry = entry
        self._rules = None if entry.accept is None else [_rule(one) for one in entry.accept]
        self._room.change(entry.quota, entry.keep_free)

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
        agreement = await self._agreement(offer, pending) if verdict.action == "ask" else None
        rules = verdict.rules
        bounds = None if rules is None else Bounds(self._peer, offer.sender, rules, agreement)
        return self._terms(offer, None, bounds)

    def store_terms(self, offer: Offer) -> Terms:
        """Allow a file of the service ``store`` now."""
        return self._terms(offer, self._allowed(offer), announced=offer.bytes)

    def incoming(self, offer: Offer, stop: Callable[[str], None]) -> Incoming:
        """Write down that a session begins."""
        folder = self._entry.inbox if offer.service == TRANSFER else None
        return self._register(self._peer, offer, stop, folder)

    async def check_wanted(self, offer: Offer) -> None:
        """See that a transfer wasn't cancelled here."""
        await self._check_wanted(self._peer, offer)

    async def given_up(self, offer: Offer) -> None:
        """Remove the parts of a transfer that the other side won't go on with."""
        try:
            await self._give_up(self._peer, offer, self._entry.inbox)
        except LocalFileError as error:
            raise ExchangeFailed(Outcome.REFUSED, str(error)) from error

    def _allowed(self, offer: Offer) -> int | None:
        """The bytes that an offer may have, None for any."""
        verdict = decide(self._rules, offer, self._peer)
        if verdict.action == "ask":
            reason = f"{self._peer} asks its user first, and {offer.service} can't wait for that; p2p send can"
            raise ExchangeFailed(Outcome.REFUSED, reason)
        if verdict.action == "refuse":
            raise ExchangeFailed(Outcome.REFUSED, verdict.reason)
        return verdict.size

    async def _agreement(self, offer: Offer, pending: Callable[[str], None]) -> Agreement:
        """What the user agrees to now, or agreed to when it was begun."""
        local = local_id(offer.sender, offer.id)
        known: Agreement | None = await self._threads(self._known_agreement, local)
        if known is not None and known.covers(offer):
            return known
        await self._offers.ask(self._peer, offer, pending)
        agreement = Agreement.to(offer)
        try:
            await self._threads(self._agreed.note, local, agreement)
        except OSError as error:
            # It comes all the same; only after a broken link the user is asked once more.
            reason = error.strerror
            self._log.warn("{peer}: can't note down what its user agreed to: {reason}", peer=self._peer, reason=reason)
        return agreement

    def _known_agreement(self, local: str) -> Agreement | None:
        """What was agreed to of a transfer that has begun here and wasn't given up, or has come to its end."""
        if self._ended.find(local) is None and not self._work_folder(local).exists():
            return None
        return self._agreed.find(local)

    def _work_folder(self, local: str) -> Path:
        return self._entry.inbox / f"{RESERVED}{local}"

    def _terms(
        self, offer: Offer, most: int | None, bounds: Bounds | None = None, announced: int | None = None
    ) -> Terms:
        taken = 0

        def room(size: int, entries: int = 0) -> None:
            nonlocal taken, announced
            if announced is not None:
                self._room.check(announced, 1)
                announced = None
            taken += size
            if most is not None and taken > most:
                reason = f"a rule of {self._peer} takes at most {most} bytes at a time from {offer.sender}"
                raise ExchangeFailed(Outcome.REFUSED, reason)
            self._room.take(size, entries)

        entry = self._entry
        return Terms(entry.inbox, entry.exists, entry.symlinks, room, bounds, self._room.check)


def _rule(entry: AcceptRule) -> Rule:
    services, types = frozenset(entry.service), frozenset(entry.type)
    return Rule(tuple(entry.sender), services, types, entry.size, entry.then)

"""Offers that wait for a person's consent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from p2p.base.errors import ExchangeFailed, InvalidRequest, Outcome
from p2p.base.log_gate import LogGate
from p2p.base.texts import few, printable
from p2p.console.transfer_operations import PendingOffer
from p2p.exchange.rules import Names, Offer

__all__ = ["OFFERS", "OFFERS_EACH", "WAIT_S", "PendingOffers"]

OFFERS: Final = 64
"""Offers that wait at once; each holds a stream with its first window."""

OFFERS_EACH: Final = 16
"""Of them, those of one sender, so that it can't keep others from asking."""

WAIT_S: Final = 600.0
"""Seconds for which an offer waits; then it is refused, and can be made again."""

TELL_S: Final = 5.0
"""Seconds between two signs to the sender that the offer still waits."""

_log = Logger()


@dataclass(slots=True, eq=False)
class _Waiting:
    shown: PendingOffer
    since: float
    decided: Deferred[bool]


class PendingOffers:
    """The offers to all peers of a daemon.

    :param token: makes the id of an offer.
    :param gate: what others can provoke in the log passes here; one of its own if left out.
    """

    def __init__(self, clock: Any, token: Callable[[], str], gate: LogGate | None = None) -> None:
        self._clock = clock
        self._gate = gate or LogGate(clock)
        self._token = token
        self._waiting: dict[str, _Waiting] = {}

    def offers(self) -> Sequence[PendingOffer]:
        """Those that wait, the oldest first."""
        now = self._clock.seconds()
        return [one.shown.model_copy(update={"age_s": now - one.since}) for one in self._waiting.values()]

    def decide(self, offer: str, accept: bool) -> None:
        """Take one of them, or not.

        :raises InvalidRequest: if none of that id waits.
        """
        waiting = self._waiting.pop(offer, None)
        if waiting is None:
            raise InvalidRequest(f"no offer {offer[:40]!r} waits (any more); list those that do: p2p offers")
        waiting.decided.callback(accept)

    async def ask(self, peer: str, offer: Offer, pending: Callable[[str], None]) -> None:
        """Wait for a person's consent.

        :param pending: is called with the reason of the wait, at once and then every 5 s.
        :raises ExchangeFailed: with ``refused``, if the person doesn't want it, or isn't there.
        """
        if len(self._waiting) >= OFFERS:
            raise ExchangeFailed(Outcome.REFUSED, f"{OFFERS} offers wait at {peer} already; try again later")
        if sum(one.shown.peer == offer.sender for one in self._waiting.values()) >= OFFERS_EACH:
            reason = f"{OFFERS_EACH} offers of {offer.sender} wait at {peer} already; send more of it in one go"
            raise ExchangeFailed(Outcome.REFUSED, reason)
        token = self._token()
        names = offer.names or Names((offer.name,), 1)
        listed = list(names.listed)
        shown = PendingOffer(
            offer=token,
            acting=peer,
            peer=offer.sender,
            service=offer.service,
            type=offer.type,
            types=sorted(offer.types),
            name=offer.name,
            names=listed,
            more_names=names.count - len(listed),
            entries=offer.entries,
            bytes=offer.bytes,
            age_s=0.0,
        )
        waiting = self._waiting[token] = _Waiting(shown, self._clock.seconds(), Deferred())
        reason = f"{peer} asks its user, who has to say there: p2p offers accept {token}"
        telling = LoopingCall(pending, reason)
        telling.clock = self._clock
        telling.start(TELL_S).addErrback(lambda failure: _log.failure("an offer can't be shown to wait", failure))
        late = self._clock.callLater(WAIT_S, lambda: waiting.decided.errback(_nobody(peer)))
        self._gate.info(
            _log,
            offer.sender,
            "{peer}: {sender} offers {what!r}; {reason}",
            peer=peer,
            sender=offer.sender,
            what=printable(few(listed, shown.more_names)),
            reason=reason,
        )
        try:
            accepted = await waiting.decided
        finally:
            self._waiting.pop(token, None)
            if telling.running:
                telling.stop()
            if late.active():
                late.cancel()
        if not accepted:
            raise ExchangeFailed(Outcome.REFUSED, f"the user of {peer} doesn't want it")


def _nobody(peer: str) -> ExchangeFailed:
    minutes = round(WAIT_S / 60)
    return ExchangeFailed(Outcome.REFUSED, f"nobody at {peer} has decided within {minutes} minutes; offer it again")

"""What both ends of a request do alike to come to a link: they dial from their fresh ports, and go to a relay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from p2p.base.errors import DialFailure, P2PError
from p2p.link.hello import LinkTerms
from p2p.link.protocol import DirectLink
from p2p.peer.dialling import Gate, Wiring
from p2p.peer.race import Race

__all__ = ["LINGER_S", "LOOK_S", "RELAY_S", "Reaching"]

LINGER_S: Final = 1.0
"""Seconds longer than they dial for which each end still listens, since the other began later."""

RELAY_S: Final = 1.5
"""Seconds from when both ends dial until both go to a relay as well."""

LOOK_S: Final = 0.5
"""Seconds between two looks at a handshake that is under way when the time is over."""


class Reaching:
    """One end's dials and relays for one ticket.

    :param endpoints: addresses and ports at which the other end may be, best first.
    :param seconds: for which they are dialled.
    :param in_vain: is told whenever all dials have come to nothing.
    :param over: is told once, when the time is over and nobody is connected who may become the link.
    :param not_relayed: is told why no link came to stand by way of a relay.
    """

    def __init__(
        self,
        wiring: Wiring,
        gate: Gate,
        endpoints: Sequence[tuple[str, int]],
        seconds: float,
        *,
        in_vain: Callable[[], object],
        over: Callable[[], object],
        not_relayed: Callable[[str], object] = lambda reason: None,
    ) -> None:
        self._clock = wiring.reactor
        self._by_relays = wiring.by_relays
        self._gate = gate
        self._race = Race(self._clock, gate, endpoints, seconds, self._dialled_in_vain)
        self._in_vain = in_vain
        self._over = over
        self._not_relayed = not_relayed
        self._end: IDelayedCall | None = None
        self._relay: IDelayedCall | None = None
        self._relaying: Deferred[DirectLink] | None = None
        self._relays: tuple[Sequence[str], LinkTerms] | None = None
        self._expires = 0.0

    @property
    def dialling(self) -> bool:
        """Whether a dial may still come to something."""
        return self._race.running

    @property
    def relayed(self) -> bool:
        """Whether a relay may still come to something."""
        return self._relay is not None or self._relaying is not None

    @property
    def failures(self) -> list[tuple[str, DialFailure]]:
        """The addresses that were dialled in vain, and how the last dial of each ended."""
        return self._race.failures

    def begin(self) -> None:
        """Dial."""
        self._race.begin()

    def also(self, endpoints: Iterable[tuple[str, int]]) -> None:
        """Dial these as well, be it once more."""
        self._race.also(endpoints)

    def broke(self, host: str) -> None:
        """What a dial to an address had connected to ended before it was the link."""
        self._race.broke(host)

    def end_in(self, seconds: float, expires: float) -> None:
        """Say that it is over after so many seconds; what is on its way may take until the ticket expires: a handshake,
        or a relay, which gives up by itself."""
        self._expires = expires
        self._end = self._clock.callLater(seconds, self._look)

    def relay_later(self, relays: Sequence[str], terms: LinkTerms) -> None:
        """Go to relays after a while, or as soon as it is clear that there is no way to dial."""
        if relays and self._by_relays is not None:
            self._relays = relays, terms
            self._relay = self._clock.callLater(RELAY_S, self._go_to_relays)

    def close(self) -> None:
        """Give up what is under way."""
        self._race.stop()
        for call in (self._end, self._relay):
            if call is not None and call.active():
                call.cancel()
        if self._relaying is not None:
            self._relaying.cancel()

    def _dialled_in_vain(self) -> None:
        if self._relay is not None and all(how is DialFailure.UNREACHABLE for _, how in self.failures):
            self._relay.cancel()
            self._go_to_relays()
        self._in_vain()

    def _go_to_relays(self) -> None:
        self._relay = None
        assert self._by_relays is not None
        assert self._relays is not None
        self._relaying = self._by_relays(*self._relays)
        self._relaying.addErrback(self._relayed_in_vain)

    def _relayed_in_vain(self, failure: Failure) -> None:
        self._relaying = None
        failure.trap(P2PError, CancelledError)
        if not failure.check(CancelledError):
            self._not_relayed(str(failure.value))

    def _look(self) -> None:
        connected = self._gate.handshake_age() is not None or self._relaying is not None
        if connected and self._clock.seconds() < self._expires:
            self._end = self._clock.callLater(LOOK_S, self._look)
        else:
            self._over()

"""The target's side of one request: it dials the initiator, and listens where the initiator may dial it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.interfaces import IDelayedCall

from p2p.base.errors import DialFailure
from p2p.link.hello import LinkTerms
from p2p.link.protocol import DirectLink
from p2p.peer.dialling import Gate, Wiring
from p2p.peer.instruction import Instruction
from p2p.peer.race import Race

__all__ = ["AGAIN_S", "LINGER_S", "LOOK_S", "REACH_S", "Approach"]

REACH_S: Final = 4.0
"""Seconds for which both ends dial each other once both know where: enough for two repeats of a lost SYN."""

LINGER_S: Final = 1.0
"""Seconds longer for which each end still listens, since the other began later."""

AGAIN_S: Final = 0.3
"""Seconds until a dial that was refused is made again: a firewall that refuses lets it in once the initiator's own dial
has gone out through it, and is held up only by one here that drops."""

LOOK_S: Final = 0.5
"""Seconds between two looks at a handshake that is under way when the time is over."""


class Approach:
    """Carries out one instruction.

    :param lost: whether an earlier link of the pair broke here.
    :param failed: is told once that every dial has come to nothing: the addresses, and how each ended.
    :param over: is told once when there is nothing more to wait for; not if it is closed before.
    """

    def __init__(
        self,
        wiring: Wiring,
        instruction: Instruction,
        *,
        listen: str,
        lost: bool,
        failed: Callable[[Approach, Sequence[tuple[str, DialFailure]]], object],
        over: Callable[[Approach], object],
    ) -> None:
        self.instruction = instruction
        self.port: int | None = None
        self._clock = wiring.reactor
        self._listen = listen
        self._failed = failed
        self._over = over
        ticket = instruction.ticket
        terms = LinkTerms(ticket, dialler=True, plain=instruction.plain, lost=lost)
        self._gate = Gate(wiring, lambda plain: terms, decided=False, target=True)
        self._gate.decide(instruction.plain)
        left = max(ticket.expires - self._clock.seconds(), 0.1)
        seconds = min(left, REACH_S if instruction.reaches else wiring.limits.handshake_s)
        self._expires = self._clock.seconds() + left
        self._until = self._clock.seconds() + seconds
        self._race = self._dials(instruction.candidates)
        self._again: IDelayedCall | None = None
        self._end: IDelayedCall | None = None
        self._told = False

    @property
    def initiator(self) -> str:
        """Who asked for the link."""
        return self.instruction.ticket.initiator

    @property
    def failures(self) -> Sequence[tuple[str, DialFailure]]:
        """The addresses that were dialled in vain so far, and how each dial ended."""
        return self._race.failures

    async def begin(self) -> None:
        """Listen, where the initiator can dial, and dial.

        Without a port, as when none is left, it dials all the same.
        """
        if self.instruction.reaches:
            try:
                self.port = await self._gate.open(self._listen)
            except Exception:  # noqa: BLE001 - the system's reasons are many: no ports left, no more files
                self.port = None
            else:
                self._end = self._clock.callLater(REACH_S + LINGER_S, self._look)
        self._race.begin()

    def link_left(self, link: DirectLink) -> bool:
        """A connection ended before it was a link; say whether it was one of this approach."""
        if not self._gate.left(link):
            return False
        host = self._gate.dialled_at(link)
        if host is not None:
            self._race.broke(host)
        return True

    def has(self, link: DirectLink) -> bool:
        """Whether a link came up by this approach."""
        return self._gate.left(link)

    def close(self) -> None:
        """Give back everything that it holds; a link stays."""
        self._race.stop()
        self._gate.close()
        for call in (self._end, self._again):
            if call is not None and call.active():
                call.cancel()

    def _dials(self, hosts: Sequence[str]) -> Race:
        endpoints = [(host, self.instruction.port) for host in hosts]
        return Race(self._clock, self._gate, endpoints, self._until - self._clock.seconds(), self._in_vain)

    def _in_vain(self) -> None:
        if not self._told:
            self._told = True
            self._failed(self, self.failures)
        if self._end is None:
            self._finish()
        elif self._clock.seconds() + AGAIN_S < self._until:
            refused = [host for host, how in self.failures if how is DialFailure.REFUSED]
            if refused:
                self._again = self._clock.callLater(AGAIN_S, self._dial_again, refused)

    def _dial_again(self, hosts: Sequence[str]) -> None:
        self._race = self._dials(hosts)
        self._race.begin()

    def _look(self) -> None:
        if self._gate.handshake_age() is not None and self._clock.seconds() < self._expires:
            self._end = self._clock.callLater(LOOK_S, self._look)
        else:
            self._finish()

    def _finish(self) -> None:
        self.close()
        self._over(self)

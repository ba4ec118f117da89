"""The target's side of requests: it dials the initiator, and listens where the initiator may dial it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from p2p.base.errors import DialFailure, P2PError
from p2p.base.texts import printable
from p2p.control.commands import Busy, DialFailed, Refused
from p2p.link.hello import LinkTerms
from p2p.link.protocol import DirectLink
from p2p.peer.dialling import Gate, Wiring
from p2p.peer.instruction import DIALS_EACH, NAMED, Instruction
from p2p.peer.offered import OwnAddresses
from p2p.peer.reachable import failed_dials, is_foreign
from p2p.peer.reaching import LINGER_S, Reaching
from p2p.peer.registration import RouterAccess

__all__ = ["AGAIN_S", "Approach", "Approaches"]

AGAIN_S: Final = 0.3
"""Seconds until a dial that was refused is made again: a firewall that refuses lets it in once the initiator's own dial
has gone out through it, and is held up only by one here that drops."""


class Approach:
    """Carries out one instruction.

    :param lost: whether an earlier link of the pair broke here.
    :param needless: says whether nothing is lost with an approach whose dials were in vain, since a link to that peer
        stands, or this one will ask for it.
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
        needless: Callable[[str], bool],
        failed: Callable[[Approach, Sequence[tuple[str, DialFailure]]], object],
        over: Callable[[Approach], object],
    ) -> None:
        self.instruction = instruction
        self.port: int | None = None
        self._clock = wiring.reactor
        self._limits = wiring.limits
        self._listen = listen
        self._needless = needless
        self._failed = failed
        self._over = over
        ticket = instruction.ticket
        self._terms = terms = LinkTerms(ticket, dialler=True, plain=instruction.plain, lost=lost)
        self._gate = Gate(wiring, lambda plain: terms, decided=False, target=True)
        self._gate.decide(instruction.plain)
        left = max(ticket.expires - self._clock.seconds(), 0.1)
        seconds = min(left, self._limits.reach_s if instruction.reaches else self._limits.handshake_s)
        self._expires = self._clock.seconds() + left
        self._until = self._clock.seconds() + seconds
        self._reaching = Reaching(
            wiring, self._gate, instruction.endpoints, seconds, in_vain=self._in_vain, over=self._finish
        )
        self._again: IDelayedCall | None = None
        self._told = self._together = False

    @property
    def initiator(self) -> str:
        """Who asked for the link."""
        return self.instruction.ticket.initiator

    @property
    def failures(self) -> Sequence[tuple[str, DialFailure]]:
        """The addresses that were dialled in vain so far, and how each dial ended."""
        return self._reaching.failures

    async def begin(self) -> None:
        """Listen, where the initiator can dial, and dial.

        Without a port, as when none is left, it dials all the same.
        """
        if self.instruction.reaches:
            try:
                self.port = await self._gate.open(self._listen)
            except Exception:  # noqa: BLE001 - the system's reasons are many: no ports left, no more files
                self.port = None
            left = self._expires - self._clock.seconds()
            self._reaching.end_in(min(self._limits.reach_s + LINGER_S, left), self._expires)
            self._reaching.relay_later(self.instruction.relays, self._terms)
        self._reaching.begin()

    async def observe(self, access: RouterAccess, instruction: Instruction, *, behind_nat: bool) -> None:
        """No dial of either end has come to anything: learn where the router sees this one's port, if it has another
        one there, and dial the initiator where its router sees its.

        :param instruction: the same once more, with that.
        """
        self.instruction = replace(self.instruction, mapped=instruction.mapped)
        self._reaching.also(self.instruction.mapping)
        if behind_nat and self.port is not None:
            with suppress(P2PError, OSError, CancelledError):  # then the initiator isn't told
                await self._gate.observe(access, instruction.ticket.nonce)

    def link_left(self, link: DirectLink) -> bool:
        """A connection ended before it was a link; say whether it was one of this approach."""
        if not self._gate.left(link):
            return False
        host = self._gate.dialled_at(link)
        if host is not None:
            self._reaching.broke(host)
        return True

    def has(self, link: DirectLink) -> bool:
        """Whether a link came up by this approach."""
        return self._gate.left(link)

    @property
    def idle(self) -> bool:
        """Whether nobody is connected."""
        return self._gate.handshake_age() is None

    @property
    def connections(self) -> list[DirectLink]:
        """Those that aren't a link yet."""
        return self._gate.unproved

    def close(self) -> None:
        """Give back everything that it holds; a link stays."""
        self._reaching.close()
        self._gate.close()
        if self._again is not None and self._again.active():
            self._again.cancel()

    def go(self) -> None:
        """Dial now: the initiator does so in the same moment, and no dial before that shall spoil it."""
        self._together = True
        if self._again is not None and self._again.active():
            self._again.cancel()
        if not self._reaching.dialling and self.idle and self._clock.seconds() < self._until:
            self._reaching.also(self.instruction.endpoints)

    def _in_vain(self) -> None:
        if not self._told:
            self._told = True
            self._failed(self, self.failures)
        waits = self.instruction.reaches and (self.port is not None or self._reaching.relayed)
        if not waits or self._needless(self.initiator):
            self._finish()
        elif not self._together and self._clock.seconds() + AGAIN_S < self._until:
            refused = [host for host, how in self.failures if how is DialFailure.REFUSED]
            again = [(host, port) for host, port in self.instruction.endpoints if host in refused]
            if again:
                self._again = self._clock.callLater(AGAIN_S, self._reaching.also, again)

    def _finish(self) -> None:
        self.close()
        self._over(self)


class Approaches:
    """The instructions that one peer carries out.

    :param own: tells the addresses of this machine.
    :param needless: says whether a peer is linked, or will be asked for by this one.
    :param over: is told a peer's name when none that it asked for is under way any more.
    """

    _log = Logger()

    def __init__(
        self,
        wiring: Wiring,
        registration: RouterAccess,
        listen: str,
        own: Callable[[], OwnAddresses],
        needless: Callable[[str], bool],
        over: Callable[[str], object],
    ) -> None:
        self._wiring = wiring
        self._registration = registration
        self._listen = listen
        self._own = own
        self._needless = needless
        self._over = over
        self._by_initiator: dict[str, list[Approach]] = {}
        self._closing = False

    def __len__(self) -> int:
        return sum(map(len, self._by_initiator.values()))

    def __contains__(self, initiator: str) -> bool:
        return initiator in self._by_initiator

    @property
    def connections(self) -> list[DirectLink]:
        """Those of all that aren't a link yet."""
        return [one for approaches in self._by_initiator.values() for each in approaches for one in each.connections]

    async def carry_out(self, instruction: Instruction, lost: bool) -> Mapping[str, Any]:
        """Dial and listen, and return what is answered to the instruction; one with the same ticket isn't begun twice.

        :param lost: whether an earlier link of the pair broke here.
        :raises Busy: if as many are under way as may be.
        """
        name, initiator = self._registration.name, instruction.ticket.initiator
        under_way = self._by_initiator.get(initiator, [])
        for approach in under_way:
            if approach.instruction.ticket.nonce == instruction.ticket.nonce:
                return self._answer(await self._observed(approach, instruction))
        if len(self) >= self._wiring.limits.attempts_in_flight:
            raise Busy.after(0.5, f"{name} is dialling {len(self)} peers, its limit")
        if len(under_way) >= DIALS_EACH:
            raise Busy.after(0.5, f"{name} is dialling {DIALS_EACH} times for {initiator} already")
        return self._answer(await self._observed(await self._begin(instruction, lost), instruction))

    def go(self, initiator: str, ticket: bytes) -> None:
        """Dial an initiator now.

        :raises Refused: if nothing with this ticket is being carried out.
        """
        for approach in self._by_initiator.get(initiator, ()):
            if approach.instruction.ticket.nonce == ticket:
                approach.go()
                return
        raise Refused(f"{self._registration.name} isn't dialling {printable(initiator[:130])} for this ticket")

    def follow(self, instruction: Instruction, lost: bool) -> None:
        """Carry out an instruction whose router has its answer already."""
        Deferred.fromCoroutine(self._begin(instruction, lost)).addErrback(
            lambda failure: self._log.failure("{name}: can't dial", failure, name=self._registration.name)
        )

    def linked(self, link: DirectLink) -> None:
        """A link stands: what it came of is carried out, and what nothing has come of yet needn't be."""
        for approach in list(self._by_initiator.get(link.remote, ())):
            if approach.has(link) or approach.idle:
                approach.close()
                self._done(approach)

    def left(self, link: DirectLink) -> None:
        """A connection ended before it was a link."""
        any(approach.link_left(link) for approach in list(self._by_initiator.get(link.remote, ())))

    def close(self) -> None:
        """Give up all that are under way."""
        self._closing = True
        for approaches in list(self._by_initiator.values()):
            for approach in list(approaches):
                approach.close()
                self._done(approach)

    async def _begin(self, instruction: Instruction, lost: bool) -> Approach:
        approach = Approach(
            self._wiring,
            instruction,
            listen=self._listen,
            lost=lost,
            needless=self._needless,
            failed=self._report,
            over=self._in_vain,
        )
        self._by_initiator.setdefault(approach.initiator, []).append(approach)
        try:
            await approach.begin()
        except BaseException:
            approach.close()
            self._done(approach)
            raise
        return approach

    async def _observed(self, approach: Approach, instruction: Instruction) -> Approach:
        if instruction.observe:
            behind_nat = self._own().behind_nat(self._registration.observed)
            await approach.observe(self._registration, instruction, behind_nat=behind_nat)
        return approach

    def _answer(self, approach: Approach) -> Mapping[str, Any]:
        answer: dict[str, Any] = {"dialling": True, "plain": approach.instruction.plain}
        if approach.port is not None:
            answer |= {"port": approach.port, "addresses": list(self._own().named[:NAMED]), "goes": True}
        return answer

    def _report(self, approach: Approach, failures: Sequence[tuple[str, DialFailure]]) -> None:
        """Let who asked for a dial know that it came to nothing; who can't be told waits until the ticket dies."""
        if approach.instruction.reports and self._registration.registered and not self._closing:
            reporting = self._registration.call(DialFailed, **approach.instruction.report(failures))
            Deferred.fromCoroutine(reporting).addErrback(lambda failure: failure.trap(P2PError))

    def _in_vain(self, approach: Approach) -> None:
        """An instruction came to nothing."""
        if not is_foreign(approach.failures):  # else it was said why
            name = self._registration.name
            told = failed_dials(name, approach.instruction.port, approach.failures)
            text = "{name}: no link with {other}: {reason}"
            self._wiring.gate.warn(
                self._log, approach.initiator, text, name=name, other=approach.initiator, reason=told
            )
        self._done(approach)

    def _done(self, approach: Approach) -> None:
        under_way = self._by_initiator[approach.initiator]
        under_way.remove(approach)
        if not under_way:
            del self._by_initiator[approach.initiator]
            self._over(approach.initiator)

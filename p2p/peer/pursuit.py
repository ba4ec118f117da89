"""How one peer comes to its links: those that it asks for, in turn, and those that it is told to make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from p2p.base.config import PeerLimits
from p2p.base.errors import ExchangeFailed, P2PError
from p2p.base.log_gate import LogGate
from p2p.base.scopes import System
from p2p.base.ticket import TicketBook
from p2p.base.waiters import Waiters
from p2p.exchange.service import Services
from p2p.link.protocol import DirectLink
from p2p.peer.approach import Approaches
from p2p.peer.attempt import Attempting
from p2p.peer.dialling import Wiring
from p2p.peer.instruction import Instruction, check_instruction, failures_of
from p2p.peer.moments import Moments, Setup
from p2p.peer.offered import OwnAddresses
from p2p.peer.ports import FreshPorts
from p2p.peer.registration import RouterAccess
from p2p.peer.rendezvous import goes_first
from p2p.wire.fresh_port import FRESH_SOCKETS, FreshSockets

__all__ = ["Pursuit", "Surroundings"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the peers of one daemon share.

    :ivar reactor: the reactor, or a fake of its clock and its TCP.
    :ivar random: gives so many unpredictable bytes.
    :ivar now_ns: reads the monotonic clock, ns.
    :ivar gate: what other machines can provoke in the log passes here.
    :ivar scopes: account for what is held on behalf of others.
    :ivar own: tells the addresses of this machine.
    :ivar ports: those that fresh sockets may have; any, if left out.
    :ivar sockets: listen on fresh ports, and connect from them.
    :ivar hinders: says why others can't dial a peer where its router sees it: the peer's name, the address.
    """

    reactor: Any
    limits: PeerLimits
    services: Services
    threads: Any
    random: Callable[[int], bytes]
    now_ns: Callable[[], int]
    listen: str
    plain: bool
    gate: LogGate
    scopes: System
    own: Callable[[], OwnAddresses] = OwnAddresses
    sockets: FreshSockets = FRESH_SOCKETS
    ports: FreshPorts | None = None
    hinders: Callable[[str, str], list[str]] = lambda name, observed: []


class Pursuit:
    """The attempts of one peer, those that wait for their turn, its instructions, and whoever waits for a link.

    :param standing: the link to a peer that stands, if one does.
    :param lost: says whether an earlier link to a peer broke that its end may still hold.
    """

    def __init__(
        self,
        wiring: Wiring,
        registration: RouterAccess,
        around: Surroundings,
        *,
        standing: Callable[[str], DirectLink | None],
        lost: Callable[[str], bool],
    ) -> None:
        self._wiring = wiring
        self._registration = registration
        self._around = around
        self._standing = standing
        self._lost = lost
        self._clock = around.reactor
        self._tickets = TicketBook()
        self._attempts: dict[str, Attempting] = {}
        self._queue: dict[str, None] = {}  # targets whose attempt waits for its turn
        self._fallbacks: dict[str, Instruction] = {}
        self._waiting: dict[str, Waiters[Setup | None]] = {}
        self._closed = False
        self._approaches = Approaches(
            wiring, registration, around.listen, around.own, self._needless, self._carried_out
        )

    @property
    def open_listeners(self) -> int:
        """Fresh sockets that listen now, one an attempt."""
        return len(self._attempts)

    @property
    def open_dials(self) -> int:
        """Instructions that are being carried out."""
        return len(self._approaches)

    @property
    def attempts(self) -> dict[str, Moments]:
        """The links that are being asked for, by the other's name."""
        return {target: attempt.moments for target, attempt in self._attempts.items()}

    @property
    def connections(self) -> list[DirectLink]:
        """Those of the instructions that aren't a link yet."""
        return self._approaches.connections

    @property
    def left_over(self) -> dict[str, int]:
        """How many there are of all that is remembered here, by what it is; only what there is."""
        found = {
            "tickets": len(self._tickets),
            "attempts": len(self._attempts),
            "queue": len(self._queue),
            "fallbacks": len(self._fallbacks),
            "waiting": len(self._waiting),
            "dials": self.open_dials,
        }
        return {what: count for what, count in found.items() if count}

    def under_way(self, target: str) -> Setup | None:
        """How far the attempt to reach a peer has come, if there is one now."""
        attempt = self._attempts.get(target)
        return None if attempt is None else attempt.setup

    async def linked_with(self, target: str) -> Setup | None:
        """Wait until a link to a peer stands; return how it came to be, if that is known here.

        :raises ExchangeFailed: with the outcome, if none comes to stand.
        """
        waiting = self._waiting.setdefault(target, Waiters(lambda: self._give_up(target))).wait()
        self.begin(target)
        return await waiting

    def begin(self, target: str) -> None:
        """See that a link to a peer comes to be: by what is under way, or by an attempt, which may have to wait."""
        if target in self._attempts or target in self._approaches:
            return
        if len(self._attempts) < self._around.limits.attempts_in_flight:
            self._attempt(target)
        else:
            self._queue[target] = None

    def close(self, reason: P2PError) -> None:
        """Give up everything, and tell those who wait why."""
        self._closed = True
        self._queue.clear()
        for attempt in list(self._attempts.values()):
            attempt.machine.abandon()
        self._approaches.close()
        for target in list(self._waiting):
            self._tell(target, reason)

    # -- what the router says ---------------------------------------------------------------------------------

    async def instructed(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Carry out an InstructConnect: check it, answer, and dial.

        :raises Refused: if it makes no sense.
        :raises Busy: if as many dials are under way as may be.
        """
        around, name = self._around, self._registration.name
        instruction = check_instruction(
            arguments,
            name,
            around.own(),
            nearby=self._registration.nearby,
            plain=around.plain,
            now=self._clock.seconds(),
            longest_s=around.limits.ticket_s,
        )
        initiator = instruction.ticket.initiator
        if initiator in self._attempts and goes_first(name, initiator):
            self._fallbacks[initiator] = instruction
            return {"dialling": False, "plain": instruction.plain}
        return await self._approaches.carry_out(instruction, self._lost(initiator))

    def go(self, initiator: str, ticket: bytes) -> None:
        """Dial an initiator now, as it does.

        :raises Refused: if nothing with this ticket is being carried out.
        """
        self._approaches.go(initiator, ticket)

    def reported(self, arguments: Mapping[str, Any]) -> None:
        """Take the report of a target that couldn't dial this peer."""
        attempt = self._attempts.get(arguments["target"])
        if attempt is not None and arguments["initiator"] == self._registration.name:
            attempt.reported(arguments["ticket"], failures_of(arguments))

    # -- what becomes of connections --------------------------------------------------------------------------

    def linked(self, link: DirectLink) -> None:
        """A link stands: whoever waited is told."""
        other = link.remote
        self._queue.pop(other, None)
        self._fallbacks.pop(other, None)
        attempt = self._attempts.get(other)
        if attempt is not None:
            attempt.machine.linked()
        else:
            self._tell(other, None)
        self._approaches.linked(link)

    def left(self, link: DirectLink, reason: str) -> None:
        """A connection ended before it was a link."""
        if link.terms.dialler:
            self._approaches.left(link)
        elif (attempt := self._attempts.get(link.remote)) is not None:
            attempt.link_left(link, reason)

    # -- within -----------------------------------------------------------------------------------------------

    def _attempt(self, target: str) -> None:
        around = self._around
        attempt = self._attempts[target] = Attempting(
            self._wiring,
            self._registration,
            self._tickets,
            target,
            listen=around.listen,
            plain_allowed=around.plain,
            random=around.random,
            now_ns=around.now_ns,
            lost=self._lost,
            own=around.own,
            ended=self._ended,
        )
        attempt.machine.begin()

    def _ended(self, attempt: Attempting, failure: ExchangeFailed | None) -> None:
        target = attempt.target
        del self._attempts[target]
        fallback = self._fallbacks.pop(target, None)
        if failure is None:
            self._tell(target, attempt.setup)
        elif fallback is not None and fallback.ticket.expires > self._clock.seconds() and not self._closed:
            # Our request came to nothing, but the target had asked for us as well.
            self._approaches.follow(fallback, self._lost(target))
        elif target not in self._approaches:
            self._tell(target, failure)
        while self._queue and len(self._attempts) < self._around.limits.attempts_in_flight:
            following = next(iter(self._queue))
            del self._queue[following]
            self.begin(following)

    def _needless(self, other: str) -> bool:
        """Whether an instruction for a peer whose dials were in vain may be forgotten."""
        link = self._standing(other)
        return other in self._waiting or (link is not None and link.reusable)

    def _carried_out(self, initiator: str) -> None:
        """No instruction for this peer is carried out any more; who waited without one asks for themselves."""
        if initiator in self._waiting and not self._closed:
            self.begin(initiator)

    def _tell(self, target: str, result: Setup | P2PError | None) -> None:
        """Tell all who wait for a link that it stands, how it came to be if that is known here, or why it doesn't."""
        waiting = self._waiting.pop(target, None)
        if waiting is None:
            return
        if isinstance(result, P2PError):
            waiting.fail(result)
        else:
            waiting.fire(result)

    def _give_up(self, target: str) -> None:
        """The last who waited for a link was cancelled: the attempt ends."""
        del self._waiting[target]
        self._queue.pop(target, None)
        attempt = self._attempts.get(target)
        if attempt is not None:
            attempt.machine.abandon()

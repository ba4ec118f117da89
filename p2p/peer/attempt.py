"""One connection attempt in the real world: a fresh socket, a ticket, a question to the router, and time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from p2p.base.errors import DialFailure, ExchangeFailed, Outcome, P2PError
from p2p.base.texts import printable
from p2p.base.ticket import NONCE_BYTES, TicketBook
from p2p.control.channel import ControlLost, ControlTimeout
from p2p.control.commands import Busy, ControlError, Go, Refused, RequestConnect
from p2p.link.hello import LinkTerms
from p2p.link.protocol import DirectLink
from p2p.peer.dialling import Gate, Wiring
from p2p.peer.instruction import NAMED, check_reachable, named_relays, near
from p2p.peer.moments import AttemptFailed, Moments, Setup
from p2p.peer.offered import OwnAddresses
from p2p.peer.reachable import is_foreign, told_to_dial, unreached
from p2p.peer.reaching import LINGER_S, Reaching
from p2p.peer.registration import RouterAccess
from p2p.peer.rendezvous import new_attempt

__all__ = ["MAP_S", "TOGETHER", "Attempting"]


TOGETHER: Final = 8
"""Times that both ends are had to dial in the same moment, where each answers a dial that it doesn't expect."""

MAP_S: Final = 0.35
"""Seconds after the answer from which, if nobody has connected, both ends learn where NATs have their fresh ports."""

SPARE_S: Final = 0.1
"""Seconds by which a failure comes before ``reach_s`` and another second have passed since the question."""


class Attempting:
    """Joins the pure machine of an attempt to sockets, the router and the clock.

    :param lost: says whether an earlier link to a peer broke that its end may still hold.
    :param own: tells the addresses of this machine.
    :param ended: is told when the attempt is over: with None when a link stands, else with the failure.
    """

    _log = Logger()

    def __init__(
        self,
        wiring: Wiring,
        registration: RouterAccess,
        tickets: TicketBook,
        target: str,
        *,
        listen: str,
        plain_allowed: bool,
        random: Callable[[int], bytes],
        now_ns: Callable[[], int],
        lost: Callable[[str], bool],
        own: Callable[[], OwnAddresses],
        ended: Callable[[Attempting, ExchangeFailed | None], None],
    ) -> None:
        self.target = target
        self.machine = new_attempt(self, target)
        self.moments = Moments(now_ns())
        self.setup = Setup(moments=self.moments)
        self.setup.expect_answer()
        self._asking = self._answered = False
        self._wiring = wiring
        self._registration = registration
        self._tickets = tickets
        self._listen = listen
        self._plain_allowed = plain_allowed
        self._now_ns = now_ns
        self._lost = lost
        self._own = own
        self._over = False
        self._ended = ended
        clock = wiring.reactor
        lifetime = wiring.limits.ticket_s
        self._ticket = tickets.issue(random(NONCE_BYTES), registration.name, target, clock.seconds() + lifetime)
        self._gate = Gate(wiring, self._terms, decided=not plain_allowed)
        self.moments.callers = self._gate.callers
        self._expiry: IDelayedCall = clock.callLater(lifetime, self.machine.expired)
        self._retry: IDelayedCall | None = None
        self._reaching: Reaching | None = None
        self._map: IDelayedCall | None = None
        self._mapping = False
        self._asked_at = 0.0
        self._meeting: IDelayedCall | None = None
        self._goes = False
        self._together = 0
        self._half_way_s = 0.0
        self._rejected = ""

    def link_left(self, link: DirectLink, reason: str) -> None:
        """A connection to our listener ended before it was a link."""
        if self._gate.left(link):  # else it came to the listener of an earlier attempt
            self._rejected = reason
            host = self._gate.dialled_at(link)
            if host is not None and self._reaching is not None:
                self._reaching.broke(host)

    def reported(self, ticket: bytes, failures: Sequence[tuple[str, str]]) -> None:
        """The target reports that its dial came to nothing, maybe before the routers have answered."""
        if ticket == self._ticket.nonce:
            self.moments.failures = [(printable(address), printable(failure)) for address, failure in failures]
            if self._answered and failures and self._dials_over:
                self._go_or_end()

    # -- what the machine asks for ----------------------------------------------------------------------------

    def listen(self) -> None:
        """Bind a fresh socket."""
        self._work(self._bind())

    def ask(self, port: int) -> None:
        """Ask the router to have the target connect to it."""
        self._work(self._request(port))

    def ask_later(self, port: int, seconds: float) -> None:
        """Try again when the other side said."""
        self._retry = self._wiring.reactor.callLater(seconds, self.machine.again)

    def close(self) -> None:
        """Give back everything that the attempt holds."""
        self._over = True
        self._tickets.void(self._ticket)
        self._gate.close()
        if not self._asking:
            self.setup.answered()
        if self._reaching is not None:
            self._reaching.close()
        for call in (self._expiry, self._retry, self._map, self._meeting):
            if call is not None and call.active():
                call.cancel()

    def succeed(self) -> None:
        """The link stands."""
        self.setup.setup_ns = self._now_ns() - self.moments.began_ns
        self._ended(self, None)

    def fail(self, failure: ExchangeFailed) -> None:
        """No link will stand by this attempt."""
        moments = self.moments
        if failure.outcome is Outcome.TIMEOUT and not moments.port:
            failure = ExchangeFailed(failure.outcome, "no port of 'ports' was free in time; let the YAML name more")
        if failure.outcome is Outcome.CONNECT_FAILED and self._answered:
            if self._rejected and (not moments.failures or is_foreign(moments.failures)):
                failure = ExchangeFailed(failure.outcome, f"no link to {self.target}: {self._rejected}")
            elif self._reaching is None and moments.dials and not moments.failures:
                told = told_to_dial(self.target, moments.dials, moments.port)
                reason = f"{told}, but no link stood before the ticket died; does a firewall stop connections there?"
                failure = ExchangeFailed(failure.outcome, reason)
        self._ended(self, AttemptFailed(failure, self.setup))

    # -- within -----------------------------------------------------------------------------------------------

    async def _bind(self) -> None:
        try:
            port = await self._gate.open(self._listen)
        except Exception as error:  # noqa: BLE001 - the system's reasons are many: no ports left, no such address, no more files
            self.machine.failed(ExchangeFailed(Outcome.CONNECT_FAILED, f"can't listen on {self._listen}: {error}"))
        else:
            self.moments.port, self.moments.bound_ns = port, self._now_ns()
            self.machine.listening(port)

    async def _ask(self, port: int, **more: Any) -> Mapping[str, Any]:
        clock = self._wiring.reactor
        self._asked_at = clock.seconds()
        return await self._registration.call(
            RequestConnect,
            target=self.target,
            port=port,
            ticket=self._ticket.nonce,
            lifetime=self._ticket.expires - clock.seconds(),
            plain=self._plain_allowed,
            candidates=self._gate.addresses or list(self._own().named[:NAMED]),
            reports=True,
            reaches=True,
            **more,
        )

    async def _request(self, port: int) -> None:
        self._asking = True
        self.moments.asked += 1
        self.moments.asked_ns = self.moments.asked_ns or self._now_ns()
        try:
            answer = await self._ask(port)
        except Busy as busy:
            self.moments.error = busy
            self.machine.busy(busy.retry_after)
        except (ControlError, ControlTimeout, ControlLost) as error:
            self.moments.error = error
            self.machine.failed(ExchangeFailed(error.outcome, str(error)))
        else:
            self._answered = True
            self.moments.answered_ns, self.moments.error = self._now_ns(), None
            self.moments.address, self.moments.dialling = answer["address"], answer["dialling"]
            self.moments.dials = [printable(one) for one in answer.get("dials") or ()]
            self.setup.table_lookup_ns = answer["table_lookup_ns"]
            self.setup.router_lookup_ns = answer["router_lookup_ns"]
            self._gate.decide(answer["plain"] and self._plain_allowed)
            (self.machine.dialled if answer["dialling"] else self.machine.yielded)()
            self._goes = bool(answer.get("goes"))
            self._half_way_s = (self.moments.answered_ns - self.moments.asked_ns) / 2e9
            self.moments.relays = named_relays(answer.get("relays"))
            self._reach(answer)
            if self.moments.failures and self._dials_over:
                self._go_or_end()
        finally:
            self._asking = False
            self.setup.answered()

    @property
    def _may_reach(self) -> bool:
        """Whether this peer's own dials, or a relay, may still come to something."""
        waits = self._mapping or (self._reaching is not None and self._reaching.relayed)
        return self._reaching is not None and (waits or not self._dials_over)

    @property
    def _dials_over(self) -> bool:
        """Whether nothing can come of this peer's own dials any more, if it made any."""
        if self._meeting is not None and self._meeting.active():
            return False
        return self._reaching is None or not (self._reaching.dialling or self._gate.busy)

    def _reach(self, answer: Mapping[str, Any]) -> None:
        """Dial the target, which listens for it, unless the link has come to stand meanwhile."""
        moments, port = self.moments, answer.get("port")
        if self._over or not answer["dialling"] or (port is None and not moments.relays):
            return
        moments.target_port = port or 0
        if port is not None:
            moments.reachable = [*near(answer.get("attached"), self._own()), *self._checked(answer)]
        limits, clock = self._wiring.limits, self._wiring.reactor
        self._reaching = Reaching(
            self._wiring,
            self._gate,
            self._endpoints,
            limits.reach_s,
            in_vain=self._own_in_vain,
            over=self._end_in_vain,
            not_relayed=self._not_relayed,
        )
        since = clock.seconds() - self._asked_at
        ends = max(limits.reach_s, limits.reach_s + LINGER_S - SPARE_S - since)
        self._reaching.end_in(ends, self._ticket.expires)
        self._reaching.relay_later(moments.relays, self._terms(False))
        if port is not None and not self._registration.nearby:
            self._map = clock.callLater(MAP_S, self._map_soon)
        self._reaching.begin()

    def _checked(self, answer: Mapping[str, Any]) -> list[str]:
        """Where the router says that the target can be dialled; nowhere, if nobody may be told that."""
        try:
            return check_reachable(
                answer["port"],
                answer.get("reachable") or (),
                nearby=self._registration.nearby,
                mapped=answer.get("mapped"),
            )
        except Refused as error:
            self._log.warn("{target}: {reason}", target=self.target, reason=str(error))
            return []

    @property
    def _endpoints(self) -> list[tuple[str, int]]:
        moments = self.moments
        mapping = [(moments.mapped_at, moments.target_mapped)] if moments.target_mapped else []
        return [(one, moments.target_port) for one in moments.reachable] + mapping

    def _not_relayed(self, reason: str) -> None:
        self.moments.relay_failure = reason
        if not self._over and self.moments.failures and not self._may_reach:  # else the target still dials
            self._end_in_vain()

    def _own_in_vain(self) -> None:
        """All of this peer's own dials came to nothing."""
        assert self._reaching is not None
        self.moments.own_failures = self._reaching.failures
        if self.moments.failures:
            self._go_or_end()

    def _go_or_end(self) -> None:
        """Have both ends dial in the same moment, if that may help where each answers what it doesn't expect."""
        if self._over or self._gate.busy:
            return  # somebody has come meanwhile: the time that is left decides
        if self._map is not None:
            self._map.cancel()
            self._map_soon()
        refused = any(how is DialFailure.REFUSED for _, how in self.moments.own_failures)
        if self._goes and refused and self._together < TOGETHER:
            self._together += 1
            self._work(self._go())
        elif not self._may_reach:
            self._end_in_vain()

    def _map_soon(self) -> None:
        """Have both ends learn where NATs have their ports, unless somebody has come who may become the link."""
        if self._gate.busy:
            self._map = self._wiring.reactor.callLater(MAP_S, self._map_soon)
        else:
            self._map, self._mapping = None, True
            self._work(self._find_mapping())

    async def _find_mapping(self) -> None:
        moments = self.moments
        try:
            if self._own().behind_nat(self._registration.observed):
                await self._gate.observe(self._registration, self._ticket.nonce)
                moments.mapped = self._gate.mapped
            answer = await self._ask(moments.port, observe=True)
        except (P2PError, OSError, CancelledError) as error:
            self._log.debug("{target}: no mapping: {reason}", target=self.target, reason=str(error))
        else:
            if not self._over and answer.get("port") == moments.target_port:
                self._use_mapping(answer)
        finally:
            self._mapping = False
        if moments.failures and self._dials_over:
            self._go_or_end()

    def _use_mapping(self, answer: Mapping[str, Any]) -> None:
        """Dial the target where its router sees its port, too."""
        addresses, mapped = self._checked(answer), answer.get("mapped")
        if addresses and mapped and self._reaching is not None:
            self.moments.target_mapped, self.moments.mapped_at = mapped, addresses[0]
            self._reaching.also([(addresses[0], mapped)])

    async def _go(self) -> None:
        clock = self._wiring.reactor
        sent = clock.seconds()
        self._meeting = clock.callLater(self._half_way_s, self._dial_again)
        try:
            await self._registration.call(
                Go, target=self.target, initiator=self._registration.name, ticket=self._ticket.nonce
            )
        except (ControlError, ControlTimeout, ControlLost):
            self._goes = False  # what is under way now is the last
        else:
            self._half_way_s = (clock.seconds() - sent) / 2

    def _dial_again(self) -> None:
        assert self._reaching is not None
        self._reaching.also(self._endpoints)

    def _end_in_vain(self) -> None:
        moments = self.moments
        if self._reaching is not None:
            moments.own_failures = self._reaching.failures
        reason = unreached(
            self.target, moments.port, moments.dials, moments.failures, moments.target_port, moments.own_failures
        )
        if moments.relay_failure:
            reason += f"; and {moments.relay_failure}"
        self.machine.failed(ExchangeFailed(Outcome.CONNECT_FAILED, reason))

    def _work(self, step: Coroutine[Deferred[Any], Any, None]) -> None:
        Deferred.fromCoroutine(step).addErrback(
            lambda failure: self._log.failure("an attempt to reach {target} failed", failure, target=self.target)
        )

    def _terms(self, plain: bool) -> LinkTerms:
        return LinkTerms(self._ticket, dialler=False, plain=plain, redeem=self._redeem, lost=self._lost(self.target))

    def _redeem(self, dialler: str | None, proof: bytes) -> None:
        self._tickets.redeem(self._ticket, dialler, proof, self._wiring.reactor.seconds())

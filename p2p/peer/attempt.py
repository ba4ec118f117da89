"""One connection attempt in the real world: a fresh socket, a ticket, a question to the router, and time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2p.base.errors import DialFailure, ExchangeFailed, Outcome, P2PError
from p2p.base.texts import printable
from p2p.base.ticket import NONCE_BYTES, TicketBook
from p2p.base.waiters import Waiters
from p2p.control.channel import ControlLost, ControlTimeout
from p2p.control.commands import Busy, ControlError, Go, Refused, RequestConnect
from p2p.link.hello import LinkTerms, Steps
from p2p.link.protocol import DirectLink
from p2p.peer.approach import LINGER_S, LOOK_S, REACH_S, RELAY_S
from p2p.peer.dialling import Gate, Wiring
from p2p.peer.instruction import NAMED, check_reachable, named_relays
from p2p.peer.race import Race
from p2p.peer.reachable import is_foreign, told_to_dial, unreached
from p2p.peer.registration import RouterAccess
from p2p.peer.rendezvous import new_attempt

__all__ = ["AttemptFailed", "Attempting", "Moments", "Setup"]


TOGETHER: Final = 8
"""Times that both ends are had to dial in the same moment, where each answers a dial that it doesn't expect."""


@dataclass(slots=True)
class Moments:
    """The record of an attempt; times are ns on the monotonic clock, 0 for what hasn't happened.

    :ivar bound_ns: the fresh socket listened, on ``port``.
    :ivar asked_ns: the router was asked for the first time.
    :ivar asked: how often it was asked by now; more than once only where somebody was busy.
    :ivar answered_ns: the answer came.
    :ivar address: where the target's router sees the target, as the answer says.
    :ivar dials: the addresses that the target was told to dial, as far as the routers say it.
    :ivar failures: the addresses that it has dialled in vain, and the kind of each failure, as it reports.
    :ivar reachable: the addresses at which this peer dials the target, and ``target_port`` the port there.
    :ivar own_failures: the addresses that this peer has dialled in vain, and the kind of each failure.
    :ivar relays: the relays at which both ends meet if neither can dial the other.
    :ivar relay_failure: why no link came to stand by way of these.
    :ivar dialling: whether the target dials; if not, its own request to this peer goes first.
    :ivar error: what the last question brought instead of an answer.
    :ivar callers: the connections that came to the fresh socket, the latest last.
    """

    began_ns: int
    port: int = 0
    bound_ns: int = 0
    asked_ns: int = 0
    asked: int = 0
    answered_ns: int = 0
    address: str = ""
    dials: list[str] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    reachable: list[str] = field(default_factory=list)
    target_port: int = 0
    own_failures: list[tuple[str, DialFailure]] = field(default_factory=list)
    relays: tuple[str, ...] = ()
    relay_failure: str = ""
    dialling: bool = True
    error: P2PError | None = None
    callers: list[Steps] = field(default_factory=list)


@dataclass(slots=True)
class Setup:
    """How long a link took to stand, and what of it was looking the peer up; ns, 0 where nothing was done.

    :ivar setup_ns: from the request to the proved link.
    :ivar table_lookup_ns: in the routing table of the target's router.
    :ivar router_lookup_ns: from router to router and back.
    :ivar reused: the link was there already.
    :ivar moments: the steps of the attempt; None if there was none, since the link was there or the other side made it.

    The link may well stand before the router's answer is here, which holds the look-up times: :meth:`when_answered`.
    """

    setup_ns: int = 0
    table_lookup_ns: int = 0
    router_lookup_ns: int = 0
    reused: bool = False
    moments: Moments | None = None
    _answer: Waiters[None] | None = field(default=None, compare=False)

    def expect_answer(self) -> None:
        """The router will be asked."""
        self._answer = Waiters()

    def answered(self) -> None:
        """The router has answered, or won't be asked any more."""
        if self._answer is not None:
            self._answer.settle(None)

    def when_answered(self) -> Deferred[None]:
        """Fire when the look-up times are known, or never will be."""
        return succeed(None) if self._answer is None else self._answer.wait()


class AttemptFailed(ExchangeFailed):
    """An attempt came to nothing.

    :ivar setup: how far it came.
    """

    def __init__(self, failure: ExchangeFailed, setup: Setup) -> None:
        super().__init__(failure.outcome, str(failure), failure.fields)
        self.setup = setup


class Attempting:
    """Joins the pure machine of an attempt to sockets, the router and the clock.

    :param lost: says whether an earlier link to a peer broke that its end may still hold.
    :param addresses: the addresses of this machine at which the target may reach it, best first.
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
        addresses: Callable[[], Sequence[str]],
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
        self._addresses = addresses
        self._over = False
        self._ended = ended
        clock = wiring.reactor
        lifetime = wiring.limits.ticket_s
        self._ticket = tickets.issue(random(NONCE_BYTES), registration.name, target, clock.seconds() + lifetime)
        self._gate = Gate(wiring, self._terms, decided=not plain_allowed)
        self.moments.callers = self._gate.callers
        self._expiry: IDelayedCall = clock.callLater(lifetime, self.machine.expired)
        self._retry: IDelayedCall | None = None
        self._race: Race | None = None
        self._end: IDelayedCall | None = None
        self._meeting: IDelayedCall | None = None
        self._goes = False
        self._together = 0
        self._half_way_s = 0.0
        self._rejected = ""
        self._relay: IDelayedCall | None = None
        self._relaying: Deferred[DirectLink] | None = None

    def link_left(self, link: DirectLink, reason: str) -> None:
        """A connection to our listener ended before it was a link."""
        if self._gate.left(link):  # else it came to the listener of an earlier attempt
            self._rejected = reason
            host = self._gate.dialled_at(link)
            if host is not None and self._race is not None:
                self._race.broke(host)

    def reported(self, ticket: bytes, failures: Sequence[tuple[str, str]]) -> None:
        """The target reports that its dial came to nothing, maybe before the routers have answered."""
        if ticket == self._ticket.nonce:
            self.moments.failures = [(printable(address), printable(failure)) for address, failure in failures]
            if self._answered and failures and not self._may_reach:
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
        if self._race is not None:
            self._race.stop()
        for call in (self._expiry, self._retry, self._end, self._meeting, self._relay):
            if call is not None and call.active():
                call.cancel()
        if self._relaying is not None:
            self._relaying.cancel()

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
            elif self._race is None and moments.dials and not moments.failures:
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

    async def _request(self, port: int) -> None:
        self._asking = True
        self.moments.asked += 1
        self.moments.asked_ns = self.moments.asked_ns or self._now_ns()
        try:
            answer = await self._registration.call(
                RequestConnect,
                target=self.target,
                port=port,
                ticket=self._ticket.nonce,
                lifetime=self._ticket.expires - self._wiring.reactor.seconds(),
                plain=self._plain_allowed,
                candidates=self._gate.addresses or list(self._addresses())[:NAMED],
                reports=True,
                reaches=True,
            )
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
            self.moments.relays = named_relays(answer.get("relays"))
            self._goes = bool(answer.get("goes"))
            self._half_way_s = (self.moments.answered_ns - self.moments.asked_ns) / 2e9
            self._reach(answer.get("port"), answer.get("reachable") or ())
            if self.moments.failures and not self._may_reach:
                self._go_or_end()
        finally:
            self._asking = False
            self.setup.answered()

    @property
    def _may_reach(self) -> bool:
        """Whether this peer's own dials may still come to something."""
        if self._meeting is not None and self._meeting.active():
            return True
        return self._race is not None and (self._race.running or self._gate.handshake_age() is not None)

    def _reach(self, port: int | None, reachable: Sequence[str]) -> None:
        """Dial the target, which listens for it, unless the link has come to stand meanwhile."""
        if port is None or self._over:
            return
        clock = self._wiring.reactor
        try:
            addresses = check_reachable(port, reachable, nearby=self._registration.nearby)
        except Refused as error:
            self._log.warn("{target}: {reason}", target=self.target, reason=str(error))
            addresses = []
        self.moments.reachable, self.moments.target_port = addresses, port
        self._race = Race(clock, self._gate, [(one, port) for one in addresses], REACH_S, self._own_in_vain)
        self.moments.own_failures = self._race.failures
        self._end = clock.callLater(REACH_S + LINGER_S, self._look)
        if self.moments.relays and self._wiring.by_relays is not None:
            self._relay = clock.callLater(RELAY_S, self._by_relays)
        self._race.begin()

    def _by_relays(self) -> None:
        """Go to the relays as well."""
        self._relay = None
        assert self._wiring.by_relays is not None
        self._relaying = self._wiring.by_relays(self.moments.relays, self._terms(False))
        self._relaying.addErrback(self._not_relayed)

    def _not_relayed(self, failure: Failure) -> None:
        self._relaying = None
        failure.trap(P2PError, CancelledError)
        if not failure.check(CancelledError):
            self.moments.relay_failure = str(failure.value)
            if not self._over and not self._may_reach:
                self._end_in_vain()

    def _own_in_vain(self) -> None:
        """All of this peer's own dials came to nothing."""
        assert self._race is not None
        self.moments.own_failures = self._race.failures
        if self.moments.failures:
            self._go_or_end()

    def _go_or_end(self) -> None:
        """Have both ends dial in the same moment, if that may help where each answers what it doesn't expect."""
        if self._over or self._gate.busy:
            return  # somebody has come meanwhile: the time that is left decides
        refused = any(how is DialFailure.REFUSED for _, how in self.moments.own_failures)
        if self._goes and refused and self._together < TOGETHER:
            self._together += 1
            self._work(self._go())
        elif self._relay is None and self._relaying is None:
            self._end_in_vain()

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
        addresses = [(one, self.moments.target_port) for one in self.moments.reachable]
        self._race = Race(self._wiring.reactor, self._gate, addresses, REACH_S, self._own_in_vain)
        self._race.begin()

    def _look(self) -> None:
        """The time for both ends' dials is over."""
        if self._gate.handshake_age() is not None:
            self._end = self._wiring.reactor.callLater(LOOK_S, self._look)
        else:
            self._end_in_vain()

    def _end_in_vain(self) -> None:
        moments = self.moments
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

"""``why``: walk the legs to a peer one by one, time them, and say what is wrong where one fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from p2p import __version__
from p2p.base.errors import ExchangeFailed, Outcome, P2PError
from p2p.base.names import parse_peer
from p2p.console.operations import Candidate, Diagnosis, FoundLink, Leg, LegName, LegState, legs_between
from p2p.control.channel import ControlLost, ControlTimeout
from p2p.control.commands import ControlError, Ping
from p2p.exchange.request import BaseSink, Request
from p2p.link.boxes import Box
from p2p.link.hello import Steps
from p2p.link.protocol import DirectLink
from p2p.peer.findings import (
    Ends,
    Finding,
    explain_attempt,
    explain_exchange,
    explain_ping,
    explain_router,
)
from p2p.peer.moments import AttemptFailed, Moments, Setup
from p2p.peer.node import HostedPeer
from p2p.peer.outlook import candidates, position
from p2p.peer.reachable import host_of
from p2p.services.store import BytesSource

__all__ = ["Sheet", "why"]

LOOK_S: Final = 0.2
"""Seconds between two looks at an attempt under way, to tell of the legs that it has behind it."""

Tell = Callable[[Leg], object]
"""Is told each leg when it has ended."""


async def why(
    peer: HostedPeer,
    target: str,
    *,
    fresh: bool,
    endpoint: str,
    clock: IReactorTime,
    now_ns: Callable[[], int],
    tell: Tell,
) -> Diagnosis:
    """Walk the legs from a hosted peer to another; if a link stands, check that instead.

    :param fresh: close a link that stands first, after the exchanges under way, and walk all legs.
    :param endpoint: of the router, as the configuration says it.
    :raises InvalidName: if the target isn't a peer's name.
    :raises ExchangeFailed: if it is the peer itself.
    """
    standing = peer.links.get(target)
    if standing is not None and not standing.reusable:
        standing = None
    near = parse_peer(target).cluster == parse_peer(peer.name).cluster
    legs = legs_between(near=near, standing=standing is not None and not fresh)
    if target == peer.name:
        raise ExchangeFailed(Outcome.REFUSED, f"{target} is this peer itself; name another one")
    walk = _Walk(peer, target, Sheet(legs, tell), endpoint, clock, now_ns)
    return await walk.go(standing, fresh=fresh)


class Sheet:
    """The legs that have ended, in their order.

    :param names: all legs of the way.
    """

    def __init__(self, names: Sequence[LegName], tell: Tell) -> None:
        self._names = list(names)
        self._tell = tell
        self.legs: list[Leg] = []

    def has(self, name: LegName) -> bool:
        """Whether a leg has ended."""
        return any(leg.leg == name for leg in self.legs)

    def good(self, name: LegName, took_ns: int | None, detail: str) -> None:
        """Enter a leg that is good, unless it isn't on this way or is entered already."""
        if name in self._names and not self.has(name):
            took = None if took_ns is None else max(took_ns, 0)
            self._add(Leg(leg=name, state=LegState.OK, took_ns=took, detail=detail))

    def not_needed(self, before: LegName, detail: str) -> None:
        """Enter every leg before one that isn't there yet as one that the link didn't need."""
        for name in self._before(before):
            if not self.has(name):
                self._add(Leg(leg=name, state=LegState.NOT_NEEDED, detail=detail))

    def failed(self, finding: Finding, took_ns: int) -> None:
        """Enter the leg that failed; those before it were passed, and those behind it aren't reached any more.

        :param took_ns: the time since the end of the last leg whose end was seen.
        """
        passed = self._before(finding.leg)
        self.legs = [leg for leg in self.legs if leg.leg in passed]
        for name in passed:
            self.good(name, None, "")
        self._add(
            Leg(
                leg=finding.leg,
                state=LegState.FAILED,
                outcome=finding.outcome,
                took_ns=took_ns,
                detail=finding.cause,
                remedy=finding.remedy,
            )
        )
        for name in self._names[len(passed) + 1 :]:
            self._add(Leg(leg=name, state=LegState.NOT_REACHED))

    def _before(self, name: LegName) -> list[LegName]:
        return self._names[: self._names.index(name)]

    def _add(self, leg: Leg) -> None:
        self.legs.append(leg)
        self._tell(leg)


class _Broken(P2PError):
    """A leg failed."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.cause)
        self.finding = finding


class _Walk:
    """One walk to one target."""

    def __init__(
        self,
        peer: HostedPeer,
        target: str,
        sheet: Sheet,
        endpoint: str,
        clock: IReactorTime,
        now_ns: Callable[[], int],
    ) -> None:
        self._peer = peer
        self._target = target
        self._sheet = sheet
        self._clock = clock
        self._now_ns = now_ns
        self._limits = peer.limits
        self._way = Ends(peer.name, target, endpoint, peer.limits.ticket_s)
        self._found: FoundLink | None = None
        self._candidates: list[Candidate] = []
        self._position = ""
        self._began_ns = self._passed_ns = 0

    async def go(self, standing: DirectLink | None, *, fresh: bool) -> Diagnosis:
        """Walk, and say how it went."""
        began = self._passed_ns = self._now_ns()
        sheet = self._sheet
        sheet.good(LegName.DAEMON, None, f"p2p {__version__}, process {os.getpid()}, acts as {self._peer.name}")
        finding = None
        try:
            if standing is not None and fresh:
                await self._close(standing)
                standing = None
                self._passed_ns = self._now_ns()
            if standing is not None:
                await self._check(standing)
            else:
                await self._ask_router()
                await self._reach()
            await self._exchange()
        except _Broken as broken:
            finding = broken.finding
            sheet.failed(finding, self._took())
        return Diagnosis(
            peer=self._target,
            acting=self._peer.name,
            standing=standing is not None,
            outcome=Outcome.OK if finding is None else finding.outcome,
            failed=None if finding is None else finding.leg,
            took_ns=self._now_ns() - began,
            legs=sheet.legs,
            link=self._found,
            candidates=self._candidates,
            position=self._position,
        )

    # -- a link that stands -----------------------------------------------------------------------------------

    async def _close(self, link: DirectLink) -> None:
        """Close a link after its exchanges, and see that the other end knows: it mustn't take it for one in use."""
        link.close()
        with suppress(DeadlinePassed):  # then a link that is as good as dead goes by its own deadlines
            await self._pong(link)

    async def _check(self, link: DirectLink) -> None:
        self._found = self._shown(link)
        self._sheet.not_needed(LegName.PING, "the link stands")
        try:
            seconds = await self._pong(link)
        except DeadlinePassed:
            raise _Broken(explain_ping(self._way, self._limits.call_s)) from None
        if seconds is None:
            raise _Broken(explain_ping(self._way, None))
        self._sheet.good(LegName.PING, self._took(), "the link stands and answers")

    async def _pong(self, link: DirectLink) -> float | None:
        answer: Deferred[float | None] = Deferred()
        link.ping(answer.callback)
        return await answer.addTimeout(self._limits.call_s, self._clock)

    # -- a new link -------------------------------------------------------------------------------------------

    async def _ask_router(self) -> None:
        registration = self._peer.registration
        try:
            await registration.call(Ping)
        except (ControlError, ControlTimeout, ControlLost) as error:
            last_error = None if registration.registered else registration.last_error
            raise _Broken(explain_router(self._way, error, last_error)) from error
        self._sheet.good(LegName.ROUTER, self._took(), f"{self._way.router} at {self._way.endpoint}")

    async def _reach(self) -> None:
        self._began_ns = self._passed_ns
        looking = LoopingCall(self._look)
        looking.clock = self._clock
        watching = looking.start(LOOK_S, now=False)
        try:
            link, setup = await self._peer.link_to(self._target)
            await setup.when_answered()
        except AttemptFailed as failure:
            self._note(failure.setup)
            self._look_out(failure.setup.moments, None)
            raise _Broken(explain_attempt(self._way, failure)) from failure
        except ExchangeFailed as failure:
            raise _Broken(explain_attempt(self._way, failure)) from failure
        finally:
            if looking.running:
                looking.stop()
            await watching
        self._found = self._shown(link)
        self._note(setup)
        if not link.relayed_by:
            self._look_out(setup.moments, link.steps, link.addresses[0])
        self._stands(link, setup)

    def _look_out(self, moments: Moments | None, steps: Steps | None, local: str = "") -> None:
        """See what the attempt shows of the networks between."""
        if moments is None or not moments.answered_ns:
            return
        way, registration = self._way, self._peer.registration
        self._candidates = candidates(way.own, way.target, moments, steps, local)
        behind_nat = self._peer.behind_nat
        self._position = position(way.own, way.router, registration.observed, moments, steps, behind_nat=behind_nat)

    def _look(self) -> None:
        setup = self._peer.pursuit.under_way(self._target)
        if setup is not None:
            self._note(setup)

    def _note(self, setup: Setup) -> None:
        """Enter what an attempt has behind it."""
        way, moments, good = self._way, setup.moments, self._sheet.good
        if moments is None or not moments.bound_ns:
            return
        self._passed_ns = moments.bound_ns
        good(LegName.LISTEN, moments.bound_ns - self._began_ns, f"port {moments.port}")
        if not moments.answered_ns:
            return
        self._passed_ns = moments.answered_ns
        seen = f"{way.far_router} sees {way.target} at {moments.address}"
        between = setup.router_lookup_ns - setup.table_lookup_ns
        good(LegName.NEIGHBOUR, between, f"{way.router} asked {way.far_router}")
        good(way.table, setup.table_lookup_ns, seen)
        looked_up = setup.table_lookup_ns if way.is_near else setup.router_lookup_ns
        how = "was asking for a link itself, which goes first"
        if moments.dialling:
            how = f"dials {' and '.join(moments.dials)}" if moments.dials else "dials"
        again = f", asked {moments.asked} times" if moments.asked > 1 else ""
        good(LegName.INSTRUCT, moments.answered_ns - moments.asked_ns - looked_up, f"{way.target} {how}{again}")

    def _stands(self, link: DirectLink, setup: Setup) -> None:
        """Enter how a connection became the link."""
        steps, moments, sheet = link.steps, setup.moments, self._sheet
        if moments is None:
            sheet.not_needed(LegName.DIAL, f"{self._target} asked for this link itself")
        elif not moments.answered_ns:
            sheet.not_needed(LegName.DIAL, f"the link stood before {self._way.router} answered")
        if link.terms.dialler:
            who = f"{self._peer.name} dialled {steps.remote}" if steps.dialled else f"it dialled from {steps.remote}"
            sheet.good(LegName.DIAL, None, f"{who}, as {self._target} asked")
        elif steps.dialled and moments is not None:
            since = steps.connected_ns - moments.answered_ns
            sheet.good(LegName.DIAL, since, f"{self._peer.name} dialled {steps.remote}, from which nothing had come")
        else:
            answered_ns = moments.answered_ns if moments is not None else 0
            early = ", before the routers had answered" if steps.connected_ns < answered_ns else ""
            took = steps.connected_ns - answered_ns if answered_ns else None
            sheet.good(LegName.DIAL, took, f"from {steps.remote}{early}")
        if link.terms.plain:
            sheet.not_needed(LegName.TICKET, "a plain link has no TLS")
        else:
            sheet.good(LegName.TLS, steps.secured_ns - steps.connected_ns, f"TLS 1.3, certificate of {self._target}")
        sheet.good(LegName.TICKET, steps.proved_ns - (steps.secured_ns or steps.connected_ns), "valid, and used up")

        self._passed_ns = self._now_ns()

    # -- whichever link ---------------------------------------------------------------------------------------

    async def _exchange(self) -> None:
        probe = f"p2p why {self._target}, asked by {self._peer.name} at {self._now_ns()} ns".encode()
        request = Request(service="echo", type="data")
        echo = self._peer.exchange(
            self._target, request, BytesSource(probe), lambda: _Back(probe), planned_ns=self._now_ns()
        )
        # An exchange under way has a deadline of its own; one that waits for its turn on a full link has none.
        seconds = self._limits.exchange_silence_s + self._limits.call_s
        try:
            await Deferred.fromCoroutine(echo).addTimeout(seconds, self._clock)
        except DeadlinePassed:
            late = ExchangeFailed(Outcome.TIMEOUT, f"the exchange hasn't ended after {seconds:g} s")
            raise _Broken(explain_exchange(self._way, late)) from None
        except ExchangeFailed as failure:
            raise _Broken(explain_exchange(self._way, failure)) from failure
        self._sheet.good(LegName.EXCHANGE, self._took(), f"an echo of {len(probe)} bytes came back")

    def _took(self) -> int:
        """The time since the end of the leg before, now that another has ended."""
        before, self._passed_ns = self._passed_ns, self._now_ns()
        return self._passed_ns - before

    def _shown(self, link: DirectLink) -> FoundLink:
        setup = self._peer.setup_of(link)
        observed = setup.moments.address if setup is not None and setup.moments is not None else ""
        local, remote = link.addresses
        same = host_of(remote) == host_of(observed) if observed else None
        return FoundLink(
            initiator=link.initiator,
            local=local,
            remote=remote,
            security="plain" if link.terms.plain else "tls",
            age_s=self._clock.seconds() - link.since,
            relayed_by=link.relayed_by,
            observed=observed or None,
            same_address=same,
            note=self._note_on(link, host_of(remote), observed, same),
        )

    def _note_on(self, link: DirectLink, host: str, observed: str, same: bool | None) -> str:
        way = self._way
        proof = "its ticket proves" if link.terms.plain else f"the certificate of {way.target} proves"
        if same:
            where = f"the other end is {host}, where {way.far_router} sees {way.target}"
        elif same is None:
            who = "no router answered" if link.initiator == way.own else f"{way.target} asked for the link"
            where = f"the other end is {host}; where {way.far_router} sees {way.target} isn't known here, since {who}"
        else:
            where = (
                f"the other end is {host}, but {way.far_router} sees {way.target} at {observed}: a NAT is between, or "
                "the machine has several addresses"
            )
        return f"{where}; {proof} that it is {way.target}, and no router carries the link"


class _Back(BaseSink):
    """Takes an echo and compares it with what was sent."""

    def __init__(self, expected: bytes) -> None:
        self._expected = expected
        self._came = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        """Take bytes in, as many as there can be."""
        self._came += data
        if not self._expected.startswith(self._came):
            raise ExchangeFailed(Outcome.CORRUPT, "what came back isn't what was sent")

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """See that everything came back."""
        if self._came != self._expected:
            raise ExchangeFailed(
                Outcome.CORRUPT, f"{len(self._came)} bytes came back, of the {len(self._expected)} that were sent"
            )
        return {}

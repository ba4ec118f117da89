"""What is wrong on the way to a peer: the leg that failed, the cause, and what to do about it.

Errors come here as the exceptions that they are and leave as a :class:`Finding`. Where one kind of error has several
causes, the texts of the routers and of OpenSSL tell them apart; what no pattern knows gets the remedy of its kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from p2p.base.errors import DialFailure, ExchangeFailed, Outcome, P2PError
from p2p.base.names import parse_peer, router_name
from p2p.console.operations import LegName
from p2p.control.channel import ControlTimeout
from p2p.control.commands import Busy, ClusterUnreachable, Refused, UnknownCluster, UnknownPeer
from p2p.link.hello import Steps
from p2p.peer.moments import AttemptFailed, Moments
from p2p.peer.reachable import host_of, no_common_family, told_to_dial

__all__ = [
    "Ends",
    "Finding",
    "explain_attempt",
    "explain_exchange",
    "explain_ping",
    "explain_router",
]

_RETRY = re.compile(r"retry after [0-9.]+ s: ")


class _Hint(NamedTuple):
    """What to do where a text has this pattern, and which leg it is about where that isn't clear."""

    pattern: str
    remedy: str
    leg: LegName = LegName.INSTRUCT


_Hints = tuple[_Hint, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A leg that failed, why, and what to do."""

    leg: LegName
    outcome: Outcome
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Ends:
    """From whom to whom.

    :ivar endpoint: of one's own router, as the daemon's YAML says it.
    :ivar ticket_s: seconds that a ticket lives.
    """

    own: str
    target: str
    endpoint: str
    ticket_s: float

    @property
    def router(self) -> str:
        """One's own router."""
        return router_name(parse_peer(self.own).cluster)

    @property
    def far_router(self) -> str:
        """The target's router."""
        return router_name(self.cluster)

    @property
    def cluster(self) -> str:
        """The target's cluster."""
        return parse_peer(self.target).cluster

    @property
    def is_near(self) -> bool:
        """Whether both peers are of one cluster."""
        return self.router == self.far_router

    @property
    def table(self) -> LegName:
        """The look-up in the table that the target must be in."""
        return LegName.TABLE if self.is_near else LegName.NEIGHBOUR_TABLE

    @property
    def neighbour(self) -> LegName:
        """The question to the router of the other cluster; a router that speaks of one within its own is wrong."""
        return LegName.ROUTER if self.is_near else LegName.NEIGHBOUR

    def say(self, text: str) -> str:
        """Put the names into a text."""
        return text.format(
            own=self.own,
            target=self.target,
            endpoint=self.endpoint,
            router=self.router,
            far_router=self.far_router,
            cluster=self.cluster,
            own_cluster=parse_peer(self.own).cluster,
        )


# -- one's own router -------------------------------------------------------------------------------------------------

_NOT_REGISTERED: _Hints = (
    _Hint(
        "refused by other side|connection refused",
        "start {router} (twistd --nodaemon --pidfile= p2p-router --config FILE), or let 'router' in the YAML of {own} "
        "say where it listens",
    ),
    _Hint(
        "expected router|is of cluster",
        "let 'router' in the YAML of {own} be the endpoint of the router of cluster {own_cluster}; it says {endpoint}",
    ),
    _Hint(
        "alert.* expired",  # the router says it of ours
        "the certificate of {own} has expired, as {router} sees it: make {own} a new one (p2p lab issue {own}), start "
        "its daemon again, and compare the clocks of both machines",
    ),
    _Hint(
        "tls:|certificate",
        "{own} and {router} need certificates of one lab that are valid now: compare the two machines' 'authority' and "
        "clocks; 'p2p lab issue' makes new ones",
    ),
    _Hint(
        "accepted no connection within|timeout|isn't done after|was silent for|no route|unreachable|timed out",
        "see that the machine of {router} is up and that no firewall stops TCP connections to {endpoint}",
    ),
    _Hint(
        "has connected again",
        "two daemons have the certificate of {own}: stop one, or give it a name of its own (p2p lab issue NAME)",
    ),
    _Hint("dns|lookup|hostname", "let 'router' in the YAML of {own} name a host that exists; it says {endpoint}"),
    _Hint("table has", "raise limits.peers in the YAML of {router}, or stop peers that nobody needs"),
)


def explain_router(way: Ends, error: P2PError, last_error: str | None) -> Finding:
    """Say why one's own router doesn't answer.

    :param last_error: why the peer isn't registered there; None if it is.
    """
    outcome = _outcome(error)
    if last_error is None:
        return Finding(
            LegName.ROUTER, outcome, str(error), way.say("see whether {router} is overloaded or hangs, and its log")
        )
    cause = f"{way.own} isn't registered at {way.router}, {way.endpoint}: {last_error}"
    other = "see that {router} runs at {endpoint}, and what its log says of {own}; {own} tries again by itself"
    return Finding(LegName.ROUTER, outcome, cause, way.say(_remedy(_NOT_REGISTERED, last_error, other)))


# -- an attempt -------------------------------------------------------------------------------------------------------


def explain_attempt(way: Ends, failure: ExchangeFailed) -> Finding:
    """Say why no link came of an attempt."""
    if not isinstance(failure, AttemptFailed) or failure.setup.moments is None:
        remedy = "try again; the log of {own}'s daemon says what it was doing"
        return Finding(LegName.LISTEN, failure.outcome, str(failure), way.say(remedy))
    moments = failure.setup.moments
    if not moments.bound_ns:
        return Finding(LegName.LISTEN, failure.outcome, str(failure), way.say(_remedy(_NO_SOCKET, str(failure))))
    if moments.answered_ns:
        return _unconnected(way, moments, failure)
    if moments.error is not None:
        return _unanswered(way, moments, moments.error)
    cause = f"{way.router} hasn't answered where {way.target} is: {failure}"
    return Finding(LegName.ROUTER, failure.outcome, cause, way.say("try again; if it goes on, see the log of {router}"))


_NO_SOCKET: _Hints = (
    _Hint("too many open files", "raise the limit of open files of {own}'s daemon (LimitNOFILE in its systemd unit)"),
    _Hint(
        "in use",
        "let 'listen' in the YAML of {own} name port 0 (tcp6:0), so that every link gets a port that is free",
    ),
    _Hint("", "correct 'listen' in the YAML of {own}, and see that the system has free ports"),
)

_REFUSED: _Hints = (
    _Hint(
        "no address to dial|can't be told to dial",
        "let 'networks' in the YAML of {far_router} grant cluster {own_cluster} the network in which {own} is, and "
        "bind 'listen' in the YAML of {own} to its address there (tcp:0:interface=ADDRESS)",
    ),
    _Hint("isn't within", "let 'listen' and 'limits' in the YAML of {own} keep to what the reason says"),
    _Hint("it is stopping", "start the daemon of {target} again"),
    _Hint(
        "doesn't speak for", "see that 'neighbours' in the YAML of {far_router} names the right router for each cluster"
    ),
    _Hint("isn't registered", "try again: {own} is registering anew"),
    _Hint("", "change what the reason names; the logs of {far_router} and {target} have it as well"),
)

_BUSY: _Hints = (
    _Hint(
        "requests a second|connection attempts of",
        "let {own} ask less at once, or raise requests_per_s and attempts_in_flight under 'limits' in the YAML of "
        "{router}",
        LegName.ROUTER,
    ),
    _Hint(
        "questions to|instructions under way",
        "try again later, or raise limits.lookups_in_flight in the YAML of {router} and {far_router}",
        LegName.NEIGHBOUR,
    ),
    _Hint(
        "didn't answer its router",
        "the daemon of {target} hangs, or its machine has lost the network: see its log, and start it again",
    ),
    _Hint("", "try again later, or raise limits.attempts_in_flight in the YAML of {target}"),
)


_NO_NEIGHBOUR: _Hints = (
    _Hint(
        "isn't a neighbour",
        "add cluster {own_cluster} to 'neighbours' in the YAML of {far_router}, and start it again: of two, each "
        "must name the other",
    ),
    _Hint(
        "",
        "see that {far_router} runs and that no firewall is between the two; the log of {router} says why it can't "
        "reach it, and 'p2p --config FILE status' with the YAML of {router} whether it does",
    ),
)


def _unanswered(way: Ends, moments: Moments, error: P2PError) -> Finding:
    """The router answered the question with an error, or not at all."""
    outcome, text = _outcome(error), str(error)
    if isinstance(error, UnknownCluster):
        remedy = "check the name; if there is such a cluster, add it to 'neighbours' in the YAML of {router}"
        return Finding(way.neighbour, outcome, text, way.say(remedy))
    if isinstance(error, ClusterUnreachable):
        return Finding(way.neighbour, outcome, text, way.say(_remedy(_NO_NEIGHBOUR, text)))
    if isinstance(error, UnknownPeer):
        leg = LegName.INSTRUCT if "went away" in text else way.table
        remedy = (
            "start the daemon of {target}, or see in its log why it isn't registered at {far_router}; those who are: "
            "p2p peers {cluster}"
        )
        return Finding(leg, outcome, text, way.say(remedy))
    if isinstance(error, Refused):
        leg = LegName.ROUTER if "isn't registered" in text else LegName.INSTRUCT
        return Finding(leg, outcome, text, way.say(_remedy(_REFUSED, text)))
    if isinstance(error, Busy):
        times = f" (asked {moments.asked} times within {way.ticket_s:g} s)" if moments.asked > 1 else ""
        hint = next(one for one in _BUSY if re.search(one.pattern, text))
        leg = way.neighbour if hint.leg is LegName.NEIGHBOUR else hint.leg
        return Finding(leg, outcome, _RETRY.sub("", text) + times, way.say(hint.remedy))
    remedy = "see whether {router} runs, and its log; {own} connects again by itself"
    if isinstance(error, ControlTimeout):
        remedy = "see whether {router} is overloaded or hangs, and its log"
    return Finding(LegName.ROUTER, outcome, text, way.say(remedy))


# -- the connection ---------------------------------------------------------------------------------------------------

_NO_TLS: _Hints = (
    _Hint(
        "expected .* but the certificate",
        "give the daemon of {target} the certificate of {target} (p2p lab issue {target}); or somebody else called, "
        "then the log of {target} says what its own connection met",
    ),
    _Hint(
        "alert.* expired",  # the other end says it of ours
        "the certificate of {own} has expired, as {target} sees it: make {own} a new one (p2p lab issue {own}), start "
        "its daemon again, and compare the clocks of both machines",
    ),
    _Hint(
        "expired",
        "make {target} a new certificate (p2p lab issue {target}), start its daemon again, and compare the clocks of "
        "both machines",
    ),
    _Hint(
        "verify failed|unknown ca|unknown_ca|bad certificate|certificate unknown|certificate",
        "both peers need certificates of one lab that are valid now: compare 'authority' in the two YAML files, and "
        "the clocks of both machines",
    ),
    _Hint(
        "wrong version number|http request|unsupported|unexpected|no common application protocol|doesn't speak",
        "something else than a peer of this version called: see what sends to this port, and install the same "
        "version of p2p on both machines",
    ),
    _Hint(
        "no hello within",
        "see whether something between the machines holds TLS up (a firewall that inspects it, a proxy), and the log "
        "of {target}",
    ),
    _Hint("", "see the log of {target}: it says why it ended the connection; if it accepts the certificate of {own}"),
)

_NO_TICKET: _Hints = (
    _Hint("version", "install the same version of p2p on both machines"),
    _Hint("ticket", "try again: each attempt has a fresh ticket; if it goes on, see the log of {target}"),
    _Hint("no hello within", "see the log of {target}: it connected and then said nothing"),
    _Hint("", "see the log of {target}: it says why it ended the connection before the link stood"),
)


def _unconnected(way: Ends, moments: Moments, failure: AttemptFailed) -> Finding:
    """The routers did their part, and yet no link came to stand."""
    caller = _most_likely(moments)
    if caller is not None:
        reason = caller.reason or f"it was still under way when the ticket died, after {way.ticket_s:g} s"
        if caller.secured_ns:
            cause = f"{caller.remote} connected as {way.target}, but didn't become the link: {reason}"
            return Finding(LegName.TICKET, failure.outcome, cause, way.say(_remedy(_NO_TICKET, reason)))
        if _is_target(caller, moments):
            leg = LegName.TICKET if "ticket" in reason else LegName.TLS
            cause = f"{caller.remote} connected, but isn't {way.target}, as far as it has proved: {reason}"
            hints = _NO_TICKET if leg is LegName.TICKET else _NO_TLS
            return Finding(leg, failure.outcome, cause, way.say(_remedy(hints, reason)))
    if moments.failures or moments.target_port:
        return Finding(LegName.DIAL, failure.outcome, str(failure), way.say(_remedy_of_dials(moments)))
    if not moments.dialling:
        cause = f"{way.target} was asking for {way.own} itself, which went first, but no link came of it"
        return Finding(LegName.DIAL, failure.outcome, cause, way.say("try again; the log of {target} has more"))
    if failure.outcome is not Outcome.CONNECT_FAILED:
        remedy = "try again; the log of {own}'s daemon says what it was doing"
        return Finding(LegName.DIAL, failure.outcome, str(failure), way.say(remedy))
    told = told_to_dial(way.target, moments.dials, moments.port)
    cause = f"{told}, and no connection came within {way.ticket_s:g} s"
    if caller is not None:
        cause += f"; only {caller.remote} did, which isn't its address: {caller.reason or 'it said nothing'}"
    remedy = (
        f"let the firewall of {way.own}'s machine accept TCP from {moments.address or way.target} to port "
        f"{moments.port}, and to the others from which the system takes a fresh one for each link; the log of "
        f"{way.target} says what its connection met"
    )
    return Finding(LegName.DIAL, failure.outcome, cause, remedy)


_FAILED_DIALS: dict[str, str] = {
    DialFailure.REFUSED: "let the firewall of {own}'s machine accept TCP from {target}, also to the other ports from "
    "which the system takes a fresh one for each link; if that address isn't the one of {own}'s machine, a NAT is "
    "between: have {target} ask for the link, or grant another address with 'networks' in the YAML of {far_router}",
    DialFailure.SILENT: "let the firewalls of both machines, and those between, pass TCP from {target} to {own}, also "
    "to the other ports from which the system takes a fresh one for each link; if that isn't the address of {own}'s "
    "machine, a NAT is between: have {target} ask for the link",
    DialFailure.UNREACHABLE: "see how {target}'s machine would get to that address (ip route get ADDRESS); if it "
    "can't, grant another one of {own} with 'networks' in the YAML of {far_router}",
    DialFailure.FORBIDDEN: "let the firewall of {target}'s machine pass outgoing TCP to {own}",
    DialFailure.NO_LINK: "see the log of {target}: it says what its connection met; another machine or service may "
    "have that address",
}


_NO_WAY: Final = (
    "let the firewall of one of the two machines accept TCP from the other, to the ports from which the system takes a "
    "fresh one for each link, or to those that 'ports' in its YAML names; docs/reach.rst has what comes of which "
    "firewalls and NATs"
)


def _remedy_of_dials(moments: Moments) -> str:
    if no_common_family(moments.address, moments.dials):
        return (
            "{target} and {own} have no IP version in common, as their routers see them: give both machines an address "
            "of one, and let 'router' in both YAML files name the routers' addresses of that version"
        )
    kinds = [failure for _, failure in moments.failures]
    if not kinds:
        return _NO_WAY
    other = "see the log of {target}: it says what its connection met"
    return next((_FAILED_DIALS[kind] for kind in kinds if kind in _FAILED_DIALS), other)


def _most_likely(moments: Moments) -> Steps | None:
    """The caller that came furthest, those from the target's own address first."""
    return max(
        moments.callers, key=lambda one: (one.secured_ns > 0, _is_target(one, moments), one.connected_ns), default=None
    )


def _is_target(caller: Steps, moments: Moments) -> bool:
    return not moments.address or host_of(caller.remote) == host_of(moments.address)


# -- the link ---------------------------------------------------------------------------------------------------------


def explain_ping(way: Ends, seconds: float | None) -> Finding:
    """Say that a link that stands doesn't answer.

    :param seconds: for how long; None if it ended instead.
    """
    if seconds is None:
        cause, outcome = f"the link to {way.target} ended before the ping came back", Outcome.RESET
    else:
        cause, outcome = f"{way.target} hasn't answered a ping over the link for {seconds:g} s", Outcome.TIMEOUT
    remedy = (
        "see whether the machine of {target} is up; 'p2p why --fresh {target}' closes this link and makes a new one"
    )
    return Finding(LegName.PING, outcome, cause, way.say(remedy))


_EXCHANGE: dict[Outcome, str] = {
    Outcome.REFUSED: "the link is good; see which content services {target} has installed and what it accepts",
    Outcome.TIMEOUT: "the link stands, but {target} doesn't serve it: its daemon is overloaded or hangs, see its log",
    Outcome.CORRUPT: "install the same version of p2p on both machines",
}


def explain_exchange(way: Ends, failure: ExchangeFailed) -> Finding:
    """Say why an echo over a link that stands didn't come back."""
    remedy = _EXCHANGE.get(failure.outcome, "try again; the log of {target} says why the link or the exchange ended")
    return Finding(LegName.EXCHANGE, failure.outcome, str(failure), way.say(remedy))


def _remedy(hints: _Hints, text: str, other: str = "") -> str:
    return next((hint.remedy for hint in hints if re.search(hint.pattern, text, re.IGNORECASE)), other)


def _outcome(error: P2PError) -> Outcome:
    outcome = getattr(error, "outcome", None)
    return outcome if isinstance(outcome, Outcome) else Outcome.CLUSTER_UNREACHABLE

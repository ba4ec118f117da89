"""Who asks whom: checking a request, and finding the router that has its target. Pure."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from enum import Enum

from p2p.base.addresses import PORTS, NotAllowed, checked_address
from p2p.base.errors import InvalidName, P2PError
from p2p.base.names import PeerName, parse_peer
from p2p.base.ticket import NONCE_BYTES

__all__ = [
    "CANDIDATES",
    "LIFETIME_S",
    "RELAYS",
    "ConnectRequest",
    "Forbidden",
    "Route",
    "check_relays",
    "check_request",
]
__all__ += ["route"]

LIFETIME_S = 300.0
"""Seconds that a ticket may live at most."""

CANDIDATES = 8
"""Addresses that a request may name at most: a machine rarely has more, and each is one the target may dial."""


class Forbidden(P2PError):
    """A request breaks a rule of the router; the text says which."""


RELAYS = 4
"""Relays that a router names at most."""


class Route(Enum):
    """Where the target of a request is to be found."""

    HERE = "here"
    NEIGHBOUR = "neighbour"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """A checked request for a direct link.

    :ivar target: the peer that shall dial.
    :ivar initiator: the peer that asks and listens.
    :ivar port: where it listens.
    :ivar ticket: what the target has to show there.
    :ivar lifetime: how many seconds the ticket lives.
    :ivar plain: whether a link without TLS is offered.
    :ivar candidates: further addresses of the initiator.
    :ivar reports: whether the initiator wants to hear of a dial that came to nothing.
    :ivar reaches: whether the initiator dials as well.
    :ivar relays: the relays that the initiator's router names.
    """

    target: PeerName
    initiator: PeerName
    port: int
    ticket: bytes
    lifetime: float
    plain: bool
    candidates: tuple[str, ...]
    reports: bool = False
    reaches: bool = False
    relays: tuple[str, ...] = ()


def route(cluster: str, own: str, neighbours: Container[str]) -> Route:
    """Decide where the peers of ``cluster`` are: with this router of cluster ``own``, a neighbour, or nobody known."""
    if cluster == own:
        return Route.HERE
    return Route.NEIGHBOUR if cluster in neighbours else Route.UNKNOWN


def check_request(
    *,
    target: str,
    initiator: str,
    port: int,
    ticket: bytes,
    lifetime: float,
    plain: bool,
    candidates: Sequence[str],
    reports: bool | None = None,
    reaches: bool | None = None,
    relays: Sequence[str] | None = None,
) -> ConnectRequest:
    """Check the arguments of RequestConnect and InstructConnect.

    :raises InvalidName: if ``target`` isn't the name of a peer, so nobody has it.
    :raises Forbidden: with the reason, if anything else isn't as it must be.
    """
    whom = parse_peer(target)
    try:
        who = parse_peer(initiator)
    except InvalidName as error:
        raise Forbidden(f"the initiator can't be: {error}") from error
    if whom == who:
        raise Forbidden(f"{who} asks for a link to itself")
    if port not in PORTS:
        raise Forbidden(f"port {port!s:.20} isn't within {PORTS.start} to {PORTS.stop - 1}")
    if len(ticket) != NONCE_BYTES:
        raise Forbidden(f"the ticket has {len(ticket)} bytes, not {NONCE_BYTES}")
    if not 0 < lifetime <= LIFETIME_S:  # also false for a NaN
        raise Forbidden(f"the ticket lives {lifetime:g} s, which isn't within 0 to {LIFETIME_S:g}")
    if len(candidates) > CANDIDATES:
        raise Forbidden(f"{len(candidates)} candidates are more than {CANDIDATES}")
    try:
        addresses = tuple(str(checked_address(one)) for one in candidates)
    except NotAllowed as error:
        raise Forbidden(f"a candidate can't be dialled: {error}") from error
    return ConnectRequest(
        whom, who, port, ticket, lifetime, plain, addresses, bool(reports), bool(reaches), check_relays(relays)
    )


def check_relays(names: Sequence[str] | None) -> tuple[str, ...]:
    """Check the names of relays that another router names; None are none.

    :raises Forbidden: if they aren't names of peers, or too many.
    """
    if names and len(names) > RELAYS:
        raise Forbidden(f"{len(names)} relays are more than {RELAYS}")
    try:
        return tuple(str(parse_peer(one)) for one in names or ())
    except InvalidName as error:
        raise Forbidden(f"a relay can't be: {error}") from error

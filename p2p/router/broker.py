"""Who asks whom: checking a request, and finding the router that has its target. Pure."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NotRequired, TypedDict, Unpack

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
    "LinkQuestion",
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
    :ivar attached: addresses of the initiator for who is attached to their network.
    :ivar mapped: the port at which the initiator's router saw its fresh port, where that is known.
    :ivar observe: whether the target is to learn where its own is seen.
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
    attached: tuple[str, ...] = ()
    mapped: int | None = None
    observe: bool = False


def route(cluster: str, own: str, neighbours: Container[str]) -> Route:
    """Decide where the peers of ``cluster`` are: with this router of cluster ``own``, a neighbour, or nobody known."""
    if cluster == own:
        return Route.HERE
    return Route.NEIGHBOUR if cluster in neighbours else Route.UNKNOWN


class LinkQuestion(TypedDict):
    """The arguments of RequestConnect, or of InstructConnect, that are to be checked, and who asks."""

    target: str
    initiator: str
    port: int
    ticket: bytes
    lifetime: float
    plain: bool
    candidates: Sequence[str]
    reports: NotRequired[bool | None]
    reaches: NotRequired[bool | None]
    relays: NotRequired[Sequence[str] | None]
    attached: NotRequired[Sequence[str] | None]
    mapped: NotRequired[int | None]
    observe: NotRequired[bool | None]


def check_request(**asked: Unpack[LinkQuestion]) -> ConnectRequest:
    """Check the arguments of RequestConnect and InstructConnect.

    :raises InvalidName: if ``target`` isn't the name of a peer, so nobody has it.
    :raises Forbidden: with the reason, if anything else isn't as it must be.
    """
    whom, port, ticket, lifetime = parse_peer(asked["target"]), asked["port"], asked["ticket"], asked["lifetime"]
    mapped = asked.get("mapped")
    try:
        who = parse_peer(asked["initiator"])
    except InvalidName as error:
        raise Forbidden(f"the initiator can't be: {error}") from error
    if whom == who:
        raise Forbidden(f"{who} asks for a link to itself")
    for number in (port, port if mapped is None else mapped):
        if number not in PORTS:
            raise Forbidden(f"port {number!s:.20} isn't within {PORTS.start} to {PORTS.stop - 1}")
    if len(ticket) != NONCE_BYTES:
        raise Forbidden(f"the ticket has {len(ticket)} bytes, not {NONCE_BYTES}")
    if not 0 < lifetime <= LIFETIME_S:  # also false for a NaN
        raise Forbidden(f"the ticket lives {lifetime:g} s, which isn't within 0 to {LIFETIME_S:g}")
    return ConnectRequest(
        whom,
        who,
        port,
        ticket,
        lifetime,
        asked["plain"],
        _addresses(asked["candidates"]),
        bool(asked.get("reports")),
        bool(asked.get("reaches")),
        check_relays(asked.get("relays")),
        _addresses(asked.get("attached") or ()),
        mapped,
        bool(asked.get("observe")),
    )


def _addresses(named: Sequence[str]) -> tuple[str, ...]:
    """Check addresses that a request names.

    :raises Forbidden: with the reason.
    """
    if len(named) > CANDIDATES:
        raise Forbidden(f"{len(named)} candidates are more than {CANDIDATES}")
    try:
        return tuple(str(checked_address(one)) for one in named)
    except NotAllowed as error:
        raise Forbidden(f"a candidate can't be dialled: {error}") from error


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

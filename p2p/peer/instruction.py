"""What a router may have its peer dial: a router is trusted to pass on, not to be free of faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from p2p.base.addresses import PORTS, Address, NotAllowed, checked_address
from p2p.base.names import parse_peer
from p2p.base.texts import printable
from p2p.base.ticket import NONCE_BYTES, Ticket
from p2p.control.commands import Refused
from p2p.peer.offered import OwnAddresses

__all__ = [
    "DIALS_EACH",
    "MAX_CANDIDATES",
    "NAMED",
    "Instruction",
    "check_instruction",
    "check_reachable",
    "failures_of",
    "named_relays",
    "near",
]

DIALS_EACH: Final = 4
"""Dials under way for one initiator, so that it can't use up those of others; a second one is rare already."""

NAMED: Final = 8
"""Addresses of its own that a peer names at most."""

MAX_RELAYS: Final = 4
"""Relays that are tried for one link."""

MAX_CANDIDATES: Final = NAMED + 1
"""Addresses in an instruction: the one that a router observed, and those that a request may name besides."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """An InstructConnect that was checked.

    :ivar reports: whether who asked for the dial wants to hear of it if it comes to nothing.
    :ivar reaches: whether the initiator dials as well.
    :ivar relays: where both ends meet if neither can dial the other.
    :ivar attached: addresses of the initiator on networks to which this machine is attached, seen at its own address.
    :ivar mapped: the port at which the initiator's fresh port was seen, at the first of the candidates.
    :ivar observe: whether this end is to learn where its own is seen.
    """

    ticket: Ticket
    candidates: list[str]
    port: int
    plain: bool
    reports: bool
    reaches: bool = False
    relays: tuple[str, ...] = ()
    attached: tuple[str, ...] = ()
    mapped: int | None = None
    observe: bool = False

    @property
    def endpoints(self) -> list[tuple[str, int]]:
        """Where the initiator may be, best first."""
        return [(host, self.port) for host in (*self.attached, *self.candidates)] + self.mapping

    @property
    def mapping(self) -> list[tuple[str, int]]:
        """Where a NAT has its fresh port, if that is known."""
        return [] if self.mapped is None else [(self.candidates[0], self.mapped)]

    def report(self, failures: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """The arguments of DialFailed for the addresses that were dialled in vain, and the kind of each failure."""
        return {
            "target": self.ticket.target,
            "initiator": self.ticket.initiator,
            "ticket": self.ticket.nonce,
            "addresses": [address for address, _ in failures],
            "failures": [failure for _, failure in failures],
        }


def failures_of(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the arguments of DialFailed say: addresses, no more than can be, and the kind of each failure."""
    return list(zip(report["addresses"], report["failures"], strict=False))[:MAX_CANDIDATES]


def check_instruction(
    arguments: Mapping[str, Any],
    name: str,
    own: OwnAddresses,
    *,
    nearby: bool,
    plain: bool,
    now: float,
    longest_s: float,
) -> Instruction:
    """Take an InstructConnect apart.

    :param name: the peer that got it, and ``own`` the addresses of its machine.
    :param nearby: whether its router is on this machine.
    :param plain: whether this peer allows links without TLS.
    :param longest_s: seconds for which a ticket is dialled at most.
    :raises Refused: with the reason, if it makes no sense, or would have this peer dial what nobody may be told to.
    """
    initiator, port, lifetime = arguments["initiator"], arguments["port"], arguments["lifetime"]
    if arguments["target"] != name:
        raise Refused(f"this is {name}, not {arguments['target'][:80]!r}")
    try:
        parse_peer(initiator)
        addresses = [str(_dialable(text, nearby)) for text in arguments["candidates"][: MAX_CANDIDATES + 1]]
        relays = named_relays(arguments.get("relays"))
    except (ValueError, NotAllowed) as error:
        raise Refused(f"{name} can't use this instruction: {printable(str(error))[:200]}") from error
    valid = (
        initiator != name
        and port in PORTS
        and 0 < lifetime < float("inf")
        and (addresses or relays)
        and len(addresses) <= MAX_CANDIDATES
        and len(arguments["ticket"]) == NONCE_BYTES
        and _is_mapped(arguments.get("mapped"), addresses)
    )
    if not valid:
        raise Refused(f"{name} can't use this instruction: bad values")
    ticket = Ticket(arguments["ticket"], initiator, name, now + min(lifetime, longest_s))
    return Instruction(
        ticket,
        addresses,
        port,
        arguments["plain"] and plain,
        reports=bool(arguments.get("reports")),
        reaches=bool(arguments.get("reaches")),
        relays=relays,
        attached=near(arguments.get("attached"), own),
        mapped=arguments.get("mapped"),
        observe=bool(arguments.get("observe")),
    )


def near(addresses: Sequence[str] | None, own: OwnAddresses) -> tuple[str, ...]:
    """Those of the addresses that a router names for who is attached to their networks which this machine may dial."""
    return tuple(own.attached((addresses or ())[:NAMED]))


def _is_mapped(port: int | None, addresses: Sequence[str]) -> bool:
    """Whether a port at which a NAT has a fresh port can be one."""
    return port is None or (port in PORTS and bool(addresses))


def named_relays(names: Sequence[str] | None) -> tuple[str, ...]:
    """The relays that a router names, as many as are tried; those that can't be are left out."""
    relays = []
    for name in (names or ())[:MAX_RELAYS]:
        try:
            relays.append(str(parse_peer(name)))
        except ValueError:
            continue
    return tuple(relays)


def check_reachable(port: int, addresses: Sequence[str], *, nearby: bool, mapped: int | None = None) -> list[str]:
    """Check where a router says that a target can be dialled.

    :param mapped: the port at which a NAT has the target's, at the first of the addresses.
    :raises Refused: with the reason, if nobody may be told to dial that.
    """
    try:
        checked = [str(_dialable(text, nearby)) for text in addresses[: MAX_CANDIDATES + 1]]
    except NotAllowed as error:
        raise Refused(f"the router has it dialled where nobody can be: {printable(str(error))[:200]}") from error
    if port not in PORTS or len(checked) > MAX_CANDIDATES or not _is_mapped(mapped, checked):
        raise Refused("the router has it dialled where nobody can be: bad values")
    return checked


def _dialable(text: str, nearby: bool) -> Address:
    """Check an address as a router does: a router on another machine doesn't aim this peer at its own machine."""
    address = checked_address(text)
    if address.is_loopback and not nearby:
        raise NotAllowed(f"{address} is an address of this machine, and the router is elsewhere")
    return address

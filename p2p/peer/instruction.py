"""What a router tells a peer to dial, checked: a router is trusted to pass on, not to be free of faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from p2p.base.names import parse_peer
from p2p.base.texts import printable
from p2p.base.ticket import NONCE_BYTES, Ticket
from p2p.control.commands import Refused

__all__ = ["MAX_CANDIDATES", "Instruction", "checked_instruction"]

MAX_CANDIDATES: Final = 9
"""Addresses in an instruction: the one that a router observed, and the eight that a request may name besides."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """An InstructConnect that was checked.

    :ivar reports: whether who asked for the dial wants to hear of it if it comes to nothing.
    """

    ticket: Ticket
    candidates: list[str]
    port: int
    plain: bool
    reports: bool


def checked_instruction(
    arguments: Mapping[str, Any], name: str, *, longest_s: float, plain: bool, now: float
) -> Instruction:
    """Take the arguments of InstructConnect apart.

    :param name: of the peer that is instructed.
    :param longest_s: seconds that a ticket lives here at most.
    :param plain: whether this peer allows plain links.
    :param now: seconds of the clock that the ticket dies by.
    :raises Refused: if they make no sense.
    """
    initiator, port, lifetime = arguments["initiator"], arguments["port"], arguments["lifetime"]
    if arguments["target"] != name:
        raise Refused(f"this is {name}, not {arguments['target'][:80]!r}")
    try:
        parse_peer(initiator)
        addresses = [str(ip_address(text)) for text in arguments["candidates"]]
    except ValueError as error:
        raise Refused(f"{name} can't use this instruction: {printable(str(error))[:200]}") from error
    if not (
        initiator != name
        and 0 < port < 65536
        and 0 < lifetime < float("inf")
        and 0 < len(addresses) <= MAX_CANDIDATES
        and len(arguments["ticket"]) == NONCE_BYTES
    ):
        raise Refused(f"{name} can't use this instruction: bad values")
    ticket = Ticket(arguments["ticket"], initiator, name, now + min(lifetime, longest_s))
    return Instruction(ticket, addresses, port, arguments["plain"] and plain, bool(arguments.get("reports")))

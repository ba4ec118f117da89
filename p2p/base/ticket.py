"""Tickets: the single-use secret that ties a connection to the request it answers.

The initiator makes a nonce of 32 random bytes and sends it to the target through the routers. On the direct link the
nonce itself never travels: the dialler shows a proof keyed with it, the listener answers with another. So whoever
sees a link's first bytes, even one without TLS, learns nothing that opens a second one. Pure: randomness and time
(monotonic seconds) are arguments.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final

from blake3 import blake3

from p2p.base.errors import P2PError

__all__ = ["NONCE_BYTES", "Ticket", "TicketBook", "TicketRefused"]

NONCE_BYTES: Final = 32


class TicketRefused(P2PError):
    """A proof opens nothing here: forged, for somebody else, used before, or too late."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What one connection attempt is good for.

    :ivar nonce: 32 random bytes, known to both peers and their routers alone.
    :ivar initiator: the name of the peer that asked and listens.
    :ivar target: the name of the peer that dials.
    :ivar expires: monotonic seconds on the clock of whoever holds this object.
    """

    nonce: bytes
    initiator: str
    target: str
    expires: float

    def dialler_proof(self) -> bytes:
        """What the target shows when it has dialled: 32 bytes."""
        return self._proof("dialler")

    def listener_proof(self) -> bytes:
        """What the initiator answers with: 32 bytes."""
        return self._proof("listener")

    def meeting(self) -> bytes:
        """Where the two ends meet at a relay: 32 bytes that tell nobody the nonce."""
        return blake3(b"p2p/1 relay", key=self.nonce).digest()

    def _proof(self, role: str) -> bytes:
        text = f"p2p/1 {role} {self.initiator} {self.target}"
        return blake3(text.encode(), key=self.nonce).digest()


class TicketBook:
    """The tickets that one peer has given out, each good for one connection."""

    def __init__(self) -> None:
        self._tickets: dict[bytes, Ticket] = {}

    def __len__(self) -> int:
        return len(self._tickets)

    def issue(self, nonce: bytes, initiator: str, target: str, expires: float) -> Ticket:
        """Enter a new ticket.

        :raises ValueError: if the nonce isn't 32 bytes or was issued before.
        """
        if len(nonce) != NONCE_BYTES or nonce in self._tickets:
            raise ValueError("a ticket's nonce must be 32 fresh random bytes")
        ticket = self._tickets[nonce] = Ticket(nonce, initiator, target, expires)
        return ticket

    def redeem(self, ticket: Ticket, dialler: str | None, proof: bytes, now: float) -> None:
        """Use a ticket up for the connection that shows this proof.

        :param dialler: the name in the dialler's certificate, None on a plain link.
        :raises TicketRefused: with the reason; a forged proof leaves the ticket usable for the right dialler.
        """
        if ticket.nonce not in self._tickets:
            raise TicketRefused(f"the ticket of {ticket.initiator} for {ticket.target} was used before")
        if now >= ticket.expires:
            self.void(ticket)
            raise TicketRefused(f"the ticket of {ticket.initiator} for {ticket.target} has expired")
        if dialler is not None and dialler != ticket.target:
            raise TicketRefused(f"the ticket is for {ticket.target}, not for {dialler}")
        if not hmac.compare_digest(proof, ticket.dialler_proof()):
            raise TicketRefused(f"the connection shows no valid ticket of {ticket.initiator} for {ticket.target}")
        self.void(ticket)

    def void(self, ticket: Ticket) -> None:
        """Make a ticket worthless, whether it was used or not."""
        self._tickets.pop(ticket.nonce, None)

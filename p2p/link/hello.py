"""The hello of a direct link: what each end must say and show before the connection is a link, and how far it came.

Each side sends one AMP box. The dialler's holds its proof of the ticket, the listener's the counterproof, and both the
version of the link protocol and how many streams this end allows. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from p2p.base.errors import ProtocolViolation
from p2p.base.ticket import Ticket
from p2p.link.boxes import Box, encode_box, text_of

__all__ = ["HELLO_BYTES", "VERSION", "Greeting", "LinkTerms", "Steps", "check_hello", "encode_hello"]

VERSION: Final = "1"
"""The version of the link protocol; both ends must speak the same."""

HELLO_BYTES: Final = 1024
"""The longest hello that is read."""


@dataclass(frozen=True, slots=True)
class LinkTerms:
    """What a connection must prove before it is a link.

    :ivar ticket: the ticket both sides hold; its target dials, its initiator listens.
    :ivar dialler: whether this end dialled, and so is the target.
    :ivar plain: whether the link runs without TLS; the ticket then is the only guard.
    :ivar redeem: the listener's check of the dialler's proof, given the dialler's proved name (None on a plain link);
        raises ``TicketRefused``.
    :ivar lost: whether this end has lost an earlier link, which the other end may still hold.
    """

    ticket: Ticket
    dialler: bool
    plain: bool
    redeem: Callable[[str | None, bytes], None] | None = None
    lost: bool = False

    @property
    def local(self) -> str:
        """The name of the peer at this end."""
        return self.ticket.target if self.dialler else self.ticket.initiator

    @property
    def remote(self) -> str:
        """The name of the peer at the other end."""
        return self.ticket.initiator if self.dialler else self.ticket.target


@dataclass(slots=True)
class Steps:
    """When a connection took its steps to a link, ns on the monotonic clock; 0 for those that it hasn't taken.

    :ivar remote: the address at its other end, ``host:port``.
    :ivar connected_ns: the TCP connection stood.
    :ivar secured_ns: TLS was done, and the certificate at the other end was the right peer's; 0 on a plain link.
    :ivar proved_ns: the ticket was proved: it is a link.
    :ivar reason: why it ended, empty while it stands.
    :ivar dialled: whether this end made it; of two dials that crossed, both ends did.
    """

    remote: str = ""
    connected_ns: int = 0
    secured_ns: int = 0
    proved_ns: int = 0
    reason: str = ""
    dialled: bool = False


class Greeting(NamedTuple):
    """What the other end says of itself.

    :ivar streams: how many it allows.
    :ivar lost: whether it has lost any earlier link of this pair.
    """

    streams: int
    lost: bool


def encode_hello(terms: LinkTerms, streams: int) -> bytes:
    """Return what this end says; the listener says it only after :func:`check_hello`."""
    ticket = terms.ticket
    proof = {"ticket": ticket.dialler_proof()} if terms.dialler else {"proof": ticket.listener_proof()}
    lost = {"lost": "yes"} if terms.lost else {}
    return encode_box({"version": VERSION, "streams": str(streams), **lost, **proof})


def check_hello(terms: LinkTerms, box: Box) -> Greeting:
    """Check what the other end said, using the ticket up.

    :raises ProtocolViolation: if it isn't the hello that it must be.
    :raises TicketRefused: if the dialler's proof isn't worth a link.
    """
    version, streams = text_of(box, "version"), text_of(box, "streams")
    if version != VERSION:
        raise ProtocolViolation(
            f"{terms.remote} speaks version {version[:40]!r} of the link protocol, and this is version {VERSION}"
        )
    if not (streams.isascii() and streams.isdecimal() and len(streams) <= 9 and int(streams)):
        raise ProtocolViolation(f"{terms.remote} doesn't say how many streams it allows")
    if terms.dialler:
        if box.get("proof") != terms.ticket.listener_proof():
            raise ProtocolViolation("the listener doesn't know the ticket that it should have given out")
    else:
        assert terms.redeem is not None
        terms.redeem(None if terms.plain else terms.remote, box.get("ticket", b""))
    return Greeting(int(streams), box.get("lost") == b"yes")

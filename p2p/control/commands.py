"""The AMP schema of the control channel: commands, their arguments and the errors they may answer with.

AMP (``twisted.protocols.amp``) drops a connection whose responder raises an error that the command doesn't declare,
so every expected one is declared here. The types of arguments are those of :mod:`p2p.control.arguments`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, ClassVar, Self, TypeVar

from twisted.internet.defer import Deferred
from twisted.protocols.amp import Command

from p2p.base.errors import Outcome, P2PError
from p2p.control.arguments import Boolean, Float, Integer, ListOf, String, Unicode

__all__ = [
    "Busy",
    "ClusterMismatch",
    "ClusterUnreachable",
    "ControlError",
    "DialFailed",
    "Enrol",
    "Farewell",
    "Go",
    "InstructConnect",
    "ListPeers",
    "LookupPeer",
    "NameMismatch",
    "Observe",
    "Ping",
    "Refused",
    "Register",
    "Renew",
    "RequestConnect",
    "Revoke",
    "TooManyPeers",
    "UnknownCluster",
    "UnknownPeer",
    "responder",
]


class ControlError(P2PError):
    """An error that a command declares; it travels as its code and its text.

    :cvar outcome: the outcome of an exchange that fails for this reason.
    """

    outcome: ClassVar[Outcome] = Outcome.REFUSED


class NameMismatch(ControlError):
    """The name that a peer registers isn't the one in its certificate."""


class ClusterMismatch(ControlError):
    """The peer belongs to another cluster than this router's."""


class TooManyPeers(ControlError):
    """The routing table is full."""


class UnknownPeer(ControlError):
    """No peer of this name is connected to its router."""

    outcome = Outcome.UNKNOWN_PEER


class UnknownCluster(ControlError):
    """The router has no neighbour for this cluster in its configuration."""

    outcome = Outcome.UNKNOWN_CLUSTER


class ClusterUnreachable(ControlError):
    """The router of this cluster is known but can't be reached now."""

    outcome = Outcome.CLUSTER_UNREACHABLE


class Refused(ControlError):
    """A rule of the router or of the target forbids the request."""


class Busy(ControlError):
    """A limit is reached; the text begins with the seconds after which to try again."""

    outcome = Outcome.TIMEOUT
    _RETRY = re.compile(r"retry after (\d{1,5}(?:\.\d{1,3})?) s: ")

    @classmethod
    def after(cls, seconds: float, why: str) -> Self:
        """Make the error with its retry time in seconds."""
        return cls(f"retry after {seconds:.3f} s: {why}")

    @property
    def retry_after(self) -> float:
        """Seconds to wait before the next try, between 0.01 and 60; 1 where the other side named none."""
        match = self._RETRY.match(str(self))
        return min(max(float(match.group(1)), 0.01), 60.0) if match else 1.0


class Register(Command):
    """Peer to router: enter me into your routing table.

    Answers the lease (seconds of silence after which the entry goes) and the address that the router observed.
    ``revocations`` is the largest number of those that the peer knows, if it takes :class:`Revoke`; ``renews`` says
    that the router takes :class:`Renew`.
    """

    arguments = [(b"name", Unicode()), (b"version", Unicode()), (b"revocations", Integer(optional=True))]
    response = [(b"lease", Float()), (b"observed", Unicode()), (b"renews", Boolean(optional=True))]
    errors = {
        NameMismatch: b"NAME_MISMATCH",
        ClusterMismatch: b"CLUSTER_MISMATCH",
        TooManyPeers: b"TOO_MANY_PEERS",
    }


class RequestConnect(Command):
    """Peer to router: have the target connect to the port that I listen on.

    ``candidates`` are further addresses of the asking peer, beside the one that the router observes; ``lifetime`` is
    that of the ticket in seconds; ``plain`` offers a link without TLS. Answers the target's address, how long the
    routing table and the other router took (ns; 0 for the router when it wasn't asked), whether the target dials
    (if not, its own request to the asking peer is under way and goes first), and whether the link will be plain.

    With ``reports`` the peer takes :class:`DialFailed`; ``dials`` are the addresses that the target was told to dial.
    With ``reaches`` the peer dials as well: ``port`` is the one that the target listens on, and ``reachable`` has the
    addresses at which it may dial that, best first; ``attached`` has further ones for a peer that is attached to their
    network itself. With ``goes`` the target takes :class:`Go`. ``relays`` are the names of the peers that both ends go
    to, in this order, where neither can dial the other.

    It may be asked again with the same ticket and ``observe``: then this end has done :class:`Observe` if it is behind
    a NAT, and the target does. ``mapped`` is the port at which the target was seen so, at the first of ``reachable``.
    """

    arguments = [
        (b"target", Unicode()),
        (b"port", Integer()),
        (b"ticket", String()),
        (b"lifetime", Float()),
        (b"plain", Boolean()),
        (b"candidates", ListOf(Unicode())),
        (b"reports", Boolean(optional=True)),
        (b"reaches", Boolean(optional=True)),
        (b"observe", Boolean(optional=True)),
    ]
    response = [
        (b"address", Unicode()),
        (b"table_lookup_ns", Integer()),
        (b"router_lookup_ns", Integer()),
        (b"dialling", Boolean()),
        (b"plain", Boolean()),
        (b"dials", ListOf(Unicode(), optional=True)),
        (b"port", Integer(optional=True)),
        (b"reachable", ListOf(Unicode(), optional=True)),
        (b"attached", ListOf(Unicode(), optional=True)),
        (b"mapped", Integer(optional=True)),
        (b"goes", Boolean(optional=True)),
        (b"relays", ListOf(Unicode(), optional=True)),
    ]
    errors = {
        UnknownPeer: b"UNKNOWN_PEER",
        UnknownCluster: b"UNKNOWN_CLUSTER",
        ClusterUnreachable: b"CLUSTER_UNREACHABLE",
        Refused: b"REFUSED",
        Busy: b"BUSY",
    }


class LookupPeer(Command):
    """Router to router: where is this peer of yours? Answers its address and the table look-up time in ns."""

    arguments = [(b"name", Unicode())]
    response = [(b"address", Unicode()), (b"table_lookup_ns", Integer())]
    errors = {UnknownPeer: b"UNKNOWN_PEER", Busy: b"BUSY"}


class InstructConnect(Command):
    """Router to router, then router to peer: the target shall dial the initiator.

    ``observed`` is the address that the initiator's router saw the initiator at (empty towards the peer, for which
    ``candidates`` holds everything it may dial, best first). Answers as :class:`RequestConnect` does.

    With ``reaches`` the initiator dials as well. A target that listens for it answers the ``port``, the same for every
    instruction with this ticket, and its own ``addresses``; its router adds the one at which it sees it, ``observed``.
    With ``goes`` it takes :class:`Go`.
    ``relays`` are those that the initiator's router names, or, if it names none, the target's; the latter answers them.

    ``attached``, either way, are further addresses, for who is attached to their network; routers pass them on only if
    they see both peers at one address. ``mapped``, either way, is the port at which the other end's fresh port was
    seen, at the address where it is observed, the first of ``candidates``. With ``observe`` the target does
    :class:`Observe` if it is behind a NAT.
    """

    arguments = [
        (b"target", Unicode()),
        (b"initiator", Unicode()),
        (b"observed", Unicode()),
        (b"candidates", ListOf(Unicode())),
        (b"port", Integer()),
        (b"ticket", String()),
        (b"lifetime", Float()),
        (b"plain", Boolean()),
        (b"reports", Boolean(optional=True)),
        (b"reaches", Boolean(optional=True)),
        (b"relays", ListOf(Unicode(), optional=True)),
        (b"attached", ListOf(Unicode(), optional=True)),
        (b"mapped", Integer(optional=True)),
        (b"observe", Boolean(optional=True)),
    ]
    response = [
        (b"dialling", Boolean()),
        (b"plain", Boolean()),
        (b"dials", ListOf(Unicode(), optional=True)),
        (b"port", Integer(optional=True)),
        (b"addresses", ListOf(Unicode(), optional=True)),
        (b"observed", Unicode(optional=True)),
        (b"attached", ListOf(Unicode(), optional=True)),
        (b"mapped", Integer(optional=True)),
        (b"goes", Boolean(optional=True)),
        (b"relays", ListOf(Unicode(), optional=True)),
    ]
    errors = {UnknownPeer: b"UNKNOWN_PEER", Refused: b"REFUSED", Busy: b"BUSY"}


class Observe(Command):
    """Peer to its router, over a connection from the fresh port of a request: where do you see this port?

    It is asked before, and instead of, Register. Answers address and port. The connection is held, so that a NAT in
    between keeps its mapping, until the peer ends it or 300 s are over; only while it stands the router knows the port
    for this ``ticket``.
    """

    arguments = [(b"ticket", String())]
    response = [(b"address", Unicode()), (b"port", Integer())]
    errors = {Refused: b"REFUSED", Busy: b"BUSY"}


class DialFailed(Command):
    """Target to its router, router to router, router to initiator: the dial for this ticket came to nothing.

    It is sent only where the request, or the instruction, had ``reports``. ``addresses`` are those that were dialled,
    and ``failures`` has the :class:`~p2p.base.errors.DialFailure` of each.
    """

    arguments = [
        (b"target", Unicode()),
        (b"initiator", Unicode()),
        (b"ticket", String()),
        (b"addresses", ListOf(Unicode())),
        (b"failures", ListOf(Unicode())),
    ]
    errors = {UnknownPeer: b"UNKNOWN_PEER", Refused: b"REFUSED", Busy: b"BUSY"}


class Go(Command):
    """Initiator to its router, router to router, router to target: dial now, as I do.

    It is sent only where the answer to the request had ``goes``, while both ends dial for this ticket.
    """

    arguments = [(b"target", Unicode()), (b"initiator", Unicode()), (b"ticket", String())]
    errors = {
        UnknownPeer: b"UNKNOWN_PEER",
        UnknownCluster: b"UNKNOWN_CLUSTER",
        ClusterUnreachable: b"CLUSTER_UNREACHABLE",
        Refused: b"REFUSED",
        Busy: b"BUSY",
    }


class ListPeers(Command):
    """Peer to router, and router to router: the names in a cluster, a page at a time.

    ``after`` is the last name of the page before, empty for the first; ``more`` says that another page follows.
    """

    arguments = [(b"cluster", Unicode()), (b"after", Unicode())]
    response = [(b"names", ListOf(Unicode())), (b"more", Boolean())]
    errors = {
        UnknownCluster: b"UNKNOWN_CLUSTER",
        ClusterUnreachable: b"CLUSTER_UNREACHABLE",
        Refused: b"REFUSED",
        Busy: b"BUSY",
    }


class Enrol(Command):
    """Router to signer: a new machine of this router's cluster wants a certificate.

    ``binding`` belongs to the connection between that machine and the router; the rest is what it has sent, see
    :mod:`p2p.control.joining`. Answers the certificate (DER), what the lab's peers ask of their links, and the proof.
    """

    arguments = [
        (b"name", Unicode()),
        (b"locator", Integer()),
        (b"key", String()),
        (b"binding", String()),
        (b"proof", String()),
    ]
    response = [(b"certificate", String()), (b"links", Unicode()), (b"proof", String())]
    errors = {Refused: b"REFUSED", Busy: b"BUSY"}


class Renew(Command):
    """Peer to router, router to signer: a new certificate for the same name and the same key.

    ``certificate`` is the one that ends, which is public: who hasn't its key can do nothing with the answer. A peer
    asks only if the answer to :class:`Register` has ``renews``.
    """

    arguments = [(b"certificate", String())]
    response = [(b"certificate", String())]
    errors = {Refused: b"REFUSED", Busy: b"BUSY"}


class Revoke(Command):
    """Signer to router, router to router, router to peer: these keys aren't believed any more.

    ``statements`` are the authority's, in order. A router is sent it by a neighbour only if its answer to Ping says
    that it takes them, a peer only if it has said so when it registered.
    """

    arguments = [(b"statements", ListOf(String()))]
    errors = {Refused: b"REFUSED", Busy: b"BUSY"}


class Ping(Command):
    """Either way, at any time: are you there?

    A router answers a neighbour's, and the signer's, with the largest number of the revocations that it knows.
    """

    response = [(b"revocations", Integer(optional=True))]


class Farewell(Command):
    """Either way, at the end: why the sender ends the connection now. It asks for no answer."""

    arguments = [(b"reason", Unicode())]
    requiresAnswer = False


_Method = TypeVar("_Method", bound=Callable[..., Coroutine[Deferred[Any], Any, Mapping[str, Any]]])


def responder(command: type[Command]) -> Callable[[_Method], _Method]:
    """Declare an ``async def`` method of a ``CommandLocator`` as the responder of a command.

    The method gets the command's arguments by name and returns a mapping of its answer, or raises one of the errors
    that the command declares; anything else is a bug, which is logged and ends the connection.
    """

    def declare(method: _Method) -> _Method:
        @wraps(method)
        def start(self: object, **arguments: Any) -> Deferred[Mapping[str, Any]]:
            return Deferred.fromCoroutine(method(self, **arguments))

        command.responder(start)
        return method

    return declare

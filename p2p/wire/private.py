"""The private parts of Twisted, pyOpenSSL and cryptography that make links fast, and what links do without them.

Anything private may go with an upgrade. So :data:`PARTS` names each such part, nothing outside this room uses any, and
:mod:`p2p.wire.bulk`, which is built of them, is loaded only where all are there. Where one is missing, links go through
Twisted's own transports: the same bytes on the network, the same limits, more work for the processor. Control channels
do so in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final, NamedTuple

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.reflect import namedAny
from zope.interface import implementer

__all__ = ["PARTS", "STOCK", "Part", "Way", "absent", "link_way", "missing", "warn_of_missing"]


class Part(NamedTuple):
    """A private part of another project.

    :ivar owner: the dotted name of the class or module that has it.
    :ivar name: of the attribute; of a class, one of its instances has it, once it is connected.
    :ivar use: what links want with it.
    """

    owner: str
    name: str
    use: str

    def __str__(self) -> str:
        return f"{self.owner}.{self.name}"


_BINDING: Final = "cryptography.hazmat.bindings.openssl.binding.Binding"
_CONNECTION: Final = "OpenSSL.SSL.Connection"
_TRANSPORT: Final = "twisted.protocols.tls.TLSMemoryBIOProtocol"

PARTS: Final = (
    Part(_BINDING, "ffi", "memory outside Python to receive into, and views of it"),
    Part(_BINDING, "lib", "OpenSSL's own functions, without a copy for each record"),
    Part(f"{_BINDING}.lib", "SSL_clear_mode", "many records for one call"),
    Part(f"{_BINDING}.lib", "SSL_MODE_ENABLE_PARTIAL_WRITE", "many records for one call"),
    Part(f"{_BINDING}.lib", "SSL_read", "to decrypt into memory of our own"),
    Part(f"{_BINDING}.lib", "SSL_set_fd", "to put OpenSSL on the socket"),
    Part(_CONNECTION, "_ssl", "the connection itself, for those functions"),
    Part(_CONNECTION, "_raise_ssl_error", "why SSL_read gave nothing"),
    Part(_CONNECTION, "_into_ssl", "is forgotten when OpenSSL is on the socket"),
    Part(_CONNECTION, "_from_ssl", "is forgotten when OpenSSL is on the socket"),
    Part(_TRANSPORT, "_tlsConnection", "the connection that encrypts and decrypts"),
    Part(_TRANSPORT, "_handshakeDone", "when OpenSSL may go on the socket"),
    Part(_TRANSPORT, "_lostTLSConnection", "whether TLS has ended"),
    Part(_TRANSPORT, "_aborted", "whether what arrives is still wanted"),
    Part(_TRANSPORT, "_producer", "whether anything may be written after the close"),
    Part(_TRANSPORT, "_appSendBuffer", "whether anything waits for the handshake"),
    Part(_TRANSPORT, "_bufferedWrite", "keeps what is written before the handshake"),
    Part(_TRANSPORT, "_tlsShutdownFinished", "ends the connection, for a reason"),
    Part(_TRANSPORT, "_shutdownTLS", "tells the other end; ours does it on the socket, too"),
    Part(_TRANSPORT, "_write", "is called for what waited; ours encrypts many records"),
    Part(_TRANSPORT, "_flushSendBIO", "is called after OpenSSL had something to say; ours takes all of it"),
    Part(_TRANSPORT, "_flushReceiveBIO", "is called when bytes came; ours decrypts many records"),
)
"""All of them. A test finds those that are used, and compares."""

log = Logger()


class Way(NamedTuple):
    """What TLS on a connection is made of.

    :ivar transport: the transport that the protocol sees.
    :ivar connection: makes OpenSSL's part, from a context.
    """

    transport: type[TLSMemoryBIOProtocol]
    connection: Callable[[SSL.Context], SSL.Connection]


def _connection(context: SSL.Context) -> SSL.Connection:
    return SSL.Connection(context, None)


STOCK: Final = Way(TLSMemoryBIOFactory.protocol, _connection)
"""Twisted's own, which gathers small writes until the reactor's next turn."""


def link_way() -> Way:
    """What links are made of here."""
    if missing():
        return STOCK
    from p2p.wire.bulk import BulkConnection, BulkTLS

    return Way(BulkTLS, BulkConnection)


@cache
def missing() -> tuple[str, ...]:
    """The full names of the parts that the installed releases don't have."""
    return absent(PARTS)


def warn_of_missing() -> None:
    """Log which parts are missing, if any."""
    if missing():
        log.warn(
            "links go through Twisted's own TLS, which works as well and costs more processor time: the installed "
            "Twisted, pyOpenSSL or cryptography has no {parts}; a newer p2p may know what took its place",
            parts=", ".join(missing()),
        )


def absent(parts: Iterable[Part]) -> tuple[str, ...]:
    """The full names of those of these parts that aren't there."""
    owners: dict[str, Any] = {}
    gone = []
    for part in parts:
        if part.owner not in owners:
            owners[part.owner] = _found(part.owner)
        if not hasattr(owners[part.owner], part.name):
            gone.append(str(part))
    return tuple(gone)


def _found(owner: str) -> Any:
    """The owner of parts, or an instance of it; None if there is none any more, or it works in another way."""
    try:
        return _SPECIMENS.get(owner, lambda found: found)(namedAny(owner))
    except Exception:  # noqa: BLE001 - whatever an upgrade changed: links can do without
        return None


def _a_connection(kind: Any) -> Any:
    return kind(SSL.Context(SSL.TLS_METHOD), None)


def _a_transport(kind: Any) -> Any:
    factory = TLSMemoryBIOFactory(_Listening(), False, Factory(), clock=_NOBODY)
    made = kind(factory, Protocol())
    made.makeConnection(object())  # one that listens says nothing until it is spoken to
    return made


@implementer(IOpenSSLServerConnectionCreator)
class _Listening:
    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return _connection(SSL.Context(SSL.TLS_METHOD))


_NOBODY: Any = object()  # takes the place of a clock that isn't looked at
_SPECIMENS: Final[dict[str, Callable[[Any], Any]]] = {_CONNECTION: _a_connection, _TRANSPORT: _a_transport}

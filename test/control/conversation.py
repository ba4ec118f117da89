"""Control channels joined in memory, with certificates but without the TLS handshake between them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL.crypto import X509
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.amp import AmpBox, CommandLocator, parseString
from twisted.python.failure import Failure

from p2p.base.errors import IdentityError
from p2p.control.channel import Channel
from p2p.control.commands import LookupPeer, responder
from p2p.identity.tls import CONTROL_ALPN

__all__ = [
    "CALL_S",
    "FOUND",
    "HANDSHAKE_S",
    "SILENCE_S",
    "FakeTLS",
    "Line",
    "Lookups",
    "Noted",
    "a_channel",
    "box",
    "certificate",
    "new_channel",
]

SILENCE_S, CALL_S, HANDSHAKE_S = 60.0, 10.0, 10.0

FOUND: dict[str, Any] = {"address": "198.51.100.4", "table_lookup_ns": 512}
"""An answer to LookupPeer."""


@cache
def certificate(*names: str) -> X509:
    """A certificate with these DNS names."""
    key = ec.generate_private_key(ec.SECP256R1())
    nobody = x509.Name([])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(nobody)
        .issuer_name(nobody)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), True)
    return X509.from_cryptography(builder.sign(key, hashes.SHA256()))


class FakeTLS(StringTransport):
    """What a channel sees of TLS and TCP below it, after a handshake with whoever has these names."""

    producer: Any

    def __init__(
        self, *names: str, alpn: bytes | None = CONTROL_ALPN, peer: str = "192.0.2.7", here: str = "192.0.2.1"
    ) -> None:
        super().__init__(IPv4Address("TCP", here, 5555), IPv4Address("TCP", peer, 40000))
        self.negotiatedProtocol = alpn
        self.aborted = False
        self._names = names

    def getPeerCertificate(self) -> X509 | None:
        return certificate(*self._names) if self._names else None

    def abortConnection(self) -> None:
        self.aborted = True

    def take(self) -> bytes:
        """What was written since the last look."""
        data: bytes = self.value()
        self.clear()
        return data

    def boxes(self) -> list[AmpBox]:
        """The boxes that were written since the last look."""
        boxes: list[AmpBox] = parseString(self.take())
        return boxes


def a_channel(
    clock: Clock,
    kind: type[Channel] = Channel,
    *,
    name: str = "n1.n",
    locator: CommandLocator | None = None,
    **more: Any,
) -> tuple[Any, FakeTLS]:
    """An open channel to ``name``, and its transport."""
    channel = kind(clock, silence_s=SILENCE_S, call_s=CALL_S, handshake_s=HANDSHAKE_S, locator=locator, **more)
    transport = FakeTLS(name)
    channel.makeConnection(transport)
    channel.handshakeCompleted()
    return channel, transport


class Line:
    """Two channels and the wire between them."""

    def __init__(self, one: Channel, other: Channel, *, one_name: str = "router.n", other_name: str = "n1.n") -> None:
        self.ends = ((one, FakeTLS(other_name)), (other, FakeTLS(one_name)))
        for channel, transport in self.ends:
            channel.makeConnection(transport)
        for channel, _ in self.ends:
            channel.handshakeCompleted()

    def settle(self) -> None:
        """Carry everything that was written to the other end, also what is answered, and then the ends."""
        (one, to_other), (other, to_one) = self.ends
        moved = True
        while moved:
            moved = False
            for transport, receiver in ((to_other, other), (to_one, one)):
                data = transport.take()
                if data:
                    moved = True
                    receiver.dataReceived(data)
        if any(transport.aborted or transport.disconnecting for _, transport in self.ends):
            self.cut()

    def cut(self, reason: Exception | None = None) -> None:
        """End the connection for both."""
        for channel, transport in self.ends:
            if transport.connected:
                transport.connected = False
                channel.connectionLost(Failure(reason or ConnectionDone()))


class Noted(Channel):
    """A channel that notes when it is told something."""

    refuse = ""

    def authenticated(self) -> None:
        self.notes = [f"authenticated {self.remote_name}"]
        if self.refuse:
            raise IdentityError(self.refuse)

    def closed(self, reason: Failure) -> None:
        self.notes = [*getattr(self, "notes", []), "closed"]


class Lookups(CommandLocator):
    """Answers LookupPeer when and how the test says."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[Mapping[str, Any]]] = []

    @responder(LookupPeer)
    async def lookup_peer(self, name: str) -> Mapping[str, Any]:
        waiting: Deferred[Mapping[str, Any]] = Deferred()
        self.waiting.append(waiting)
        return await waiting


def new_channel(clock: Clock, kind: type[Channel] = Noted) -> Any:
    return kind(clock, silence_s=SILENCE_S, call_s=CALL_S, handshake_s=HANDSHAKE_S)


def box(**fields: bytes) -> bytes:
    """A box on the wire; keys begin with an underscore where the argument ends with one."""
    serialized: bytes = AmpBox(
        {(f"_{key[:-1]}" if key[-1] == "_" else key).encode(): value for key, value in fields.items()}
    ).serialize()
    return serialized

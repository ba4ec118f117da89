"""How a machine that has no certificate gets one: two messages from the router, one to it, and no AMP.

The router speaks first and shows the lab's authorities; who joins compares them with the mark in its code, and says
nothing if none has it. Each message is a JSON object with its length in 4 bytes before it.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Annotated, Any, Final, NamedTuple, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.base.errors import P2PError, ProtocolViolation
from p2p.base.strict_json import read_json
from p2p.base.texts import TEXT_CHARACTERS, printable
from p2p.control.channel import ControlLost, ControlTimeout, reason_of
from p2p.identity.invitation import LOCATORS, InviteCode, mark_of, newcomer_proof, same_proof, signer_proof
from p2p.identity.pem_files import public_key_of
from p2p.identity.tls import JOIN_ALPN, binding_of, require_vouched

__all__ = ["MESSAGE_BYTES", "Enrolment", "JoinAnswer", "JoinGreeting", "JoinRefused", "JoinReply", "JoinRequest"]
__all__ += ["Joined", "Joining", "RenewRequest", "Renewing", "authorities_in", "read_message", "read_request"]

MESSAGE_BYTES: Final = 65_536
"""The longest message; a greeting with one authority has about 1 KiB."""

_LENGTH: Final = struct.Struct(">I")


class JoinRefused(P2PError):
    """The router, or the signer behind it, gives no certificate; the text says why."""


def _bytes(value: object) -> object:
    if isinstance(value, bytes):
        return value  # what is to be sent; JSON has no such
    if not isinstance(value, str):
        raise ValueError("isn't text")
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError("isn't base64") from error


Binary = Annotated[
    bytes,
    BeforeValidator(_bytes),
    PlainSerializer(lambda value: base64.b64encode(value).decode(), when_used="json"),
    Field(max_length=8192),
]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True, strict=True, extra="ignore")

    def frame(self) -> bytes:
        """The bytes that go over the connection."""
        data = json.dumps(self.model_dump(mode="json", exclude_none=True), separators=(",", ":")).encode()
        return _LENGTH.pack(len(data)) + data


_M = TypeVar("_M", bound=_Message)


class JoinGreeting(_Message):
    """The router's first message.

    :ivar authorities: the certificates of those that it trusts, DER.
    """

    authorities: Annotated[list[Binary], Field(min_length=1, max_length=16)]


class JoinRequest(_Message):
    """What a new machine asks for: a certificate for its key.

    :ivar key: SubjectPublicKeyInfo, DER.
    :ivar proof: see :func:`~p2p.identity.invitation.newcomer_proof`.
    """

    name: Annotated[str, Field(max_length=130)]
    locator: Annotated[int, Field(ge=0, lt=LOCATORS)]
    key: Binary
    proof: Binary


class RenewRequest(_Message):
    """What a machine asks for whose certificate has ended, so that its router can't let it in: one more for its key.

    :ivar renew: the certificate, DER. It is public, and so is the answer: nobody but who has the key can use it.
    """

    renew: Binary


class JoinAnswer(_Message):
    """A certificate, DER, what the lab's peers ask of their links, and the signer's proof of both."""

    certificate: Binary
    links: Annotated[str, Field(max_length=20)]
    proof: Binary


class JoinReply(_Message):
    """The router's second message: an answer, or why there is none."""

    answer: JoinAnswer | None = None
    refused: str | None = None


class Joined(NamedTuple):
    """What a new machine has got, and has checked."""

    authority: x509.Certificate
    certificate: x509.Certificate
    links: str


class _Framed(Protocol):
    """One end: takes messages apart, and has a deadline for the whole."""

    transport: Any

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._received = bytearray()
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._deadline = self._clock.callLater(self._seconds, self._late)

    def dataReceived(self, data: bytes) -> None:
        """Gather a message; more than the one that is awaited is a violation."""
        self._received += data
        try:
            if len(self._received) < _LENGTH.size:
                return
            (length,) = _LENGTH.unpack_from(self._received)
            if length > MESSAGE_BYTES:
                raise ProtocolViolation(f"a message of {length} bytes")
            if len(self._received) < _LENGTH.size + length:
                return
            if len(self._received) > _LENGTH.size + length:
                raise ProtocolViolation("more than one message")
            message = bytes(self._received[_LENGTH.size :])
            self._received.clear()
            self.taken(message)
        except ProtocolViolation as error:
            self.failed(error)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self.failed(ControlLost(f"the connection ended: {reason_of(reason)}"))

    def taken(self, message: bytes) -> None:
        """Take a message."""

    def failed(self, error: P2PError) -> None:
        """Be told that no more comes of this."""

    def _late(self) -> None:
        self._deadline = None
        self.failed(ControlTimeout(f"no answer within {self._seconds:g} s"))
        self.transport.abortConnection()


def read_message(kind: type[_M], data: bytes) -> _M:
    """Read a message.

    :raises ProtocolViolation: if it isn't one.
    """
    try:
        return kind.model_validate(read_json(data))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ProtocolViolation(f"a {kind.__name__} whose {printable(where) or 'whole'} doesn't fit") from error
    except ValueError as error:
        raise ProtocolViolation(f"a {kind.__name__} that can't be read: {error}") from error


def read_request(data: bytes) -> JoinRequest | RenewRequest:
    """Read what a machine asks for.

    :raises ProtocolViolation: if it is neither.
    """
    try:
        return read_message(RenewRequest, data)
    except ProtocolViolation:
        return read_message(JoinRequest, data)


class Joining(_Framed):
    """A router's end.

    :param authorities: what is shown to everybody, DER.
    :param ask: gets the request and the binding of the connection; may raise :class:`~p2p.base.errors.P2PError`.
    :param tell: is told why nothing came of it.
    :param left: is called when the connection has ended.
    """

    def __init__(
        self,
        clock: IReactorTime,
        seconds: float,
        authorities: Sequence[bytes],
        ask: Callable[[JoinRequest | RenewRequest, bytes], Coroutine[Any, Any, JoinAnswer]],
        tell: Callable[[str], object],
        left: Callable[[], object],
    ) -> None:
        super().__init__(clock, seconds)
        self._greeting = JoinGreeting(authorities=list(authorities))
        self._ask = ask
        self._tell = tell
        self._left = left
        self._asking: Deferred[None] | None = None
        self._over = False

    def connectionMade(self) -> None:
        super().connectionMade()
        self.transport.write(self._greeting.frame())

    def taken(self, message: bytes) -> None:
        if self._asking is not None:
            raise ProtocolViolation("a second request")
        request = read_request(message)
        self._asking = Deferred.fromCoroutine(self._answered(request, binding_of(self.transport)))

    async def _answered(self, request: JoinRequest | RenewRequest, binding: bytes) -> None:
        try:
            reply = JoinReply(answer=await self._ask(request, binding))
        except P2PError as error:
            who = printable(request.name) if isinstance(request, JoinRequest) else "who asks for a renewal"
            self._tell(f"{who} gets no certificate: {error}")
            reply = JoinReply(refused=str(error)[:TEXT_CHARACTERS])
        if not self._over:
            self._over = True
            self.transport.write(reply.frame())
            self.transport.loseConnection()

    def failed(self, error: P2PError) -> None:
        if not self._over:
            self._over = True
            self._tell(str(error))
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._left()


@implementer(IHandshakeListener)
class _Machine(_Framed):
    """A machine's end.

    :param router: the name that the router must have.
    :ivar joined: fires with what was got, or fails.
    """

    def __init__(self, clock: IReactorTime, seconds: float, router: str) -> None:
        super().__init__(clock, seconds)
        self.joined: Deferred[Joined] = Deferred()
        self._router = router
        self._authority: x509.Certificate | None = None

    def handshakeCompleted(self) -> None:
        if self.transport.negotiatedProtocol != JOIN_ALPN:
            self.failed(JoinRefused("it takes no invitations: its p2p is older than this one, or it is something else"))

    def taken(self, message: bytes) -> None:
        if self._authority is None:
            self._greeted(read_message(JoinGreeting, message))
        else:
            self._answered(self._authority, read_message(JoinReply, message))

    def believed(self, public_key: bytes) -> bool:
        """Whether an authority is the right one, by its SubjectPublicKeyInfo, DER."""
        raise NotImplementedError

    def request(self) -> _Message:
        """Return what to ask for."""
        raise NotImplementedError

    def check(self, answer: JoinAnswer, certificate: x509.Certificate) -> None:
        """See whether an answer is good.

        :raises ProtocolViolation: if it isn't.
        """
        raise NotImplementedError

    def _greeted(self, greeting: JoinGreeting) -> None:
        """See whether this is the right lab before anything is said."""
        try:
            known = [x509.load_der_x509_certificate(one) for one in greeting.authorities]
        except ValueError as error:
            raise ProtocolViolation("an authority whose certificate can't be read") from error
        found = [one for one in known if self.believed(public_key_of(one))]
        if not found:
            self.failed(JoinRefused("it isn't a router of the lab that made this code; it wasn't told anything"))
            return
        try:
            require_vouched(self.transport, found[0], self._router)
        except P2PError as error:
            self.failed(JoinRefused(f"{error}; it wasn't told anything"))
            return
        self._authority = found[0]
        self.transport.write(self.request().frame())

    def _answered(self, authority: x509.Certificate, reply: JoinReply) -> None:
        answer = reply.answer
        if answer is None:
            self.failed(JoinRefused(printable(reply.refused or "it gave no reason")))
            return
        try:
            certificate = x509.load_der_x509_certificate(answer.certificate)
        except ValueError as error:
            raise ProtocolViolation("a certificate that can't be read") from error
        self.check(answer, certificate)
        self.transport.loseConnection()
        self.joined.callback(Joined(authority, certificate, answer.links))

    def failed(self, error: P2PError) -> None:
        if not self.joined.called:
            self.joined.errback(error)
            self.transport.abortConnection()


class Enrolment(_Machine):
    """A new machine's end.

    :param name: whose certificate it shall be.
    :param key: SubjectPublicKeyInfo, DER.
    """

    def __init__(
        self, clock: IReactorTime, seconds: float, router: str, name: str, code: InviteCode, key: bytes
    ) -> None:
        super().__init__(clock, seconds, router)
        self._name = name
        self._code = code
        self._key = key

    def believed(self, public_key: bytes) -> bool:
        return mark_of(public_key) == self._code.mark

    def request(self) -> JoinRequest:
        proof = newcomer_proof(self._code.secret, binding_of(self.transport), self._name, self._key)
        return JoinRequest(name=self._name, locator=self._code.locator, key=self._key, proof=proof)

    def check(self, answer: JoinAnswer, certificate: x509.Certificate) -> None:
        wanted = signer_proof(self._code.secret, binding_of(self.transport), answer.certificate, answer.links)
        if not same_proof(wanted, answer.proof):
            raise ProtocolViolation("an answer that doesn't come from who made the code")
        if public_key_of(certificate) != self._key:
            raise ProtocolViolation("a certificate for another key")


class Renewing(_Machine):
    """The end of a machine whose certificate has ended.

    :param certificate: that one.
    :param authorities: the public keys of those that it trusts, SubjectPublicKeyInfo, DER.
    """

    def __init__(
        self,
        clock: IReactorTime,
        seconds: float,
        router: str,
        certificate: x509.Certificate,
        authorities: Collection[bytes],
    ) -> None:
        super().__init__(clock, seconds, router)
        self._certificate = certificate
        self._authorities = authorities

    def believed(self, public_key: bytes) -> bool:
        return public_key in self._authorities

    def request(self) -> RenewRequest:
        return RenewRequest(renew=self._certificate.public_bytes(serialization.Encoding.DER))

    def check(self, answer: JoinAnswer, certificate: x509.Certificate) -> None:
        """Whether it is for the right key and from the right authority is seen where it is taken into use."""


def authorities_in(pem: bytes) -> list[bytes]:
    """Return the certificates of a PEM file, DER.

    :raises ValueError: if they can't be read.
    """
    return [one.public_bytes(serialization.Encoding.DER) for one in x509.load_pem_x509_certificates(pem)]

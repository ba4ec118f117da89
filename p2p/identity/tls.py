"""TLS 1.3 with both sides verified, and who is at the other end.

One OpenSSL context serves every connection of an identity: a context a connection would cost memory and time. The
application protocol (ALPN) is set for each connection. The chain is checked by OpenSSL against the lab's authority
alone; the name in the certificate is checked with service_identity (RFC 9525).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL, crypto
from service_identity import VerificationError
from service_identity.cryptography import extract_patterns
from service_identity.hazmat import DNS_ID, DNSPattern, verify_service_identity
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
)
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.base.errors import IdentityError
from p2p.base.saving import save_file
from p2p.identity.invitation import BINDING_BYTES
from p2p.identity.pem_files import load_certificate, load_key, public_key_of
from p2p.identity.revocations import RevocationList, hash_of
from p2p.wire.private import STOCK, Way, link_way

__all__ = ["CONTROL_ALPN", "JOIN_ALPN", "LINK_ALPN", "Credentials", "Newcomer", "binding_of", "connection_failure"]
__all__ += ["remote_key", "remote_name", "require_believed", "require_name", "require_vouched"]

CONTROL_ALPN = b"p2p-control/1"
LINK_ALPN = b"p2p/1"
JOIN_ALPN = b"p2p-join/1"
"""The one protocol whose clients show no certificate, since it is there to get one."""

_BINDING_LABEL = b"EXPORTER-p2p-join"

_SUITES = b"TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
"""All suites that TLS 1.3 has for general use, the fastest that RFC 8446 makes mandatory first."""


_NOT_GOOD = {
    SSL.X509VerificationCodes.ERR_CERT_HAS_EXPIRED: "it has expired",
    SSL.X509VerificationCodes.ERR_CERT_NOT_YET_VALID: "it isn't valid yet, by the clock of this machine",
    SSL.X509VerificationCodes.ERR_INVALID_PURPOSE: "it isn't for this end of TLS",
}
"""Why a certificate of this lab isn't good; all else comes of its not being one."""

_OTHER = "the certificate of the other end"

_FOREIGN = "the authority of this lab doesn't vouch for it"


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class _Connections:
    """Makes the OpenSSL connections of one shared context that speak one application protocol.

    :param context: returns the context, which is another one after the certificate has been renewed.
    """

    def __init__(self, context: Callable[[], SSL.Context], alpn: bytes, way: Way) -> None:
        self._context = context
        self._alpn = alpn
        self._way = way

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = self._way.connection(self._context())
        connection.set_alpn_protos([self._alpn])
        return connection

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return self._way.connection(self._context())


class _TLSFactory(TLSMemoryBIOFactory):
    """Knows which application protocol its connections speak, and whether newcomers are let in besides."""

    alpn = b""
    joins = False
    patient = False
    revocations = RevocationList()


class Credentials:
    """The certificate and key of one router or peer, and the authority it trusts.

    :ivar name: the DNS name in the certificate, ``router.n`` or ``n1.n``.
    :ivar certificate: the certificate that is in use.
    :ivar revocations: whom not to believe although the authority vouches for them; whoever knows some sets it.
    :ivar patient: whether a router's certificate may have expired, for the signer alone, which is there to renew it.
    """

    def __init__(
        self,
        certificate: Path,
        key: Path,
        authority: Path,
        *,
        now: datetime | None = None,
        renewed: Path | None = None,
    ) -> None:
        """Load the files, all of them PEM.

        What the other end would refuse is refused here already, where the reason can be told.

        :param now: the time at which the certificate must be valid, if not the clock's.
        :param renewed: where a renewed certificate is kept. With it the certificate may have expired, since it can be
            renewed.
        :raises IdentityError: if a file can't be read or isn't what it should be, the key isn't the certificate's, or
            the certificate isn't the authority's, has expired, or isn't for both ends of TLS.
        """
        self.revocations = RevocationList()
        self.patient = False
        self._files = certificate, key, authority
        self._renewed = renewed
        self.name, self.certificate, self._context = self._load(now)

    @property
    def renewable(self) -> bool:
        """Whether there is a place for a renewed certificate."""
        return self._renewed is not None

    @property
    def authorities(self) -> list[bytes]:
        """The public keys of the authorities that are trusted, SubjectPublicKeyInfo, DER. Blocks for a moment.

        :raises IdentityError: if they can't be read.
        """
        try:
            found = x509.load_pem_x509_certificates(self._files[2].read_bytes())
        except (OSError, ValueError) as error:
            raise IdentityError(f"{self._files[2]}: the authority's certificate can't be read") from error
        return [public_key_of(one) for one in found]

    def reload(self) -> None:
        """Load the files again, for the connections that are made from now on.

        :raises IdentityError: as when they were loaded first; then nothing changes.
        """
        name, certificate, context = self._load(None)
        if name != self.name:
            raise IdentityError(f"{self._files[0]}: is the certificate of {name} now, not that of {self.name}")
        self.certificate, self._context = certificate, context

    def renew(self, certificate: bytes) -> None:
        """Take a renewed certificate for the same key into use, for the connections that are made from now on.

        Blocks while it is written.

        :param certificate: DER.
        :raises IdentityError: if it isn't one for this name and key, isn't the authority's, or can't be kept.
        """
        if self._renewed is None:
            raise IdentityError(f"there is no folder to keep the renewed certificate of {self.name} in")
        try:
            fresh = x509.load_der_x509_certificate(certificate)
        except ValueError as error:
            raise IdentityError("what came as a renewed certificate can't be read") from error
        where = f"the renewed certificate of {self.name}"
        if public_key_of(fresh) != public_key_of(self.certificate) or _only_name(fresh, where) != self.name:
            raise IdentityError(f"{where} is for another name, or another key")
        try:
            self._renewed.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            candidate = self._renewed.with_name(f".{self._renewed.name}.candidate")
            save_file(candidate, fresh.public_bytes(Encoding.PEM))
            _check_chain(fresh, candidate, self._files[2], datetime.now(UTC), expired=False)
            candidate.replace(self._renewed)
        except OSError as error:
            raise IdentityError(f"{self._renewed}: can't be written ({error.strerror})") from error
        self.reload()

    def _load(self, now: datetime | None) -> tuple[str, x509.Certificate, SSL.Context]:
        certificate, key, authority = self._files
        own = load_certificate(certificate)
        if self._renewed is not None and self._renewed.is_file():
            later = load_certificate(self._renewed)
            if public_key_of(later) == public_key_of(own) and later.not_valid_after_utc > own.not_valid_after_utc:
                own, certificate = later, self._renewed
        name = _only_name(_checked(own, str(certificate)), str(certificate))
        # OpenSSL would ask for the password of an encrypted key at the terminal, and names no file in its errors.
        if load_key(key).public_key() != own.public_key():
            raise IdentityError(f"{key}: isn't the private key of {certificate}; use the pair that was made together")
        context = _context(certificate, key, authority)
        _check_usage(own, certificate)
        _check_chain(own, certificate, authority, now or datetime.now(UTC), expired=self._renewed is not None)
        return name, own, context

    def wrap(
        self,
        factory: IProtocolFactory,
        *,
        client: bool,
        alpn: bytes,
        clock: IReactorTime,
        buffering: bool = True,
        joins: bool = False,
    ) -> TLSMemoryBIOFactory:
        """Put TLS under a factory's protocols.

        :param client: whether this end sends the ClientHello.
        :param alpn: the application protocol that both ends must speak.
        :param buffering: gather small writes until the reactor's next turn; without it, large ones are fast, unless
            :func:`~p2p.wire.private.missing` says what this takes.
        :param joins: whether this end, a server, also speaks :data:`JOIN_ALPN`, with clients without a certificate.
            What they speak stands in ``negotiatedProtocol`` of their transports.
        """
        way = STOCK if buffering else link_way()
        wrapped = _wrapped(lambda: self._context, factory, client, alpn, clock, way)
        wrapped.joins = joins
        wrapped.patient = self.patient
        wrapped.revocations = self.revocations
        return wrapped


class Newcomer:
    """The end of TLS that has no certificate yet: the client of a router, of which it checks the certificate itself."""

    def __init__(self) -> None:
        self._context = _bare_context()
        self._context.set_verify(SSL.VERIFY_PEER, lambda *about: True)  # see require_vouched

    def wrap(self, factory: IProtocolFactory, clock: IReactorTime) -> TLSMemoryBIOFactory:
        """Put TLS under a factory's protocols, which have to call :func:`require_vouched` before they say anything."""
        return _wrapped(lambda: self._context, factory, True, JOIN_ALPN, clock, STOCK)


def _wrapped(
    context: Callable[[], SSL.Context],
    factory: IProtocolFactory,
    client: bool,
    alpn: bytes,
    clock: IReactorTime,
    way: Way,
) -> _TLSFactory:
    wrapped = _TLSFactory(_Connections(context, alpn, way), client, factory, clock)
    wrapped.alpn = alpn
    wrapped.protocol = way.transport
    return wrapped


def binding_of(transport: Any) -> bytes:
    """Return a value that both ends of this TLS connection have, and nobody has on another (RFC 9266)."""
    exported: bytes = transport.getHandle().export_keying_material(_BINDING_LABEL, BINDING_BYTES)
    return exported


def require_vouched(transport: Any, authority: x509.Certificate, name: str, now: datetime | None = None) -> None:
    """Check that a TLS transport of a newcomer ends at ``name``, and that this authority vouches for that.

    :raises IdentityError: if it doesn't.
    """
    require_name(transport, name)
    store = crypto.X509Store()
    store.add_cert(crypto.X509.from_cryptography(authority))
    if now is not None:
        store.set_time(now.astimezone(UTC))
    own, *between = transport.getHandle().get_peer_cert_chain()
    try:
        crypto.X509StoreContext(store, own, between).verify_certificate()
    except crypto.X509StoreContextError as error:
        raise IdentityError(
            f"the lab's authority doesn't vouch for the certificate of {name} there: {error}"
        ) from error


def remote_name(transport: Any) -> str:
    """Return the name in the verified certificate at the other end of a TLS transport.

    :raises IdentityError: if it has no certificate, or one with none or several DNS names, with capitals in it, or that
        of an authority.
    """
    certificate = transport.getPeerCertificate()
    if certificate is None:
        raise IdentityError("the other end showed no certificate")
    return _only_name(_checked(certificate.to_cryptography(), _OTHER), _OTHER)


def remote_key(transport: Any) -> bytes:
    """Return what stands for the key at the other end of TLS, see :func:`~p2p.identity.revocations.hash_of`.

    :raises IdentityError: if it has shown none.
    """
    certificate = transport.getPeerCertificate()
    if certificate is None:
        raise IdentityError("the other end showed no certificate")
    return hash_of(public_key_of(certificate.to_cryptography()))


def require_believed(transport: Any) -> None:
    """Check that the key at the other end of a TLS transport isn't revoked, as far as that is known here.

    :raises IdentityError: if it is.
    """
    known: RevocationList | None = getattr(getattr(transport, "factory", None), "revocations", None)
    if known and remote_key(transport) in known:
        raise IdentityError("the lab's authority has revoked the key of the certificate at the other end")


def require_name(transport: Any, name: str) -> None:
    """Check with service_identity that a TLS transport ends at ``name``, with a key that isn't revoked.

    :raises IdentityError: if the certificate there is somebody else's, or one that nobody may have.
    """
    require_believed(transport)
    certificate = transport.getPeerCertificate()
    if certificate is None:
        raise IdentityError(f"expected {name}, but the other end showed no certificate")
    patterns = _patterns(certificate.to_cryptography(), _OTHER)
    try:
        verify_service_identity(patterns, obligatory_ids=[DNS_ID(name)], optional_ids=[])
    except VerificationError as error:
        shown = ", ".join(_dns_names(patterns)) or "no DNS name"
        raise IdentityError(f"expected {name}, but the certificate at the other end is for {shown}") from error


def connection_failure(reason: Failure) -> str:
    """Say in plain words why a connection ended, OpenSSL's alerts included."""
    error = reason.value
    if isinstance(error, SSL.Error):
        return f"TLS: {_reason(error)}"
    if isinstance(error, ConnectionDone):
        return "closed"
    if isinstance(error, ConnectionLost):
        return "the connection broke"
    return reason.getErrorMessage().strip().rstrip(".") or type(error).__name__


def _bare_context() -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(_SUITES)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    return context


def _context(certificate: Path, key: Path, authority: Path) -> SSL.Context:
    context = _bare_context()
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verified)
    context.set_alpn_select_callback(_select_alpn)
    try:
        context.use_certificate_chain_file(str(certificate))
        context.use_privatekey_file(str(key))
    except SSL.Error as error:
        raise IdentityError(f"{certificate}: OpenSSL can't use it with {key} ({_reason(error)})") from error
    try:
        context.load_verify_locations(str(authority))
    except SSL.Error as error:
        raise IdentityError(f"{authority}: no usable certificate authority ({_reason(error)})") from error
    return context


def _select_alpn(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    """Take the one protocol that this end speaks, or end the handshake with an alert (RFC 7301, section 3.2).

    Who offers to join is asked for no certificate, and speaks nothing else on this connection.
    """
    factory = connection.get_app_data().factory  # Twisted keeps its TLS protocol there
    wanted: bytes = factory.alpn
    if factory.joins and offered == [JOIN_ALPN]:
        connection.set_verify(SSL.VERIFY_NONE)
        return JOIN_ALPN
    if wanted not in offered:
        # Twisted treats OpenSSL's own error as a failed handshake, and any other as a bug.
        raise SSL.Error([("p2p", "", f"no common application protocol: it isn't {wanted.decode()}")])
    return wanted


def _verified(connection: SSL.Connection, certificate: crypto.X509, number: int, depth: int, good: int) -> bool:
    """Leave it to OpenSSL whether a certificate is good; where it isn't, have the error say why, as it doesn't else."""
    if number == SSL.X509VerificationCodes.ERR_CERT_HAS_EXPIRED and connection.get_app_data().factory.patient:
        return True
    if not good:
        raise SSL.Error([("p2p", "", f"certificate verify failed: {_NOT_GOOD.get(number, _FOREIGN)}")])
    return True


def _check_usage(own: x509.Certificate, path: Path) -> None:
    """Peers are the client of one link and the server of the next, and routers of one another."""
    try:
        usage = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH} <= set(usage):
        raise IdentityError(f"{path}: its extendedKeyUsage must hold serverAuth and clientAuth")


def _check_chain(own: x509.Certificate, path: Path, authority: Path, now: datetime, *, expired: bool) -> None:
    """Check that the authority vouches for a certificate now, or, if it may be ``expired``, that it did so."""
    if expired and now > own.not_valid_after_utc:
        now = own.not_valid_after_utc
    if now > own.not_valid_after_utc:
        raise IdentityError(
            f"{path}: the certificate expired on {own.not_valid_after_utc:%Y-%m-%d}; move it and its key away "
            "and make new ones: p2p lab issue"
        )
    if now < own.not_valid_before_utc:
        raise IdentityError(
            f"{path}: the certificate is valid from {own.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on; "
            "check this machine's clock"
        )
    store = crypto.X509Store()
    store.load_locations(str(authority))
    store.set_time(now.astimezone(UTC))
    between = [crypto.X509.from_cryptography(one) for one in x509.load_pem_x509_certificates(path.read_bytes())[1:]]
    try:
        crypto.X509StoreContext(store, crypto.X509.from_cryptography(own), between).verify_certificate()
    except crypto.X509StoreContextError as error:
        raise IdentityError(
            f"{path}: {authority} doesn't vouch for this certificate ({error}); use files of the same lab"
        ) from error


def _checked(certificate: x509.Certificate, where: str) -> x509.Certificate:
    """Refuse what no router or peer may have, though the authority vouches for it.

    The name is compared without regard to case, as names in DNS are (RFC 9525), but it is also a key in tables.
    """
    extensions = _extensions(certificate, where)
    for one in extensions:
        if isinstance(one.value, x509.BasicConstraints) and one.value.ca:
            raise IdentityError(f"{where}: is that of an authority (CA:TRUE), which isn't one of a router or a peer")
        if isinstance(one.value, x509.SubjectAlternativeName):
            for name in one.value.get_values_for_type(x509.DNSName):
                if "*" in name:
                    shown = f"{name[:130]} is a wildcard"
                    raise IdentityError(f"{where}: {shown}; a certificate names exactly one peer or router")
                if name != name.lower():
                    raise IdentityError(f"{where}: {name[:130]!r} has capital letters; names are lower case")
    return certificate


def _extensions(certificate: x509.Certificate, where: str) -> x509.Extensions:
    try:
        return certificate.extensions
    except ValueError as error:  # also one that stands twice
        raise IdentityError(f"{where}: its subjectAltName or another extension can't be read") from error


def _only_name(certificate: x509.Certificate, where: str) -> str:
    names = _dns_names(_patterns(certificate, where))
    if len(names) != 1:
        raise IdentityError(f"{where}: needs exactly one DNS name as subjectAltName, has {len(names)}")
    return names[0]


def _patterns(certificate: x509.Certificate, where: str) -> Any:
    """What names a certificate has, for service_identity.

    :raises IdentityError: if they can't be read, or are none that a router or a peer may have.
    """
    try:
        return extract_patterns(_checked(certificate, where))
    except IdentityError:
        raise
    except Exception as error:  # service_identity and pyasn1 raise many kinds for a malformed name
        raise IdentityError(f"{where}: its subjectAltName can't be read") from error


def _dns_names(patterns: Any) -> list[str]:
    return [one.pattern.decode("ascii", "replace") for one in patterns if isinstance(one, DNSPattern)]


def _reason(error: SSL.Error) -> str:
    details = error.args[0] if error.args else []
    return "; ".join(str(entry[-1]) for entry in details if entry and entry[-1]) or "OpenSSL gave no reason"

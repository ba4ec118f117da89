"""The lab's certificate authority: it makes the certificates of routers and peers, and nothing else.

Every certificate is X.509 version 3 (RFC 5280) with an ECDSA key on P-256, for one DNS name, for both ends of TLS.
Whose it is stands in the subjectAltName (RFC 9525); the subject is there for people.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from p2p.base.errors import IdentityError
from p2p.base.names import ROUTER, SIGNER, parse_cluster, parse_peer
from p2p.identity.pem_files import load_certificate, load_key, require_private, write_pair

__all__ = [
    "AUTHORITY_CERTIFICATE",
    "AUTHORITY_KEY",
    "CERTIFICATE_DAYS",
    "Authority",
    "Issued",
    "days_left",
    "has_signed",
]

AUTHORITY_CERTIFICATE = "ca.pem"
AUTHORITY_KEY = "ca.key"

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
"""What an authority may sign with; :meth:`Authority.create` makes the first kind, ``openssl`` makes all of them."""

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 30
"""Days that a certificate is valid. Daemons renew theirs after two thirds of it, see :mod:`p2p.identity.renewal`."""

_SKEW = timedelta(hours=1)
"""How far a certificate begins in the past: clocks of lab machines differ."""

_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)

_BOTH_ENDS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


class Issued(NamedTuple):
    """The files of a new certificate, and when it ends."""

    name: str
    certificate: Path
    key: Path
    until: datetime


class Authority:
    """A certificate and the key that signs with it.

    :ivar certificate: the authority's own certificate.
    :ivar path: its file, which every router and peer must have.
    """

    def __init__(self, path: Path, certificate: x509.Certificate, key: SigningKey) -> None:
        self.path = path
        self.certificate = certificate
        self._key = key
        self._identifier = _authority_identifier(certificate, key)

    @classmethod
    def create(
        cls, directory: Path, *, name: str = "p2p lab", days: float = AUTHORITY_DAYS, now: datetime | None = None
    ) -> Self:
        """Make a new authority: ``ca.pem`` and ``ca.key`` (mode 0600) in a folder that exists.

        :param name: what people see as its name, at most 64 characters.
        :param days: how long its certificate is valid.
        :raises IdentityError: if a file is there already or can't be written.
        """
        start = now or datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(subject, key.public_key(), start, start + timedelta(days=days))
            .issuer_name(subject)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        path = directory / AUTHORITY_CERTIFICATE
        write_pair(path, directory / AUTHORITY_KEY, certificate, key)
        return cls(path, certificate, key)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Load the authority from the files that :meth:`create` or ``openssl`` made.

        :raises IdentityError: if they can't be read, don't belong together, or aren't an authority's.
        """
        path, key_path = directory / AUTHORITY_CERTIFICATE, directory / AUTHORITY_KEY
        certificate = load_certificate(path)
        key = load_key(key_path)
        require_private(key_path)
        if not isinstance(key, SigningKey):
            raise IdentityError(f"{key_path}: holds a key that can't sign certificates")
        if key.public_key() != certificate.public_key():
            raise IdentityError(f"{key_path}: isn't the key of {path}; put the two files of one authority there")
        try:
            constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        except x509.ExtensionNotFound as error:
            raise IdentityError(f"{path}: isn't an authority's certificate (it has no basicConstraints)") from error
        if not constraints.ca:
            raise IdentityError(f"{path}: isn't an authority's certificate (its basicConstraints say CA:FALSE)")
        return cls(path, certificate, key)

    def issue(
        self, dns_name: str, directory: Path, *, days: float = CERTIFICATE_DAYS, now: datetime | None = None
    ) -> Issued:
        """Make a certificate and its key: ``<name>.pem`` (mode 0644) and ``<name>.key`` (mode 0600).

        :raises InvalidName: as :meth:`certify` does.
        :raises IdentityError: as :meth:`certify` does, or if a file is there already or can't be written.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.certify(dns_name, key.public_key(), days=days, now=now)
        files = directory / f"{dns_name}.pem", directory / f"{dns_name}.key"
        write_pair(*files, certificate, key)
        return Issued(dns_name, *files, certificate.not_valid_after_utc)

    def certify(
        self,
        dns_name: str,
        key: CertificatePublicKeyTypes,
        *,
        days: float = CERTIFICATE_DAYS,
        now: datetime | None = None,
    ) -> x509.Certificate:
        """Make a certificate for somebody's key. It never ends later than the authority's own.

        :param dns_name: the name of a peer, ``n1.n``, of a router, ``router.n``, or of a signer.
        :param days: how long it is valid.
        :raises InvalidName: if the name is none of these.
        :raises IdentityError: if the authority has expired.
        """
        start = now or datetime.now(UTC)
        end = self.certificate.not_valid_after_utc
        if end <= start:
            raise IdentityError(f"{self.path}: the authority expired on {end:%Y-%m-%d}; make a new lab")
        return (
            _builder(_subject(dns_name), key, start, min(start + timedelta(days=days), end))
            .issuer_name(self.certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(_BOTH_ENDS, critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(dns_name)]), critical=False)
            .add_extension(self._identifier, critical=False)
            .sign(self._key, _hash_for(self._key))
        )

    def sign(self, data: bytes) -> bytes:
        """Sign something that isn't a certificate, which has to say what it is."""
        key = self._key
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(data, ec.ECDSA(hashes.SHA256()))
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(data, _PSS, hashes.SHA256())
        return key.sign(data)


def has_signed(authority: x509.Certificate, signature: bytes, data: bytes) -> bool:
    """Whether an authority has made a signature, see :meth:`Authority.sign`."""
    key = authority.public_key()
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, _PSS, hashes.SHA256())
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signature, data)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def days_left(certificate_path: Path, now: datetime | None = None) -> float:
    """Return how many days a certificate is still valid, less than 0 if it has expired.

    :raises IdentityError: if the file can't be read.
    """
    left = load_certificate(certificate_path).not_valid_after_utc - (now or datetime.now(UTC))
    return left / timedelta(days=1)


def _subject(dns_name: str) -> x509.Name:
    """Organisation and common name hold 64 characters, a DNS name of ours up to 127: hence one label in each."""
    if dns_name == SIGNER:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SIGNER)])
    node, _, cluster = dns_name.partition(".")
    if node == ROUTER:
        parse_cluster(cluster)
    else:
        parse_peer(dns_name)
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, cluster), x509.NameAttribute(NameOID.COMMON_NAME, node)]
    )


def _builder(
    subject: x509.Name, key: CertificatePublicKeyTypes, start: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - _SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_identifier(certificate: x509.Certificate, key: SigningKey) -> x509.AuthorityKeyIdentifier:
    try:
        subject_identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_identifier.value)


def _hash_for(key: SigningKey) -> hashes.SHA256 | None:
    """Edwards curves bring their own hash."""
    return None if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()

"""Certificates for tests, also of kinds that the lab's authority never makes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from p2p.identity.pem_files import load_certificate, load_key, write_pair

__all__ = ["Files", "odd_certificate"]


class Files(NamedTuple):
    """The three files that an identity consists of."""

    certificate: Path
    key: Path
    authority: Path


def odd_certificate(
    directory: Path,
    names: Sequence[x509.GeneralName] | None,
    *,
    usage: Sequence[ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    alternative_name: x509.ExtensionType | None = None,
    authority: bool | None = None,
) -> Files:
    """Have the authority of a folder sign a certificate with these names, or without subjectAltName, and this usage."""
    signer = load_key(directory / "ca.key")
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd")]))
        .issuer_name(load_certificate(directory / "ca.pem").subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )
    if authority is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if alternative_name is not None:
        builder = builder.add_extension(alternative_name, critical=False)
    number = len(list(directory.glob("odd*.pem")))
    files = Files(directory / f"odd{number}.pem", directory / f"odd{number}.key", directory / "ca.pem")
    write_pair(files.certificate, files.key, builder.sign(signer, hashes.SHA256()), key)
    return files

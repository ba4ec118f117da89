"""PEM files of certificates and keys: reading them with clear errors, writing them with the right mode."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from p2p.base.errors import IdentityError

__all__ = ["load_certificate", "load_key", "name_of", "public_key_of", "require_private", "write_new", "write_pair"]


def load_certificate(path: Path) -> x509.Certificate:
    """Read the first certificate in a PEM file.

    :raises IdentityError: if there is none, or the file can't be read.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise IdentityError(f"{path}: can't read the certificate ({error.strerror})") from error
    except ValueError as error:
        raise IdentityError(f"{path}: no PEM certificate in this file") from error


def load_key(path: Path) -> PrivateKeyTypes:
    """Read the private key in a PEM file.

    :raises IdentityError: if there is none, it is encrypted, or the file can't be read.
    """
    try:
        return serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise IdentityError(f"{path}: can't read the private key ({error.strerror})") from error
    except TypeError as error:
        raise IdentityError(f"{path}: the private key is encrypted; it must be stored without a password") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise IdentityError(f"{path}: no PEM private key in this file that can be used") from error


def public_key_of(certificate: x509.Certificate) -> bytes:
    """Return the SubjectPublicKeyInfo of a certificate, DER."""
    return certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def name_of(certificate: x509.Certificate) -> str:
    """Return the first DNS name in a certificate of this lab.

    :raises IdentityError: if it has none.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.DNSName)[0]
    except (ValueError, IndexError, x509.ExtensionNotFound) as error:
        raise IdentityError("a certificate that names nobody") from error


def require_private(path: Path) -> None:
    """Check that only its owner can use a key.

    :raises IdentityError: if the mode of the file lets others in.
    """
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise IdentityError(f"{path}: has mode {mode:04o}, which lets others use the key; run: chmod 600 {path}")


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that mustn't exist yet, with its mode from the first moment on.

    :raises FileExistsError: if it exists.
    :raises OSError: if it can't be written; then nothing of it is left.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)  # the umask may have taken from a public file what others need
            file.write(data)
    except BaseException:
        path.unlink()
        raise


def write_pair(certificate_path: Path, key_path: Path, certificate: x509.Certificate, key: PrivateKeyTypes) -> None:
    """Write a certificate (mode 0644) and its key (mode 0600), or neither of them.

    :raises IdentityError: if one of the files is there already or can't be written.
    """
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        write_new(key_path, pem, 0o600)
        try:
            write_new(certificate_path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        except BaseException:
            key_path.unlink()
            raise
    except FileExistsError as error:
        raise IdentityError(
            f"{error.filename}: is there already and isn't overwritten; to make it anew, move it away first"
        ) from error
    except OSError as error:
        where = error.filename or certificate_path.parent
        raise IdentityError(f"{where}: can't write the new certificate ({error.strerror})") from error

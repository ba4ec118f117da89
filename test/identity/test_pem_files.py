"""Tests for :mod:`p2p.identity.pem_files`."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import BinaryIO, NoReturn, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import IdentityError
from p2p.identity.authority import Authority
from p2p.identity.pem_files import load_certificate, load_key, require_private, write_new, write_pair


class PemTestCase(SynchronousTestCase):
    """A folder to write into."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def mode(self, name: str) -> int:
        return (self.folder / name).stat().st_mode & 0o777


class LoadTests(PemTestCase):
    """Reading PEM files."""

    def test_certificate(self) -> None:
        """A certificate file that isn't there, or holds something else, is named with what is wrong."""
        path = self.folder / "x.pem"
        self.assertIn(
            "x.pem: can't read the certificate (No such file",
            str(self.assertRaises(IdentityError, load_certificate, path)),
        )
        path.write_text("-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n")
        self.assertIn("x.pem: no PEM certificate", str(self.assertRaises(IdentityError, load_certificate, path)))

    def test_key(self) -> None:
        """A key file that isn't there, or holds something else, is named with what is wrong."""
        path = self.folder / "x.key"
        self.assertIn(
            "x.key: can't read the private key (No such file", str(self.assertRaises(IdentityError, load_key, path))
        )
        path.write_text("nothing")
        self.assertIn("x.key: no PEM private key", str(self.assertRaises(IdentityError, load_key, path)))

    def test_encrypted_key(self) -> None:
        """An encrypted key is refused: a daemon has nobody to ask for the password."""
        path = self.folder / "x.key"
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
        path.write_bytes(pem)
        self.assertIn("stored without a password", str(self.assertRaises(IdentityError, load_key, path)))

    def test_private(self) -> None:
        """A key that others may use is refused with the command that mends it."""
        path = self.folder / "x.key"
        path.touch()
        path.chmod(0o640)
        self.assertIn(f"chmod 600 {path}", str(self.assertRaises(IdentityError, require_private, path)))
        path.chmod(0o400)
        require_private(path)


class WriteTests(PemTestCase):
    """Writing new files."""

    def test_mode(self) -> None:
        """A file has the mode that was asked for, whatever the umask."""
        for umask in (0o000, 0o077):
            before = os.umask(umask)
            self.addCleanup(os.umask, before)
            write_new(self.folder / f"public{umask}", b"x", 0o644)
            write_new(self.folder / f"private{umask}", b"x", 0o600)
            self.assertEqual((self.mode(f"public{umask}"), self.mode(f"private{umask}")), (0o644, 0o600))

    def test_private_from_the_first_moment(self) -> None:
        """A private file is never readable for others, not even while it is written."""
        modes: list[int] = []
        real = os.fdopen

        def spy(descriptor: int, mode: str) -> object:
            modes.append(os.fstat(descriptor).st_mode & 0o777)
            return real(descriptor, mode)

        self.addCleanup(os.umask, os.umask(0))
        self.patch(os, "fdopen", spy)
        write_new(self.folder / "private", b"x", 0o600)
        self.assertEqual(modes, [0o600])

    def test_existing(self) -> None:
        """A file that exists, or a link in its place, isn't touched."""
        path = self.folder / "x"
        path.write_text("old")
        self.assertRaises(FileExistsError, write_new, path, b"new", 0o600)
        self.assertEqual(path.read_text(), "old")
        (self.folder / "link").symlink_to("elsewhere")
        self.assertRaises(FileExistsError, write_new, self.folder / "link", b"new", 0o600)
        self.assertFalse((self.folder / "elsewhere").exists())

    def test_disk_full(self) -> None:
        """If the disk is full nothing of the pair is left, and the message says so."""
        authority = Authority.create(self.folder)
        key = ec.generate_private_key(ec.SECP256R1())
        self.patch(os, "fdopen", self.full_after(1))
        error = self.assertRaises(
            IdentityError, write_pair, self.folder / "x.pem", self.folder / "x.key", authority.certificate, key
        )
        self.assertIn(f"{self.folder}: can't write the new certificate (No space left on device)", str(error))
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["ca.key", "ca.pem"])

    def full_after(self, files: int) -> object:
        """Return an ``os.fdopen`` whose files can't be written after the first ones."""
        real = os.fdopen
        opened: list[BinaryIO] = []

        def fdopen(descriptor: int, mode: str) -> BinaryIO | Full:
            file: BinaryIO = real(descriptor, "wb", 0)
            opened.append(file)
            return file if len(opened) <= files else Full(file)

        return fdopen

    def test_one_exists(self) -> None:
        """If the certificate is there already, its new key isn't left without it."""
        authority = Authority.create(self.folder)
        key = ec.generate_private_key(ec.SECP256R1())
        (self.folder / "x.pem").touch()
        error = self.assertRaises(
            IdentityError, write_pair, self.folder / "x.pem", self.folder / "x.key", authority.certificate, key
        )
        self.assertIn("x.pem: is there already and isn't overwritten", str(error))
        self.assertFalse((self.folder / "x.key").exists())


class Full:
    """A file on a disk that is full."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def fileno(self) -> int:
        return self._file.fileno()

    def write(self, data: bytes) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

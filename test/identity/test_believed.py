"""Tests for :mod:`p2p.identity.believed`."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import dsa, ed25519, rsa
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import IdentityError
from p2p.identity.authority import Authority, has_signed
from p2p.identity.believed import REVOCATIONS_FILE, Believed
from p2p.identity.revocations import BadStatement, Revocation, hash_of, make_revocation

NOW = 1_800_000_000.0


class BelievedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.authority = Authority.create(self.folder)
        self.state = self.folder / "state"
        self.now = NOW
        self.new: list[Revocation] = []

    def believed(self, folder: Path | None = None) -> Believed:
        believed = Believed(folder or self.state, self.authority.path, lambda: self.now)
        believed.watchers.append(self.new.extend)
        return believed

    def revocation(self, number: int, authority: Authority | None = None) -> Revocation:
        sign = (authority or self.authority).sign
        return make_revocation(number, int(NOW) + 100, hash_of(b"%d" % number), sign)

    def test_kept(self) -> None:
        """What was told is known after a restart, and whoever watches is told what is new, once."""
        one = self.revocation(1)
        believed = self.believed()
        believed.add([one.statement])
        believed.add([one.statement])
        self.assertEqual([one], self.new)
        self.assertIn(one.key, self.believed().revocations)
        self.assertEqual(0o700, self.state.stat().st_mode & 0o777)

    def test_ends(self) -> None:
        """After its end a revocation isn't known any more, and leaves the file with the next one."""
        self.believed().add([self.revocation(1).statement])
        self.now += 101
        self.assertEqual(0, len(self.believed().revocations))

    def test_forged(self) -> None:
        """Of a page with one that another authority has made, nothing is taken."""
        other = self.folder / "other"
        other.mkdir()
        forged = self.revocation(2, Authority.create(other))
        believed = self.believed()
        with self.assertRaisesRegex(BadStatement, "hasn't signed"):
            believed.add([self.revocation(1).statement, forged.statement])
        self.assertEqual((0, []), (len(believed.revocations), self.new))
        self.assertFalse((self.state / REVOCATIONS_FILE).exists())

    def test_broken_file(self) -> None:
        """What somebody has broken in the file is left out, and told."""
        self.believed().add([self.revocation(1).statement, self.revocation(2).statement])
        path = self.state / REVOCATIONS_FILE
        data = bytearray(path.read_bytes())
        data[20] ^= 1
        path.write_bytes(data)
        with capturedLogs() as logs:
            believed = self.believed()
        self.assertEqual([self.revocation(2).key], [one.key for one in believed.revocations.after(0)])
        self.assertIn("hasn't signed", logs[-1]["reason"])

    def test_no_folder(self) -> None:
        """Where it can't be kept, it is known until the end, and that is told."""
        believed = Believed(None, self.authority.path, lambda: self.now)
        believed.add([self.revocation(1).statement])
        self.assertEqual(1, len(believed.revocations))
        self.state.write_text("a file")
        with capturedLogs() as logs:
            self.believed(self.state / "below").add([self.revocation(1).statement])
        self.assertIn("Not a directory", [one.get("reason") for one in logs])

    def test_no_authority(self) -> None:
        """An authority that can't be read is told."""
        self.authority.path.write_text("nothing")
        with self.assertRaisesRegex(IdentityError, "the authority's certificate can't be read"):
            self.believed()


class SignatureTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        """Authorities with keys of every kind sign and are believed; no other key is."""
        folder = Path(self.mktemp())
        folder.mkdir()
        usual = Authority.create(folder)
        keys = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048),
            ed25519.Ed25519PrivateKey.generate(),
        )
        for key in keys:
            authority = Authority(usual.path, usual.certificate, key)
            certificate = _WithKey(key.public_key())
            signature = authority.sign(b"data")
            self.assertTrue(has_signed(certificate, signature, b"data"))  # type: ignore[arg-type]  # its key is all that counts
            self.assertFalse(has_signed(certificate, signature, b"other"))  # type: ignore[arg-type]  # likewise
        strange = _WithKey(dsa.generate_private_key(1024).public_key())
        self.assertFalse(has_signed(strange, b"", b""))  # type: ignore[arg-type]  # likewise


class _WithKey:
    """As much of a certificate as is looked at."""

    def __init__(self, key: object) -> None:
        self._key = key

    def public_key(self) -> object:
        return self._key

"""Tests for :mod:`p2p.identity.ledger`."""

from __future__ import annotations

import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import IdentityError
from p2p.identity import ledger as module
from p2p.identity.authority import Authority, has_signed
from p2p.identity.ledger import KEPT_S, LEDGER, Ledger
from p2p.identity.pem_files import load_certificate, public_key_of
from p2p.identity.revocations import hash_of, parse_statement

NOW = 1_800_000_000.0


class LedgerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        (self.folder / "certificates").mkdir(parents=True)
        self.authority = Authority.create(self.folder)

    def open(self) -> Ledger:
        ledger = Ledger.open(self.folder)
        self.addCleanup(ledger.close)
        return ledger

    def test_lab_of_today(self) -> None:
        """A new ledger knows the certificates that lie in the folder, and nothing else that lies there."""
        issued = self.authority.issue("n1.n", self.folder / "certificates")
        self.authority.issue("signer", self.folder / "certificates")
        (self.folder / "certificates" / "notes.pem").write_text("no certificate")
        (self.folder / "certificates" / "ca.pem").write_bytes(self.authority.path.read_bytes())
        ledger = self.open()
        key = public_key_of(load_certificate(issued.certificate))
        self.assertEqual([(key, "n1.n", issued.until.timestamp(), False)], ledger.issued())
        self.assertEqual("n1.n", getattr(ledger.key(key), "name", None))
        self.assertIsNone(ledger.key(b"another"))
        self.assertEqual(0o600, (self.folder / LEDGER).stat().st_mode & 0o777)

    def test_renewed(self) -> None:
        """A key that gets several certificates is known until the last of them ends."""
        issued = self.authority.issue("n1.n", self.folder, days=30)
        certificate = load_certificate(issued.certificate)
        shorter = self.authority.certify("n1.n", certificate.public_key(), days=1)
        ledger = self.open()
        ledger.record([certificate])
        ledger.record([shorter])
        self.assertEqual([issued.until.timestamp()], [one.until for one in ledger.issued("n1.n")])
        self.assertEqual([], ledger.issued("n2.n"))

    def test_invitation(self) -> None:
        """An invitation is found by its locator, in another process as well, with its wrong tries and its user."""
        made = self.open().invite("n5.n", b"s" * 10, 12345, NOW + 60, NOW)
        self.assertEqual((12345, "n5.n", b"s" * 10, NOW + 60, 0, None), made)
        other = self.open()
        other.tried(12345)
        found = other.invitation(12345)
        assert found is not None
        self.assertEqual(1, found.wrong)
        certificate = load_certificate(self.authority.issue("n5.n", self.folder).certificate)
        other.used(12345, certificate)
        self.assertEqual(public_key_of(certificate), getattr(other.invitation(12345), "key", None))
        self.assertEqual(["n5.n"], [one.name for one in other.issued()])
        self.assertIsNone(other.invitation(1))

    def test_newer(self) -> None:
        """A newer invitation for a name makes an older one void that nobody has used; locators differ."""
        ledger = self.open()
        first = ledger.invite("n5.n", b"s" * 10, 7, NOW + 60, NOW)
        other = ledger.invite("n6.n", b"s" * 10, 7, NOW + 60, NOW)
        second = ledger.invite("n5.n", b"t" * 10, 8, NOW + 60, NOW)
        self.assertEqual((7, 8, 9), (first.locator, other.locator, second.locator))
        self.assertIsNone(ledger.invitation(7))

    def test_forgotten(self) -> None:
        """An invitation is forgotten long after its end, and there is a limit to how many are known."""
        ledger = self.open()
        ledger.invite("n5.n", b"s" * 10, 5, NOW, NOW)
        self.patch(module, "INVITATIONS", 1)
        with self.assertRaisesRegex(IdentityError, "1 invitations are known, which is the limit"):
            ledger.invite("n6.n", b"s" * 10, 6, NOW, NOW + KEPT_S)
        self.assertIsNotNone(ledger.invitation(5))
        ledger.invite("n6.n", b"s" * 10, 6, NOW, NOW + KEPT_S + 1)
        self.assertIsNone(ledger.invitation(5))

    def test_revoked(self) -> None:
        """A key is revoked once, with a number that grows; the certificate's end is that of the revocation."""
        ledger, now = self.open(), time.time()
        certificates = [load_certificate(self.authority.issue(f"n{one}.n", self.folder).certificate) for one in (1, 2)]
        ledger.record(certificates)
        keys = [public_key_of(one) for one in certificates]
        seen = ledger.changes()
        other = self.open()
        first = other.revoke(keys[0], self.authority.sign, now)
        self.assertNotEqual(seen, ledger.changes())
        self.assertEqual(int(now * 1000), first.number)
        self.assertEqual(first, ledger.revoke(keys[0], self.authority.sign, now + 5))
        second = ledger.revoke(keys[1], self.authority.sign, now - 99)  # the clock was set back
        self.assertEqual(first.number + 1, second.number)
        self.assertEqual([first, second], ledger.revocations(now))
        self.assertEqual([], ledger.revocations(float(second.until)))
        self.assertEqual([True, True], [one.revoked for one in ledger.issued()])
        parsed = parse_statement(
            second.statement, lambda signature, data: has_signed(self.authority.certificate, signature, data)
        )
        self.assertEqual((hash_of(keys[1]), second.until), (parsed.key, parsed.until))

    def test_many_revoked(self) -> None:
        """There is a limit to how many keys are revoked at a time."""
        self.patch(module, "REVOCATIONS", 0)
        ledger = self.open()
        certificate = load_certificate(self.authority.issue("n1.n", self.folder).certificate)
        ledger.record([certificate])
        with self.assertRaisesRegex(IdentityError, "0 keys are revoked, which is the limit"):
            ledger.revoke(public_key_of(certificate), self.authority.sign, NOW)

    def test_broken(self) -> None:
        """A file that is something else is told."""
        (self.folder / LEDGER).write_bytes(b"something else, longer than a header of SQLite would ever be" * 20)
        with self.assertRaisesRegex(IdentityError, "authority.sqlite: what the authority remembers can't be used"):
            Ledger.open(self.folder)

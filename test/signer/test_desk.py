"""Tests for :mod:`p2p.signer.desk`: who gets a certificate, and what the others are told."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate

from p2p.control.commands import Refused
from p2p.identity.authority import Authority
from p2p.identity.invitation import newcomer_proof, same_proof, signer_proof
from p2p.identity.ledger import LEDGER, WRONG_TRIES
from p2p.identity.pem_files import load_certificate, name_of, public_key_of
from p2p.signer.desk import Desk, DeskCommands
from test.identities import tls_files
from test.signer.lab import SECRET, SignerTestCase

BINDING = b"b" * 32


def public(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """The public key, DER."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


KEY, OTHER_KEY = (public(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))


class DeskTests(SignerTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.desk = Desk(Authority.load(self.folder), self.ledger, "tls", lambda: self.now, self.used.append)

    def refused(self, *, proof: bytes | None = None, name: str = "n5.n", key: bytes = KEY, cluster: str = "n") -> str:
        """What is said to a machine that gets nothing."""
        proof = newcomer_proof(SECRET, BINDING, name, key) if proof is None else proof
        found = self.assertRaises(Refused, self.desk.enrol, cluster, name, 77, key, BINDING, proof)
        return str(found)

    def enrol(self, key: bytes = KEY) -> bytes:
        """The certificate that a machine gets."""
        answer = self.desk.enrol("n", "n5.n", 77, key, BINDING, newcomer_proof(SECRET, BINDING, "n5.n", key))
        certificate: bytes = answer["certificate"]
        self.assertTrue(same_proof(answer["proof"], signer_proof(SECRET, BINDING, certificate, "tls")))
        return certificate

    def test_good(self) -> None:
        """The certificate is for the key, and the answer has the signer's proof."""
        self.invite()
        self.assertEqual(KEY, public_key_of(load_der_x509_certificate(self.enrol())))

    def test_unknown(self) -> None:
        """A code that nobody has made, or with another secret, is told as unknown, and no more."""
        self.assertIn("no invitation with this code is known", self.refused())
        self.invite()
        self.assertIn("no invitation with this code is known", self.refused(proof=b"x" * 32))

    def test_tries(self) -> None:
        """After five wrong tries an invitation is void, for who has the code as well."""
        self.invite()
        for _ in range(WRONG_TRIES):
            self.refused(proof=b"x" * 32)
        self.assertIn("void after too many wrong tries", self.refused())

    def test_used(self) -> None:
        """A second machine doesn't get in with the same code; the first may ask again, even then."""
        self.invite()
        self.enrol()
        self.assertIn("has been used already, by another machine that is n5.n now", self.refused(key=OTHER_KEY))
        self.enrol()

    def test_expired(self) -> None:
        """A code ends, also for who has used it."""
        self.invite(seconds=60)
        self.now += 61
        self.assertIn("this code ended on", self.refused())
        self.assertIn("p2p lab invite n5.n", self.refused())

    def test_other_name(self) -> None:
        """A code is for one name, and a router passes on the requests of its own cluster's machines alone."""
        self.invite()
        self.assertIn("this code is for n5.n, not for n6.n", self.refused(name="n6.n"))
        self.assertIn("n5.n isn't of cluster m", self.refused(cluster="m"))

    def test_keys(self) -> None:
        """Only a key of P-256 gets a certificate."""
        self.invite()
        self.assertIn("can't be read", self.refused(key=b"no key"))
        for key in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())):
            self.assertIn("isn't one of P-256", self.refused(key=public(key)))

    def renew(self, certificate: bytes, cluster: str = "n") -> x509.Certificate:
        return load_der_x509_certificate(self.desk.renew(cluster, certificate))

    def test_renewed(self) -> None:
        """Who has a certificate of this lab gets one more for its key, also a router, and one whose has ended."""
        for name in ("n1.n", "router.n"):
            old = load_certificate(self.folder / "certificates" / f"{name}.pem")
            fresh = self.renew(old.public_bytes(Encoding.DER))
            self.assertEqual(public_key_of(old), public_key_of(fresh))
            self.assertEqual(name, name_of(fresh))
        self.now += 400 * 86400
        fresh = self.renew(old.public_bytes(Encoding.DER))
        self.assertEqual(fresh.not_valid_after_utc.timestamp(), self.ledger.issued("router.n")[0].until)

    def test_not_renewed(self) -> None:
        """Nothing is renewed that this authority hasn't issued, that is revoked, or is of another cluster."""
        old = load_certificate(self.folder / "certificates" / "n1.n.pem").public_bytes(Encoding.DER)
        with self.assertRaisesRegex(Refused, "n1.n isn't of cluster m"):
            self.renew(old, "m")
        other = load_certificate(tls_files("n1.n", "lab").certificate).public_bytes(Encoding.DER)
        for foreign in (other, b"nothing"):
            with self.assertRaisesRegex(Refused, "hasn't issued this certificate"):
                self.renew(foreign)
        commands = DeskCommands(self.desk, "n")
        answer = self.successResultOf(commands.renew(certificate=old))
        self.assertEqual({"certificate"}, set(answer))
        self.ledger.revoke(self.ledger.issued("n1.n")[0].key, Authority.load(self.folder).sign, self.now)
        with self.assertRaisesRegex(Refused, "the key of n1.n is revoked"):
            self.renew(old)

    def test_commands(self) -> None:
        """What a router is answered is the same; a fault of the ledger is told in one line."""
        self.invite()
        commands = DeskCommands(self.desk, "n")
        arguments = {"name": "n5.n", "locator": 77, "key": KEY, "binding": BINDING}
        proof = newcomer_proof(SECRET, BINDING, "n5.n", KEY)
        answered = self.successResultOf(commands.enrol(**arguments, proof=proof))  # type: ignore[arg-type]  # a Deferred, behind the decorator
        self.assertEqual({"certificate", "links", "proof"}, set(answered))
        self.failureResultOf(commands.enrol(**arguments, proof=b"x"), Refused)  # type: ignore[arg-type]  # likewise
        self.ledger.close()
        (self.folder / LEDGER).unlink()
        failed = self.failureResultOf(commands.enrol(**arguments, proof=proof), Refused)  # type: ignore[arg-type]  # likewise
        self.assertIn("the signer can't", str(failed.value))

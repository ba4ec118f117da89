"""Tests for :mod:`p2p.identity.authority`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import IdentityError, InvalidName
from p2p.identity.authority import Authority, days_left
from p2p.identity.pem_files import load_certificate, load_key, write_new
from p2p.identity.tls import Credentials
from test.identity.certificates import odd_certificate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class AuthorityTestCase(SynchronousTestCase):
    """A folder for an authority."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()


class CreateTests(AuthorityTestCase):
    """New authorities."""

    def test_certificate(self) -> None:
        """An authority signs certificates and nothing below it does; it is valid for ten years, from an hour ago on."""
        certificate = Authority.create(self.folder, name="lab", now=NOW).certificate
        extensions = certificate.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints)
        usage = extensions.get_extension_for_class(x509.KeyUsage)
        self.assertEqual((constraints.critical, constraints.value.ca, constraints.value.path_length), (True, True, 0))
        self.assertEqual(
            (usage.critical, usage.value.key_cert_sign, usage.value.digital_signature), (True, True, False)
        )
        self.assertEqual(certificate.issuer, certificate.subject)
        self.assertEqual(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value, "lab")
        self.assertEqual(certificate.not_valid_before_utc, NOW - timedelta(hours=1))
        self.assertEqual(certificate.not_valid_after_utc, NOW + timedelta(days=3650))
        certificate.verify_directly_issued_by(certificate)

    def test_files(self) -> None:
        """The certificate is for everybody, the key for its owner alone."""
        Authority.create(self.folder)
        modes = {path.name: path.stat().st_mode & 0o777 for path in self.folder.iterdir()}
        self.assertEqual(modes, {"ca.pem": 0o644, "ca.key": 0o600})

    def test_not_twice(self) -> None:
        """An authority isn't overwritten: every certificate of the lab would be worthless."""
        Authority.create(self.folder)
        key = (self.folder / "ca.key").read_bytes()
        error = self.assertRaises(IdentityError, Authority.create, self.folder)
        self.assertIn("ca.key: is there already", str(error))
        self.assertEqual((self.folder / "ca.key").read_bytes(), key)

    def test_no_folder(self) -> None:
        """A folder that isn't there is named."""
        error = self.assertRaises(IdentityError, Authority.create, self.folder / "missing")
        self.assertIn("missing/ca.key: can't write the new certificate (No such file", str(error))


class LoadTests(AuthorityTestCase):
    """Authorities from files."""

    def refused(self) -> str:
        return str(self.assertRaises(IdentityError, Authority.load, self.folder))

    def test_loaded(self) -> None:
        """What was created can be loaded, and signs."""
        created = Authority.create(self.folder)
        loaded = Authority.load(self.folder)
        self.assertEqual(loaded.certificate, created.certificate)
        certificate = load_certificate(loaded.issue("n1.n", self.folder).certificate)
        certificate.verify_directly_issued_by(created.certificate)

    def test_missing(self) -> None:
        """A file that is missing is named."""
        self.assertIn("ca.pem: can't read the certificate", self.refused())
        Authority.create(self.folder)
        (self.folder / "ca.key").unlink()
        self.assertIn("ca.key: can't read the private key", self.refused())

    def test_key_of_everybody(self) -> None:
        """A key that others may read is refused: they could issue certificates."""
        Authority.create(self.folder)
        (self.folder / "ca.key").chmod(0o644)
        self.assertIn("run: chmod 600", self.refused())

    def test_other_key(self) -> None:
        """The key of another authority is refused."""
        other = self.folder / "other"
        other.mkdir()
        Authority.create(self.folder)
        Authority.create(other)
        (other / "ca.key").rename(self.folder / "ca.key")
        self.assertIn("isn't the key of", self.refused())

    def test_not_an_authority(self) -> None:
        """The certificate of a peer is refused, with its key."""
        issued = Authority.create(self.folder).issue("n1.n", self.folder)
        issued.certificate.rename(self.folder / "ca.pem")
        issued.key.rename(self.folder / "ca.key")
        self.assertIn("CA:FALSE", self.refused())

    def test_no_constraints(self) -> None:
        """A certificate that doesn't say whether it is an authority's is refused."""
        Authority.create(self.folder)
        odd = odd_certificate(self.folder, None)
        odd.certificate.rename(self.folder / "ca.pem")
        odd.key.rename(self.folder / "ca.key")
        self.assertIn("has no basicConstraints", self.refused())

    def test_key_that_cant_sign(self) -> None:
        """A key that is for key exchange only is refused."""
        Authority.create(self.folder)
        (self.folder / "ca.key").unlink()
        pem = x25519.X25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_new(self.folder / "ca.key", pem, 0o600)
        self.assertIn("holds a key that can't sign", self.refused())

    def test_other_kinds_of_keys(self) -> None:
        """An authority with an RSA or Ed25519 key and without identifiers, as others make them, signs as well."""
        keys: tuple[rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, ...] = (
            rsa.generate_private_key(65537, 2048),
            ed25519.Ed25519PrivateKey.generate(),
        )
        for number, key in enumerate(keys):
            folder = self.folder / str(number)
            folder.mkdir()
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lab")])
            now = datetime.now(UTC)
            certificate = (
                x509.CertificateBuilder(
                    name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=9)
                )
                .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
            )
            pem = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            write_new(folder / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
            write_new(folder / "ca.key", pem, 0o600)
            issued = Authority.load(folder).issue("n1.n", folder)
            self.assertEqual(Credentials(issued.certificate, issued.key, folder / "ca.pem").name, "n1.n")


class IssueTests(AuthorityTestCase):
    """Certificates for routers and peers."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority.create(self.folder, now=NOW)

    def test_certificate(self) -> None:
        """A certificate is for one DNS name and for both ends of TLS, and can't sign others."""
        issued = self.authority.issue("n1.n", self.folder, now=NOW)
        certificate = load_certificate(issued.certificate)
        extensions = certificate.extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(list(names), [x509.DNSName("n1.n")])
        constraints = extensions.get_extension_for_class(x509.BasicConstraints)
        self.assertEqual((constraints.critical, constraints.value.ca), (True, False))
        usage = extensions.get_extension_for_class(x509.KeyUsage)
        self.assertEqual(
            (usage.critical, usage.value.digital_signature, usage.value.key_cert_sign), (True, True, False)
        )
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        self.assertEqual(set(purposes), {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH})
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        self.assertEqual(key.curve.name, "secp256r1")
        self.assertEqual(load_key(issued.key).public_key(), key)
        certificate.verify_directly_issued_by(self.authority.certificate)

    def test_identifiers(self) -> None:
        """A certificate names its own key and its authority's, so that chains are found without trying."""
        extensions = load_certificate(self.authority.issue("n1.n", self.folder, now=NOW).certificate).extensions
        above = self.authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        own = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        named = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        self.assertEqual(named, above)
        self.assertNotEqual(own, above)

    def test_files(self) -> None:
        """The files are called after the name; the key is its owner's alone."""
        issued = self.authority.issue("router.n", self.folder, now=NOW)
        self.assertEqual(issued.certificate, self.folder / "router.n.pem")
        self.assertEqual(issued.key, self.folder / "router.n.key")
        self.assertEqual(issued.certificate.stat().st_mode & 0o777, 0o644)
        self.assertEqual(issued.key.stat().st_mode & 0o777, 0o600)

    def test_validity(self) -> None:
        """A certificate begins an hour ago, for clocks that are behind, and ends when it should."""
        issued = self.authority.issue("n1.n", self.folder, days=10, now=NOW)
        certificate = load_certificate(issued.certificate)
        self.assertEqual(certificate.not_valid_before_utc, NOW - timedelta(hours=1))
        self.assertEqual(certificate.not_valid_after_utc, NOW + timedelta(days=10))
        self.assertEqual(issued.until, NOW + timedelta(days=10))

    def test_default_validity(self) -> None:
        """Unless told otherwise, a certificate is valid for 825 days from now on."""
        folder = self.folder / "now"
        folder.mkdir()
        issued = Authority.create(folder).issue("n1.n", folder)
        self.assertAlmostEqual(days_left(issued.certificate), 30, places=2)

    def test_not_longer_than_the_authority(self) -> None:
        """A certificate ends with its authority at the latest."""
        issued = self.authority.issue("n1.n", self.folder, days=10_000, now=NOW)
        self.assertEqual(issued.until, self.authority.certificate.not_valid_after_utc)

    def test_expired_authority(self) -> None:
        """An authority that has expired issues nothing."""
        later = NOW + timedelta(days=4000)
        error = self.assertRaises(IdentityError, self.authority.issue, "n1.n", self.folder, now=later)
        self.assertIn("the authority expired on 2036-02-27; make a new lab", str(error))

    def test_not_twice(self) -> None:
        """A key isn't overwritten; the message says how to make a new one."""
        issued = self.authority.issue("n1.n", self.folder, now=NOW)
        key = issued.key.read_bytes()
        error = self.assertRaises(IdentityError, self.authority.issue, "n1.n", self.folder, now=NOW)
        self.assertIn("move it away first", str(error))
        self.assertEqual(issued.key.read_bytes(), key)

    def test_names(self) -> None:
        """Only names of peers and routers get certificates, and none can name a file elsewhere."""
        for name in ("n1", "../n1.n", "router", "router.N", "*.n", "n1.n.example.org"):
            self.assertRaises(InvalidName, self.authority.issue, name, self.folder, now=NOW)

    def test_longest_name(self) -> None:
        """The longest name fits, though a certificate's common name has 64 characters at most."""
        name = f"{'a' * 63}.{'b' * 63}"
        issued = self.authority.issue(name, self.folder, now=NOW)
        self.assertEqual(Credentials(issued.certificate, issued.key, self.folder / "ca.pem", now=NOW).name, name)

    def test_serials(self) -> None:
        """Serial numbers are random: 100 certificates have 100 of them."""
        issued = [self.authority.issue(f"n{number}.n", self.folder, now=NOW) for number in range(100)]
        self.assertEqual(len({load_certificate(one.certificate).serial_number for one in issued}), 100)


class DaysLeftTests(AuthorityTestCase):
    """How long a certificate is still valid."""

    def test_days(self) -> None:
        """Days are counted with their fractions, and below zero after the end."""
        path = Authority.create(self.folder, now=NOW).issue("n1.n", self.folder, days=10, now=NOW).certificate
        self.assertEqual(days_left(path, NOW), 10)
        self.assertEqual(days_left(path, NOW + timedelta(days=9, hours=12)), 0.5)
        self.assertEqual(days_left(path, NOW + timedelta(days=12)), -2)

    def test_unreadable(self) -> None:
        """A file that isn't there is named."""
        self.assertIn("x.pem", str(self.assertRaises(IdentityError, days_left, self.folder / "x.pem")))

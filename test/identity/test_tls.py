"""Tests for :mod:`p2p.identity.tls`: handshakes in memory, both sides verified."""

from __future__ import annotations

import ipaddress
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, IHandshakeListener, IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump, connect
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from p2p.base.errors import IdentityError
from p2p.identity.authority import Authority
from p2p.identity.pem_files import public_key_of
from p2p.identity.tls import (
    CONTROL_ALPN,
    LINK_ALPN,
    Credentials,
    connection_failure,
    remote_name,
    require_name,
)
from p2p.wire.bulk import BulkTLS
from test.identity.certificates import Files, odd_certificate
from test.needs import needs

ADDRESS = IPv4Address("TCP", "192.0.2.1", 5555)


@implementer(IHandshakeListener)
class End(Protocol):
    """One end of a connection: what happened to it."""

    transport: Any

    def __init__(self) -> None:
        self.completed = False
        self.received = b""
        self.reason: Failure | None = None

    def handshakeCompleted(self) -> None:
        self.completed = True

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008 - Twisted's signature
        self.reason = reason

    @property
    def why(self) -> str:
        """Why the connection ended."""
        assert self.reason is not None, "the connection stands"
        return connection_failure(self.reason)


class _Only(Factory):
    """Makes the one protocol that it was given."""

    def __init__(self, protocol: End) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> End:
        return self._protocol


@implementer(IOpenSSLClientConnectionCreator)
class Stranger:
    """A client that makes its TLS connections in its own way."""

    def __init__(self, prepare: Callable[[SSL.Context], object]) -> None:
        self.context = SSL.Context(SSL.TLS_METHOD)
        prepare(self.context)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self.context, None)


def member(files: Files, alpn: bytes | None = None) -> Callable[[SSL.Context], None]:
    """Return what gives a stranger a certificate, and the protocol that it offers."""

    def prepare(context: SSL.Context) -> None:
        context.use_certificate_chain_file(str(files.certificate))
        context.use_privatekey_file(str(files.key))
        if alpn is not None:
            context.set_alpn_protos([alpn])

    return prepare


class TLSTestCase(SynchronousTestCase):
    """An authority, some of its certificates, and connections in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.authority = Authority.create(self.folder)

    def issue(self, name: str, *, days: float = 10, now: datetime | None = None) -> Files:
        issued = self.authority.issue(name, self.folder, days=days, now=now)
        return Files(issued.certificate, issued.key, self.authority.path)

    def credentials(self, name: str) -> Credentials:
        return Credentials(*self.issue(name))

    def foreign(self, name: str) -> Files:
        """Issue a certificate of another lab."""
        folder = self.folder / f"foreign-{name}"
        folder.mkdir()
        issued = Authority.create(folder).issue(name, folder)
        return Files(issued.certificate, issued.key, folder / "ca.pem")

    def handshake(
        self,
        server: Credentials,
        client: Credentials | Stranger,
        *,
        server_alpn: bytes = CONTROL_ALPN,
        client_alpn: bytes = CONTROL_ALPN,
    ) -> tuple[End, End, IOPump]:
        """Let a client and a server shake hands and return both ends."""
        near, far = End(), End()
        listening = server.wrap(_Only(near), client=False, alpn=server_alpn, clock=self.clock)
        if isinstance(client, Stranger):
            dialling = TLSMemoryBIOFactory(client, True, _Only(far), self.clock)
        else:
            dialling = client.wrap(_Only(far), client=True, alpn=client_alpn, clock=self.clock)
        inner, outer = listening.buildProtocol(ADDRESS), dialling.buildProtocol(ADDRESS)
        pump = connect(inner, FakeTransport(inner, isServer=True), outer, FakeTransport(outer, isServer=False))
        self.pump(pump)
        return near, far, pump

    def pump(self, pump: IOPump) -> None:
        for _ in range(10):
            self.clock.advance(0)
            pump.flush()


class HandshakeTests(TLSTestCase):
    """Who gets through, and who doesn't."""

    def test_both_sides(self) -> None:
        """Two members of a lab get a TLS 1.3 connection on which each knows the other's name."""
        server, client, pump = self.handshake(self.credentials("router.n"), self.credentials("n1.n"))
        self.assertTrue(server.completed and client.completed)
        self.assertEqual((remote_name(server.transport), remote_name(client.transport)), ("n1.n", "router.n"))
        self.assertEqual(server.transport.negotiatedProtocol, CONTROL_ALPN)
        self.assertEqual(client.transport.negotiatedProtocol, CONTROL_ALPN)
        self.assertEqual(client.transport.getHandle().get_protocol_version_name(), "TLSv1.3")
        server.transport.write(b"hello")
        client.transport.write(b"good day")
        self.pump(pump)
        self.assertEqual((server.received, client.received), (b"good day", b"hello"))

    def test_unbuffered(self) -> None:
        """Without buffering a write leaves in the same turn, and large ones take the fast way."""
        factory = self.credentials("n1.n").wrap(
            Factory.forProtocol(End), client=True, alpn=LINK_ALPN, clock=self.clock, buffering=False
        )
        self.assertIs(factory.protocol, BulkTLS)

    def test_one_context(self) -> None:
        """All connections of an identity share one context, whatever they speak and whichever end they are."""
        made: list[int] = []

        class Counted(SSL.Context):
            def __init__(self, method: int) -> None:
                made.append(method)
                super().__init__(method)

        self.patch(SSL, "Context", Counted)
        first, second = self.credentials("n1.n"), self.credentials("n2.n")
        for alpn in (CONTROL_ALPN, LINK_ALPN):
            for server, client in ((first, second), (second, first)):
                ends = self.handshake(server, client, server_alpn=alpn, client_alpn=alpn)
                self.assertTrue(ends[0].completed and ends[1].completed)
        self.assertEqual(len(made), 2)

    def test_foreign_client(self) -> None:
        """A client with the certificate of another lab is refused, though it uses the same name."""
        foreign = self.foreign("n1.n")
        both = self.folder / "both.pem"
        both.write_bytes(foreign.authority.read_bytes() + self.authority.path.read_bytes())
        client = Credentials(foreign.certificate, foreign.key, both)
        credentials = self.credentials("router.n")
        server, refused, _ = self.handshake(credentials, client)
        self.assertFalse(server.completed)
        self.assertEqual("TLS: certificate verify failed: the authority of this lab doesn't vouch for it", server.why)
        self.assertIn("unknown ca", refused.why)
        again = self.handshake(credentials, self.credentials("n2.n"))
        self.assertTrue(all(end.completed for end in again[:2]))

    def test_foreign_server(self) -> None:
        """A client refuses a server of another lab."""
        foreign = Credentials(*self.foreign("router.n"))
        server, client, _ = self.handshake(foreign, self.credentials("n1.n"))
        self.assertFalse(server.completed or client.completed)
        self.assertIn("certificate verify failed", client.why)

    def expired(self, name: str) -> Credentials:
        """Return credentials whose certificate was fine when they were loaded, ten days ago."""
        then = datetime.now(UTC) - timedelta(days=10)
        folder = self.folder / "then"
        folder.mkdir()
        self.authority = Authority.create(folder, now=then)
        return Credentials(*self.issue(name, days=1, now=then), now=then)

    def test_expired_client(self) -> None:
        """A certificate that has expired while its owner ran is refused."""
        client = self.expired("n1.n")
        server, refused, _ = self.handshake(self.credentials("router.n"), client)
        self.assertFalse(server.completed)
        self.assertEqual("TLS: certificate verify failed: it has expired", server.why)
        self.assertIn("certificate expired", refused.why)

    def test_expired_server(self) -> None:
        """A client refuses the expired certificate of a server."""
        expired = self.expired("router.n")
        server, client, _ = self.handshake(expired, self.credentials("n1.n"))
        self.assertFalse(client.completed)
        self.assertEqual("TLS: certificate verify failed: it has expired", client.why)
        self.assertIn("certificate expired", server.why)

    def test_no_client_certificate(self) -> None:
        """A client without a certificate is refused."""
        stranger = Stranger(lambda context: context.set_alpn_protos([CONTROL_ALPN]))
        server, refused, _ = self.handshake(self.credentials("router.n"), stranger)
        self.assertFalse(server.completed)
        self.assertIn("peer did not return a certificate", server.why)
        self.assertIsNotNone(refused.reason)

    def test_tls_1_2(self) -> None:
        """TLS 1.2 and older are refused, whoever asks."""
        stranger = Stranger(member(self.issue("n1.n")))
        stranger.context.set_max_proto_version(SSL.TLS1_2_VERSION)
        server, refused, _ = self.handshake(self.credentials("router.n"), stranger)
        self.assertFalse(server.completed or refused.completed)
        self.assertIn("unsupported protocol", server.why)

    def test_wrong_alpn(self) -> None:
        """An end that speaks another protocol is refused in the handshake, and both ends are told why."""
        server, client, _ = self.handshake(
            self.credentials("router.n"), self.credentials("n1.n"), server_alpn=CONTROL_ALPN, client_alpn=LINK_ALPN
        )
        self.assertFalse(server.completed or client.completed)
        self.assertEqual(server.why, "TLS: no common application protocol: it isn't p2p-control/1")
        self.assertIn("no application protocol", client.why)

    def test_no_alpn(self) -> None:
        """A client that names no protocol gets none: the channel and the link look at what was agreed on."""
        server, _, _ = self.handshake(self.credentials("router.n"), Stranger(member(self.issue("n1.n"))))
        self.assertTrue(server.completed)
        self.assertIs(server.transport.negotiatedProtocol, None)

    def test_client_certificate_for_servers_only(self) -> None:
        """A certificate that isn't made for clients is refused on that side by OpenSSL too."""
        files = odd_certificate(self.folder, [x509.DNSName("n1.n")], usage=[ExtendedKeyUsageOID.SERVER_AUTH])
        server, _, _ = self.handshake(self.credentials("router.n"), Stranger(member(files, CONTROL_ALPN)))
        self.assertFalse(server.completed)


class NameTests(TLSTestCase):
    """Who is at the other end."""

    def test_nobodys(self) -> None:
        """A certificate of an authority, or one whose name has capitals, is nobody's, whoever is expected there."""
        own = self.credentials("router.n")
        for files, reason in (
            (odd_certificate(self.folder, [x509.DNSName("n1.n")], authority=True), "is that of an authority (CA:TRUE)"),
            (odd_certificate(self.folder, [x509.DNSName("N1.n")]), "'N1.n' has capital letters"),
            (odd_certificate(self.folder, [x509.DNSName("n1.n"), x509.DNSName("n1.N")]), "'n1.N' has capital letters"),
        ):
            server, _, _ = self.handshake(own, Stranger(member(files, CONTROL_ALPN)))
            self.assertTrue(server.completed)
            for ask in (lambda: remote_name(server.transport), lambda: require_name(server.transport, "n1.n")):  # noqa: B023 - it is called at once
                self.assertIn(reason, str(self.assertRaises(IdentityError, ask)))
            self.assertIn(reason, str(self.assertRaises(IdentityError, Credentials, *files)))
        files = odd_certificate(self.folder, [x509.DNSName("n1.n")], authority=False)
        server, _, _ = self.handshake(own, Stranger(member(files, CONTROL_ALPN)))
        self.assertEqual("n1.n", remote_name(server.transport))

    def test_expected(self) -> None:
        """The name is checked against the certificate with service_identity."""
        server, client, _ = self.handshake(self.credentials("n1.n"), self.credentials("m4.m"))
        require_name(server.transport, "m4.m")
        require_name(client.transport, "n1.n")

    def test_somebody_else(self) -> None:
        """Another member of the lab isn't the one who was asked for; the message names both."""
        server, _, _ = self.handshake(self.credentials("n1.n"), self.credentials("m4.m"))
        error = self.assertRaises(IdentityError, require_name, server.transport, "m5.m")
        self.assertEqual(str(error), "expected m5.m, but the certificate at the other end is for m4.m")

    def test_several_names(self) -> None:
        """A certificate with two names has no name that could be registered, but each of them can be asked for."""
        files = odd_certificate(self.folder, [x509.DNSName("n1.n"), x509.DNSName("n2.n")])
        server, _, _ = self.handshake(self.credentials("router.n"), Stranger(member(files, CONTROL_ALPN)))
        self.assertTrue(server.completed)
        error = self.assertRaises(IdentityError, remote_name, server.transport)
        self.assertIn("needs exactly one DNS name as subjectAltName, has 2", str(error))
        require_name(server.transport, "n2.n")

    def test_no_dns_name(self) -> None:
        """A certificate for an address alone is nobody's."""
        files = odd_certificate(self.folder, [x509.IPAddress(ipaddress.ip_address("192.0.2.1"))])
        server, _, _ = self.handshake(self.credentials("router.n"), Stranger(member(files, CONTROL_ALPN)))
        error = self.assertRaises(IdentityError, require_name, server.transport, "n1.n")
        self.assertIn("the certificate at the other end is for no DNS name", str(error))

    def test_without_certificate(self) -> None:
        """A transport without a certificate at its other end has no name."""

        class Anonymous:
            def getPeerCertificate(self) -> None:
                return None

        self.assertRaises(IdentityError, remote_name, Anonymous())
        error = self.assertRaises(IdentityError, require_name, Anonymous(), "n1.n")
        self.assertEqual(str(error), "expected n1.n, but the other end showed no certificate")


class CredentialsTests(TLSTestCase):
    """Certificates and keys from files."""

    def refused(self, files: Files, now: datetime | None = None) -> str:
        return str(self.assertRaises(IdentityError, Credentials, *files, now=now))

    def test_name(self) -> None:
        """The name is the one in the certificate."""
        self.assertEqual(self.credentials("router.n").name, "router.n")

    def test_unreadable_files(self) -> None:
        """Each file that is missing or something else is named with what is wrong."""
        files = self.issue("n1.n")
        missing, rubbish = self.folder / "missing", self.folder / "rubbish"
        rubbish.write_text("rubbish")
        for kind, messages in {
            "certificate": ("can't read the certificate (No such file", "no PEM certificate"),
            "key": ("can't read the private key (No such file", "no PEM private key"),
            "authority": ("no usable certificate authority", "no usable certificate authority"),
        }.items():
            for path, message in zip((missing, rubbish), messages, strict=True):
                self.assertIn(f"{path}: {message}", self.refused(files._replace(**{kind: path})))

    def test_wrong_key(self) -> None:
        """The key of another certificate is refused."""
        files = self.issue("n1.n")._replace(key=self.issue("n2.n").key)
        self.assertIn(f"n2.n.key: isn't the private key of {self.folder}/n1.n.pem", self.refused(files))

    def test_encrypted_key(self) -> None:
        """An encrypted key is refused; nothing asks for its password at a terminal."""
        files = self.issue("n1.n")
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
        encryption = serialization.BestAvailableEncryption(b"secret")
        files.key.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        self.assertIn("without a password", self.refused(files))

    def test_names(self) -> None:
        """A certificate with none or two names is refused."""
        for names, count in (([x509.DNSName("n1.n"), x509.DNSName("n2.n")], 2), (None, 0)):
            message = self.refused(odd_certificate(self.folder, names))
            self.assertIn(f"needs exactly one DNS name as subjectAltName, has {count}", message)

    def test_wildcard(self) -> None:
        """A wildcard names nobody, which is said of both one's own certificate and that of the other end."""
        own = self.credentials("router.n")
        for name in ("*.n", "*.n.example.org", "*"):
            files = odd_certificate(self.folder, [x509.DNSName(name)])
            reason = f"{name} is a wildcard; a certificate names exactly one peer or router"
            self.assertIn(reason, self.refused(files))
            server, _, _ = self.handshake(own, Stranger(member(files, CONTROL_ALPN)))
            for who in (lambda transport: require_name(transport, "n1.n"), remote_name):
                self.assertIn(reason, str(self.assertRaises(IdentityError, who, server.transport)))

    def test_malformed_name(self) -> None:
        """A subjectAltName that can't be decoded is refused, whatever the decoder raises."""
        broken = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x03\x82\x05n")
        message = self.refused(odd_certificate(self.folder, None, alternative_name=broken))
        self.assertIn("its subjectAltName or another extension can't be read", message)

    def test_foreign(self) -> None:
        """A certificate that isn't the authority's is refused at the start, where the reason can be told."""
        message = self.refused(self.foreign("n1.n")._replace(authority=self.authority.path))
        self.assertIn("doesn't vouch for this certificate", message)
        self.assertIn("use files of the same lab", message)

    def test_expired(self) -> None:
        """An expired certificate is refused at the start, with what to do."""
        files = self.issue("n1.n", days=1)
        message = self.refused(files, datetime.now(UTC) + timedelta(days=2))
        self.assertIn("the certificate expired on", message)
        self.assertIn("p2p lab issue", message)

    def test_not_yet(self) -> None:
        """A certificate from the future means that a clock is wrong."""
        files = self.issue("n1.n", days=1)
        self.assertIn("check this machine's clock", self.refused(files, datetime.now(UTC) - timedelta(days=2)))

    def test_usage(self) -> None:
        """A certificate must be for both ends of TLS; one that names no use is for all."""
        name = [x509.DNSName("n1.n")]
        for usage in ([ExtendedKeyUsageOID.SERVER_AUTH], [ExtendedKeyUsageOID.CLIENT_AUTH]):
            message = self.refused(odd_certificate(self.folder, name, usage=usage))
            self.assertIn("its extendedKeyUsage must hold serverAuth and clientAuth", message)
        self.assertEqual(Credentials(*odd_certificate(self.folder, name, usage=[])).name, "n1.n")

    def test_openssl_refuses(self) -> None:
        """What only OpenSSL objects to is told in its words."""
        files = self.issue("n1.n")

        def fails(context: SSL.Context, path: str) -> None:
            raise SSL.Error([("SSL routines", "", "ee key too small")])

        self.patch(SSL.Context, "use_privatekey_file", fails)
        self.assertIn("n1.n.pem: OpenSSL can't use it with", self.refused(files))
        self.assertIn("(ee key too small)", self.refused(files))


class ConnectionFailureTests(SynchronousTestCase):
    """Why a connection ended, in words."""

    def test_words(self) -> None:
        """OpenSSL's alerts, Twisted's reasons and errors without a text all give a few words."""
        for error, words in (
            (SSL.Error([("SSL routines", "", "tlsv1 alert unknown ca")]), "TLS: tlsv1 alert unknown ca"),
            (SSL.Error(), "TLS: OpenSSL gave no reason"),
            (ConnectionDone(), "closed"),
            (ConnectionLost("gone"), "the connection broke"),
            (ValueError(), "ValueError"),
        ):
            self.assertEqual(connection_failure(Failure(error)), words)


class OpenSSLTests(SynchronousTestCase):
    """Certificates made with the ``openssl`` command, by the recipe of the documents."""

    AUTHORITY = """\
[req]
distinguished_name = subject
x509_extensions = authority
prompt = no
[subject]
CN = p2p lab
[authority]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
"""

    PEER = """\
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = DNS:n1.n
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""

    NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

    def openssl(self, command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=self.folder, check=True, capture_output=True, timeout=60)

    @needs("openssl")
    def test_recipe(self) -> None:
        """A certificate of an authority, both made with openssl, works, and that authority can issue the next one."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        (self.folder / "authority.cnf").write_text(self.AUTHORITY)
        (self.folder / "n1.n.ext").write_text(self.PEER)
        self.openssl(f"req -x509 {self.NEW_KEY} -sha256 -days 3650 -config authority.cnf -keyout ca.key -out ca.pem")
        self.openssl(f"req -new {self.NEW_KEY} -subj /O=n/CN=n1 -keyout n1.n.key -out n1.n.csr")
        self.openssl(
            "x509 -req -in n1.n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -sha256 -days 825 "
            "-extfile n1.n.ext -out n1.n.pem"
        )
        authority = self.folder / "ca.pem"
        self.assertEqual(Credentials(self.folder / "n1.n.pem", self.folder / "n1.n.key", authority).name, "n1.n")
        (self.folder / "ca.key").chmod(0o600)
        issued = Authority.load(self.folder).issue("n2.n", self.folder)
        self.assertEqual(Credentials(issued.certificate, issued.key, authority).name, "n2.n")
        self.openssl("verify -x509_strict -CAfile ca.pem n1.n.pem n2.n.pem")


class RenewedTests(TLSTestCase):
    """Certificates that are renewed while they are in use."""

    def setUp(self) -> None:
        super().setUp()
        self.files = self.issue("n1.n", days=5)
        self.renewed = self.folder / "state" / "n1.n.pem"
        self.own = Credentials(*self.files, renewed=self.renewed)

    def fresh(self, *, name: str = "n1.n", days: float = 30, authority: Authority | None = None) -> bytes:
        certificate = (authority or self.authority).certify(name, self.own.certificate.public_key(), days=days)
        return certificate.public_bytes(serialization.Encoding.DER)

    def test_taken(self) -> None:
        """A renewed certificate is what new connections show, and the next start finds; the file stays as it was."""
        before, shown = self.files.certificate.read_bytes(), self.own.certificate
        client = self.own.wrap(_Only(End()), client=True, alpn=LINK_ALPN, clock=self.clock)
        self.own.renew(self.fresh())
        self.assertNotEqual(shown, self.own.certificate)
        server = self.credentials("m4.m").wrap(_Only(End()), client=False, alpn=LINK_ALPN, clock=self.clock)
        ends = [factory.buildProtocol(ADDRESS) for factory in (client, server)]
        pump = connect(ends[1], FakeTransport(ends[1], True), ends[0], FakeTransport(ends[0], False), greet=False)
        self.pump(pump)
        self.assertEqual(self.own.certificate, ends[1].getPeerCertificate().to_cryptography())
        self.assertEqual(before, self.files.certificate.read_bytes())
        self.assertEqual(self.own.certificate, Credentials(*self.files, renewed=self.renewed).certificate)
        self.assertEqual([self.renewed], list(self.renewed.parent.iterdir()))

    def test_not_taken(self) -> None:
        """One for another name or key, of another authority, or unreadable isn't taken, and nothing changes."""
        before = self.own.certificate
        home = self.folder / "other"
        home.mkdir()
        key = Authority.create(home).certificate.public_key()
        other = self.authority.certify("n1.n", key).public_bytes(serialization.Encoding.DER)
        foreign = self.fresh(authority=Authority.load(home))
        for wrong, why in (
            (self.fresh(name="n2.n"), "is for another name, or another key"),
            (other, "is for another name, or another key"),
            (foreign, "doesn't vouch for this certificate"),
            (b"nothing", "can't be read"),
        ):
            with self.assertRaisesRegex(IdentityError, why):
                self.own.renew(wrong)
        self.assertEqual(before, self.own.certificate)
        self.assertFalse(self.renewed.exists())

    def test_no_place(self) -> None:
        """Without a place to keep it, or where it can't be written, none is taken."""
        self.assertFalse(Credentials(*self.files).renewable)
        with self.assertRaisesRegex(IdentityError, "no folder to keep the renewed certificate of n1.n in"):
            Credentials(*self.files).renew(self.fresh())
        self.renewed.parent.write_text("a file")
        with self.assertRaisesRegex(IdentityError, "can't be written"):
            self.own.renew(self.fresh())

    def test_expired(self) -> None:
        """Where it can be renewed, a certificate may have ended; one that was never good isn't taken all the same."""
        lab = self.folder / "older"
        lab.mkdir()
        start = datetime.now(UTC) - timedelta(days=20)
        authority = Authority.create(lab, now=start)
        issued = authority.issue("n2.n", lab, days=10, now=start)
        files = Files(issued.certificate, issued.key, authority.path)
        self.assertRaises(IdentityError, Credentials, *files)
        self.assertEqual("n2.n", Credentials(*files, renewed=self.folder / "none.pem").name)
        home = self.folder / "other"
        home.mkdir()
        foreign = Files(files.certificate, files.key, Authority.create(home).path)
        self.assertRaises(IdentityError, Credentials, *foreign, renewed=self.folder / "none.pem")

    def test_reload(self) -> None:
        """Files that have changed are loaded again; wrong ones change nothing."""
        before = self.own.certificate
        self.own.reload()
        other = self.issue("n2.n")
        self.files.certificate.write_bytes(other.certificate.read_bytes())
        self.files.key.write_bytes(other.key.read_bytes())
        with self.assertRaisesRegex(IdentityError, "is the certificate of n2.n now, not that of n1.n"):
            self.own.reload()
        self.files.certificate.write_text("nothing")
        self.assertRaises(IdentityError, self.own.reload)
        self.assertEqual(before, self.own.certificate)

    def test_authorities(self) -> None:
        """The keys of the authorities that are trusted can be asked; a file that is gone is told."""
        self.assertEqual([public_key_of(self.authority.certificate)], self.own.authorities)
        self.authority.path.unlink()
        self.assertRaises(IdentityError, lambda: self.own.authorities)

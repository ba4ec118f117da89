"""Tests for :mod:`p2p.router.joins`: new machines at a router, over real TLS in memory."""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory

from p2p.control.joining import JoinRefused, Renewing
from p2p.identity.authority import Authority
from p2p.identity.invitation import InviteCode
from p2p.identity.pem_files import load_certificate, public_key_of
from p2p.identity.tls import Newcomer
from p2p.router.joins import JOINS_AT_ONCE
from test.signer.lab import HOSTS, SignerTestCase


class JoinsTests(SignerTestCase):
    def refused(self, code: InviteCode, name: str = "n5.n", *, folder: str = "new") -> str:
        """What a machine is told that gets nothing."""
        return str(self.failureResultOf(self.join(code, name, folder), JoinRefused).value)

    def test_no_signer(self) -> None:
        """Without a signer a machine is told so, and the code stays good."""
        code = self.invite()
        self.assertIn("no signer is linked to router.n now; start it", self.refused(code))
        self.start_signer()
        self.successResultOf(self.join(code))

    def test_signer_goes(self) -> None:
        """When the signer has gone, no machine waits for it."""
        signer = self.start_signer()
        self.stop(signer)
        self.assertIn("no signer is linked", self.refused(self.invite()))

    def test_signer_hangs(self) -> None:
        """A signer that doesn't answer is told in time, with what to do."""
        code = self.invite()
        signer = self.start_signer()
        channel = signer.linked["n"]
        channel.transport.pauseProducing()
        joined = self.join(code)
        self.assertNoResult(joined)
        self.network.advance(8.1)
        self.assertIn("the signer gave no answer", str(self.failureResultOf(joined, JoinRefused).value))
        channel.transport.resumeProducing()

    def test_names(self) -> None:
        """Names that aren't a peer's of this cluster aren't passed on."""
        self.start_signer()
        code = self.invite()
        self.assertIn("m5.m is of cluster m", self.refused(code, "m5.m"))

    def test_many(self) -> None:
        """More than so many requests aren't passed on; who is told so may ask again soon."""
        self.start_signer()
        code = self.invite()._replace(secret=b"9876543210")
        for _ in range(JOINS_AT_ONCE):
            self.refused(code)
        self.assertIn("router.n is asked for too many certificates", self.refused(code))
        self.network.advance(2)
        self.assertIn("void after too many wrong tries", self.refused(code))

    def test_place(self) -> None:
        """A machine that joins is a stranger until it has gone: it keeps its place, and leaves it."""
        self.assertEqual(0, self.router.admission.pending)
        self.start_signer()
        channel = self.router._channels.joins.signer
        assert channel is not None
        channel.transport.pauseProducing()
        joined = self.join(self.invite())
        self.assertEqual(1, self.router.admission.pending)
        self.asking.transport.abortConnection()
        self.network.settle()
        self.failureResultOf(joined)
        self.assertEqual(0, self.router.admission.pending)
        channel.transport.resumeProducing()

    def test_renewed(self) -> None:
        """A machine whose certificate has ended gets another one as who joins does; and a router its own."""
        self.start_signer()
        own = load_certificate(self.folder / "certificates" / "n1.n.pem")
        known = [public_key_of(Authority.load(self.folder).certificate)]
        asking = Renewing(self.network, 30.0, "router.n", own, known)
        factory = Factory.forProtocol(lambda: asking)
        endpoint = clientFromString(self.network.on("10.9.9.9"), f"tcp:{HOSTS['n']}:5555")
        endpoint.connect(Newcomer().wrap(factory, self.network))
        self.network.settle()
        fresh = self.successResultOf(asking.joined).certificate
        self.assertEqual(public_key_of(own), public_key_of(fresh))
        router = load_certificate(self.folder / "certificates" / "router.n.pem").public_bytes(Encoding.DER)
        renewing = Deferred.fromCoroutine(self.router._channels.joins.renew(router))
        self.network.settle()
        self.assertNotEqual(router, self.successResultOf(renewing))

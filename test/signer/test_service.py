"""Tests for :mod:`p2p.signer.service`: a signer, routers and new machines, over real TLS in memory."""

from __future__ import annotations

from p2p.base.errors import IdentityError
from p2p.identity.authority import Authority
from p2p.identity.growing import add_cluster
from p2p.identity.tls import Credentials
from p2p.signer.service import SILENCE_S, WATCH_S, signer_runs
from test.signer import lab
from test.signer.lab import SignerTestCase


class SignerServiceTests(SignerTestCase):
    def test_links(self) -> None:
        """It is linked to every router that runs, and to one that comes later."""
        signer = self.start_signer()
        self.assertEqual({"n"}, set(signer.linked))
        self.start_router("m")
        self.network.advance(20)
        self.assertEqual({"n", "m"}, set(signer.linked))

    def test_new_cluster(self) -> None:
        """A cluster that is added while it runs is noticed; its router is dialled like the others."""
        signer = self.start_signer()
        add_cluster(self.folder, "k", "10.0.10.1", 5555)
        self.network.advance(2 * WATCH_S)
        self.assertEqual(["n", "m", "k"], signer._clusters)
        self.patch(lab, "HOSTS", {**lab.HOSTS, "k": "10.0.10.1"})
        self.start_router("k")
        self.network.advance(20)
        self.assertEqual({"n", "k"}, set(signer.linked))
        (self.folder / "lab.yaml").unlink()
        self.network.advance(2 * WATCH_S)
        self.assertEqual({"n", "k"}, set(signer.linked))

    def test_joins(self) -> None:
        """A machine gets a certificate for its key, with which its daemon is let in."""
        self.start_signer()
        joined = self.successResultOf(self.join(self.invite()))
        self.assertEqual(["n5.n"], self.used)
        files = self.files("new")
        files.finish(joined.authority, joined.certificate, joined.links)
        credentials = Credentials(
            self.top / "new/certificates/n5.n.pem", self.top / "new/certificates/n5.n.key", self.top / "new/ca.pem"
        )
        self.assertEqual("n5.n", credentials.name)
        self.assertEqual(["n5.n"], [one.name for one in self.ledger.issued("n5.n")])

    def test_router_comes_back(self) -> None:
        """A link that ends is made again; what joins meanwhile is told that there is no signer."""
        signer = self.start_signer()
        channel = signer.linked["n"]
        channel.abort("the test says so")
        self.network.settle()
        self.assertEqual({}, signer.linked)
        self.network.advance(5)
        self.assertEqual({"n"}, set(signer.linked))
        self.network.advance(2 * SILENCE_S)
        self.assertEqual({"n"}, set(signer.linked))

    def test_twice(self) -> None:
        """Two signers don't work in one folder; when one has ended, the next may."""
        self.assertFalse(signer_runs(self.folder))
        signer = self.start_signer()
        self.assertTrue(signer_runs(self.folder))
        with self.assertRaisesRegex(IdentityError, "another signer works with this lab already"):
            self.start_signer()
        self.stop(signer)
        self.assertFalse(signer_runs(self.folder))
        self.assertEqual({"n"}, set(self.start_signer().linked))

    def test_not_writable(self) -> None:
        """A folder in which nothing can be written is told."""
        (self.folder / "signer.lock").mkdir()
        with self.assertRaisesRegex(IdentityError, "signer.lock: can't be written"):
            signer_runs(self.folder)

    def test_stolen_by_a_newer_one(self) -> None:
        """A router has one link to the signer: the older one makes way."""
        first = self.start_signer()
        old = first.linked["n"]
        (self.folder / "signer.lock").unlink()
        second = self.start_signer()
        self.network.settle()
        self.assertFalse(old.is_open)
        self.assertIn("n", second.linked)


class RevokingTests(SignerTestCase):
    """What the commands of ``p2p lab`` have revoked."""

    def revoke(self, name: str) -> None:
        authority = Authority.load(self.folder)
        self.ledger.revoke(self.ledger.issued(name)[0].key, authority.sign, self.now)

    def test_told(self) -> None:
        """Routers that are linked are told within a second, those that come later as soon as they come."""
        signer = self.start_signer()
        self.revoke("n1.n")
        self.network.advance(2 * WATCH_S)
        self.assertEqual(1, len(self.router.believed.revocations))
        self.assertEqual(["m"], signer.behind())
        other = self.start_router("m")
        self.network.advance(20)
        self.assertEqual((1, []), (len(other.believed.revocations), signer.behind()))

    def test_before(self) -> None:
        """What was revoked while no signer ran is told by the next one, once."""
        self.revoke("n1.n")
        self.revoke("m1.m")
        self.start_signer()
        self.assertEqual(2, len(self.router.believed.revocations))

    def test_broken(self) -> None:
        """A ledger that can't be read for a moment is read the next time."""
        signer = self.start_signer()
        self.patch(signer._ledger, "changes", self._broken)
        self.network.advance(WATCH_S)
        self.assertEqual({"n"}, set(signer.linked))

    def _broken(self) -> int:
        raise IdentityError("locked")

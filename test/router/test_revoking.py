"""Tests of what a router does with revocations: whom it believes, whom it cuts off, whom it tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.protocols.amp import CommandLocator

from p2p.control.channel import ControlLost
from p2p.control.commands import Ping, Refused, Register, Revoke, responder
from p2p.identity.authority import Authority
from p2p.identity.pem_files import load_certificate, public_key_of
from p2p.identity.revocations import Revocation, hash_of, make_revocation
from test.router.lab import Peer, RouterTestCase, tls_files

UNTIL = 1 << 33


def revocation(name: str, number: int = 1, lab: str = "lab") -> Revocation:
    """That of the key that everybody of this name has in tests."""
    authority = Authority.load(tls_files(name, lab).authority.parent)
    files = tls_files(name, days=100) if name.startswith("router.") else tls_files(name, "lab")  # as the lab has them
    key = hash_of(public_key_of(load_certificate(files.certificate)))
    return make_revocation(number, UNTIL, key, authority.sign)


class Taking(CommandLocator):
    """A peer that takes revocations."""

    def __init__(self) -> None:
        self.told: list[bytes] = []

    @responder(Revoke)
    async def revoke(self, statements: list[bytes]) -> Mapping[str, Any]:
        self.told += statements
        return {}


class RevokingTests(RouterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.start("m")
        self.signer = self.lab.connect("signer", cluster="n")

    def revoke(self, *revocations: Revocation, by: Peer | None = None) -> Any:
        return (by or self.signer).said(Revoke, statements=[one.statement for one in revocations])

    def test_out(self) -> None:
        """A peer whose key is revoked is out of the table at once, is told why, and doesn't come in again."""
        peer, other = self.lab.peer("n1.n"), self.lab.peer("n2.n")
        self.successResultOf(self.revoke(revocation("n1.n")))
        self.assertIsNone(self.router.table.lookup("n1.n"))
        self.assertIn("the lab's authority has revoked the key of this certificate", peer.farewell)
        self.assertFalse(peer.is_open)
        self.assertTrue(other.is_open)
        again = self.lab.connect("n1.n")
        self.assertIn("has revoked the key", again.farewell)
        self.assertFalse(again.is_open)

    def test_peers_are_told(self) -> None:
        """Peers that take revocations are told those that they don't have, and new ones as they come."""
        self.revoke(revocation("n7.n", 1), revocation("n8.n", 2))
        peer, older = self.lab.connect("n1.n"), self.lab.peer("n2.n")
        peer.locator = taking = Taking()
        self.successResultOf(peer.said(Register, name="n1.n", version="0.1.0", revocations=1))
        self.assertEqual([revocation("n8.n", 2).statement[:48]], [one[:48] for one in taking.told])
        self.revoke(revocation("n9.n", 3))
        self.assertEqual(2, len(taking.told))
        self.assertTrue(older.is_open)

    def test_neighbour(self) -> None:
        """A neighbour tells, and is told; routers that know nothing of it aren't bothered."""
        neighbour = self.lab.connect("router.m", cluster="n")
        self.assertEqual(0, self.successResultOf(neighbour.said(Ping))["revocations"])
        peer = self.lab.peer("n1.n")
        self.successResultOf(self.revoke(revocation("n1.n", 5), by=neighbour))
        self.assertFalse(peer.is_open)
        self.assertEqual(5, self.successResultOf(neighbour.said(Ping))["revocations"])
        self.assertEqual({"revocations": None}, self.successResultOf(self.lab.peer("n2.n").said(Ping)))

    def test_spreads(self) -> None:
        """What one router is told all know, those that come later as well, and each keeps it by itself."""
        self.lab.start_router("m", "n", "o")
        self.network.advance(5)
        self.revoke(revocation("m1.m"))
        self.assertEqual(1, len(self.lab.routers["m"].believed.revocations))
        self.lab.start_router("o", "m")
        self.network.advance(40)
        self.assertEqual(1, len(self.lab.routers["o"].believed.revocations))

    def test_router_revoked(self) -> None:
        """The router of another cluster whose key is revoked is linked to nobody any more, either way."""
        self.lab.start_router("m", "n")
        self.network.advance(5)
        self.assertTrue(self.service.federation.clusters["m"])
        self.revoke(revocation("router.m"))
        self.network.settle()
        self.assertFalse(self.service.federation.clusters["m"])
        self.network.advance(60)
        self.assertFalse(self.service.federation.clusters["m"])

    def test_forged(self) -> None:
        """What the authority hasn't signed is refused, whoever tells it, and changes nothing."""
        peer = self.lab.peer("n1.n")
        self.failureResultOf(self.revoke(revocation("n1.n", lab="other")), Refused)
        self.assertTrue(peer.is_open)

    def test_peers_mayn_t(self) -> None:
        """A peer may tell nothing."""
        self.failureResultOf(self.revoke(revocation("n2.n"), by=self.lab.peer("n1.n")), ControlLost)

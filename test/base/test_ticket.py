"""Tickets open one connection, for one peer, for some time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.ticket import Ticket, TicketBook, TicketRefused
from test.properties import PROPERTY

NONCE = bytes(range(32))
EXPIRES = 130.0


class ProofTests(SynchronousTestCase):
    """Both sides prove that they hold the nonce, without showing it."""

    def test_bytes(self) -> None:
        """A proof is BLAKE3, keyed with the nonce, of the role and both names: another implementation must agree."""
        ticket = Ticket(NONCE, "n1.n", "m4.m", EXPIRES)
        self.assertEqual(
            ticket.dialler_proof().hex(), "9dba1739d069df8bf79ebccac293ade76a0e85a7cccceec29c804314e6da4306"
        )
        self.assertEqual(
            ticket.listener_proof().hex(), "af26fd0f97e0f8deae4a26470f133a81a312a2492fd4689c183cff380c2c11d1"
        )

    def test_each_proof_is_good_for_one_thing(self) -> None:
        """Another role, direction, name or nonce gives another proof; when the ticket expires makes no difference."""
        tickets = [
            Ticket(NONCE, "n1.n", "m4.m", EXPIRES),
            Ticket(NONCE, "m4.m", "n1.n", EXPIRES),
            Ticket(NONCE, "n1.n", "m5.m", EXPIRES),
            Ticket(NONCE[::-1], "n1.n", "m4.m", EXPIRES),
        ]
        proofs = [proof for ticket in tickets for proof in (ticket.dialler_proof(), ticket.listener_proof())]
        self.assertEqual(len(set(proofs)), 8)
        self.assertEqual(Ticket(NONCE, "n1.n", "m4.m", 0.0).dialler_proof(), proofs[0])


class TicketBookTests(SynchronousTestCase):
    """A peer's book of the tickets it has given out."""

    def setUp(self) -> None:
        self.book = TicketBook()
        self.ticket = self.book.issue(NONCE, "n1.n", "m4.m", EXPIRES)
        self.proof = self.ticket.dialler_proof()

    def refusal(self, dialler: str | None, proof: bytes, now: float = 100.0) -> str:
        """Why a connection is refused."""
        return str(self.assertRaises(TicketRefused, self.book.redeem, self.ticket, dialler, proof, now))

    def test_single_use(self) -> None:
        """A ticket opens one connection; shown again, it opens nothing."""
        self.assertEqual(len(self.book), 1)
        self.book.redeem(self.ticket, "m4.m", self.proof, 100.0)
        self.assertEqual(len(self.book), 0)
        self.assertIn("used before", self.refusal("m4.m", self.proof))

    def test_plain_link(self) -> None:
        """Without a certificate the proof alone counts."""
        self.assertIn("no valid ticket", self.refusal(None, bytes(32)))
        self.book.redeem(self.ticket, None, self.proof, 100.0)

    def test_expiry(self) -> None:
        """A ticket is good until it expires, and gone from then on."""
        self.assertIn("expired", self.refusal("m4.m", self.proof, EXPIRES))
        self.assertEqual(len(self.book), 0)
        self.refusal("m4.m", self.proof, 100.0)

    def test_to_the_last_moment(self) -> None:
        """Just before it expires a ticket is as good as new."""
        self.book.redeem(self.ticket, "m4.m", self.proof, EXPIRES - 0.001)

    def test_wrong_peer(self) -> None:
        """A ticket shown by another peer is refused, and stays good for the right one."""
        self.assertIn("not for m5.m", self.refusal("m5.m", self.proof))
        self.book.redeem(self.ticket, "m4.m", self.proof, 100.0)

    def test_listeners_own_proof(self) -> None:
        """The listener's proof, sent back to it, opens nothing."""
        self.refusal("m4.m", self.ticket.listener_proof())

    @PROPERTY
    @given(st.binary(max_size=64))
    def test_forged_proof(self, proof: bytes) -> None:
        """Any other bytes are refused, of whatever length, and the ticket stays good for the right dialler."""
        book = TicketBook()
        ticket = book.issue(NONCE, "n1.n", "m4.m", EXPIRES)
        self.assertRaises(TicketRefused, book.redeem, ticket, "m4.m", proof, 100.0)
        book.redeem(ticket, "m4.m", self.proof, 100.0)

    def test_void(self) -> None:
        """A ticket that was made worthless opens nothing; doing it twice harms nothing."""
        self.book.void(self.ticket)
        self.book.void(self.ticket)
        self.refusal("m4.m", self.proof)

    def test_nonce(self) -> None:
        """A nonce is 32 bytes, and no two tickets under way share one."""
        for nonce in (b"", bytes(31), bytes(33), NONCE):
            self.assertRaises(ValueError, self.book.issue, nonce, "n1.n", "m4.m", EXPIRES)
        self.book.issue(bytes(32), "n1.n", "m4.m", EXPIRES)
        self.assertEqual(len(self.book), 2)

"""The hello of a link, and how far connections came on their way to one."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ProtocolViolation
from p2p.base.ticket import Ticket
from p2p.link.boxes import Box, encode_box
from p2p.link.hello import LinkTerms, Steps, check_hello, encode_hello
from p2p.link.protocol import DirectLink
from test.link.links import DIALLER, LISTENER, PORT, Ends, Hand

TICKET: Final = Ticket(bytes(range(32)), initiator="n1.n", target="m4.m", expires=20.0)


class HelloTests(SynchronousTestCase):
    """What both ends say first."""

    def setUp(self) -> None:
        """Make the terms of both ends; the listener's check takes everything and is written down."""
        self.redeemed: list[tuple[str | None, bytes]] = []
        self.dialler, self.listener = self.terms(plain=False)

    def terms(self, plain: bool) -> tuple[LinkTerms, LinkTerms]:
        """The terms of the dialler and of the listener."""
        return LinkTerms(TICKET, True, plain), LinkTerms(TICKET, False, plain, lambda *one: self.redeemed.append(one))

    def box(self, **changed: bytes) -> Box:
        """What the dialler says, with changes."""
        return {"version": b"1", "streams": b"256", "ticket": TICKET.dialler_proof()} | changed

    def test_ends(self) -> None:
        """The target of the ticket dials, its initiator listens; each is remote to the other."""
        self.assertEqual(("m4.m", "n1.n"), (self.dialler.local, self.dialler.remote))
        self.assertEqual(("n1.n", "m4.m"), (self.listener.local, self.listener.remote))

    def test_said(self) -> None:
        """The dialler shows its proof of the ticket, the listener the other; both say how many streams they allow."""
        self.assertEqual(encode_box(self.box()), encode_hello(self.dialler, 256))
        answer = {"version": b"1", "streams": b"7", "proof": TICKET.listener_proof()}
        self.assertEqual(encode_box(answer), encode_hello(self.listener, 7))

    def test_redeemed(self) -> None:
        """The listener's check gets the proof and the name in the certificate, which a plain link doesn't have."""
        self.assertEqual((256, False), check_hello(self.listener, self.box()))
        check_hello(self.terms(plain=True)[1], self.box())
        without = self.box()
        del without["ticket"]
        check_hello(self.listener, without)
        proof = TICKET.dialler_proof()
        self.assertEqual([("m4.m", proof), (None, proof), ("m4.m", b"")], self.redeemed)

    def test_counterproof(self) -> None:
        """The dialler takes no listener that doesn't know the ticket."""
        self.assertEqual((9, False), check_hello(self.dialler, self.box(streams=b"9", proof=TICKET.listener_proof())))
        for wrong in (self.box(), self.box(proof=TICKET.dialler_proof())):
            told = self.assertRaises(ProtocolViolation, check_hello, self.dialler, wrong)
            self.assertIn("doesn't know the ticket", str(told))

    def test_streams(self) -> None:
        """The number of streams is a whole one above 0, in at most nine digits; else the ticket stays unused."""
        self.assertEqual(999_999_999, check_hello(self.listener, self.box(streams=b"999999999")).streams)
        self.redeemed.clear()
        for wrong in (b"", b"0", b"-1", b"1.5", b"x", b"1000000000", "٣".encode(), b" 7"):
            told = self.assertRaises(ProtocolViolation, check_hello, self.listener, self.box(streams=wrong))
            self.assertEqual("m4.m doesn't say how many streams it allows", str(told))
        self.assertEqual([], self.redeemed)

    def test_lost(self) -> None:
        """An end that has lost an earlier link says so; any other word in that place means nothing."""
        for terms, box in ((self.dialler, self.box()), (self.listener, self.box(proof=TICKET.listener_proof()))):
            said = encode_hello(replace(terms, lost=True), 256)
            self.assertIn(encode_box({"lost": "yes"})[:-2], said)
            self.assertNotIn(b"lost", encode_hello(terms, 256))
            other = self.listener if terms is self.dialler else self.dialler
            box = box if terms is self.dialler else self.box(proof=TICKET.listener_proof())
            self.assertTrue(check_hello(other, box | {"lost": b"yes"}).lost)
            self.assertFalse(check_hello(other, box | {"lost": b"no"}).lost)

    def test_version(self) -> None:
        """An end that speaks another version is told which; of a long one the beginning."""
        told = self.assertRaises(ProtocolViolation, check_hello, self.listener, self.box(version=b"2" * 41))
        self.assertIn(f"m4.m speaks version '{'2' * 40}' of the link protocol, and this is version 1", str(told))
        self.assertEqual([], self.redeemed)


class StepsTests(SynchronousTestCase):
    """What a connection notes of its steps."""

    def listening(self, ends: Ends) -> list[DirectLink]:
        """Listen with protocols whose clock ticks with each look; returns those that are made."""
        made: list[DirectLink] = []
        ticks = count(1)

        def make() -> DirectLink:
            terms = LinkTerms(
                ends.ticket,
                dialler=False,
                plain=ends.plain,
                redeem=lambda dialler, proof: ends.book.redeem(ends.ticket, dialler, proof, ends.network.seconds()),
            )
            made.append(DirectLink(terms, ends.listening, ends.network, ends.limits, now_ns=lambda: next(ticks)))
            return made[-1]

        ends.listen(make)
        return made

    def test_link(self) -> None:
        """A link has taken all steps, one after another, and knows where its other end is."""
        ends = Ends()
        made = self.listening(ends)
        ends.dial()
        steps = made[0].steps
        self.assertEqual((1, 2, 3, ""), (steps.connected_ns, steps.secured_ns, steps.proved_ns, steps.reason))
        self.assertTrue(steps.remote.startswith(f"{DIALLER}:"))
        self.assertEqual(f"{LISTENER}:{PORT}", ends.dialling.link.steps.remote)

    def test_plain(self) -> None:
        """A plain link has no TLS to be done."""
        ends = Ends(plain=True)
        made = self.listening(ends)
        ends.dial()
        self.assertEqual((1, 0, 2), (made[0].steps.connected_ns, made[0].steps.secured_ns, made[0].steps.proved_ns))

    def test_wrong_certificate(self) -> None:
        """A caller with another peer's certificate never counts as secured, and the reason says whose it is."""
        ends = Ends()
        made = self.listening(ends)
        ends.dial(Hand(), who="m5.m")
        steps = made[0].steps
        self.assertEqual((1, 0, 0), (steps.connected_ns, steps.secured_ns, steps.proved_ns))
        self.assertIn("the certificate at the other end is for m5.m", steps.reason)

    def test_wrong_ticket(self) -> None:
        """A caller whose ticket isn't valid is secured, but not proved."""
        ends = Ends()
        made = self.listening(ends)
        hand = Hand()
        ends.dial(hand)
        hand.say(ends.proof(bytes(32)))
        ends.network.settle()
        steps = made[0].steps
        self.assertEqual((1, 2, 0), (steps.connected_ns, steps.secured_ns, steps.proved_ns))
        self.assertIn("shows no valid ticket", steps.reason)

    def test_nothing_yet(self) -> None:
        """What hasn't happened has no time."""
        self.assertEqual(Steps("", 0, 0, 0, ""), Steps())

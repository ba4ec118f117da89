"""How far connections came on their way to a link."""

from __future__ import annotations

from itertools import count

from twisted.trial.unittest import SynchronousTestCase

from p2p.link.hello import LinkTerms, Steps
from p2p.link.protocol import DirectLink
from test.link.links import DIALLER, LISTENER, PORT, Ends, Hand


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

"""A transfer that its initiator won't go on with."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange.request import Request
from p2p.exchange.service import TRANSFER
from p2p.transfer.giving_up import GiveUpSession
from test.transfer.sessions import ID, SessionCase


class GivingUpTests(SessionCase):
    """n1.n gives up what it had begun to send."""

    def give_up(self, request: Request | None = None) -> Deferred[Any]:
        session = GiveUpSession(ID)
        return self.run_session(session, request or session.request)

    def test_given_up(self) -> None:
        """The host of the receiver is told which, and by whom, and nobody is asked for consent."""
        self.successResultOf(self.give_up())
        (offer,) = self.host.cancelled
        self.assertEqual(("n1.n", "transfer", ID), (offer.sender, offer.service, offer.id))
        self.assertEqual([], self.host.offers)

    def test_no_body(self) -> None:
        """The request has no body: it announces none, and sends none."""
        self.assertEqual(0, self.successResultOf(Deferred.fromCoroutine(GiveUpSession(ID).open())))

    def test_cannot(self) -> None:
        """If its parts can't be removed, the initiator is told why."""
        self.host.refusal = ExchangeFailed(Outcome.REFUSED, "the inbox is read-only")
        failure = self.failureResultOf(self.give_up(), ExchangeFailed).value
        self.assertEqual((Outcome.REFUSED, "the inbox is read-only"), (failure.outcome, str(failure)))

    def test_no_id(self) -> None:
        """What doesn't say which is refused."""
        failure = self.failureResultOf(self.give_up(Request(TRANSFER, more={"cancel": "1"})), ExchangeFailed).value
        self.assertIs(Outcome.REFUSED, failure.outcome)
        self.assertEqual([], self.host.cancelled)

    def test_answer(self) -> None:
        """An answer that says more than that it is done is refused."""
        sink = GiveUpSession(ID).sink()
        self.assertIs(Outcome.CORRUPT, self.assertRaises(ExchangeFailed, sink.write, b"x").outcome)

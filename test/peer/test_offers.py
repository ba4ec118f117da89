"""Tests for :mod:`p2p.peer.offers`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, InvalidRequest, Outcome
from p2p.console.transfer_operations import PendingOffer
from p2p.exchange.rules import Names, Offer
from p2p.peer.offers import OFFERS, OFFERS_EACH, TELL_S, WAIT_S, PendingOffers

FILM = Offer("n1.n", "transfer", "video", "film.mp4", 5, 1, "0" * 16)


class PendingOffersTests(SynchronousTestCase):
    """The offers to the peers of a daemon."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.count = 0
        self.told: list[str] = []
        self.pending = PendingOffers(self.clock, self.token)

    def token(self) -> str:
        self.count += 1
        return f"{self.count:08x}"

    def ask(self, offer: Offer = FILM, peer: str = "m4.m") -> Deferred[None]:
        return Deferred.fromCoroutine(self.pending.ask(peer, offer, self.told.append))

    def refusal(self, asking: Deferred[None]) -> str:
        failure = self.failureResultOf(asking, ExchangeFailed).value
        self.assertIs(Outcome.REFUSED, failure.outcome)
        return str(failure)

    def over(self) -> None:
        """Nothing waits, and nothing is left to happen."""
        self.assertEqual(([], []), (list(self.pending.offers()), self.clock.getDelayedCalls()))

    def test_accepted(self) -> None:
        """A person takes it, and then it is over."""
        asking = self.ask()
        self.assertNoResult(asking)
        self.pending.decide("00000001", True)
        self.assertIsNone(self.successResultOf(asking))
        self.over()

    def test_refused(self) -> None:
        """A person doesn't want it, and the sender is told that it was a person."""
        asking = self.ask()
        self.pending.decide("00000001", False)
        self.assertEqual("the user of m4.m doesn't want it", self.refusal(asking))
        self.over()

    def test_shown(self) -> None:
        """A person sees who offers what to whom, how much, and since when, the oldest first."""
        self.ask()
        self.clock.advance(2)
        self.ask(Offer("n2.n", "transfer", name="notes"), "m5.m")
        first, second = self.pending.offers()
        self.assertEqual(
            PendingOffer(
                offer="00000001",
                acting="m4.m",
                peer="n1.n",
                service="transfer",
                type="video",
                types=["video"],
                name="film.mp4",
                names=["film.mp4"],
                entries=1,
                bytes=5,
                age_s=2.0,
            ),
            first,
        )
        self.assertEqual(("m5.m", "n2.n", "notes", None, None, 0.0), _shown(second))
        self._end()

    def test_all_names(self) -> None:
        """All names that the sender says, and all types, are shown; the log has them in short."""
        names = Names(("s9.mp3", "y", "a\x1b", "b"), 10_000, "0" * 64)
        said = Offer("n1.n", "transfer", "audio", "s9.mp3", 5, 10_000, "0" * 16, names, {"audio": 1, "data": 4})
        with capturedLogs() as logs:
            self.ask(said)
        (shown,) = self.pending.offers()
        self.assertEqual((["s9.mp3", "y", "a\x1b", "b"], 9_996), (shown.names, shown.more_names))
        self.assertEqual(["audio", "data"], shown.types)
        self.assertIn("n1.n offers 's9.mp3, y, a and 9,997 more'", formatEvent(logs[0]))
        self._end()

    def test_sender_is_told(self) -> None:
        """The sender is told at once why it waits and what is to be done there, and again every 5 s."""
        self.ask()
        reason = "m4.m asks its user, who has to say there: p2p offers accept 00000001"
        self.assertEqual([reason], self.told)
        self.clock.pump([TELL_S] * 3)
        self.assertEqual([reason] * 4, self.told)
        self.pending.decide("00000001", True)
        self.clock.advance(60)
        self.assertEqual(4, len(self.told))

    def test_nobody_decides(self) -> None:
        """After ten minutes it is refused, and the sender is told that nobody was there."""
        asking = self.ask()
        self.clock.advance(WAIT_S - 1)
        self.assertNoResult(asking)
        self.clock.advance(1)
        self.assertEqual("nobody at m4.m has decided within 10 minutes; offer it again", self.refusal(asking))
        self.over()
        self.assertRaises(InvalidRequest, self.pending.decide, "00000001", True)

    def test_sender_leaves(self) -> None:
        """An offer whose sender is gone doesn't wait any more, and deciding about it is told to be too late."""
        asking = self.ask()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.over()
        error = self.assertRaises(InvalidRequest, self.pending.decide, "00000001", True)
        self.assertEqual("no offer '00000001' waits (any more); list those that do: p2p offers", str(error))

    def test_decided_twice(self) -> None:
        """An offer is decided about once."""
        self.ask()
        self.pending.decide("00000001", True)
        self.assertRaises(InvalidRequest, self.pending.decide, "00000001", False)

    def test_limit(self) -> None:
        """No more than 64 wait; one more is refused with the reason, until one of them is decided about."""
        for number in range(OFFERS):
            self.ask(Offer(f"n{number}.n", "transfer"))
        self.assertEqual("64 offers wait at m4.m already; try again later", self.refusal(self.ask()))
        self.pending.decide("00000001", True)
        self.assertNoResult(self.ask())
        self._end()

    def test_limit_of_a_sender(self) -> None:
        """Of one sender no more than 16 wait, so that others can ask as well."""
        for _ in range(OFFERS_EACH):
            self.ask()
        reason = "16 offers of n1.n wait at m4.m already; send more of it in one go"
        self.assertEqual(reason, self.refusal(self.ask()))
        self.assertNoResult(self.ask(Offer("n2.n", "transfer")))
        self._end()

    def test_cannot_be_told(self) -> None:
        """If the sender can't be told that it waits, that is logged, and it waits on."""

        def broken(reason: str) -> None:
            raise RuntimeError("no stream")

        asking = Deferred.fromCoroutine(self.pending.ask("m4.m", FILM, broken))
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))
        self.pending.decide("00000001", True)
        self.successResultOf(asking)
        self.over()

    def _end(self) -> None:
        for each in self.pending.offers():
            self.pending.decide(each.offer, True)
        self.over()


def _shown(offer: PendingOffer) -> Any:
    return offer.acting, offer.peer, offer.name, offer.entries, offer.bytes, offer.age_s

"""When a transfer whose session ended badly is begun again."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import Outcome
from p2p.peer.transfers.retry import LONGEST_S, Retries, time_left

PASSES = [Outcome.RESET, Outcome.TRUNCATED, Outcome.TIMEOUT, Outcome.CONNECT_FAILED, Outcome.CLUSTER_UNREACHABLE]


class RetriesTests(SynchronousTestCase):
    """A transfer with an hour to go."""

    def setUp(self) -> None:
        self.retries = Retries(3600.0, 3600.0, stood=False)

    def failed(self, outcome: Outcome = Outcome.RESET, now: float = 0.0, chance: float = 0.5) -> float | None:
        return self.retries.failed(outcome, now, chance)

    def test_which(self) -> None:
        """What may be gone in a moment is tried again; what somebody decided or what doesn't exist isn't."""
        for outcome in Outcome:
            with self.subTest(outcome):
                self.assertEqual(outcome in PASSES, self.failed(outcome) is not None)

    def test_unknown_peer_that_was_there(self) -> None:
        """A peer that took part once and isn't registered now will be back; a name nobody ever had is a mistake."""
        self.assertIsNone(self.failed(Outcome.UNKNOWN_PEER))
        self.retries.moved(0.0)
        self.assertIsNotNone(self.failed(Outcome.UNKNOWN_PEER))
        self.assertIsNotNone(Retries(10.0, 1.0, stood=True).failed(Outcome.UNKNOWN_PEER, 0.0, 0.5))

    def test_backoff(self) -> None:
        """The waits double from half a second to half a minute."""
        self.assertEqual([0.5, 1, 2, 4, 8, 16, 30, 30, 30], [self.failed() for _ in range(9)])

    def test_chance(self) -> None:
        """Those who broke off together come back up to a quarter earlier or later."""
        waits = [Retries(100.0, 1.0, stood=False).failed(Outcome.RESET, 0.0, chance) for chance in (0.0, 1.0)]
        self.assertEqual([0.375, 0.625], waits)

    def test_moved(self) -> None:
        """Once content has moved, the next wait is short again, and the peer has as long as at first to come back."""
        for _ in range(6):
            self.failed()
        self.retries.moved(5000.0)
        self.assertEqual(0.5, self.failed(now=5000.0))
        self.assertEqual(8600.0, self.retries.deadline)

    def test_deadline(self) -> None:
        """The last try is at the deadline, and none after it."""
        for _ in range(9):
            self.failed()
        self.assertEqual(2.0, self.failed(now=3598.0))
        self.assertFalse(self.retries.expired)
        self.assertIsNone(self.failed(now=3600.0))
        self.assertTrue(self.retries.expired)
        self.assertIsNone(self.failed(Outcome.REFUSED, now=3600.0))
        self.assertFalse(self.retries.expired)

    def test_longest(self) -> None:
        """However often it fails, the wait stays what it is."""
        for _ in range(2000):
            wait = self.failed(chance=1.0)
        self.assertEqual(LONGEST_S * 1.25, wait)


class TimeLeftTests(SynchronousTestCase):
    """``time_left``: what the journal says, read by a daemon that was started again."""

    def test_same_boot(self) -> None:
        """The time without a daemon counts, and no more than all of it is over."""
        self.assertEqual(40.0, time_left(60.0, 1000.0, 1020.0, same_boot=True))
        self.assertEqual(0.0, time_left(60.0, 1000.0, 9000.0, same_boot=True))

    def test_other_boot(self) -> None:
        """After a reboot the clock tells nothing about what was before: what was left is left."""
        for now in (5.0, 1020.0, 9000.0):
            self.assertEqual(60.0, time_left(60.0, 1000.0, now, same_boot=False))

    def test_never_more(self) -> None:
        """A clock that is behind what was written down gives nobody more time."""
        self.assertEqual(60.0, time_left(60.0, 1000.0, 5.0, same_boot=True))

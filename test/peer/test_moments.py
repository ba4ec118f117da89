"""The record of an attempt; what keeps it is tested in :mod:`test.peer.test_attempt`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.peer.moments import AttemptFailed, Setup


class SetupTests(SynchronousTestCase):
    def test_reused(self) -> None:
        """A link that was there has no times to wait for."""
        self.successResultOf(Setup(reused=True).when_answered())

    def test_answered(self) -> None:
        """Who waits for the times learns when they are known, or never will be; that may be told twice."""
        setup = Setup()
        setup.expect_answer()
        waiting = setup.when_answered()
        self.assertNoResult(waiting)
        for _ in range(2):
            setup.answered()
        self.successResultOf(waiting)
        self.successResultOf(setup.when_answered())
        Setup().answered()


class AttemptFailedTests(SynchronousTestCase):
    def test_says_what_failed(self) -> None:
        """It is the failure itself, and says how far the attempt came."""
        setup = Setup()
        failed = AttemptFailed(ExchangeFailed(Outcome.TIMEOUT, "too late", {"a": "b"}), setup)
        self.assertEqual((Outcome.TIMEOUT, "too late", {"a": "b"}), (failed.outcome, str(failed), failed.fields))
        self.assertIs(setup, failed.setup)

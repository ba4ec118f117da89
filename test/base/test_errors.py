"""Tests for :mod:`p2p.base.errors`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.base import errors
from p2p.base.errors import CancelledThere, ExchangeFailed, Outcome, P2PError


class OutcomeTests(SynchronousTestCase):
    """How an exchange may end."""

    def test_words(self) -> None:
        """The outcomes are the ten words that the wire, the samples and the documents share."""
        self.assertEqual(
            [str(outcome) for outcome in Outcome],
            [
                "ok",
                "unknown-peer",
                "unknown-cluster",
                "cluster-unreachable",
                "refused",
                "connect-failed",
                "timeout",
                "reset",
                "truncated",
                "corrupt",
            ],
        )

    def test_drops(self) -> None:
        """Everything but ok and refused is a drop."""
        self.assertEqual({outcome for outcome in Outcome if not outcome.is_drop}, {Outcome.OK, Outcome.REFUSED})


class ErrorTests(SynchronousTestCase):
    """The expected failures."""

    def test_one_base(self) -> None:
        """Every exception here is a P2PError, so that one except clause at the edge explains them all."""
        kinds = [getattr(errors, name) for name in errors.__all__ if name not in ("DialFailure", "Outcome")]
        for kind in kinds:
            self.assertTrue(issubclass(kind, P2PError), kind)

    def test_exchange_failed(self) -> None:
        """A failed exchange knows its outcome, its reason and what else was measured."""
        error = ExchangeFailed(Outcome.RESET, "the link ended", {"bytes": 5})
        self.assertEqual((error.outcome, str(error), error.fields), (Outcome.RESET, "the link ended", {"bytes": 5}))

    def test_exchange_failed_without_figures(self) -> None:
        """A failed exchange of which nothing was measured has no fields."""
        self.assertEqual(ExchangeFailed(Outcome.TIMEOUT, "no answer").fields, {})

    def test_cancelled_there(self) -> None:
        """What the other side gave up is refused to who knows no better, with the reason."""
        error = CancelledThere("m1.m gave it up")
        self.assertEqual((error.outcome, str(error)), (Outcome.REFUSED, "m1.m gave it up"))

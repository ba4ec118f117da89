"""Tests for :mod:`p2p.identity.renewal`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.identity.renewal import due


class DueTests(SynchronousTestCase):
    def test_two_thirds(self) -> None:
        """A certificate of 30 days is renewed after 20 of them."""
        day = 86400.0
        self.assertAlmostEqual(1000 + 20 * day, due(1000, 1000 + 30 * day), 3)

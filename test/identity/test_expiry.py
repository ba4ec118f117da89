"""Tests of p2p.identity.expiry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from p2p.identity.authority import Authority
from p2p.identity.expiry import warn_of_expiry


class ExpiryTests(SynchronousTestCase):
    def warnings(self, days: float) -> list[str]:
        """What is said of a certificate that is valid for so many more days."""
        folder = Path(self.mktemp())
        folder.mkdir()
        Authority.create(folder)
        issued = Authority.load(folder).issue("n1.n", folder, days=days, now=datetime.now(UTC) + timedelta(minutes=1))
        with capturedLogs() as logs:
            warn_of_expiry([issued.certificate])
        return [str(one["certificate"]) for one in logs]

    def test_soon(self) -> None:
        """Whoever starts a daemon whose certificate ends within 30 days is warned, and told which it is."""
        (named,) = self.warnings(29)
        self.assertTrue(named.endswith("n1.n.pem"))

    def test_late(self) -> None:
        """Nobody is bothered before."""
        self.assertEqual([], self.warnings(31))

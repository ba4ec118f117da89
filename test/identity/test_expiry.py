"""Tests of p2p.identity.expiry."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from p2p.identity.authority import Authority
from p2p.identity.expiry import ExpiryWatch

NOW = 1_800_000_000.0


class ExpiryTests(SynchronousTestCase):
    """Certificates that are valid for some days."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def watch(self, authority_days: float = 3650, **days: float) -> ExpiryWatch:
        """Watch the certificates of these peers of cluster n, which are valid for so many days."""
        start = datetime.fromtimestamp(NOW, UTC)
        authority = Authority.create(self.folder, days=authority_days, now=start)
        issued = {
            f"{node}.n": authority.issue(f"{node}.n", self.folder, days=valid, now=start).certificate
            for node, valid in days.items()
        }
        watch = ExpiryWatch(self.clock, issued, authority.path, lambda: NOW + self.clock.seconds())
        self.addCleanup(watch.stop)
        return watch

    def test_daily(self) -> None:
        """From 14 days before its end, a certificate is warned of at the start and then each day, and after it."""
        watch = self.watch(n1=15.5, n2=100)
        with capturedLogs() as logs:
            watch.start()
            self.assertEqual([], logs)
            for _ in range(17):
                self.clock.advance(86400)
        told = [formatEvent(one) or "" for one in logs]
        self.assertEqual(16, len(told))
        self.assertTrue(all("the certificate of n1.n (" in one for one in told))
        self.assertIn("expires in 13.5 days, on 20", told[0])
        self.assertIn("expires in 0.5 days", told[13])
        self.assertIn("has expired on 20", told[14])
        self.assertIn("p2p lab issue n1.n), and start this daemon again", told[0])
        watch.stop()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_asked(self) -> None:
        """Who asks is told of all of them, or of one and the authority, without which none counts."""
        watch = self.watch(10, n1=5, n2=6)
        self.assertEqual(3, len(watch.warnings()))
        one, authority = watch.warnings("n2.n")
        self.assertIn("n2.n", one)
        self.assertIn("the lab's authority", authority)

    def test_file_is_gone(self) -> None:
        """The certificate that was loaded counts: a new file helps only the next start of the daemon."""
        watch = self.watch(n1=5)
        (self.folder / "n1.n.pem").unlink()
        self.assertEqual(1, len(watch.warnings()))

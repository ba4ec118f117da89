"""Tests of p2p.identity.expiry."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from p2p.identity.authority import Authority
from p2p.identity.expiry import ExpiryWatch
from p2p.identity.tls import Credentials

NOW = 1_800_000_000.0


class ExpiryTests(SynchronousTestCase):
    """Certificates that are valid for some days."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.renewed: Path | None = None

    def watch(self, authority_days: float = 3650, **days: float) -> ExpiryWatch:
        """Watch the certificates of these peers of cluster n, which are valid for so many days."""
        start = datetime.fromtimestamp(NOW, UTC)
        authority = Authority.create(self.folder, days=authority_days, now=start)
        issued = [authority.issue(f"{node}.n", self.folder, days=valid, now=start) for node, valid in days.items()]
        own = [Credentials(one.certificate, one.key, authority.path, now=start, renewed=self.renewed) for one in issued]
        watch = ExpiryWatch(self.clock, own, authority.path, lambda: NOW + self.clock.seconds())
        self.addCleanup(watch.stop)
        return watch

    def test_daily(self) -> None:
        """From 7 days before its end, a certificate is warned of at the start and then each day, and after it."""
        watch = self.watch(n1=8.5, n2=100)
        with capturedLogs() as logs:
            watch.start()
            self.assertEqual([], logs)
            for _ in range(10):
                self.clock.advance(86400)
        told = [formatEvent(one) or "" for one in logs]
        self.assertEqual(9, len(told))
        self.assertTrue(all("the certificate of n1.n " in one for one in told))
        self.assertIn("expires in 6.5 days, on 20", told[0])
        self.assertIn("expires in 0.5 days", told[6])
        self.assertIn("has expired on 20", told[7])
        self.assertIn("it can't be renewed without 'state: FOLDER' in the YAML file", told[0])
        watch.stop()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_asked(self) -> None:
        """Who asks is told of all of them, or of one and the authority, without which none counts."""
        watch = self.watch(6.5, n1=5, n2=6)
        self.assertEqual(3, len(watch.warnings()))
        one, authority = watch.warnings("n2.n")
        self.assertIn("n2.n", one)
        self.assertIn("the lab's authority", authority)

    def test_file_is_gone(self) -> None:
        """The certificate that was loaded counts, not the file."""
        watch = self.watch(n1=5)
        (self.folder / "n1.n.pem").unlink()
        self.assertEqual(1, len(watch.warnings()))

    def test_renewable(self) -> None:
        """Where there is a place for a renewed one, it says what has to run; the days left can be asked."""
        self.renewed = self.folder / "renewed.pem"
        watch = self.watch(n1=5)
        self.assertIn("it is renewed as soon as a signer is linked to the router", watch.warnings("n1.n")[0])
        self.assertAlmostEqual(5, watch.days_left("n1.n"), 3)

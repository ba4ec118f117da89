"""Tests for :mod:`p2p.control.renewer`."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from p2p.control.commands import Refused
from p2p.control.renewer import LOOK_S, RETRY_S, Renewer
from p2p.identity.authority import Authority
from p2p.identity.tls import Credentials

DAY_S = 86400.0


class RenewerTests(SynchronousTestCase):
    """A certificate for 30 days, that was made so many days ago."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.clock = Clock()
        self.began = time.time()
        self.asked: list[bytes] = []
        self.refuse = ""
        self.waiting: Deferred[None] | None = None
        self.renewed = 0

    def start(self, age_days: float, *, renewable: bool = True) -> Credentials:
        start = datetime.fromtimestamp(self.began, UTC) - timedelta(days=age_days)
        self.authority = Authority.create(self.folder, now=start)
        issued = self.authority.issue("n1.n", self.folder, now=start)
        renewed = self.folder / "state" / "n1.n.pem" if renewable else None
        own = Credentials(issued.certificate, issued.key, self.authority.path, renewed=renewed)

        def count() -> None:
            self.renewed += 1

        self.renewer = Renewer(self.clock, lambda: self.began + self.clock.seconds())
        self.renewer.add(own, self.ask, count)
        self.renewer.start()
        self.addCleanup(self.renewer.stop)
        return own

    async def ask(self, certificate: bytes) -> bytes:
        self.asked.append(certificate)
        if self.waiting is not None:
            await self.waiting
        if self.refuse:
            raise Refused(self.refuse)
        key = self.own.certificate.public_key()
        return self.authority.certify("n1.n", key).public_bytes(Encoding.DER)

    def test_in_time(self) -> None:
        """Nothing is asked for before two thirds of the life; then it is renewed, once."""
        self.own = self.start(19.9)
        before = self.own.certificate
        self.assertEqual([], self.asked)
        self.clock.pump([0.2 * DAY_S / 400] * 400)
        self.assertEqual(1, len(self.asked))
        self.assertEqual(1, self.renewed)
        self.assertGreater(self.own.certificate.not_valid_after_utc, before.not_valid_after_utc)
        self.clock.advance(LOOK_S)
        self.assertEqual(1, len(self.asked))

    def test_in_vain(self) -> None:
        """What was in vain is tried again after a while, and told once."""
        self.refuse = "no signer"
        with capturedLogs() as logs:
            self.own = self.start(25)
            self.clock.pump([LOOK_S] * int(2 * RETRY_S / LOOK_S + 1))
        self.assertEqual(3, len(self.asked))
        self.assertEqual(["no signer"], [one["reason"] for one in logs if "reason" in one])
        self.refuse = ""
        self.renewer.again()
        self.assertEqual(1, self.renewed)

    def test_ended(self) -> None:
        """One that has ended is tried at each look: nothing works without it."""
        self.refuse = "no signer"
        self.own = self.start(31)
        self.clock.pump([LOOK_S] * 3)
        self.assertEqual(4, len(self.asked))

    def test_one_at_a_time(self) -> None:
        """While an answer is awaited nothing more is asked; stopping gives it up."""
        self.waiting = Deferred()
        self.own = self.start(31)
        self.clock.pump([LOOK_S] * 3)
        self.assertEqual(1, len(self.asked))
        self.renewer.stop()
        self.clock.pump([LOOK_S] * 3)
        self.renewer.again()
        self.assertEqual((1, 0), (len(self.asked), self.renewed))

    def test_no_place(self) -> None:
        """Without a place to keep it, nothing is asked for."""
        self.own = self.start(25, renewable=False)
        self.assertEqual([], self.asked)

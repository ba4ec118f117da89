"""Tests for :mod:`p2p.control.revoking`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.protocols.amp import CommandLocator
from twisted.trial.unittest import SynchronousTestCase

from p2p.control.commands import Refused, Revoke, responder
from p2p.control.revoking import RevocationFeed
from p2p.identity.revocations import PAGE_STATEMENTS, RevocationList, hash_of, make_revocation
from test.control.conversation import Line, new_channel

NOW = 1_800_000_000


class Taking(CommandLocator):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.pages: list[list[bytes]] = []
        self.refuse = False

    @responder(Revoke)
    async def revoke(self, statements: list[bytes]) -> Mapping[str, Any]:
        if self.refuse:
            raise Refused("no")
        self.pages.append(statements)
        return {}


class TellingTests(SynchronousTestCase):
    def setUp(self) -> None:
        clock = Clock()
        self.taking = Taking()
        self.channel, other = new_channel(clock), new_channel(clock)
        other.locator = self.taking
        self.line = Line(self.channel, other)
        self.known = RevocationList()

    def revoke(self, *numbers: int, until: int = NOW + 10) -> None:
        made = [make_revocation(one, until, hash_of(b"%d" % one), lambda data: b"signature") for one in numbers]
        self.known.add(made, NOW)

    def told(self) -> list[int]:
        return [int.from_bytes(one[:8]) for page in self.taking.pages for one in page]

    def test_behind(self) -> None:
        """The other end is told what it doesn't have, page by page, and what comes meanwhile, in order."""
        self.revoke(*range(1, PAGE_STATEMENTS + 5))
        telling = RevocationFeed(self.channel, self.known, 2)
        telling.update()
        self.revoke(PAGE_STATEMENTS + 10)
        telling.update()
        self.line.settle()
        self.assertEqual([*range(3, PAGE_STATEMENTS + 5), PAGE_STATEMENTS + 10], self.told())
        self.assertEqual(self.known.latest, telling.known)
        self.assertEqual(2, len(self.taking.pages))

    def test_nothing_new(self) -> None:
        """Nothing is said to who knows all, or where all that is new has ended."""
        self.revoke(1)
        RevocationFeed(self.channel, self.known, 1).update()
        self.revoke(5, until=NOW)
        telling = RevocationFeed(self.channel, self.known, 1)
        telling.update()
        self.line.settle()
        self.assertEqual(([], 5), (self.told(), telling.known))

    def test_refused(self) -> None:
        """An end that takes nothing is told of in the log, and again when there is something new."""
        self.taking.refuse = True
        self.revoke(1)
        telling = RevocationFeed(self.channel, self.known, 0)
        with capturedLogs() as logs:
            telling.update()
            self.line.settle()
        self.assertIn("no", [one.get("reason") for one in logs])
        self.taking.refuse = False
        telling.update()
        self.line.settle()
        self.assertEqual([1], self.told())

    def test_gone(self) -> None:
        """Nothing is said over a connection that has ended."""
        telling = RevocationFeed(self.channel, self.known, 0)
        self.line.cut()
        self.revoke(1)
        telling.update()
        self.assertEqual(0, telling.known)

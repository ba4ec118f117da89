"""Tests for :mod:`p2p.peer.leftovers`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from p2p.peer.leftovers import DAY_S, EVERY_S, Leftovers
from test.exchange.doubles import HeldThreads


class LeftoversTests(SynchronousTestCase):
    """A daemon with two inboxes, in both of which a part was received now."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.threads = HeldThreads(held=False)
        base = Path(self.mktemp()).absolute()
        self.inboxes = {name: base / name for name in ("n1.n", "n2.n")}
        for inbox in self.inboxes.values():
            (inbox / ".p2p-0123456789abcdef").mkdir(parents=True)
        now = time.time()  # the times of files are those of the system
        self.forgotten: list[float] = []
        self.leftovers = Leftovers(
            self.clock,
            self.inboxes,
            self.threads,
            lambda: now + self.clock.seconds(),
            7,
            lambda before: self.forgotten.append(round(before - now)),
        )
        self.addCleanup(self.leftovers.stop)

    def left(self) -> list[str]:
        return [name for name, inbox in self.inboxes.items() if any(inbox.iterdir())]

    def test_unfinished_days(self) -> None:
        """Once a day they are looked for, and go when nobody has gone on with them for so many days."""
        with capturedLogs() as logs:
            self.leftovers.start()
            self.clock.pump([EVERY_S] * 6)
            self.clock.advance(EVERY_S - 60)
            self.assertEqual((["n1.n", "n2.n"], []), (self.left(), logs))
            self.assertEqual(7, 7 * EVERY_S / DAY_S)
            self.clock.pump([EVERY_S] * 2)
        self.assertEqual([], self.left())
        told = [(one["name"], one["count"], one["days"]) for one in logs]
        self.assertEqual([("n1.n", 1, 7), ("n2.n", 1, 7)], told)

    def test_at_the_start(self) -> None:
        """They are looked for when the daemon starts, which may not run for a day at a time."""
        self.clock.advance(8 * DAY_S)
        self.leftovers.start()
        self.assertEqual([], self.left())

    def test_got(self) -> None:
        """What was got into other folders is given up after as many days."""
        self.leftovers.start()
        self.clock.advance(EVERY_S)
        self.assertEqual([-7 * DAY_S, -6 * DAY_S], self.forgotten)

    def test_broken_inbox(self) -> None:
        """An inbox that can't be read is told, and the others are tidied all the same."""
        inbox = self.inboxes["n1.n"]
        (inbox / ".p2p-0123456789abcdef").rmdir()
        inbox.rmdir()
        self.clock.advance(8 * DAY_S)
        with capturedLogs() as logs:
            self.leftovers.start()
        self.assertFalse(any(self.inboxes["n2.n"].iterdir()))
        self.assertEqual(["No such file or directory"], [one["reason"] for one in logs if "can't" in one["log_format"]])

    def test_one_at_a_time(self) -> None:
        """A disk that takes more than a day isn't asked a second time meanwhile, and the daemon may stop."""
        self.threads.held = True
        self.leftovers.start()
        self.clock.pump([EVERY_S] * 3)
        self.assertEqual(1, len(self.threads.waiting))
        self.leftovers.stop()
        self.threads.work()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_never_started(self) -> None:
        """It may be stopped before it was started."""
        self.leftovers.stop()

    def test_fault(self) -> None:
        """A fault of ours is logged."""

        def broken(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
            raise RuntimeError("no thread")

        leftovers = Leftovers(self.clock, self.inboxes, broken, lambda: 0.0, 7, self.forgotten.append)
        leftovers.start()
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))

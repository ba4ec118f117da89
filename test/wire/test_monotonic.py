"""Timers don't hear of steps of the wall clock, and sleep is noticed."""

from __future__ import annotations

import time
from pathlib import Path

from twisted.internet.base import ReactorBase
from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.wire.monotonic import LOOK_S, SleepWatch, asleep_s, boot_id, run_on_monotonic_clock, since_boot_s


class Reactor(ReactorBase):
    """As much of a reactor as has timers, Twisted's own; it waits for nothing."""

    def installWaker(self) -> None:
        """Nobody wakes it."""

    def removeAll(self) -> list[IReadDescriptor | IWriteDescriptor]:
        """There is nothing to remove."""
        return []


class ReactorTests(SynchronousTestCase):
    """``run_on_monotonic_clock``, with the timers that all of Twisted's reactors have."""

    def test_steps(self) -> None:
        """However the wall clock is set, a call comes when its seconds have passed, and not before."""
        reactor = Reactor()
        run_on_monotonic_clock(reactor)
        now = 1000.0
        self.patch(time, "time", lambda: now)
        called: list[str] = []
        reactor.callLater(60, called.append, "late")
        reactor.callLater(0, called.append, "now")
        self.assertLess(abs(reactor.seconds() - time.monotonic()), 5.0)
        for step in (7200.0, -1800.0):
            now += step
            reactor.runUntilCurrent()
            self.assertEqual(["now"], called)
        late, *rest = reactor.getDelayedCalls()
        self.assertEqual([], rest)
        self.assertLess(abs(late.getTime() - time.monotonic() - 60), 5.0)
        self.assertLess(reactor.timeout() or 0.0, 60.1)

    def test_pending(self) -> None:
        """Where a call is pending by the wall clock already, the clock can't be changed any more, and that is said."""
        reactor = Reactor()
        reactor.callLater(1, lambda: None)
        error = self.assertRaises(RuntimeError, run_on_monotonic_clock, reactor)
        self.assertIn("pending", str(error))
        self.assertIsNot(reactor.seconds, time.monotonic)

    def test_again(self) -> None:
        """Two daemons may share a reactor: it stays on the clock that it is on, whatever is pending."""
        reactor = Reactor()
        run_on_monotonic_clock(reactor)
        reactor.callLater(1, lambda: None)
        run_on_monotonic_clock(reactor)
        self.assertIs(reactor.seconds, time.monotonic)


class SleepTests(SynchronousTestCase):
    """``SleepWatch`` and what it reads."""

    def setUp(self) -> None:
        """A machine that has slept for an hour before the watch began."""
        self.asleep = 3600.0
        self.clock = Clock()
        self.told: list[float] = []
        self.watch = SleepWatch(self.clock, self.told.append, lambda: self.asleep)
        self.watch.start()

    def test_slept(self) -> None:
        """Each sleep is told once, with its length, at the first look after it."""
        self.clock.pump([LOOK_S] * 3)
        self.assertEqual([], self.told)
        for length in (90.0, 1.0):
            self.asleep += length
            self.clock.pump([LOOK_S] * 3)
        self.assertEqual([90.0, 1.0], self.told)

    def test_noise(self) -> None:
        """The two clocks are read one after the other: a difference of less than a second is no sleep."""
        for difference in (0.5, -0.5, 0.9):
            self.asleep += difference
            self.clock.advance(LOOK_S)
        self.assertEqual([], self.told)

    def test_stop(self) -> None:
        """A watch that was stopped looks no more, and may be stopped twice."""
        self.watch.stop()
        self.watch.stop()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_read(self) -> None:
        """The time since boot is at least the time awake; the sleep is what is between."""
        self.assertGreaterEqual(since_boot_s(), time.monotonic() - 0.1)
        self.assertLess(abs(asleep_s() - (since_boot_s() - time.monotonic())), 0.5)


class BootTests(SynchronousTestCase):
    """``boot_id``."""

    def test_same(self) -> None:
        """It is the same for as long as the machine runs, and is there on Linux."""
        self.assertEqual(boot_id(), boot_id())
        self.assertTrue(boot_id())

    def test_unknown(self) -> None:
        """Where the system doesn't say, it is empty."""
        self.assertEqual("", boot_id(Path(self.mktemp())))

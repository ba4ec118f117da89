"""Tests of p2p.measure.gather."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import P2PError
from p2p.measure.gather import EACH_S, WAIT_S, together, until


class TogetherTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.cancelled: list[int] = []
        self.waiting: list[Deferred[int]] = []

    async def step(self, number: int) -> int:
        """Wait for a result."""
        waiting: Deferred[int] = Deferred(lambda _: self.cancelled.append(number))
        self.waiting.append(waiting)
        return await waiting

    def start(self) -> Deferred[list[int]]:
        """Start two steps."""
        return Deferred.fromCoroutine(together(self.step(number) for number in (0, 1)))

    def test_results(self) -> None:
        """All begin at once, and the results come in the order of the steps."""
        running = self.start()
        self.waiting[1].callback(11)
        self.assertNoResult(running)
        self.waiting[0].callback(10)
        self.assertEqual(self.successResultOf(running), [10, 11])

    def test_failure(self) -> None:
        """The first that fails ends the others, and its own error is raised."""
        running = self.start()
        self.waiting[1].errback(OSError("no"))
        self.failureResultOf(running, OSError)
        self.assertEqual(self.cancelled, [0])

    def test_cancelled(self) -> None:
        """Whoever cancels it cancels all steps, and sees that it was cancelled, however deep it was."""

        async def outer() -> list[list[int]]:
            return await together([together(self.step(number) for number in (0, 1)) for _ in (0,)])

        for running in (self.start(), Deferred.fromCoroutine(outer())):
            running.cancel()
            self.failureResultOf(running, CancelledError)
        self.assertEqual(self.cancelled, [0, 1, 0, 1])


class UntilTests(SynchronousTestCase):
    """What has no event to wait for."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked = 0

    def wait(self, times: float) -> Deferred[None]:
        """Wait for something that holds when it is asked for the n-th time."""

        async def holds() -> bool:
            self.asked += 1
            return self.asked >= times

        return Deferred.fromCoroutine(until(self.clock, holds, "the router to go"))

    def test_holds(self) -> None:
        """It is asked for at once, and again a little later, until it holds."""
        self.successResultOf(self.wait(1))
        waiting = self.wait(3)
        self.assertNoResult(waiting)
        self.clock.advance(EACH_S)
        self.successResultOf(waiting)

    def test_deadline(self) -> None:
        """What never holds ends with an error that says what was waited for, and how long."""
        waiting = self.wait(float("inf"))
        self.clock.pump([EACH_S] * round(WAIT_S / EACH_S - 1))
        self.assertNoResult(waiting)
        self.clock.pump([EACH_S] * 2)
        self.assertIn("30 s in vain for the router to go", str(self.failureResultOf(waiting, P2PError).value))
        self.assertEqual(self.clock.getDelayedCalls(), [])

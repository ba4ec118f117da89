"""Tests of p2p.measure.gather."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.gather import together


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

"""Tests for :mod:`p2p.base.waiters`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.waiters import Waiters, all_of


class WaitersTests(SynchronousTestCase):
    """Some who wait for a number."""

    def setUp(self) -> None:
        self.deserted = 0
        self.waiters: Waiters[int] = Waiters(self.desert)

    def desert(self) -> None:
        """Count how often nobody was left."""
        self.deserted += 1

    def given_up(self, one: Deferred[int]) -> None:
        """Give up waiting."""
        one.cancel()
        self.failureResultOf(one, CancelledError)

    def test_fire(self) -> None:
        """All who wait get the result in the order in which they came; who comes later waits for the next."""
        told: list[tuple[str, int]] = []

        def note(result: int, name: str) -> None:
            told.append((name, result))

        waiting = [self.waiters.wait() for _ in range(3)]
        for one, name in zip(waiting, "abc", strict=True):
            one.addCallback(note, name)
        self.assertEqual(3, len(self.waiters))
        self.waiters.fire(7)
        self.assertEqual([("a", 7), ("b", 7), ("c", 7)], told)
        self.assertEqual(0, len(self.waiters))
        later = self.waiters.wait()
        self.assertNoResult(later)
        self.waiters.fire(8)
        self.assertEqual(8, self.successResultOf(later))

    def test_fail(self) -> None:
        """All who wait get the error, as it is or as a Failure."""
        for error in (ValueError("no number"), Failure(ValueError("no number"))):
            waiting = [self.waiters.wait() for _ in range(2)]
            self.waiters.fail(error)
            for one in waiting:
                self.failureResultOf(one, ValueError)

    def test_settle(self) -> None:
        """What happens once is known to everybody who comes later, and doesn't change."""
        before = self.waiters.wait()
        self.waiters.settle(7)
        self.waiters.settle(8)
        self.assertEqual([7, 7], [self.successResultOf(one) for one in (before, self.waiters.wait())])
        self.assertEqual(0, len(self.waiters))

    def test_settled_with_nothing(self) -> None:
        """None is a result as any other."""
        waiters: Waiters[None] = Waiters()
        waiters.settle(None)
        self.assertIsNone(self.successResultOf(waiters.wait()))

    def test_given_up(self) -> None:
        """Who gives up waits no more, and the others are told as if nothing had been."""
        first, second, third = (self.waiters.wait() for _ in range(3))
        self.given_up(second)
        self.assertEqual(2, len(self.waiters))
        self.waiters.fire(7)
        self.assertEqual([7, 7], [self.successResultOf(one) for one in (first, third)])
        self.assertEqual(0, self.deserted)

    def test_deserted(self) -> None:
        """The last who gives up is told of, each time; those who were told before don't count."""
        for times in (1, 2):
            told = self.waiters.wait()
            self.waiters.fire(7)
            self.successResultOf(told)
            one, two = self.waiters.wait(), self.waiters.wait()
            self.given_up(one)
            self.assertEqual(times - 1, self.deserted)
            self.given_up(two)
            self.assertEqual(times, self.deserted)

    def test_cancelled_by_one_who_is_told(self) -> None:
        """Who is told may cancel others of those who are being told; they aren't told, and nothing breaks."""
        for tell in (lambda: self.waiters.fire(7), lambda: self.waiters.fail(ValueError())):
            first, second, third = (self.waiters.wait() for _ in range(3))
            self.cancels(first, second)
            tell()
            self.successResultOf(first)
            self.failureResultOf(second, CancelledError)
            self.assertTrue(third.called)
            third.addErrback(lambda failure: None)
        self.assertEqual((0, 0), (len(self.waiters), self.deserted))

    def cancels(self, first: Deferred[int], second: Deferred[int]) -> None:
        """Cancel the second when the first is told."""
        first.addBoth(lambda _: second.cancel())

    def test_waiting_again_when_told(self) -> None:
        """Who waits again as soon as they are told waits for the next time, not for ever in this one."""
        again: list[Deferred[int]] = []
        self.waiters.wait().addCallback(lambda result: again.append(self.waiters.wait()))
        self.waiters.fire(7)
        self.assertNoResult(again[0])
        self.waiters.fire(8)
        self.assertEqual(8, self.successResultOf(again[0]))

    def test_error_of_one(self) -> None:
        """A fault of one who is told doesn't keep the others from being told."""
        first, second = self.waiters.wait(), self.waiters.wait()
        first.addCallback(lambda result: result / 0)
        self.waiters.fire(7)
        self.failureResultOf(first, ZeroDivisionError)
        self.assertEqual(7, self.successResultOf(second))


class AllTests(SynchronousTestCase):
    """Waiting for several things."""

    def test_all(self) -> None:
        """All results come in order, when the last of them is there."""
        several: list[Deferred[int]] = [Deferred(), Deferred()]
        waiting = Deferred.fromCoroutine(all_of(several))
        several[1].callback(2)
        self.assertNoResult(waiting)
        several[0].callback(1)
        self.assertEqual([1, 2], self.successResultOf(waiting))
        self.assertEqual([], self.successResultOf(Deferred.fromCoroutine(all_of([]))))

    def test_failure(self) -> None:
        """What the first of those that failed did is raised as it is, after the last of them."""
        several: list[Deferred[int]] = [Deferred(), Deferred(), Deferred()]
        waiting = Deferred.fromCoroutine(all_of(several))
        several[2].errback(ValueError("third"))
        several[1].errback(KeyError("second"))
        self.assertNoResult(waiting)
        several[0].callback(1)
        self.failureResultOf(waiting, KeyError)

"""Tests of p2p.peer.jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.peer.jobs import Jobs


class JobsTests(SynchronousTestCase):
    """Jobs in threads that end when a test says so."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.running: list[Deferred[Any]] = []
        self.jobs = Jobs(self.clock, self.thread)

    def thread(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Take a job, which ends when the test says so."""
        self.running.append(Deferred())
        return self.running[-1]

    def test_result(self) -> None:
        """What a job returns or raises reaches whoever asked for it."""
        good, bad = self.jobs(abs, -1), self.jobs(abs, None)
        self.running[0].callback(1)
        self.running[1].errback(TypeError("no number"))
        self.assertEqual(self.successResultOf(good), 1)
        self.failureResultOf(bad, TypeError)

    def test_idle(self) -> None:
        """Where nothing runs, there is nothing to wait for."""
        self.successResultOf(self.jobs.when_idle())

    def test_waits_for_all(self) -> None:
        """Idle is when the last job has ended, well or badly."""
        self.jobs(abs, -1)
        self.jobs(abs, None).addErrback(lambda failure: None)
        idle = self.jobs.when_idle()
        self.running[0].callback(1)
        self.clock.advance(0)
        self.assertNoResult(idle)
        self.running[1].errback(TypeError("no number"))
        self.clock.advance(0)
        self.successResultOf(idle)

    def test_waits_for_what_follows(self) -> None:
        """A job that is started by the end of another belongs to it: the file that was written is removed as well."""
        self.jobs(abs, -1).addCallback(lambda result: self.jobs(abs, -2))
        idle = self.jobs.when_idle()
        self.running[0].callback(1)
        self.clock.advance(0)
        self.assertNoResult(idle)
        self.running[1].callback(2)
        self.clock.advance(0)
        self.successResultOf(idle)

    def test_given_up(self) -> None:
        """Whoever waits no longer isn't told."""
        self.jobs(abs, -1)
        idle = self.jobs.when_idle()
        idle.addErrback(lambda failure: None)
        idle.cancel()
        self.running[0].callback(1)
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

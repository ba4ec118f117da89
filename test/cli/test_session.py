"""Coroutines run by the reactor: their result, their error, and Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ConsoleUnreachable
from p2p.cli.session import run_in_reactor


class Loop:
    """As much of a reactor as it takes: it starts, does what the test says, and stops."""

    def __init__(self, *, then: Callable[[Loop], object] = lambda loop: None) -> None:
        self._then = then
        self._start: list[Callable[[], object]] = []
        self._shutdown: list[Callable[[], Any]] = []
        self.stopping: list[Any] = []

    def callWhenRunning(self, function: Callable[[], object]) -> None:
        """Call a function when the loop starts."""
        self._start.append(function)

    def addSystemEventTrigger(self, phase: str, event: str, function: Callable[[], Any]) -> None:
        """Call a function when the loop is about to stop."""
        assert (phase, event) == ("before", "shutdown")
        self._shutdown.append(function)

    def stop(self) -> None:
        """Stop, as a coroutine's end or a signal does."""
        self.stopping += [function() for function in self._shutdown]

    def run(self) -> None:
        """Run to the end."""
        for function in self._start:
            function()
        self._then(self)


class RunTests(SynchronousTestCase):
    """``run_in_reactor``."""

    def setUp(self) -> None:
        """Note what SIGINT does, which has to be the same afterwards."""
        before = signal.getsignal(signal.SIGINT)
        self.addCleanup(lambda: self.assertIs(signal.getsignal(signal.SIGINT), before))

    def test_result(self) -> None:
        """The result of the coroutine comes back, and the loop is stopped once."""

        async def work(reactor: Loop) -> int:
            return 5

        loop = Loop()
        self.assertEqual(run_in_reactor(work, reactor=loop), 5)
        self.assertEqual(loop.stopping, [None])

    def test_error(self) -> None:
        """The error of the coroutine is raised."""

        async def work(reactor: Loop) -> None:
            raise ConsoleUnreachable("no daemon")

        self.assertRaises(ConsoleUnreachable, run_in_reactor, work, reactor=Loop())

    def test_interrupted(self) -> None:
        """Ctrl-C cancels the coroutine, waits while it cleans up, and a second one would end the process at once."""
        cleaning: Deferred[None] = Deferred()
        handlers: list[object] = []

        async def work(reactor: Loop) -> None:
            try:
                await Deferred[None]()
            finally:
                handlers.append(signal.getsignal(signal.SIGINT))
                await cleaning

        def interrupt(loop: Loop) -> None:
            loop.stop()
            (waiting,) = loop.stopping
            self.assertNoResult(waiting)
            cleaning.callback(None)
            self.successResultOf(waiting)

        self.assertRaises(KeyboardInterrupt, run_in_reactor, work, reactor=Loop(then=interrupt))
        self.assertEqual(handlers, [signal.SIG_DFL])

    def test_failure_while_interrupted(self) -> None:
        """An expected failure on the way out is still an interruption; a fault of our own isn't hidden by it."""
        for raised, seen in ((ConsoleUnreachable("gone"), KeyboardInterrupt), (ZeroDivisionError(), ZeroDivisionError)):

            async def work(reactor: Loop, error: Exception = raised) -> None:
                try:
                    await Deferred[None]()
                finally:
                    raise error

            self.assertRaises(seen, run_in_reactor, work, reactor=Loop(then=Loop.stop))

    def test_interrupted_before_it_began(self) -> None:
        """A loop that is stopped before it could begin was interrupted too."""

        class Stillborn(Loop):
            def run(self) -> None:
                self.stop()

        async def work(reactor: Loop) -> None:
            raise AssertionError

        self.assertRaises(KeyboardInterrupt, run_in_reactor, work, reactor=Stillborn())

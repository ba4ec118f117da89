"""Tests of what other machines can provoke in the log."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.log_gate import KINDS, LINES, PERIOD_S, LogGate

log = Logger()


class LogGateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.gate = LogGate(self.clock)

    def lines(self, captured: Any) -> list[str]:
        return [formatEvent(one) for one in captured]

    def flood(self, count: int, whose: str = "n3.n") -> None:
        for number in range(count):
            self.gate.warn(log, whose, "{who}: no {number}", who=whose, number=number)

    def test_told_once(self) -> None:
        """Of 72,000 lines a few pass at once; a minute later the others are told in one, with the last of them."""
        with capturedLogs() as captured:
            self.flood(72_000)
            self.clock.advance(PERIOD_S)
        lines = self.lines(captured)
        self.assertEqual(LINES + 1, len(lines))
        self.assertEqual(f"n3.n: no {LINES - 1}", lines[-2])
        count = 72_000 - LINES
        self.assertEqual(f"and {count:,} more from n3.n within a minute, the last: n3.n: no 71999", lines[-1])
        self.assertEqual({LogLevel.warn}, {one["log_level"] for one in captured})
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_few(self) -> None:
        """Who causes a line now and then is told each time, and no timer runs for it."""
        with capturedLogs() as captured:
            for _ in range(5):
                self.flood(LINES)
                self.assertEqual([], self.clock.getDelayedCalls())
                self.clock.advance(PERIOD_S)
        self.assertEqual(5 * LINES, len(captured))

    def test_goes_on(self) -> None:
        """A flood that goes on costs so many lines a minute, for as long as it goes on."""
        with capturedLogs() as captured:
            for _ in range(600):
                self.flood(100)
                self.clock.advance(PERIOD_S / 60)
            self.clock.advance(PERIOD_S)
        told = [one for one in captured if "more from" in one["log_format"]]
        self.assertEqual(10, len(told))
        self.assertEqual(60_000, len(captured) - 10 + sum(one["count"] for one in told))

    def test_nobody_else_suffers(self) -> None:
        """A flood hides neither another machine's lines nor other lines of its own."""
        with capturedLogs() as captured:
            self.flood(1000)
            self.flood(1, whose="n4.n")
            self.gate.info(log, "n3.n", "n3.n did something else")
        self.assertEqual(["n4.n: no 0", "n3.n did something else"], self.lines(captured)[LINES:])

    def test_many_machines(self) -> None:
        """What is remembered has a bound: beyond it, all count as one."""
        with capturedLogs() as captured:
            for number in range(KINDS + 1000):
                self.flood(1, whose=f"n{number}.n")
            self.clock.advance(PERIOD_S)
        self.assertEqual(KINDS + LINES + 1, len(captured))
        self.assertIn(f"and {1000 - LINES} more from others", self.lines(captured)[-1])

    def test_failures(self) -> None:
        """A fault of ours is told with its traceback, and nothing of it is kept when it is only counted."""
        failure = Failure(RuntimeError("a fault"))
        with capturedLogs() as captured:
            for _ in range(LINES + 2):
                self.gate.failure(log, "n3.n", "service {name} failed", failure, name="echo")
            self.gate.close()
        self.assertEqual(LINES, len(self.flushLoggedErrors(RuntimeError)))
        self.assertEqual(LINES, sum("log_failure" in one for one in captured))
        self.assertIn("and 2 more from n3.n", self.lines(captured)[-1])
        self.assertIn("service echo failed", self.lines(captured)[-1])

    def test_closed(self) -> None:
        """At the end of a daemon what was counted so far is told, and nothing is left to happen."""
        with capturedLogs() as captured:
            self.flood(LINES + 5)
            self.gate.close()
        self.assertIn("and 5 more from n3.n", self.lines(captured)[-1])
        self.assertEqual([], self.clock.getDelayedCalls())
        self.gate.close()
        LogGate(self.clock).close()

    def test_steers_nothing(self) -> None:
        """What is quoted of the last line steers no terminal."""
        with capturedLogs() as captured:
            for _ in range(LINES + 1):
                self.gate.info(log, "n3.n", "{name}", name="\x1b[2J\u202e")
            self.gate.close()
        self.assertTrue(self.lines(captured)[-1].isprintable())

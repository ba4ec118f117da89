"""Tests for :mod:`p2p.daemons.reloading`."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ConfigError
from p2p.daemons.reloading import ReloadOnHangup


class ReloadOnHangupTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.handlers: dict[int, Any] = {signal.SIGHUP: "the one before"}
        self.applied: list[str] = []
        self.loaded: str | ConfigError = "fresh"
        self.answer: tuple[list[str], list[str]] = (["networks", "relays"], ["listen"])
        self.calls: list[Callable[[], object]] = []
        self.service = ReloadOnHangup(self, self.load, self.apply, self.install)
        self.service.startService()

    def install(self, number: int, handler: Callable[..., None]) -> Any:
        before, self.handlers[number] = self.handlers[number], handler
        return before

    def callFromThread(self, function: Callable[[], object]) -> None:
        """Take what is to be done in the reactor's next turn."""
        self.calls.append(function)

    def load(self) -> str:
        if isinstance(self.loaded, ConfigError):
            raise self.loaded
        return self.loaded

    def apply(self, fresh: str) -> tuple[list[str], list[str]]:
        self.applied.append(fresh)
        return self.answer

    def hang_up(self) -> list[str]:
        """What is told after a SIGHUP."""
        with capturedLogs() as logs:
            self.handlers[signal.SIGHUP](signal.SIGHUP, None)
            self.assertEqual([], logs)  # nothing happens within the handler
            self.calls.pop()()
        return [formatEvent(one) or "" for one in logs]

    def test_reloads(self) -> None:
        """What was read is taken into use, and what has changed, and what needs a restart, is told."""
        self.assertEqual(
            ["SIGHUP: now in use: networks, relays", "SIGHUP: this needs a restart of the daemon: listen"],
            self.hang_up(),
        )
        self.answer = ([], [])
        self.assertEqual(["SIGHUP: nothing has changed"], self.hang_up())
        self.assertEqual(["fresh", "fresh"], self.applied)

    def test_wrong(self) -> None:
        """A file with a mistake changes nothing, and the mistake is told."""
        self.loaded = ConfigError("router.yaml:3: listen: is missing")
        told = self.hang_up()
        self.assertEqual(["SIGHUP: nothing has changed, because of this: router.yaml:3: listen: is missing"], told)
        self.assertEqual([], self.applied)

    def test_stopped(self) -> None:
        """A daemon that has stopped leaves the signal as it was."""
        self.service.stopService()
        self.assertEqual("the one before", self.handlers[signal.SIGHUP])

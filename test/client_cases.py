"""Clients and consoles joined in memory."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2p.client import Client
from p2p.console.server import Handler
from test.consoles import ConsoleReactor

CONSOLE = Path("/run/p2p/console")


class ClientCase(SynchronousTestCase):
    """Joins clients and consoles in memory."""

    def client(self, handlers: Mapping[str, Handler], **limits: int) -> Client:
        """Connect to a console with these operations."""
        self.reactor = ConsoleReactor(handlers, **limits)
        return self.successResultOf(Deferred.fromCoroutine(Client.connect(self.reactor, CONSOLE)))

    def begin(self, work: Coroutine[Deferred[Any], Any, Any]) -> Deferred[Any]:
        """Start a request and carry what can be carried."""
        running = Deferred.fromCoroutine(work)
        self.reactor.settle()
        return running

    def result(self, work: Coroutine[Deferred[Any], Any, Any]) -> Any:
        """The result of a request."""
        return self.successResultOf(self.begin(work))

    def error(self, work: Coroutine[Deferred[Any], Any, Any], kind: type[Exception]) -> Any:
        """The error of a request, which must be of this kind."""
        return self.failureResultOf(self.begin(work), kind).value

"""Consoles of hosted peers, asked directly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, succeed

from p2p.peer.console import PeerConsole
from test.peer.movers import Consent, Mover
from test.peer.pair import NodeCase, Pair, at_once

SECOND = 1_000_000_000


class ConsoleCase(NodeCase):
    """The consoles of n1.n's and of m4.m's daemon.

    :ivar events: what was emitted.
    """

    def setUp(self) -> None:
        """Make the pair and a console for each."""
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.room: Deferred[None] = succeed(None)
        self.make_consoles()

    def make_consoles(self, **limits: Any) -> Pair:
        """Make them with some limits changed."""
        pair = self.make_pair(**limits)
        self.n1, self.m4 = self.console(pair, "n1.n"), self.console(pair, "m4.m")
        return pair

    def console(self, pair: Pair, *names: str) -> PeerConsole:
        """The console of a daemon that hosts these peers."""
        return PeerConsole(
            pair.network,
            {name: pair.peers[name] for name in names},
            cluster=names[0].split(".")[1],
            router="tcp:192.0.2.100:5555",
            security="tls",
            threads=at_once,
            now_ns=lambda: int(pair.network.seconds() * 1e9),
            console_clients=lambda: 3,
            transfers=Mover(),
            consent=Consent(),
            warnings=lambda name: [],
        )

    def emit(self, event: str, /, **fields: Any) -> Deferred[None]:
        """Write an event down; there is room when the test says so."""
        self.events.append((event, fields))
        return self.room

    def ask(self, op: str, console: PeerConsole | None = None, **arguments: Any) -> Deferred[Mapping[str, Any]]:
        """Ask, and let happen what happens without time passing."""

        async def handle() -> Mapping[str, Any]:
            return await (console or self.n1).handlers()[op](arguments, self.emit)

        asking = Deferred.fromCoroutine(handle())
        self.pair.network.settle()
        return asking

    def answer(self, op: str, console: PeerConsole | None = None, **arguments: Any) -> Mapping[str, Any]:
        """Ask, and return the answer, which is there without time passing."""
        answer: Mapping[str, Any] = self.successResultOf(self.ask(op, console, **arguments))
        return answer


def raiser(error: Exception) -> Any:
    """Stands in for what fails."""

    def fail(*arguments: Any, **more: Any) -> Any:
        raise error

    return fail

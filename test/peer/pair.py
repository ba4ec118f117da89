"""Two hosted peers on two machines of an in-memory network, and a stand-in for their routers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, maybeDeferred

from p2p.config import PeerLimits
from p2p.content.echo import echo
from p2p.content.files import store
from p2p.content.services import Services
from p2p.content.text import uppercase
from p2p.control.commands import UnknownPeer
from p2p.errors import P2PError
from p2p.peer.node import HostedPeer, Surroundings
from test.identities import credentials
from test.network import Network

__all__ = ["Pair", "StandInRouters", "at_once"]

def at_once(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    """Run what a thread would run, here and now."""
    return maybeDeferred(function, *arguments)


class StandInRouters:
    """Answers RequestConnect by instructing the target itself, as two routers would.

    :ivar asked: the requests that came, as (initiator, arguments).
    :ivar before: is called before each instruction, to hold it up or break it.
    """

    def __init__(self) -> None:
        self.peers: dict[str, tuple[HostedPeer, str]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.before: Callable[[str, str], Deferred[None] | None] = lambda initiator, target: None

    async def request(self, initiator: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((initiator, arguments))
        target = arguments["target"]
        held = self.before(initiator, target)
        if held is not None:
            await held
        if target not in self.peers:
            raise UnknownPeer(f"no peer {target}")
        peer, address = self.peers[target]
        answer = await peer._instructed(
            {
                "target": target,
                "initiator": initiator,
                "observed": "",
                "candidates": [self.peers[initiator][1]],
                **{key: arguments[key] for key in ("port", "ticket", "lifetime", "plain")},
            }
        )
        return {"address": address, "table_lookup_ns": 400, "router_lookup_ns": 90000, **answer}


class _StandInRegistration:
    """Registered from the start, asks the stand-in routers."""

    registered = True
    last_error = ""

    def __init__(self, name: str, routers: StandInRouters) -> None:
        self.name = name
        self._routers = routers

    def start(self) -> None:
        """It is there already."""

    async def stop(self) -> None:
        """Nothing to leave."""

    async def call(self, command: Any, **arguments: Any) -> Mapping[str, Any]:
        return await self._routers.request(self.name, arguments)


class Pair:
    """n1.n on one machine and m4.m on another, ready to reach each other."""

    def __init__(
        self, folder: Path, *, limits: PeerLimits | None = None, plain: tuple[bool, bool] = (False, False)
    ) -> None:
        self.network = Network()
        self.routers = StandInRouters()
        self.limits = limits or PeerLimits()
        self._folder = folder
        self._random = 0
        self.n1 = self.host("n1.n", "192.0.2.1", plain=plain[0])
        self.m4 = self.host("m4.m", "192.0.2.2", plain=plain[1])

    def host(self, name: str, address: str, *, plain: bool = False, lab: str = "lab") -> HostedPeer:
        inbox = self._folder / name
        inbox.mkdir(exist_ok=True)
        surroundings = Surroundings(
            reactor=self.network.on(address),
            router=None,  # type: ignore[arg-type]  # the stand-in registration connects to nothing
            limits=self.limits,
            services=Services([uppercase, store, echo]),
            threads=at_once,
            random=self._bytes,
            now_ns=lambda: int(self.network.seconds() * 1e9),
            turn=DeferredSemaphore(8),
            listen="tcp:0",
            plain=plain,
        )
        peer = HostedPeer(credentials(name, lab), inbox, surroundings)
        peer.registration = _StandInRegistration(name, self.routers)  # type: ignore[assignment]  # stands in
        self.routers.peers[name] = (peer, address)
        return peer

    def run(self, coroutine: Any, seconds: float = 0.0) -> Any:
        """Run a coroutine until it is done, letting time pass; return its result or raise its error."""
        results: list[Any] = []
        failures: list[Any] = []
        running = Deferred.fromCoroutine(coroutine)
        running.addCallbacks(results.append, failures.append)
        self.network.settle()
        if seconds:
            self.network.advance(seconds)
        if failures:
            failures[0].raiseException()
        if not results:
            raise AssertionError("it isn't done yet")
        return results[0]

    def start(self, coroutine: Any) -> Deferred[Any]:
        """Start a coroutine that goes on while the test does; expected errors stay in the Deferred."""
        return Deferred.fromCoroutine(coroutine)

    def _bytes(self, count: int) -> bytes:
        self._random += 1
        return self._random.to_bytes(count)


def failure_of(waiting: Deferred[Any]) -> P2PError | None:
    """The expected error in a Deferred that has failed, taken out of it."""
    found: list[P2PError] = []

    def keep(failure: Any) -> None:
        failure.trap(P2PError)
        found.append(failure.value)

    waiting.addErrback(keep)
    return found[0] if found else None

"""Hosted peers on machines of an in-memory network, and a stand-in for their routers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import PeerLimits
from p2p.base.errors import ExchangeFailed, Outcome
from p2p.base.log_gate import LogGate
from p2p.control.commands import DialFailed, Go, UnknownPeer
from p2p.exchange.service import IContentService, Services
from p2p.link.protocol import DirectLink
from p2p.peer.node import HostedPeer
from p2p.peer.offered import OwnAddresses
from p2p.peer.ports import FreshPorts
from p2p.peer.pursuit import Surroundings
from p2p.peer.registration import Registrant
from p2p.peer.roaming import Whereabouts
from p2p.services.echo import echo, uppercase
from p2p.services.relay import RelayTerms
from p2p.services.store import store
from p2p.services.tunnel import Opening
from test.exchange.doubles import OpenHost
from test.identities import credentials
from test.network import FRESH, Network

__all__ = ["LIMITS", "M4", "N1", "NodeCase", "Obeying", "Pair", "StandInRegistration", "StandInRouters", "at_once"]

LIMITS = PeerLimits()

T = TypeVar("T")

N1, M4 = "192.0.2.1", "192.0.2.2"


def at_once(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    """Run what a thread would run, here and now."""
    return maybeDeferred(function, *arguments)


class StandInRouters:
    """Answers RequestConnect by instructing the target itself, as two routers would.

    :ivar asked: the requests that came, as (initiator, arguments).
    :ivar gone: the words that both ends shall dial now, as (initiator, arguments).
    :ivar reports: the dials that came to nothing; they are passed on if ``reporting``.
    :ivar before: is called before each instruction, to hold it up or break it.
    :ivar candidates: the addresses at which a target is told to dial an initiator, if not the one it has.
    :ivar reachable: the addresses at which an initiator is told to dial a target, if not the one it has.
    """

    def __init__(self) -> None:
        self.peers: dict[str, tuple[HostedPeer, str]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.gone: list[tuple[str, dict[str, Any]]] = []
        self.before: Callable[[str, str], Deferred[None] | None] = lambda initiator, target: None
        self.candidates: list[str] | None = None
        self.reachable: list[str] | None = None
        self.reports: list[dict[str, Any]] = []
        self.reporting = False

    def report(self, arguments: dict[str, Any]) -> None:
        self.reports.append(arguments)
        if self.reporting:
            self.peers[arguments["initiator"]][0].reported(arguments)

    async def request(self, initiator: str, arguments: dict[str, Any]) -> dict[str, Any]:
        target = arguments["target"]
        if "go" in arguments:
            self.gone.append((initiator, arguments))
            self.peers[target][0].go(arguments)
            return {}
        self.asked.append((initiator, arguments))
        held = self.before(initiator, target)
        if held is not None:
            await held
        if target not in self.peers:
            raise UnknownPeer(f"no peer {target}")
        peer, address = self.peers[target]
        answer = await peer.instructed(
            {
                "target": target,
                "initiator": initiator,
                "observed": "",
                "candidates": self.candidates or [self.peers[initiator][1]],
                **{key: arguments.get(key) for key in ("port", "ticket", "lifetime", "plain", "reports", "reaches")},
            }
        )
        known = {"address": address, "table_lookup_ns": 400, "router_lookup_ns": 90000}
        reachable = None if answer.get("port") is None else self.reachable or [address]
        return {**known, "port": None, "reachable": reachable, **answer}


class Obeying:
    """A peer that does what its router says as a function does, and isn't interested in anything else."""

    def __init__(self, instructed: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]) -> None:
        self._instructed = instructed

    async def instructed(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return await self._instructed(arguments)

    def reported(self, arguments: Mapping[str, Any]) -> None:
        """It asked for nothing."""

    def go(self, arguments: Mapping[str, Any]) -> None:
        """It dials nobody."""

    def seen_at(self, observed: str) -> None:
        """It doesn't matter."""


class StandInRegistration:
    """Registered from the start; what it asks, a test answers.

    :param ask: answers the questions, given who asks and the arguments.
    :param report: is told of dials that came to nothing.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[str, dict[str, Any]], Awaitable[Mapping[str, Any]]],
        report: Callable[[dict[str, Any]], object] = lambda arguments: None,
    ) -> None:
        self.name = name
        self._report = report
        self.registered = True
        self.nearby = False
        self.last_error = ""
        self.observed = ""
        self.router = "router.n"
        self.router_at: tuple[str, int] | None = None
        self._ask = ask

    def start(self, registrant: Registrant) -> None:
        """It is there already."""

    def slept(self, seconds: float) -> None:
        """It stands."""

    def moved(self, where: Whereabouts) -> None:
        """It stands."""

    async def stop(self) -> None:
        """Nothing to leave."""

    async def when_registered(self) -> None:
        """It is."""

    async def call(self, command: Any, **arguments: Any) -> Mapping[str, Any]:
        if command is DialFailed:
            self._report(arguments)
            return {}
        if command is Go:
            return await self._ask(self.name, {"go": True, **arguments})
        return await self._ask(self.name, arguments)


class Pair:
    """n1.n on one machine and m4.m on another, ready to reach each other."""

    services: Sequence[IContentService] = (uppercase, store, echo)

    def __init__(
        self,
        folder: Path,
        *,
        limits: PeerLimits | None = None,
        plain: tuple[bool, bool] = (False, False),
        ports: tuple[range, range] = (range(0), range(0)),
    ) -> None:
        self.network = Network()
        self.routers = StandInRouters()
        self.limits = limits or PeerLimits()
        self._folder = folder
        self._random = 0
        self.peers: dict[str, HostedPeer] = {}
        self.n1 = self.host("n1.n", N1, plain=plain[0], ports=ports[0])
        self.m4 = self.host("m4.m", M4, plain=plain[1], ports=ports[1])

    def host(
        self,
        name: str,
        address: str,
        *,
        plain: bool = False,
        lab: str = "lab",
        ports: range = range(0),
        relay: RelayTerms | None = None,
        openings: Sequence[Opening] = (),
    ) -> HostedPeer:
        inbox = self._folder / name
        inbox.mkdir(exist_ok=True)
        surroundings = Surroundings(
            reactor=self.network.on(address),
            limits=self.limits,
            services=Services(self.services),
            threads=at_once,
            random=self._bytes,
            now_ns=lambda: int(self.network.seconds() * 1e9),
            listen="tcp:0",
            plain=plain,
            gate=LogGate(self.network),
            scopes=self.limits.scopes(),
            own=lambda: OwnAddresses((address,), frozenset({address})),
            sockets=FRESH,
            ports=FreshPorts(ports),
        )
        registration = StandInRegistration(
            name,
            lambda *question: self.routers.request(*question),  # tests replace it
            lambda arguments: self.routers.report(arguments),
        )
        host = self.host_of(name, inbox)
        peer = HostedPeer(
            credentials(name, lab), inbox, surroundings, host, registration, relay=relay, openings=openings
        )
        self.peers[name] = peer
        self.routers.peers[name] = (peer, address)
        return peer

    def host_of(self, name: str, inbox: Path) -> OpenHost:
        """What a peer allows."""
        return OpenHost(inbox)

    def run(self, coroutine: Coroutine[Any, Any, T], seconds: float = 0.0) -> T:
        """Run a coroutine until it is done, letting time pass; return its result or raise its error."""
        ended: list[T | Failure] = []
        Deferred.fromCoroutine(coroutine).addBoth(ended.append)
        self.network.settle()
        if seconds:
            self.network.advance(seconds)
        if not ended:
            raise AssertionError("it isn't done yet")
        if isinstance(result := ended[0], Failure):
            result.raiseException()
        return result

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
        """Start a coroutine that goes on while the test does."""
        running = Deferred.fromCoroutine(coroutine)
        self.network.settle()
        return running

    def link(self) -> DirectLink:
        """Make a link from n1.n to m4.m; return n1.n's end."""
        return self.run(self.n1.link_to("m4.m"))[0]

    def leftovers(self) -> dict[str, Any]:
        """Whatever is open, runs or is remembered, by name; nothing when nothing is."""
        found: dict[str, Any] = {
            "ports": self.network.ports,
            "wires": self.network.wires,
            "timers": self.network.getDelayedCalls(),
        }
        for name, peer in self.peers.items():
            found[f"sought by {name}"] = peer.pursuit.left_over
            for what in ("_setups", "_connections", "links"):
                found[f"{what} of {name}"] = getattr(peer, what)
        return {what: left for what, left in found.items() if left}

    def _bytes(self, count: int) -> bytes:
        self._random += 1
        return self._random.to_bytes(count)


class NodeCase(SynchronousTestCase):
    """n1.n and m4.m, and a look at what they leave behind."""

    def make_pair(
        self,
        *,
        plain: tuple[bool, bool] = (False, False),
        ports: tuple[range, range] = (range(0), range(0)),
        **limits: Any,
    ) -> Pair:
        """Make a pair, with some limits changed."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.pair = Pair(folder, limits=LIMITS.model_copy(update=limits), plain=plain, ports=ports)
        return self.pair

    def failed(self, waiting: Deferred[Any], outcome: Outcome) -> str:
        """The reason of an expected failure."""
        failure = self.failureResultOf(waiting, ExchangeFailed).value
        self.assertEqual(outcome, failure.outcome, str(failure))
        return str(failure)

    def assert_nothing_left(self, pair: Pair) -> None:
        """Nothing is open, runs or is remembered once the links are closed."""
        for peer in pair.peers.values():
            peer.disconnect()
        pair.network.settle()
        self.assertEqual({}, pair.leftovers())

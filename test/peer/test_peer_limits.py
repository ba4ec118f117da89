"""Tests that hit the limits of a peer daemon: of attempts, callers, addresses, registrations and names."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import PeerLimits
from p2p.base.errors import ExchangeFailed, Outcome
from p2p.control.commands import Busy, Refused
from p2p.exchange.exchange import Request
from p2p.link.flow import NotTaken
from p2p.peer.dialling import MAX_CALLERS
from p2p.peer.instruction import MAX_CANDIDATES
from p2p.peer.node import TRIES
from p2p.peer.registration import Registration
from p2p.peer.transfers.targets import MAX_NAMES, list_peers
from p2p.services.store import BytesSource
from test.identities import credentials
from test.peer.pair import Obeying, Pair

INSTRUCTION: dict[str, Any] = {
    "target": "n1.n",
    "initiator": "m4.m",
    "observed": "",
    "candidates": ["192.0.2.2"],
    "port": 40000,
    "ticket": bytes(32),
    "lifetime": 30.0,
    "plain": False,
}
"""A good instruction for n1.n."""


class _Caller(Protocol):
    """A stranger at a fresh listener."""

    def __init__(self) -> None:
        self.ended = False

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended = True


class _Sink:
    """Takes a reply and keeps nothing."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Nothing pauses."""

    def unregisterProducer(self) -> None:
        """Nothing paused."""

    def write(self, data: bytes | memoryview) -> None:
        """Nothing is kept."""

    async def complete(self, tail: Mapping[str, bytes]) -> Mapping[str, str | bytes]:
        return {}

    def abandon(self) -> None:
        """Nothing is undone."""


class PeerLimitTests(SynchronousTestCase):
    """One hosted peer at its limits."""

    def pair(self, plain: bool = False, **limits: Any) -> Pair:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Pair(Path(folder.name), limits=PeerLimits(**limits), plain=(plain, plain))

    def call(self, pair: Pair, address: str = "203.0.113.9") -> _Caller:
        """Have a stranger connect to n1.n's only listener."""
        port = pair.n1.pursuit.attempts["m4.m"].port
        caller = _Caller()
        factory = ClientFactory()
        factory.noisy = False
        factory.protocol = lambda: caller
        pair.network.connectTCP("192.0.2.1", port, factory, source=address)
        pair.network.settle()
        return caller

    def test_attempts_in_flight(self) -> None:
        """Requests beyond ``attempts_in_flight`` wait until one before them has ended."""
        pair = self.pair(attempts_in_flight=2)
        held: list[Deferred[None]] = []

        def hold(initiator: str, target: str) -> Deferred[None]:
            held.append(Deferred())
            return held[-1]

        pair.routers.before = hold
        waiting = [pair.start(pair.n1.link_to(f"m{number}.m")) for number in (7, 8, 4)]
        pair.network.settle()
        self.assertEqual(["m7.m", "m8.m"], [arguments["target"] for _, arguments in pair.routers.asked])
        held[0].callback(None)
        pair.network.settle()
        self.assertEqual(Outcome.UNKNOWN_PEER, self.failureResultOf(waiting[0], ExchangeFailed).value.outcome)
        self.assertEqual("m4.m", pair.routers.asked[-1][1]["target"])
        for one in held[1:]:
            one.callback(None)
        pair.network.settle()
        self.failureResultOf(waiting[1], ExchangeFailed)
        link, _ = self.successResultOf(waiting[2])
        self.assertTrue(link.reusable)

    def test_dials(self) -> None:
        """An instruction beyond ``attempts_in_flight`` dials under way gets Busy, until one has ended."""
        pair = self.pair(attempts_in_flight=2)
        pair.network.pull("192.0.2.1", "192.0.2.2")
        for initiator in ("m1.m", "m2.m"):
            answer = pair.run(pair.n1.instructed({**INSTRUCTION, "initiator": initiator}))
            self.assertTrue(answer["dialling"])
        refused = pair.start(pair.n1.instructed({**INSTRUCTION, "initiator": "m3.m"}))
        self.assertGreater(self.failureResultOf(refused, Busy).value.retry_after, 0)
        pair.network.advance(PeerLimits().handshake_s)
        self.assertEqual(0, pair.n1.pursuit.open_dials)
        self.assertTrue(pair.run(pair.n1.instructed({**INSTRUCTION, "initiator": "m3.m"}))["dialling"])
        pair.network.advance(PeerLimits().handshake_s)

    def test_ticket_s(self) -> None:
        """When nobody comes the attempt ends with its ticket, after ``ticket_s``, and its listener is closed."""
        pair = self.pair(ticket_s=4.0)
        pair.network.pull("192.0.2.1", "192.0.2.2")
        waiting = pair.start(pair.n1.link_to("m4.m"))
        pair.network.advance(3.9)
        self.assertNoResult(waiting)
        self.assertEqual(1, pair.n1.pursuit.open_listeners)
        pair.network.advance(0.1)
        self.assertEqual(Outcome.CONNECT_FAILED, self.failureResultOf(waiting, ExchangeFailed).value.outcome)
        self.assertEqual({}, pair.network.ports)
        pair.network.advance(PeerLimits().handshake_s)

    def test_candidates(self) -> None:
        """A peer may be told to dial the observed address and eight more, no further one, and at least one."""
        pair = self.pair()
        addresses = [f"198.51.100.{number}" for number in range(MAX_CANDIDATES + 1)]
        for candidates in (addresses, []):
            waiting = pair.start(pair.n1.instructed({**INSTRUCTION, "candidates": candidates}))
            self.failureResultOf(waiting, Refused)
        answer = pair.run(pair.n1.instructed({**INSTRUCTION, "candidates": addresses[:MAX_CANDIDATES]}))
        self.assertTrue(answer["dialling"])
        pair.network.settle()

    def test_callers(self) -> None:
        """A fresh listener looks at so many callers at once: one more is closed, or the oldest silent one for it."""
        pair = self.pair()
        pair.network.pull("192.0.2.1", "192.0.2.2")
        waiting = pair.start(pair.n1.link_to("m4.m"))
        pair.network.settle()
        callers = [self.call(pair) for _ in range(MAX_CALLERS + 1)]
        self.assertEqual([True] + [False] * MAX_CALLERS, [caller.ended for caller in callers])
        for caller in callers[1:]:
            caller.transport.write(b"\x16")  # type: ignore[union-attr]  # it is connected
        pair.network.settle()
        self.assertIsNone(self.call(pair).transport)
        callers[1].transport.abortConnection()  # type: ignore[union-attr]  # it is connected
        pair.network.settle()
        self.assertIsNotNone(self.call(pair).transport)
        pair.network.advance(PeerLimits().ticket_s)
        self.failureResultOf(waiting, ExchangeFailed)
        self.assertTrue(all(caller.ended for caller in callers))

    def test_callers_that_wait(self) -> None:
        """Callers that left while it wasn't known yet whether the link is plain take nobody's place."""
        pair = self.pair(plain=True)
        held: Deferred[None] = Deferred()
        pair.routers.before = lambda initiator, target: held
        waiting = pair.start(pair.n1.link_to("m4.m"))
        pair.network.settle()
        for _ in range(2):
            callers = [self.call(pair) for _ in range(MAX_CALLERS)]
            for caller in callers:
                self.assertIsNotNone(caller.transport)
                caller.transport.abortConnection()  # type: ignore[union-attr]  # it is connected
            pair.network.settle()
        held.callback(None)
        pair.network.settle()
        link, _ = self.successResultOf(waiting)
        self.assertTrue(link.reusable)

    def test_tries(self) -> None:
        """An exchange whose links close before they take it is begun so often, and then given up."""
        pair = self.pair()
        begun: list[None] = []

        async def not_taken(*arguments: Any) -> Any:
            begun.append(None)
            pair.n1.links["m4.m"].went_away = True
            raise NotTaken(Outcome.RESET, "m4.m closed the link")

        self.patch(pair.n1, "_perform", not_taken)
        waiting = pair.start(
            pair.n1.exchange("m4.m", Request("echo"), BytesSource(b""), _Sink, planned_ns=0),
        )
        pair.network.settle()
        self.assertEqual(Outcome.RESET, self.failureResultOf(waiting, ExchangeFailed).value.outcome)
        self.assertEqual(TRIES, len(begun))


class ConnectingTests(SynchronousTestCase):
    """The registrations of one daemon."""

    def test_connecting(self) -> None:
        """So many peers of a daemon connect to their router at once; the next begins when one has ended."""
        clock = Clock()
        dialled: list[Deferred[Any]] = []

        class Endpoint:
            def connect(self, factory: object) -> Deferred[Any]:
                dialled.append(Deferred())
                return dialled[-1]

        async def instructed(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
            return {}

        turn = DeferredSemaphore(PeerLimits().connecting)
        registrations = [
            Registration(clock, Endpoint(), credentials("n1.n"), PeerLimits(), turn)  # type: ignore[arg-type]  # all that is used of an endpoint
            for _ in range(PeerLimits().connecting + 1)
        ]
        for one in registrations:
            one.start(Obeying(instructed))
        self.assertEqual(PeerLimits().connecting, len(dialled))
        dialled[0].errback(ConnectionRefusedError())
        self.assertEqual(PeerLimits().connecting + 1, len(dialled))
        for one in registrations:
            self.successResultOf(Deferred.fromCoroutine(one.stop()))


class ListingTests(SynchronousTestCase):
    """The names of a cluster."""

    def test_names(self) -> None:
        """However many names a router goes on to send, no more are listed than the limit."""
        numbers = iter(range(10**9))

        class Listing:
            async def call(self, command: object, **arguments: object) -> Mapping[str, Any]:
                return {"names": [f"m{next(numbers):09}.m" for _ in range(1000)], "more": True}

        class Peer:
            registration = Listing()

        peer: Any = Peer()
        listing = Deferred.fromCoroutine(list_peers(peer, "m"))
        self.assertEqual(MAX_NAMES, len(self.successResultOf(listing)))

"""What the sessions of both directions have in common: the pipe at an end, the threads, the way to the peer."""

from __future__ import annotations

import os
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import InvalidRequest
from p2p.exchange.exchange import Request
from p2p.link.flow import Stream
from p2p.peer.node import HostedPeer
from p2p.peer.transfers.peer_way import Engaged, PeerWay, Pipe
from p2p.services.store import BytesSource
from test.exchange.doubles import HeldThreads


class PipeTests(SynchronousTestCase):
    def test_shared(self) -> None:
        """The client may close its descriptor; the copy stays open until the last who uses it lets go."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        pipe = Pipe(writing)
        os.close(writing)
        pipe.hold()
        pipe.release()
        os.write(pipe.file, b"x")
        self.assertEqual(b"x", os.read(reading, 9))
        pipe.release()
        self.assertEqual(b"", os.read(reading, 9))

    def test_none(self) -> None:
        """A client that passes no descriptor along is told so."""
        self.assertIn("file descriptor", str(self.assertRaises(InvalidRequest, Pipe, None)))


class EngagedTests(SynchronousTestCase):
    def test_since(self) -> None:
        """Since when a call has been under way is known, and nothing of it when it has ended, however it did."""
        clock, threads = Clock(), HeldThreads()
        engaged = Engaged(threads, clock)
        for function, fails in ((int, False), (lambda: int("x"), True)):
            clock.advance(7)
            calling = engaged(function)
            clock.advance(1)
            self.assertEqual(clock.seconds() - 1, engaged.since)
            threads.work()
            self.assertIsNone(engaged.since)
            self.failureResultOf(calling, ValueError) if fails else self.assertEqual(0, self.successResultOf(calling))


class _Stream:
    """A stream over which something went."""

    sent, received = 70, 5


class _Link:
    reusable = True


class _Peer:
    """Exchanges something, over the stream that the test gives."""

    def __init__(self) -> None:
        self.links: dict[str, Any] = {}
        self.asked: list[tuple[str, Request, int]] = []
        self.end: Deferred[Any] = Deferred()

    async def exchange(
        self, target: str, request: Request, source: Any, sink: Any, *, planned_ns: int, watch: Any
    ) -> Any:
        self.asked.append((target, request, planned_ns))
        watch(cast(Stream, _Stream()))
        return await self.end


class PeerWayTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.peer = _Peer()
        self.clock = Clock()
        self.clock.advance(2)
        self.way = PeerWay(cast(HostedPeer, self.peer), "m4.m", self.clock)

    def test_exchange(self) -> None:
        """What goes over the stream of the session under way is counted, and nothing of the one before it."""
        self.assertEqual((0, 0), (self.way.sent, self.way.received))
        running = Deferred.fromCoroutine(self.way.exchange(Request("echo"), BytesSource(b""), lambda: cast(Any, None)))
        self.assertEqual([("m4.m", Request("echo"), 2 * 10**9)], self.peer.asked)
        self.assertEqual((70, 5), (self.way.sent, self.way.received))
        self.peer.end.callback("result")
        self.assertEqual("result", self.successResultOf(running))

    def test_link(self) -> None:
        """Only a link to that peer that takes new exchanges is one to look at."""
        self.assertIsNone(self.way.link)
        self.peer.links = {"m5.m": _Link(), "m4.m": (link := _Link())}
        self.assertIs(link, self.way.link)
        link.reusable = False
        self.assertIsNone(self.way.link)

"""Exchanges of a hosted peer: over the link that stands, over a new one, and again when a link closes under them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from p2p.base.errors import LocalFileError, Outcome
from p2p.control.commands import UnknownPeer
from p2p.exchange.exchange import Request, Result, Source
from p2p.link.mux import INITIAL_WINDOW
from p2p.peer.node import TRIES
from p2p.services.store import BytesSource, FileSource
from test.exchange.doubles import Gatherer, HeldSource
from test.peer.pair import NodeCase, Pair, at_once


class Counted(BytesSource):
    """A source that counts how often it was opened and closed."""

    def __init__(self, data: bytes = b"hello") -> None:
        super().__init__(data)
        self.opened = self.closed = 0

    async def open(self) -> int:
        self.opened += 1
        return await super().open()

    def close(self) -> None:
        self.closed += 1


class ExchangeTests(NodeCase):
    def exchange(self, pair: Pair, source: Source, service: str = "echo", **fields: Any) -> Deferred[Result]:
        """Begin an exchange from n1.n to m4.m."""
        self.sink = Gatherer()
        return Deferred.fromCoroutine(
            pair.n1.exchange("m4.m", Request(service, **fields), source, lambda: self.sink, planned_ns=0)
        )

    def done(self, pair: Pair, running: Deferred[Result]) -> Result:
        """The result of an exchange that ends without time passing, after which nothing of it is left."""
        pair.network.settle()
        result: Result = self.successResultOf(running)
        self.assertEqual(
            [0, 0], [peer.links[other].stream_count for peer, other in ((pair.n1, "m4.m"), (pair.m4, "n1.n"))]
        )
        return result

    def test_echo(self) -> None:
        """An exchange makes the link that it needs; its source is opened and closed once."""
        pair = self.make_pair()
        source = Counted()
        result = self.done(pair, self.exchange(pair, source))
        self.assertEqual((5, 5, b"hello"), (result.bytes, result.reply_bytes, self.sink.data))
        self.assertEqual((1, 1), (source.opened, source.closed))
        self.done(pair, self.exchange(pair, source))
        self.assertEqual(1, len(pair.routers.asked))
        self.assert_nothing_left(pair)

    def test_all_services(self) -> None:
        """Text is turned, files are stored with their receipt, whatever the kind of link."""
        content = bytes(range(256)) * 20_000
        for plain in (False, True):
            pair = self.make_pair(plain=(plain, plain))
            path = Path(self.mktemp())
            path.write_bytes(content)
            self.done(pair, self.exchange(pair, BytesSource("groß".encode()), "uppercase"))
            self.assertEqual(b"GROSS", self.sink.data)
            self.assertEqual(plain, pair.n1.links["m4.m"].terms.plain)
            result = self.done(pair, self.exchange(pair, FileSource(path, at_once), "store", name="a.bin"))
            self.assertEqual((str(len(content)), "a.bin"), (result.tail["size"], result.tail["name"]))
            (stored,) = Path(pair.m4._context.inbox).iterdir()
            self.assertEqual(content, stored.read_bytes())
            self.assert_nothing_left(pair)

    def test_watched(self) -> None:
        """Who wants to tell of progress is shown the stream."""
        pair = self.make_pair()
        streams: list[Any] = []
        pair.run(
            pair.n1.exchange("m4.m", Request("echo"), BytesSource(b"x"), Gatherer, planned_ns=0, watch=streams.append)
        )
        self.assertEqual(1, len(streams))
        self.assertGreater(streams[0].sent, 1)

    def test_refused(self) -> None:
        """What the other side refuses leaves the link as it is."""
        pair = self.make_pair()
        for service, fields, word in (
            ("nothing", {}, "has no service 'nothing'"),
            ("store", {"name": "../../etc/passwd"}, "has a path in it"),
            ("uppercase", {"encoding": "latin-1"}, "not in 'latin-1'"),
        ):
            running = self.exchange(pair, BytesSource(b"x" * 3_000_000), service, **fields)
            pair.network.settle()
            self.assertIn(word, self.failed(running, Outcome.REFUSED))
            self.assertEqual(1, self.sink.abandoned)
        self.assertTrue(pair.n1.links["m4.m"].reusable)
        self.assertEqual(1, len(pair.routers.asked))
        self.assert_nothing_left(pair)

    def test_no_link(self) -> None:
        """An exchange without a link ends as the attempt did, and its source is closed."""
        pair = self.make_pair()

        def fail(initiator: str, target: str) -> None:
            raise UnknownPeer("who?")

        pair.routers.before = fail
        source = Counted()
        self.assertEqual("who?", self.failed(self.exchange(pair, source), Outcome.UNKNOWN_PEER))
        self.assertEqual((1, 1), (source.opened, source.closed))

    def test_unreadable_source(self) -> None:
        """A file that can't be read is told before anybody is asked for a link."""
        pair = self.make_pair()
        running = self.exchange(pair, FileSource(Path("/nowhere/at/all"), at_once))
        self.failureResultOf(running, LocalFileError)
        self.assertEqual([], pair.routers.asked)

    def test_cancelled(self) -> None:
        """An exchange can be cancelled while it opens its source, waits for its link or its turn, and under way."""
        for phase in ("source", "link", "turn", "reply"):
            pair = self.make_pair(streams=2)
            source: Any = Counted()
            blocking = None
            if phase == "source":
                opening: Deferred[int] = Deferred()
                self.patch(source, "open", lambda opening=opening: opening)
            elif phase == "link":
                pair.routers.before = lambda initiator, target: Deferred()
            elif phase == "turn":
                blocking = self.exchange(pair, HeldSource())
                pair.network.settle()
            else:
                source = HeldSource()
            running = self.exchange(pair, source)
            pair.network.settle()
            running.cancel()
            self.failureResultOf(running, CancelledError)
            if phase in ("link", "turn"):
                self.assertEqual((1, 1), (source.opened, source.closed))
            if blocking is not None:
                blocking.cancel()
                self.failureResultOf(blocking, CancelledError)
            pair.network.settle()
            self.assert_nothing_left(pair)

    def test_turns(self) -> None:
        """Each end begins half of the streams that the limit allows; the next exchange waits for its turn."""
        pair = self.make_pair(streams=4)
        sources = [HeldSource() for _ in range(5)]
        running = [self.exchange(pair, source) for source in sources]
        pair.network.settle()
        self.assertEqual([True, True, False, False, False], [source.consumer is not None for source in sources])
        for source in sources:
            source.held.callback({})
            pair.network.settle()
        for one in running:
            self.done(pair, one)
        self.assert_nothing_left(pair)

    def test_full_link(self) -> None:
        """A link whose other end has taken all the streams for itself refuses, and says what to do."""
        pair = self.make_pair(streams=4)
        pair.link()
        far = pair.m4.links["n1.n"]
        for _ in range(4):
            far.open_stream().write(b"\0")
        pair.network.settle()
        source = Counted()
        reason = self.failed(self.exchange(pair, source), Outcome.REFUSED)
        self.assertEqual("the link carries 4 streams already; try again when others have ended", reason)
        self.assertEqual((1, 1), (source.opened, source.closed))

    def test_link_closes_at_the_other_end(self) -> None:
        """An exchange that begins at the moment at which the other end closes the link is begun anew on another."""
        pair = self.make_pair()
        old = pair.link()
        source = Counted(b"x" * INITIAL_WINDOW)
        pair.m4.disconnect()
        running = self.exchange(pair, source)
        self.assertEqual(1, old.stream_count)
        self.assertEqual(INITIAL_WINDOW, self.done(pair, running).reply_bytes)
        self.assertEqual((2, 2, 2), (source.opened, source.closed, len(pair.routers.asked)))
        self.assertIsNot(old, pair.n1.links["m4.m"])
        self.assert_nothing_left(pair)

    def test_link_closes_here(self) -> None:
        """An exchange that waits for its turn while the link begins to close takes a new link."""
        pair = self.make_pair(streams=2)
        held = HeldSource()
        first = self.exchange(pair, held)
        pair.network.settle()
        source = Counted()
        second = self.exchange(pair, source)
        pair.network.settle()
        pair.n1.disconnect()
        held.held.callback({})
        self.assertEqual(5, self.done(pair, second).reply_bytes)
        self.successResultOf(first)
        self.assertEqual((2, 2, 2), (source.opened, source.closed, len(pair.routers.asked)))
        self.assert_nothing_left(pair)

    def test_what_was_taken_is_not_sent_twice(self) -> None:
        """An exchange that the other end had taken when its link broke isn't begun again: it ends as reset."""
        pair = self.make_pair()
        running = self.exchange(pair, HeldSource())
        pair.network.settle()
        stopping = pair.start(pair.m4.stop())
        pair.network.advance(11)
        self.successResultOf(stopping)
        self.failed(running, Outcome.RESET)
        self.assertEqual(1, len(pair.routers.asked))

    def test_links_that_close_at_once(self) -> None:
        """An exchange isn't tried for ever."""
        pair = self.make_pair()
        original = pair.m4.link_established

        def hostile(link: Any) -> None:
            original(link)
            link.close()

        self.patch(pair.m4, "link_established", hostile)
        source = Counted()
        running = self.exchange(pair, source)
        pair.network.settle()
        self.assertIn("closed as fast as they stood", self.failed(running, Outcome.RESET))
        self.assertEqual((TRIES, TRIES), (source.opened, source.closed))
        self.assert_nothing_left(pair)

    def test_idle_close(self) -> None:
        """An exchange that meets the link at the end of its idle time isn't lost, from either end."""
        pair = self.make_pair(idle_s=40.0)
        pair.link()
        for _ in range(10):
            pair.network.advance(39.9)
            for moment in (0.05, 0.05, 0.05):
                pair.network.advance(moment)
                self.done(pair, self.exchange(pair, BytesSource(b"x")))
        pair.network.advance(80)
        self.assertEqual({}, pair.leftovers())

    def test_exchange_silence_s(self) -> None:
        """When nothing moves for ``exchange_silence_s`` both ends give an exchange up."""
        pair = self.make_pair(exchange_silence_s=8.0)
        running = self.exchange(pair, HeldSource(), "store", name="a")
        pair.network.advance(7.9)
        self.assertNoResult(running)
        self.assertEqual(1, pair.m4.links["n1.n"].stream_count)
        pair.network.advance(2.2)
        self.assertEqual("nothing moved for 8 s", self.failed(running, Outcome.TIMEOUT))
        self.assertEqual(0, pair.m4.links["n1.n"].stream_count)
        self.assertEqual([], list(Path(pair.m4._context.inbox).iterdir()))
        self.assert_nothing_left(pair)

    def test_header_bytes(self) -> None:
        """A head of more than ``header_bytes`` costs its stream, not the link."""
        pair = self.make_pair(header_bytes=1024)
        running = self.exchange(pair, BytesSource(b"x"), name="x" * 1000)
        pair.network.settle()
        self.failed(running, Outcome.RESET)
        self.assertTrue(pair.n1.links["m4.m"].reusable)
        self.done(pair, self.exchange(pair, BytesSource(b"x"), name="x" * 900))

    def test_faulty_service(self) -> None:
        """A fault of a service ends its exchange, with a word of where to look."""
        pair = self.make_pair()

        def fail(*arguments: object) -> Mapping[str, str]:
            raise ZeroDivisionError

        self.patch(pair.m4._around.services, "receive", fail)
        running = self.exchange(pair, BytesSource(b"x"))
        pair.network.settle()
        self.assertIn("the log of the receiver says why", self.failed(running, Outcome.RESET))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertTrue(pair.n1.links["m4.m"].reusable)

    def test_two_ways_at_once(self) -> None:
        """Many exchanges go over one link both ways at the same time."""
        pair = self.make_pair()
        pair.link()
        running = []
        for number in range(40):
            peer, other = (pair.n1, "m4.m") if number % 2 else (pair.m4, "n1.n")
            content = bytes([number]) * (number * 7000 + 1)
            running.append(
                Deferred.fromCoroutine(
                    peer.exchange(other, Request("echo"), BytesSource(content), Gatherer, planned_ns=0)
                )
            )
        pair.network.settle()
        self.assertEqual(
            [number * 7000 + 1 for number in range(40)], [self.successResultOf(r).reply_bytes for r in running]
        )
        self.assertEqual(1, len(pair.routers.asked))
        self.assert_nothing_left(pair)

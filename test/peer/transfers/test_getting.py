"""What is got from a peer, session after session."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, LocalFileError
from p2p.exchange.paths import RESERVED
from p2p.peer.transfers import getting
from p2p.peer.transfers.getting import Getting
from p2p.peer.transfers.journal import TransferRow
from p2p.peer.transfers.peer_way import PeerWay, Pipe
from p2p.peer.transfers.stalls import Own
from p2p.transfer.receiving import ReceivingEngine
from p2p.transfer.records import Entry, Kind, encode_chunk, encode_entry
from p2p.transfer.tree import CHUNK, leaf_digest
from p2p.transfer.walking import Totals
from test.peer.pair import at_once
from test.peer.transfers.journals import row
from test.peer.transfers.movings import Session


class _Told:
    """Whoever is told."""

    def on_begun(self) -> None:
        """Nothing is kept of it."""


class _Peer:
    """n1.n, whose exchanges end when the test says so."""

    name = "n1.n"

    def __init__(self) -> None:
        self.links: dict[str, Any] = {}
        self.sessions: list[Session] = []

    async def exchange(self, target: str, request: Any, source: Any, sink: Any, *, planned_ns: int, watch: Any) -> Any:
        watch(self)
        source.request = request
        if not hasattr(source, "end"):
            source.end = Deferred()  # of one that is given up
        self.sessions.append(source)
        await source.end

    received = 55
    sent = 5


class GettingTests(SynchronousTestCase):
    """A film that comes from m4.m."""

    def setUp(self) -> None:
        self.patch(getting, "GetSession", Session)
        self.clock = Clock()
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        self.peer = _Peer()
        self.row = row(direction="get", what={"names": ["film.mp4"]})
        self.sealed: list[TransferRow] = []

    def make(self, pipe: Pipe | None = None, limit: int | None = None) -> Getting:
        peer: Any = self.peer
        return Getting(
            PeerWay(peer, "m4.m", self.clock),
            self.row,
            self.base if pipe is None else None,
            exists="rename",
            links="keep",
            limit=limit,
            pipe=pipe,
            seal=self.sealed.append,
            threads=at_once,
            clock=self.clock,
        )

    def begin(self, made: Getting) -> Deferred[Totals]:
        told: Any = _Told()
        beginning = Deferred.fromCoroutine(made.session(told, known=False))
        self.addCleanup(self.end, beginning)
        return beginning

    def end(self, beginning: Deferred[Totals]) -> None:
        beginning.addErrback(lambda failure: failure.trap(CancelledError))
        beginning.cancel()

    def test_what_is_seen(self) -> None:
        """What there is to see of a session comes from its stream and its receiver."""
        made = self.make()
        self.assertEqual((0, 0, None, None, None), self.seen(made))
        self.begin(made)
        self.peer.sessions[0].engine.current = "film.mp4"
        self.assertEqual((55, 0, "film.mp4", None, None), self.seen(made))
        self.assertEqual((Own.WRITE, False, False, []), (made.own, made.stream, made.spent, list(made.restarted)))
        self.assertIsNone(made.totals)

    def seen(self, made: Getting) -> tuple[Any, ...]:
        return made.moved, made.done_bytes, made.current, made.link, made.own_since

    def test_slow_limit(self) -> None:
        """A limit that lets less than a chunk through in some seconds excuses a standstill of such a time."""
        limits = [None, 2000, 10_000_000]
        self.assertEqual([False, True, False], [self.make(limit=limit).excused for limit in limits])

    def test_complete(self) -> None:
        """What is complete is sealed before its receiver forgets it, with how much it was."""
        beginning = self.begin(self.make())
        self.peer.sessions[0].done(2, 9)
        self.assertEqual((Totals(2, 9), [self.row]), (self.successResultOf(beginning), self.sealed))

    def test_two_at_once(self) -> None:
        """What is under way here already, and what the disk doesn't take, is this machine's failure."""
        other = ReceivingEngine(self.base, self.row.id)
        self.addCleanup(other.abandon)
        self.failureResultOf(self.begin(self.make()), LocalFileError)
        self.failureResultOf(Deferred.fromCoroutine(self.make().remove_parts(tell=True)), LocalFileError)

    def test_remove_parts(self) -> None:
        """What is there of an unfinished file goes, and what goes to a pipe has nothing there."""
        beginning = self.begin(self.make())
        engine = self.peer.sessions[0].engine
        engine.have()
        engine.feed(encode_entry(Entry("film.mp4", Kind.FILE, 0o644, 0, 2 * CHUNK)))
        self.peer.sessions[0].fail()
        self.failureResultOf(beginning, ExchangeFailed)
        self.assertEqual([f"{RESERVED}{self.row.id}"], [each.name for each in self.base.iterdir()])
        self.successResultOf(Deferred.fromCoroutine(self.make().remove_parts(tell=True)))
        self.assertEqual([], list(self.base.iterdir()))

    def test_tells_who_shares(self) -> None:
        """When what had begun is cancelled, who shares it is told, unless it was they who cancelled it."""
        self.row.sessions = 1
        self.successResultOf(Deferred.fromCoroutine(self.make().remove_parts(tell=False)))
        removing = Deferred.fromCoroutine(self.make().remove_parts(tell=True))
        session = self.peer.sessions.pop()
        assert session.request is not None
        self.assertEqual({"id": self.row.id, "cancel": "1"}, session.request.more)
        session.end.callback(None)
        self.successResultOf(removing)

    def test_pipe(self) -> None:
        """What went into a pipe can't be taken back; until then another session is of use."""
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        pipe = Pipe(write)
        os.close(write)
        made = self.make(pipe)
        pipe.release()
        self.assertEqual((Own.OUTPUT, True), (made.own, made.stream))
        beginning = self.begin(made)
        self.peer.sessions[0].fail()
        self.failureResultOf(beginning, ExchangeFailed)
        self.assertFalse(made.spent)
        beginning = self.begin(made)
        engine = self.peer.sessions[1].engine
        engine.have()
        entry = encode_entry(Entry("film.mp4", Kind.FILE, 0o644, 0, 4))
        engine.feed([*entry, *encode_chunk(leaf_digest([b"film"]), [b"film"])])
        self.assertEqual(b"film", os.read(read, 9))
        self.peer.sessions[1].how["sealed"]()
        self.peer.sessions[1].fail()
        self.failureResultOf(beginning, ExchangeFailed)
        self.assertEqual((True, []), (made.spent, self.sealed))
        self.successResultOf(Deferred.fromCoroutine(made.remove_parts(tell=True)))
        for _ in range(2):
            self.successResultOf(Deferred.fromCoroutine(made.close()))
        self.assertRaises(OSError, os.fstat, pipe.file)

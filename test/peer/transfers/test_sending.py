"""What is sent to one peer, session after session."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, LocalFileError, Outcome
from p2p.peer.transfers import sending
from p2p.peer.transfers.interfaces import BeginAnew
from p2p.peer.transfers.journal import TransferRow
from p2p.peer.transfers.peer_way import PeerWay, Pipe
from p2p.peer.transfers.sending import Content, Sending
from p2p.peer.transfers.stalls import Own
from p2p.transfer.answers import Asked
from p2p.transfer.records import Have
from p2p.transfer.send_session import NotFresh
from p2p.transfer.sharing import Shared
from p2p.transfer.walking import Totals
from test.peer.transfers.moving_doubles import Link
from test.peer.transfers.movings import Session


class _Peer:
    """n1.n, whose exchanges end when the test says so."""

    name = "n1.n"

    def __init__(self) -> None:
        self.links: dict[str, Any] = {}
        self.sessions: list[Session] = []
        self.stream: Any = None

    async def exchange(self, target: str, request: Any, source: Any, sink: Any, *, planned_ns: int, watch: Any) -> Any:
        source.request = request
        if not hasattr(source, "end"):
            source.end = Deferred()
        if self.stream is not None:
            watch(self.stream)
        self.sessions.append(source)
        await source.end


class _Stream:
    sent = 77
    received = 5


class _Told:
    """Whoever is told."""

    def on_begun(self) -> None:
        """Nothing is kept of it."""


class SendingTests(SynchronousTestCase):
    """A film that goes to m4.m."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.patch(sending, "SendSession", lambda engine, *rest, **how: Session(engine, Asked(()), *rest, **how))
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        (self.base / "film.mp4").write_bytes(b"film")
        self.what: dict[str, Any] = {
            "paths": [str(self.base / "film.mp4")],
            "name": None,
            "links": "keep",
            "type": "data",
        }
        self.held: list[tuple[Any, tuple[Any, ...], Deferred[Any]]] | None = None
        self.peer = _Peer()
        self.sessions = 0

    def threads(self, function: Any, *arguments: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        if self.held is None:
            self.finish((function, arguments, done))
        else:
            self.held.append((function, arguments, done))
        return done

    def finish(self, job: tuple[Any, tuple[Any, ...], Deferred[Any]]) -> None:
        function, arguments, done = job
        try:
            result = function(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever it raises is passed on
            done.errback(Failure(error))
        else:
            done.callback(result)

    def content(self, pipe: Pipe | None = None) -> Content:
        return Content(self.what, self.base / "kept", pipe, self.threads, self.clock)

    def make(self, content: Content | None = None, **how: Any) -> Sending:
        peer: Any = self.peer
        given: dict[str, Any] = {"names": ["film.mp4"], "content_type": "data", "limit": None, "first": None, **how}
        way = PeerWay(peer, "m4.m", self.clock)
        row = TransferRow("ab" * 8, "n1.n", "send", "m4.m", self.what, 0.0, 0.0, sessions=self.sessions)
        return Sending(way, row, content or self.content(), **given, threads=self.threads, clock=self.clock)

    def begin(self, made: Sending, *, known: bool = False) -> Deferred[Totals]:
        told: Any = _Told()
        beginning = Deferred.fromCoroutine(made.session(told, known=known))
        self.addCleanup(self.end, beginning)
        return beginning

    def end(self, beginning: Deferred[Totals]) -> None:
        self.held = None
        beginning.addErrback(lambda failure: failure.trap(CancelledError))
        beginning.cancel()

    def test_what_is_seen(self) -> None:
        """What there is to see of a session comes from its stream, its link, its engine and its pace."""
        made = self.make()
        self.assertEqual((0, 0, None, False, None), self.seen(made))
        self.peer.stream, self.peer.links["m4.m"] = _Stream(), Link()
        self.begin(made)
        (session,) = self.peer.sessions
        session.engine.next(10)
        session.excused = True
        self.assertEqual((77, 4, "film.mp4", True, self.peer.links["m4.m"]), self.seen(made))
        self.assertEqual((Own.READ, Totals(1, 4), False, []), (made.own, made.totals, made.spent, list(made.restarted)))
        self.peer.links["m4.m"].reusable = False
        self.assertIsNone(made.link)

    def seen(self, made: Sending) -> tuple[Any, ...]:
        return made.moved, made.done_bytes, made.current, made.excused, made.link

    def test_own_disk(self) -> None:
        """It is known since when the disk has been at work."""
        made = self.make()
        self.begin(made)
        self.clock.advance(3)
        self.held = []
        self.peer.sessions[0]._threads(int)
        self.clock.advance(3)
        self.assertEqual(3.0, made.own_since)
        self.finish(self.held.pop())
        self.assertIsNone(made.own_since)

    def test_measuring_takes_long(self) -> None:
        """A session doesn't wait long to know how much it is; the next one knows."""
        self.held = []
        made = self.make()
        self.begin(made)
        (measuring,) = self.held
        self.clock.advance(0.05)
        self.assertEqual([], self.peer.sessions)
        self.clock.advance(0.05)
        self.finish(self.held.pop())  # the engine
        (session,) = self.peer.sessions
        assert session.request is not None
        self.assertEqual({"id": "ab" * 8, "names": b"film.mp4"}, dict(session.request.more))
        self.finish(measuring)
        self.assertEqual(Totals(1, 4), made.totals)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_measured_once(self) -> None:
        """However many peers get it, it is measured once."""
        self.held = []
        content = self.content()
        self.begin(self.make(content))
        self.begin(self.make(content))
        self.assertEqual(1, len(self.held))
        jobs, self.held = self.held, None
        self.finish(jobs[0])
        self.assertEqual(2, len(self.peer.sessions))

    def test_source_is_gone(self) -> None:
        """What isn't there any more can't be measured; the session says so by name, so it begins all the same."""
        (self.base / "film.mp4").unlink()
        self.begin(self.make())
        self.assertEqual(1, len(self.peer.sessions))

    def test_fault_in_measuring(self) -> None:
        """A fault of ours is logged, and the session begins all the same."""
        self.patch(sending, "measure", lambda sources: 1 // 0)
        self.begin(self.make())
        self.assertEqual((1, 1), (len(self.peer.sessions), len(self.flushLoggedErrors(ZeroDivisionError))))

    def test_not_fresh(self) -> None:
        """A receiver that has a part already gets a session that knows it."""
        beginning = self.begin(self.make())
        self.peer.sessions[0].end.errback(Failure(NotFresh(Have(entries=1))))
        self.failureResultOf(beginning, BeginAnew)
        self.assertTrue(self.peer.sessions[0].released)

    def test_local_failure(self) -> None:
        """What this machine can't do is said as it is, and the session is let go of."""
        beginning = self.begin(self.make())
        self.peer.sessions[0].end.errback(Failure(LocalFileError("no state")))
        self.failureResultOf(beginning, LocalFileError)
        self.assertTrue(self.peer.sessions[0].released)

    def test_shared(self) -> None:
        """The first of several readings is shared; who must begin elsewhere reads alone, and lets the others be."""
        content = self.content()
        first, second = Shared(content.engine(), 2).members
        sharing, knowing = self.make(content, first=first), self.make(content, first=second)
        self.begin(sharing)
        self.begin(knowing, known=True)
        self.assertEqual((Own.SHARED, Own.READ), (sharing.own, knowing.own))
        self.assertIs(first, self.peer.sessions[0].engine)
        self.assertIsNot(second, self.peer.sessions[1].engine)
        self.assertTrue(second.closed)
        self.assertEqual([], list(sharing.restarted))

    def test_never_begun(self) -> None:
        """What never began lets go of its part of the shared reading."""
        content = self.content()
        (member,) = Shared(content.engine(), 1).members
        made = self.make(content, first=member)
        self.successResultOf(Deferred.fromCoroutine(made.close()))
        self.successResultOf(Deferred.fromCoroutine(made.remove_parts(tell=True)))
        self.assertTrue(member.closed)

    def test_given_up(self) -> None:
        """A receiver that had agreed is told to remove its parts; one that is silent isn't waited for long."""
        self.sessions = 1
        for answer in ("done", "refused", ""):
            removing = Deferred.fromCoroutine(self.make().remove_parts(tell=True))
            session = self.peer.sessions.pop()
            assert session.request is not None
            self.assertEqual({"id": "ab" * 8, "cancel": "1"}, session.request.more)
            if answer == "done":
                session.end.callback(None)
                self.successResultOf(removing)
                continue
            if answer:
                session.end.errback(Failure(ExchangeFailed(Outcome.REFUSED, answer)))
            self.clock.advance(sending.GIVE_UP_S)
            reason = str(self.failureResultOf(removing, ExchangeFailed).value)
            self.assertIn("keeps its part for some days: " + (answer or "no answer within 5 s"), reason)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_pipe(self) -> None:
        """A pipe is spent as soon as something was read from it, and closed in the end."""
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        os.close(write)
        pipe = Pipe(read)
        self.what = {"stream": True, "names": ["x.tar"], "links": "keep", "type": "data"}
        made = self.make(self.content(pipe))
        pipe.release()
        self.assertEqual((Own.INPUT, True, False), (made.own, made.stream, made.spent))
        failing = self.begin(made)
        self.assertEqual((Totals(1, None), False), (made.totals, made.spent))
        self.peer.sessions[0].fail()
        self.failureResultOf(failing, ExchangeFailed)
        self.assertFalse(made.spent)
        failing = self.begin(made)
        self.peer.sessions[1].engine.next(10)
        self.peer.sessions[1].fail()
        self.failureResultOf(failing, ExchangeFailed)
        self.assertTrue(made.spent)
        self.successResultOf(Deferred.fromCoroutine(made.close()))
        self.assertRaises(OSError, os.fstat, pipe.file)

"""All transfers of a daemon."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred

from p2p.base.errors import ExchangeFailed, InvalidName, InvalidRequest, LocalFileError, Outcome
from p2p.console.transfer_operations import Moved, Stalled
from p2p.exchange.paths import RESERVED
from p2p.transfer.receiving import ReceivingEngine
from p2p.transfer.records import Have
from test.descriptors import copies
from test.peer.transfers.moving_doubles import look_after
from test.peer.transfers.movings import TransfersCase
from test.transfer import arrivals


class SendTests(TransfersCase):
    """What is sent."""

    def moved(self, sending: Deferred[Moved]) -> list[tuple[str, str | None]]:
        return [(one.peer, one.outcome) for one in self.successResultOf(sending).transfers]

    def test_one(self) -> None:
        """A file goes to a peer: its transfer has an id, the peer is asked, and the journal has it to its end."""
        sending = self.send(limit=5000, type="video")
        (session,) = self.sessions
        request = session.request
        assert request is not None
        self.assertEqual(("m4.m", "transfer", "video", "film.mp4"), (session.target, *self.head(request)))
        offered = {"names": b"film.mp4", "entries": "1", "bytes": "4", "bytes_video": "4"}
        self.assertEqual({"id": f"{1:016x}", **offered}, dict(request.more))
        self.assertEqual({"m4.m": "running"}, self.rows())
        session.told.on_have(Have())
        session.done()
        self.assertEqual([("m4.m", "ok")], self.moved(sending))
        self.assertEqual(({"m4.m": "done"}, True), (self.rows(), session.released))
        self.assertEqual(["offered", "done"], self.events.kinds())
        self.assert_nothing_left()

    def head(self, request: Any) -> tuple[str, str, str]:
        return request.service, request.type, request.name

    def assert_nothing_left(self) -> None:
        """No timer, no open file, nothing remembered."""
        look_after(self.clock, lambda: None, 2.0)
        self.assertEqual([], self.clock.getDelayedCalls())
        self.assertEqual(({}, {}), (self.transfers._live, self.transfers._incoming))

    def test_limit(self) -> None:
        """A limit is kept by a pace of each session's own."""
        self.send(limit=5000)
        self.assertEqual(1250, self.sessions[0].how["pace"].burst)

    def test_missing(self) -> None:
        """What can't be read is told before anybody is asked anything."""
        sending = self.send(paths=[str(self.film), "/missing"])
        self.failureResultOf(sending, LocalFileError)
        self.assertEqual(([], {}), (self.sessions, self.rows()))

    def test_no_peer(self) -> None:
        """So is a name that is none, or one that is for several things."""
        self.failureResultOf(self.send("m4"), InvalidName)
        self.failureResultOf(self.send(paths=[str(self.film), str(self.base)], name="x"), InvalidRequest)

    def test_own_name(self) -> None:
        """One thing may be called differently at the other end."""
        self.send(name="x.mp4")
        assert self.sessions[0].request is not None
        self.assertEqual("x.mp4", self.sessions[0].request.name)

    def test_several(self) -> None:
        """Each of several peers has a transfer of its own; they share the reading, and their ends are told apart."""
        self.peers["n1.n"].listed = ["m1.m", "m2.m", "n1.n", "n2.n"]
        sending = self.send("*.m", "n2.n")
        self.assertEqual(["m1.m", "m2.m", "n2.n"], [session.target for session in self.sessions])
        self.assertEqual(3, len({id(session.engine) for session in self.sessions}))
        self.assertEqual(1, len({id(session.engine._shared) for session in self.sessions}))
        first, second, third = self.sessions
        second.fail(Outcome.REFUSED, "no")
        first.done()
        third.done()
        self.assertEqual([("m1.m", "ok"), ("m2.m", "refused"), ("n2.n", "ok")], self.moved(sending))

    def test_left_behind(self) -> None:
        """Whoever is slower than the others goes on alone, with a session that knows of the first."""
        self.send("m1.m", "m2.m")
        slow = self.sessions[0]
        slow.told.on_have(Have())
        slow.engine.left_behind = True
        slow.end.errback(self.left_behind(slow))
        alone = self.sessions[-1]
        self.assertEqual(("m1.m", True), (alone.target, alone.how["resume"]))
        self.assertNotIn("_shared", vars(alone.engine))

    def left_behind(self, session: Any) -> Exception:
        try:
            session.engine.next(1)
        except Exception as error:  # noqa: BLE001 - whatever it raises is what the exchange fails with
            return error
        raise AssertionError("it wasn't left behind")

    def test_resume(self) -> None:
        """After a broken link the same transfer goes on, as one that the receiver may know."""
        self.send()
        self.sessions[0].told.on_have(Have())
        self.sessions[0].fail()
        self.clock.advance(1)
        first, second = self.sessions
        assert first.request is not None
        assert second.request is not None
        self.assertEqual(({"resume": "1", **first.request.more}, True), (second.request.more, second.how["resume"]))

    def test_link_stands(self) -> None:
        """When a link to the peer stands, its transfers go on at once, and no others."""
        for peer in ("m4.m", "m5.m"):
            self.send(peer)
        self.send(acting="n2.n")
        for session in list(self.sessions):
            session.fail()
        self.peers["n1.n"].link_watchers[0]("m4.m")
        self.assertEqual(4, len(self.sessions))

    def test_limit_of_all(self) -> None:
        """There is a limit to what may be unfinished, and it is told."""
        self.begin_daemon(unfinished=2)
        self.send("m1.m", "m2.m")
        failure = self.failureResultOf(self.send("m3.m"), ExchangeFailed).value
        self.assertEqual(Outcome.REFUSED, failure.outcome)
        self.assertIn("2 transfers", str(failure))

    def test_stall(self) -> None:
        """A standstill is told to whoever waits."""
        self.send()
        self.clock.pump([0.5] * 10)
        self.assertIn("no link to m4.m", self.events.last(Stalled).text)


class PipeTests(TransfersCase):
    """What comes from a pipe, or goes to one."""

    def setUp(self) -> None:
        super().setUp()
        self.read, self.write = os.pipe()
        for file in (self.read, self.write):
            self.addCleanup(os.close, file)

    def open_files(self) -> int:
        return copies(self.read)

    def test_send(self) -> None:
        """The descriptor is copied, so that the client's may be closed at any time; the copy is closed in the end."""
        before = self.open_files()
        sending = self.send(stream=True, name="x.tar", file=self.read)
        self.assertEqual(before + 1, self.open_files())
        (session,) = self.sessions
        assert session.request is not None
        self.assertEqual(
            ("x.tar", {"id": f"{1:016x}", "entries": "1", "names": b"x.tar"}),
            (session.request.name, session.request.more),
        )
        session.done()
        self.successResultOf(sending)
        self.assertEqual(before, self.open_files())

    def test_never_the_same(self) -> None:
        """Two streams of one name are two transfers; what was broken off is over."""
        for _ in range(2):
            sending = self.send(stream=True, name="x.tar", file=self.read)
            self.leave(sending)
        self.assertEqual(["cancelled"], list(self.rows().values()))
        self.assertEqual(2, len(self.did(self.journal.latest(9))))

    def test_bad(self) -> None:
        """Without a descriptor, or with a name that is none, nothing is open afterwards."""
        before = self.open_files()
        self.failureResultOf(self.send(stream=True, name="x"), InvalidRequest)
        self.failureResultOf(self.send(stream=True, name="a/b", file=self.read), LocalFileError)
        self.failureResultOf(self.send("m4", stream=True, name="x", file=self.read), InvalidName)
        self.assertEqual(before, self.open_files())

    def test_several(self) -> None:
        """A stream goes to several peers; one that can't follow the others has lost it."""
        sending = self.send("m1.m", "m2.m", stream=True, name="x", file=self.read)
        slow, fast = self.sessions
        slow.engine.left_behind = True
        slow.end.errback(SendTests.left_behind(self, slow))  # type: ignore[arg-type]  # both are such cases
        fast.done()
        outcomes = [one.outcome for one in self.successResultOf(sending).transfers]
        self.assertEqual(["timeout", "ok"], outcomes)

    def test_get(self) -> None:
        """What goes to a pipe goes to its copy."""
        before = self.open_files()
        getting = self.get(stream=True, file=self.write)
        self.sessions[0].fail(Outcome.REFUSED, "no")
        self.assertEqual("refused", self.successResultOf(getting).transfers[0].outcome)
        self.assertEqual(before, self.open_files())

    def test_killed(self) -> None:
        """A stream isn't taken up by the next daemon: it is told as failed."""
        self.send(stream=True, name="x", file=self.read)
        self.kill_daemon()
        self.begin_daemon()
        self.assertEqual({"m4.m": "failed"}, self.rows())


class GetTests(TransfersCase):
    """What is got."""

    def test_one(self) -> None:
        """A name that a peer shares comes into a folder."""
        getting = self.get("a", "b", limit=5000, links="refuse")
        (session,) = self.sessions
        assert session.request is not None
        self.assertEqual(("fetch", ["a", "b"]), (session.request.service, list(session.names)))
        self.assertEqual({"id": f"{1:016x}", "limit": "5000", "links": "refuse"}, dict(session.request.more))
        self.assertIsInstance(session.engine, ReceivingEngine)
        session.told.on_have(Have())
        session.done(2, 9)
        (moved,) = self.successResultOf(getting).transfers
        self.assertEqual(("ok", 2, 9), (moved.outcome, moved.entries, moved.bytes))
        self.assertEqual({"m4.m": "done"}, self.rows())
        self.assertEqual([], list(self.base.glob(f"{RESERVED}*")))

    def test_folders(self) -> None:
        """A name with a slash at its end is asked for without it, and must be a folder; it is the same transfer."""
        getting = self.get("films/", "notes")
        (session,) = self.sessions
        self.assertEqual(("films", "notes"), session.names)
        session.engine.have()
        failure = self.assertRaises(ExchangeFailed, session.engine.feed, arrivals.file("films"))
        self.assertIn("a folder was asked for", str(failure))
        self.leave(getting)
        self.get("films", "notes")
        self.assertEqual(session.transfer, self.sessions[1].transfer)

    def test_requests(self) -> None:
        """What can't be got is told before anybody is asked."""
        for names in (["a/../b"], ["/"], ["x/a", "y/a"]):
            self.failureResultOf(self.get(*names), InvalidRequest)
        self.assertEqual([], self.sessions)

    def test_no_folder(self) -> None:
        """A folder that isn't there is told before anybody is asked."""
        self.failureResultOf(self.get(folder="/missing"), LocalFileError)
        self.assertEqual([], self.sessions)

    def test_folder_vanishes(self) -> None:
        """If it vanishes before the next session, that is this machine's failure."""
        folder = self.base / "folder"
        folder.mkdir()
        getting = self.get(folder=str(folder))
        self.sessions[0].fail()
        folder.rename(self.base / "elsewhere")
        self.clock.advance(1)
        self.assertEqual("file", self.successResultOf(getting).transfers[0].error)

    def test_killed_at_the_very_end(self) -> None:
        """Killed when everything was in its place, it isn't got a second time, and nothing is left of the first."""
        for forgotten in (False, True):
            with self.subTest(forgotten=forgotten):
                self.get(str(forgotten))
                session = self.sessions.pop()
                session.engine.have()
                session.how["sealed"]()
                session.engine.abandon() if forgotten else session.engine.suspend()
                self.kill_daemon()
                self.begin_daemon()
                self.assertEqual(([], {"m4.m": "done"}), (self.sessions, self.rows()))
                self.assertEqual([], list(self.base.glob(f"{RESERVED}*")))

    def test_wrong_peer(self) -> None:
        """One peer is named to get something from."""
        self.failureResultOf(self.get(peer="*.m"), InvalidName)

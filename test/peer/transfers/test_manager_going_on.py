"""Transfers whose clients leave, whose daemons end, and that are asked for again or given up."""

from __future__ import annotations

import shutil
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from p2p.base.errors import ExchangeFailed, InvalidRequest, LocalFileError, Outcome
from p2p.console.transfer_operations import Failed, Waiting
from p2p.exchange.paths import RESERVED
from p2p.peer.ages import Ages
from p2p.peer.transfers.sender_leaves import FORGET_S
from p2p.transfer.records import Entry, Have, Kind, encode_entry
from p2p.transfer.tree import CHUNK
from test.peer.transfers.moving_doubles import WALL, Events
from test.peer.transfers.movings import Session, TransfersCase


class GoingOnTests(TransfersCase):
    """Transfers whose clients leave, whose daemons end, and that are asked for again."""

    def test_client_leaves(self) -> None:
        """A transfer whose client leaves is paused; asking for the same goes on with it."""
        sending = self.send()
        self.sessions[0].told.on_have(Have())
        self.leave(sending)
        self.assertEqual(({"m4.m": "paused"}, True), (self.rows(), self.sessions[0].released))
        again = self.send(limit=9999)
        first, second = self.sessions
        assert first.request is not None
        assert second.request is not None
        self.assertEqual((first.request.more["id"], "1"), (second.request.more["id"], second.request.more["resume"]))
        self.assertIn("pace", second.how)
        second.done()
        self.assertEqual("ok", self.successResultOf(again).transfers[0].outcome)

    def test_something_else(self) -> None:
        """What differs in anything but its limits is another transfer, and what was done begins anew."""
        self.leave(self.send())
        self.send(links="refuse")
        self.send("m5.m")
        self.sessions[-1].done()
        self.send("m5.m")
        self.assertEqual(4, len({session.transfer for session in self.sessions}))

    def test_join(self) -> None:
        """Who asks for what is under way joins in; the transfer goes on as long as one of them stays."""
        first, second = self.send(), self.send()
        self.assertEqual(1, len(self.sessions))
        self.leave(first)
        self.sessions[0].done()
        self.assertEqual("ok", self.successResultOf(second).transfers[0].outcome)
        self.assertEqual({"m4.m": "done"}, self.rows())

    def test_detached(self) -> None:
        """A detached transfer goes on without anybody; the client has its id at once, when it is safe on disk."""
        (moved,) = self.successResultOf(self.send(detach=True)).transfers
        self.assertEqual((True, None, f"{1:016x}"), (moved.detached, moved.outcome, moved.transfer))
        joined = self.send()
        self.leave(joined)
        self.assertEqual({"m4.m": "running"}, self.rows())
        self.sessions[0].done()
        self.assertEqual({"m4.m": "done"}, self.rows())

    def test_killed(self) -> None:
        """After kill -9 the next daemon goes on with what ran or waited, without anybody asking."""
        self.send("m1.m", "m2.m")
        self.get()
        self.leave(self.send("m3.m"))
        self.sessions[1].fail()
        ids = {session.target: session.transfer for session in self.sessions}
        self.kill_daemon()
        del self.sessions[:]
        self.begin_daemon()
        again = {session.target: session.transfer for session in self.sessions}
        self.assertEqual({target: ids[target] for target in ("m1.m", "m2.m", "m4.m")}, again)
        self.assertTrue(self.sessions[0].how["resume"])
        self.sessions[0].done()
        self.assertEqual("done", self.rows()["m1.m"])

    def test_clock_is_set_while_it_is_killed(self) -> None:
        """However the clock is set meanwhile, a transfer has the time that was left: less what has passed since, if the
        machine ran on; all of it after a reboot. At least one try is made."""
        for boot, seconds, left_s in (("a", 1000.0, 2600.0), ("b", 1000.0, 3600.0), ("a", 90_000.0, 0.0)):
            for step in (1e7, -1e7):
                with self.subTest(boot=boot, seconds=seconds, step=step):
                    self.begin_daemon(boot="a")
                    self.send("m1.m", detach=True)
                    self.kill_daemon()
                    self.clock.advance(seconds)
                    self.wall_ahead_s = step
                    del self.sessions[:]
                    self.begin_daemon(boot=boot)
                    followed = Events()
                    self.transfers.follow(followed.append)
                    (session,) = self.sessions
                    session.fail()
                    self.assertEqual([left_s] if left_s else [], [one.left_s for one in followed.of(Waiting)])
                    if left_s:
                        self.did(self.transfers.cancel(session.transfer))
                    self.kill_daemon()
                    del self.sessions[:]

    def test_stopped(self) -> None:
        """A daemon that is stopped breaks off, keeps no client waiting, and goes on at its next start."""
        sending = self.send()
        self.did(self.transfers.stop())
        self.assertEqual("reset", self.successResultOf(sending).transfers[0].outcome)
        self.assertEqual({"m4.m": "waiting"}, self.rows())
        self.failureResultOf(self.send("m5.m"), ExchangeFailed)
        self.did(self.transfers.close())
        self.assertEqual((True, []), (self.pool.closed, self.clock.getDelayedCalls()))
        self.begin_daemon()
        self.assertEqual(2, len(self.sessions))

    def test_stopped_with_clients(self) -> None:
        """The console cancels its clients while the daemon stops; that doesn't pause their transfers."""
        sending = self.send()
        stopping = Deferred.fromCoroutine(self.transfers.stop())
        sending.cancel()
        self.successResultOf(stopping)
        self.assertEqual({"m4.m": "waiting"}, self.rows())

    def test_stopped_at_its_start(self) -> None:
        """A daemon that is stopped before it has taken everything up leaves that to the next one."""
        self.send()
        self.kill_daemon()
        self.begin_daemon(start=False)
        self.did(self.transfers.stop())
        self.did(self.transfers.start())
        self.assertEqual(1, len(self.sessions))

    def test_asked_during_the_start(self) -> None:
        """What a client asks for again while the daemon takes it up is one transfer."""
        self.send()
        self.kill_daemon()
        self.begin_daemon(start=False)
        self.pool.held = []
        starting = Deferred.fromCoroutine(self.transfers.start())
        sending = self.send()
        while self.pool.held:
            self.pool.held.pop(0)()
        self.successResultOf(starting)
        self.assertEqual(2, len(self.sessions))
        self.sessions[1].done()
        while self.pool.held:
            self.pool.held.pop(0)()
        self.assertEqual("ok", self.successResultOf(sending).transfers[0].outcome)

    def test_not_hosted(self) -> None:
        """What a peer began that isn't hosted any more can't go on."""
        self.send()
        self.kill_daemon()
        self.hosted = ("n2.n",)
        self.begin_daemon()
        self.assertEqual({"m4.m": "failed"}, self.rows())

    def test_journal_full(self) -> None:
        """If it can't be written down, it doesn't begin: the daemon couldn't keep its promise."""

        self.journal.enter = lambda row: fail(LocalFileError("full"))  # type: ignore[method-assign]  # the disk is
        self.failureResultOf(self.send(), LocalFileError)
        self.assertEqual(([], {}), (self.sessions, self.transfers._live))

    def test_journal_full_for_one(self) -> None:
        """What goes on already isn't disturbed when a transfer beside it can't begin."""
        self.successResultOf(self.send("m1.m", detach=True))
        enter = self.journal.enter

        def full(row: Any) -> Deferred[None]:
            return fail(LocalFileError("disk full")) if row.peer == "m2.m" else enter(row)

        self.journal.enter = full  # type: ignore[method-assign]  # the disk is full
        self.failureResultOf(self.send("m1.m", "m2.m"), LocalFileError)
        self.assertEqual(["m1.m"], [transfer.row.peer for transfer in self.transfers._live.values()])

    def test_closed_after_tidying(self) -> None:
        """A daemon that ends waits for what is still to be removed, and for the journal."""
        self.send()
        self.pool.held = []
        self.sessions[0].done()
        ending = Deferred.fromCoroutine(self.transfers.stop())
        ending.addCallback(lambda _: Deferred.fromCoroutine(self.transfers.close()))
        self.assertNoResult(ending)
        while self.pool.held:
            self.pool.held.pop(0)()
        self.successResultOf(ending)
        self.assertTrue(self.pool.closed)

    def test_client_leaves_early(self) -> None:
        """A client that leaves before its transfer is on disk leaves a paused one, which asked nobody."""
        self.pool.held = []
        sending = self.send()
        while len(self.pool.held) and not self.transfers._live:
            self.pool.held.pop(0)()
        self.leave(sending)
        while self.pool.held:
            self.pool.held.pop(0)()
        self.pool.held = None
        self.assertEqual(([], {"m4.m": "paused"}), (self.sessions, self.rows()))

    def test_state_is_shared_and_removed(self) -> None:
        """What the sending side keeps goes with the last transfer of that content."""
        self.send("m1.m")
        self.send("m2.m")
        folder = self.transfers._kept.folder("n1.n", self.did(self.journal.latest(1))[0].what)
        folder.mkdir(parents=True)
        self.sessions[0].done()
        self.assertTrue(folder.exists())
        self.sessions[1].done()
        self.assertFalse(folder.exists())


class CancelTests(TransfersCase):
    """Transfers that are given up."""

    def begin_film(self) -> Session:
        """Something comes in the session that began last."""
        session = self.sessions[-1]
        session.told.on_have(session.engine.have())
        session.engine.feed(encode_entry(Entry("film.mp4", Kind.FILE, 0o644, 0, 2 * CHUNK)))
        return session

    def forget(self, after_s: float = 0.0) -> None:
        """A daily look after so much time, with parts that stay for 100 s."""
        self.clock.advance(after_s)
        ages = Ages(self.base / "ages.json", "boot", self.clock.seconds, lambda: WALL)
        ages.begin()
        self.successResultOf(self.transfers.forget(ages, 100.0))
        ages.save()

    def test_forgotten(self) -> None:
        """What was got in part and nobody went on with for days is given up; what is under way or newer isn't."""
        begun = {}
        for name in ("old", "new", "open"):
            (self.base / name).mkdir()
            begun[name] = self.get(folder=str(self.base / name))
            self.begin_film()
        parts = {name: list((self.base / name).iterdir()) for name in begun}
        self.assertEqual([1, 1, 1], [len(each) for each in parts.values()])
        self.leave(begun["old"])
        self.forget()
        self.leave(begun["new"])
        self.wall_ahead_s = 1e9  # whatever the clock says
        self.forget(60)
        self.assertEqual([True, True, True], [any((self.base / name).iterdir()) for name in parts])
        self.forget(60)
        self.assertEqual([False, True, True], [any((self.base / name).iterdir()) for name in parts])
        rows = [(row.state.value, row.reason) for row in self.did(self.journal.latest(9))]
        self.assertIn(("cancelled", "nobody went on with it for days"), rows)
        self.forget(60)
        self.assertEqual([False, False, True], [any((self.base / name).iterdir()) for name in parts])

    def test_leaves_forgotten(self) -> None:
        """What a sender keeps of a transfer that nobody goes on with is removed after a week, and what belongs to none
        at once."""
        self.leave(self.send("m1.m"))
        self.send("m2.m", name="other", detach=True)
        found = self.did(self.journal.latest(9))
        folders = {row.peer: self.transfers._kept.folder("n1.n", row.what) for row in found}
        stranger = folders["m1.m"].with_name("00" * 16)
        for folder in (*folders.values(), stranger):
            folder.mkdir(parents=True, exist_ok=True)
        self.forget()
        self.assertEqual((True, False), (folders["m1.m"].exists(), stranger.exists()))
        self.forget(FORGET_S - 1)
        self.assertTrue(folders["m1.m"].exists())
        self.forget(1)
        self.assertEqual((False, True), (folders["m1.m"].exists(), folders["m2.m"].exists()))

    def test_forgotten_folder(self) -> None:
        """If the folder that it went to is gone, it is given up all the same, and that is logged."""
        folder = self.base / "gone"
        folder.mkdir()
        getting = self.get(folder=str(folder))
        self.begin_film()
        self.leave(getting)
        shutil.rmtree(folder)
        with capturedLogs() as logs:
            self.forget()
            self.forget(100)
        self.assertEqual({"m4.m": "cancelled"}, self.rows())
        self.assertIn("not all of it could be removed", logs[0]["log_format"])

    def cancel(self, transfer: str = f"{1:016x}") -> list[tuple[str, str]]:
        return [(one.peer, one.state) for one in self.did(self.transfers.cancel(transfer)).transfers]

    def test_running(self) -> None:
        """One that runs ends, its client is told, and nothing goes on with it."""
        sending = self.send()
        self.assertEqual([("m4.m", "cancelled")], self.cancel())
        self.assertEqual("cancelled", self.successResultOf(sending).transfers[0].error)
        self.assertFalse(self.events.last(Failed).resumable)
        self.assertTrue(self.sessions[0].released)

    def test_got(self) -> None:
        """What has arrived of a file that is got is removed, whether it runs or not."""
        for ended in (False, True):
            with self.subTest(ended=ended):
                getting = self.get()
                session = self.begin_film()
                if ended:
                    session.fail(Outcome.REFUSED, "no")
                part = self.base / f"{RESERVED}{session.transfer}"
                self.assertTrue(part.exists())
                cancelling = Deferred.fromCoroutine(self.transfers.cancel(session.transfer))
                self.assertFalse(part.exists())
                self.sessions[-1].end.callback(None)  # who shares it is told
                self.assertEqual("cancelled", self.successResultOf(cancelling).transfers[0].state)
                self.successResultOf(getting)

    def test_paused(self) -> None:
        """One that is paused is given up: the same command begins anew."""
        self.leave(self.send())
        self.assertEqual([("m4.m", "cancelled")], self.cancel())
        self.send()
        self.assertFalse(self.sessions[-1].how["resume"])

    def test_cannot_be_told(self) -> None:
        """Whoever gives up what is paused learns it if the receiver isn't there, and keeps its part."""
        sending = self.send()
        self.sessions[0].told.on_have(Have())
        self.leave(sending)
        cancelling = Deferred.fromCoroutine(self.transfers.cancel(f"{1:016x}"))
        self.sessions[1].end.errback(Failure(ExchangeFailed(Outcome.UNKNOWN_PEER, "m4.m is away")))
        (shown,) = self.successResultOf(cancelling).transfers
        self.assertIn("it was cancelled here; m4.m can't be told", shown.reason)
        self.assertIn("m4.m is away", self.did(self.journal.find(shown.transfer))[0].reason)

    def test_none(self) -> None:
        """One that isn't known or is over can't be cancelled."""
        self.assertIn("isn't known", str(self.failure("00" * 8)))
        self.send()
        self.sessions[0].done()
        self.assertIn("is over: done", str(self.failure(f"{1:016x}")))

    def failure(self, transfer: str) -> Exception:
        cancelling = Deferred.fromCoroutine(self.transfers.cancel(transfer))
        error: Exception = self.failureResultOf(cancelling, InvalidRequest).value
        return error
